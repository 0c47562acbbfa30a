#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * temporal_mix: a matrix over the frames of a clip for each channel, beside what was there or alone. One invocation: up to BLOCK
 * frames of one pixel of a channel of a clip. Grid: pixels, channels, blocks of frames, clips, folded. Bindings: 0 x[BT,C,H,W],
 * 1 w[C,T,T], 2 bias[C,T], absent without one, 3 y as x.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"

#define BLOCK 8u /* NERV_MIX_BLOCK of src/cpu/clip_dsp.h */

NERV_VALUE_IN(0, x);
NERV_IN(1, w);
NERV_IN(2, bias);
NERV_VALUE_OUT(3, y);

layout(push_constant) uniform Push {
    uint count; /* invocations */
    uint plane, channels, frames, blocks;
    uint transposed, has_bias, alone;
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint c = id / pc.plane % pc.channels, rest = id / pc.plane / pc.channels;
    uint first = rest % pc.blocks * BLOCK, stride = pc.channels * pc.plane;
    uint at = (rest / pc.blocks * pc.frames * pc.channels + c) * pc.plane + id % pc.plane;
    uint across = pc.transposed != 0u ? 1u : pc.frames, along = pc.transposed != 0u ? pc.frames : 1u;
    uint matrix = c * pc.frames * pc.frames, last = pc.frames - 1u;
    float sum[BLOCK];
    [[unroll]] for (uint i = 0u; i < BLOCK; i++) {
        uint t = min(first + i, last);
        sum[i] = pc.alone != 0u ? 0.0 : float(x[at + t * stride]);
        if (pc.has_bias != 0u)
            sum[i] += bias[c * pc.frames + t];
    }
    for (uint u = 0u; u < pc.frames; u++) {
        float v = float(x[at + u * stride]);
        [[unroll]] for (uint i = 0u; i < BLOCK; i++)
            sum[i] += w[matrix + min(first + i, last) * across + u * along] * v;
    }
    [[unroll]] for (uint i = 0u; i < BLOCK; i++)
        if (first + i < pc.frames)
            y[at + (first + i) * stride] = NERV_VALUE(sum[i]);
}

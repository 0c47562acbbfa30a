#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * temporal_mix_dw: the gradients of temporal_mix in its matrices and biases. One workgroup: the sums over clips and pixels of a frame
 * of dy, in one channel, times COLUMNS frames of x; the one with frame 0 has the sum of dy too. Grid: channels, frames of dy,
 * blocks of frames of x, folded. Bindings: 0 dy[BT,C,H,W], 1 x as dy, 2 dw[C,T,T], 3 db[C,T], touched only if they are read.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#define NERV_SUM_TYPE vec4
#include "lib/sum.glsl"

#define COLUMNS 4u /* VK_COLUMNS of src/ops/temporal_mix.c */
#define CHUNK   64u /* terms of a partial sum */

NERV_IN(0, dy);
NERV_IN(1, x);
NERV_OUT(2, dw);
NERV_OUT(3, db);

layout(push_constant) uniform Push {
    uint count; /* workgroups */
    uint plane, channels, frames, clips, blocks;
    uint store_dw, store_db;
} pc;

void main()
{
    uint group = nerv_group();
    if (group >= pc.count)
        return;
    uint first = group % pc.blocks * COLUMNS, t = group / pc.blocks % pc.frames;
    uint c = group / pc.blocks / pc.frames, stride = pc.channels * pc.plane, last = pc.frames - 1u;
    uvec4 u = min(uvec4(first, first + 1u, first + 2u, first + 3u), uvec4(last));
    vec4 sums = vec4(0.0);
    float alone = 0.0;
    for (uint i = gl_LocalInvocationIndex; i < pc.clips * pc.plane;) {
        vec4 part = vec4(0.0);
        float part_alone = 0.0;
        for (uint k = 0u; k < CHUNK && i < pc.clips * pc.plane; k++, i += NERV_LOCAL) {
            uint at = (i / pc.plane * pc.frames * pc.channels + c) * pc.plane + i % pc.plane;
            float d = dy[at + t * stride];
            uvec4 e = at + u * stride;
            part += d * vec4(x[e.x], x[e.y], x[e.z], x[e.w]);
            part_alone += d;
        }
        sums += part;
        alone += part_alone;
    }
    sums = nerv_workgroup_sum(sums);
    if (first == 0u)
        alone = nerv_workgroup_sum(vec4(alone)).x;
    if (gl_LocalInvocationIndex != 0u)
        return;
    uint row = (c * pc.frames + t) * pc.frames;
    for (uint j = 0u; j < COLUMNS && pc.store_dw != 0u && first + j < pc.frames; j++)
        dw[row + first + j] = sums[j];
    if (first == 0u && pc.store_db != 0u)
        db[c * pc.frames + t] = alone;
}

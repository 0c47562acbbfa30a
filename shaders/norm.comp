#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * norm: each channel of each clip less its mean, divided by its standard deviation. One workgroup: one channel of one clip. Grid:
 * those, folded. Bindings: 0 x[BT,C,H,W], 1 y as x, 2 r[B,C], one over the deviations; the last two are touched only if they are read.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/sum.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_OUT(1, y);
NERV_OUT(2, r);

layout(push_constant) uniform Push {
    uint count; /* channels of all clips */
    uint channels, plane, frames;
    uint store_y, store_r;
    float epsilon;
} pc;

#include "lib/clip.glsl"

void main()
{
    uint at = nerv_group(), n = pc.frames * pc.plane;
    if (at >= pc.count)
        return;
    float sum, squares;
    CLIP_SUM(sum, at, n, float(x[e]))
    float mean = sum / float(n);
    CLIP_SUM(squares, at, n, (float(x[e]) - mean) * (float(x[e]) - mean))
    float scale = 1.0 / sqrt(squares / float(n) + pc.epsilon);
    if (pc.store_r != 0u && gl_LocalInvocationIndex == 0u)
        r[at] = scale;
    for (uint i = gl_LocalInvocationIndex; pc.store_y != 0u && i < n; i += NERV_LOCAL) {
        uint e = clip_element(at, i);
        y[e] = NERV_VALUE((float(x[e]) - mean) * scale);
    }
}

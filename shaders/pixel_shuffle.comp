#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * pixel_shuffle: y[n,c,h S + i,w S + j] = x[n,c S S + i S + j,h,w]. One invocation: one element of y. Grid:
 * the elements of y, folded. Bindings: 0 x[N,C S S,H,W], 1 y[N,C,H S,W S].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_OUT(1, y);

layout(push_constant) uniform Push {
    uint count, h, w, s; /* elements; H, W of x */
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint col = id % (pc.w * pc.s);
    uint row = id / (pc.w * pc.s) % (pc.h * pc.s);
    uint image_c = id / (pc.w * pc.s) / (pc.h * pc.s);
    uint channel = (image_c * pc.s + row % pc.s) * pc.s + col % pc.s;
    y[id] = x[(channel * pc.h + row / pc.s) * pc.w + col / pc.s];
}

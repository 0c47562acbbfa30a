#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * pixel_unshuffle: y[n,c S S + i S + j,h,w] = x[n,c,h S + i,w S + j], the inverse of pixel_shuffle. One
 * invocation: one element of y. Grid: the elements of y, folded. Bindings: 0 x[N,C,H S,W S], 1 y[N,C S
 * S,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_IN(0, x);
NERV_OUT(1, y);

layout(push_constant) uniform Push {
    uint count, h, w, s; /* elements; H, W of y */
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint col = id % pc.w;
    uint row = id / pc.w % pc.h;
    uint channel = id / pc.w / pc.h;
    uint sub = channel % (pc.s * pc.s);
    uint image_c = channel / (pc.s * pc.s);
    y[id] = x[((image_c * pc.h + row) * pc.s + sub / pc.s) * (pc.w * pc.s) + col * pc.s + sub % pc.s];
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * expand: y = scale x, repeated along the axes where x has length 1. One invocation: one element of y. Grid: the
 * elements of y, folded. Bindings: 0 x, 1 y[N,C,H,W]. A repeated axis has stride 0 in x.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_IN(0, x);
NERV_OUT(1, y);

layout(push_constant) uniform Push {
    uint count;   /* elements of y */
    uint c, h, w; /* of y */
    uint stride_n, stride_c, stride_h, stride_w;
    float scale;
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint at = id % pc.w * pc.stride_w + id / pc.w % pc.h * pc.stride_h;
    at += id / pc.w / pc.h % pc.c * pc.stride_c + id / pc.w / pc.h / pc.c * pc.stride_n;
    y[id] = pc.scale * x[at];
}

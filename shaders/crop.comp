#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * crop: the top left of every plane. One invocation: one element of y. Grid: the elements of y, folded.
 * Bindings: 0 x[N,C,H,W], 1 y[N,C,Ho,Wo], Ho <= H, Wo <= W.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_OUT(1, y);

layout(push_constant) uniform Push {
    uint count;  /* elements of y */
    uint h, w;   /* of x */
    uint ho, wo; /* of y */
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint col = id % pc.wo, row = id / pc.wo % pc.ho, plane = id / pc.wo / pc.ho;
    y[id] = x[(plane * pc.h + row) * pc.w + col];
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * slice: some of the channels. One invocation: one element of y. Grid: the elements of y, folded.
 * Bindings: 0 x[N,C,H,W], 1 y[N,count,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_OUT(1, y);

layout(push_constant) uniform Push {
    uint count; /* elements of y */
    uint picture_x, picture_y, skip; /* elements of a picture of x, of one of y, of x before the slice */
} pc;

void main()
{
    uint id = nerv_id();
    if (id < pc.count)
        y[id] = x[id / pc.picture_y * pc.picture_x + pc.skip + id % pc.picture_y];
}

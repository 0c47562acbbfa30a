#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * concat: the channels of up to eight inputs one after another. One invocation: one element of y. Grid: the elements of y,
 * folded. Bindings: 0..7 x0[N,C0,H,W] .. x7[N,C7,H,W], those past the last input absent; 8 y[N,C0+..+C7,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_VALUE_IN(0, x0);
NERV_VALUE_IN(1, x1);
NERV_VALUE_IN(2, x2);
NERV_VALUE_IN(3, x3);
NERV_VALUE_IN(4, x4);
NERV_VALUE_IN(5, x5);
NERV_VALUE_IN(6, x6);
NERV_VALUE_IN(7, x7);
NERV_VALUE_OUT(8, y);

layout(push_constant) uniform Push {
    uint count;   /* elements of y */
    uint picture; /* C H W of y */
    uint end0, end1, end2, end3, end4, end5, end6, end7; /* where each input's share of a picture of y ends */
} pc;

/* The element of y that is `at` within picture n; begin..end is its input's share. */
#define FROM(x, begin, end) float((x)[n * ((end) - (begin)) + at - (begin)])

float value(uint n, uint at)
{
    if (at < pc.end0)
        return FROM(x0, 0, pc.end0);
    if (at < pc.end1)
        return FROM(x1, pc.end0, pc.end1);
    if (at < pc.end2)
        return FROM(x2, pc.end1, pc.end2);
    if (at < pc.end3)
        return FROM(x3, pc.end2, pc.end3);
    if (at < pc.end4)
        return FROM(x4, pc.end3, pc.end4);
    if (at < pc.end5)
        return FROM(x5, pc.end4, pc.end5);
    if (at < pc.end6)
        return FROM(x6, pc.end5, pc.end6);
    return FROM(x7, pc.end6, pc.end7);
}

void main()
{
    uint id = nerv_id();
    if (id < pc.count)
        y[id] = NERV_VALUE(value(id / pc.picture, id % pc.picture));
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp: bilinear samples where a flow points. One invocation: one element of y. Grid: the elements of y, folded.
 * Bindings: 0 x[M,C,H,W], 1 flow[N,2,H,W], 2 y[N,C,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/warp.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_IN(1, flow);
NERV_VALUE_OUT(2, y);

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint plane = pc.h * pc.w, pixel = id % plane, n = id / plane / pc.channels;
    uint displacement = n * 2u * plane + pixel;
    Between along = between(float(pixel % pc.w) + float(flow[displacement]), pc.w);
    Between down = between(float(pixel / pc.w) + float(flow[displacement + plane]), pc.h);
    uint at = picture(n, id / plane % pc.channels) + down.line * pc.w + along.line, below = at + down.step * pc.w;
    float top = (1.0 - along.f) * float(x[at]) + along.f * float(x[at + along.step]);
    float bottom = (1.0 - along.f) * float(x[below]) + along.f * float(x[below + along.step]);
    y[id] = NERV_VALUE((1.0 - down.f) * top + down.f * bottom);
}

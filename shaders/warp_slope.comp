#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp_slope: the derivative of warp along a direction of its flow (src/ops/warp_slope.c). One invocation: one element of y. Grid: the
 * elements of y, folded. Bindings: 0 x[M,C,H,W], 1 flow[N,2,H,W], 2 v as flow, 3 y[N,C,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/warp.glsl"

NERV_IN(0, x);
NERV_IN(1, flow);
NERV_IN(2, v);
NERV_OUT(3, y);

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint plane = pc.h * pc.w, pixel = id % plane, n = id / plane / pc.channels;
    uint displacement = n * 2u * plane + pixel;
    Between along = between(float(pixel % pc.w) + flow[displacement], pc.w);
    Between down = between(float(pixel / pc.w) + flow[displacement + plane], pc.h);
    uint at = picture(n, id / plane % pc.channels) + down.line * pc.w + along.line, below = at + down.step * pc.w;
    float a = x[at], b = x[at + along.step], c = x[below], d = x[below + along.step];
    float sum = 0.0;
    if (along.inside)
        sum = v[displacement] * ((1.0 - down.f) * (b - a) + down.f * (d - c));
    if (down.inside)
        sum += v[displacement + plane] * ((1.0 - along.f) * (c - a) + along.f * (d - b));
    y[id] = sum;
}

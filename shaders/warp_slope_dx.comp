#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp_slope_dx: the gradient of warp_slope in its picture. lib/scatter.glsl has the passes, their grids and the order of the sums.
 * Bindings: 0 dy[N,C,H,W], 1 flow[N,2,H,W], 2 v as flow, 3 dx[M,C,H,W], 4 scratch.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/warp.glsl"

NERV_IN(0, dy);
NERV_IN(1, flow);
NERV_IN(2, v);
NERV_OUT_UINT(3, dx);
NERV_INOUT_UINT(4, words);

#include "lib/scatter.glsl"

/* Where element `id` of dy points, and dy times the direction there, which is 0 where the coordinate was clamped. */
vec2 located(uint id, out Between along, out Between down)
{
    uint plane = pc.h * pc.w, pixel = id % plane;
    uint displacement = id / plane / pc.channels * 2u * plane + pixel;
    along = between(float(pixel % pc.w) + flow[displacement], pc.w);
    down = between(float(pixel / pc.w) + flow[displacement + plane], pc.h);
    return dy[id] * vec2(along.inside ? v[displacement] : 0.0, down.inside ? v[displacement + plane] : 0.0);
}

/* The weights' magnitudes add up to no more than twice those of the direction. */
float reach(uint id)
{
    Between along, down;
    vec2 d = abs(located(id, along, down));
    return 2.0 * (d.x + d.y);
}

void scatter(uint id, int e)
{
    Between along, down;
    vec2 d = located(id, along, down);
    d = vec2(scaled(d.x, e), scaled(d.y, e));
    uint plane = pc.h * pc.w;
    uint at = picture(id / plane / pc.channels, id / plane % pc.channels) + down.line * pc.w + along.line;
    uint below = at + down.step * pc.w;
    float left = (1.0 - along.f) * d.y, right = along.f * d.y;
    add(at, -(1.0 - down.f) * d.x - left);
    add(at + along.step, (1.0 - down.f) * d.x - right);
    add(below, left - down.f * d.x);
    add(below + along.step, right + down.f * d.x);
}

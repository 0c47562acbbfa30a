#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp_dx: the gradient of warp in its picture. lib/scatter.glsl has the passes, their grids and the order of the sums. Bindings:
 * 0 dy[N,C,H,W], 1 flow[N,2,H,W], 2 dx[M,C,H,W], 3 scratch.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/warp.glsl"

NERV_IN(0, dy);
NERV_IN(1, flow);
NERV_OUT_UINT(2, dx);
NERV_INOUT_UINT(3, words);

#include "lib/scatter.glsl"

/* The weights add up to 1. */
float reach(uint id)
{
    return abs(dy[id]);
}

void scatter(uint id, int e)
{
    uint plane = pc.h * pc.w, pixel = id % plane, n = id / plane / pc.channels;
    uint displacement = n * 2u * plane + pixel;
    Between along = between(float(pixel % pc.w) + flow[displacement], pc.w);
    Between down = between(float(pixel / pc.w) + flow[displacement + plane], pc.h);
    uint at = picture(n, id / plane % pc.channels) + down.line * pc.w + along.line, below = at + down.step * pc.w;
    float v = scaled(dy[id], e);
    float left = (1.0 - along.f) * v, right = along.f * v;
    add(at, (1.0 - down.f) * left);
    add(at + along.step, (1.0 - down.f) * right);
    add(below, down.f * left);
    add(below + along.step, down.f * right);
}

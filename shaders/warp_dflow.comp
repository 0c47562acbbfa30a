#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp_dflow: the gradient of warp in its flow. One invocation: one pixel of the flow, summed over the channels. Grid: the
 * pixels, folded. Bindings: 0 dy[N,C,H,W], 1 x[M,C,H,W], 2 flow[N,2,H,W], 3 dflow[N,2,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/warp.glsl"

NERV_IN(0, dy);
NERV_IN(1, x);
NERV_IN(2, flow);
NERV_OUT(3, dflow);

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint plane = pc.h * pc.w, pixel = id % plane, n = id / plane;
    uint displacement = n * 2u * plane + pixel;
    Between along = between(float(pixel % pc.w) + flow[displacement], pc.w);
    Between down = between(float(pixel / pc.w) + flow[displacement + plane], pc.h);
    uint at = picture(n, 0u) + down.line * pc.w + along.line, below = at + down.step * pc.w;
    uint from = n * pc.channels * plane + pixel;
    vec2 sum = vec2(0.0);
    for (uint c = 0u; c < pc.channels; c++) {
        float p = x[at], q = x[at + along.step], r = x[below], s = x[below + along.step];
        sum += dy[from] * vec2((1.0 - down.f) * (q - p) + down.f * (s - r),
                               (1.0 - along.f) * (r - p) + along.f * (s - q));
        at += plane;
        below += plane;
        from += plane;
    }
    dflow[displacement] = along.inside ? sum.x : 0.0;
    dflow[displacement + plane] = down.inside ? sum.y : 0.0;
}

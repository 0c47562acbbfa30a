#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp_slope_dflow: the gradient of warp_slope in its flow. One invocation: one pixel of the flow, summed over the channels. Grid: the
 * pixels, folded. Bindings: 0 dy[N,C,H,W], 1 x[M,C,H,W], 2 flow[N,2,H,W], 3 v as flow, 4 dflow as flow.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/warp.glsl"

NERV_IN(0, dy);
NERV_IN(1, x);
NERV_IN(2, flow);
NERV_IN(3, v);
NERV_OUT(4, dflow);

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
    float twist = 0.0;
    for (uint c = 0u; c < pc.channels; c++) {
        twist += dy[from] * ((x[at] - x[at + along.step]) + (x[below + along.step] - x[below]));
        at += plane;
        below += plane;
        from += plane;
    }
    bool inside = along.inside && down.inside;
    dflow[displacement] = inside ? v[displacement + plane] * twist : 0.0;
    dflow[displacement + plane] = inside ? v[displacement] * twist : 0.0;
}

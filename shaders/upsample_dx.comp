#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * upsample_dx: the transpose of upsample. One invocation: one element of dx, summed row by row over the elements of dy in which
 * it has a share. Grid: the elements of dx, folded. Bindings: 0 dy[N,C,H S,W S], 1 dx[N,C,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/upsample.glsl"

NERV_IN(0, dy);
NERV_OUT(1, dx);

/* Line i of the large picture, of `size` small ones: the share of line q in it. */
float share(uint i, uint q, uint size)
{
    Mixture m = mixture(i, size);
    return (m.near == q ? 1.0 - m.f : 0.0) + (m.far == q ? m.f : 0.0);
}

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint q = id % pc.w, p = id / pc.w % pc.h, large = id / pc.w / pc.h * pc.h * pc.s;
    uint more = (pc.s + 1u) / 2u;
    uint top = max(p * pc.s, more) - more, bottom = min((p + 1u) * pc.s + more, pc.h * pc.s);
    uint left = max(q * pc.s, more) - more, right = min((q + 1u) * pc.s + more, pc.w * pc.s);
    float sum = 0.0;
    for (uint i = top; i < bottom; i++) {
        uint row = (large + i) * pc.w * pc.s;
        float row_sum = 0.0;
        for (uint j = left; j < right; j++)
            row_sum += share(j, q, pc.w) * dy[row + j];
        sum += share(i, p, pc.h) * row_sum;
    }
    dx[id] = sum;
}

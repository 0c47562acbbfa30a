#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * ssim: mean structural similarity (Wang et al. 2004, eq. 13) over all valid 11x11 Gaussian windows, and for
 * the gradient the partial derivatives of each window's value in mu_a, E[aa], E[ab] (see src/ops/ssim.c for
 * the formulas).
 * Dispatch 1 (SUM = 0): one workgroup does 16x16 windows of one plane, moments by rows into shared memory,
 * then by columns; the sum of its windows goes to part[group]. Grid: planes times tiles, folded. Dispatch 2
 * (SUM = 1): one workgroup adds the parts in a fixed order.
 * Bindings: 0 a[N,C,H,W], 1 b[N,C,H,W], 2 mean[1], 3 maps[N,3 C,H-10,W-10] (store_maps), 4 part.
 * Specialisation: 0 SUM.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#define NERV_SUM_TYPE vec2
#include "lib/sum.glsl"

layout(constant_id = 0) const uint SUM = 0;

NERV_IN(0, a);
NERV_IN(1, b);
NERV_OUT(2, mean);
NERV_OUT(3, maps);
NERV_INOUT(4, part);

layout(push_constant) uniform Push {
    uint channels, h, w;   /* of a */
    uint tiles_x, tiles_y; /* tiles of windows in a plane */
    uint groups;           /* N*C*tiles_x*tiles_y */
    uint store_maps;
    float scale;           /* 1/(N*C*(H-10)*(W-10)) */
    float c1, c2;
    float taps[6];
} pc;

#include "lib/moments.glsl"

void sum_parts()
{
    float v = 0.0;
    for (uint i = gl_LocalInvocationIndex; i < pc.groups; i += NERV_LOCAL)
        v += part[i];
    v = nerv_workgroup_sum(vec2(v, 0.0)).x;
    if (gl_LocalInvocationIndex == 0)
        mean[0] = v * pc.scale;
}

/* The value of the window at x, y of the tile, its maps stored at `at` and 1 and 2 planes of `stride`
 * further. dS/dmu_a = 2/(B1 B2) (A2 (mu_b - mu_a A1/B1) - A1 (mu_b - mu_a A2/B2)) is written without cancelling
 * large terms. */
float window_value(uint x, uint y, vec2 mid, uint at, uint stride)
{
    Terms w = window_terms(x, y, mid);
    float over = 1.0 / (w.b1 * w.b2);
    float s = w.a1 * w.a2 * over;
    if (pc.store_maps != 0) {
        maps[at] = 2.0 * over * (w.a2 * (w.mu_a * w.d * w.d / w.b1 - w.d) - w.a1 * (w.mu_a * w.e / w.b2 - w.d));
        maps[at + stride] = -s / w.b2;
        maps[at + 2 * stride] = 2.0 * w.a1 * over;
    }
    return s;
}

void main()
{
    if (SUM != 0) {
        sum_parts();
        return;
    }
    uint group = nerv_group();
    uint tid = gl_LocalInvocationIndex;
    if (group >= pc.groups)
        return;
    uint x0 = group % pc.tiles_x * TILE;
    uint y0 = group / pc.tiles_x % pc.tiles_y * TILE;
    uint plane = group / pc.tiles_x / pc.tiles_y;
    vec2 mid = sum_rows(plane, x0, y0);
    uint wo = pc.w - (TAPS - 1), ho = pc.h - (TAPS - 1);
    uint maps_plane = plane / pc.channels * pc.channels * 3 + plane % pc.channels;
    float v = 0.0;
    for (uint i = tid; i < TILE * TILE; i += NERV_LOCAL) {
        uint x = i % TILE, y = i / TILE;
        if (x0 + x < wo && y0 + y < ho)
            v += window_value(x, y, mid, (maps_plane * ho + y0 + y) * wo + x0 + x, pc.channels * ho * wo);
    }
    v = nerv_workgroup_sum(vec2(v, 0.0)).x;
    if (tid == 0)
        part[group] = v;
}

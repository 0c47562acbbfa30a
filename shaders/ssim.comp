#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * ssim: mean structural similarity (Wang et al. 2004, eq. 13) over all valid 11x11 Gaussian windows, and for
 * the gradient the partial derivatives of each window's value in mu_a, E[aa], E[ab] (see src/ops/ssim.c for
 * the formulas).
 * Dispatch 1 (SUM = 0): one workgroup does 16x16 windows of one plane, moments by rows into shared memory,
 * then by columns; the sum of its windows goes to part[group]. Grid: planes times tiles, folded. Dispatch 2
 * (SUM = 1): one workgroup adds the parts in a fixed order. The moments are those of a and b less their means
 * over what the tile sees: variances don't change and lose less to cancellation.
 * Bindings: 0 a[N,C,H,W], 1 b[N,C,H,W], 2 mean[1], 3 maps[N,3 C,H-10,W-10] (store_maps), 4 part.
 * Specialisation: 0 SUM.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#define NERV_SUM_TYPE vec2
#include "lib/sum.glsl"
#include "lib/window.glsl"

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

shared float seen_a[SEEN * SEEN];
shared float seen_b[SEEN * SEEN];
shared vec4 rows[SEEN * TILE];

void sum_parts()
{
    float v = 0.0;
    for (uint i = gl_LocalInvocationIndex; i < pc.groups; i += NERV_LOCAL)
        v += part[i];
    v = nerv_workgroup_sum(vec2(v, 0.0)).x;
    if (gl_LocalInvocationIndex == 0)
        mean[0] = v * pc.scale;
}

/* Moments of one row of a window: a, b, aa + bb, (a-b)^2. */
void sum_row(uint i, vec2 mid)
{
    uint at = i / TILE * SEEN + i % TILE;
    vec4 m = vec4(0.0);
    for (uint t = 0; t < TAPS; t++) {
        float va = seen_a[at + t] - mid.x, vb = seen_b[at + t] - mid.y;
        m += WINDOW_TAP(t) * vec4(va, vb, va * va + vb * vb, (va - vb) * (va - vb));
    }
    rows[i] = m;
}

/* The value of the window at x, y of the tile, its maps stored at `at` and 1 and 2 planes of `stride`
 * further. In the terms of src/ops/ssim.c, A2 = B2 - e with e the variance of a - b, which is small and exact
 * where the images agree; with it, dS/dmu_a = 2/(B1 B2) (A2 (mu_b - mu_a A1/B1) - A1 (mu_b - mu_a A2/B2)) is
 * written without cancelling large terms. */
float window_value(uint x, uint y, vec2 mid, uint at, uint stride)
{
    vec4 m = vec4(0.0);
    for (uint t = 0; t < TAPS; t++)
        m += WINDOW_TAP(t) * rows[(y + t) * TILE + x];
    float mu_a = m.x + mid.x, mu_b = m.y + mid.y;
    float d = mu_a - mu_b;
    float e = m.w - (m.x - m.y) * (m.x - m.y);
    float b1 = mu_a * mu_a + mu_b * mu_b + pc.c1;
    float a1 = 2.0 * mu_a * mu_b + pc.c1;
    float b2 = m.z - m.x * m.x - m.y * m.y + pc.c2;
    float a2 = b2 - e;
    float over = 1.0 / (b1 * b2);
    float s = a1 * a2 * over;
    if (pc.store_maps != 0) {
        maps[at] = 2.0 * over * (a2 * (mu_a * d * d / b1 - d) - a1 * (mu_a * e / b2 - d));
        maps[at + stride] = -s / b2;
        maps[at + 2 * stride] = 2.0 * a1 * over;
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
    vec2 mid = vec2(0.0);
    for (uint i = tid; i < SEEN * SEEN; i += NERV_LOCAL) {
        uint y = min(y0 + i / SEEN, pc.h - 1), x = min(x0 + i % SEEN, pc.w - 1);
        seen_a[i] = a[(plane * pc.h + y) * pc.w + x];
        seen_b[i] = b[(plane * pc.h + y) * pc.w + x];
        mid += vec2(seen_a[i], seen_b[i]);
    }
    mid = nerv_workgroup_sum(mid) / (SEEN * SEEN);
    for (uint i = tid; i < SEEN * TILE; i += NERV_LOCAL)
        sum_row(i, mid);
    barrier();
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

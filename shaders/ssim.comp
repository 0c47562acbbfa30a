#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * ssim: mean structural similarity (Wang et al. 2004, eq. 13) over all valid 11x11 Gaussian windows, and for the gradient the
 * partial derivatives of each window's value in mu_a, E[aa], E[ab] (see src/ops/ssim.c for the formulas).
 * Dispatch 1 (SUM = 0): one workgroup does 16x16 windows of one plane: moments by rows into shared memory, then by columns; the sum of its windows goes to
 * part[group]. Grid: planes times tiles, folded. Dispatch 2 (SUM = 1): one workgroup adds the parts in a fixed order.
 * The moments are those of a - 1/2 and b - 1/2: variances don't change and lose four times less to cancellation.
 * Bindings: 0 a[N,C,H,W], 1 b[N,C,H,W], 2 mean[1], 3 maps[N,3 C,H-10,W-10] (store_maps), 4 part. Specialisation: 0 SUM.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"
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
shared float rows[5 * SEEN * TILE];
shared float sums[NERV_LOCAL];

/* The sum of v over the workgroup, in invocation 0. */
float workgroup_sum(float v)
{
    uint tid = gl_LocalInvocationIndex;
    sums[tid] = v;
    for (uint active = NERV_LOCAL / 2; active > 0; active /= 2) {
        barrier();
        if (tid < active)
            sums[tid] += sums[tid + active];
    }
    return sums[0];
}

void sum_parts()
{
    float v = 0.0;
    for (uint i = gl_LocalInvocationIndex; i < pc.groups; i += NERV_LOCAL)
        v += part[i];
    v = workgroup_sum(v);
    if (gl_LocalInvocationIndex == 0)
        mean[0] = v * pc.scale;
}

/* Moments of one row of a window: a, b, aa, bb, ab. */
void sum_row(uint i)
{
    uint at = i / TILE * SEEN + i % TILE;
    float m[5] = float[5](0.0, 0.0, 0.0, 0.0, 0.0);
    for (uint t = 0; t < TAPS; t++) {
        float g = WINDOW_TAP(t);
        float va = seen_a[at + t], vb = seen_b[at + t];
        m[0] += g * va;
        m[1] += g * vb;
        m[2] += g * va * va;
        m[3] += g * vb * vb;
        m[4] += g * va * vb;
    }
    [[unroll]] for (uint q = 0; q < 5; q++)
        rows[q * SEEN * TILE + i] = m[q];
}

/* The value of the window at x, y of the tile, its maps stored at `at` and 1 and 2 planes of `stride` further. */
float window_value(uint x, uint y, uint at, uint stride)
{
    float m[5] = float[5](0.0, 0.0, 0.0, 0.0, 0.0);
    for (uint t = 0; t < TAPS; t++) {
        [[unroll]] for (uint q = 0; q < 5; q++)
            m[q] += WINDOW_TAP(t) * rows[(q * SEEN + y + t) * TILE + x];
    }
    float mu_a = m[0] + 0.5, mu_b = m[1] + 0.5;
    float n1 = 2.0 * mu_a * mu_b + pc.c1;
    float d1 = mu_a * mu_a + mu_b * mu_b + pc.c1;
    float n2 = 2.0 * (m[4] - m[0] * m[1]) + pc.c2;
    float d2 = (m[2] - m[0] * m[0]) + (m[3] - m[1] * m[1]) + pc.c2;
    float over = 1.0 / (d1 * d2);
    float s = n1 * n2 * over;
    if (pc.store_maps != 0) {
        maps[at] = 2.0 * mu_b * (n2 - n1) * over + 2.0 * mu_a * s * (1.0 / d2 - 1.0 / d1);
        maps[at + stride] = -s / d2;
        maps[at + 2 * stride] = 2.0 * n1 * over;
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
    for (uint i = tid; i < SEEN * SEEN; i += NERV_LOCAL) {
        uint y = min(y0 + i / SEEN, pc.h - 1), x = min(x0 + i % SEEN, pc.w - 1);
        seen_a[i] = a[(plane * pc.h + y) * pc.w + x] - 0.5;
        seen_b[i] = b[(plane * pc.h + y) * pc.w + x] - 0.5;
    }
    barrier();
    for (uint i = tid; i < SEEN * TILE; i += NERV_LOCAL)
        sum_row(i);
    barrier();
    uint wo = pc.w - (TAPS - 1), ho = pc.h - (TAPS - 1);
    uint maps_plane = plane / pc.channels * pc.channels * 3 + plane % pc.channels;
    float v = 0.0;
    for (uint i = tid; i < TILE * TILE; i += NERV_LOCAL) {
        uint x = i % TILE, y = i / TILE;
        if (x0 + x < wo && y0 + y < ho)
            v += window_value(x, y, (maps_plane * ho + y0 + y) * wo + x0 + x, pc.channels * ho * wo);
    }
    v = workgroup_sum(v);
    if (tid == 0)
        part[group] = v;
}

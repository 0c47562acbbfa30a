/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The moments of SSIM's windows (src/ops/ssim.c) over a workgroup's tile: by rows into shared memory, then by columns. They are
 * those of a and b less their means over what the tile sees: variances don't change and lose less to cancellation. Include after
 * lib/sum.glsl with NERV_SUM_TYPE vec2, the operands a and b, and push constants channels, h, w, c1, c2 and taps.
 */
#ifndef NERV_MOMENTS_GLSL
#define NERV_MOMENTS_GLSL

#include "lib/window.glsl"

shared float seen_a[SEEN * SEEN];
shared float seen_b[SEEN * SEEN];
shared vec4 rows[SEEN * TILE];

/* Of one row of a window: a, b, aa + bb, (a-b)^2. */
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

/* All rows of the tile at x0, y0 of a plane; returns the means. Every invocation must call it. */
vec2 sum_rows(uint plane, uint x0, uint y0)
{
    vec2 mid = vec2(0.0);
    for (uint i = gl_LocalInvocationIndex; i < SEEN * SEEN; i += NERV_LOCAL) {
        uint y = min(y0 + i / SEEN, pc.h - 1), x = min(x0 + i % SEEN, pc.w - 1);
        seen_a[i] = a[(plane * pc.h + y) * pc.w + x];
        seen_b[i] = b[(plane * pc.h + y) * pc.w + x];
        mid += vec2(seen_a[i], seen_b[i]);
    }
    mid = nerv_workgroup_sum(mid) / (SEEN * SEEN);
    for (uint i = gl_LocalInvocationIndex; i < SEEN * TILE; i += NERV_LOCAL)
        sum_row(i, mid);
    barrier();
    return mid;
}

/* In those of src/ops/ssim.c, d = mu_a - mu_b and A2 = B2 - e, e being the variance of a - b, which is small and exact where the
 * images agree. */
struct Terms {
    float mu_a, mu_b, d, e, a1, a2, b1, b2;
};

/* Of the window at x, y of the tile. */
Terms window_terms(uint x, uint y, vec2 mid)
{
    vec4 m = vec4(0.0);
    for (uint t = 0; t < TAPS; t++)
        m += WINDOW_TAP(t) * rows[(y + t) * TILE + x];
    Terms w;
    w.mu_a = m.x + mid.x;
    w.mu_b = m.y + mid.y;
    w.d = w.mu_a - w.mu_b;
    w.e = m.w - (m.x - m.y) * (m.x - m.y);
    w.b1 = w.mu_a * w.mu_a + w.mu_b * w.mu_b + pc.c1;
    w.a1 = 2.0 * w.mu_a * w.mu_b + pc.c1;
    w.b2 = m.z - m.x * m.x - m.y * m.y + pc.c2;
    w.a2 = w.b2 - w.e;
    return w;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tiles of SSIM and its gradients (formulas in ops/ssim.c), compiled once per instruction set. The window is
 * separable: rows of a tile pass through a ring of 16; four rows at a time are filtered downwards, each row of the ring being
 * loaded once for all four, and then along. The four sums that a window needs are those of a, b, aa+bb and ab; a and b are
 * taken less 1/2, which leaves variances as they are and loses four times less of them to cancellation.
 */
#include <stdbool.h>

#include "cpu/math_dsp.h"
#include "cpu/vmath.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

void PASTE(nerv_ssim_dsp_init_, NERV_ISA)(NervMathDsp *dsp);

#define K     NERV_SSIM_K
#define WIDTH 128 /* floats in a row of the ring: NERV_SSIM_TILE_W + K - 1, rounded up to vectors */
#define RING  16  /* rows, >= ROWS + K - 1 */
#define ROWS  4   /* rows filtered at a time */
#define SUMS  4

#define C1 (0.01f * 0.01f)
#define C2 (0.03f * 0.03f)

_Static_assert(NERV_SSIM_TILE_W + K - 1 <= WIDTH && NERV_SSIM_TILE_W % LANES == 0,
               "a tile must fit a row of the ring");

/* exp(-(i-5)^2 / (2 1.5^2)), normalised to sum 1. */
static const float window[K] = { 1.028380084e-03f, 7.598758135e-03f, 3.600077213e-02f, 1.093606895e-01f,
                                 2.130055377e-01f, 2.660117249e-01f, 2.130055377e-01f, 1.093606895e-01f,
                                 3.600077213e-02f, 7.598758135e-03f, 1.028380084e-03f };

/* One row of the pictures or maps. The padding keeps rows from falling into the same few sets of the first cache. */
typedef struct {
    _Alignas(64) float sum[SUMS][WIDTH];
    float padding[16];
} Row;

typedef struct {
    Row ring[RING];
    _Alignas(VBYTES) float down[SUMS][ROWS][WIDTH]; /* filtered downwards */
} Tile;

/* Filters rows y..y+3 of the result downwards: of ring rows y..y+13, n_sums quantities, n floats. */
INLINE void filter_down(Tile *t, int32_t y, int n_sums, int n)
{
    for (int s = 0; s < n_sums; s++) {
        for (int x = 0; x < n; x += LANES) {
            vf sum[ROWS] = { { 0 } };
#pragma GCC unroll 14
            for (int i = 0; i < ROWS + K - 1; i++) {
                const vf v = *(const vf *)&t->ring[(y + i) % RING].sum[s][x];
#pragma GCC unroll 4
                for (int r = 0; r < ROWS; r++)
                    if (i - r >= 0 && i - r < K)
                        sum[r] += v * window[i - r];
            }
            for (int r = 0; r < ROWS; r++)
                *(vf *)&t->down[s][r][x] = sum[r];
        }
    }
}

/* One vector of quantity s of row r, filtered along. */
INLINE vf filter_along(const Tile *t, int s, int r, int x)
{
    const float *p = &t->down[s][r][x];
    vf even = vload(p) * window[0], odd = vload(p + 1) * window[1];
#pragma GCC unroll 4
    for (int i = 2; i < K - 1; i += 2) {
        even += vload(p + i) * window[i];
        odd += vload(p + i + 1) * window[i + 1];
    }
    return even + vload(p + K - 1) * window[K - 1] + odd;
}

/* Row y of the pictures from column x0, n floats, into the ring: a, b, aa+bb, ab. Rows below the picture are not needed. */
INLINE void fill_pictures(Tile *t, const NervSsimTile *tile, int32_t y, int n)
{
    float(*row)[WIDTH] = t->ring[y % RING].sum;
    if (y >= tile->h) {
        memset(row, 0, sizeof t->ring[0].sum);
        return;
    }
    const float *a = tile->a + (size_t)y * tile->w + tile->x0, *b = tile->b + (size_t)y * tile->w + tile->x0;
    for (int x = 0; x < n; x += LANES) {
        const int left = n - x;
        const vf va = (left >= LANES ? vload(a + x) : vload_part(a + x, left)) - 0.5f;
        const vf vb = (left >= LANES ? vload(b + x) : vload_part(b + x, left)) - 0.5f;
        *(vf *)&row[0][x] = va;
        *(vf *)&row[1][x] = vb;
        *(vf *)&row[2][x] = va * va + vb * vb;
        *(vf *)&row[3][x] = va * vb;
    }
}

INLINE void store_some(float *p, vf v, int n)
{
    if (n >= LANES)
        vstore(p, v);
    else
        vstore_part(p, v, n);
}

typedef struct {
    vf mu_a, mu_b, a1, a2, b1, b2;
} Terms;

/* Of the windows from column x, row r of `down`. */
INLINE Terms terms_of(const Tile *t, int r, int x)
{
    const vf ca = filter_along(t, 0, r, x), cb = filter_along(t, 1, r, x);
    const vf squares = filter_along(t, 2, r, x), product = filter_along(t, 3, r, x);
    const vf mu_a = ca + 0.5f, mu_b = cb + 0.5f;
    return (Terms){ .mu_a = mu_a,
                    .mu_b = mu_b,
                    .a1 = 2.0f * mu_a * mu_b + C1,
                    .a2 = 2.0f * (product - ca * cb) + C2,
                    .b1 = mu_a * mu_a + mu_b * mu_b + C1,
                    .b2 = squares - ca * ca - cb * cb + C2 };
}

/* The windows of row y of the result, row r of `down`: stores their maps, returns the sum of their S per lane. */
INLINE vf row_of_windows(const Tile *t, const NervSsimTile *tile, int32_t y, int r)
{
    const int n = tile->x1 - tile->x0;
    float *maps = tile->maps ? tile->maps + (size_t)y * (tile->w - K + 1) + tile->x0 : NULL;
    vi lane;
    vf sum = { 0 };
    for (int i = 0; i < LANES; i++)
        lane[i] = i;
    for (int x = 0; x < n; x += LANES) {
        const Terms w = terms_of(t, r, x);
        const vf over = 1.0f / (w.b1 * w.b2);
        const vf s = w.a1 * w.a2 * over;
        sum += vselect(lane + x < n, s, vsplat(0.0f));
        if (maps) {
            const vf m1 = 2.0f * over * (w.mu_b * (w.a2 - w.a1) - w.mu_a * s * (w.b2 - w.b1));
            store_some(maps + x, m1, n - x);
            store_some(maps + tile->map_stride + x, -s * over * w.b1, n - x);
            store_some(maps + 2 * tile->map_stride + x, 2.0f * w.a1 * over, n - x);
        }
    }
    return sum;
}

INLINE vf load_some(const float *p, int n)
{
    return n >= LANES ? vload(p) : vload_part(p, n);
}

/* The same windows: stores what flows back into their moments. */
INLINE void row_of_dmaps(const Tile *t, const NervSsimTile *tile, int32_t y, int r)
{
    const int n = tile->x1 - tile->x0;
    const size_t at = (size_t)y * (tile->w - K + 1) + tile->x0, stride = tile->map_stride;
    for (int x = 0; x < n; x += LANES) {
        const Terms w = terms_of(t, r, x);
        const float *u = tile->u + at + x;
        float *q = tile->maps + at + x;
        const vf u1 = load_some(u, n - x), over1 = 1.0f / w.b1, over2 = 1.0f / w.b2;
        const vf l = w.a1 * over1, s = w.a2 * over2;
        const vf dl = 2.0f * (w.mu_b - w.mu_a * l) * over1, ddl = -2.0f * (l + 2.0f * w.mu_a * dl) * over1;
        const vf v = load_some(u + stride, n - x) - 2.0f * w.mu_a * u1;
        const vf c = load_some(u + 2 * stride, n - x) - w.mu_b * u1;
        const vf q2 = (2.0f * l * (v * s - c) * over2 - u1 * dl * s) * over2;
        const vf q3 = 2.0f * (u1 * dl - l * v * over2) * over2;
        const vf q1 = u1 * ddl * s + (dl * (2.0f * c - v * s) + 2.0f * u1 * l * s) * over2;
        store_some(q, q1 - 2.0f * w.mu_a * q2 - w.mu_b * q3, n - x);
        store_some(q + stride, q2, n - x);
        store_some(q + 2 * stride, q3, n - x);
    }
}

/* All windows of a tile. */
INLINE double windows(const NervSsimTile *tile, bool is_dmaps)
{
    Tile t;
    const int n = tile->x1 - tile->x0 + K - 1;
    double sum = 0;
    for (int32_t y = tile->y0; y < tile->y0 + K - 1; y++)
        fill_pictures(&t, tile, y, n);
    for (int32_t y = tile->y0; y < tile->y1; y += ROWS) {
        for (int32_t i = y + K - 1; i < y + K - 1 + ROWS; i++)
            fill_pictures(&t, tile, i, n);
        filter_down(&t, y, SUMS, n);
        for (int r = 0; r < ROWS && y + r < tile->y1; r++) {
            if (is_dmaps)
                row_of_dmaps(&t, tile, y + r, r);
            else
                sum += vsum(row_of_windows(&t, tile, y + r, r));
        }
    }
    return sum;
}

static double ssim(const NervSsimTile *tile)
{
    return windows(tile, false);
}

static void ssim_dmaps(const NervSsimTile *tile)
{
    windows(tile, true);
}

/* Row y of the maps, columns x0-10..x1-1 and zero where there are none, into ring row y+10. */
INLINE void fill_maps(Tile *t, const NervSsimTile *tile, int32_t y)
{
    const int32_t mh = tile->h - K + 1, mw = tile->w - K + 1, x0 = tile->x0 - (K - 1);
    const int32_t first = x0 < 0 ? 0 : x0, last = tile->x1 < mw ? tile->x1 : mw;
    float(*row)[WIDTH] = t->ring[(y + K - 1) % RING].sum;
    memset(row, 0, 3 * sizeof row[0]);
    if (y < 0 || y >= mh || first >= last)
        return;
    for (int k = 0; k < 3; k++)
        memcpy(&row[k][first - x0], tile->maps + k * tile->map_stride + (size_t)y * mw + first,
               (last - first) * sizeof(float));
}

static void ssim_dx(const NervSsimTile *tile)
{
    Tile t;
    const int n = tile->x1 - tile->x0;
    for (int32_t y = tile->y0 - (K - 1); y < tile->y0; y++)
        fill_maps(&t, tile, y);
    for (int32_t y = tile->y0; y < tile->y1; y += ROWS) {
        for (int32_t i = y; i < y + ROWS; i++)
            fill_maps(&t, tile, i);
        filter_down(&t, y, 3, n + K - 1);
        for (int r = 0; r < ROWS && y + r < tile->y1; r++) {
            const size_t at = (size_t)(y + r) * tile->w + tile->x0;
            for (int x = 0; x < n; x += LANES) {
                const int left = n - x;
                const vf a = load_some(tile->a + at + x, left), b = load_some(tile->b + at + x, left);
                vf da = filter_along(&t, 0, r, x) + 2.0f * a * filter_along(&t, 1, r, x);
                da = tile->scale * (da + b * filter_along(&t, 2, r, x));
                store_some(tile->da + at + x, da, left);
            }
        }
    }
}

void PASTE(nerv_ssim_dsp_init_, NERV_ISA)(NervMathDsp *dsp)
{
    dsp->ssim = ssim;
    dsp->ssim_dx = ssim_dx;
    dsp->ssim_dmaps = ssim_dmaps;
}

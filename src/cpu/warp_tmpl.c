/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The kernels of cpu/warp_dsp.h, compiled once per instruction set. The coordinates of a strip of pixels come first, a vector for
 * some pixels; then each pixel has its channels as one vector, and a transposition brings those of some pixels back to
 * planes. Lanes are at most 8, because more would mostly be empty: the pictures are features of few channels.
 */
#include <stdbool.h>
#include <string.h>

#include "cpu/vectors.h"
#include "cpu/warp_dsp.h"

#if VF == 4
#define LANES 4
#else
#define LANES 8
#endif
#define STRIP 64 /* pixels whose coordinates are kept */

/* Unrolled, such a loop would have more values than there are registers. */
#define ROLLED _Pragma("GCC unroll 1")

typedef float vl __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef float vl_any __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

INLINE vl load_lanes(const float *p)
{
    return *(const vl_any *)p;
}

INLINE void store_lanes(float *p, vl v)
{
    *(vl_any *)p = v;
}

/* The first n elements; the others are zero. */
INLINE vl load_some(const float *p, int32_t n)
{
    vl v = { 0 };
    if (n >= LANES)
        return load_lanes(p);
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

INLINE void store_some(float *p, vl v, int32_t n)
{
    if (n >= LANES)
        store_lanes(p, v);
    else
        memcpy(p, &v, (size_t)n * sizeof *p);
}

INLINE vl select_lanes(vi mask, vl a, vl b)
{
    return (vl)(((vi)a & mask) | ((vi)b & ~mask));
}

#if LANES == 8
typedef float v4_any __attribute__((vector_size(16), aligned(4), may_alias));
#define PAIRS_LO(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define PAIRS_HI(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define FOURS_LO(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define FOURS_HI(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define PAIRS_LO(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define PAIRS_HI(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define FOURS_LO(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define FOURS_HI(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#endif

/* Row i, or with 8 lanes the rows i mod 4 and i mod 4 + 4 side by side, their lower halves for i < 4. */
INLINE vl load_halves(const float *p, size_t stride, int i)
{
#if LANES == 8
    const float *q = p + i % 4 * stride + i / 4 * 4;
    return __builtin_shufflevector(*(const v4_any *)q, *(const v4_any *)(q + 4 * stride), 0, 1, 2, 3, 4, 5, 6,
                                   7);
#else
    return load_lanes(p + i * stride);
#endif
}

/* v[j][i] is element j of row i of LANES rows, `stride` floats apart. Rows in memory leave the vectors' halves to the loads. */
INLINE void transpose(vl v[LANES], const float *p, size_t stride)
{
    UNROLL
    for (int i = 0; i < LANES; i += 4) {
        const vl r0 = load_halves(p, stride, i), r1 = load_halves(p, stride, i + 1);
        const vl r2 = load_halves(p, stride, i + 2), r3 = load_halves(p, stride, i + 3);
        const vl a = PAIRS_LO(r0, r1), b = PAIRS_HI(r0, r1), c = PAIRS_LO(r2, r3), d = PAIRS_HI(r2, r3);
        v[i] = FOURS_LO(a, c);
        v[i + 1] = FOURS_HI(a, c);
        v[i + 2] = FOURS_LO(b, d);
        v[i + 3] = FOURS_HI(b, d);
    }
}

/* Some pixels with the channels of each side by side. */
typedef struct {
    _Alignas(LANES * 4) float v[LANES][LANES];
} Block;

/* n pixels of `channels` planes to LANES pixels LANES floats apart; what is missing is zeros. */
INLINE void from_planes(float *pixels, const float *p, size_t plane, int32_t channels, int32_t n)
{
    vl v[LANES];
    if (channels >= LANES && n >= LANES) {
        transpose(v, p, plane);
    } else {
        Block part;
        for (int c = 0; c < LANES; c++)
            store_lanes(part.v[c], c < channels ? load_some(p + c * plane, n) : (vl){ 0 });
        transpose(v, part.v[0], LANES);
    }
    UNROLL
    for (int i = 0; i < LANES; i++)
        store_lanes(pixels + i * LANES, v[i]);
}

/* The inverse, from pixels that are LANES floats apart, LANES of which can be read. */
INLINE void to_planes(float *p, size_t plane, int32_t channels, int32_t n, const float *pixels)
{
    vl v[LANES];
    transpose(v, pixels, LANES);
    if (channels >= LANES && n >= LANES) {
        UNROLL
        for (int c = 0; c < LANES; c++)
            store_lanes(p + c * plane, v[c]);
    } else {
        for (int c = 0; c < LANES && c < channels; c++)
            store_some(p + c * plane, v[c], n);
    }
}

static void pack(float *dst, const float *src, size_t plane, int32_t channels, size_t n)
{
    size_t at = 0;
    for (; at + LANES <= n; at += LANES)
        from_planes(dst + at * LANES, src + at, plane, channels, LANES);
    if (at < n) {
        Block b;
        from_planes(b.v[0], src + at, plane, channels, (int32_t)(n - at));
        memcpy(dst + at * LANES, b.v, (n - at) * sizeof b.v[0]);
    }
}

static void unpack(float *dst, size_t plane, int32_t channels, const float *src, size_t n)
{
    size_t at = 0;
    for (; at + LANES <= n; at += LANES)
        to_planes(dst + at, plane, channels, LANES, src + at * LANES);
    if (at < n) {
        Block b = { 0 };
        memcpy(b.v, src + at * LANES, (n - at) * sizeof b.v[0]);
        to_planes(dst + at, plane, channels, (int32_t)(n - at), b.v[0]);
    }
}

/* Where the samples of some pixels lie: between columns x0 and x0+1, fx of the way, and rows likewise. In memory, so that what
 * follows broadcasts by loads instead of taking vectors apart. */
typedef struct {
    int32_t at[STRIP], y0[STRIP];                     /* y0 w + x0 */
    float fx[STRIP], gx[STRIP], fy[STRIP], gy[STRIP]; /* g = 1 - f */
    int32_t in_x[STRIP], in_y[STRIP]; /* all ones where the coordinate was not clamped, else 0 */
} Samples;

INLINE void store_ints(int32_t *p, vi v)
{
    memcpy(p, &v, sizeof v);
}

/* One coordinate in 0..size-1. A NaN becomes 0. The first of the two lines is never the last of the picture, so that there
 * is a second one unless there is but one in all. Returns the line. */
INLINE vi locate_axis(vl p, int32_t size, float *f, float *g, int32_t *inside)
{
    const vl last = (float)(size - 1) - (vl){ 0 }, zero = { 0 };
    const vi most = (size > 1 ? size - 2 : 0) - (vi){ 0 };
    store_ints(inside, (p > zero) & (p < last));
    p = select_lanes(p > zero, p, zero);
    p = select_lanes(p < last, p, last);
    vi line = __builtin_convertvector(p, vi);
    const vi is_over = line > most;
    line = (most & is_over) | (line & ~is_over);
    const vl fraction = p - __builtin_convertvector(line, vl);
    store_lanes(f, fraction);
    store_lanes(g, 1 - fraction);
    return line;
}

/* Of n pixels from column j, and of some more up to a whole vector, which lie inside too. */
INLINE void locate(const NervWarpRow *row, int32_t j, int32_t n, Samples *s)
{
    const size_t plane = (size_t)row->h * row->w;
    vi column;
    UNROLL
    for (int k = 0; k < LANES; k++)
        column[k] = k;
    for (int32_t k = 0; k < n; k += LANES) {
        const vl x = __builtin_convertvector(column + j + k, vl) + load_some(row->flow + j + k, n - k);
        const vl y = (float)row->i + load_some(row->flow + plane + j + k, n - k);
        const vi x0 = locate_axis(x, row->w, s->fx + k, s->gx + k, s->in_x + k);
        const vi y0 = locate_axis(y, row->h, s->fy + k, s->gy + k, s->in_y + k);
        store_ints(s->y0 + k, y0);
        store_ints(s->at + k, y0 * row->w + x0);
    }
}

/* A direction at n pixels from column j: 0 where the coordinate was clamped. */
typedef struct {
    float x[STRIP], y[STRIP];
} Direction;

INLINE void locate_direction(const NervWarpRow *row, int32_t j, int32_t n, const Samples *s, Direction *d)
{
    const float *v = row->v + j;
    const size_t plane = (size_t)row->h * row->w;
    for (int32_t k = 0; k < n; k++) {
        d->x[k] = s->in_x[k] ? v[k] : 0;
        d->y[k] = s->in_y[k] ? v[plane + k] : 0;
    }
    /* The rest of a last vector. */
    for (int32_t k = n; k % LANES; k++)
        d->x[k] = d->y[k] = 0;
}

/* Floats of packed pixels between neighbours; 0 where there is none. */
INLINE size_t step_right(const NervWarpRow *row)
{
    return row->w > 1 ? LANES : 0;
}

INLINE size_t step_down(const NervWarpRow *row)
{
    return row->h > 1 ? (size_t)row->w * LANES : 0;
}

INLINE int32_t rest(const NervWarpRow *row, int32_t j)
{
    return row->w - j < STRIP ? row->w - j : STRIP;
}

/* LANES pixels of a block of channels. */
INLINE void sample(const NervWarpRow *row, const float *x, const Samples *s, int32_t k, Block *b)
{
    const size_t right = step_right(row), down = step_down(row);
    ROLLED
    for (int i = 0; i < LANES; i++) {
        const float *p = x + (size_t)s->at[k + i] * LANES, *q = p + down;
        const vl top = s->gx[k + i] * load_lanes(p) + s->fx[k + i] * load_lanes(p + right);
        const vl bottom = s->gx[k + i] * load_lanes(q) + s->fx[k + i] * load_lanes(q + right);
        store_lanes(b->v[i], s->gy[k + i] * top + s->fy[k + i] * bottom);
    }
}

static void warp(const NervWarpRow *row)
{
    const size_t plane = (size_t)row->h * row->w;
    for (int32_t j = 0; j < row->w; j += STRIP) {
        const int32_t n = rest(row, j);
        Samples s;
        locate(row, j, n, &s);
        for (int32_t c = 0; c < row->c; c += LANES) {
            for (int32_t k = 0; k < n; k += LANES) {
                Block b;
                sample(row, row->x + c * plane, &s, k, &b);
                to_planes(row->y + c * plane + j + k, plane, row->c - c, n - k, b.v[0]);
            }
        }
    }
}

/* The derivatives of LANES samples in x and in y. */
INLINE void slopes(const NervWarpRow *row, const float *x, const Samples *s, int32_t k, Block *along,
                   Block *across)
{
    const size_t right = step_right(row), down = step_down(row);
    ROLLED
    for (int i = 0; i < LANES; i++) {
        const float *p = x + (size_t)s->at[k + i] * LANES, *q = p + down;
        const vl a = load_lanes(p), b = load_lanes(p + right), c = load_lanes(q), d = load_lanes(q + right);
        store_lanes(along->v[i], s->gy[k + i] * (b - a) + s->fy[k + i] * (d - c));
        store_lanes(across->v[i], s->gx[k + i] * (c - a) + s->fx[k + i] * (d - b));
    }
}

static void slope(const NervWarpRow *row)
{
    const size_t plane = (size_t)row->h * row->w;
    for (int32_t j = 0; j < row->w; j += STRIP) {
        const int32_t n = rest(row, j);
        Samples s;
        Direction d;
        locate(row, j, n, &s);
        locate_direction(row, j, n, &s, &d);
        for (int32_t c = 0; c < row->c; c += LANES) {
            for (int32_t k = 0; k < n; k += LANES) {
                Block along, across;
                slopes(row, row->x + c * plane, &s, k, &along, &across);
                for (int i = 0; i < LANES; i++)
                    store_lanes(along.v[i],
                                d.x[k + i] * load_lanes(along.v[i]) + d.y[k + i] * load_lanes(across.v[i]));
                to_planes(row->y + c * plane + j + k, plane, row->c - c, n - k, along.v[0]);
            }
        }
    }
}

/* The sum over `channels` planes of dy times the slopes, n pixels. */
INLINE vl contract(const float *dy, size_t plane, int32_t channels, int32_t n, const Block *slope)
{
    vl v[LANES], sum = { 0 };
    transpose(v, slope->v[0], LANES);
    if (channels >= LANES && n >= LANES) {
        UNROLL
        for (int c = 0; c < LANES; c++)
            sum += load_lanes(dy + c * plane) * v[c];
    } else {
        for (int c = 0; c < LANES && c < channels; c++)
            sum += load_some(dy + c * plane, n) * v[c];
    }
    return sum;
}

static void warp_dflow(const NervWarpRow *row)
{
    const size_t plane = (size_t)row->h * row->w;
    for (int32_t j = 0; j < row->w; j += STRIP) {
        const int32_t n = rest(row, j);
        float dx[STRIP] = { 0 }, dy[STRIP] = { 0 };
        Samples s;
        locate(row, j, n, &s);
        for (int32_t c = 0; c < row->c; c += LANES) {
            const float *g = row->dy + c * plane + j;
            for (int32_t k = 0; k < n; k += LANES) {
                Block along, across;
                slopes(row, row->x + c * plane, &s, k, &along, &across);
                store_lanes(dx + k, load_lanes(dx + k) + contract(g + k, plane, row->c - c, n - k, &along));
                store_lanes(dy + k, load_lanes(dy + k) + contract(g + k, plane, row->c - c, n - k, &across));
            }
        }
        for (int32_t k = 0; k < n; k++) {
            row->y[j + k] = s.in_x[k] ? dx[k] : 0;
            row->y[plane + j + k] = s.in_y[k] ? dy[k] : 0;
        }
    }
}

/* The mixed second derivatives of LANES samples. */
INLINE void twists(const NervWarpRow *row, const float *x, const Samples *s, int32_t k, Block *twist)
{
    const size_t right = step_right(row), down = step_down(row);
    ROLLED
    for (int i = 0; i < LANES; i++) {
        const float *p = x + (size_t)s->at[k + i] * LANES, *q = p + down;
        store_lanes(twist->v[i],
                    (load_lanes(p) - load_lanes(p + right)) + (load_lanes(q + right) - load_lanes(q)));
    }
}

static void slope_dflow(const NervWarpRow *row)
{
    const size_t plane = (size_t)row->h * row->w;
    for (int32_t j = 0; j < row->w; j += STRIP) {
        const int32_t n = rest(row, j);
        const float *v = row->v + j;
        float sum[STRIP] = { 0 };
        Samples s;
        locate(row, j, n, &s);
        for (int32_t c = 0; c < row->c; c += LANES) {
            const float *g = row->dy + c * plane + j;
            for (int32_t k = 0; k < n; k += LANES) {
                Block twist;
                twists(row, row->x + c * plane, &s, k, &twist);
                store_lanes(sum + k, load_lanes(sum + k) + contract(g + k, plane, row->c - c, n - k, &twist));
            }
        }
        for (int32_t k = 0; k < n; k++) {
            const bool inside = s.in_x[k] && s.in_y[k];
            row->y[j + k] = inside ? v[plane + k] * sum[k] : 0;
            row->y[plane + j + k] = inside ? v[k] * sum[k] : 0;
        }
    }
}

/* Lanes beyond the row's end say that it touches itself, which is no harm. */
static void touched(const NervWarpRow *row, int32_t span[2])
{
    const float *flow = row->flow + (size_t)row->h * row->w;
    const vl zero = { 0 }, last = (float)(row->h - 1) - zero;
    vl low = last, high = zero;
    for (int32_t j = 0; j < row->w; j += LANES) {
        vl y = (float)row->i + load_some(flow + j, row->w - j);
        y = select_lanes(y > zero, y, zero);
        y = select_lanes(y < last, y, last);
        low = select_lanes(y < low, y, low);
        high = select_lanes(y > high, y, high);
    }
    float least = low[0], most = high[0];
    for (int k = 1; k < LANES; k++) {
        least = low[k] < least ? low[k] : least;
        most = high[k] > most ? high[k] : most;
    }
    /* A sample between two rows touches both; one on the last row has the one before as its first. */
    span[0] = (int32_t)least - ((int32_t)least == row->h - 1 && row->h > 1);
    span[1] = (int32_t)most + ((int32_t)most < row->h - 1);
}

INLINE void add_pair(float *p, size_t right, vl left_part, vl right_part)
{
    store_lanes(p, load_lanes(p) + left_part);
    store_lanes(p + right, load_lanes(p + right) + right_part);
}

/* Pixel k's contribution, v, to the rows of the band that it reaches. `start` is the pixel that the band begins with. */
INLINE void contribute(const Samples *s, int32_t k, vl v, float *band, ptrdiff_t start, size_t right,
                       size_t down, int32_t first, int32_t n_rows)
{
    const int32_t y = s->y0[k] - first;
    const vl l = s->gx[k] * v, r = s->fx[k] * v;
    float *p = band + (s->at[k] - start) * LANES;
    if (y >= 0 && y < n_rows)
        add_pair(p, right, s->gy[k] * l, s->gy[k] * r);
    if (y >= -1 && y + 1 < n_rows)
        add_pair(p + down, right, s->fy[k] * l, s->fy[k] * r);
}

/* The same of slope_dx. */
INLINE void contribute_slope(const Samples *s, const Direction *d, int32_t k, vl v, float *band,
                             ptrdiff_t start, size_t right, size_t down, int32_t first, int32_t n_rows)
{
    const int32_t y = s->y0[k] - first;
    const vl along = d->x[k] * v, l = (d->y[k] * s->gx[k]) * v, r = (d->y[k] * s->fx[k]) * v;
    float *p = band + (s->at[k] - start) * LANES;
    if (y >= 0 && y < n_rows)
        add_pair(p, right, -s->gy[k] * along - l, s->gy[k] * along - r);
    if (y >= -1 && y + 1 < n_rows)
        add_pair(p + down, right, l - s->fy[k] * along, r + s->fy[k] * along);
}

INLINE void scatter(const NervWarpRow *row, float *band, int32_t first, int32_t n_rows, bool is_slope)
{
    const size_t plane = (size_t)row->h * row->w, right = step_right(row), down = (size_t)row->w * LANES;
    const ptrdiff_t start = (ptrdiff_t)first * row->w;
    for (int32_t j = 0; j < row->w; j += STRIP) {
        const int32_t n = rest(row, j);
        Samples s;
        Direction d;
        locate(row, j, n, &s);
        if (is_slope)
            locate_direction(row, j, n, &s, &d);
        for (int32_t k = 0; k < n; k += LANES) {
            const int32_t end = n - k < LANES ? n - k : LANES;
            Block b;
            from_planes(b.v[0], row->dy + j + k, plane, row->c, end);
            /* Even pixels first: neighbours mostly add to the same element, and each would wait for the one before. */
            for (int odd = 0; odd < 2; odd++) {
                ROLLED
                for (int i = odd; i < end; i += 2) {
                    const vl v = load_lanes(b.v[i]);
                    if (is_slope)
                        contribute_slope(&s, &d, k + i, v, band, start, right, down, first, n_rows);
                    else
                        contribute(&s, k + i, v, band, start, right, down, first, n_rows);
                }
            }
        }
    }
}

static void warp_dx(const NervWarpRow *row, float *band, int32_t first, int32_t n_rows)
{
    scatter(row, band, first, n_rows, false);
}

static void slope_dx(const NervWarpRow *row, float *band, int32_t first, int32_t n_rows)
{
    scatter(row, band, first, n_rows, true);
}

void CAT(nerv_warp_dsp_init_, NERV_ISA)(NervWarpDsp *dsp);
void CAT(nerv_warp_dsp_init_, NERV_ISA)(NervWarpDsp *dsp)
{
    dsp->lanes = LANES;
    dsp->pack = pack;
    dsp->unpack = unpack;
    dsp->warp = warp;
    dsp->warp_dflow = warp_dflow;
    dsp->touched = touched;
    dsp->warp_dx = warp_dx;
    dsp->slope = slope;
    dsp->slope_dflow = slope_dflow;
    dsp->slope_dx = slope_dx;
}

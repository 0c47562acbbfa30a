/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The kernels of cpu/clip_dsp.h, compiled once per instruction set. Loops over single elements are plain C, which the compiler
 * turns into vectors by itself. Mixing keeps NERV_MIX_BLOCK frames' vectors in registers and reads each of the others
 * once for them; its gradient multiplies DW_ROWS frames of dy by DW_COLUMNS of x at a time.
 */
#include "cpu/clip_dsp.h"
#include "cpu/vmath.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define UNROLL       _Pragma("GCC unroll 16")

void PASTE(nerv_clip_dsp_init_, NERV_ISA)(NervClipDsp *dsp);

typedef float v4 __attribute__((vector_size(16)));
typedef float v8 __attribute__((vector_size(32)));

INLINE float lane_sum4(v4 v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

INLINE float lane_sum8(v8 v)
{
    return lane_sum4(__builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7));
}

/* The sum of a vector's elements, halves first. */
INLINE float lane_sum(vf v)
{
#if defined(NERV_ISA_AVX512)
    return lane_sum8(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
#elif defined(NERV_ISA_AVX2)
    return lane_sum8(v);
#else
    return lane_sum4(v);
#endif
}

static void weigh(float *y, const float *a, const float *b, size_t n, float p, float q)
{
    for (size_t i = 0; i < n; i++)
        y[i] = p * a[i] + q * b[i];
}

static void modulate(float *y, const float *x, const float *scale, const float *shift, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * (1.0f + scale[i]) + shift[i];
}

static void modulate_dx(float *dx, float *dscale, float *dshift, const float *dy, const float *x,
                        const float *scale, size_t n)
{
    for (size_t i = 0; dx && i < n; i++)
        dx[i] = dy[i] * (1.0f + scale[i]);
    if (!dscale)
        return;
    for (size_t i = 0; i < n; i++)
        dscale[i] = dy[i] * x[i];
    memcpy(dshift, dy, n * sizeof *dy);
}

/* --- normalisation; sums as in math_tmpl.c: no partial sum of floats has more than BLOCK terms --- */

#define BLOCK 64

static double squares(const float *x, size_t n, float mean)
{
    double total = 0;
    size_t i = 0;
    while (i + LANES <= n) {
        vf s = { 0 };
        for (int k = 0; k < BLOCK && i + LANES <= n; k++, i += LANES) {
            const vf d = vload(x + i) - mean;
            s += d * d;
        }
        total += lane_sum(s);
    }
    for (; i < n; i++)
        total += (double)(x[i] - mean) * (x[i] - mean);
    return total;
}

static void norm(float *y, const float *x, size_t n, float mean, float scale)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale;
}

static void norm_sums(const float *dy, const float *y, size_t n, double sums[2])
{
    size_t i = 0;
    sums[0] = sums[1] = 0;
    while (i + LANES <= n) {
        vf s = { 0 }, p = { 0 };
        for (int k = 0; k < BLOCK && i + LANES <= n; k++, i += LANES) {
            const vf d = vload(dy + i);
            s += d;
            p += d * vload(y + i);
        }
        sums[0] += lane_sum(s);
        sums[1] += lane_sum(p);
    }
    for (; i < n; i++) {
        sums[0] += dy[i];
        sums[1] += (double)dy[i] * y[i];
    }
}

static void norm_dx(float *dx, const float *dy, const float *y, size_t n, float scale, float mean,
                    float slope)
{
    for (size_t i = 0; i < n; i++)
        dx[i] = scale * ((dy[i] - mean) - slope * y[i]);
}

/* --- mixing in time --- */

INLINE vf load_some(const float *p, size_t n)
{
    return n == LANES ? vload(p) : vload_part(p, n);
}

/* Frames first..first+NERV_MIX_BLOCK-1 of those n <= LANES elements that begin with number `at`. */
INLINE void mix_block(const NervMixPiece *p, int32_t frames, int32_t width, int32_t first, size_t at,
                      size_t n)
{
    vf sum[NERV_MIX_BLOCK];
    UNROLL
    for (int i = 0; i < NERV_MIX_BLOCK; i++) {
        const int32_t t = first + i < frames ? first + i : frames - 1;
        sum[i] = vsplat(p->bias[first + i]);
        if (!p->is_alone)
            sum[i] += load_some(p->x + t * p->stride + at, n);
    }
    for (int32_t u = 0; u < frames; u++) {
        const vf x = load_some(p->x + u * p->stride + at, n);
        const float *w = p->weights + u * width + first;
        UNROLL
        for (int i = 0; i < NERV_MIX_BLOCK; i++)
            sum[i] += w[i] * x;
    }
    UNROLL
    for (int i = 0; i < NERV_MIX_BLOCK; i++) {
        float *y = p->y + (first + i) * p->stride + at;
        if (first + i >= frames)
            continue;
        if (n == LANES)
            vstore(y, sum[i]);
        else
            vstore_part(y, sum[i], n);
    }
}

/* A last vector that is not full begins earlier, among elements that it computes once more. */
INLINE void mix_frames(const NervMixPiece *p, int32_t frames, int32_t width)
{
    for (size_t at = 0; at < p->n; at += LANES) {
        const size_t from = p->n - at >= LANES ? at : p->n - LANES;
        for (int32_t t = 0; t < frames; t += NERV_MIX_BLOCK) {
            if (p->n >= LANES)
                mix_block(p, frames, width, t, from, LANES);
            else
                mix_block(p, frames, width, t, 0, p->n);
        }
    }
}

static void mix(const NervMixPiece *piece)
{
    if (piece->frames == NERV_MIX_BLOCK)
        mix_frames(piece, NERV_MIX_BLOCK, NERV_MIX_BLOCK);
    else
        mix_frames(piece, piece->frames, piece->width);
}

#define DW_ROWS    4
#define DW_COLUMNS 2
#define STRIP      (BLOCK * LANES)

/* The elements behind the last full vector of n, zeros before or after them. */
INLINE vf load_rest(const float *p, size_t n)
{
    const int rest = (int)(n % LANES);
    vi lane;
    if (n < LANES)
        return vload_part(p, n);
    UNROLL
    for (int i = 0; i < LANES; i++)
        lane[i] = i;
    return (vf)((vi)vload(p + n - LANES) & (lane >= (vi){ 0 } + (LANES - rest)));
}

INLINE void dw_vectors(vf sum[DW_ROWS][DW_COLUMNS], const vf d[DW_ROWS], const vf v[DW_COLUMNS])
{
    UNROLL
    for (int i = 0; i < DW_ROWS; i++) {
        UNROLL
        for (int j = 0; j < DW_COLUMNS; j++)
            sum[i][j] += d[i] * v[j];
    }
}

/* Frames t.. of dy by frames u.. of x over n <= STRIP elements; those past the last frame are the last again, and not added. */
INLINE void dw_block(double *dw, const float *dy, const float *x, size_t stride, size_t n, int32_t frames,
                     int32_t t, int32_t u)
{
    const float *p[DW_ROWS], *q[DW_COLUMNS];
    vf sum[DW_ROWS][DW_COLUMNS] = { { { 0 } } }, d[DW_ROWS], v[DW_COLUMNS];
    for (int i = 0; i < DW_ROWS; i++)
        p[i] = dy + (t + i < frames ? t + i : frames - 1) * stride;
    for (int j = 0; j < DW_COLUMNS; j++)
        q[j] = x + (u + j < frames ? u + j : frames - 1) * stride;
    for (size_t at = 0; at + LANES <= n; at += LANES) {
        UNROLL
        for (int i = 0; i < DW_ROWS; i++)
            d[i] = vload(p[i] + at);
        UNROLL
        for (int j = 0; j < DW_COLUMNS; j++)
            v[j] = vload(q[j] + at);
        dw_vectors(sum, d, v);
    }
    if (n % LANES) {
        for (int i = 0; i < DW_ROWS; i++)
            d[i] = load_rest(p[i], n);
        for (int j = 0; j < DW_COLUMNS; j++)
            v[j] = load_rest(q[j], n);
        dw_vectors(sum, d, v);
    }
    UNROLL
    for (int i = 0; i < DW_ROWS; i++) {
        UNROLL
        for (int j = 0; j < DW_COLUMNS; j++)
            if (t + i < frames && u + j < frames)
                dw[(t + i) * frames + u + j] += lane_sum(sum[i][j]);
    }
}

static double strip_sum(const float *x, size_t n)
{
    vf sum = { 0 };
    for (size_t at = 0; at + LANES <= n; at += LANES)
        sum += vload(x + at);
    if (n % LANES)
        sum += load_rest(x, n);
    return lane_sum(sum);
}

static void mix_dw(double *dw, double *db, const float *dy, const float *x, size_t stride, size_t n,
                   int32_t frames)
{
    for (size_t at = 0; at < n; at += STRIP) {
        const size_t count = n - at < STRIP ? n - at : STRIP;
        for (int32_t t = 0; t < frames; t += DW_ROWS)
            for (int32_t u = 0; u < frames; u += DW_COLUMNS)
                dw_block(dw, dy + at, x + at, stride, count, frames, t, u);
        for (int32_t t = 0; t < frames; t++)
            db[t] += strip_sum(dy + t * stride + at, count);
    }
}

void PASTE(nerv_clip_dsp_init_, NERV_ISA)(NervClipDsp *dsp)
{
    dsp->weigh = weigh;
    dsp->modulate = modulate;
    dsp->modulate_dx = modulate_dx;
    dsp->squares = squares;
    dsp->norm = norm;
    dsp->norm_sums = norm_sums;
    dsp->norm_dx = norm_dx;
    dsp->mix = mix;
    dsp->mix_dw = mix_dw;
}

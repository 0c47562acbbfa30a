/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of the math family: pointwise functions, sums, losses, SSIM and Adam, each over one contiguous
 * range or one tile. They know no threads: ops cut their work into pieces that depend on the shapes alone and
 * add partial sums in a fixed order. `act` is a NervAct of ops/ops.h. Pointers need the alignment of a float
 * only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What one Adam step needs besides its arrays; host-computed scalars of ops/adam.c. */
typedef struct {
    float beta1, beta2, one_minus_beta1, one_minus_beta2, eps;
    float decay;     /* 1 - lr * weight_decay */
    float step_size; /* lr / (1 - beta1^t) */
    float v_scale;   /* 1 / sqrt(1 - beta2^t) */
} NervAdamStep;

/* One step of quantisation: 1 / step, the largest index, and that index times the step. */
typedef struct {
    float step, inverse, max_index, limit;
} NervQuantStep;

/* SSIM: the window is NERV_SSIM_K x NERV_SSIM_K, a tile is at most this many positions. */
#define NERV_SSIM_K      11
#define NERV_SSIM_TILE_W 112
#define NERV_SSIM_TILE_H 32

/* One tile of one plane: rows y0..y1-1 and columns x0..x1-1 of the result (windows, or pixels of the
 * gradient). */
typedef struct {
    const float *a, *b; /* [h,w] */
    float *maps;    /* [h-10,w-10], the second and third `map_stride` and twice that further; ssim: written
                    unless NULL; ssim_dmaps: written; ssim_dx: read */
    const float *u; /* ssim_dmaps: as maps, read */
    size_t map_stride;
    float *da;   /* ssim_dx: [h,w], written */
    float scale; /* ssim_dx: g / number of windows */
    int32_t h, w;
    int32_t y0, y1, x0, x1;
} NervSsimTile;

typedef struct {
    /* y = f(x); y may be x. */
    void (*act)(float *y, const float *x, size_t n, int act);
    /* dx = dy f'(x); dx may be dy or x. */
    void (*act_dx)(float *dx, const float *dy, const float *x, size_t n, int act);
    /* y = g dy f''(x) */
    void (*act_dxx)(float *y, const float *g, const float *dy, const float *x, size_t n, int act);
    void (*add)(float *y, const float *a, const float *b, size_t n);
    void (*mul)(float *y, const float *a, const float *b, size_t n);
    void (*affine)(float *y, const float *x, size_t n, float scale, float shift);
    /* y = (1-f) a + f b; y += scale x */
    void (*mix)(float *y, const float *a, const float *b, size_t n, float f);
    void (*add_scaled)(float *y, const float *x, size_t n, float scale);
    /* Sums of x, |a-b|, (a-b)^2. */
    double (*sum)(const float *x, size_t n);
    double (*l1)(const float *a, const float *b, size_t n);
    double (*mse)(const float *a, const float *b, size_t n);
    /* g sign(a-b), and g (a-b). */
    void (*l1_dx)(float *dx, const float *a, const float *b, size_t n, float g);
    void (*mse_dx)(float *dx, const float *a, const float *b, size_t n, float g);
    /* One step in place on w, m, v. */
    void (*adam)(float *w, const float *dw, float *m, float *v, size_t n, const NervAdamStep *step);
    /* y = step * index, as nerv_quant_index() of tensor/steps.h, unless y is NULL; returns the sum of |w|. */
    double (*quantise)(float *y, const float *w, size_t n, const NervQuantStep *q);
    /* sums[0]: of |w|; sums[1]: of dy (y - w), or dy y where |w| > limit. */
    void (*quantise_sums)(const float *dy, const float *w, size_t n, const NervQuantStep *q, double sums[2]);
    /* dw = dy, or 0 where |w| > limit and the signs of dy and w differ, plus rate sign(w) */
    void (*quantise_dx)(float *dw, const float *dy, const float *w, size_t n, const NervQuantStep *q,
                        float rate);
    /* Sum of SSIM over the tile's windows. */
    double (*ssim)(const NervSsimTile *tile);
    void (*ssim_dx)(const NervSsimTile *tile);
    void (*ssim_dmaps)(const NervSsimTile *tile);
} NervMathDsp;

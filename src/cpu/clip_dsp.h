/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of the clip family: what networks over clips of frames do besides convolutions (D-NeRV): weighted frames, modulation,
 * normalisation and mixing in time, each over a contiguous range of every operand. Like the math family they know no threads.
 * Pointers need the alignment of a float only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames are mixed in blocks of this many: a row of weights is padded to a multiple of it. */
#define NERV_MIX_BLOCK 8

/* Elements 0..n-1 of one channel of the frames of a clip, `stride` floats from frame to frame. */
typedef struct {
    const float *x;
    float *y;
    size_t stride, n;
    int32_t frames, width; /* width: frames, padded */
    bool is_alone;         /* without x[t] */
    const float *weights;  /* [frames,width]: what frame u gives to frame t; zeros in the padding */
    const float *bias;     /* [width] */
} NervMixPiece;

typedef struct {
    /* y = p a + q b */
    void (*weigh)(float *y, const float *a, const float *b, size_t n, float p, float q);
    /* y = x (1 + scale) + shift */
    void (*modulate)(float *y, const float *x, const float *scale, const float *shift, size_t n);
    /* dx = dy (1 + scale), unless dx is NULL; dscale = dy x and dshift = dy, unless dscale is NULL. */
    void (*modulate_dx)(float *dx, float *dscale, float *dshift, const float *dy, const float *x,
                        const float *scale, size_t n);
    /* The sum of (x - mean)^2; y = scale (x - mean). */
    double (*squares)(const float *x, size_t n, float mean);
    void (*norm)(float *y, const float *x, size_t n, float mean, float scale);
    /* sums[0], sums[1]: of dy, of dy y; dx = scale (dy - mean - slope y). */
    void (*norm_sums)(const float *dy, const float *y, size_t n, double sums[2]);
    void (*norm_dx)(float *dx, const float *dy, const float *y, size_t n, float scale, float mean,
                    float slope);
    /* y[t] = x[t] + bias[t] + sum over u of weights[u][t] x[u], the first term not if it is_alone */
    void (*mix)(const NervMixPiece *piece);
    /* dw[t,u] += sum of dy[t] x[u], db[t] += sum of dy[t], for t, u < frames; n elements of each frame. */
    void (*mix_dw)(double *dw, double *db, const float *dy, const float *x, size_t stride, size_t n,
                   int32_t frames);
} NervClipDsp;

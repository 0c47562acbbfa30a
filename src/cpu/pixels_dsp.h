/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of the pixels family: one row at a time between bytes and float planes. Rows named "padded" are
 * readable one element before and after their n elements. Nothing is written outside a row.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/pixels.h"

typedef struct {
    int vector_floats; /* floats per vector */

    /* Interleaved pixels of 3 or 4 bytes to planes in [0,1]; `swap`: blue comes first. */
    void (*unpack)(float *const rgb[3], const uint8_t *src, int n, int pixel_bytes, bool swap);
    /* dst[i] = (1-wb) a[i*step] + wb b[i*step], step 1 or 2. */
    void (*blend)(float *dst, const uint8_t *a, const uint8_t *b, float wb, int n, int step);
    /* n luma samples and padded rows of (n+1)/2 chroma samples, still as codes, to planes clamped to [0,1].
     */
    void (*from_yuv)(float *const rgb[3], const uint8_t *y, const float *cb, const float *cr, int n,
                     bool cosited, const NervColorMatrix *m);

    /* The inverse of unpack: clamps, rounds; a fourth byte becomes 255. */
    void (*pack)(uint8_t *dst, const float *const rgb[3], int n, int pixel_bytes, bool swap);
    /* dst[i] = sum over k of w[k] * clamp(row[k][i]), k = 0..2. */
    void (*mix)(float *dst, const float *const row[3], const float w[3], int n);
    /* Planes to luma codes. */
    void (*to_luma)(uint8_t *dst, const float *const rgb[3], int n, const NervColorMatrix *m);
    /* Padded rows of 2*n clamped values to n codes of each chroma plane; step 1: planes, step 2: pairs, cr being
     * cb+1. */
    void (*to_chroma)(uint8_t *cb, uint8_t *cr, int step, const float *const rgb[3], int n, bool cosited,
                      const NervColorMatrix *m);
} NervPixelsDsp;

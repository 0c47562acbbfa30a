/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of Winograd's convolution F(4x4, 3x3), over pieces that cpu/wino.c and cpu/wino_dw.c cut out: the transforms
 * before and after the matrix products, which are those of conv_dsp.h. Lavin and Gray, "Fast Algorithms for Convolutional
 * Neural Networks", CVPR 2016, with the points 0, +-3/4, +-3/2 and infinity instead of theirs: they halve the rounding error.
 *
 *   y = A' [(G g G') . (B' d B)] A     for each tile of 4x4 outputs y, 6x6 inputs d, and 3x3 weights g
 *
 * A transformed tile has NERV_WINO_FREQS values, called its frequencies; equal frequencies of all tiles and channels form one
 * matrix. The gradients use the transposed transforms. Pointers need the alignment of a float only.
 */
#pragma once

#include <stddef.h>

#define NERV_WINO_TILE  4
#define NERV_WINO_FREQS 36

typedef struct {
    /* G g G' of n x width filters, `width` the block or half block of conv_dsp.h: w[i][tap][width] to
     * u[f*ldf + i*width + r]. */
    void (*weights)(float *u, size_t ldf, const float *w, size_t n, size_t width);
    /* d[j*pitch + q] = line[4q + j] for j < 4, q < n, a multiple of vector_floats: a row of pixels for `input`. */
    void (*split)(float *d, size_t pitch, const float *line, size_t n);
    /* B' d B of a row of tiles: v[f*ldf + t]. Pixel (i, 4q + j) of the row, which begins with the first tile's first input, is
     * d[(4i + j)*pitch + q]. At least a vector of tiles is read and written. */
    void (*input)(float *v, size_t ldf, const float *d, size_t pitch, size_t n_tiles);
    /* A' m A + bias of a row of tiles: pixel (i, j) of tile t goes to y[i*pitch + 4t + j]. Whole vectors of tiles are read and
     * written. */
    void (*output)(float *y, size_t pitch, const float *m, size_t ldf, float bias, size_t n_tiles);

    /* The transposes, for gradients to weights. A dy A' of a row of tiles of n_vectors of output channels: pixel (i, j) of tile t
     * and channel o is dy[(i*pitch + 4t + j)*width + o], width = n_vectors * vector_floats, and goes to
     * v[f*ldf + t*width + o]. */
    void (*output_dx)(float *v, size_t ldf, const float *dy, size_t pitch, int n_vectors, size_t n_tiles);
    /* G' u G of n channels, a multiple of vector_floats, of u[f*ldf + o] to dw[tap*ldd + o]. */
    void (*weights_dx)(float *dw, size_t ldd, const float *u, size_t ldf, size_t n);
} NervWinoDsp;

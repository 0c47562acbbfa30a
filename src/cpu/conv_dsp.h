/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of convolutions and linear layers, each over one piece of work that cpu/conv.c, cpu/conv_dw.c or an op cut
 * out. They know no threads. Pointers need the alignment of a float only.
 *
 * An image piece lies in a padded buffer of some pitch, so that an output pixel is one flat index p and each tap of the
 * window (channel, row, column) one constant offset off[t] from it: a convolution is a matrix product whose
 * columns are shifted copies of one buffer, never written out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NERV_CONV_MAX_STRIP 3 /* vectors of output channels in one call of `corr` */
#define NERV_CONV_FEW       4 /* output channels in one call of `dots` */

typedef struct {
    int vector_floats; /* floats per vector */
    int block;         /* output channels in one block of packed weights, even; see nerv_conv_padded() */

    /* out[o*ldo + p] (+)= sum over t < n_taps of w[o,t] * in[off[t] + p], for o < n_out, p < n_pixels. Starts from what is
     * in `out` if `add`, else from bias[o], or 0 where bias is NULL. Weights are blocks of output channels, each
     * [n_taps][block], the last one half as wide if that holds the rest. Writes the padded channels' rows too, reads and
     * writes pixels up to the next multiple of vector_floats. */
    void (*conv)(float *out, size_t ldo, const float *in, const int32_t *off, size_t n_taps, const float *w,
                 const float *bias, size_t n_out, size_t n_pixels, bool add);

    /* acc[t*lda + o] += sum over p < n_pixels of in[off[t] + p] * dy[p*width + o], for t < n_taps, o < width, where width is
     * n_vectors * vector_floats. */
    void (*corr)(float *acc, size_t lda, const float *in, const int32_t *off, size_t n_taps, const float *dy,
                 int n_vectors, size_t n_pixels);
    /* acc[o] += sum over p < n_pixels of dy[p*width + o] */
    void (*column_sum)(float *acc, const float *dy, int n_vectors, size_t n_pixels);

    /* The same for few output channels, n_out <= NERV_CONV_FEW, with rows of pixels: acc[t*lda + o] += sum over p < n_pixels of
     * in[off[t] + p] * dy[o*ldd + p]. */
    void (*dots)(float *acc, size_t lda, const float *in, const int32_t *off, size_t n_taps, const float *dy,
                 size_t ldd, size_t n_out, size_t n_pixels);
    /* acc[o] += sum over p < n_pixels of dy[o*ldd + p] */
    void (*row_sums)(float *acc, const float *dy, size_t ldd, size_t n_out, size_t n_pixels);

    /* dst[c*ldd + r] = src[r*lds + c] for c < n_columns, r < n_rows, and 0 for n_rows <= r < width. */
    void (*transpose)(float *dst, ptrdiff_t ldd, const float *src, size_t lds, size_t n_rows, size_t width,
                      size_t n_columns);
    /* dst[x*s + j] = src[j*lds + x] for x < n, j < s: one row of pixels out of s rows. */
    void (*interleave)(float *dst, const float *src, size_t lds, size_t n, int s);
    /* dst[j*ldd + x] = src[x*s + j]: its inverse. */
    void (*deinterleave)(float *dst, size_t ldd, const float *src, size_t n, int s);
    /* dst[r*ldd + x] = src[r*lds + x] for x < w, r < n_rows. */
    void (*copy_rows)(float *dst, size_t ldd, const float *src, size_t lds, size_t w, size_t n_rows);
    /* Images of h rows and w columns of n channels amid zeros: fills `plane` floats of each channel of dst, rows being `pitch`
     * apart and the image beginning at row `above`, column `left`. */
    void (*pad)(float *dst, size_t plane, size_t pitch, size_t above, size_t left, const float *src,
                size_t src_plane, size_t src_pitch, size_t h, size_t w, size_t n_channels);
    /* a[i] += b[i] */
    void (*add)(float *a, const float *b, size_t n);

    /* y[i*ldy + j] = b[j] + sum over l of x[i*k + l] w[j*k + l], for i < n, j < m; b may be NULL. */
    void (*linear)(float *y, size_t ldy, const float *x, const float *w, const float *b, size_t n, size_t m,
                   size_t k);
    /* dx[i*k + l] = sum over j < m of dy[i*ldy + j] w[j*k + l], for i < n, l < k. */
    void (*linear_dx)(float *dx, const float *dy, size_t ldy, const float *w, size_t n, size_t m, size_t k);
    /* dw[j*k + l] = sum over i < n of dy[i*ldy + j] x[i*k + l], for j < m, l < k. */
    void (*linear_dw)(float *dw, const float *dy, size_t ldy, const float *x, size_t n, size_t m, size_t k);
} NervConvDsp;

/* Output channels that packed weights and results have room for. */
static inline size_t nerv_conv_padded(const NervConvDsp *dsp, size_t n_out)
{
    const size_t half = (size_t)dsp->block / 2;
    return (n_out + half - 1) / half * half;
}

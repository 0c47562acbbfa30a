/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Convolutions on the CPU, over the kernels of conv_dsp.h: how images are cut into pieces for threads and caches, padded,
 * multiplied and handed to the op that stores them. conv2d, its gradients and upconv2d are a geometry, a view of the
 * weights and a store each. Images are n x c x h x w, dense.
 */
#pragma once

#include "base/round.h"
#include "cpu/cpu.h"

/* out[o][y][x] = bias[o] + sum over c,i,j of w[o][c][i][j] src[c][step*y + i - pad_y][step*x + j - pad_x], src being zero outside
 * its borders. pad_* may be negative; kh and kw may be 0, and then out is the bias. */
typedef struct {
    int32_t n, c_in, h, w;
    int32_t kh, kw, step, pad_y, pad_x;
    int32_t c_out, out_h, out_w;
    int32_t group; /* output channels that one store must see together; at least 1, a divisor of c_out */
    bool whole; /* one thread stores all output channels of a place, in order, before it goes on to another */
} NervConvGeom;

/* Weights w[o][c][i][j] anywhere in memory, by their distances in floats. */
typedef struct {
    const float *w;
    ptrdiff_t out_stride, in_stride, row_stride, col_stride;
} NervConvWeights;

/* A piece of a result: sums[o*ld + y*pitch + x] is channel first_out+o, row first_row+y, column first_col+x of an image. Of
 * each row the first n_cols columns count, the rest may be overwritten, as may up to ld floats of each channel. */
typedef struct {
    float *sums;
    size_t ld;
    int32_t pitch;
    int32_t image, first_row, n_rows, first_col, n_cols, first_out, n_out;
    uint32_t thread; /* the one that stores it */
} NervConvPiece;

/* Stores a piece; called from any of the pool's threads. */
typedef void (*NervConvStore)(void *ctx, const NervConvPiece *piece);

/* Bytes of scratch for nerv_conv_run() and nerv_conv_dw_run(). */
size_t nerv_conv_scratch(const NervConvGeom *g, const NervCpu *cpu);
size_t nerv_conv_dw_scratch(const NervConvGeom *g, const NervCpu *cpu);

/* Floats of one channel of a piece at most: its ld. */
size_t nerv_conv_piece_floats(const NervConvGeom *g, const NervCpu *cpu);

/* The convolution of n images; bias[c_out] may be NULL. `scratch` is aligned to 64 bytes. Results do not depend on the number
 * of threads. */
void nerv_conv_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *src,
                   const NervConvWeights *weights, const float *bias, NervConvStore store, void *ctx);

/* The gradient of its weights: dw[c_out][c_in][kh][kw] and db[c_out], either may be NULL, from dy[n][c_out][out_h][out_w]. */
void nerv_conv_dw_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *dy,
                      const float *src, float *dw, float *db);

/* --- shared by conv*.c and wino*.c --- */

/* Weights of output channels o..o+n_out-1 (n_out <= width) and input channels c0..c1-1 as conv_dsp.h's kernels take them:
 * dst[c - c0][tap][width], 0 beyond n_out. */
void nerv_conv_pack(const NervConvGeom *g, const NervConvDsp *dsp, const NervConvWeights *w, float *dst,
                    int32_t o, int32_t n_out, int32_t width, int32_t c0, int32_t c1);

/* A padded copy of rows of some channels. With step 1 the zeros right of a row are those left of the next one, so that rows lie
 * only pad_x apart; with step s each channel has s*s planes, one for each remainder of row and column modulo s. */
typedef struct {
    int32_t pitch;              /* floats from row to row */
    int32_t phases_y, phases_x; /* planes per channel */
    int32_t extra_rows;         /* rows beyond those of the output */
    bool in_place;              /* the source serves as it is: a 1x1 window */
} NervConvLayout;

void nerv_conv_layout(const NervConvGeom *g, NervConvLayout *l);
/* Floats of one plane for n_rows of output, with room for `slack` floats to be read behind it. */
size_t nerv_conv_plane(const NervConvGeom *g, const NervConvLayout *l, int32_t n_rows, size_t slack);
/* Copies what n_rows rows of output from first_row on need of n_channels channels. */
void nerv_conv_copy(const NervConvDsp *dsp, const NervConvGeom *g, const NervConvLayout *l, float *dst,
                    size_t plane, const float *src, int32_t n_channels, int32_t first_row, int32_t n_rows);
/* Offsets of the taps of n_channels channels, in the order of the weights. */
void nerv_conv_offsets(const NervConvGeom *g, const NervConvLayout *l, int32_t *off, size_t plane,
                       int32_t n_channels);

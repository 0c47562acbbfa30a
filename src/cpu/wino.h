/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Convolutions with 3x3 windows by Winograd's algorithm F(4x4, 3x3), over the kernels of wino_dsp.h: a quarter of the
 * multiplications of cpu/conv.c, which calls these where they are faster. Arguments and results are conv.h's; rounding errors are
 * about twice as large.
 */
#pragma once

#include "cpu/conv.h"

/* Whether this way is open for a geometry, and likely the faster one: a matter of the shape alone. */
bool nerv_wino_suits(const NervConvGeom *g);

size_t nerv_wino_piece_floats(const NervConvGeom *g, const NervCpu *cpu);
size_t nerv_wino_scratch(const NervConvGeom *g, const NervCpu *cpu);
void nerv_wino_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *src,
                   const NervConvWeights *weights, const float *bias, NervConvStore store, void *ctx);

size_t nerv_wino_dw_scratch(const NervConvGeom *g, const NervCpu *cpu);
void nerv_wino_dw_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *dy,
                      const float *src, float *dw, float *db);

/* --- shared by wino.c and wino_dw.c --- */

/* A rectangle of tiles' inputs: the transformed tiles of some input channels, v[f*ldf + c*ldt + t], tiles in rows of n_cols. */
typedef struct {
    int32_t image, first_row, n_rows, first_col, n_cols; /* in tiles */
    int32_t first_channel, n_channels;
} NervWinoBlock;

/* Floats from channel to channel for rectangles of so many tiles; of a buffer that nerv_wino_input() wants. */
size_t nerv_wino_ldt(const NervConvDsp *dsp, int32_t n_rows, int32_t n_cols);
size_t nerv_wino_copy_floats(const NervConvDsp *dsp, int32_t n_rows, int32_t n_cols);
void nerv_wino_input(const NervConvGeom *g, const NervDsp *dsp, const NervWinoBlock *block, const float *src,
                     float *copy, float *v, size_t ldf, size_t ldt);

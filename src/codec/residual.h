/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Residual networks: a segment's weights as half of the last segment's and what is beyond it (docs/bitstream.md, "Residual unit"). The unit's payload,
 * the sum, and the choice between such a network and one that stands alone.
 */
#pragma once

#include "codec/fitter.h"
#include "codec/motion.h"
#include "codec/warm.h"

/* Bytes of a residual unit's payload before the network. */
#define NERV_RESIDUAL_HEAD 4

/* Appends the payload: base_crc is the CRC of the unit with the network before, `network` a network unit's payload. */
void nerv_residual_write(uint32_t base_crc, const NervBitWriter *network, NervBitWriter *w);
/* *network is inside the payload. NERV_ERROR_DATA where that is too short. */
bool nerv_residual_read(const uint8_t *payload, size_t bytes, uint32_t *base_crc, const uint8_t **network,
                        size_t *network_bytes, GError **error);

/* Adds half of `before` to n weights, with one rounding. */
void nerv_residual_sum(const float *before, float *weights, int64_t n);
/* The same of model->n_weights in the model's order, but for grids whose rows are times. */
void nerv_residual_add(const NervModel *model, const float *before, float *weights);

/* What became of a segment's fit, or of its two. */
typedef struct {
    bool is_warm,
        is_learned; /* the fit began with the last segment's weights, or with f->init; neither: with drawn ones */
    bool is_residual; /* chosen; the network is then a residual unit's payload */
    bool tried;       /* there were two */
    uint32_t whole_bytes, residual_bytes;
    double whole_psnr, residual_psnr; /* dB, the means of the frames' */
} NervResidualChoice;

/* Fits f->model from the weights that `warm` has, else from f->init, else from drawn ones, and if `may` is set and they serve as a base, once more as a residual in the same
 * number of steps, or both in half of the time. Of the two the one is chosen that does not miss what was asked for, or else the better one, a dB
 * being worth a quarter of the bytes; it is what `network` and `result` then have. A grid of flows begins with `motion`,
 * if that suits it. f->initial is set. Otherwise as nerv_fitter_run(). */
bool nerv_residual_fit(NervFitter *f, const NervWarm *warm, bool may, const NervMotion *motion,
                       NervBitWriter *network, NervFitResult *result, NervResidualChoice *choice,
                       GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How good a network is that is done: its frames against the stored ones, on the device, with given weights. What a fit says while it runs is
 * of many networks, each a step away from the next.
 */
#pragma once

#include "train/footage.h"

typedef struct {
    double psnr_frames; /* dB in R'G'B', the mean of the frames' */
    double psnr;        /* dB of the frames' mean squared error */
} NervScore;

typedef struct NervScorer NervScorer;

/* The footage, its pictures and the model must outlive the scorer. */
NervScorer *nerv_scorer_new(NervBackend *be, const NervModel *model, const NervFootage *footage,
                            GError **error);
void nerv_scorer_free(NervScorer *s);

/* All frames, or the first n of them, up to a run's end. weights: model->n_weights floats. NERV_ERROR_CANCELLED when be->cancel is set, within a frame. */
bool nerv_scorer_run(NervScorer *s, const float *weights, int32_t n_frames, NervScore *score, GError **error);

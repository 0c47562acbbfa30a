/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From stored frames to a coded network: training, rate control where a size or a quality is asked for, and the network unit's payload.
 */
#pragma once

#include "codec/init.h"
#include "codec/pace.h"
#include "codec/weights.h"
#include "train/score.h"

typedef struct {
    NervBackend *be;
    const NervModel *model;
    NervFootage footage;
    NervTrainSettings train; /* its deadline is of the whole fit, coding and all */
    NervPace pace;           /* with a deadline */
    uint32_t bits;           /* of weights that are quantised after the fit (train.bits = 0) */
    bool huffman;            /* those in coding 2 instead of 0 */
    const NervInit *init;    /* learned start, for nerv_choice_fit(), which sets `initial`; or NULL */
    NervInitRates rates;     /* of a fit that begins with it */
    bool keeps_rate;         /* the learning rate is what was asked for, however long the fit is */
    const float *initial;    /* model->n_weights to begin with; NULL: drawn from the train's seed */
    /* What is asked for, at most one of them; both need train.bits. 0: as it comes. */
    uint64_t target_bytes; /* of the payload */
    uint64_t key_bytes;    /* of coded keyframes, which are not the payload's */
    double target_psnr;    /* dB, the mean of the frames' */
    bool may_give_up;      /* with target_psnr: stop early where the network is too small for it */
    /* After each step and once before the first; `last`: the final one. */
    void (*progress)(void *user, const NervTrainProgress *p, bool last);
    void *user;
} NervFitter;

typedef struct {
    bool gave_up; /* the network is too small for the target_psnr; nothing was written, all else here is 0 */
    bool missed;  /* the target was not met */
    uint32_t n_steps; /* that were made */
    NervScore score;  /* of the network as it was written */
} NervFitResult;

/* Steps that there will be about time for, of a fit that begins now and is over after `part` of the time to its deadline; at least 1. */
uint32_t nerv_fitter_steps(const NervFitter *f, double part);

/* Appends the network unit's payload; on errors the writer may have something appended. NERV_ERROR_CANCELLED when be->cancel is set. */
bool nerv_fitter_run(const NervFitter *f, NervBitWriter *network, NervFitResult *result, GError **error);

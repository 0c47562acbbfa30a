/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From stored frames to a coded network: training, rate control where a size is asked for, and the network unit's payload.
 */
#pragma once

#include "codec/weights.h"
#include "train/trainer.h"

typedef struct {
    NervBackend *be;
    const NervModel *model;
    NervBuffer *frames; /* model->clip.n_frames, as nerv_trainer_new() takes them */
    const NervPixels *pixels;
    NervTrainSettings train;
    uint32_t bits;         /* of weights that are quantised after the fit (train.bits = 0) */
    uint64_t target_bytes; /* of the payload; 0: as it comes. Needs train.bits */
    /* After each step and once before the first; `last`: the final one. */
    void (*progress)(void *user, const NervTrainProgress *p, bool last);
    void *user;
} NervFitter;

/* Appends the network unit's payload; on errors the writer may have something appended. NERV_ERROR_CANCELLED when be->cancel is set. */
bool nerv_fitter_run(const NervFitter *f, NervBitWriter *network, GError **error);

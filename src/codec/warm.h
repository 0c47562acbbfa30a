/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Warm start: what a segment's network leaves to the next one's fit, its weights as a decoder has them.
 */
#pragma once

#include "codec/init.h"
#include "codec/units.h"

/* The last network; all zeros where there is none. */
typedef struct {
    NervModel *model;
    float *weights;       /* model->n_weights */
    uint32_t crc;         /* of the unit that it came in */
    uint32_t n_residuals; /* in a row, that one's base and its base before it... */
} NervWarm;

void nerv_warm_clear(NervWarm *w);
/* Keeps the network of a unit's payload in place of what was there, which is a residual's base; init: a delta's, or NULL. Where that fails (memory) there
 * is none then. */
void nerv_warm_keep(NervWarm *w, NervUnitType type, const uint8_t *payload, size_t bytes,
                    const NervClip *clip, const NervInit *init);
/* *weights: what a fit of `model` begins with, model->n_weights floats to be freed with g_free(): the last network's, shrunk, in layers and grids
 * that all frames share; in grids with rows in time, what nerv_model_init_params() draws from the seed. NULL where there is no last
 * network or it is not nerv_model_alike(). */
bool nerv_warm_start(const NervWarm *w, const NervModel *model, uint64_t seed, float **weights,
                     GError **error);

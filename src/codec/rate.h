/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rate control of one fit: moves the rate's weight in the loss so that the coded weights end at a given size. Knows neither
 * networks nor streams: numbers in, a weight out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double target_bits;
    double integral;  /* the weight without the error of the moment */
    double weight;    /* of a bit per pixel beside the loss */
    double ratio;     /* bits that were really coded per estimated bit */
    double gain;      /* relative change of weight a step for a relative error of 1 */
    uint32_t n_steps; /* of the fit */
    uint32_t next_measure, measures, max_measures;
} NervRate;

/* target_bits > 0: of the n_weights coded weights; n_pixels: of the clip, all frames; n_steps >= 1. Large networks, which take long to
 * code, are measured less often. */
void nerv_rate_init(NervRate *r, double target_bits, int64_t n_weights, double n_pixels, uint32_t n_steps);
/* After a step whose weights' length was estimated at `estimate` bits (<= 0: not quantised yet): the weight for the next. */
double nerv_rate_update(NervRate *r, double estimate);
/* Whether, after `step` steps, the caller should code the network and tell how long it was. */
bool nerv_rate_wants_measure(const NervRate *r, uint32_t step);
void nerv_rate_measure(NervRate *r, uint32_t step, double estimate, double coded_bits);

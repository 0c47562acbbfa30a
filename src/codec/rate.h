/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rate control of one fit: moves the rate's weight in the loss so that the coded weights end at a given size, or the pictures at a given
 * quality. Knows neither networks nor streams: numbers in, a weight out. Positions are parts of the fit, 0..1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double target_bits, target_psnr; /* one of them, else 0 */
    double first;                    /* the first weight */
    double integral;                 /* the weight without the error of the moment */
    double weight;                   /* of a bit per pixel beside the loss */
    double forecast;            /* dB at the fit's end, where a quality is asked for; 0 before there is one */
    double ratio;               /* bits that were really coded per estimated bit */
    double position;            /* of the last update */
    double last_log, last_psnr; /* of the fit before, log(weight) and its end in dB; 0 before the second */
    double next_measure;
    uint32_t measures, max_measures;
} NervRate;

/* target_bits > 0: of the n_weights coded weights; n_pixels: of the clip, all frames; key_bits: of the keyframes beside them, 0 without. Large
 * networks, which take long to code, are measured less often. */
void nerv_rate_init_size(NervRate *r, double target_bits, int64_t n_weights, double n_pixels,
                         double key_bits);
/* After a step whose weights' length was estimated at `estimate` bits (<= 0: not quantised yet): the weight for the next. */
double nerv_rate_update_size(NervRate *r, double position, double estimate);
/* Whether the caller should code the network and tell how long it was. */
bool nerv_rate_wants_measure(const NervRate *r, double position);
void nerv_rate_measure(NervRate *r, double position, double estimate, double coded_bits);

/* target_psnr in dB, first_weight > 0. */
void nerv_rate_init_psnr(NervRate *r, double target_psnr, double first_weight);
/* psnr: of quantised weights, mean over a passage of all frames. */
double nerv_rate_update_psnr(NervRate *r, double position, double psnr);
/* A fit with the present weight ended at `psnr`: the weight for another. From the second time on by the slope between the two. */
void nerv_rate_correct(NervRate *r, double psnr);
/* Whether the quality is out of reach however small the weight is: it pays to start again with a larger network. */
bool nerv_rate_hopeless(const NervRate *r);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rate control, see rate.h. A proportional and integral controller on the logarithm of the weight: bits answer to the weight within an
 * epoch or two while the learning rate is high, and hardly at its end, so that errors must be gone early enough. The
 * estimate of the loss is of a plain code; the coder with its contexts needs less, by a ratio that changes slowly and
 * is measured some fifty times.
 */
#include "codec/rate.h"

#include <math.h>

#define MIN_WEIGHT   1e-7
#define MAX_WEIGHT   10.
#define MAX_ERROR    0.7  /* of a logarithm: a first network may be far off */
#define FIRST_RATIO  0.85 /* of coded and estimated bits in trained networks */
#define RESPONSE     0.01 /* part of the fit until an error has moved the weight as much as itself */
#define PROPORTIONAL 4.   /* how much of it counts at once, as a multiple */
#define MOST_GAIN                                                                                            \
    0.15 /* of a step: bits need some to answer, and in a short fit the weight would run away meanwhile */
#define MEASURES     48
#define MIN_MEASURES 8
#define MEASURED     1.5e7 /* weights in all, beyond which measures become fewer */
#define WEIGHT_AT    3e-3  /* a first guess: this weight at that many bits a pixel, and so on along a slope */
#define BITS_AT      0.1
#define WEIGHT_SLOPE 1.5
#define BESIDE_KEYS  .25 /* part of that where keyframes are among the bits */
/* Quality answers more slowly than bits do, and less the later it is. */
#define PSNR_FROM         0.15
#define PSNR_RESPONSE     0.04
#define PSNR_PROPORTIONAL 1.5
#define PSNR_MARGIN       0.1 /* dB: what is too good can be made smaller after the fit, not the other way round */
#define LOG_PER_DB        0.231 /* log(4) per 6 dB: the slope of distortion over rate */
/* What the falling learning rate still brings, as seen in fits of 12 to 150 epochs: GAIN (1 - position)^GAIN_POWER dB. */
#define GAIN       5.
#define GAIN_POWER 1.4
/* After a fit: the first correction, a multiple; the largest, of a logarithm. */
#define FIRST_CORRECTION 2.
#define MAX_CORRECTION   1.5
/* A slope that was seen is believed within these multiples: more training alone moves the PSNR as well. */
#define LEAST_SLOPE 0.75
#define MOST_SLOPE  3.
/* Given up at this position when so many dB are missing though the weight has fallen to so small a part of the first. */
#define HOPELESS_FROM    0.35
#define HOPELESS_MISSING 0.7
#define HOPELESS_PART    0.1

static double bound(double weight)
{
    return fmin(fmax(weight, MIN_WEIGHT), MAX_WEIGHT);
}

void nerv_rate_init_size(NervRate *r, double target_bits, int64_t n_weights, double n_pixels, double key_bits)
{
    const double bpp = (target_bits + key_bits) / n_pixels, part = key_bits > 0. ? BESIDE_KEYS : 1.;
    *r = (NervRate){ .target_bits = target_bits, .ratio = FIRST_RATIO };
    r->first = r->integral = r->weight = bound(part * WEIGHT_AT * pow(BITS_AT / bpp, WEIGHT_SLOPE));
    r->max_measures = (uint32_t)fmax(fmin(MEASURED / (double)n_weights, MEASURES), MIN_MEASURES);
}

void nerv_rate_init_psnr(NervRate *r, double target_psnr, double first_weight)
{
    *r = (NervRate){ .target_psnr = target_psnr, .ratio = FIRST_RATIO };
    r->first = r->integral = r->weight = bound(first_weight);
}

/* error > 0: the weight should be larger by about so much of a logarithm. */
static void move(NervRate *r, double position, double error, double response, double proportional)
{
    const double bounded = fmin(fmax(error, -MAX_ERROR), MAX_ERROR);
    const double gain = fmin(fmax(position - r->position, 0.) / response, MOST_GAIN);
    r->integral = bound(r->integral * exp(gain * bounded));
    r->weight = bound(r->integral * exp(proportional * bounded));
}

double nerv_rate_update_size(NervRate *r, double position, double estimate)
{
    if (estimate > 0.)
        move(r, position, log(estimate * r->ratio / r->target_bits), RESPONSE, PROPORTIONAL);
    r->position = position;
    return r->weight;
}

double nerv_rate_update_psnr(NervRate *r, double position, double psnr)
{
    if (position >= PSNR_FROM) {
        r->forecast = psnr + GAIN * pow(fmax(1. - position, 0.), GAIN_POWER);
        move(r, position, LOG_PER_DB * (r->forecast - r->target_psnr - PSNR_MARGIN), PSNR_RESPONSE,
             PSNR_PROPORTIONAL);
    }
    r->position = position;
    return r->weight;
}

void nerv_rate_correct(NervRate *r, double psnr)
{
    const double at = log(r->weight), off = psnr - r->target_psnr;
    double per_db = LOG_PER_DB * FIRST_CORRECTION;
    if (r->last_psnr > 0.) {
        const double slope = (at - r->last_log) / (r->last_psnr - psnr);
        if (isfinite(slope))
            per_db = fmin(fmax(slope, LOG_PER_DB * LEAST_SLOPE), LOG_PER_DB * MOST_SLOPE);
    }
    r->last_log = at;
    r->last_psnr = psnr;
    r->weight = bound(exp(at + fmin(fmax(per_db * off, -MAX_CORRECTION), MAX_CORRECTION)));
}

bool nerv_rate_hopeless(const NervRate *r)
{
    return r->target_psnr > 0. && r->position >= HOPELESS_FROM &&
           r->forecast < r->target_psnr - HOPELESS_MISSING && r->integral < HOPELESS_PART * r->first;
}

bool nerv_rate_wants_measure(const NervRate *r, double position)
{
    return r->measures < r->max_measures && position >= r->next_measure;
}

void nerv_rate_measure(NervRate *r, double position, double estimate, double coded_bits)
{
    if (estimate > 0. && coded_bits > 0.)
        r->ratio = coded_bits / estimate;
    r->measures++;
    r->next_measure = position + 1. / r->max_measures;
}

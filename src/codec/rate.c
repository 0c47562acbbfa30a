/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rate control, see rate.h. A proportional and integral controller on the logarithm of the weight: bits answer to the weight within an
 * epoch or two while the learning rate is high, and hardly at its end, so that errors must be gone early enough. The
 * estimate of the loss is of a plain code; the coder with its contexts needs less, by a ratio that changes slowly and
 * is measured some twenty times.
 */
#include "codec/rate.h"

#include <math.h>

#define MIN_WEIGHT   1e-7
#define MAX_WEIGHT   10.
#define MAX_ERROR    0.7  /* of a logarithm: a first network may be far off */
#define FIRST_RATIO  0.85 /* of coded and estimated bits in trained networks */
#define RESPONSE     0.01 /* of the fit's steps until an error has moved the weight as much as itself */
#define PROPORTIONAL 4.   /* how much of it counts at once, as a multiple */
#define MEASURES     48
#define MIN_MEASURES 8
#define MEASURED     1.5e7 /* weights in all, beyond which measures become fewer */
#define WEIGHT_AT    3e-3  /* a first guess: this weight at that many bits a pixel, and so on along a slope */
#define BITS_AT      0.1
#define WEIGHT_SLOPE 1.5

static double bound(double weight)
{
    return fmin(fmax(weight, MIN_WEIGHT), MAX_WEIGHT);
}

void nerv_rate_init(NervRate *r, double target_bits, int64_t n_weights, double n_pixels, uint32_t n_steps)
{
    const double bpp = target_bits / n_pixels;
    *r = (NervRate){ .target_bits = target_bits, .ratio = FIRST_RATIO, .n_steps = n_steps };
    r->integral = r->weight = bound(WEIGHT_AT * pow(BITS_AT / bpp, WEIGHT_SLOPE));
    r->max_measures = (uint32_t)fmax(fmin(MEASURED / (double)n_weights, MEASURES), MIN_MEASURES);
    r->gain = 1. / fmax(RESPONSE * n_steps, 1.);
}

double nerv_rate_update(NervRate *r, double estimate)
{
    if (estimate > 0.) {
        const double error = log(estimate * r->ratio / r->target_bits);
        const double bounded = fmin(fmax(error, -MAX_ERROR), MAX_ERROR);
        r->integral = bound(r->integral * exp(r->gain * bounded));
        r->weight = bound(r->integral * exp(PROPORTIONAL * bounded));
    }
    return r->weight;
}

bool nerv_rate_wants_measure(const NervRate *r, uint32_t step)
{
    return r->measures < r->max_measures && step >= r->next_measure;
}

void nerv_rate_measure(NervRate *r, uint32_t step, double estimate, double coded_bits)
{
    if (estimate > 0. && coded_bits > 0.)
        r->ratio = coded_bits / estimate;
    r->measures++;
    r->next_measure = step + (r->n_steps + r->max_measures - 1) / r->max_measures;
}

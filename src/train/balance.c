/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weights of videos, see balance.h.
 */
#include "train/balance.h"

#include <glib.h>
#include <math.h>

#define NEWEST      .1 /* part that the newest loss has in the mean */
#define LEAST_LOSS  1e-6
#define MOST_WEIGHT 16.

void nerv_balance_init(NervBalance *b, uint32_t n, double power)
{
    *b = (NervBalance){ .n = n, .power = power, .loss = g_new0(double, n) };
}

void nerv_balance_clear(NervBalance *b)
{
    g_free(b->loss);
    *b = (NervBalance){ 0 };
}

void nerv_balance_add(NervBalance *b, uint32_t video, double loss)
{
    double *mean = &b->loss[video];
    loss = fmax(loss, LEAST_LOSS);
    if (*mean > 0.) {
        loss = *mean + NEWEST * (loss - *mean);
        b->sum -= log(*mean);
    } else {
        b->n_known++;
    }
    *mean = loss;
    b->sum += log(loss);
}

double nerv_balance_weight(const NervBalance *b, uint32_t video)
{
    if (b->n_known < b->n)
        return 1.;
    const double weight = exp(b->power * (b->sum / b->n - log(b->loss[video])));
    return CLAMP(weight, 1. / MOST_WEIGHT, MOST_WEIGHT);
}

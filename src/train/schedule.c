/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The learning rate over a fit: linear warm-up, then half a cosine down to zero, per step (NeRV's training
 * recipe).
 */
#include <math.h>

#include "train/trainer.h"

double nerv_schedule_lr(double peak, double warmup, uint32_t step, uint32_t n_steps)
{
    const double at = ((double)step + 1.) / n_steps;
    if (at < warmup)
        return peak * at / warmup;
    if (warmup >= 1.)
        return peak;
    const double after = fmax((double)step / n_steps - warmup, 0.) / (1. - warmup);
    return peak * 0.5 * (1. + cos(G_PI * after));
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See schedule.h. All that changes in the course of a fit goes by its position, so that a fit of so many seconds is one of so many
 * steps that nobody knows beforehand.
 */
#include "train/schedule.h"

#include <math.h>

void nerv_schedule_init(NervSchedule *s, uint32_t n_steps, gint64 deadline_us)
{
    *s = (NervSchedule){ .n_steps = n_steps, .deadline_us = deadline_us, .next = 1. / n_steps };
}

static void update_by_time(NervSchedule *s, uint32_t step)
{
    const gint64 now = g_get_monotonic_time();
    if (!s->start_us)
        s->start_us = now;
    const double whole = (double)(s->deadline_us - s->start_us), done = (double)(now - s->start_us);
    const double per_step = step ? done / step : 0.;
    if (whole <= 0. || done + per_step / 2. >= whole) {
        s->position = s->next = 1.;
        return;
    }
    s->position = done / whole;
    s->next = fmin((done + per_step) / whole, 1.);
}

void nerv_schedule_update(NervSchedule *s, uint32_t step)
{
    if (s->deadline_us) {
        update_by_time(s, step);
        return;
    }
    s->position = fmin((double)step / s->n_steps, 1.);
    s->next = fmin(((double)step + 1.) / s->n_steps, 1.);
}

uint32_t nerv_schedule_steps(const NervSchedule *s, uint32_t step)
{
    if (!s->deadline_us)
        return s->n_steps;
    return s->position > 0. ? (uint32_t)fmax(fmin(step / s->position, 4e9), step) : step + 1;
}

double nerv_schedule_lr(double peak, double warmup, double position, double next)
{
    if (next < warmup)
        return peak * next / warmup;
    if (warmup >= 1.)
        return peak;
    const double after = fmin(fmax(position - warmup, 0.) / (1. - warmup), 1.);
    return peak * 0.5 * (1. + cos(G_PI * after));
}

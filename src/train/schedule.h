/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How far a fit is, by steps or by time, and the learning rate that belongs to it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t n_steps;             /* where steps decide */
    gint64 start_us, deadline_us; /* of g_get_monotonic_time(); a deadline of 0: steps decide */
    double position, next;        /* part of the fit that is done, 0..1, and will be after the step to come */
} NervSchedule;

/* n_steps >= 1. Where time decides it runs from the first nerv_schedule_update() on. */
void nerv_schedule_init(NervSchedule *s, uint32_t n_steps, gint64 deadline_us);
/* Brings the positions up to date after `step` steps. The fit is at its end when position is 1; where time decides, when less than half
 * a step's time is left. */
void nerv_schedule_update(NervSchedule *s, uint32_t step);
/* Steps in all, after `step` of them: an estimate where time decides. */
uint32_t nerv_schedule_steps(const NervSchedule *s, uint32_t step);

/* Learning rate of a step that begins when the part `position` of the fit is done and ends at `next`: linear warm-up over the part
 * `warmup`, then half a cosine to 0 (NeRV's training recipe). */
double nerv_schedule_lr(double peak, double warmup, double position, double next);

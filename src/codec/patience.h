/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * When a fit has learned what there is to learn: by the error of samples that it does not look at, which falls while it learns what they have in common with the
 * others and rises once it learns what they have not, noise. The criterion is the generalisation loss of Prechelt, "Early Stopping - But When?" (1998): how far the error
 * is above the least one so far. Numbers only: whose weights they are of is the caller's affair.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t window; /* steps that an error is a mean of */
    uint32_t looked; /* step */
    uint32_t worse;  /* looks in succession at what was a loss */
    uint32_t best_step;
    double best, last; /* errors; best is infinite before the first look */
} NervPatience;

typedef enum {
    NERV_PATIENCE_WAIT,
    NERV_PATIENCE_BETTER, /* than at any look before */
    NERV_PATIENCE_LOST, /* and more at each of the last looks: it learns what only the samples have that it looks at */
} NervPatienceSays;

/* window: steps, 1 or more. */
void nerv_patience_init(NervPatience *p, uint32_t window);
/* After a step, counted from 1, with the mean error over the last window; what is 0 or less is not known yet. Looks once a window. */
NervPatienceSays nerv_patience_look(NervPatience *p, uint32_t step, double error);
/* Whether the best one was better than the last one by more than luck. */
bool nerv_patience_was_better(const NervPatience *p);

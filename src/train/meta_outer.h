/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a meta-learner learns, and the outer step: values that gradients of clips move by Adam, or ways back along which they go. On the host, where
 * all of it fits.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t n_start, n_all; /* of the start; with the inner rates behind it */
    float *value;
    /* Since the last update: the sum of what clips said, and how many did. */
    float *sum;
    uint32_t n_learned;
    float *moment, *square; /* Adam's */
    uint64_t n_updates;
} NervOuter;

/* Values are 0. */
void nerv_outer_init(NervOuter *o, size_t n_start, size_t n_rates);
void nerv_outer_clear(NervOuter *o);

/* By the mean of the gradients, that of the start bounded by `clip` in its norm (0: not). */
void nerv_outer_adam(NervOuter *o, double start_rate, double rates_rate, double clip);
/* By a part of the mean of ways. */
void nerv_outer_walk(NervOuter *o, double part);
/* Values, moments and the number of updates; the sum is forgotten when they are set. Floats: 3 n_all. */
void nerv_outer_get(const NervOuter *o, float *dst);
void nerv_outer_set(NervOuter *o, const float *src, uint64_t n_updates);
bool nerv_outer_is_finite(const NervOuter *o);

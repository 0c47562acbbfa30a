/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A seeded random generator whose numbers are the same on every machine (xoshiro256**, Blackman & Vigna 2018,
 * seeded through splitmix64). For initial weights, shuffles and tests; not for secrets.
 */
#pragma once

#include <stdint.h>

typedef struct {
    uint64_t s[4];
} NervRng;

void nerv_rng_init(NervRng *rng, uint64_t seed);
uint64_t nerv_rng_u64(NervRng *rng);
/* Uniform in 0..n-1, n >= 1. */
uint32_t nerv_rng_below(NervRng *rng, uint32_t n);
/* Uniform in [lo, hi). */
float nerv_rng_uniform(NervRng *rng, float lo, float hi);

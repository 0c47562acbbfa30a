/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Measurements in rounds: each round compares two things that were measured one after the other, so that both saw the same
 * machine; what counts is the median.
 */
#pragma once

#include <stdint.h>

#define BENCH_MIN_ROUNDS 5
#define BENCH_MAX_ROUNDS 99

typedef struct {
    double ours[BENCH_MAX_ROUNDS], peer[BENCH_MAX_ROUNDS]; /* seconds of one run */
    double peak[BENCH_MAX_ROUNDS]; /* GMAC/s of the machine in that round, 0: not known */
    uint32_t n;
} Rounds;

/* n >= 1 */
double rounds_median(const double *v, uint32_t n);
/* The median of the rounds' ratios peer / ours: how many times faster we are. */
double rounds_median_ratio(const Rounds *r);
/* The median of the rounds' shares of their peaks, for runs of `macs` multiply-accumulates; NAN if no peak is known. */
double rounds_median_share(const Rounds *r, double macs);

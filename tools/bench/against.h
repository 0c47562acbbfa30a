/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Is a result worse than an older one? Compares the figures (figures.h) of two JSON texts: not seconds but shares of what the
 * machine could do at the time, so that results of other machines and of busy ones can be held against each other.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    BENCH_AGAINST_OK,
    BENCH_AGAINST_WORSE,     /* a figure is worse by more than the tolerance, or missing */
    BENCH_AGAINST_NOT_ALIKE, /* another network, or nothing in common; said in the error */
} BenchAgainst;

/* Prints a line for each figure that both have: old, new, change (over 1: better) and verdict; and one for each that the older
 * result has and the newer should have. `tolerance`: 0.15 allows changes down to 0.85. Ops that take less than 2 % of a
 * run in both results are left out; ratios to the peer as well where the peers differ, and what one of the results says it
 * was not asked to measure. */
BenchAgainst bench_against(const char *now, const char *before, double tolerance, GError **error);

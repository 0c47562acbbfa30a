/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Is a result worse than an older one? Compares two of nerv-bench's JSON texts, measurement by measurement.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    BENCH_AGAINST_OK,
    BENCH_AGAINST_WORSE,     /* a measurement is worse by more than the tolerance */
    BENCH_AGAINST_NOT_ALIKE, /* another machine or network, or nothing in common; said in the error */
} BenchAgainst;

/* Prints a line for each measurement that both have: time and memory, as new / old (over 1: worse). `tolerance`: 0.15
 * allows ratios up to 1.15. Ops are not compared one by one: the step that they make up is. */
BenchAgainst bench_against(const char *now, const char *before, double tolerance, GError **error);

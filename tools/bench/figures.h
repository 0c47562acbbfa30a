/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What of a benchmark's result says something beyond its day and machine: shares of the machine's roofs, ratios to what was
 * measured beside it, bytes, and pictures that were wrong. Seconds are left out, but for start-up, which has a bound, and the rate of a
 * pipeline that nothing was measured beside, on the same machine.
 */
#pragma once

#include "json_read.h"

/* What is compared weighs at least this part of a run, in one of the two results. */
#define BENCH_FIGURE_MIN_WEIGHT 0.02

typedef enum {
    BENCH_MORE_IS_BETTER, /* a positive number, as the next */
    BENCH_LESS_IS_BETTER,
    BENCH_NO_MORE, /* a count; one more is worse */
} BenchSense;

typedef struct {
    char *name; /* "cpu train: share of peak"; says the same thing in every result */
    double value;
    double weight; /* the part of a run that an op takes; else 1 */
    BenchSense sense;
    double harmless; /* with less is better: up to there it is not worse */
} BenchFigure;

/* BenchFigure's in the order of the result, which is nerv-bench's or nerv-pipeline-bench's; what is not a number of its sense is left
 * out. So is what `other`, the result that it is compared with, was not asked to measure (its "measured") or could not: ratios to
 * a codec that is missing there, to PyTorch unless `with_peer`, rates unless `same_machine`. Free with
 * g_array_unref(). */
GArray *bench_figures(const JsonValue *result, const JsonValue *other, bool with_peer, bool same_machine);
/* The figure of that name, or NULL. */
const BenchFigure *bench_figures_find(const GArray *figures, const char *name);

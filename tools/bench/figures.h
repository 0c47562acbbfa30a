/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What of a benchmark's result says something beyond its day and machine: shares of the machine's roofs, ratios to what was
 * measured beside it, and bytes. Seconds are left out.
 */
#pragma once

#include "json_read.h"

/* What is compared weighs at least this part of a run, in one of the two results. */
#define BENCH_FIGURE_MIN_WEIGHT 0.02

typedef struct {
    char *name; /* "cpu train: share of peak"; says the same thing in every result */
    double value;
    double weight;       /* the part of a run that an op takes; else 1 */
    bool less_is_better; /* as of bytes */
} BenchFigure;

/* BenchFigure's in the order of the result, which is nerv-bench's or nerv-pipeline-bench's; what is not a positive number is left
 * out. `with_peer`: ratios to PyTorch too. Free with g_array_unref(). */
GArray *bench_figures(const JsonValue *result, bool with_peer);
/* The figure of that name, or NULL. */
const BenchFigure *bench_figures_find(const GArray *figures, const char *name);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The machine's multiply-add peak, measured, per instruction set and number of threads: what shares are shares of.
 */
#pragma once

#include "base/cpuid.h"
#include "base/threads.h"

/* A rate as a few milliseconds reach it at best, and over the whole time. */
typedef struct {
    double best, mean;
} BenchRate;

/* GMAC/s of float multiply-adds out of registers on all the pool's threads; 0 if the machine lacks the level. */
BenchRate bench_peak_gmacs(NervCpuLevel level, NervPool *pool, double seconds);

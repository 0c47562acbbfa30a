/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the machine can do at best, and what it can do at the moment: a measurement is a share of the latter, so that other
 * work on the machine, its clock and its make weigh on both alike.
 */
#pragma once

#include "base/threads.h"

/* GMAC/s and GB/s; 0: not known. */
typedef struct {
    double gmacs, gbytes;
    double bytes_per_mac; /* gbytes / gmacs as they were in turns */
    NervPool *pool;       /* that reaches them, to measure them again; NULL: a data sheet's */
} BenchRoof;

/* The peak measured again for a tenth of a second, the mean and not the best; as it is if there is no pool. */
double bench_roof_gmacs_now(const BenchRoof *roof);
void bench_roof_clear(BenchRoof *roof);

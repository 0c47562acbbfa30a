/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Roofs of the moment, see roof.h.
 */
#include <stddef.h>

#include "peak.h"
#include "roof.h"

#define PEAK_SECONDS 0.1

double bench_roof_gmacs_now(const BenchRoof *roof)
{
    return roof->pool ? bench_peak_gmacs(nerv_cpu_level(), roof->pool, PEAK_SECONDS).mean : roof->gmacs;
}

void bench_roof_clear(BenchRoof *roof)
{
    nerv_pool_free(roof->pool);
    roof->pool = NULL;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Medians, see rounds.h.
 */
#include <math.h>
#include <stdlib.h>

#include <glib.h>

#include "rounds.h"

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double rounds_median(const double *v, uint32_t n)
{
    g_autofree double *sorted = g_memdup2(v, n * sizeof(*v));
    qsort(sorted, n, sizeof(*v), compare_doubles);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double rounds_median_ratio(const Rounds *r)
{
    double ratio[BENCH_MAX_ROUNDS] = { 0 };
    for (uint32_t i = 0; i < r->n; i++)
        ratio[i] = r->peer[i] / r->ours[i];
    return rounds_median(ratio, r->n);
}

double rounds_median_share(const Rounds *r, double macs)
{
    double share[BENCH_MAX_ROUNDS] = { 0 };
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->peak[i] <= 0)
            return NAN;
        share[i] = macs / r->ours[i] * 1e-9 / r->peak[i];
    }
    return rounds_median(share, r->n);
}

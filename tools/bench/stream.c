/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory bandwidth, see stream.h.
 */
#include <glib.h>

#include "peak.h"
#include "rounds.h"
#include "stream.h"

#define FLOATS         (INT64_C(24) << 20) /* 96 MiB an array */
#define CHUNK          (1 << 16)           /* floats of a task */
#define STREAM_SECONDS 0.5
#define TURNS          15
#define TURN_SECONDS   0.02 /* of the peak; a pass takes as long */

typedef struct {
    float *a;
    const float *b, *c;
} Triad;

static void triad_task(void *arg, uint32_t task, uint32_t thread)
{
    const Triad *t = arg;
    float *restrict a = t->a + (size_t)task * CHUNK;
    const float *restrict b = t->b + (size_t)task * CHUNK, *restrict c = t->c + (size_t)task * CHUNK;
    for (int i = 0; i < CHUNK; i++)
        a[i] = b[i] + 0.5f * c[i];
}

static void fill_task(void *arg, uint32_t task, uint32_t thread)
{
    float *a = (float *)arg + (size_t)task * CHUNK;
    for (int i = 0; i < CHUNK; i++)
        a[i] = (float)(i & 1023);
}

/* GB/s of one pass. */
static double pass(NervPool *pool, Triad *t)
{
    const gint64 start = g_get_monotonic_time();
    nerv_pool_run(pool, FLOATS / CHUNK, triad_task, t);
    return 3. * sizeof(float) * (double)FLOATS / (double)(g_get_monotonic_time() - start) * 1e-3;
}

static double per_gmac_in_turns(NervPool *pool, Triad *t)
{
    double ratio[TURNS] = { 0 };
    for (int i = 0; i < TURNS; i++)
        ratio[i] = pass(pool, t) / bench_peak_gmacs(nerv_cpu_level(), pool, TURN_SECONDS).mean;
    return rounds_median(ratio, TURNS);
}

double bench_stream_gbytes(NervPool *pool, double *bytes_per_mac)
{
    float *memory = g_try_new(float, 3 * FLOATS);
    double best = 0;
    if (!memory)
        return 0;
    Triad t = { memory, memory + FLOATS, memory + 2 * FLOATS };
    nerv_pool_run(pool, 3 * (FLOATS / CHUNK), fill_task, memory);
    for (double spent = 0; spent < STREAM_SECONDS;) {
        const double gbytes = pass(pool, &t);
        best = MAX(best, gbytes);
        spent += 3. * sizeof(float) * (double)FLOATS * 1e-9 / gbytes;
    }
    if (bytes_per_mac)
        *bytes_per_mac = per_gmac_in_turns(pool, &t);
    g_free(memory);
    return best;
}

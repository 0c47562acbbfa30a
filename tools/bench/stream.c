/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory bandwidth, see stream.h.
 */
#include <glib.h>

#include "stream.h"

#define FLOATS         (INT64_C(24) << 20) /* 96 MiB an array */
#define CHUNK          (1 << 16)           /* floats of a task */
#define STREAM_SECONDS 0.5

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

double bench_stream_gbytes(NervPool *pool)
{
    const uint32_t n_tasks = FLOATS / CHUNK;
    float *memory = g_try_new(float, 3 * FLOATS);
    double best = 0;
    if (!memory)
        return 0;
    Triad t = { memory, memory + FLOATS, memory + 2 * FLOATS };
    nerv_pool_run(pool, 3 * n_tasks, fill_task, memory);
    for (double spent = 0; spent < STREAM_SECONDS;) {
        const gint64 start = g_get_monotonic_time();
        nerv_pool_run(pool, n_tasks, triad_task, &t);
        const double s = (double)(g_get_monotonic_time() - start) * 1e-6;
        best = MAX(best, 3. * sizeof(float) * (double)FLOATS / s * 1e-9);
        spent += s;
    }
    g_free(memory);
    return best;
}

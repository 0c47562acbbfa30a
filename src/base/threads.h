/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small pool of threads for parallel loops. The caller works too; the call returns when all tasks are done.
 */
#pragma once

#include <stdint.h>

typedef struct NervPool NervPool;

/* One task of a parallel loop; `task` is 0..n_tasks-1, `thread` is 0..nerv_pool_threads()-1 and is never used by
 * two tasks at the same time, so it may index scratch memory. Results must not depend on `thread`. Tasks see subnormal floating-point
 * numbers as zero, and none comes out of their arithmetic. */
typedef void (*NervTaskFunc)(void *arg, uint32_t task, uint32_t thread);

/* n_threads 0: one per online core; clamped to 1..256. Never fails: runs with fewer threads if some cannot start. */
NervPool *nerv_pool_new(uint32_t n_threads);
void nerv_pool_free(NervPool *pool);
uint32_t nerv_pool_threads(const NervPool *pool);

/* Runs fn(arg, task, thread) for all tasks, handed out dynamically in increasing order. Blocks until done. Not re-entrant: a
 * task must not call it. One caller at a time. */
void nerv_pool_run(NervPool *pool, uint32_t n_tasks, NervTaskFunc fn, void *arg);

/* While *cancel (read atomically) is not 0, loops hand out no more tasks and return early with their work undone. NULL: never.
 * For giving up within milliseconds on a run whose results nobody wants any more. */
void nerv_pool_set_cancel(NervPool *pool, const int *cancel);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pool of threads, see threads.h. A plan is hundreds of short loops a step, so what counts is the time from one
 * loop's end to the next one's start: workers watch for the next loop for some microseconds before they sleep.
 *
 * `ticket` holds the loop's number in its upper and the next task in its lower half; a worker takes a task by adding
 * one to it. While the next loop is made the lower half is CLOSED. A worker reads the loop's fields before it takes a task, and
 * taking fails unless `ticket` is unchanged since then: a worker that comes late can't mix up two loops, and
 * nobody has to wait for it.
 *
 * Tasks take subnormal numbers for zero: networks make them wherever an activation or a gradient fades out, and on many processors
 * an operation on one takes a hundred times as long as on others.
 */
#include "base/threads.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MAX_THREADS    256
#define SPIN_US        20
#define CHECKS_PER_LAP 16 /* looks at the pool between two looks at the clock */
#define CLOSED         UINT32_MAX

typedef struct {
    NervPool *pool;
    GThread *thread;
    uint32_t index;
} Worker;

struct NervPool {
    uint32_t n_threads; /* workers and the caller */
    int64_t spin_us;    /* 0 where threads outnumber cores */
    Worker *workers;
    const int *cancel; /* see nerv_pool_set_cancel() */

    /* The loop; written while `ticket` is CLOSED. */
    _Atomic(NervTaskFunc) fn;
    _Atomic(void *) arg;
    _Atomic uint32_t n_tasks;

    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic uint32_t unfinished; /* tasks of this loop that have not returned */
    _Alignas(64) _Atomic uint32_t sleepers;   /* workers inside `wake` */
    _Atomic bool caller_sleeps;
    _Atomic bool quit;
    GMutex lock;
    GCond wake, done;
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Takes the calling thread's subnormal numbers for zero. Returns what to give to restore_subnormals(). */
static uint64_t flush_subnormals(void)
{
#if defined(__SSE2__)
    const uint32_t old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* results (FTZ) and operands (DAZ) */
    return old;
#elif defined(__aarch64__)
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | 1u << 24)); /* FZ: both */
    return old;
#else
    return 0;
#endif
}

static void restore_subnormals(uint64_t old)
{
#if defined(__SSE2__)
    _mm_setcsr((uint32_t)old);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
#else
    (void)old;
#endif
}

/* Watches for another loop than `old_loop`, at most spin_us; true if there is one. */
static bool spin_ticket(NervPool *pool, uint32_t old_loop)
{
    if (pool->spin_us == 0)
        return false;
    const int64_t end = g_get_monotonic_time() + pool->spin_us;
    do {
        for (int i = 0; i < CHECKS_PER_LAP; i++) {
            if ((uint32_t)(atomic_load_explicit(&pool->ticket, memory_order_acquire) >> 32) != old_loop)
                return true;
            relax();
        }
    } while (g_get_monotonic_time() < end);
    return false;
}

/* Watches for the loop's end, at most spin_us; true if it came. */
static bool spin_done(NervPool *pool)
{
    if (pool->spin_us == 0)
        return false;
    const int64_t end = g_get_monotonic_time() + pool->spin_us;
    do {
        for (int i = 0; i < CHECKS_PER_LAP; i++) {
            if (atomic_load_explicit(&pool->unfinished, memory_order_acquire) == 0)
                return true;
            relax();
        }
    } while (g_get_monotonic_time() < end);
    return false;
}

static bool cancelled(const NervPool *pool)
{
    return pool->cancel && g_atomic_int_get(pool->cancel);
}

/* Takes and runs tasks of the present loop until none is left. Returns the loop's number. */
static uint32_t work(NervPool *pool, uint32_t thread)
{
    for (;;) {
        uint64_t ticket = atomic_load(&pool->ticket);
        const NervTaskFunc fn = atomic_load_explicit(&pool->fn, memory_order_acquire);
        void *arg = atomic_load_explicit(&pool->arg, memory_order_acquire);
        const uint32_t n_tasks = atomic_load_explicit(&pool->n_tasks, memory_order_acquire);
        const uint32_t task = (uint32_t)ticket;

        if (task >= n_tasks)
            return (uint32_t)(ticket >> 32);
        if (!atomic_compare_exchange_strong(&pool->ticket, &ticket, ticket + 1))
            continue;
        if (!cancelled(pool))
            fn(arg, task, thread);
        if (atomic_fetch_sub(&pool->unfinished, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            g_mutex_lock(&pool->lock);
            g_cond_signal(&pool->done);
            g_mutex_unlock(&pool->lock);
        }
    }
}

static gpointer worker_main(gpointer data)
{
    Worker *w = data;
    NervPool *pool = w->pool;
    uint32_t seen = 0;

    flush_subnormals();
    while (!atomic_load(&pool->quit)) {
        if (!spin_ticket(pool, seen)) {
            g_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->sleepers, 1);
            while ((uint32_t)(atomic_load(&pool->ticket) >> 32) == seen && !atomic_load(&pool->quit))
                g_cond_wait(&pool->wake, &pool->lock);
            atomic_fetch_sub(&pool->sleepers, 1);
            g_mutex_unlock(&pool->lock);
        }
        seen = work(pool, w->index);
    }
    return NULL;
}

NervPool *nerv_pool_new(uint32_t n_threads)
{
    const uint32_t n_cores = g_get_num_processors();
    NervPool *pool = g_aligned_alloc0(1, sizeof *pool, 64);

    if (n_threads == 0)
        n_threads = n_cores;
    n_threads = CLAMP(n_threads, 1, MAX_THREADS);
    g_mutex_init(&pool->lock);
    g_cond_init(&pool->wake);
    g_cond_init(&pool->done);
    atomic_init(&pool->ticket, CLOSED);
    pool->spin_us = n_threads <= n_cores ? SPIN_US : 0;
    pool->workers = g_new0(Worker, n_threads);
    pool->n_threads = 1;
    while (pool->n_threads < n_threads) {
        Worker *w = &pool->workers[pool->n_threads - 1];
        w->pool = pool;
        w->index = pool->n_threads;
        w->thread = g_thread_try_new("nerv", worker_main, w, NULL);
        if (!w->thread)
            break;
        pool->n_threads++;
    }
    return pool;
}

void nerv_pool_free(NervPool *pool)
{
    if (!pool)
        return;
    g_mutex_lock(&pool->lock);
    atomic_store(&pool->quit, true);
    g_cond_broadcast(&pool->wake);
    g_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i + 1 < pool->n_threads; i++)
        g_thread_join(pool->workers[i].thread);
    g_cond_clear(&pool->done);
    g_cond_clear(&pool->wake);
    g_mutex_clear(&pool->lock);
    g_free(pool->workers);
    g_aligned_free(pool);
}

uint32_t nerv_pool_threads(const NervPool *pool)
{
    return pool->n_threads;
}

void nerv_pool_set_cancel(NervPool *pool, const int *cancel)
{
    pool->cancel = cancel;
}

/* All tasks, by the workers and the caller. */
static void run_all(NervPool *pool, uint32_t n_tasks, NervTaskFunc fn, void *arg)
{
    if (pool->n_threads == 1 || n_tasks <= 1) {
        for (uint32_t i = 0; i < n_tasks && !cancelled(pool); i++)
            fn(arg, i, 0);
        return;
    }

    const uint32_t last = (uint32_t)(atomic_load(&pool->ticket) >> 32);
    atomic_store(&pool->ticket, (uint64_t)last << 32 | CLOSED);
    atomic_store_explicit(&pool->fn, fn, memory_order_release);
    atomic_store_explicit(&pool->arg, arg, memory_order_release);
    atomic_store_explicit(&pool->n_tasks, n_tasks, memory_order_release);
    atomic_store(&pool->unfinished, n_tasks);
    atomic_store(&pool->ticket, (uint64_t)(uint32_t)(last + 1) << 32);
    if (atomic_load(&pool->sleepers) > 0) {
        g_mutex_lock(&pool->lock);
        g_cond_broadcast(&pool->wake);
        g_mutex_unlock(&pool->lock);
    }
    work(pool, 0);
    if (spin_done(pool))
        return;
    g_mutex_lock(&pool->lock);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->unfinished) != 0)
        g_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->caller_sleeps, false);
    g_mutex_unlock(&pool->lock);
}

void nerv_pool_run(NervPool *pool, uint32_t n_tasks, NervTaskFunc fn, void *arg)
{
    const uint64_t old = flush_subnormals();

    run_all(pool, n_tasks, fn, arg);
    restore_subnormals(old);
}

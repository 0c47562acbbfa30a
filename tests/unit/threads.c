/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Unit test of base/threads: every task runs exactly once whatever the number of threads, a thread's number
 * is never shared by two running tasks, the pool can be used again and again, and subnormal numbers are zero in
 * tasks and only there.
 */
#include <float.h>
#include <glib.h>

#include "base/threads.h"

#define MAX_TASKS 5000

typedef struct {
    uint32_t n_threads, n_tasks;
    gint runs[MAX_TASKS];
    gint busy[256]; /* by thread number: a task is inside */
    gint clashes, strangers;
} Loop;

static void task_count(void *arg, uint32_t task, uint32_t thread)
{
    Loop *l = arg;
    if (task >= l->n_tasks || thread >= l->n_threads) {
        g_atomic_int_inc(&l->strangers);
        return;
    }
    if (!g_atomic_int_compare_and_exchange(&l->busy[thread], 0, 1))
        g_atomic_int_inc(&l->clashes);
    for (volatile uint32_t i = 0; i < task % 64 * 16; i++) /* tasks of uneven length */
        continue;
    g_atomic_int_inc(&l->runs[task]);
    g_atomic_int_set(&l->busy[thread], 0);
}

static void run_and_check(NervPool *pool, uint32_t n_tasks)
{
    Loop *l = g_new0(Loop, 1);
    l->n_threads = nerv_pool_threads(pool);
    l->n_tasks = n_tasks;
    nerv_pool_run(pool, n_tasks, task_count, l);
    /* Read without atomics: what tasks did must be visible once the call has returned. */
    for (uint32_t i = 0; i < MAX_TASKS; i++)
        g_assert_cmpint(l->runs[i], ==, i < n_tasks);
    g_assert_cmpint(l->clashes, ==, 0);
    g_assert_cmpint(l->strangers, ==, 0);
    g_free(l);
}

static void test_once(void)
{
    static const uint32_t counts[] = { 0, 1, 2, 3, 7, 8, 9, 100, MAX_TASKS };
    for (uint32_t n = 1; n <= 8; n++) {
        NervPool *pool = nerv_pool_new(n);
        g_assert_cmpuint(nerv_pool_threads(pool), ==, n);
        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++)
            run_and_check(pool, counts[i]);
        nerv_pool_free(pool);
    }
}

/* Short loops back to back: the worst case for waking up and going to sleep. */
static void test_again(void)
{
    NervPool *pool = nerv_pool_new(4);
    for (uint32_t i = 0; i < 3000; i++)
        run_and_check(pool, i % 9);
    nerv_pool_free(pool);
}

static void test_sizes(void)
{
    NervPool *all = nerv_pool_new(0), *many = nerv_pool_new(100000);
    g_assert_cmpuint(nerv_pool_threads(all), >=, 1);
    g_assert_cmpuint(nerv_pool_threads(all), <=, MAX(1, g_get_num_processors()));
    g_assert_cmpuint(nerv_pool_threads(many), >=, 1);
    g_assert_cmpuint(nerv_pool_threads(many), <=, 256);
    run_and_check(many, MAX_TASKS);
    nerv_pool_free(all);
    nerv_pool_free(many);
    nerv_pool_free(NULL);
}

typedef struct {
    GArray *order;
} Order;

static void task_order(void *arg, uint32_t task, uint32_t thread)
{
    g_array_append_val(((Order *)arg)->order, task);
}

/* One thread: tasks come one after the other in increasing order. */
static void test_order(void)
{
    NervPool *pool = nerv_pool_new(1);
    Order o = { g_array_new(FALSE, FALSE, sizeof(uint32_t)) };
    nerv_pool_run(pool, 100, task_order, &o);
    g_assert_cmpuint(o.order->len, ==, 100);
    for (uint32_t i = 0; i < 100; i++)
        g_assert_cmpuint(g_array_index(o.order, uint32_t, i), ==, i);
    g_array_unref(o.order);
    nerv_pool_free(pool);
}

#if defined(__SSE2__) || defined(__aarch64__)
static float half(float x)
{
    volatile float least = x; /* not by the compiler */
    return least * .5f;
}

static void task_half(void *arg, uint32_t task, uint32_t thread)
{
    ((float *)arg)[task] = half(FLT_MIN);
}

/* Half the least normal number is none any more; what the caller has set is as before. */
static void test_subnormals(void)
{
    for (uint32_t n = 1; n <= 4; n += 3) {
        NervPool *pool = nerv_pool_new(n);
        float halves[64];
        for (size_t i = 0; i < G_N_ELEMENTS(halves); i++)
            halves[i] = 1.f;
        nerv_pool_run(pool, G_N_ELEMENTS(halves), task_half, halves);
        for (size_t i = 0; i < G_N_ELEMENTS(halves); i++)
            g_assert_cmpfloat(halves[i], ==, 0.f);
        g_assert_cmpfloat(half(FLT_MIN), >, 0.f);
        nerv_pool_free(pool);
    }
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/threads/once", test_once);
    g_test_add_func("/threads/again", test_again);
    g_test_add_func("/threads/sizes", test_sizes);
    g_test_add_func("/threads/order", test_order);
#if defined(__SSE2__) || defined(__aarch64__)
    g_test_add_func("/threads/subnormals", test_subnormals);
#endif
    return g_test_run();
}

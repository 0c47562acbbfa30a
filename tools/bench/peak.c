/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Multiply-add peak, see peak.h. Ten independent accumulators hide the latency of the multiply-add (4 cycles, two a
 * cycle) and stay in registers; each is opaque to the compiler, so that nothing is folded away. Compiled with
 * -ffp-contract=fast, so that a multiplication and an addition become one instruction where there is one.
 */
#include <glib.h>

#include "peak.h"

#define ACCUMULATORS 10
#define ROUNDS       20000

typedef float Vec4 __attribute__((vector_size(16)));
typedef float Vec8 __attribute__((vector_size(32)));
typedef float Vec16 __attribute__((vector_size(64)));

/* Ten variables and not an array, which the compiler would keep in memory. The empty asm makes each value opaque. */
#define FOR_ALL(F)    F(a0) F(a1) F(a2) F(a3) F(a4) F(a5) F(a6) F(a7) F(a8) F(a9)
#define DECLARE(a)    Vec a = y;
#define ACCUMULATE(a) a = a * x + y;
#define HIDE(a)       __asm__ volatile("" : "+x"(a));
#define HIDE_512(a)   __asm__ volatile("" : "+v"(a));
#define SUM(a)        sum += a[0];

/* One task: returns a value that depends on all the work. x slightly under one keeps the numbers normal. */
#define DEFINE_TASK(name, VecType, HIDE_IT, attribute)                                                       \
    attribute static void name(void *arg, uint32_t task, uint32_t thread)                                    \
    {                                                                                                        \
        typedef VecType Vec;                                                                                 \
        const Vec x = (Vec){ 0 } + 0.999f, y = (Vec){ 0 } + 0.001f;                                          \
        float sum = 0;                                                                                       \
        FOR_ALL(DECLARE)                                                                                     \
        for (int r = 0; r < ROUNDS; r++) {                                                                   \
            FOR_ALL(HIDE_IT)                                                                                 \
            FOR_ALL(ACCUMULATE)                                                                              \
        }                                                                                                    \
        FOR_ALL(SUM)                                                                                         \
        ((float *)arg)[thread] = sum;                                                                        \
    }

#if defined(__x86_64__)
DEFINE_TASK(peak_baseline, Vec4, HIDE, )
DEFINE_TASK(peak_avx2, Vec8, HIDE, __attribute__((target("avx2,fma"))))
DEFINE_TASK(peak_avx512, Vec16, HIDE_512, __attribute__((target("avx512f"))))
#elif defined(__aarch64__)
#define HIDE_PORTABLE(a) __asm__ volatile("" : "+w"(a));
DEFINE_TASK(peak_baseline, Vec4, HIDE_PORTABLE, )
#endif

static const struct {
    NervTaskFunc run;
    uint32_t lanes;
} levels[NERV_CPU_N_LEVELS] = {
#if defined(__x86_64__) || defined(__aarch64__)
    [NERV_CPU_BASELINE] = { peak_baseline, 4 },
#endif
#if defined(__x86_64__)
    [NERV_CPU_AVX2] = { peak_avx2, 8 },
    [NERV_CPU_AVX512] = { peak_avx512, 16 },
#endif
};

BenchRate bench_peak_gmacs(NervCpuLevel level, NervPool *pool, double seconds)
{
    float sink[256];
    double spent = 0, done = 0;
    BenchRate rate = { 0, 0 };
    const uint32_t n_tasks = 64 * nerv_pool_threads(pool);
    if (level > nerv_cpu_level_hardware() || !levels[level].run)
        return rate;
    const double macs = (double)n_tasks * ROUNDS * ACCUMULATORS * levels[level].lanes;
    while (spent < seconds) {
        const gint64 start = g_get_monotonic_time();
        nerv_pool_run(pool, n_tasks, levels[level].run, sink);
        const double s = (double)(g_get_monotonic_time() - start) * 1e-6;
        rate.best = MAX(rate.best, macs / s * 1e-9);
        spent += s;
        done += macs;
    }
    rate.mean = spent > 0 ? done / spent * 1e-9 : 0;
    return rate;
}

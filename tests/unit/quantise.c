/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * quantise beside the codec and the mathematics: weights are those that the stream gives back, bit by bit, at every CPU level and
 * halfway between indices too; bits is the entropy of the distribution that it names, its gradient that of a smooth
 * function, and the estimator for the rounding follows its formula.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "codec/quant.h"
#include "cpu/cpu.h"
#include "ops/ops.h"

#define N_LIMITS G_N_ELEMENTS(limits)
static const int limits[] = { 1, 3, 127, 2047, NERV_INDEX_MAX };

/* One node on made-up memory: leaves as PARAM, values by hand. */
typedef struct {
    NervTape *tape;
    const NervNode *node;
} Alone;

static NervTensor *leaf(NervTape *tape, NervShape s)
{
    return nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_F32, s, NULL);
}

static Alone alone(NervShape w, NervShape s, int max_index, bool dx)
{
    NervTape *tape = nerv_tape_new();
    NervTensor *wt = leaf(tape, w), *st = leaf(tape, s), *mode = leaf(tape, nerv_shape(1, 4, 1, 1)), *out;
    if (dx)
        out = nerv_fake_quantise_dx(tape, leaf(tape, w), leaf(tape, nerv_shape(1, 1, 1, 1)), wt, st, mode,
                                    max_index);
    else
        out = nerv_fake_quantise(tape, wt, st, mode, max_index);
    g_assert_nonnull(out);
    return (Alone){ tape, out->node };
}

static const float on[4] = { 1 };

static float forward(NervShape w, NervShape s, int max_index, const float *weights, const float *steps,
                     float *y)
{
    Alone a = alone(w, s, max_index, false);
    float bits = -1;
    const NervArgs args = { .in = { weights, steps, on }, .out = { y, &bits } };
    a.node->op->ref(a.node, &args);
    nerv_tape_free(a.tape);
    return bits;
}

static void backward(NervShape w, NervShape s, int max_index, const float *dy, float dbits,
                     const float *weights, const float *steps, float *dw, float *ds)
{
    Alone a = alone(w, s, max_index, true);
    const NervArgs args = { .in = { dy, &dbits, weights, steps, on }, .out = { dw, ds } };
    a.node->op->ref(a.node, &args);
    nerv_tape_free(a.tape);
}

/* --- steps and weights are the stream's --- */

static void test_codes(void)
{
    /* Where s is integral the step is 2^s; elsewhere it is the code's whose place on the axis is nearest. */
    for (int s = -76; s <= 50; s++)
        g_assert_cmpfloat(nerv_quant_step(nerv_quant_log2_code((float)s)), ==, ldexpf(1, s));
    for (uint32_t code = 1; code < NERV_STEP_CODES; code++) {
        const float s = (float)code / 16 - 77;
        g_assert_cmpuint(nerv_quant_log2_code(s), ==, code);
        g_assert_cmpuint(nerv_quant_log2_code(s + 0.03f), ==, code);
        g_assert_cmpuint(nerv_quant_log2_code(s - 0.03f), ==, code);
        g_assert_cmpfloat(fabs(log2(nerv_quant_step(code)) - s), <, 0.0861); /* the chord's distance */
    }
    g_assert_cmpuint(nerv_quant_log2_code(-77), ==, 1);
    g_assert_cmpuint(nerv_quant_log2_code(-INFINITY), ==, 1);
    g_assert_cmpuint(nerv_quant_log2_code(NAN), ==, 1);
    g_assert_cmpuint(nerv_quant_log2_code(51), ==, NERV_STEP_CODES - 1);
    g_assert_cmpuint(nerv_quant_log2_code(INFINITY), ==, NERV_STEP_CODES - 1);
}

/* Weights on and beside every place where an index changes, then some at random, some clipped. */
#define N_WEIGHTS 1021
static void fill_edges(NervRng *rng, float *w, float step, int max_index)
{
    for (int i = 0; i < N_WEIGHTS; i++) {
        const float edge = ((float)nerv_rng_below(rng, (uint32_t)max_index + 2) + 0.5f) * step;
        const float x = i % 4 == 0   ? edge
                        : i % 4 == 1 ? nextafterf(edge, 0)
                        : i % 4 == 2 ? nextafterf(edge, INFINITY)
                                     : 2 * edge * nerv_rng_uniform(rng, 0, 1);
        w[i] = nerv_rng_below(rng, 2) ? -x : x;
    }
}

static void check_stored(NervRng *rng, NervPool *pool, float s, int max_index)
{
    static float w[N_WEIGHTS], y[N_WEIGHTS];
    static int16_t index[N_WEIGHTS];
    static double scratch[4];
    const uint32_t code = nerv_quant_log2_code(s);
    const float step = nerv_quant_step(code);
    fill_edges(rng, w, step, max_index);
    nerv_quantise(w, N_WEIGHTS, code, max_index, index);
    Alone a = alone(nerv_shape(1, N_WEIGHTS, 1, 1), nerv_shape(1, 1, 1, 1), max_index, false);
    for (NervCpuLevel level = 0; level <= nerv_cpu_level_hardware(); level++) {
        const NervCpu cpu = { .pool = pool, .level = level, .dsp = nerv_dsp_get(level) };
        float bits;
        const NervArgs args = { .in = { w, &s, on }, .out = { y, &bits }, .scratch = scratch };
        if (cpu.dsp) {
            g_assert_cmpuint(a.node->op->cpu_scratch(a.node, &cpu), <=, sizeof scratch);
            a.node->op->cpu(a.node, &args, &cpu);
        } else {
            a.node->op->ref(a.node, &args);
        }
        for (int i = 0; i < N_WEIGHTS; i++) {
            const double exact = fmin(floor(fabs((double)w[i]) / step + 0.5), max_index);
            g_assert_cmpfloat(y[i], ==, (float)index[i] * step);
            g_assert_cmpfloat(abs(index[i]), ==, exact);
        }
    }
    nerv_tape_free(a.tape);
}

static void test_stored(void)
{
    NervRng rng;
    NervPool *pool = nerv_pool_new(1);
    nerv_rng_init(&rng, 3);
    for (int i = 0; i < 60; i++)
        check_stored(&rng, pool, nerv_rng_uniform(&rng, -30, 10), limits[i % N_LIMITS]);
    check_stored(&rng, pool, -77, 127);
    check_stored(&rng, pool, 60, 127);
    nerv_pool_free(pool);
}

/* --- the code length --- */

/* The entropy of p(k) = (1-theta)/(1+theta) theta^|k|, term by term, theta by bisection from the mean magnitude. */
static double entropy(double m)
{
    double lo = 0, hi = 1;
    for (int i = 0; i < 200; i++) {
        const double theta = (lo + hi) / 2;
        *(2 * theta / ((1 - theta) * (1 + theta)) < m ? &lo : &hi) = theta;
    }
    const double zero = (1 - lo) / (1 + lo);
    double sum = -zero * log2(zero), p = zero * lo;
    for (int k = 1; k < 1000000 && p > 1e-30; k++, p *= lo)
        sum -= 2 * p * log2(p);
    return sum;
}

static void test_bits(void)
{
    float w[6], y[6];
    const float s[2] = { -3, 2 };
    for (double m = 1e-3; m < 5000; m *= 3) {
        /* Two rows of three weights of mean magnitude m steps. */
        for (int i = 0; i < 6; i++)
            w[i] = (float)(m * exp2(s[i / 3]) * (i % 3 == 0 ? 0.25 : i % 3 == 1 ? -2 : 0.75));
        const float bits = forward(nerv_shape(2, 3, 1, 1), nerv_shape(2, 1, 1, 1), 127, w, s, y);
        g_assert_cmpfloat(fabs(bits / (6 * entropy(m)) - 1), <, 1e-5);
    }
    for (int i = 0; i < 6; i++)
        w[i] = 0;
    const float none = forward(nerv_shape(2, 3, 1, 1), nerv_shape(2, 1, 1, 1), 127, w, s, y);
    g_assert_cmpfloat(fabs(none / (6 * entropy(1e-3)) - 1), <, 1e-5);
}

/* The three ways to group w[N,C,H,W], and which group and step element i belongs to. */
enum { ROWS, CHANNELS, ALL, N_WAYS };
static const NervShape shape = { 3, 4, 5, 2 };
#define COUNT     120
#define MAX_STEPS 4

static NervShape steps_shape(int way)
{
    return nerv_shape(way == ROWS ? shape.n : 1, way == CHANNELS ? shape.c : 1, 1, 1);
}

static int group_of(int way, int i)
{
    return way == ROWS ? i / 40 : way == CHANNELS ? i / 10 : 0;
}

static int step_index(int way, int i)
{
    return way == CHANNELS ? group_of(way, i) % shape.c : group_of(way, i);
}

/* Its mean index before rounding, for steps that are exactly 2^s. */
static double mean_of(int way, const double *w, const double *s, int group)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < COUNT; i++)
        if (group_of(way, i) == group) {
            sum += fabs(w[i]) / exp2(s[step_index(way, i)]);
            n++;
        }
    return fmax(sum / n, 1e-3);
}

static double smooth_bits(int way, const double *w, const double *s)
{
    double sum = 0;
    for (int i = 0; i < COUNT; i++)
        sum += entropy(mean_of(way, w, s, group_of(way, i)));
    return sum;
}

static void test_bits_gradient(void)
{
    const float zeros[COUNT] = { 0 };
    NervRng rng;
    nerv_rng_init(&rng, 5);
    for (int way = 0; way < N_WAYS; way++) {
        float w[COUNT], s[MAX_STEPS], dw[COUNT], ds[MAX_STEPS];
        double wd[COUNT], sd[MAX_STEPS];
        const int n_steps = (int)nerv_shape_count(steps_shape(way));
        for (int i = 0; i < COUNT; i++)
            wd[i] = w[i] = copysignf(nerv_rng_uniform(&rng, 0.01f, 1), nerv_rng_uniform(&rng, -1, 1));
        for (int j = 0; j < n_steps; j++)
            sd[j] = s[j] = (float)(j - 3); /* where the stream's steps are exact powers */
        backward(shape, steps_shape(way), 7, zeros, 0.5f, w, s, dw, ds);
        for (int i = 0; i < COUNT; i += 7) {
            const double e = 1e-4, old = wd[i];
            wd[i] = old + e;
            const double hi = smooth_bits(way, wd, sd);
            wd[i] = old - e;
            const double lo = smooth_bits(way, wd, sd);
            wd[i] = old;
            g_assert_cmpfloat(fabs(dw[i] / (0.5 * (hi - lo) / (2 * e)) - 1), <, 1e-4);
        }
        for (int j = 0; j < n_steps; j++) {
            const double e = 1e-3, old = sd[j];
            sd[j] = old + e;
            const double hi = smooth_bits(way, wd, sd);
            sd[j] = old - e;
            const double lo = smooth_bits(way, wd, sd);
            sd[j] = old;
            g_assert_cmpfloat(fabs(ds[j] / (0.5 * (hi - lo) / (2 * e)) - 1), <, 1e-4);
        }
    }
}

/* --- the estimator --- */

static void test_estimator(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 7);
    for (int way = 0; way < N_WAYS; way++) {
        const int max_index = 5, n_steps = (int)nerv_shape_count(steps_shape(way));
        float w[COUNT], s[MAX_STEPS], dy[COUNT], dw[COUNT], ds[MAX_STEPS];
        double want[MAX_STEPS] = { 0 }, scale[MAX_STEPS] = { 0 };
        int n_clipped = 0;
        for (int j = 0; j < n_steps; j++)
            s[j] = nerv_rng_uniform(&rng, -4, -3);
        for (int i = 0; i < COUNT; i++) {
            w[i] = nerv_rng_uniform(&rng, -1, 1);
            dy[i] = nerv_rng_uniform(&rng, -1, 1);
        }
        w[11] = 0;
        backward(shape, steps_shape(way), max_index, dy, 0, w, s, dw, ds);
        for (int i = 0; i < COUNT; i++) {
            const int j = step_index(way, i);
            const double step = nerv_quant_step(nerv_quant_log2_code(s[j])), v = w[i] / step;
            const bool clipped = fabs(v) > max_index;
            n_clipped += clipped;
            g_assert_cmpfloat(dw[i], ==, clipped && signbit(dy[i]) != signbit(w[i]) ? 0 : dy[i]);
            const double slope = clipped ? copysign(max_index, v) : round(v) - v;
            want[j] += log(2) * step * dy[i] * slope;
            scale[j] += fabs(step * dy[i] * slope);
        }
        for (int j = 0; j < n_steps; j++)
            g_assert_cmpfloat(fabs(ds[j] - want[j]), <=, 1e-6 * scale[j]);
        g_assert_cmpint(n_clipped, >, 10);
        g_assert_cmpint(n_clipped, <, COUNT - 10);
    }
}

/* What the tape makes of it: either output alone, and no second order. */
static void test_tape(void)
{
    for (int which = 0; which < 2; which++) {
        NervTape *tape = nerv_tape_new();
        NervTensor *w = leaf(tape, shape), *s = leaf(tape, steps_shape(ROWS));
        NervTensor *mode = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), NULL);
        NervTensor *y = nerv_fake_quantise(tape, w, s, mode, 7), *d[2], *dd;
        NervTensor *loss = nerv_reduce_sum(tape, y->node->out[which], NERV_AXIS_ALL, 1);
        GError *error = NULL;
        nerv_tape_grad(tape, loss, (NervTensor *[]){ w, s }, 2, d);
        g_assert_true(nerv_tape_check(tape, &error));
        g_assert_true(nerv_shape_equal(d[0]->shape, shape) && nerv_shape_equal(d[1]->shape, s->shape));
        nerv_tape_grad(tape, nerv_reduce_sum(tape, d[0], NERV_AXIS_ALL, 1), &w, 1, &dd);
        g_assert_false(nerv_tape_check(tape, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "quantise_dx"));
        g_clear_error(&error);
        nerv_tape_free(tape);
    }
}

/* Steps that fit nothing, and limits out of range. */
static void test_refused(void)
{
    static const struct {
        NervShape s;
        int max_index;
    } bad[] = { { { 2, 1, 1, 1 }, 7 }, { { 1, 3, 1, 1 }, 7 }, { { 3, 4, 1, 1 }, 7 },
                { { 1, 1, 5, 1 }, 7 }, { { 1, 1, 1, 1 }, 0 }, { { 1, 1, 1, 1 }, NERV_INDEX_MAX + 1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        NervTape *tape = nerv_tape_new();
        GError *error = NULL;
        NervTensor *mode = leaf(tape, nerv_shape(1, 4, 1, 1));
        g_assert_null(
            nerv_fake_quantise(tape, leaf(tape, shape), leaf(tape, bad[i].s), mode, bad[i].max_index));
        g_assert_false(nerv_tape_check(tape, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "op quantise"));
        g_clear_error(&error);
        nerv_tape_free(tape);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/quantise/codes", test_codes);
    g_test_add_func("/quantise/stored", test_stored);
    g_test_add_func("/quantise/bits", test_bits);
    g_test_add_func("/quantise/bits-gradient", test_bits_gradient);
    g_test_add_func("/quantise/estimator", test_estimator);
    g_test_add_func("/quantise/tape", test_tape);
    g_test_add_func("/quantise/refused", test_refused);
    return g_test_run();
}

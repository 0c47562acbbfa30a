/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Quantiser steps and indices: the table of steps, exact products, errors within half a step, and that the search for a
 * step is worth its name.
 */
#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "codec/quant.h"

#include <glib.h>

static void test_steps(void)
{
    g_assert_cmpfloat(nerv_quant_step(0), ==, 0);
    g_assert_cmpfloat(nerv_quant_step(1), ==, 17 * 0x1p-81f);
    g_assert_cmpfloat(nerv_quant_step(NERV_STEP_MIDDLE), ==, 0x1p-10f);
    g_assert_cmpfloat(nerv_quant_step(NERV_STEP_CODES - 1), ==, 31 * 0x1p46f);
    for (uint32_t code = 1; code < NERV_STEP_CODES; code++) {
        const float step = nerv_quant_step(code);
        g_assert_cmpfloat(step, >, nerv_quant_step(code - 1));
        g_assert_cmpfloat(step, >=, FLT_MIN); /* never subnormal: machines differ there */
        if (code > 1)
            g_assert_cmpfloat(step, <=, nerv_quant_step(code - 1) * 1.0626);
        g_assert_cmpuint(nerv_quant_code(step), ==, code);
        g_assert_cmpuint(nerv_quant_code(nextafterf(step, 0)), ==, code);
        g_assert_cmpuint(nerv_quant_code(nextafterf(step, INFINITY)), ==, MIN(code + 1, NERV_STEP_CODES - 1));
    }
    g_assert_cmpuint(nerv_quant_code(0), ==, 1);
    g_assert_cmpuint(nerv_quant_code(FLT_TRUE_MIN), ==, 1);
    g_assert_cmpuint(nerv_quant_code(FLT_MAX), ==, NERV_STEP_CODES - 1);
}

/* index * step in a float is the real product, so no machine can differ. */
static void test_exact(void)
{
    for (uint32_t code = 1; code < NERV_STEP_CODES; code += 7)
        for (int index = -2047; index <= 2047; index += 13) {
            const volatile float product = (float)index * nerv_quant_step(code);
            g_assert_true((double)product == (double)index * (double)nerv_quant_step(code));
        }
}

static float normal(NervRng *rng)
{
    const double u = nerv_rng_uniform(rng, 1e-7f, 1), v = nerv_rng_uniform(rng, 0, 1);
    return (float)(sqrt(-2 * log(u)) * cos(2 * G_PI * v));
}

static void fill(NervRng *rng, float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = scale * normal(rng);
}

static void test_indices(void)
{
    NervRng rng;
    float x[301], scale = 1e-20f;
    int16_t index[301];
    nerv_rng_init(&rng, 1);
    for (int round = 0; round < 400; round++, scale *= 1.2f) {
        const int32_t max_index = (1 << (1 + nerv_rng_below(&rng, 11))) - 1;
        const size_t n = 1 + nerv_rng_below(&rng, G_N_ELEMENTS(x));
        fill(&rng, x, n, scale);
        const uint32_t code = nerv_quant_fit(x, n, max_index);
        const float step = nerv_quant_step(code);
        double sum = 0;
        nerv_quantise(x, n, code, max_index, index);
        for (size_t i = 0; i < n; i++) {
            const double error = fabs((double)x[i] - (double)index[i] * step);
            g_assert_cmpint(ABS(index[i]), <=, max_index);
            if (ABS(index[i]) < max_index)
                g_assert_cmpfloat(error, <=, step * .500001);
            else /* clipped: towards zero only */
                g_assert_cmpfloat(fabs(x[i]), >=, step * (max_index - .500001));
            sum += error * error;
        }
        g_assert_cmpfloat(fabs(sum - nerv_quant_error(x, n, code, max_index)), <=,
                          2e-3 * sum + 1e-3 * step * step);
    }
}

static void test_special_rows(void)
{
    const float zeros[5] = { 0, -0.f, 0, 0, 0 };
    const float one[5] = { 0, 0, 0, -3e-5f, 0 };
    const float tiny[2] = { FLT_TRUE_MIN, -FLT_MIN };
    const float large[3] = { NERV_QUANT_MAX_VALUE, -NERV_QUANT_MAX_VALUE, 1 };
    int16_t index[5];
    g_assert_cmpuint(nerv_quant_fit(zeros, 5, 127), ==, 0);
    nerv_quantise(zeros, 5, 0, 127, index);
    for (int i = 0; i < 5; i++)
        g_assert_cmpint(index[i], ==, 0);
    uint32_t code = nerv_quant_fit(one, 5, 127);
    nerv_quantise(one, 5, code, 127, index);
    g_assert_cmpint(index[0], ==, 0);
    g_assert_cmpfloat(fabsf(index[3] * nerv_quant_step(code) / -3e-5f - 1), <, .005f);
    code = nerv_quant_fit(tiny, 2, 127);
    nerv_quantise(tiny, 2, code, 127, index);
    g_assert_cmpint(index[0], ==, 0);
    for (int32_t max_index = 1; max_index < 2048; max_index = max_index * 2 + 1) {
        code = nerv_quant_fit(large, 3, max_index);
        nerv_quantise(large, 3, code, max_index, index);
        g_assert_cmpfloat(fabsf(index[0] * nerv_quant_step(code) / NERV_QUANT_MAX_VALUE - 1), <,
                          .5f / (float)max_index + .05f);
        g_assert_cmpint(index[1], ==, -index[0]);
    }
}

/* Clipping pays at few bits: the search must find it, and never do worse than the step that clips nothing. */
static void test_search(void)
{
    NervRng rng;
    g_autofree float *x = g_new(float, 2000);
    nerv_rng_init(&rng, 2);
    for (unsigned bits = 2; bits <= 8; bits++) {
        const int32_t max_index = (1 << (bits - 1)) - 1;
        fill(&rng, x, 2000, .1f);
        float peak = 0;
        for (int i = 0; i < 2000; i++)
            peak = fmaxf(peak, fabsf(x[i]));
        const uint32_t code = nerv_quant_fit(x, 2000, max_index);
        const double found = nerv_quant_error(x, 2000, code, max_index);
        const double plain = nerv_quant_error(x, 2000, nerv_quant_code(peak / (float)max_index), max_index);
        double best = found;
        for (uint32_t c = code > 100 ? code - 100 : 1; c < code + 100; c++)
            best = MIN(best, nerv_quant_error(x, 2000, c, max_index));
        g_test_message("%u bits: %.2f dB better than without clipping, best %.2f", bits,
                       10 * log10(plain / found), 10 * log10(plain / best));
        g_assert_cmpfloat(found, <=, plain);
        g_assert_cmpfloat(found, <=, best * 1.01);
        if (bits <= 4)
            g_assert_cmpfloat(10 * log10(plain / found), >, 1.5);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/quant/steps", test_steps);
    g_test_add_func("/quant/exact", test_exact);
    g_test_add_func("/quant/indices", test_indices);
    g_test_add_func("/quant/special-rows", test_special_rows);
    g_test_add_func("/quant/search", test_search);
    return g_test_run();
}

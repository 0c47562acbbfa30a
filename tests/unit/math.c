/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Accuracy of the vectorised elementary functions, at every CPU level that this machine has, against the C library in
 * double: the errors that src/cpu/vmath.h states, over dense sweeps with many exponents, and the special values.
 * checkop compares the ops that use them; here the bounds are tight and the arguments reach further.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu/dsp.h"
#include "ops/ops.h"

#define N 200003 /* not a multiple of any vector */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double cdf(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

static double pdf(double x)
{
    return exp(-0.5 * x * x) / sqrt(2 * M_PI);
}

static double gelu(double x)
{
    return x * cdf(x);
}
static double gelu1(double x)
{
    return cdf(x) + x * pdf(x);
}
static double gelu2(double x)
{
    return pdf(x) * (2 - x * x);
}
static double silu(double x)
{
    return x * sigmoid(x);
}
static double silu1(double x)
{
    return sigmoid(x) * (1 + x * sigmoid(-x));
}
static double silu2(double x)
{
    return sigmoid(x) * sigmoid(-x) * (2 + x * (sigmoid(-x) - sigmoid(x)));
}
static double minus_sin(double x)
{
    return -sin(x);
}
static double sigmoid1(double x)
{
    return sigmoid(x) * sigmoid(-x);
}
static double sigmoid2(double x)
{
    return sigmoid(x) * sigmoid(-x) * (sigmoid(-x) - sigmoid(x));
}
static double tanh1(double x)
{
    return 1 / (cosh(x) * cosh(x));
}
static double tanh2(double x)
{
    return -2 * tanh(x) * tanh1(x);
}
static double tanh01(double x)
{
    return sigmoid(2 * x);
}
static double tanh011(double x)
{
    return 0.5 * tanh1(x);
}
static double tanh012(double x)
{
    return -tanh(x) * tanh1(x);
}

/* Function, derivative order, and the allowed |error|: abs + ulp * 2^-24 * |exact|. */
typedef struct {
    int act, order;
    double (*exact)(double);
    double abs, ulp;
} Bound;

static const Bound bounds[] = {
    { NERV_ACT_GELU, 0, gelu, 1.2e-7, 2 },
    { NERV_ACT_GELU, 1, gelu1, 2e-7, 2 },
    { NERV_ACT_GELU, 2, gelu2, 2e-7, 2 },
    { NERV_ACT_SILU, 0, silu, 1.2e-7, 4 },
    { NERV_ACT_SILU, 1, silu1, 2e-7, 2 },
    { NERV_ACT_SILU, 2, silu2, 2e-7, 2 },
    { NERV_ACT_SIN, 0, sin, 1.4e-7, 0 },
    { NERV_ACT_SIN, 1, cos, 1.4e-7, 0 },
    { NERV_ACT_SIN, 2, minus_sin, 1.4e-7, 0 },
    { NERV_ACT_SIGMOID, 0, sigmoid, 1.2e-7, 0 },
    { NERV_ACT_SIGMOID, 1, sigmoid1, 1.2e-7, 0 },
    { NERV_ACT_SIGMOID, 2, sigmoid2, 1.2e-7, 0 },
    { NERV_ACT_TANH, 0, tanh, 0, 6 },
    { NERV_ACT_TANH, 1, tanh1, 4e-7, 0 },
    { NERV_ACT_TANH, 2, tanh2, 8e-7, 0 },
    { NERV_ACT_TANH01, 0, tanh01, 1.2e-7, 0 },
    { NERV_ACT_TANH01, 1, tanh011, 2e-7, 0 },
    { NERV_ACT_TANH01, 2, tanh012, 4e-7, 0 },
};

static void evaluate(const NervMathDsp *dsp, const Bound *b, float *y, const float *x, const float *ones,
                     size_t n)
{
    if (b->order == 0)
        dsp->act(y, x, n, b->act);
    else if (b->order == 1)
        dsp->act_dx(y, ones, x, n, b->act);
    else
        dsp->act_dxx(y, ones, ones, x, n, b->act);
}

/* Arguments: a fine grid over [-12, 12], the same far out, and every binary exponent from 2^-40 to 2^12. */
static void fill(float *x)
{
    for (int i = 0; i < N; i++) {
        const double t = (double)i / (N - 1);
        if (i % 3 == 0)
            x[i] = (float)(24 * t - 12);
        else if (i % 3 == 1)
            x[i] = (float)(200 * t - 100);
        else
            x[i] = (float)((i & 1 ? -1 : 1) * exp2(52 * t - 40));
    }
}

static void test_accuracy(gconstpointer data)
{
    const NervMathDsp *dsp = &nerv_dsp_get(GPOINTER_TO_INT(data))->math;
    float *x = g_new(float, N), *y = g_new(float, N), *ones = g_new(float, N);
    fill(x);
    for (int i = 0; i < N; i++)
        ones[i] = 1.0f;
    for (size_t k = 0; k < G_N_ELEMENTS(bounds); k++) {
        const Bound *b = &bounds[k];
        double worst = 0, worst_ulp = 0;
        int n_bad = 0, at = 0;
        evaluate(dsp, b, y, x, ones, N);
        for (int i = 0; i < N; i++) {
            const double exact = b->exact(x[i]), error = fabs(y[i] - exact);
            n_bad += !(error <= b->abs + b->ulp * 0x1p-24 * fabs(exact) + FLT_MIN);
            if (!(error <= worst)) {
                worst = error;
                at = i;
            }
            if (fabs(exact) > 1e-3)
                worst_ulp = fmax(worst_ulp, error / fabs(exact) * 0x1p24);
        }
        g_test_message(
            "%s, derivative %d: %d bad, worst error %.3g at %.8g; where above 1e-3, %.3g of 2^-24 relative",
            nerv_act_name(b->act), b->order, n_bad, worst, x[at], worst_ulp);
        g_assert_cmpint(n_bad, ==, 0);
    }
    g_free(x);
    g_free(y);
    g_free(ones);
}

/* Values where clamps and bit tricks could go wrong. NaN must come out as NaN: a fit that has diverged must show. */
static void test_special(gconstpointer data)
{
    const NervMathDsp *dsp = &nerv_dsp_get(GPOINTER_TO_INT(data))->math;
    static const float x[] = { 0.0f,   -0.0f,   1e-30f, -1e-30f, 88.0f,  -88.0f,  127.0f,   -127.0f,
                               500.0f, -500.0f, 3e18f,  -3e18f,  1e-42f, -1e-42f, 12000.0f, 123456.0f };
    const float ones[G_N_ELEMENTS(x)] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    for (size_t k = 0; k < G_N_ELEMENTS(bounds); k++) {
        const Bound *b = &bounds[k];
        float y[G_N_ELEMENTS(x)], nan = NAN, result;
        evaluate(dsp, b, y, x, ones, G_N_ELEMENTS(x));
        for (size_t i = 0; i < G_N_ELEMENTS(x); i++) {
            const bool overflows =
                (b->act == NERV_ACT_GELU || b->act == NERV_ACT_SILU) && b->order == 2 && fabsf(x[i]) > 1e18f;
            const double exact = b->exact(x[i]);
            if (!overflows && !(fabs(y[i] - exact) <= b->abs + 8 * 0x1p-24 * fabs(exact)))
                g_error("%s, derivative %d at %g: %.9g, not %.9g", nerv_act_name(b->act), b->order, x[i],
                        y[i], exact);
        }
        evaluate(dsp, b, &result, &nan, ones, 1);
        g_assert_true(isnan(result));
    }
}

/* Every length up to several vectors: nothing is written past the end, and the tail equals what the body computes. */
/* Values and first derivatives of ordinary arguments never are subnormal: a processor takes a hundred cycles for each. */
static void test_subnormal(gconstpointer data)
{
    const NervMathDsp *dsp = &nerv_dsp_get(GPOINTER_TO_INT(data))->math;
    g_autofree float *x = g_new(float, N), *y = g_new(float, N), *ones = g_new(float, N);
    for (int i = 0; i < N; i++) {
        x[i] = (float)(i - N / 2) * (160.0f / N);
        ones[i] = 1.0f;
    }
    for (size_t k = 0; k < G_N_ELEMENTS(bounds); k++) {
        const Bound *b = &bounds[k];
        if (b->order == 2)
            continue;
        evaluate(dsp, b, y, x, ones, N);
        for (int i = 0; i < N; i++) {
            if (fpclassify(y[i]) == FP_SUBNORMAL)
                g_error("%s, derivative %d at %g: %g", nerv_act_name(b->act), b->order, x[i], y[i]);
        }
    }
}

static void test_lengths(gconstpointer data)
{
    const NervMathDsp *dsp = &nerv_dsp_get(GPOINTER_TO_INT(data))->math;
    float x[200], whole[200], part[200];
    for (int i = 0; i < 200; i++)
        x[i] = 0.05f * i - 4.0f;
    for (int act = 0; act < NERV_ACT_N; act++) {
        dsp->act(whole, x, 200, act);
        for (int n = 0; n < 140; n++) {
            for (int i = 0; i < 200; i++)
                part[i] = 77.0f;
            dsp->act(part, x, n, act);
            for (int i = 0; i < 200; i++)
                g_assert_true(part[i] == (i < n ? whole[i] : 77.0f));
        }
        memcpy(part, x, sizeof part);
        dsp->act(part, part, 200, act);
        g_assert_cmpmem(part, sizeof part, whole, sizeof whole);
    }
}

/* Sums of many floats stay within a few ulp of the exact one. */
static void test_sums(gconstpointer data)
{
    const NervMathDsp *dsp = &nerv_dsp_get(GPOINTER_TO_INT(data))->math;
    float *a = g_new(float, N), *b = g_new(float, N);
    for (size_t n = 0; n <= N; n = n < 150 ? n + 1 : n * 3 + 1) {
        double sum = 0, l1 = 0, mse = 0;
        for (size_t i = 0; i < n; i++) {
            a[i] = (float)fmod(i * 0.618, 1.0);
            b[i] = (float)fmod(i * 0.414, 1.0);
            sum += a[i];
            l1 += fabs((double)a[i] - b[i]);
            mse += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        }
        g_assert_cmpfloat(fabs(dsp->sum(a, n) - sum), <=, 4e-7 * sum);
        g_assert_cmpfloat(fabs(dsp->l1(a, b, n) - l1), <=, 4e-7 * l1);
        g_assert_cmpfloat(fabs(dsp->mse(a, b, n) - mse), <=, 4e-7 * mse);
    }
    g_free(a);
    g_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (NervCpuLevel level = NERV_CPU_BASELINE; level <= nerv_cpu_level_hardware(); level++) {
        static const struct {
            const char *name;
            GTestDataFunc run;
        } tests[] = { { "accuracy", test_accuracy },
                      { "special", test_special },
                      { "subnormal", test_subnormal },
                      { "lengths", test_lengths },
                      { "sums", test_sums } };
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
            char *path = g_strdup_printf("/math/%s/%s", nerv_cpu_level_name(level), tests[i].name);
            g_test_add_data_func(path, GINT_TO_POINTER(level), tests[i].run);
            g_free(path);
        }
    }
    return g_test_run();
}

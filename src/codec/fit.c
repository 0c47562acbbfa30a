/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Least squares over a tensor's neighbourhoods, see fit.h. What counts is not the error's square but its length in bits, which
 * for errors of scale s goes as error / s: each cell weighs 1 / s^2, by the expected error of the round before.
 */
#include "codec/fit.h"

#include <math.h>
#include <string.h>

#define ROUNDS      3
#define SAMPLES     100000 /* cells that the sums are of, about: more would change the third digit */
#define NV          NERV_NEAR_VALUES
#define NE          NERV_NEAR_ERRORS
#define SMOOTHNESS  1e-3 /* of the mean square of neighbours is added to the diagonal */
#define LEAST_ERROR 0.05 /* expected errors are not taken to be much less than it */

/* Normal equations, their lower triangles: of values for the two sets of weights, and of errors. */
typedef struct {
    double values[2][NV][NV], value[2][NV];
    double errors[NE][NE], error[NE];
} Sums;

static void add_values(Sums *s, unsigned set, const int32_t near[NV], double value, double weight)
{
    for (int i = 0; i < NV; i++) {
        const double x = near[i] * weight;
        for (int j = 0; j <= i; j++)
            s->values[set][i][j] += x * near[j];
        s->value[set][i] += x * value;
    }
}

static void add_errors(Sums *s, const int32_t near[NE], double error)
{
    for (int i = 0; i < NE; i++) {
        const double x = near[i];
        for (int j = 0; j <= i; j++)
            s->errors[i][j] += x * near[j];
        s->error[i] += x * error;
    }
}

static void sum_up(Sums *s, NervField *f, const uint16_t *codes, const NervPrediction *p,
                   const int16_t *index)
{
    int32_t near[NV], near_errors[NE];
    const int64_t n = f->n_slabs * f->n_planes * f->height * f->width;
    const int64_t period = n / SAMPLES + 1;
    uint32_t random = 1; /* a fixed distance might go in step with the kernel's size or the grid's */
    int64_t next = 0;
    memset(s, 0, sizeof *s);
    nerv_field_begin(f);
    while (nerv_field_next(f, codes)) {
        const int16_t *v = index + f->first_scalar;
        for (int64_t y = 0; y < f->height && !nerv_field_cancelled(f); y++)
            for (int64_t x = 0; x < f->width; x++, v++) {
                const size_t cell = f->first_cell + (size_t)y * f->stride + (size_t)x;
                nerv_field_errors(f, cell, near_errors);
                nerv_field_values(f, cell, near);
                const int32_t expected = nerv_expected_error(p, near_errors);
                const unsigned set = nerv_prediction_set(expected);
                const int32_t prediction = (nerv_predict(p, set, near) + 256) >> 9;
                if (--next < 0) {
                    const double scale = expected / 1024.0 + LEAST_ERROR;
                    add_values(s, set, near, *v * 8, 1 / (scale * scale));
                    add_errors(s, near_errors, ABS(*v - prediction) * 16);
                    random = random * 1664525 + 1013904223;
                    next = (random >> 8) % (2 * period - 1);
                }
                nerv_field_put(f, cell, *v, prediction);
            }
    }
}

/* Solves a x = b for symmetric a, n <= NV, given as its lower triangle, by Cholesky's decomposition. */
static void solve(const double *a, size_t pitch, const double *b, int n, double *x)
{
    double l[NV][NV], mean = 0;
    for (int i = 0; i < n; i++)
        mean += a[(size_t)i * pitch + (size_t)i] / n;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = a[(size_t)i * pitch + (size_t)j] + (i == j ? SMOOTHNESS * mean + 1e-9 : 0);
            for (int k = 0; k < j; k++)
                sum -= l[i][k] * l[j][k];
            l[i][j] = i == j ? sqrt(fmax(sum, 1e-12)) : sum / l[j][j];
        }
        double sum = b[i];
        for (int k = 0; k < i; k++)
            sum -= l[i][k] * x[k];
        x[i] = sum / l[i][i];
    }
    for (int i = n; i-- > 0;) {
        for (int k = i + 1; k < n; k++)
            x[i] -= l[k][i] * x[k];
        x[i] /= l[i][i];
    }
}

static void fit_values(const Sums *s, unsigned set, int8_t values[NV])
{
    double x[NV];
    solve(&s->values[set][0][0], NV, s->value[set], NV, x);
    for (int i = 0; i < NV; i++)
        values[i] = (int8_t)lrint(CLAMP(x[i] * 64, -NERV_PREDICTION_MAX_VALUE, NERV_PREDICTION_MAX_VALUE));
}

/* No weight may be negative: the most negative one is left out until none is. */
static void fit_errors(const Sums *s, uint8_t errors[NE])
{
    bool used[NE];
    double x[NE] = { 0 };
    memset(used, true, sizeof used);
    for (;;) {
        double a[NE][NE], b[NE], y[NE];
        int at[NE], n = 0, worst = -1;
        for (int i = 0; i < NE; i++)
            if (used[i])
                at[n++] = i;
        for (int i = 0; i < n; i++) {
            b[i] = s->error[at[i]];
            for (int j = 0; j <= i; j++)
                a[i][j] = s->errors[at[i]][at[j]];
        }
        solve(&a[0][0], NE, b, n, y);
        memset(x, 0, sizeof x);
        for (int i = 0; i < n; i++) {
            x[at[i]] = y[i];
            if (y[i] < (worst < 0 ? 0 : y[worst]))
                worst = i;
        }
        if (worst < 0)
            break;
        used[at[worst]] = false;
    }
    for (int i = 0; i < NE; i++)
        errors[i] = (uint8_t)lrint(MIN(x[i] * 32, NERV_PREDICTION_MAX_ERROR));
}

/* Both sets' cells as one. */
static void fit_one(Sums *s, NervPrediction *p)
{
    for (int i = 0; i < NV; i++) {
        for (int j = 0; j <= i; j++)
            s->values[0][i][j] += s->values[1][i][j];
        s->value[0][i] += s->value[1][i];
    }
    fit_values(s, 0, p->values[0]);
    memcpy(p->values[1], p->values[0], sizeof p->values[0]);
    p->mode = NERV_PREDICT_ONE;
}

static double length_of(const NervContext *c, NervField *f, const uint16_t *codes, const NervPrediction *p,
                        const int16_t *index)
{
    NervContext copy = *c;
    NervRangeEncoder e;
    nerv_range_count_begin(&e);
    nerv_context_write_prediction(&copy, &e, p);
    nerv_context_write_indices(&copy, &e, f, codes, p, index);
    return nerv_range_counted(&e);
}

NervPrediction nerv_fit_prediction(const NervContext *c, NervField *f, const uint16_t *codes,
                                   const int16_t *index)
{
    NervPrediction form[4], p = nerv_prediction_plain();
    Sums sums;
    form[0] = form[1] = p;
    for (int round = 0; round < ROUNDS; round++) {
        sum_up(&sums, f, codes, &p, index);
        fit_values(&sums, 0, p.values[0]);
        fit_values(&sums, 1, p.values[1]);
        fit_errors(&sums, p.errors);
        if (round > 0)
            continue;
        memcpy(form[1].errors, p.errors, sizeof p.errors); /* nothing was predicted in the first round */
        form[1].mode = NERV_PREDICT_ERRORS;
    }
    p.mode = NERV_PREDICT_TWO;
    form[2] = form[3] = p;
    fit_one(&sums, &form[2]);
    size_t best = 0;
    double least = INFINITY;
    for (size_t i = 0; i < G_N_ELEMENTS(form); i++) {
        const double bits = length_of(c, f, codes, &form[i], index);
        if (bits < least) {
            least = bits;
            best = i;
        }
    }
    return form[best];
}

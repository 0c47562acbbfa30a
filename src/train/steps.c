/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See steps.h.
 */
#include "train/steps.h"

#include <math.h>

/* The first steps span this many standard deviations of a row's weights on either side, with at most so many indices. */
#define SPREAD  4.
#define INDICES 32
/* A row with clipped weights takes steps coarser by a part of an octave. */
#define WIDENING 0.25f
/* Octaves that all steps may be coarser by, and how near the bits are met. */
#define MOST_SHIFT 3.
#define NEARNESS   .01
#define LEAST_MEAN 1e-3

int32_t nerv_steps_max_index(const NervParam *param, uint32_t bits)
{
    return param->role == NERV_PARAM_BIAS ? NERV_TRAIN_BIAS_INDEX : (1 << (bits - 1)) - 1;
}

/* The weights of a row. */
typedef struct {
    double length, mean, deviation, largest; /* of magnitudes; the deviation from 0 */
} Row;

/* Rows k of a parameter's n_rows. Those of a weight lie one after the other, a grid's channels return with each of its rows. */
static Row look_at_row(const NervParam *p, const float *w, int64_t k, int64_t n_rows)
{
    const int64_t n = nerv_shape_count(p->shape);
    const int64_t run = p->role == NERV_PARAM_GRID ? (int64_t)p->shape.h * p->shape.w : n / n_rows;
    double squares = 0., sum = 0., largest = 0.;
    for (int64_t at = k * run; at < n; at += n_rows * run)
        for (int64_t j = 0; j < run; j++) {
            const double v = fabs((double)w[at + j]);
            sum += v;
            squares += v * v;
            largest = fmax(largest, v);
        }
    const double length = (double)n / (double)n_rows;
    return (Row){ length, sum / length, sqrt(squares / length) + 1e-9, largest };
}

/* Of indices whose mean magnitude is `mean`, in bits an index (ops/quantise.c). */
static double entropy(double mean)
{
    const double m = fmax(mean, LEAST_MEAN);
    return (asinh(m) + m * asinh(1. / m)) / G_LN2;
}

/* Estimated bits of rows in steps that are so many octaves coarser. */
static double bits_of(const Row *rows, const float *steps, int64_t n, double shift)
{
    double bits = 0.;
    for (int64_t i = 0; i < n; i++)
        bits += rows[i].length * entropy(rows[i].mean / exp2(steps[i] + shift));
    return bits;
}

/* rows: of length 0 where the steps are to stay. */
static void coarsen(const Row *rows, int64_t n, double most_bits, float *steps)
{
    double fine = 0., coarse = MOST_SHIFT;
    if (bits_of(rows, steps, n, 0.) <= most_bits)
        return;
    while (coarse - fine > NEARNESS) {
        const double middle = (fine + coarse) / 2.;
        *(bits_of(rows, steps, n, middle) > most_bits ? &fine : &coarse) = middle;
    }
    for (int64_t i = 0; i < n; i++)
        if (rows[i].length > 0.)
            steps[i] += (float)coarse;
}

bool nerv_steps_first(const NervModel *model, uint32_t bits, const float *weights, double most_bits,
                      float *steps)
{
    g_autofree Row *rows = g_try_new(Row, (gsize)nerv_model_steps(model));
    int64_t n = 0;
    if (!rows)
        return false;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int32_t max_index = nerv_steps_max_index(p, bits);
        const bool is_bias = p->role == NERV_PARAM_BIAS;
        const int64_t n_rows = nerv_param_steps(p);
        for (int64_t k = 0; k < n_rows; k++, n++) {
            Row *row = &rows[n];
            *row = look_at_row(p, weights, k, n_rows);
            const int32_t indices = is_bias ? max_index + 1 : MIN(max_index + 1, INDICES);
            steps[n] = (float)log2(fmax(row->deviation * SPREAD / indices, row->largest / max_index));
            if (is_bias)
                row->length = 0.;
        }
        weights += nerv_shape_count(p->shape);
    }
    if (most_bits > 0.)
        coarsen(rows, n, most_bits, steps);
    return true;
}

void nerv_steps_widen(const NervModel *model, uint32_t bits, const float *weights, float *steps)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int32_t max_index = nerv_steps_max_index(p, bits);
        const int64_t n_rows = nerv_param_steps(p);
        for (int64_t k = 0; k < n_rows; k++, steps++)
            if (look_at_row(p, weights, k, n_rows).largest > max_index * exp2((double)*steps))
                *steps += WIDENING;
        weights += nerv_shape_count(p->shape);
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Starts of weights, see start.h.
 */
#include <string.h>

#include "models/start.h"

NervShape nerv_start_shape(const NervParam *param)
{
    NervShape s = param->shape;
    if (param->apart)
        return nerv_shape(0, 0, 0, 0);
    if (param->role == NERV_PARAM_GRID)
        return nerv_shape(1, s.c, 1, 1);
    *(param->role == NERV_PARAM_BIAS ? &s.c : &s.n) /= (int32_t)MAX(param->copies, 1);
    return s;
}

int64_t nerv_start_count(const NervModel *model)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n += nerv_shape_count(nerv_start_shape(&model->params[i]));
    return n;
}

/* The start's value that becomes the parameter's scalar j. */
static int64_t source_of(const NervParam *p, int64_t n_start, int64_t j)
{
    const int64_t cells = p->role == NERV_PARAM_GRID ? (int64_t)p->shape.h * p->shape.w : 1;
    return j / cells % n_start;
}

void nerv_start_expand(const NervModel *model, const float *start, float *weights)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), n_start = nerv_shape_count(nerv_start_shape(p));
        for (int64_t j = 0; j < n; j++)
            weights[j] = n_start ? start[source_of(p, n_start, j)] : 0.f;
        weights += n;
        start += n_start;
    }
}

void nerv_start_sum(const NervModel *model, const float *weights, float *start)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), n_start = nerv_shape_count(nerv_start_shape(p));
        g_autofree double *sum = g_new0(double, (gsize)n_start);
        for (int64_t j = 0; j < n && n_start; j++)
            sum[source_of(p, n_start, j)] += weights[j];
        for (int64_t j = 0; j < n_start; j++)
            start[j] = (float)sum[j];
        weights += n;
        start += n_start;
    }
}

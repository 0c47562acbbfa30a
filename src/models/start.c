/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Starts of weights, see start.h.
 */
#include <string.h>

#include "models/start.h"

NervShape nerv_start_shape(const NervParam *param)
{
    return param->role == NERV_PARAM_GRID ? nerv_shape(1, param->shape.c, 1, 1) : param->shape;
}

int64_t nerv_start_count(const NervModel *model)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n += nerv_shape_count(nerv_start_shape(&model->params[i]));
    return n;
}

void nerv_start_expand(const NervModel *model, const float *start, float *weights)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), cells = (int64_t)p->shape.h * p->shape.w;
        if (p->role == NERV_PARAM_GRID)
            for (int64_t j = 0; j < n; j++)
                weights[j] = start[j / cells % p->shape.c];
        else
            memcpy(weights, start, (size_t)n * sizeof(*weights));
        weights += n;
        start += nerv_shape_count(nerv_start_shape(p));
    }
}

void nerv_start_sum(const NervModel *model, const float *weights, float *start)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), cells = (int64_t)p->shape.h * p->shape.w;
        const int64_t n_start = nerv_shape_count(nerv_start_shape(p));
        if (p->role == NERV_PARAM_GRID) {
            for (int64_t c = 0; c < n_start; c++) {
                double sum = 0.;
                for (int64_t at = c * cells; at < n; at += n_start * cells)
                    for (int64_t j = 0; j < cells; j++)
                        sum += weights[at + j];
                start[c] = (float)sum;
            }
        } else {
            memcpy(start, weights, (size_t)n * sizeof(*start));
        }
        weights += n;
        start += n_start;
    }
}

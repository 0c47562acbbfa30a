/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Starts of weights, see start.h.
 */
#include <string.h>

#include "models/start.h"

int32_t nerv_start_patch(const NervParam *param)
{
    const int32_t side = MIN(param->cell, NERV_START_SIDE);
    return 3 * side * side * (param->shared ? 1 : 2);
}

int32_t nerv_start_features(const NervParam *param)
{
    return param->role == NERV_PARAM_GRID ? 1 + nerv_start_patch(param) : 0;
}

NervShape nerv_start_shape(const NervParam *param)
{
    NervShape s = param->shape;
    if (param->apart)
        return nerv_shape(0, 0, 0, 0);
    if (param->role == NERV_PARAM_GRID)
        return nerv_shape(s.c, nerv_start_features(param), 1, 1);
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

static int64_t count_patches(const NervParam *p)
{
    return (int64_t)nerv_start_patch(p) * p->shape.n * p->shape.h * p->shape.w;
}

int64_t nerv_start_patches_count(const NervModel *model)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n += count_patches(&model->params[i]);
    return n;
}

/* --- one grid --- */

static void expand_grid(const NervParam *p, const float *map, const float *patches, float *grid)
{
    const NervShape s = p->shape;
    const int64_t cells = (int64_t)s.h * s.w;
    const int32_t n_features = nerv_start_features(p);
    for (int32_t r = 0; r < s.n; r++)
        for (int32_t c = 0; c < s.c; c++, grid += cells) {
            const float *m = map + (int64_t)c * n_features;
            for (int64_t i = 0; i < cells; i++)
                grid[i] = m[0];
            for (int32_t k = 1; patches && k < n_features; k++) {
                const float *x = patches + ((int64_t)r * (n_features - 1) + k - 1) * cells;
                for (int64_t i = 0; i < cells; i++)
                    grid[i] += m[k] * x[i];
            }
        }
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0.;
    for (int64_t i = 0; i < n; i++)
        sum += b ? (double)a[i] * b[i] : a[i];
    return sum;
}

static void sum_grid(const NervParam *p, const float *grid, const float *patches, float *map)
{
    const NervShape s = p->shape;
    const int64_t cells = (int64_t)s.h * s.w;
    const int32_t n_features = nerv_start_features(p);
    for (int32_t c = 0; c < s.c; c++)
        for (int32_t k = 0; k < n_features; k++) {
            double sum = 0.;
            for (int32_t r = 0; r < s.n && (k == 0 || patches); r++)
                sum += dot(grid + ((int64_t)r * s.c + c) * cells,
                           k ? patches + ((int64_t)r * (n_features - 1) + k - 1) * cells : NULL, cells);
            *map++ = (float)sum;
        }
}

/* Of a grid's patches, and the 1 in front of each. */
static double features_norm(const NervParam *p, const float *patches)
{
    const double cells = (double)p->shape.n * p->shape.h * p->shape.w;
    return cells + (patches && p->cell > 0 ? dot(patches, patches, count_patches(p)) : 0.);
}

/* --- all parameters --- */

/* The start's value that becomes scalar j of a parameter that is no grid. */
static void expand_copies(const float *start, int64_t n_start, int64_t n, float *weights)
{
    for (int64_t j = 0; j < n; j++)
        weights[j] = n_start ? start[j % n_start] : 0.f;
}

static void sum_copies(const float *weights, int64_t n, int64_t n_start, float *start)
{
    for (int64_t j = 0; j < n_start; j++) {
        double sum = 0.;
        for (int64_t k = j; k < n; k += n_start)
            sum += weights[k];
        start[j] = (float)sum;
    }
}

void nerv_start_expand(const NervModel *model, const float *start, const float *patches, float *weights)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), n_start = nerv_shape_count(nerv_start_shape(p));
        if (n_start && p->role == NERV_PARAM_GRID)
            expand_grid(p, start, patches, weights);
        else
            expand_copies(start, n_start, n, weights);
        weights += n;
        start += n_start;
        patches = patches ? patches + count_patches(p) : NULL;
    }
}

static void sum(const NervModel *model, const float *weights, const float *patches, bool normalised,
                float *start)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), n_start = nerv_shape_count(nerv_start_shape(p));
        const bool is_grid = p->role == NERV_PARAM_GRID;
        if (n_start && is_grid)
            sum_grid(p, weights, patches, start);
        else
            sum_copies(weights, n, n_start, start);
        const double norm = !normalised || !n_start ? 1.
                            : is_grid               ? features_norm(p, patches)
                                                    : (double)n / (double)n_start;
        for (int64_t j = 0; j < n_start; j++)
            start[j] = (float)(start[j] / norm);
        weights += n;
        start += n_start;
        patches = patches ? patches + count_patches(p) : NULL;
    }
}

void nerv_start_sum(const NervModel *model, const float *weights, const float *patches, float *start)
{
    sum(model, weights, patches, false, start);
}

void nerv_start_towards(const NervModel *model, const float *way, const float *patches, float *start)
{
    sum(model, way, patches, true, start);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the mean distances l1 and mse share: y = mean of f(a - b), a scalar, and its gradient dx = g f'(a - b) / n. Each brings
 * its own f as two kernels of the CPU's table and two shaders; the cut into ranges, and with it the order of sums, is here.
 */
#pragma once

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef double (*NervDistanceSum)(const float *a, const float *b, size_t n);
typedef void (*NervDistanceSlope)(float *dx, const float *a, const float *b, size_t n, float g);

typedef struct {
    const float *a, *b;
    float *dx;
    double *part; /* by range */
    NervDistanceSum sum;
    NervDistanceSlope slope;
    size_t n;
    float g;
} NervDistanceJob;

/* --- operands a, b --- */

static inline bool nerv_distance_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_check_alike(node, 0, 1, error) && nerv_infer_float(out, nerv_shape(1, 1, 1, 1));
}

static inline size_t nerv_distance_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_n_ranges(nerv_shape_count(node->in[0]->shape)) * sizeof(double);
}

static inline void nerv_distance_task(void *arg, uint32_t task, uint32_t thread)
{
    const NervDistanceJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->part[task] = job->sum(job->a + at, job->b + at, nerv_range_length(job->n, task));
}

/* `sum` of f over a range. */
static inline void nerv_distance_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu,
                                     NervDistanceSum sum)
{
    NervDistanceJob job = { .a = args->in[0], .b = args->in[1], .part = args->scratch, .sum = sum };
    double total = 0;
    job.n = (size_t)nerv_shape_count(node->in[0]->shape);
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), nerv_distance_task, &job);
    for (uint32_t i = 0; i < nerv_n_ranges(job.n); i++)
        total += job.part[i];
    *(float *)args->out[0] = (float)(total / job.n);
}

static inline uint32_t nerv_distance_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const uint64_t n = (uint64_t)nerv_shape_count(node->in[0]->shape);
    return nerv_dispatch_sum(out, node, caps, n, (float)(1.0 / n));
}

static inline size_t nerv_distance_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    return nerv_sum_scratch((uint64_t)nerv_shape_count(node->in[0]->shape));
}

/* --- operands g, a, b --- */

static inline bool nerv_distance_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_check_alike(node, 1, 2, error) && nerv_check_scalar(node, 0, error) &&
           nerv_infer_float(out, node->in[1]->shape);
}

static inline void nerv_distance_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const NervDistanceJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->slope(job->dx + at, job->a + at, job->b + at, nerv_range_length(job->n, task), job->g);
}

/* `factor`: the constant in f', which `slope` leaves out. */
static inline void nerv_distance_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu,
                                        NervDistanceSlope slope, double factor)
{
    NervDistanceJob job = { .a = args->in[1], .b = args->in[2], .dx = args->out[0], .slope = slope };
    job.n = (size_t)nerv_shape_count(node->in[1]->shape);
    job.g = (float)(factor * *(const float *)args->in[0] / (double)job.n);
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), nerv_distance_dx_task, &job);
}

static inline uint32_t nerv_distance_dx_dispatch(const NervNode *node, const NervVkCaps *caps,
                                                 NervDispatch *out, double factor)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push_float(out, (float)(factor / nerv_shape_count(node->in[1]->shape)));
    return fits;
}

/* The gradient in g: the sum of u f'(a - b) / n, u what flows back. `unit`: the node with 1 for g. */
static inline NervTensor *nerv_distance_dx_dg(NervTape *tape, NervTensor *u, NervTensor *unit)
{
    return nerv_reduce_sum(tape, nerv_mul(tape, u, unit), NERV_AXIS_ALL, 1.0f);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Mean absolute difference, and its gradient l1_dx = g sign(a-b) / n with sign(0) = 0, where g is the scalar
 * gradient of the mean. With respect to b it is the same with a and b exchanged. l1_dx is differentiable in
 * g; in a and b its derivative is zero almost everywhere and is taken to be zero.
 */
#include <math.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

static bool l1_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_check_alike(node, 0, 1, error) && nerv_infer_float(out, nerv_shape(1, 1, 1, 1));
}

static void l1_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *a = args->in[0], *b = args->in[1];
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)a[i] - b[i]);
    *(float *)args->out[0] = (float)(sum / n);
}

typedef struct {
    const float *a, *b;
    float *dx;
    double *part;
    const NervMathDsp *dsp;
    size_t n;
    float g;
} L1Job;

static void l1_task(void *arg, uint32_t task, uint32_t thread)
{
    const L1Job *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->part[task] = job->dsp->l1(job->a + at, job->b + at, nerv_range_length(job->n, task));
}

static size_t l1_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_n_ranges(nerv_shape_count(node->in[0]->shape)) * sizeof(double);
}

static void l1_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    L1Job job = { args->in[0], args->in[1], NULL, args->scratch, &cpu->dsp->math, 0, 0.0f };
    double sum = 0;
    job.n = (size_t)nerv_shape_count(node->in[0]->shape);
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), l1_task, &job);
    for (uint32_t i = 0; i < nerv_n_ranges(job.n); i++)
        sum += job.part[i];
    *(float *)args->out[0] = (float)(sum / job.n);
}

static uint32_t l1_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const uint64_t n = (uint64_t)nerv_shape_count(node->in[0]->shape);
    return nerv_dispatch_sum(out, node, caps, n, (float)(1.0 / n));
}

static size_t l1_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    return nerv_sum_scratch((uint64_t)nerv_shape_count(node->in[0]->shape));
}

static void l1_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                    NervTensor **din)
{
    if (need[0])
        din[0] = nerv_l1_dx(tape, dout[0], node->in[0], node->in[1]);
    if (need[1])
        din[1] = nerv_l1_dx(tape, dout[0], node->in[1], node->in[0]);
}

const NervOp nerv_op_l1 = {
    .name = "l1",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = l1_infer,
    .ref = l1_ref,
    .cpu = l1_cpu,
    .cpu_scratch = l1_cpu_scratch,
    .dispatch = l1_dispatch,
    .vk_scratch = l1_vk_scratch,
    .grad = l1_grad,
    .rtol = 2e-6f,
    .atol = 1e-7f,
};

static bool l1_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_check_alike(node, 1, 2, error) && nerv_check_scalar(node, 0, error) &&
           nerv_infer_float(out, node->in[1]->shape);
}

static void l1_dx_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[1]->shape);
    const float *a = args->in[1], *b = args->in[2];
    const double g = *(const float *)args->in[0] / (double)n;
    float *dx = args->out[0];
    for (int64_t i = 0; i < n; i++)
        dx[i] = (float)(g * ((a[i] > b[i]) - (a[i] < b[i])));
}

static void l1_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const L1Job *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->dsp->l1_dx(job->dx + at, job->a + at, job->b + at, nerv_range_length(job->n, task), job->g);
}

static void l1_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    L1Job job = { args->in[1], args->in[2], args->out[0], NULL, &cpu->dsp->math, 0, 0.0f };
    job.n = (size_t)nerv_shape_count(node->in[1]->shape);
    job.g = (float)(*(const float *)args->in[0] / (double)job.n);
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), l1_dx_task, &job);
}

static uint32_t l1_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push_float(out, (float)(1.0 / nerv_shape_count(node->in[1]->shape)));
    return fits;
}

static void l1_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                       NervTensor **din)
{
    if (!need[0])
        return;
    NervTensor *unit = nerv_l1_dx(tape, nerv_tape_scalar(tape, 1.0f), node->in[1], node->in[2]);
    din[0] = nerv_reduce_sum(tape, nerv_mul(tape, dout[0], unit), NERV_AXIS_ALL, 1.0f);
}

const NervOp nerv_op_l1_dx = {
    .name = "l1_dx",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = l1_dx_infer,
    .ref = l1_dx_ref,
    .cpu = l1_dx_cpu,
    .dispatch = l1_dx_dispatch,
    .grad = l1_dx_grad,
    .rtol = 1e-6f,
};

NervTensor *nerv_l1(NervTape *t, NervTensor *a, NervTensor *b)
{
    return nerv_tape_add(t, &nerv_op_l1, (NervTensor *[]){ a, b }, 2, NULL, 0);
}

NervTensor *nerv_l1_dx(NervTape *t, NervTensor *g, NervTensor *a, NervTensor *b)
{
    return nerv_tape_add(t, &nerv_op_l1_dx, (NervTensor *[]){ g, a, b }, 3, NULL, 0);
}

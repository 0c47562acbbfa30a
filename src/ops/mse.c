/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Mean squared difference, and its gradient mse_dx = 2 g (a-b) / n, where g is the scalar gradient of the
 * mean. With respect to b it is the same with a and b exchanged. mse_dx is differentiable in all its
 * operands.
 */
#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

static bool mse_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_check_alike(node, 0, 1, error) && nerv_infer_float(out, nerv_shape(1, 1, 1, 1));
}

static void mse_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *a = args->in[0], *b = args->in[1];
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)a[i] - b[i];
        sum += d * d;
    }
    *(float *)args->out[0] = (float)(sum / n);
}

typedef struct {
    const float *a, *b;
    float *dx;
    double *part;
    const NervMathDsp *dsp;
    size_t n;
    float g;
} MseJob;

static void mse_task(void *arg, uint32_t task, uint32_t thread)
{
    const MseJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->part[task] = job->dsp->mse(job->a + at, job->b + at, nerv_range_length(job->n, task));
}

static size_t mse_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_n_ranges(nerv_shape_count(node->in[0]->shape)) * sizeof(double);
}

static void mse_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    MseJob job = { args->in[0], args->in[1], NULL, args->scratch, &cpu->dsp->math, 0, 0.0f };
    double sum = 0;
    job.n = (size_t)nerv_shape_count(node->in[0]->shape);
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), mse_task, &job);
    for (uint32_t i = 0; i < nerv_n_ranges(job.n); i++)
        sum += job.part[i];
    *(float *)args->out[0] = (float)(sum / job.n);
}

static uint32_t mse_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const uint64_t n = (uint64_t)nerv_shape_count(node->in[0]->shape);
    return nerv_dispatch_sum(out, node, caps, n, (float)(1.0 / n));
}

static size_t mse_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    return nerv_sum_scratch((uint64_t)nerv_shape_count(node->in[0]->shape));
}

static void mse_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                     NervTensor **din)
{
    if (need[0])
        din[0] = nerv_mse_dx(tape, dout[0], node->in[0], node->in[1]);
    if (need[1])
        din[1] = nerv_mse_dx(tape, dout[0], node->in[1], node->in[0]);
}

const NervOp nerv_op_mse = {
    .name = "mse",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = mse_infer,
    .ref = mse_ref,
    .cpu = mse_cpu,
    .cpu_scratch = mse_cpu_scratch,
    .dispatch = mse_dispatch,
    .vk_scratch = mse_vk_scratch,
    .grad = mse_grad,
    .rtol = 2e-6f,
    .atol = 1e-8f,
};

static bool mse_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_check_alike(node, 1, 2, error) && nerv_check_scalar(node, 0, error) &&
           nerv_infer_float(out, node->in[1]->shape);
}

static void mse_dx_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[1]->shape);
    const float *a = args->in[1], *b = args->in[2];
    const double g = 2.0 * *(const float *)args->in[0] / n;
    float *dx = args->out[0];
    for (int64_t i = 0; i < n; i++)
        dx[i] = (float)(g * ((double)a[i] - b[i]));
}

static void mse_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const MseJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->dsp->mse_dx(job->dx + at, job->a + at, job->b + at, nerv_range_length(job->n, task), job->g);
}

static void mse_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    MseJob job = { args->in[1], args->in[2], args->out[0], NULL, &cpu->dsp->math, 0, 0.0f };
    job.n = (size_t)nerv_shape_count(node->in[1]->shape);
    job.g = (float)(2.0 * *(const float *)args->in[0] / job.n);
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), mse_dx_task, &job);
}

static uint32_t mse_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push_float(out, (float)(2.0 / nerv_shape_count(node->in[1]->shape)));
    return fits;
}

/* With u the gradient of the result: dg = sum of u 2(a-b)/n, da = u 2g/n, db = -da. */
static void mse_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    NervTensor *g = node->in[0], *a = node->in[1], *b = node->in[2];
    if (need[0]) {
        NervTensor *unit = nerv_mse_dx(tape, nerv_tape_scalar(tape, 1.0f), a, b);
        din[0] = nerv_reduce_sum(tape, nerv_mul(tape, dout[0], unit), NERV_AXIS_ALL, 1.0f);
    }
    if (!need[1] && !need[2])
        return;
    NervTensor *slope = nerv_expand(tape, g, a->shape, (float)(2.0 / nerv_shape_count(a->shape)));
    NervTensor *da = nerv_mul(tape, dout[0], slope);
    din[1] = da;
    if (need[2])
        din[2] = nerv_affine(tape, da, -1.0f, 0.0f);
}

const NervOp nerv_op_mse_dx = {
    .name = "mse_dx",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = mse_dx_infer,
    .ref = mse_dx_ref,
    .cpu = mse_dx_cpu,
    .dispatch = mse_dx_dispatch,
    .grad = mse_dx_grad,
    .rtol = 1e-6f,
    .atol = 1e-9f,
};

NervTensor *nerv_mse(NervTape *t, NervTensor *a, NervTensor *b)
{
    return nerv_tape_add(t, &nerv_op_mse, (NervTensor *[]){ a, b }, 2, NULL, 0);
}

NervTensor *nerv_mse_dx(NervTape *t, NervTensor *g, NervTensor *a, NervTensor *b)
{
    return nerv_tape_add(t, &nerv_op_mse_dx, (NervTensor *[]){ g, a, b }, 3, NULL, 0);
}

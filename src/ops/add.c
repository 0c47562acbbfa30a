/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * y = a + b, elementwise, of one shape. Its gradient passes dy to both. Broadcasting is expand's work.
 */
#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

static bool add_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_check_alike(node, 0, 1, error) && nerv_infer_float(out, node->in[0]->shape);
}

static void add_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *a = args->in[0], *b = args->in[1];
    float *y = args->out[0];
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

typedef struct {
    const NervArgs *args;
    const NervMathDsp *dsp;
    size_t n;
} AddJob;

static void add_task(void *arg, uint32_t task, uint32_t thread)
{
    const AddJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->dsp->add((float *)job->args->out[0] + at, (const float *)job->args->in[0] + at,
                  (const float *)job->args->in[1] + at, nerv_range_length(job->n, task));
}

static void add_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    AddJob job = { args, &cpu->dsp->math, (size_t)nerv_shape_count(node->in[0]->shape) };
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), add_task, &job);
}

static uint32_t add_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return nerv_dispatch_pointwise(out, node, caps);
}

static void add_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                     NervTensor **din)
{
    din[0] = dout[0];
    din[1] = dout[0];
}

const NervOp nerv_op_add = {
    .name = "add",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = add_infer,
    .ref = add_ref,
    .cpu = add_cpu,
    .dispatch = add_dispatch,
    .grad = add_grad,
    .rtol = 1e-6f,
};

NervTensor *nerv_add(NervTape *t, NervTensor *a, NervTensor *b)
{
    return nerv_tape_add(t, &nerv_op_add, (NervTensor *[]){ a, b }, 2, NULL, 0);
}

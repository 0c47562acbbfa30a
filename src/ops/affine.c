/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * y = scale x + shift with two constants. Gradient: dx = scale dy.
 */
#include <math.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    float scale, shift;
} AffineAttr;

static bool affine_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const AffineAttr *attr = NERV_NODE_ATTR(node, AffineAttr);
    if (!isfinite(attr->scale) || !isfinite(attr->shift)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op affine: scale and shift must be finite");
        return false;
    }
    return nerv_check_float(node, error) && nerv_infer_float(out, node->in[0]->shape);
}

static void affine_ref(const NervNode *node, const NervArgs *args)
{
    const AffineAttr *attr = NERV_NODE_ATTR(node, AffineAttr);
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *x = args->in[0];
    float *y = args->out[0];
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((double)attr->scale * x[i] + attr->shift);
}

typedef struct {
    const NervArgs *args;
    const NervMathDsp *dsp;
    size_t n;
    const AffineAttr *attr;
} AffineJob;

static void affine_task(void *arg, uint32_t task, uint32_t thread)
{
    const AffineJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->dsp->affine((float *)job->args->out[0] + at, (const float *)job->args->in[0] + at,
                     nerv_range_length(job->n, task), job->attr->scale, job->attr->shift);
}

static void affine_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    AffineJob job = { args, &cpu->dsp->math, (size_t)nerv_shape_count(node->in[0]->shape),
                      NERV_NODE_ATTR(node, AffineAttr) };
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), affine_task, &job);
}

static uint32_t affine_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const AffineAttr *attr = NERV_NODE_ATTR(node, AffineAttr);
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push_float(out, attr->scale);
    nerv_dispatch_push_float(out, attr->shift);
    return fits;
}

static void affine_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    din[0] = nerv_affine(tape, dout[0], NERV_NODE_ATTR(node, AffineAttr)->scale, 0.0f);
}

const NervOp nerv_op_affine = {
    .name = "affine",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = affine_infer,
    .ref = affine_ref,
    .cpu = affine_cpu,
    .dispatch = affine_dispatch,
    .grad = affine_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_affine(NervTape *t, NervTensor *x, float scale, float shift)
{
    const AffineAttr attr = { scale, shift };
    return nerv_tape_add(t, &nerv_op_affine, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

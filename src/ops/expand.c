/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * y = scale * x with axes of length 1 repeated up to `shape`. Gradient: dx = scale * the sum of dy over those
 * axes (reduce.c). With nothing to repeat it is a scaling.
 */
#include <math.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    NervShape shape;
    float scale;
} ExpandAttr;

static bool expand_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const ExpandAttr *attr = NERV_NODE_ATTR(node, ExpandAttr);
    const NervShape from = node->in[0]->shape, to = attr->shape;
    const bool fits = (from.n == 1 || from.n == to.n) && (from.c == 1 || from.c == to.c) &&
                      (from.h == 1 || from.h == to.h) && (from.w == 1 || from.w == to.w);
    if (!fits || !isfinite(attr->scale)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "op expand: %d x %d x %d x %d cannot be repeated to %d x %d x %d x %d, scaled by %g",
                    from.n, from.c, from.h, from.w, to.n, to.c, to.h, to.w, attr->scale);
        return false;
    }
    return nerv_check_float(node, error) && nerv_infer_float(out, to);
}

/* Step in the input for a step along an axis of the output: 0 along a repeated one. */
static void strides_of(const NervNode *node, uint32_t stride[4])
{
    const NervShape s = node->in[0]->shape;
    stride[0] = s.n == 1 ? 0 : (uint32_t)(s.c * s.h * s.w);
    stride[1] = s.c == 1 ? 0 : (uint32_t)(s.h * s.w);
    stride[2] = s.h == 1 ? 0 : (uint32_t)s.w;
    stride[3] = s.w == 1 ? 0 : 1;
}

static void expand_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape si = node->in[0]->shape, so = node->out[0]->shape;
    const float scale = NERV_NODE_ATTR(node, ExpandAttr)->scale;
    const float *x = args->in[0];
    float *y = args->out[0];
    for (int32_t n = 0; n < so.n; n++)
        for (int32_t c = 0; c < so.c; c++)
            for (int32_t h = 0; h < so.h; h++)
                for (int32_t w = 0; w < so.w; w++)
                    *y++ = scale *
                           x[(((size_t)(n % si.n) * si.c + c % si.c) * si.h + h % si.h) * si.w + w % si.w];
}

typedef struct {
    const float *x;
    float *y;
    const NervMathDsp *dsp;
    NervShape so;
    uint32_t stride[4], rows_per_task;
    size_t n_rows;
    float scale;
} ExpandJob;

/* Some rows of the output. */
static void expand_task(void *arg, uint32_t task, uint32_t thread)
{
    const ExpandJob *job = arg;
    const NervShape so = job->so;
    const size_t first = (size_t)task * job->rows_per_task;
    const size_t last = MIN(first + job->rows_per_task, job->n_rows);
    for (size_t row = first; row < last; row++) {
        const float *x = job->x + row / so.h / so.c * job->stride[0] + row / so.h % so.c * job->stride[1] +
                         row % so.h * job->stride[2];
        float *y = job->y + row * so.w;
        const float value = job->scale * x[0];
        if (job->stride[3])
            job->dsp->affine(y, x, so.w, job->scale, 0.0f);
        else
            for (int32_t w = 0; w < so.w; w++)
                y[w] = value;
    }
}

static void expand_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervShape so = node->out[0]->shape;
    ExpandJob job = { .x = args->in[0], .y = args->out[0], .dsp = &cpu->dsp->math, .so = so };
    strides_of(node, job.stride);
    job.scale = NERV_NODE_ATTR(node, ExpandAttr)->scale;
    job.n_rows = (size_t)so.n * so.c * so.h;
    job.rows_per_task = MAX(1, NERV_RANGE / so.w);
    nerv_pool_run(cpu->pool, (uint32_t)((job.n_rows + job.rows_per_task - 1) / job.rows_per_task),
                  expand_task, &job);
}

static uint32_t expand_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape so = node->out[0]->shape;
    uint32_t stride[4];
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    strides_of(node, stride);
    nerv_dispatch_push(out, so.c);
    nerv_dispatch_push(out, so.h);
    nerv_dispatch_push(out, so.w);
    for (int i = 0; i < 4; i++)
        nerv_dispatch_push(out, stride[i]);
    nerv_dispatch_push_float(out, NERV_NODE_ATTR(node, ExpandAttr)->scale);
    return fits;
}

static void expand_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    const NervShape si = node->in[0]->shape, so = node->out[0]->shape;
    const int axes = (si.n != so.n ? NERV_AXIS_N : 0) | (si.c != so.c ? NERV_AXIS_C : 0) |
                     (si.h != so.h ? NERV_AXIS_H : 0) | (si.w != so.w ? NERV_AXIS_W : 0);
    din[0] = nerv_reduce_sum(tape, dout[0], axes, NERV_NODE_ATTR(node, ExpandAttr)->scale);
}

const NervOp nerv_op_expand = {
    .name = "expand",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = expand_infer,
    .ref = expand_ref,
    .cpu = expand_cpu,
    .dispatch = expand_dispatch,
    .grad = expand_grad,
    .rtol = 1e-6f,
};

NervTensor *nerv_expand(NervTape *t, NervTensor *x, NervShape shape, float scale)
{
    const ExpandAttr attr = { shape, scale };
    return nerv_tape_add(t, &nerv_op_expand, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

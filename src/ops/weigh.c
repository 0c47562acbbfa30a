/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures times a number each: y[n] = ka[n] a[n], or the sum of two such, y[n] = ka[n] a[n] + kb[n] b[n]. It fuses the features
 * of two keyframes by their distances, and masks frames that do not count. Gradient: da[n] = ka[n] dy[n], db alike; in the
 * weights there is none.
 */
#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

static bool weigh_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape a = node->in[0]->shape;
    if (node->n_in == 3)
        return nerv_invalid(node, error, "a second operand comes with its weights");
    if (!nerv_check_float(node, error))
        return false;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (!nerv_check_shape(node, i, i % 2 ? nerv_shape(a.n, 1, 1, 1) : a,
                              i % 2 ? "a weight for each picture is" : "the first one", error))
            return false;
    return nerv_infer_float(out, a);
}

static size_t picture_length(const NervNode *node)
{
    const NervShape s = node->in[0]->shape;
    return (size_t)s.c * s.h * s.w;
}

static void weigh_ref(const NervNode *node, const NervArgs *args)
{
    const size_t length = picture_length(node);
    float *y = args->out[0];
    for (size_t n = 0; n < (size_t)node->in[0]->shape.n; n++) {
        for (size_t k = n * length; k < (n + 1) * length; k++) {
            double sum = 0;
            for (uint32_t i = 0; i < node->n_in; i += 2)
                sum += (double)((const float *)args->in[i + 1])[n] * ((const float *)args->in[i])[k];
            *y++ = (float)sum;
        }
    }
}

typedef struct {
    const float *a, *ka, *b, *kb; /* b: NULL if there is none */
    float *y;
    const NervDsp *dsp;
    size_t length;
} WeighJob;

/* A range of a picture. */
static void weigh_task(void *arg, uint32_t task, uint32_t thread)
{
    const WeighJob *job = arg;
    const uint32_t n_ranges = nerv_n_ranges(job->length), n = task / n_ranges, range = task % n_ranges;
    const size_t at = n * job->length + (size_t)range * NERV_RANGE,
                 count = nerv_range_length(job->length, range);
    if (job->b)
        job->dsp->clip.weigh(job->y + at, job->a + at, job->b + at, count, job->ka[n], job->kb[n]);
    else
        job->dsp->math.affine(job->y + at, job->a + at, count, job->ka[n], 0.0f);
}

static void weigh_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    WeighJob job = { .a = args->in[0], .ka = args->in[1], .y = args->out[0], .dsp = cpu->dsp };
    if (node->n_in == 4) {
        job.b = args->in[2];
        job.kb = args->in[3];
    }
    job.length = picture_length(node);
    nerv_pool_run(cpu->pool, (uint32_t)node->in[0]->shape.n * nerv_n_ranges(job.length), weigh_task, &job);
}

static uint32_t weigh_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const uint64_t n = (uint64_t)nerv_shape_count(node->out[0]->shape);
    nerv_dispatch_init(out, "weigh");
    for (uint32_t i = 0; i < 4; i++)
        nerv_dispatch_bind(out, NERV_BIND_IN, i);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_push(out, (uint32_t)n);
    nerv_dispatch_push(out, (uint32_t)picture_length(node));
    nerv_dispatch_push(out, node->n_in == 4);
    return nerv_dispatch_elements(out, caps, n, NERV_VK_LOCAL);
}

static void weigh_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                       NervTensor **din)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (!need[i])
            continue;
        /* Zero would be wrong. */
        if (i % 2)
            nerv_tape_fail(tape, NERV_ERROR_INVALID, "op weigh is not differentiable in the weights");
        else
            din[i] = nerv_weigh(tape, dout[0], node->in[i + 1], NULL, NULL);
    }
}

const NervOp nerv_op_weigh = {
    .name = "weigh",
    .min_in = 2,
    .max_in = 4,
    .n_out = 1,
    .infer = weigh_infer,
    .ref = weigh_ref,
    .cpu = weigh_cpu,
    .dispatch = weigh_dispatch,
    .grad = weigh_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_weigh(NervTape *t, NervTensor *a, NervTensor *ka, NervTensor *b, NervTensor *kb)
{
    return nerv_tape_add(t, &nerv_op_weigh, (NervTensor *[]){ a, ka, b, kb }, b || kb ? 4 : 2, NULL, 0);
}

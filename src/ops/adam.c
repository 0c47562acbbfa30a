/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One step of Adam (Kingma & Ba 2015, algorithm 1) in the form of torch.optim.Adam, with decoupled weight
 * decay (Loshchilov & Hutter 2019) where asked for. w, m and v are overwritten in place:
 *
 *   m = beta1 m + (1-beta1) dw
 *   v = beta2 v + (1-beta2) dw^2
 *   w = (1 - lr weight_decay) w - lr/(1-beta1^t) m / (sqrt(v)/sqrt(1-beta2^t) + eps)
 *
 * The learning rate and the two corrections come in as an operand, because they change from step to step while a
 * plan stays. Not differentiable.
 */
#include <math.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

enum { IN_W, IN_DW, IN_M, IN_V, IN_HYPER };

static bool adam_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervAdamAttr *attr = NERV_NODE_ATTR(node, NervAdamAttr);
    if (!(attr->beta1 >= 0 && attr->beta1 < 1 && attr->beta2 >= 0 && attr->beta2 < 1)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op adam: beta1 %g and beta2 %g must be in [0,1)",
                    attr->beta1, attr->beta2);
        return false;
    }
    if (!(attr->eps > 0 && attr->eps <= 1 && attr->weight_decay >= 0 && attr->weight_decay <= 1)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "op adam: eps %g must be in (0,1] and the weight decay %g in [0,1]", attr->eps,
                    attr->weight_decay);
        return false;
    }
    if (!nerv_check_alike(node, IN_W, IN_V, error) ||
        !nerv_check_shape(node, IN_HYPER, nerv_shape(1, 4, 1, 1), "the hyper-parameters are", error))
        return false;
    for (int i = 0; i < 3; i++)
        nerv_infer_float(&out[i], node->in[IN_W]->shape);
    return true;
}

static void adam_ref(const NervNode *node, const NervArgs *args)
{
    const NervAdamAttr *attr = NERV_NODE_ATTR(node, NervAdamAttr);
    const int64_t n = nerv_shape_count(node->in[IN_W]->shape);
    const float *dw = args->in[IN_DW], *hyper = args->in[IN_HYPER];
    float *w = args->out[0], *m = args->out[1], *v = args->out[2];
    const double lr = hyper[0], correct1 = hyper[1], correct2 = hyper[2];
    for (int64_t i = 0; i < n; i++) {
        const double g = dw[i];
        const double mi = (double)attr->beta1 * m[i] + (1.0 - attr->beta1) * g;
        const double vi = (double)attr->beta2 * v[i] + (1.0 - attr->beta2) * g * g;
        const double step = lr / correct1 * mi / (sqrt(vi) / sqrt(correct2) + attr->eps);
        w[i] = (float)((1.0 - lr * attr->weight_decay) * w[i] - step);
        m[i] = (float)mi;
        v[i] = (float)vi;
    }
}

typedef struct {
    const float *dw;
    float *w, *m, *v;
    const NervMathDsp *dsp;
    size_t n;
    NervAdamStep step;
} AdamJob;

static void adam_task(void *arg, uint32_t task, uint32_t thread)
{
    const AdamJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE;
    job->dsp->adam(job->w + at, job->dw + at, job->m + at, job->v + at, nerv_range_length(job->n, task),
                   &job->step);
}

static void adam_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervAdamAttr *attr = NERV_NODE_ATTR(node, NervAdamAttr);
    const float *hyper = args->in[IN_HYPER];
    AdamJob job = { args->in[IN_DW], args->out[0], args->out[1], args->out[2], &cpu->dsp->math, .n = 0 };
    job.n = (size_t)nerv_shape_count(node->in[IN_W]->shape);
    job.step = (NervAdamStep){
        .beta1 = attr->beta1,
        .beta2 = attr->beta2,
        .one_minus_beta1 = (float)(1.0 - attr->beta1),
        .one_minus_beta2 = (float)(1.0 - attr->beta2),
        .eps = attr->eps,
        .decay = (float)(1.0 - (double)hyper[0] * attr->weight_decay),
        .step_size = (float)((double)hyper[0] / hyper[1]),
        .v_scale = (float)(1.0 / sqrt(hyper[2])),
    };
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), adam_task, &job);
}

/* w, m and v are bound once each, as inputs, and written through that binding. */
static uint32_t adam_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervAdamAttr *attr = NERV_NODE_ATTR(node, NervAdamAttr);
    const uint64_t n = (uint64_t)nerv_shape_count(node->in[IN_W]->shape);
    nerv_dispatch_init(out, "adam");
    for (uint32_t i = 0; i < node->n_in; i++)
        nerv_dispatch_bind(out, NERV_BIND_IN, i);
    nerv_dispatch_push(out, (uint32_t)n);
    nerv_dispatch_push_float(out, attr->beta1);
    nerv_dispatch_push_float(out, attr->beta2);
    nerv_dispatch_push_float(out, (float)(1.0 - attr->beta1));
    nerv_dispatch_push_float(out, (float)(1.0 - attr->beta2));
    nerv_dispatch_push_float(out, attr->eps);
    nerv_dispatch_push_float(out, attr->weight_decay);
    return nerv_dispatch_elements(out, caps, n, NERV_VK_LOCAL);
}

const NervOp nerv_op_adam = {
    .name = "adam",
    .min_in = 5,
    .max_in = 5,
    .n_out = 3,
    .alias = { 1 + IN_W, 1 + IN_M, 1 + IN_V },
    .infer = adam_infer,
    .ref = adam_ref,
    .cpu = adam_cpu,
    .dispatch = adam_dispatch,
    .rtol = 1e-5f,
    .atol = 1e-8f,
};

NervTensor *nerv_adam(NervTape *t, NervTensor *w, NervTensor *dw, NervTensor *m, NervTensor *v,
                      NervTensor *hyper, const NervAdamAttr *attr)
{
    return nerv_tape_add(t, &nerv_op_adam, (NervTensor *[]){ w, dw, m, v, hyper }, 5, attr, sizeof *attr);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pointwise functions y = f(x): act, and the ops that its gradients need: act_dx = dy f'(x) and
 * act_dxx = g dy f''(x). GELU is Hendrycks & Gimpel's exact form x Phi(x), SiLU is x sigmoid(x). ReLU's
 * derivative at 0 is 0. The gradient of act_dx in dy is act_dx again and in x is act_dxx, which is as far as
 * second-order learning goes: act_dxx itself is not differentiable.
 */
#include <math.h>
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    int32_t act;
} ActAttr;

static const char *const act_names[NERV_ACT_N] = {
    [NERV_ACT_NONE] = "none",     [NERV_ACT_GELU] = "gelu",       [NERV_ACT_SILU] = "silu",
    [NERV_ACT_SIN] = "sin",       [NERV_ACT_SIGMOID] = "sigmoid", [NERV_ACT_TANH] = "tanh",
    [NERV_ACT_TANH01] = "tanh01", [NERV_ACT_RELU] = "relu",
};

const char *nerv_act_name(NervAct act)
{
    return (unsigned)act < NERV_ACT_N ? act_names[act] : "unknown";
}

bool nerv_act_parse(const char *name, NervAct *act)
{
    for (int i = 0; i < NERV_ACT_N; i++) {
        if (!strcmp(name, act_names[i])) {
            *act = i;
            return true;
        }
    }
    return false;
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* Normal distribution and density. */
static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

static double normal_pdf(double x)
{
    return 0.5 * M_SQRT1_2 * M_2_SQRTPI * exp(-0.5 * x * x);
}

static double value(int act, double x)
{
    switch (act) {
    case NERV_ACT_GELU:
        return x * normal_cdf(x);
    case NERV_ACT_SILU:
        return x * sigmoid(x);
    case NERV_ACT_SIN:
        return sin(x);
    case NERV_ACT_SIGMOID:
        return sigmoid(x);
    case NERV_ACT_TANH:
        return tanh(x);
    case NERV_ACT_TANH01:
        return 0.5 * tanh(x) + 0.5;
    case NERV_ACT_RELU:
        return x < 0 ? 0 : x;
    default:
        return x;
    }
}

static double first_derivative(int act, double x)
{
    double s;
    switch (act) {
    case NERV_ACT_GELU:
        return normal_cdf(x) + x * normal_pdf(x);
    case NERV_ACT_SILU:
        s = sigmoid(x);
        return s * (1 + x * (1 - s));
    case NERV_ACT_SIN:
        return cos(x);
    case NERV_ACT_SIGMOID:
        s = sigmoid(x);
        return s * (1 - s);
    case NERV_ACT_TANH:
        s = tanh(x);
        return 1 - s * s;
    case NERV_ACT_TANH01:
        s = tanh(x);
        return 0.5 * (1 - s * s);
    case NERV_ACT_RELU:
        return x > 0;
    default:
        return 1;
    }
}

static double second_derivative(int act, double x)
{
    double s;
    switch (act) {
    case NERV_ACT_GELU:
        return normal_pdf(x) * (2 - x * x);
    case NERV_ACT_SILU:
        s = sigmoid(x);
        return s * (1 - s) * (2 + x * (1 - 2 * s));
    case NERV_ACT_SIN:
        return -sin(x);
    case NERV_ACT_SIGMOID:
        s = sigmoid(x);
        return s * (1 - s) * (1 - 2 * s);
    case NERV_ACT_TANH:
        s = tanh(x);
        return -2 * s * (1 - s * s);
    case NERV_ACT_TANH01:
        s = tanh(x);
        return -s * (1 - s * s);
    default:
        return 0;
    }
}

double nerv_act_value(NervAct act, double x)
{
    return value(act, x);
}

double nerv_act_slope(NervAct act, double x)
{
    return first_derivative(act, x);
}

/* act(x), act_dx(dy, x), act_dxx(g, dy, x): operands of one shape, which is the output's. */
static bool act_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const int act = NERV_NODE_ATTR(node, ActAttr)->act;
    if (act < 0 || act >= NERV_ACT_N) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: %d is not a known function",
                    node->op->name, act);
        return false;
    }
    return nerv_check_alike(node, 0, node->n_in - 1, error) && nerv_infer_float(out, node->in[0]->shape);
}

static void act_ref(const NervNode *node, const NervArgs *args)
{
    const int act = NERV_NODE_ATTR(node, ActAttr)->act;
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *x = args->in[0];
    float *y = args->out[0];
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)value(act, x[i]);
}

static void act_dx_ref(const NervNode *node, const NervArgs *args)
{
    const int act = NERV_NODE_ATTR(node, ActAttr)->act;
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *dy = args->in[0], *x = args->in[1];
    float *dx = args->out[0];
    for (int64_t i = 0; i < n; i++)
        dx[i] = (float)(dy[i] * first_derivative(act, x[i]));
}

static void act_dxx_ref(const NervNode *node, const NervArgs *args)
{
    const int act = NERV_NODE_ATTR(node, ActAttr)->act;
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *g = args->in[0], *dy = args->in[1], *x = args->in[2];
    float *y = args->out[0];
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)((double)g[i] * dy[i] * second_derivative(act, x[i]));
}

typedef struct {
    const NervArgs *args;
    const NervMathDsp *dsp;
    size_t n;
    uint32_t n_in;
    int act;
} ActJob;

static void act_task(void *arg, uint32_t task, uint32_t thread)
{
    const ActJob *job = arg;
    const size_t at = (size_t)task * NERV_RANGE, n = nerv_range_length(job->n, task);
    const float *const *in = (const float *const *)job->args->in;
    float *y = (float *)job->args->out[0] + at;
    if (job->n_in == 1)
        job->dsp->act(y, in[0] + at, n, job->act);
    else if (job->n_in == 2)
        job->dsp->act_dx(y, in[0] + at, in[1] + at, n, job->act);
    else
        job->dsp->act_dxx(y, in[0] + at, in[1] + at, in[2] + at, n, job->act);
}

static void act_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const size_t n = (size_t)nerv_shape_count(node->in[0]->shape);
    ActJob job = { args, &cpu->dsp->math, n, node->n_in, NERV_NODE_ATTR(node, ActAttr)->act };
    nerv_pool_run(cpu->pool, nerv_n_ranges(n), act_task, &job);
}

static uint32_t act_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push(out, (uint32_t)NERV_NODE_ATTR(node, ActAttr)->act);
    return fits;
}

static void act_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                     NervTensor **din)
{
    din[0] = nerv_act_dx(tape, dout[0], node->in[0], NERV_NODE_ATTR(node, ActAttr)->act);
}

static void act_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    const NervAct act = NERV_NODE_ATTR(node, ActAttr)->act;
    NervTensor *dy = node->in[0], *x = node->in[1];
    if (need[0])
        din[0] = nerv_act_dx(tape, dout[0], x, act);
    if (need[1])
        din[1] = nerv_act_dxx(tape, dout[0], dy, x, act);
}

const NervOp nerv_op_act = {
    .name = "act",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = act_infer,
    .ref = act_ref,
    .cpu = act_cpu,
    .dispatch = act_dispatch,
    .grad = act_grad,
    .rtol = 2e-6f,
    .atol = 5e-7f,
};

const NervOp nerv_op_act_dx = {
    .name = "act_dx",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = act_infer,
    .ref = act_dx_ref,
    .cpu = act_cpu,
    .dispatch = act_dispatch,
    .grad = act_dx_grad,
    .rtol = 2e-6f,
    .atol = 1e-6f,
};

const NervOp nerv_op_act_dxx = {
    .name = "act_dxx",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = act_infer,
    .ref = act_dxx_ref,
    .cpu = act_cpu,
    .dispatch = act_dispatch,
    .rtol = 4e-6f,
    .atol = 2e-6f,
};

static NervTensor *act_add(NervTape *t, const NervOp *op, NervTensor *const *in, uint32_t n_in, NervAct act)
{
    const ActAttr attr = { (int32_t)act };
    return nerv_tape_add(t, op, in, n_in, &attr, sizeof attr);
}

NervTensor *nerv_act(NervTape *t, NervTensor *x, NervAct act)
{
    return act_add(t, &nerv_op_act, (NervTensor *[]){ x }, 1, act);
}

NervTensor *nerv_act_dx(NervTape *t, NervTensor *dy, NervTensor *x, NervAct act)
{
    return act_add(t, &nerv_op_act_dx, (NervTensor *[]){ dy, x }, 2, act);
}

NervTensor *nerv_act_dxx(NervTape *t, NervTensor *g, NervTensor *dy, NervTensor *x, NervAct act)
{
    return act_add(t, &nerv_op_act_dxx, (NervTensor *[]){ g, dy, x }, 3, act);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Mean squared difference, and its gradient mse_dx = 2 g (a-b) / n, where g is the scalar gradient of the
 * mean. With respect to b it is the same with a and b exchanged. mse_dx is differentiable in all its
 * operands.
 */
#include "ops/distance_common.h"

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

static void mse_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    nerv_distance_cpu(node, args, cpu, cpu->dsp->math.mse);
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
    .infer = nerv_distance_infer,
    .ref = mse_ref,
    .cpu = mse_cpu,
    .cpu_scratch = nerv_distance_cpu_scratch,
    .dispatch = nerv_distance_dispatch,
    .vk_scratch = nerv_distance_vk_scratch,
    .grad = mse_grad,
    .rtol = 2e-6f,
    .atol = 1e-8f,
};

static void mse_dx_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[1]->shape);
    const float *a = args->in[1], *b = args->in[2];
    const double g = 2.0 * *(const float *)args->in[0] / n;
    float *dx = args->out[0];
    for (int64_t i = 0; i < n; i++)
        dx[i] = (float)(g * ((double)a[i] - b[i]));
}

static void mse_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    nerv_distance_dx_cpu(node, args, cpu, cpu->dsp->math.mse_dx, 2.0);
}

static uint32_t mse_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return nerv_distance_dx_dispatch(node, caps, out, 2.0);
}

/* With u the gradient of the result: dg = sum of u 2(a-b)/n, da = u 2g/n, db = -da. */
static void mse_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    NervTensor *g = node->in[0], *a = node->in[1], *b = node->in[2];
    if (need[0]) {
        NervTensor *unit = nerv_mse_dx(tape, nerv_tape_scalar(tape, 1.0f), a, b);
        din[0] = nerv_distance_dx_dg(tape, dout[0], unit);
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
    .infer = nerv_distance_dx_infer,
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

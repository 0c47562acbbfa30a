/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Mean absolute difference, and its gradient l1_dx = g sign(a-b) / n with sign(0) = 0, where g is the scalar
 * gradient of the mean. With respect to b it is the same with a and b exchanged. l1_dx is differentiable in
 * g; in a and b its derivative is zero almost everywhere and is taken to be zero.
 */
#include <math.h>

#include "ops/distance_common.h"

static void l1_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[0]->shape);
    const float *a = args->in[0], *b = args->in[1];
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)a[i] - b[i]);
    *(float *)args->out[0] = (float)(sum / n);
}

static void l1_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    nerv_distance_cpu(node, args, cpu, cpu->dsp->math.l1);
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
    .infer = nerv_distance_infer,
    .ref = l1_ref,
    .cpu = l1_cpu,
    .cpu_scratch = nerv_distance_cpu_scratch,
    .dispatch = nerv_distance_dispatch,
    .vk_scratch = nerv_distance_vk_scratch,
    .grad = l1_grad,
    .rtol = 2e-6f,
    .atol = 1e-7f,
};

static void l1_dx_ref(const NervNode *node, const NervArgs *args)
{
    const int64_t n = nerv_shape_count(node->in[1]->shape);
    const float *a = args->in[1], *b = args->in[2];
    const double g = *(const float *)args->in[0] / (double)n;
    float *dx = args->out[0];
    for (int64_t i = 0; i < n; i++)
        dx[i] = (float)(g * ((a[i] > b[i]) - (a[i] < b[i])));
}

static void l1_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    nerv_distance_dx_cpu(node, args, cpu, cpu->dsp->math.l1_dx, 1.0);
}

static uint32_t l1_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return nerv_distance_dx_dispatch(node, caps, out, 1.0);
}

static void l1_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                       NervTensor **din)
{
    if (!need[0])
        return;
    NervTensor *unit = nerv_l1_dx(tape, nerv_tape_scalar(tape, 1.0f), node->in[1], node->in[2]);
    din[0] = nerv_distance_dx_dg(tape, dout[0], unit);
}

const NervOp nerv_op_l1_dx = {
    .name = "l1_dx",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = nerv_distance_dx_infer,
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

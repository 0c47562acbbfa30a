/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bilinear samples of a picture where a flow points, and the gradients in the picture and in the flow:
 *
 *   p = j + flow[n,0,i,j], clamped to 0..W-1,  j0 = floor(p), at most W-2,  f = p - j0;  rows alike with i, flow[n,1], H: i0, g
 *   y[n,c,i,j] = (1-g) ((1-f) x[i0,j0] + f x[i0,j0+1]) + g ((1-f) x[i0+1,j0] + f x[i0+1,j0+1])     of x[m,c]
 *   dflow[n,0] = sum over c of dy ((1-g) (x[i0,j0+1] - x[i0,j0]) + g (x[i0+1,j0+1] - x[i0+1,j0])),  0 unless 0 < p < W-1
 *   dx[i0,j0] += (1-g) (1-f) dy, and so on: a scatter
 *
 * where each of M pictures serves N/M flows in a row: m = floor(n / (N/M)). It is the same
 * as torch.nn.functional.grid_sample(padding_mode="border", align_corners=True), whose coordinates are scaled. All forms round
 * j + flow to float once, so that they agree on j0 even where the slope jumps. A NaN is clamped to 0: whatever a flow
 * holds, reads stay inside. The scatter is linear in dy, so its gradients are warp and warp_dflow again; those of dflow are
 * warp_slope's.
 *
 * The scatter's sums do not depend on the order of events. The CPU cuts the gradient into bands of rows, and each adds what
 * falls into it in the order of the flow's pixels. Vulkan has atomic adds of 32-bit integers alone: there shaders/lib/scatter.glsl
 * adds 64-bit fixed-point numbers, two words each, in units that the largest |dy| sets. A constant unit such as 2^-44 would
 * overflow for losses that are sums, and have few digits for the 1e-8 of a mean over a large picture.
 */
#include "ops/warp_common.h"

/* --- warp --- */

static bool warp_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t n = node->in[1]->shape.n;
    return nerv_warp_check_flow(node, 1, 0, error) && nerv_warp_check_pictures(node, x.n, n, error) &&
           nerv_infer_float(out, nerv_shape(n, x.c, x.h, x.w));
}

static void warp_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->out[0]->shape;
    const float *flow = args->in[1];
    float *y = args->out[0];
    for (int32_t n = 0; n < s.n; n++, flow += 2 * (size_t)s.h * s.w) {
        for (int32_t c = 0; c < s.c; c++) {
            const float *x = nerv_warp_picture(args->in[0], node->in[0]->shape, s.n, n, c);
            for (int32_t i = 0; i < s.h; i++) {
                for (int32_t j = 0; j < s.w; j++) {
                    const NervWarpSample t = nerv_warp_locate(flow, s, i, j);
                    const float *p = x + t.at, *q = p + t.down;
                    *y++ = (float)((1 - t.fy) * ((1 - t.fx) * p[0] + t.fx * p[t.right]) +
                                   t.fy * ((1 - t.fx) * q[0] + t.fx * q[t.right]));
                }
            }
        }
    }
}

static size_t warp_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_warp_gather_scratch(node->in[0], cpu);
}

static void warp_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervShape s = node->out[0]->shape;
    const NervWarpOperands operands = {
        .x = args->in[0], .flow = args->in[1], .y = args->out[0], .row = cpu->dsp->warp.warp
    };
    nerv_warp_gather(&operands, s, node->in[0]->shape.n, s.c, args->scratch, cpu);
}

static void warp_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                      NervTensor **din)
{
    if (need[0])
        din[0] = nerv_warp_dx(tape, dout[0], node->in[1], node->in[0]->shape.n);
    if (need[1])
        din[1] = nerv_warp_dflow(tape, dout[0], node->in[0], node->in[1]);
}

const NervOp nerv_op_warp = {
    .name = "warp",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = warp_infer,
    .ref = warp_ref,
    .cpu = warp_cpu,
    .cpu_scratch = warp_cpu_scratch,
    .dispatch = nerv_warp_dispatch,
    .grad = warp_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_warp(NervTape *t, NervTensor *x, NervTensor *flow)
{
    return nerv_tape_add(t, &nerv_op_warp, (NervTensor *[]){ x, flow }, 2, NULL, 0);
}

/* --- warp_dflow --- */

static void warp_dflow_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    const size_t plane = (size_t)s.h * s.w;
    const float *flow = args->in[2];
    float *dflow = args->out[0];
    for (int32_t n = 0; n < s.n; n++, flow += 2 * plane, dflow += 2 * plane) {
        for (int32_t i = 0; i < s.h; i++) {
            for (int32_t j = 0; j < s.w; j++) {
                const NervWarpSample t = nerv_warp_locate(flow, s, i, j);
                const size_t pixel = (size_t)i * s.w + j;
                double along = 0, across = 0;
                for (int32_t c = 0; c < s.c; c++) {
                    const float *p = nerv_warp_picture(args->in[1], node->in[1]->shape, s.n, n, c) + t.at;
                    const double a = p[0], b = p[t.right], d = p[t.down], e = p[t.down + t.right];
                    const double g = ((const float *)args->in[0])[(n * s.c + c) * plane + pixel];
                    along += g * ((1 - t.fy) * (b - a) + t.fy * (e - d));
                    across += g * ((1 - t.fx) * (d - a) + t.fx * (e - b));
                }
                dflow[pixel] = t.in_x ? (float)along : 0;
                dflow[plane + pixel] = t.in_y ? (float)across : 0;
            }
        }
    }
}

static size_t warp_dflow_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_warp_gather_scratch(node->in[1], cpu);
}

static void warp_dflow_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervWarpOperands operands = { .dy = args->in[0],
                                        .x = args->in[1],
                                        .flow = args->in[2],
                                        .y = args->out[0],
                                        .row = cpu->dsp->warp.warp_dflow };
    nerv_warp_gather(&operands, node->in[0]->shape, node->in[1]->shape.n, 2, args->scratch, cpu);
}

/* With v = dL/d(dflow), L is the sum of dy times the slopes of warp(x, flow) along v. */
static void warp_dflow_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                            NervTensor **din)
{
    NervTensor *dy = node->in[0], *x = node->in[1], *flow = node->in[2], *v = dout[0];
    if (need[0])
        din[0] = nerv_warp_slope(tape, x, flow, v);
    if (need[1])
        din[1] = nerv_warp_slope_dx(tape, dy, flow, v, x->shape.n);
    if (need[2])
        din[2] = nerv_warp_slope_dflow(tape, dy, x, flow, v);
}

const NervOp nerv_op_warp_dflow = {
    .name = "warp_dflow",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = nerv_warp_dflow_infer,
    .ref = warp_dflow_ref,
    .cpu = warp_dflow_cpu,
    .cpu_scratch = warp_dflow_cpu_scratch,
    .dispatch = nerv_warp_dflow_dispatch,
    .grad = warp_dflow_grad,
    .rtol = 2e-6f,
    .atol = 5e-6f,
};

NervTensor *nerv_warp_dflow(NervTape *t, NervTensor *dy, NervTensor *x, NervTensor *flow)
{
    return nerv_tape_add(t, &nerv_op_warp_dflow, (NervTensor *[]){ dy, x, flow }, 3, NULL, 0);
}

/* --- warp_dx --- */

static void weigh(const NervWarpSample *t, const float *v, size_t plane, double weight[4])
{
    weight[0] = (1 - t->fy) * (1 - t->fx);
    weight[1] = (1 - t->fy) * t->fx;
    weight[2] = t->fy * (1 - t->fx);
    weight[3] = t->fy * t->fx;
}

static void warp_dx_ref(const NervNode *node, const NervArgs *args)
{
    nerv_warp_scatter_ref(node, args, weigh);
}

static void warp_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervWarpOperands operands = {
        .dy = args->in[0], .flow = args->in[1], .y = args->out[0], .scatter = cpu->dsp->warp.warp_dx
    };
    nerv_warp_scatter(&operands, node->in[0]->shape, node->out[0]->shape.n, args->scratch, cpu);
}

/* With u = dL/d(dx), L is the sum of dy warp(u, flow). */
static void warp_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                         NervTensor **din)
{
    if (need[0])
        din[0] = nerv_warp(tape, dout[0], node->in[1]);
    if (need[1])
        din[1] = nerv_warp_dflow(tape, node->in[0], dout[0], node->in[1]);
}

const NervOp nerv_op_warp_dx = {
    .name = "warp_dx",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = nerv_warp_dx_infer,
    .ref = warp_dx_ref,
    .cpu = warp_dx_cpu,
    .cpu_scratch = nerv_warp_scatter_scratch,
    .dispatch = nerv_warp_scatter_dispatch,
    .vk_scratch = nerv_warp_scatter_vk_scratch,
    .grad = warp_dx_grad,
    .rtol = 2e-6f,
    .atol = 5e-6f,
};

NervTensor *nerv_warp_dx(NervTape *t, NervTensor *dy, NervTensor *flow, int pictures)
{
    const NervWarpAttr attr = { pictures };
    return nerv_tape_add(t, &nerv_op_warp_dx, (NervTensor *[]){ dy, flow }, 2, &attr, sizeof attr);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The derivative of warp(x, flow) along a direction v of the flow, which gradients of warp's gradient are made of, and its own
 * gradients. In the terms of src/ops/warp.c, with a b over c d for the four pixels of a sample, v0 = v[n,0,i,j] or 0 unless
 * 0 < p < W-1, and v1 from v[n,1,i,j] alike:
 *
 *   y = v0 ((1-g) (b-a) + g (d-c)) + v1 ((1-f) (c-a) + f (d-b))
 *   dx: -v0 (1-g) - v1 (1-f) to a,  v0 (1-g) - v1 f to b,  v1 (1-f) - v0 g to c,  v0 g + v1 f to d, each times dy: a scatter
 *   dflow[n,0] = v1 sum over c of dy (a-b-c+d), or 0 if either coordinate was clamped;  dflow[n,1] alike with v0
 *   dv: warp_dflow
 *
 * A sample is linear along each axis, so no other second derivatives are left. Third ones are not needed: warp_slope_dx and
 * warp_slope_dflow are not differentiable.
 */
#include "ops/warp_common.h"

/* The direction at a pixel, 0 where the coordinate was clamped. */
static void direction(const NervWarpSample *t, const float *v, size_t plane, double *v0, double *v1)
{
    *v0 = t->in_x ? v[0] : 0;
    *v1 = t->in_y ? v[plane] : 0;
}

/* Operand `i` is one direction for each pixel of operand `flow`. */
static bool check_direction(const NervNode *node, uint32_t i, uint32_t flow, GError **error)
{
    return nerv_check_shape(node, i, node->in[flow]->shape, "the flow", error);
}

/* --- warp_slope --- */

static bool warp_slope_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t n = node->in[1]->shape.n;
    return nerv_warp_check_flow(node, 1, 0, error) && nerv_warp_check_pictures(node, x.n, n, error) &&
           check_direction(node, 2, 1, error) && nerv_infer_float(out, nerv_shape(n, x.c, x.h, x.w));
}

static void warp_slope_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->out[0]->shape;
    const size_t plane = (size_t)s.h * s.w;
    const float *flow = args->in[1], *v = args->in[2];
    float *y = args->out[0];
    for (int32_t n = 0; n < s.n; n++, flow += 2 * plane, v += 2 * plane) {
        for (int32_t ch = 0; ch < s.c; ch++) {
            const float *x = nerv_warp_picture(args->in[0], node->in[0]->shape, s.n, n, ch);
            for (int32_t i = 0; i < s.h; i++) {
                for (int32_t j = 0; j < s.w; j++) {
                    const NervWarpSample t = nerv_warp_locate(flow, s, i, j);
                    const float *p = x + t.at;
                    const double a = p[0], b = p[t.right], c = p[t.down], d = p[t.down + t.right];
                    double v0, v1;
                    direction(&t, v + (size_t)i * s.w + j, plane, &v0, &v1);
                    *y++ = (float)(v0 * ((1 - t.fy) * (b - a) + t.fy * (d - c)) +
                                   v1 * ((1 - t.fx) * (c - a) + t.fx * (d - b)));
                }
            }
        }
    }
}

static size_t warp_slope_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_warp_gather_scratch(node->in[0], cpu);
}

static void warp_slope_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervShape s = node->out[0]->shape;
    const NervWarpOperands operands = { .x = args->in[0],
                                        .flow = args->in[1],
                                        .v = args->in[2],
                                        .y = args->out[0],
                                        .row = cpu->dsp->warp.slope };
    nerv_warp_gather(&operands, s, node->in[0]->shape.n, s.c, args->scratch, cpu);
}

static void warp_slope_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                            NervTensor **din)
{
    NervTensor *x = node->in[0], *flow = node->in[1], *v = node->in[2];
    if (need[0])
        din[0] = nerv_warp_slope_dx(tape, dout[0], flow, v, x->shape.n);
    if (need[1])
        din[1] = nerv_warp_slope_dflow(tape, dout[0], x, flow, v);
    if (need[2])
        din[2] = nerv_warp_dflow(tape, dout[0], x, flow);
}

const NervOp nerv_op_warp_slope = {
    .name = "warp_slope",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = warp_slope_infer,
    .ref = warp_slope_ref,
    .cpu = warp_slope_cpu,
    .cpu_scratch = warp_slope_cpu_scratch,
    .dispatch = nerv_warp_dispatch,
    .grad = warp_slope_grad,
    .rtol = 2e-6f,
    .atol = 2e-6f,
};

NervTensor *nerv_warp_slope(NervTape *t, NervTensor *x, NervTensor *flow, NervTensor *v)
{
    return nerv_tape_add(t, &nerv_op_warp_slope, (NervTensor *[]){ x, flow, v }, 3, NULL, 0);
}

/* --- warp_slope_dx --- */

static bool warp_slope_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_warp_dx_infer(node, out, error) && check_direction(node, 2, 1, error);
}

static void weigh(const NervWarpSample *t, const float *v, size_t plane, double weight[4])
{
    double v0, v1;
    direction(t, v, plane, &v0, &v1);
    weight[0] = -v0 * (1 - t->fy) - v1 * (1 - t->fx);
    weight[1] = v0 * (1 - t->fy) - v1 * t->fx;
    weight[2] = v1 * (1 - t->fx) - v0 * t->fy;
    weight[3] = v0 * t->fy + v1 * t->fx;
}

static void warp_slope_dx_ref(const NervNode *node, const NervArgs *args)
{
    nerv_warp_scatter_ref(node, args, weigh);
}

static void warp_slope_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervWarpOperands operands = { .dy = args->in[0],
                                        .flow = args->in[1],
                                        .v = args->in[2],
                                        .y = args->out[0],
                                        .scatter = cpu->dsp->warp.slope_dx };
    nerv_warp_scatter(&operands, node->in[0]->shape, node->out[0]->shape.n, args->scratch, cpu);
}

const NervOp nerv_op_warp_slope_dx = {
    .name = "warp_slope_dx",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = warp_slope_dx_infer,
    .ref = warp_slope_dx_ref,
    .cpu = warp_slope_dx_cpu,
    .cpu_scratch = nerv_warp_scatter_scratch,
    .dispatch = nerv_warp_scatter_dispatch,
    .vk_scratch = nerv_warp_scatter_vk_scratch,
    .rtol = 2e-6f,
    .atol = 1e-5f,
};

NervTensor *nerv_warp_slope_dx(NervTape *t, NervTensor *dy, NervTensor *flow, NervTensor *v, int pictures)
{
    const NervWarpAttr attr = { pictures };
    return nerv_tape_add(t, &nerv_op_warp_slope_dx, (NervTensor *[]){ dy, flow, v }, 3, &attr, sizeof attr);
}

/* --- warp_slope_dflow --- */

static bool warp_slope_dflow_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return nerv_warp_dflow_infer(node, out, error) && check_direction(node, 3, 2, error);
}

static void warp_slope_dflow_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    const size_t plane = (size_t)s.h * s.w;
    const float *flow = args->in[2], *v = args->in[3];
    float *dflow = args->out[0];
    for (int32_t n = 0; n < s.n; n++, flow += 2 * plane, v += 2 * plane, dflow += 2 * plane) {
        for (int32_t i = 0; i < s.h; i++) {
            for (int32_t j = 0; j < s.w; j++) {
                const NervWarpSample t = nerv_warp_locate(flow, s, i, j);
                const size_t pixel = (size_t)i * s.w + j;
                const bool inside = t.in_x && t.in_y;
                double twist = 0;
                for (int32_t c = 0; c < s.c; c++) {
                    const float *p = nerv_warp_picture(args->in[1], node->in[1]->shape, s.n, n, c) + t.at;
                    const double dy = ((const float *)args->in[0])[(n * s.c + c) * plane + pixel];
                    twist += dy * (((double)p[0] - p[t.right]) + ((double)p[t.down + t.right] - p[t.down]));
                }
                dflow[pixel] = inside ? (float)(v[plane + pixel] * twist) : 0;
                dflow[plane + pixel] = inside ? (float)(v[pixel] * twist) : 0;
            }
        }
    }
}

static size_t warp_slope_dflow_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_warp_gather_scratch(node->in[1], cpu);
}

static void warp_slope_dflow_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervWarpOperands operands = { .dy = args->in[0],
                                        .x = args->in[1],
                                        .flow = args->in[2],
                                        .v = args->in[3],
                                        .y = args->out[0],
                                        .row = cpu->dsp->warp.slope_dflow };
    nerv_warp_gather(&operands, node->in[0]->shape, node->in[1]->shape.n, 2, args->scratch, cpu);
}

const NervOp nerv_op_warp_slope_dflow = {
    .name = "warp_slope_dflow",
    .min_in = 4,
    .max_in = 4,
    .n_out = 1,
    .infer = warp_slope_dflow_infer,
    .ref = warp_slope_dflow_ref,
    .cpu = warp_slope_dflow_cpu,
    .cpu_scratch = warp_slope_dflow_cpu_scratch,
    .dispatch = nerv_warp_dflow_dispatch,
    .rtol = 2e-6f,
    .atol = 1e-5f,
};

NervTensor *nerv_warp_slope_dflow(NervTape *t, NervTensor *dy, NervTensor *x, NervTensor *flow, NervTensor *v)
{
    return nerv_tape_add(t, &nerv_op_warp_slope_dflow, (NervTensor *[]){ dy, x, flow, v }, 4, NULL, 0);
}

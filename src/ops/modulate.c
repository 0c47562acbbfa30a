/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Features scaled and shifted element by element, the spatially adaptive fusion of D-NeRV (He et al. 2023). sh holds C channels
 * of scales, then C of shifts:
 *
 *   y = x (1 + scale) + shift
 *   dx = dy (1 + scale),  dscale = dy x,  dshift = dy
 *
 * modulate_dx yields dx and dsh, either of them only if it is read. Their gradients are sums of products, which the tape has
 * ops for. A picture of x is a contiguous range, as are its scales and its shifts; planes do not matter.
 */
#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

static size_t picture_length(const NervTensor *x)
{
    return (size_t)x->shape.c * x->shape.h * x->shape.w;
}

/* Operand i has a scale and a shift for each element of x. */
static bool check_modulation(const NervNode *node, uint32_t i, NervShape x, GError **error)
{
    if (x.c > NERV_MAX_ELEMENTS / 2)
        return nerv_invalid(node, error, "too many channels");
    return nerv_check_float(node, error) &&
           nerv_check_shape(node, i, nerv_shape(x.n, 2 * x.c, x.h, x.w), "scales and shifts are", error);
}

typedef struct {
    const float *x, *sh, *dy;
    float *y; /* y, or dx */
    float *dsh;
    const NervClipDsp *dsp;
    size_t length; /* of a picture of x */
} ModulateJob;

static void run(ModulateJob *job, const NervTensor *x, const NervCpu *cpu, NervTaskFunc task)
{
    job->dsp = &cpu->dsp->clip;
    job->length = picture_length(x);
    nerv_pool_run(cpu->pool, (uint32_t)x->shape.n * nerv_n_ranges(job->length), task, job);
}

/* A range of a picture: where it begins in x and, of the scales, in sh. */
static size_t range_at(const ModulateJob *job, uint32_t task, size_t *at, size_t *scales)
{
    const uint32_t n_ranges = nerv_n_ranges(job->length), range = task % n_ranges;
    const size_t n = task / n_ranges, first = (size_t)range * NERV_RANGE;
    *at = n * job->length + first;
    *scales = 2 * n * job->length + first;
    return nerv_range_length(job->length, range);
}

/* --- modulate --- */

static bool modulate_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    return check_modulation(node, 1, x, error) && nerv_infer_float(out, x);
}

static void modulate_ref(const NervNode *node, const NervArgs *args)
{
    const size_t length = picture_length(node->in[0]);
    const float *x = args->in[0], *sh = args->in[1];
    float *y = args->out[0];
    for (int32_t n = 0; n < node->in[0]->shape.n; n++, sh += 2 * length)
        for (size_t k = 0; k < length; k++)
            *y++ = (float)(*x++ * (1.0 + sh[k]) + sh[length + k]);
}

static void modulate_task(void *arg, uint32_t task, uint32_t thread)
{
    const ModulateJob *job = arg;
    size_t at, scales;
    const size_t n = range_at(job, task, &at, &scales);
    job->dsp->modulate(job->y + at, job->x + at, job->sh + scales, job->sh + scales + job->length, n);
}

static void modulate_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    ModulateJob job = { .x = args->in[0], .sh = args->in[1], .y = args->out[0] };
    run(&job, node->in[0], cpu, modulate_task);
}

static uint32_t modulate_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push(out, (uint32_t)picture_length(node->in[0]));
    return fits;
}

static void modulate_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                          NervTensor **din)
{
    din[0] = nerv_modulate_dx(tape, dout[0], node->in[0], node->in[1]);
    din[1] = din[0] ? din[0]->node->out[1] : NULL;
}

const NervOp nerv_op_modulate = {
    .name = "modulate",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = modulate_infer,
    .ref = modulate_ref,
    .cpu = modulate_cpu,
    .dispatch = modulate_dispatch,
    .grad = modulate_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_modulate(NervTape *t, NervTensor *x, NervTensor *sh)
{
    return nerv_tape_add(t, &nerv_op_modulate, (NervTensor *[]){ x, sh }, 2, NULL, 0);
}

/* --- modulate_dx --- */

static bool modulate_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[1]->shape;
    return check_modulation(node, 2, x, error) && nerv_check_shape(node, 0, x, "the features are", error) &&
           nerv_infer_float(&out[1], node->in[2]->shape) && nerv_infer_float(out, x);
}

static void modulate_dx_ref(const NervNode *node, const NervArgs *args)
{
    const size_t length = picture_length(node->in[1]);
    const float *dy = args->in[0], *x = args->in[1], *sh = args->in[2];
    float *dx = args->out[0], *dsh = args->out[1];
    for (size_t n = 0; n < (size_t)node->in[1]->shape.n; n++) {
        for (size_t k = 0; k < length; k++) {
            const size_t at = n * length + k, scale = 2 * n * length + k;
            if (dx)
                dx[at] = (float)(dy[at] * (1.0 + sh[scale]));
            if (dsh) {
                dsh[scale] = dy[at] * x[at];
                dsh[scale + length] = dy[at];
            }
        }
    }
}

static void modulate_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const ModulateJob *job = arg;
    size_t at, scales;
    const size_t n = range_at(job, task, &at, &scales);
    float *dscale = job->dsh ? job->dsh + scales : NULL;
    job->dsp->modulate_dx(job->y ? job->y + at : NULL, dscale, dscale ? dscale + job->length : NULL,
                          job->dy + at, job->x + at, job->sh + scales, n);
}

static void modulate_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    ModulateJob job = { .dy = args->in[0], .x = args->in[1], .sh = args->in[2], .y = args->out[0] };
    job.dsh = args->out[1];
    run(&job, node->in[1], cpu, modulate_dx_task);
}

static uint32_t modulate_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 1);
    nerv_dispatch_push(out, (uint32_t)picture_length(node->in[1]));
    nerv_dispatch_push(out, caps->out_live[0]);
    nerv_dispatch_push(out, caps->out_live[1]);
    return fits;
}

/* With u, (p, q) = dL/d(dx), dL/d(dscale, dshift): dL/d(dy) = u (1 + scale) + p x + q, dL/dx = p dy, dL/dscale = u dy; the shift
 * is in none of the results. */
static void modulate_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                             NervTensor **din)
{
    NervTensor *dy = node->in[0], *x = node->in[1], *sh = node->in[2], *u = dout[0];
    const NervShape s = x->shape;
    NervTensor *p = dout[1] ? nerv_slice(tape, dout[1], 0, s.c) : NULL;

    if (need[0] && dout[1])
        din[0] = nerv_add(tape, nerv_mul(tape, p, x), nerv_slice(tape, dout[1], s.c, s.c));
    if (need[0] && u) {
        NervTensor *through = nerv_modulate_dx(tape, u, x, sh);
        din[0] = din[0] ? nerv_add(tape, through, din[0]) : through;
    }
    if (need[1] && p)
        din[1] = nerv_mul(tape, p, dy);
    if (need[2] && u)
        din[2] = nerv_concat(tape,
                             (NervTensor *[]){ nerv_mul(tape, u, dy),
                                               nerv_expand(tape, nerv_tape_scalar(tape, 0.0f), s, 1.0f) },
                             2);
}

const NervOp nerv_op_modulate_dx = {
    .name = "modulate_dx",
    .min_in = 3,
    .max_in = 3,
    .n_out = 2,
    .infer = modulate_dx_infer,
    .ref = modulate_dx_ref,
    .cpu = modulate_dx_cpu,
    .dispatch = modulate_dx_dispatch,
    .grad = modulate_dx_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_modulate_dx(NervTape *t, NervTensor *dy, NervTensor *x, NervTensor *sh)
{
    return nerv_tape_add(t, &nerv_op_modulate_dx, (NervTensor *[]){ dy, x, sh }, 3, NULL, 0);
}

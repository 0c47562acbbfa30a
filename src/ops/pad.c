/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Zeros below and to the right of every plane, up to h x w. Gradient: the top left of dy (crop.c).
 */
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    int32_t h, w;
} PadAttr;

static bool pad_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const PadAttr *attr = NERV_NODE_ATTR(node, PadAttr);
    const NervShape s = node->in[0]->shape;
    if (attr->h < s.h || attr->w < s.w) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "op pad: %d x %d is smaller than the input's %d x %d", attr->h, attr->w, s.h, s.w);
        return false;
    }
    return nerv_check_float(node, error) && nerv_infer_float(out, nerv_shape(s.n, s.c, attr->h, attr->w));
}

static void pad_plane(const NervNode *node, const NervArgs *args, size_t plane)
{
    const NervShape si = node->in[0]->shape, so = node->out[0]->shape;
    const float *x = (const float *)args->in[0] + plane * si.h * si.w;
    float *y = (float *)args->out[0] + plane * so.h * so.w;
    for (int32_t h = 0; h < si.h; h++) {
        memcpy(y + (size_t)h * so.w, x + (size_t)h * si.w, si.w * sizeof(float));
        memset(y + (size_t)h * so.w + si.w, 0, (so.w - si.w) * sizeof(float));
    }
    memset(y + (size_t)si.h * so.w, 0, (size_t)(so.h - si.h) * so.w * sizeof(float));
}

static void pad_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    for (size_t p = 0; p < (size_t)s.n * s.c; p++)
        pad_plane(node, args, p);
}

typedef struct {
    const NervNode *node;
    const NervArgs *args;
} PadJob;

static void pad_task(void *arg, uint32_t task, uint32_t thread)
{
    const PadJob *job = arg;
    pad_plane(job->node, job->args, task);
}

static void pad_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    PadJob job = { node, args };
    nerv_pool_run(cpu->pool, (uint32_t)node->in[0]->shape.n * node->in[0]->shape.c, pad_task, &job);
}

static uint32_t pad_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape si = node->in[0]->shape, so = node->out[0]->shape;
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push(out, si.h);
    nerv_dispatch_push(out, si.w);
    nerv_dispatch_push(out, so.h);
    nerv_dispatch_push(out, so.w);
    return fits;
}

static void pad_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                     NervTensor **din)
{
    din[0] = nerv_crop(tape, dout[0], node->in[0]->shape.h, node->in[0]->shape.w);
}

const NervOp nerv_op_pad = {
    .name = "pad",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = pad_infer,
    .ref = pad_ref,
    .cpu = pad_cpu,
    .dispatch = pad_dispatch,
    .grad = pad_grad,
};

NervTensor *nerv_pad(NervTape *t, NervTensor *x, int h, int w)
{
    if (x && x->shape.h == h && x->shape.w == w)
        return x;
    const PadAttr attr = { h, w };
    return nerv_tape_add(t, &nerv_op_pad, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

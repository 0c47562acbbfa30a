/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The top left h x w of every plane. Gradient: dy padded with zeros to the input's size (pad.c).
 */
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    int32_t h, w;
} CropAttr;

static bool crop_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const CropAttr *attr = NERV_NODE_ATTR(node, CropAttr);
    const NervShape s = node->in[0]->shape;
    if (attr->h < 1 || attr->w < 1 || attr->h > s.h || attr->w > s.w) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "op crop: %d x %d is not within the input's %d x %d", attr->h, attr->w, s.h, s.w);
        return false;
    }
    return nerv_check_float(node, error) && nerv_infer_float(out, nerv_shape(s.n, s.c, attr->h, attr->w));
}

static void crop_plane(const NervNode *node, const NervArgs *args, size_t plane)
{
    const NervShape si = node->in[0]->shape, so = node->out[0]->shape;
    const float *x = (const float *)args->in[0] + plane * si.h * si.w;
    float *y = (float *)args->out[0] + plane * so.h * so.w;
    for (int32_t h = 0; h < so.h; h++)
        memcpy(y + (size_t)h * so.w, x + (size_t)h * si.w, so.w * sizeof(float));
}

static void crop_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    for (size_t p = 0; p < (size_t)s.n * s.c; p++)
        crop_plane(node, args, p);
}

typedef struct {
    const NervNode *node;
    const NervArgs *args;
} CropJob;

static void crop_task(void *arg, uint32_t task, uint32_t thread)
{
    const CropJob *job = arg;
    crop_plane(job->node, job->args, task);
}

static void crop_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    CropJob job = { node, args };
    nerv_pool_run(cpu->pool, (uint32_t)node->in[0]->shape.n * node->in[0]->shape.c, crop_task, &job);
}

static uint32_t crop_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape si = node->in[0]->shape, so = node->out[0]->shape;
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push(out, si.h);
    nerv_dispatch_push(out, si.w);
    nerv_dispatch_push(out, so.h);
    nerv_dispatch_push(out, so.w);
    return fits;
}

static void crop_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                      NervTensor **din)
{
    din[0] = nerv_pad(tape, dout[0], node->in[0]->shape.h, node->in[0]->shape.w);
}

const NervOp nerv_op_crop = {
    .name = "crop",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = crop_infer,
    .ref = crop_ref,
    .cpu = crop_cpu,
    .dispatch = crop_dispatch,
    .grad = crop_grad,
};

NervTensor *nerv_crop(NervTape *t, NervTensor *x, int h, int w)
{
    if (x && x->shape.h == h && x->shape.w == w)
        return x;
    const CropAttr attr = { h, w };
    return nerv_tape_add(t, &nerv_op_crop, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

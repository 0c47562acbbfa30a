/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Channels first..first+count-1 of every picture. Gradient: dy between channels of zeros (concat.c). A copy: values pass
 * bit by bit.
 */
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    int32_t first, count;
} SliceAttr;

static bool slice_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const SliceAttr *attr = NERV_NODE_ATTR(node, SliceAttr);
    const NervShape s = node->in[0]->shape;
    if (attr->first < 0 || attr->count < 1 || attr->count > s.c || attr->first > s.c - attr->count) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "op slice: %d channels from channel %d are not within the input's %d", attr->count,
                    attr->first, s.c);
        return false;
    }
    return nerv_check_float(node, error) && nerv_infer_float(out, nerv_shape(s.n, attr->count, s.h, s.w));
}

/* Elements of one picture of x and of y, and those of x that are passed over. */
typedef struct {
    size_t x, y, skip;
} Layout;

static Layout layout_of(const NervNode *node)
{
    const NervShape s = node->in[0]->shape;
    const SliceAttr *attr = NERV_NODE_ATTR(node, SliceAttr);
    const size_t area = (size_t)s.h * s.w;
    return (Layout){ s.c * area, attr->count * area, attr->first * area };
}

static void slice_ref(const NervNode *node, const NervArgs *args)
{
    const Layout l = layout_of(node);
    for (int32_t n = 0; n < node->out[0]->shape.n; n++)
        memcpy((float *)args->out[0] + n * l.y, (const float *)args->in[0] + n * l.x + l.skip,
               l.y * sizeof(float));
}

typedef struct {
    const float *x;
    float *y;
    Layout l;
    size_t n; /* elements of y */
} SliceJob;

/* A range of y, perhaps of several pictures. */
static void slice_task(void *arg, uint32_t task, uint32_t thread)
{
    const SliceJob *job = arg;
    const Layout *l = &job->l;
    size_t at = (size_t)task * NERV_RANGE;
    const size_t end = at + nerv_range_length(job->n, task);
    while (at < end) {
        const size_t skip = at % l->y, run = MIN(l->y - skip, end - at);
        memcpy(job->y + at, job->x + at / l->y * l->x + l->skip + skip, run * sizeof(float));
        at += run;
    }
}

static void slice_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    SliceJob job = { args->in[0], args->out[0], layout_of(node),
                     (size_t)nerv_shape_count(node->out[0]->shape) };
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), slice_task, &job);
}

static uint32_t slice_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Layout l = layout_of(node);
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push(out, (uint32_t)l.x);
    nerv_dispatch_push(out, (uint32_t)l.y);
    nerv_dispatch_push(out, (uint32_t)l.skip);
    return fits;
}

static void slice_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                       NervTensor **din)
{
    const SliceAttr *attr = NERV_NODE_ATTR(node, SliceAttr);
    const NervShape s = node->in[0]->shape;
    const int32_t behind = s.c - attr->first - attr->count;
    NervTensor *zero = nerv_tape_scalar(tape, 0.0f), *part[3];
    uint32_t n = 0;
    if (attr->first)
        part[n++] = nerv_expand(tape, zero, nerv_shape(s.n, attr->first, s.h, s.w), 1.0f);
    part[n++] = dout[0];
    if (behind)
        part[n++] = nerv_expand(tape, zero, nerv_shape(s.n, behind, s.h, s.w), 1.0f);
    din[0] = nerv_concat(tape, part, n);
}

const NervOp nerv_op_slice = {
    .name = "slice",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = slice_infer,
    .ref = slice_ref,
    .cpu = slice_cpu,
    .dispatch = slice_dispatch,
    .grad = slice_grad,
};

NervTensor *nerv_slice(NervTape *t, NervTensor *x, int first, int count)
{
    if (x && first == 0 && count == x->shape.c)
        return x;
    const SliceAttr attr = { first, count };
    return nerv_tape_add(t, &nerv_op_slice, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

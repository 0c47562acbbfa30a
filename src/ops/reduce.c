/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * y = scale * sum of x over some of the axes, which keep length 1. Gradient: dx = dy repeated along them,
 * times scale (expand.c). Sums are taken in a fixed order: over pieces whose cut depends on the shape alone,
 * then over the pieces. Axes are first merged where neighbours are both summed or both kept, which leaves at
 * most four.
 */
#include <math.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    int32_t axes;
    float scale;
} ReduceAttr;

/* The sum after merging: axis i has kept[i] * summed[i] elements, of which one factor is 1. */
typedef struct {
    uint32_t kept[4], summed[4], stride[4];
    size_t n_out, n_sum; /* outputs, and summands of each */
} Layout;

static Layout layout_of(const NervNode *node)
{
    const NervShape s = node->in[0]->shape;
    const int32_t dim[4] = { s.n, s.c, s.h, s.w }, axes = NERV_NODE_ATTR(node, ReduceAttr)->axes;
    Layout l = { .n_out = 1, .n_sum = 1 };
    int at = 3, last = -1; /* last: whether the axis filled latest is summed */
    for (int i = 0; i < 4; i++)
        l.kept[i] = l.summed[i] = 1;
    for (int i = 3; i >= 0; i--) {
        const int summed = axes >> i & 1;
        if (dim[i] == 1)
            continue;
        if (last >= 0 && summed != last)
            at--;
        *(summed ? &l.summed[at] : &l.kept[at]) *= (uint32_t)dim[i];
        last = summed;
    }
    uint32_t stride = 1;
    for (int i = 3; i >= 0; i--) {
        l.stride[i] = stride;
        stride *= l.kept[i] * l.summed[i];
        l.n_out *= l.kept[i];
        l.n_sum *= l.summed[i];
    }
    return l;
}

/* Offset of number i in an iteration over the extents `ext`, the last fastest. */
static size_t offset_of(const Layout *l, const uint32_t *ext, size_t i)
{
    size_t at = 0;
    for (int k = 3; k >= 0; k--) {
        at += i % ext[k] * l->stride[k];
        i /= ext[k];
    }
    return at;
}

static bool reduce_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const ReduceAttr *attr = NERV_NODE_ATTR(node, ReduceAttr);
    NervShape s = node->in[0]->shape;
    if ((attr->axes & ~NERV_AXIS_ALL) || !isfinite(attr->scale)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "op reduce: axes %#x or a scale of %g are not valid", (unsigned)attr->axes, attr->scale);
        return false;
    }
    s.n = attr->axes & NERV_AXIS_N ? 1 : s.n;
    s.c = attr->axes & NERV_AXIS_C ? 1 : s.c;
    s.h = attr->axes & NERV_AXIS_H ? 1 : s.h;
    s.w = attr->axes & NERV_AXIS_W ? 1 : s.w;
    return nerv_check_float(node, error) && nerv_infer_float(out, s);
}

static void reduce_ref(const NervNode *node, const NervArgs *args)
{
    const ReduceAttr *attr = NERV_NODE_ATTR(node, ReduceAttr);
    const NervShape si = node->in[0]->shape, so = node->out[0]->shape;
    const float *x = args->in[0];
    float *y = args->out[0];
    for (int64_t o = 0; o < nerv_shape_count(so); o++) {
        const int32_t on = o / so.w / so.h / so.c, oc = o / so.w / so.h % so.c, oh = o / so.w % so.h,
                      ow = o % so.w;
        double sum = 0;
        for (int32_t n = so.n == si.n ? on : 0; n < (so.n == si.n ? on + 1 : si.n); n++)
            for (int32_t c = so.c == si.c ? oc : 0; c < (so.c == si.c ? oc + 1 : si.c); c++)
                for (int32_t h = so.h == si.h ? oh : 0; h < (so.h == si.h ? oh + 1 : si.h); h++)
                    for (int32_t w = so.w == si.w ? ow : 0; w < (so.w == si.w ? ow + 1 : si.w); w++)
                        sum += x[(((size_t)n * si.c + c) * si.h + h) * si.w + w];
        y[o] = (float)(attr->scale * sum);
    }
}

typedef struct {
    const float *x;
    float *y;
    double *part;
    const NervMathDsp *dsp;
    Layout l;
    float scale;
    uint32_t n_parts; /* pieces of each output's sum */
} ReduceJob;

/* Summands contiguous: one piece of one output. Without pieces, all runs of the output one after another. */
static void run_task(void *arg, uint32_t task, uint32_t thread)
{
    const ReduceJob *job = arg;
    const Layout *l = &job->l;
    const uint32_t out = task / job->n_parts, part = task % job->n_parts, run = l->summed[3];
    const float *x = job->x + offset_of(l, l->kept, out);
    double sum = 0;
    if (job->n_parts > 1)
        sum = job->dsp->sum(x + (size_t)part * NERV_RANGE, nerv_range_length(run, part));
    else
        for (size_t i = 0; i < l->n_sum; i += run)
            sum += job->dsp->sum(x + offset_of(l, l->summed, i), run);
    job->part[task] = sum;
}

/* Outputs contiguous: up to ROW_BLOCK of them, the summed rows added one after another. */
#define ROW_BLOCK 256
static void row_task(void *arg, uint32_t task, uint32_t thread)
{
    const ReduceJob *job = arg;
    const Layout *l = &job->l;
    const uint32_t row = l->kept[3], n_blocks = (row + ROW_BLOCK - 1) / ROW_BLOCK;
    const uint32_t w0 = task % n_blocks * ROW_BLOCK, n = row - w0 < ROW_BLOCK ? row - w0 : ROW_BLOCK;
    const size_t out = (size_t)(task / n_blocks) * row + w0;
    const float *x = job->x + offset_of(l, l->kept, out);
    double sum[ROW_BLOCK] = { 0 };
    for (size_t i = 0; i < l->n_sum; i++) {
        const float *p = x + offset_of(l, l->summed, i);
        for (uint32_t w = 0; w < n; w++)
            sum[w] += p[w];
    }
    for (uint32_t w = 0; w < n; w++)
        job->y[out + w] = (float)(job->scale * sum[w]);
}

/* Whether each output's summands are contiguous or in contiguous runs; else neighbouring outputs' are. */
static bool sums_runs(const Layout *l)
{
    return l->kept[3] == 1;
}

static uint32_t n_pieces(const Layout *l)
{
    return l->n_sum == l->summed[3] ? nerv_n_ranges(l->n_sum) : 1;
}

static size_t reduce_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    const Layout l = layout_of(node);
    return sums_runs(&l) ? l.n_out * n_pieces(&l) * sizeof(double) : 0;
}

static void reduce_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    ReduceJob job = { args->in[0],
                      args->out[0],
                      args->scratch,
                      &cpu->dsp->math,
                      layout_of(node),
                      NERV_NODE_ATTR(node, ReduceAttr)->scale,
                      0 };
    const Layout *l = &job.l;
    if (!sums_runs(l)) {
        const uint32_t n_blocks = (l->kept[3] + ROW_BLOCK - 1) / ROW_BLOCK;
        nerv_pool_run(cpu->pool, (uint32_t)(l->n_out / l->kept[3]) * n_blocks, row_task, &job);
        return;
    }
    job.n_parts = n_pieces(l);
    nerv_pool_run(cpu->pool, (uint32_t)l->n_out * job.n_parts, run_task, &job);
    for (size_t o = 0; o < l->n_out; o++) {
        double sum = 0;
        for (uint32_t p = 0; p < job.n_parts; p++)
            sum += job.part[o * job.n_parts + p];
        job.y[o] = (float)(job.scale * sum);
    }
}

/* Vulkan: one invocation per output where there are many or their sums are short, else one workgroup per
 * piece of NERV_SUM_RANGE summands, and if there are several a second dispatch over the pieces. */
static bool one_invocation(const Layout *l)
{
    return l->n_sum <= 64 || l->n_out >= 4096;
}

static size_t reduce_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    const Layout l = layout_of(node);
    return one_invocation(&l) || l.n_sum <= NERV_SUM_RANGE ? 0 : l.n_out * nerv_sum_scratch(l.n_sum);
}

/* The whole push block of reduce.comp. `mode` 0: an invocation per output; 1: a workgroup per piece; 2: over
 * pieces. */
static bool reduce_dispatch_one(NervDispatch *d, const NervNode *node, const NervVkCaps *caps,
                                const Layout *l, uint32_t n_parts, uint32_t mode)
{
    nerv_dispatch_init(d, "reduce");
    nerv_dispatch_bind(d, NERV_BIND_IN, 0);
    nerv_dispatch_bind(d, NERV_BIND_OUT, 0);
    /* Scratch exists only with several pieces; without, the third operand is never touched. */
    nerv_dispatch_bind(d, n_parts > 1 ? NERV_BIND_SCRATCH : NERV_BIND_OUT, 0);
    nerv_dispatch_push(d, (uint32_t)l->n_out);
    nerv_dispatch_push(d, (uint32_t)l->n_sum);
    nerv_dispatch_push(d, n_parts);
    nerv_dispatch_push(d, mode);
    nerv_dispatch_push_float(d, NERV_NODE_ATTR(node, ReduceAttr)->scale);
    for (int i = 0; i < 4; i++)
        nerv_dispatch_push(d, l->kept[i]);
    for (int i = 0; i < 4; i++)
        nerv_dispatch_push(d, l->summed[i]);
    for (int i = 0; i < 4; i++)
        nerv_dispatch_push(d, l->stride[i]);
    d->barrier_before = mode == 2;
    if (mode == 0)
        return nerv_dispatch_elements(d, caps, l->n_out, NERV_VK_LOCAL);
    return nerv_dispatch_groups(d, caps, mode == 1 ? (uint64_t)l->n_out * n_parts : l->n_out);
}

static uint32_t reduce_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Layout l = layout_of(node);
    if (one_invocation(&l))
        return reduce_dispatch_one(out, node, caps, &l, 1, 0);
    const uint32_t n_parts = (uint32_t)((l.n_sum + NERV_SUM_RANGE - 1) / NERV_SUM_RANGE);
    if (!reduce_dispatch_one(out, node, caps, &l, n_parts, 1))
        return 0;
    if (n_parts == 1)
        return 1;
    return reduce_dispatch_one(out + 1, node, caps, &l, n_parts, 2) ? 2 : 0;
}

static void reduce_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    din[0] = nerv_expand(tape, dout[0], node->in[0]->shape, NERV_NODE_ATTR(node, ReduceAttr)->scale);
}

const NervOp nerv_op_reduce = {
    .name = "reduce",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = reduce_infer,
    .ref = reduce_ref,
    .cpu = reduce_cpu,
    .cpu_scratch = reduce_cpu_scratch,
    .dispatch = reduce_dispatch,
    .vk_scratch = reduce_vk_scratch,
    .grad = reduce_grad,
    .rtol = 1e-5f,
    .atol = 2e-5f,
};

NervTensor *nerv_reduce_sum(NervTape *t, NervTensor *x, int axes, float scale)
{
    const ReduceAttr attr = { axes, scale };
    return nerv_tape_add(t, &nerv_op_reduce, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

NervTensor *nerv_reduce_mean(NervTape *t, NervTensor *x, int axes)
{
    if (!x)
        return nerv_reduce_sum(t, x, axes, 1.0f);
    const double n =
        (axes & NERV_AXIS_N ? (double)x->shape.n : 1) * (axes & NERV_AXIS_C ? (double)x->shape.c : 1) *
        (axes & NERV_AXIS_H ? (double)x->shape.h : 1) * (axes & NERV_AXIS_W ? (double)x->shape.w : 1);
    return nerv_reduce_sum(t, x, axes, (float)(1.0 / n));
}

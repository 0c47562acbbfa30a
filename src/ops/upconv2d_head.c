/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NeRV's last block and its head in one op: y = g(conv2d(f(pixel_shuffle(z, S)), v, c; 1x1)), z = conv2d(x, w, b) as in
 * upconv2d. The image between them, the widest of the network, is never written: on the CPU a piece of z goes through
 * activation and head while it is in the cache, in z's order of pixels, and only the few channels of the result are
 * shuffled. Evaluation gets this op by fusing two upconv2d (see `fuse` in upconv2d.c); training needs the image
 * between for its gradients.
 */
#include <string.h>

#include "cpu/conv.h"
#include "ops/check.h"
#include "ops/gemm.h"
#include "ops/ops.h"
#include "ops/upconv.h"

#define MAX_SCALE 16
#define HEAD_ROWS 4 /* channels of the result at most; rows of sums */

/* x[N,Ci,H,W], w[C*S*S,Ci,K,K], b[1,C*S*S,1,1], v[M,C,1,1], c[1,M,1,1] -> y[N,M,H*S,W*S] */
static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape, v = node->in[3]->shape;
    const NervUpconvHeadAttr *a = NERV_NODE_ATTR(node, NervUpconvHeadAttr);

    if (!nerv_check_float(node, error))
        return false;
    if (a->s < 1 || a->s > MAX_SCALE)
        return nerv_invalid(node, error, "the scale must be 1 to 16");
    if (a->act < 0 || a->act >= NERV_ACT_N || a->out_act < 0 || a->out_act >= NERV_ACT_N)
        return nerv_invalid(node, error, "an activation is not a known function");
    if (w.h != w.w || (w.h != 1 && w.h != 3 && w.h != 5))
        return nerv_invalid(node, error, "the kernel must be 1, 3 or 5 wide and square");
    if (x.c != w.c)
        return nerv_invalid(node, error, "the weights' input channels differ from the image's");
    if (w.n % (a->s * a->s) != 0 || v.c != w.n / (a->s * a->s) || v.h != 1 || v.w != 1)
        return nerv_invalid(node, error, "the head must be 1x1 over the block's channels");
    if (v.n > HEAD_ROWS)
        return nerv_invalid(node, error, "the head must have at most 4 channels");
    if (!nerv_shape_equal(node->in[2]->shape, nerv_shape(1, w.n, 1, 1)) ||
        !nerv_shape_equal(node->in[4]->shape, nerv_shape(1, v.n, 1, 1)))
        return nerv_invalid(node, error, "a bias must have one value per channel");
    if (x.h > INT32_MAX / a->s || x.w > INT32_MAX / a->s)
        return nerv_invalid(node, error, "the image is too large");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, v.n, x.h * a->s, x.w * a->s) };
    return true;
}

static void ref(const NervNode *node, const NervArgs *args)
{
    const NervUpconvHeadAttr *a = NERV_NODE_ATTR(node, NervUpconvHeadAttr);
    const NervShape ys = node->out[0]->shape, vs = node->in[3]->shape;
    const float *head = args->in[3], *c = args->in[4];
    float *y = args->out[0];
    const size_t plane = (size_t)ys.h * ys.w;
    const int S = a->s;

    for (int n = 0; n < ys.n; n++, y += ys.c * plane) {
        for (size_t p = 0; p < plane; p++) {
            const int h = (int)(p / ys.w), w = (int)(p % ys.w);
            double sum[HEAD_ROWS];
            for (int m = 0; m < vs.n; m++)
                sum[m] = c[m];
            for (int k = 0; k < vs.c; k++) {
                const float z =
                    (float)nerv_upconv_z(args->in[0], args->in[1], args->in[2], node->in[0]->shape,
                                         node->in[1]->shape.h, n, (k * S + h % S) * S + w % S, h / S, w / S);
                const float between = (float)nerv_act_value(a->act, z);
                for (int m = 0; m < vs.n; m++)
                    sum[m] += (double)head[m * vs.c + k] * between;
            }
            for (int m = 0; m < vs.n; m++)
                y[m * plane + p] = (float)nerv_act_value(a->out_act, (float)sum[m]);
        }
    }
}

/* --- CPU --- */

static NervConvGeom geometry(const NervNode *node)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;
    const int32_t s = NERV_NODE_ATTR(node, NervUpconvHeadAttr)->s, pad = (w.h - 1) / 2;
    return (NervConvGeom){ .n = x.n,
                           .c_in = x.c,
                           .h = x.h,
                           .w = x.w,
                           .kh = w.h,
                           .kw = w.h,
                           .step = 1,
                           .pad_y = pad,
                           .pad_x = pad,
                           .c_out = w.n,
                           .out_h = x.h,
                           .out_w = x.w,
                           .group = s * s,
                           .whole = true };
}

typedef struct {
    const NervDsp *dsp;
    float *y;
    NervShape ys;
    int32_t s, act, out_act, channels;
    const float *head, *bias; /* head[channel][HEAD_ROWS], bias[HEAD_ROWS] */
    float *per_thread;        /* sums[S*S][HEAD_ROWS][plane], then offsets */
    size_t plane, thread_floats;
} StoreTo;

static size_t thread_floats(const NervUpconvHeadAttr *a, int32_t channels, size_t plane)
{
    return (size_t)a->s * a->s * HEAD_ROWS * plane + (channels + 15) / 16 * 16;
}

/* The head's sums of a piece are complete. */
static void store_result(const StoreTo *to, const NervConvPiece *p, float *sums)
{
    const int32_t S = to->s;

    for (int32_t i = 0; i < S * S; i++) {
        for (int32_t m = 0; m < to->ys.c; m++)
            nerv_upconv_activate(to->dsp, p, sums + ((size_t)i * HEAD_ROWS + m) * to->plane, to->out_act);
    }
    for (int32_t m = 0; m < to->ys.c; m++) {
        for (int32_t i = 0; i < S; i++) {
            const float *from = sums + ((size_t)i * S * HEAD_ROWS + m) * to->plane;
            const size_t channel = (size_t)p->image * to->ys.c + m;
            float *y = to->y + (channel * to->ys.h + (size_t)p->first_row * S + i) * to->ys.w +
                       (size_t)p->first_col * S;
            for (int32_t r = 0; r < p->n_rows; r++)
                to->dsp->conv.interleave(y + (size_t)r * S * to->ys.w, from + (size_t)r * p->pitch,
                                         HEAD_ROWS * to->plane, p->n_cols, S);
        }
    }
}

/* Pieces of one place come in the order of their channels, from one thread. */
static void store(void *ctx, const NervConvPiece *p)
{
    const StoreTo *to = ctx;
    const int32_t subs = to->s * to->s, first = p->first_out / subs, n = p->n_out / subs;
    const size_t n_pixels = (size_t)(p->n_rows - 1) * p->pitch + p->n_cols;
    float *sums = to->per_thread + p->thread * to->thread_floats;
    int32_t *off = (int32_t *)(sums + subs * HEAD_ROWS * to->plane);

    for (int32_t c = 0; c < n; c++)
        off[c] = (int32_t)(c * subs * p->ld);
    for (int32_t i = 0; i < subs; i++) {
        for (int32_t c = 0; c < n; c++)
            nerv_upconv_activate(to->dsp, p, p->sums + (c * subs + i) * p->ld, to->act);
        to->dsp->conv.conv(sums + i * HEAD_ROWS * to->plane, to->plane, p->sums + i * p->ld, off, n,
                           to->head + (size_t)first * HEAD_ROWS, to->bias, HEAD_ROWS, n_pixels, first > 0);
    }
    if (first + n == to->channels)
        store_result(to, p, sums);
}

static size_t head_floats(const NervNode *node)
{
    return (size_t)(node->in[3]->shape.c + 1) * HEAD_ROWS;
}

static size_t conv_bytes(const NervConvGeom *g, const NervCpu *cpu)
{
    return (nerv_conv_scratch(g, cpu) + 63) / 64 * 64;
}

static void cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervUpconvHeadAttr *a = NERV_NODE_ATTR(node, NervUpconvHeadAttr);
    const NervConvGeom g = geometry(node);
    const NervShape v = node->in[3]->shape;
    const NervConvWeights w = { args->in[1], (ptrdiff_t)g.c_in * g.kh * g.kw, g.kh * g.kw, g.kw, 1 };
    const float *weights = args->in[3], *bias = args->in[4];
    float *head = (float *)((uint8_t *)args->scratch + conv_bytes(&g, cpu));
    StoreTo to = { .dsp = cpu->dsp,
                   .y = args->out[0],
                   .ys = node->out[0]->shape,
                   .s = a->s,
                   .act = a->act,
                   .out_act = a->out_act,
                   .channels = v.c,
                   .head = head,
                   .bias = head + (size_t)v.c * HEAD_ROWS,
                   .per_thread = head + head_floats(node),
                   .plane = nerv_conv_piece_floats(&g, cpu) };

    to.thread_floats = thread_floats(a, v.c, to.plane);
    for (int32_t c = 0; c <= v.c; c++, head += HEAD_ROWS) {
        for (int32_t m = 0; m < HEAD_ROWS; m++)
            head[m] = m >= v.n ? 0.0f : c < v.c ? weights[m * v.c + c] : bias[m];
    }
    nerv_conv_run(&g, cpu, args->scratch, args->in[0], &w, args->in[2], store, &to);
}

static size_t cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    const NervUpconvHeadAttr *a = NERV_NODE_ATTR(node, NervUpconvHeadAttr);
    const NervConvGeom g = geometry(node);
    const size_t floats = thread_floats(a, node->in[3]->shape.c, nerv_conv_piece_floats(&g, cpu));
    return conv_bytes(&g, cpu) + sizeof(float) * (head_floats(node) + nerv_pool_threads(cpu->pool) * floats);
}

/* --- Vulkan: the image between lies in scratch --- */

static NervShape between(const NervNode *node)
{
    const NervShape y = node->out[0]->shape;
    return nerv_shape(y.n, node->in[3]->shape.c, y.h, y.w);
}

static uint32_t dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervUpconvHeadAttr *a = NERV_NODE_ATTR(node, NervUpconvHeadAttr);
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape, y = node->out[0]->shape;
    const uint64_t pixels = (uint64_t)y.n * y.h * y.w;

    if (!nerv_gemm_conv(out, caps, "upconv2d", x, w, x.h, x.w, 1, (w.h - 1) / 2))
        return 0;
    nerv_dispatch_spec(out, (uint32_t)a->s);
    nerv_dispatch_spec(out, (uint32_t)a->act);
    nerv_dispatch_push(out, 1);
    nerv_dispatch_push(out, 1);
    nerv_dispatch_push(out, 0);
    nerv_dispatch_bind(out, NERV_BIND_SCRATCH, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0); /* z: bound, not written */
    nerv_dispatch_bind(out, NERV_BIND_IN, 2);

    out++;
    nerv_dispatch_init(out, "upconv2d_head");
    nerv_dispatch_spec(out, (uint32_t)y.c);
    nerv_dispatch_spec(out, (uint32_t)a->out_act);
    nerv_dispatch_push(out, (uint32_t)pixels);
    nerv_dispatch_push(out, (uint32_t)y.h * (uint32_t)y.w);
    nerv_dispatch_push(out, (uint32_t)node->in[3]->shape.c);
    nerv_dispatch_bind(out, NERV_BIND_SCRATCH, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 3);
    nerv_dispatch_bind(out, NERV_BIND_IN, 4);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    out->barrier_before = true;
    return pixels <= UINT32_MAX && nerv_dispatch_elements(out, caps, pixels, NERV_VK_LOCAL) ? 2 : 0;
}

static size_t vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    return (size_t)nerv_shape_count(between(node)) * sizeof(float);
}

/* --- the rest --- */

/* The image between is computed again, and then it is a matter of two upconv2d. */
static void grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din)
{
    const NervUpconvHeadAttr *a = NERV_NODE_ATTR(node, NervUpconvHeadAttr);
    NervTensor *y = nerv_upconv2d(tape, node->in[0], node->in[1], node->in[2], a->s, (NervAct)a->act);
    NervTensor *out = nerv_upconv2d(tape, y, node->in[3], node->in[4], 1, (NervAct)a->out_act);
    NervTensor *flow[2] = { dout[0] }, *dhead[3] = { NULL }, *dblock[3] = { NULL };
    const bool need_block = need[0] || need[1] || need[2];

    if (!out)
        return;
    out->node->op->grad(tape, out->node, flow, (const bool[]){ need_block, need[3], need[4] }, dhead);
    flow[0] = dhead[0];
    if (need_block && dhead[0])
        y->node->op->grad(tape, y->node, flow, need, dblock);
    for (int i = 0; i < 3; i++)
        din[i] = dblock[i];
    din[3] = dhead[1];
    din[4] = dhead[2];
}

static int64_t macs(const NervNode *node)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;
    return (int64_t)x.n * x.h * x.w * w.n * w.c * w.h * w.w +
           nerv_shape_count(node->out[0]->shape) * node->in[3]->shape.c;
}

const NervOp nerv_op_upconv2d_head = {
    .name = "upconv2d_head",
    .min_in = 5,
    .max_in = 5,
    .n_out = 1,
    .infer = infer,
    .ref = ref,
    .cpu = cpu,
    .cpu_scratch = cpu_scratch,
    .dispatch = dispatch,
    .vk_scratch = vk_scratch,
    .grad = grad,
    .macs = macs,
    .rtol = 1e-4f,
    .atol = 4e-4f,
};

NervTensor *nerv_upconv2d_head(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b, NervTensor *v,
                               NervTensor *c, int s, NervAct act, NervAct out_act)
{
    const NervUpconvHeadAttr attr = { .s = s, .act = (int32_t)act, .out_act = (int32_t)out_act };
    return nerv_tape_add(t, &nerv_op_upconv2d_head, (NervTensor *[]){ x, w, b, v, c }, 5, &attr, sizeof attr);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The NeRV block in one op: z = conv2d(x, w, b) with stride 1 and padding (K-1)/2, y = act(pixel_shuffle(z, S)); Chen et
 * al. 2021, section 3. y[n,c,h*S+i,v*S+j] = act(z[n,(c*S+i)*S+j,h,v]).
 * Gradient: dz = pixel_unshuffle(dy) * act'(z), the op upconv2d_dz; then dx, dw, db are those of conv2d on dz. Where z is
 * read by somebody else (a gradient of the gradient), what flows into it is added to dz.
 */
#include <string.h>

#include "cpu/conv.h"
#include "ops/check.h"
#include "ops/gemm.h"
#include "ops/ops.h"
#include "ops/upconv.h"

#define MAX_SCALE 16

extern const NervOp nerv_op_upconv2d, nerv_op_upconv2d_head;

static bool valid_attr(const NervNode *node, GError **error)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);

    if (!nerv_check_float(node, error))
        return false;
    if (a->s < 1 || a->s > MAX_SCALE)
        return nerv_invalid(node, error, "the scale must be 1 to 16");
    if (a->act < 0 || a->act >= NERV_ACT_N)
        return nerv_invalid(node, error, "the activation is not a known function");
    return true;
}

/* x[N,Cin,H,W], w[C*S*S,Cin,K,K], b[1,C*S*S,1,1] -> y[N,C,H*S,W*S], z[N,C*S*S,H,W] */
static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;
    const int32_t s = NERV_NODE_ATTR(node, NervUpconvAttr)->s;

    if (!valid_attr(node, error))
        return false;
    if (w.h != w.w || (w.h != 1 && w.h != 3 && w.h != 5))
        return nerv_invalid(node, error, "the kernel must be 1, 3 or 5 wide and square");
    if (x.c != w.c)
        return nerv_invalid(node, error, "the weights' input channels differ from the image's");
    if (w.n % (s * s) != 0)
        return nerv_invalid(node, error, "the output channels must be a multiple of the scale squared");
    if (node->n_in > 2 && !nerv_shape_equal(node->in[2]->shape, nerv_shape(1, w.n, 1, 1)))
        return nerv_invalid(node, error, "the bias must be 1 x C*S*S x 1 x 1");
    if (x.h > INT32_MAX / s || x.w > INT32_MAX / s)
        return nerv_invalid(node, error, "the image is too large");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, w.n / (s * s), x.h * s, x.w * s) };
    out[1] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, w.n, x.h, x.w) };
    return true;
}

static void ref(const NervNode *node, const NervArgs *args)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    const NervShape xs = node->in[0]->shape, ws = node->in[1]->shape, ys = node->out[0]->shape;
    const float *b = node->n_in > 2 ? args->in[2] : NULL;
    float *y = args->out[0], *z = args->out[1];
    const int S = a->s;

    for (int n = 0; n < xs.n; n++) {
        for (int o = 0; o < ws.n; o++) {
            for (int h = 0; h < xs.h; h++) {
                for (int v = 0; v < xs.w; v++) {
                    const float value =
                        (float)nerv_upconv_z(args->in[0], args->in[1], b, xs, ws.h, n, o, h, v);
                    const size_t row = ((size_t)n * ys.c + o / (S * S)) * ys.h + h * S + o / S % S;
                    if (y)
                        y[row * ys.w + v * S + o % S] = (float)nerv_act_value(a->act, value);
                    if (z)
                        *z++ = value;
                }
            }
        }
    }
}

static NervConvGeom geometry(const NervNode *node)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;
    const int32_t s = NERV_NODE_ATTR(node, NervUpconvAttr)->s, pad = (w.h - 1) / 2;
    return (NervConvGeom){ x.n, x.c, x.h, x.w, w.h, w.h, 1, pad, pad, w.n, x.h, x.w, s * s, false };
}

typedef struct {
    const NervDsp *dsp;
    float *y, *z;
    NervShape ys, zs;
    int32_t s, act;
} StoreTo;

static void store_z(const StoreTo *to, const NervConvPiece *p)
{
    for (int32_t o = 0; o < p->n_out; o++) {
        float *z = to->z +
                   (((size_t)p->image * to->zs.c + p->first_out + o) * to->zs.h + p->first_row) * to->zs.w +
                   p->first_col;
        to->dsp->conv.copy_rows(z, to->zs.w, p->sums + o * p->ld, p->pitch, p->n_cols, p->n_rows);
    }
}

static void store(void *ctx, const NervConvPiece *p)
{
    const StoreTo *to = ctx;
    const int32_t S = to->s;

    if (to->z)
        store_z(to, p);
    if (!to->y)
        return;
    for (int32_t o = 0; o < p->n_out; o += S) {
        const int32_t c = (p->first_out + o) / (S * S), i = (p->first_out + o) / S % S;
        float *y = to->y + (((size_t)p->image * to->ys.c + c) * to->ys.h + p->first_row * S + i) * to->ys.w +
                   p->first_col * S;
        float *from = p->sums + o * p->ld;
        for (int32_t j = 0; j < S; j++)
            nerv_upconv_activate(to->dsp, p, from + j * p->ld, to->act);
        for (int32_t r = 0; r < p->n_rows; r++)
            to->dsp->conv.interleave(y + (size_t)r * S * to->ys.w, from + (size_t)r * p->pitch, p->ld,
                                     p->n_cols, S);
    }
}

static void cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    const NervConvGeom g = geometry(node);
    const int32_t k = g.kh;
    const NervConvWeights w = { args->in[1], (ptrdiff_t)g.c_in * k * k, k * k, k, 1 };
    StoreTo to = { cpu->dsp, args->out[0], args->out[1], node->out[0]->shape, node->out[1]->shape,
                   a->s,     a->act };
    nerv_conv_run(&g, cpu, args->scratch, args->in[0], &w, node->n_in > 2 ? args->in[2] : NULL, store, &to);
}

static size_t cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    const NervConvGeom g = geometry(node);
    return nerv_conv_scratch(&g, cpu);
}

static uint32_t dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;
    const bool has_bias = node->n_in > 2;

    if (!nerv_gemm_conv(out, caps, "upconv2d", x, w, x.h, x.w, 1, (w.h - 1) / 2))
        return 0;
    nerv_dispatch_spec(out, (uint32_t)a->s);
    nerv_dispatch_spec(out, (uint32_t)a->act);
    nerv_dispatch_push(out, has_bias);
    nerv_dispatch_push(out, caps->out_live[0]);
    nerv_dispatch_push(out, caps->out_live[1]);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 1);
    nerv_dispatch_bind(out, NERV_BIND_IN, has_bias ? 2 : 1); /* without bias: bound, not read */
    return 1;
}

static void grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    NervTensor *x = node->in[0], *w = node->in[1];
    const int K = w->shape.h;
    NervTensor *dz = dout[1];

    if (dout[0]) {
        NervTensor *through = nerv_upconv2d_dz(tape, dout[0], node->out[1], a->s, a->act);
        dz = dz ? nerv_add(tape, through, dz) : through;
    }
    if (need[0])
        din[0] = nerv_conv2d_dx(tape, dz, w, 1, (K - 1) / 2, x->shape.h, x->shape.w);
    if (need[1] || (node->n_in > 2 && need[2])) {
        NervTensor *dw = nerv_conv2d_dw(tape, dz, x, K, 1, (K - 1) / 2);
        if (need[1])
            din[1] = dw;
        if (node->n_in > 2 && need[2])
            din[2] = dw ? dw->node->out[1] : NULL;
    }
}

/* dy[N,C,H*S,W*S], z[N,C*S*S,H,W] -> dz[N,C*S*S,H,W] */
static bool infer_dz(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape, z = node->in[1]->shape;
    const int32_t s = NERV_NODE_ATTR(node, NervUpconvAttr)->s;

    if (!valid_attr(node, error))
        return false;
    if (dy.n != z.n || dy.h % s != 0 || dy.h / s != z.h || dy.w % s != 0 || dy.w / s != z.w ||
        z.c % (s * s) != 0 || z.c / (s * s) != dy.c)
        return nerv_invalid(node, error, "the gradient's shape is not that of the shuffled z");
    out[0] = (NervOutInfo){ NERV_F32, z };
    return true;
}

static void ref_dz(const NervNode *node, const NervArgs *args)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    const NervShape dys = node->in[0]->shape, zs = node->in[1]->shape;
    const float *dy = args->in[0], *z = args->in[1];
    float *dz = args->out[0];
    const int S = a->s;

    for (int n = 0; n < zs.n; n++) {
        for (int o = 0; o < zs.c; o++) {
            for (int h = 0; h < zs.h; h++) {
                for (int v = 0; v < zs.w; v++) {
                    const size_t row = ((size_t)n * dys.c + o / (S * S)) * dys.h + h * S + o / S % S;
                    *dz++ = (float)(dy[row * dys.w + v * S + o % S] * nerv_act_slope(a->act, *z++));
                }
            }
        }
    }
}

#define TASK_FLOATS 8192 /* of dz; three arrays of so many fit the L2 cache, one nearly the L1 cache */

typedef struct {
    const NervDsp *dsp;
    const float *dy, *z;
    float *dz;
    NervShape zs;
    int32_t s, act;
    int32_t rows, n_bands; /* rows of z in a task, tasks per channel of y */
} DzJob;

static void dz_task(void *arg, uint32_t task, uint32_t thread)
{
    const DzJob *job = arg;
    const int32_t S = job->s, h = job->zs.h, w = job->zs.w;
    const int32_t row = (int32_t)(task % job->n_bands) * job->rows, n_rows = MIN(job->rows, h - row);
    const size_t channel = task / job->n_bands, plane = (size_t)h * w, n = (size_t)n_rows * w;
    const float *dy = job->dy + (channel * h + row) * S * S * w;

    for (int32_t i = 0; i < S; i++) {
        const size_t at = (channel * S + i) * S * plane + (size_t)row * w;
        for (int32_t r = 0; r < n_rows; r++)
            job->dsp->conv.deinterleave(job->dz + at + (size_t)r * w, plane, dy + (size_t)(r * S + i) * S * w,
                                        w, S);
        for (int32_t j = 0; job->act != NERV_ACT_NONE && j < S; j++) {
            float *dz = job->dz + at + j * plane;
            job->dsp->math.act_dx(dz, dz, job->z + at + j * plane, n, job->act);
        }
    }
}

static void cpu_dz(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    const NervShape zs = node->in[1]->shape;
    DzJob job = { cpu->dsp, args->in[0], args->in[1], args->out[0], zs, a->s, a->act, .rows = 1 };

    job.rows = CLAMP(TASK_FLOATS / ((int64_t)a->s * a->s * zs.w), 1, zs.h);
    job.n_bands = (zs.h + job.rows - 1) / job.rows;
    nerv_pool_run(cpu->pool, (uint32_t)(zs.n * (zs.c / (a->s * a->s)) * job.n_bands), dz_task, &job);
}

static uint32_t dispatch_dz(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    const NervShape z = node->in[1]->shape;
    const uint64_t count = (uint64_t)nerv_shape_count(z);

    nerv_dispatch_init(out, "upconv2d_dz");
    nerv_dispatch_spec(out, (uint32_t)a->s);
    nerv_dispatch_spec(out, (uint32_t)a->act);
    nerv_dispatch_push(out, (uint32_t)count);
    nerv_dispatch_push(out, (uint32_t)z.h);
    nerv_dispatch_push(out, (uint32_t)z.w);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    return nerv_dispatch_elements(out, caps, count, NERV_VK_LOCAL) ? 1 : 0;
}

/* With g = dL/d(dz): dL/d(dy) = pixel_shuffle(g * act'(z)), dL/dz = g * pixel_unshuffle(dy) * act''(z). */
static void grad_dz(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                    NervTensor **din)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);
    NervTensor *dy = node->in[0], *z = node->in[1], *g = dout[0];

    if (need[0])
        din[0] = nerv_pixel_shuffle(tape, nerv_act_dx(tape, g, z, a->act), a->s);
    if (need[1] && a->act != NERV_ACT_NONE)
        din[1] = nerv_act_dxx(tape, g, nerv_pixel_unshuffle(tape, dy, a->s), z, a->act);
}

/* A head over a block becomes upconv2d_head. */
static bool fuse(NervNode *node, const uint32_t *uses)
{
    const NervUpconvAttr *head = NERV_NODE_ATTR(node, NervUpconvAttr);
    const NervNode *from = node->in[0]->node;
    NervNode merged = *node;

    if (!from || from->op != &nerv_op_upconv2d || node->in[0]->slot != 0 || uses[node->in[0]->id] != 1 ||
        uses[from->out[1]->id] > 0 || uses[node->out[1]->id] > 0 || from->n_in < 3 || node->n_in < 3)
        return false;
    const NervUpconvAttr *block = NERV_NODE_ATTR(from, NervUpconvAttr);
    const NervUpconvHeadAttr attr = { block->s, block->act, head->act };
    merged.op = &nerv_op_upconv2d_head;
    merged.n_in = 5;
    memcpy(merged.in, from->in, 3 * sizeof merged.in[0]);
    memcpy(merged.in + 3, node->in + 1, 2 * sizeof merged.in[0]);
    memset(merged.attr, 0, sizeof merged.attr);
    memcpy(merged.attr, &attr, sizeof attr);

    NervOutInfo out[NERV_MAX_OUT];
    if (head->s != 1 || node->in[1]->shape.h != 1 || !merged.op->infer(&merged, out, NULL))
        return false;
    *node = merged;
    return true;
}

static int64_t macs(const NervNode *node)
{
    const NervShape w = node->in[1]->shape;
    return nerv_shape_count(node->out[1]->shape) * w.c * w.h * w.w;
}

const NervOp nerv_op_upconv2d = {
    .name = "upconv2d",
    .min_in = 2,
    .max_in = 3,
    .n_out = 2,
    .infer = infer,
    .ref = ref,
    .cpu = cpu,
    .cpu_scratch = cpu_scratch,
    .dispatch = dispatch,
    .grad = grad,
    .fuse = fuse,
    .macs = macs,
    .rtol = 1e-4f,
    .atol = 2e-4f,
};

const NervOp nerv_op_upconv2d_dz = {
    .name = "upconv2d_dz",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = infer_dz,
    .ref = ref_dz,
    .cpu = cpu_dz,
    .dispatch = dispatch_dz,
    .grad = grad_dz,
    .rtol = 1e-5f,
    .atol = 1e-5f,
};

NervTensor *nerv_upconv2d(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b, int s, NervAct act)
{
    const NervUpconvAttr attr = { .s = s, .act = (int32_t)act };
    return nerv_tape_add(t, &nerv_op_upconv2d, (NervTensor *[]){ x, w, b }, b ? 3 : 2, &attr, sizeof attr);
}

NervTensor *nerv_upconv2d_dz(NervTape *t, NervTensor *dy, NervTensor *z, int s, NervAct act)
{
    const NervUpconvAttr attr = { .s = s, .act = (int32_t)act };
    return nerv_tape_add(t, &nerv_op_upconv2d_dz, (NervTensor *[]){ dy, z }, 2, &attr, sizeof attr);
}

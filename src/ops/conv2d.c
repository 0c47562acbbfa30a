/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * 2-D cross-correlation and its two gradients. With y[n,o,p,q] = b[o] + sum_{c,i,j} w[o,c,i,j] x[n,c,pS+i-P,qS+j-P]
 * (x is zero outside its borders):
 *   dx[n,c,u,v]  = sum over o,i,j,p,q with pS+i-P = u and qS+j-P = v of w[o,c,i,j] dy[n,o,p,q]
 *   dw[o,c,i,j]  = sum_{n,p,q} dy[n,o,p,q] x[n,c,pS+i-P,qS+j-P],   db[o] = sum_{n,p,q} dy[n,o,p,q]
 * Each of the three is linear in both of its operands, and each one's gradients are the other two, so the set is
 * closed under differentiation of any order. The fast CPU form is cpu/conv.h.
 */
#include <string.h>

#include "cpu/conv.h"
#include "ops/check.h"
#include "ops/gemm.h"
#include "ops/ops.h"

#define MAX_KERNEL 64
#define MAX_STRIDE 64

static bool valid_window(const NervNode *node, int32_t k, GError **error)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);

    if (k < 1 || k > MAX_KERNEL)
        return nerv_invalid(node, error, "the kernel must be 1 to 64 wide");
    if (a->stride < 1 || a->stride > MAX_STRIDE)
        return nerv_invalid(node, error, "the stride must be 1 to 64");
    if (a->pad < 0 || a->pad >= k)
        return nerv_invalid(node, error, "the padding must be less than the kernel and not negative");
    return true;
}

/* Size of the output along one dimension, 0 or less if the kernel does not fit. */
static int64_t out_size(int32_t size, int32_t k, const NervConvAttr *a)
{
    const int64_t room = (int64_t)size + 2 * a->pad - k;
    return room < 0 ? 0 : room / a->stride + 1;
}

/* x[N,Cin,H,W], w[Cout,Cin,K,K], b[1,Cout,1,1] */
static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;

    if (!nerv_check_float(node, error))
        return false;
    if (w.h != w.w)
        return nerv_invalid(node, error, "the kernel must be square");
    if (!valid_window(node, w.h, error))
        return false;
    if (x.c != w.c)
        return nerv_invalid(node, error, "the weights' input channels differ from the image's");
    if (node->n_in > 2 && !nerv_shape_equal(node->in[2]->shape, nerv_shape(1, w.n, 1, 1)))
        return nerv_invalid(node, error, "the bias must be 1 x Cout x 1 x 1");
    const int64_t ho = out_size(x.h, w.h, a), wo = out_size(x.w, w.w, a);
    if (ho < 1 || wo < 1)
        return nerv_invalid(node, error, "the image is smaller than the kernel");
    if (ho > INT32_MAX || wo > INT32_MAX)
        return nerv_invalid(node, error, "the image is too large");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, w.n, (int32_t)ho, (int32_t)wo) };
    return true;
}

static void ref(const NervNode *node, const NervArgs *args)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape xs = node->in[0]->shape, ws = node->in[1]->shape, ys = node->out[0]->shape;
    const float *x = args->in[0], *w = args->in[1], *b = node->n_in > 2 ? args->in[2] : NULL;
    float *y = args->out[0];
    const int S = a->stride, P = a->pad, K = ws.h;

    for (int n = 0; n < ys.n; n++) {
        for (int o = 0; o < ys.c; o++) {
            for (int p = 0; p < ys.h; p++) {
                for (int q = 0; q < ys.w; q++) {
                    double sum = b ? b[o] : 0.0;
                    for (int c = 0; c < xs.c; c++) {
                        const float *plane = x + ((size_t)n * xs.c + c) * xs.h * xs.w;
                        const float *taps = w + ((size_t)o * xs.c + c) * K * K;
                        for (int i = 0; i < K; i++) {
                            const int u = p * S + i - P;
                            for (int j = 0; j < K; j++) {
                                const int v = q * S + j - P;
                                if (u >= 0 && u < xs.h && v >= 0 && v < xs.w)
                                    sum += (double)taps[i * K + j] * plane[(size_t)u * xs.w + v];
                            }
                        }
                    }
                    *y++ = (float)sum;
                }
            }
        }
    }
}

static NervConvGeom geometry(const NervConvAttr *a, NervShape x, NervShape y, int32_t k)
{
    return (NervConvGeom){ x.n, x.c, x.h, x.w, k, k, a->stride, a->pad, a->pad, y.c, y.h, y.w, 1, false };
}

static NervConvGeom forward_geometry(const NervNode *node)
{
    return geometry(NERV_NODE_ATTR(node, NervConvAttr), node->in[0]->shape, node->out[0]->shape,
                    node->in[1]->shape.h);
}

/* Where a piece of a result goes: row i of the piece's is row first_y + step*i of the image, columns alike. */
typedef struct {
    const NervConvDsp *dsp;
    float *y;
    NervShape shape;
    int32_t step, first_y, first_x;
} StoreTo;

static void store(void *ctx, const NervConvPiece *p)
{
    const StoreTo *to = ctx;
    const size_t w = to->shape.w;

    for (int32_t o = 0; o < p->n_out; o++) {
        const size_t channel = (size_t)p->image * to->shape.c + p->first_out + o;
        const float *from = p->sums + o * p->ld;
        float *y = to->y + (channel * to->shape.h + to->first_y + to->step * p->first_row) * w + to->first_x +
                   to->step * p->first_col;
        if (to->step == 1) {
            to->dsp->copy_rows(y, w, from, p->pitch, p->n_cols, p->n_rows);
            continue;
        }
        for (int32_t r = 0; r < p->n_rows; r++, y += to->step * w, from += p->pitch) {
            for (int32_t x = 0; x < p->n_cols; x++)
                y[(size_t)x * to->step] = from[x];
        }
    }
}

static void cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervConvGeom g = forward_geometry(node);
    const int32_t k = g.kh;
    const NervConvWeights w = { args->in[1], (ptrdiff_t)g.c_in * k * k, k * k, k, 1 };
    StoreTo to = { &cpu->dsp->conv, args->out[0], node->out[0]->shape, 1, 0, 0 };
    nerv_conv_run(&g, cpu, args->scratch, args->in[0], &w, node->n_in > 2 ? args->in[2] : NULL, store, &to);
}

static size_t cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    const NervConvGeom g = forward_geometry(node);
    return nerv_conv_scratch(&g, cpu);
}

static uint32_t dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape y = node->out[0]->shape;
    const bool has_bias = node->n_in > 2;

    if (!nerv_gemm_conv(out, caps, "conv2d", node->in[0]->shape, node->in[1]->shape, y.h, y.w, a->stride,
                        a->pad))
        return 0;
    nerv_dispatch_push(out, has_bias);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, has_bias ? 2 : 1); /* without bias: bound, not read */
    return 1;
}

static void grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    NervTensor *x = node->in[0], *w = node->in[1], *dy = dout[0];

    if (need[0])
        din[0] = nerv_conv2d_dx(tape, dy, w, a->stride, a->pad, x->shape.h, x->shape.w);
    if (need[1] || (node->n_in > 2 && need[2])) {
        NervTensor *dw = nerv_conv2d_dw(tape, dy, x, w->shape.h, a->stride, a->pad);
        if (need[1])
            din[1] = dw;
        if (node->n_in > 2 && need[2])
            din[2] = dw ? dw->node->out[1] : NULL;
    }
}

/* dy[N,Cout,Ho,Wo], w[Cout,Cin,K,K] -> dx[N,Cin,H,W] */
static bool infer_dx(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dy = node->in[0]->shape, w = node->in[1]->shape;

    if (!nerv_check_float(node, error))
        return false;
    if (w.h != w.w)
        return nerv_invalid(node, error, "the kernel must be square");
    if (!valid_window(node, w.h, error))
        return false;
    if (dy.c != w.n)
        return nerv_invalid(node, error, "the weights' output channels differ from the gradient's");
    if (a->h < 1 || a->w < 1 || out_size(a->h, w.h, a) != dy.h || out_size(a->w, w.w, a) != dy.w)
        return nerv_invalid(node, error, "the image's size does not lead to the gradient's");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(dy.n, w.c, a->h, a->w) };
    return true;
}

static void ref_dx(const NervNode *node, const NervArgs *args)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dys = node->in[0]->shape, ws = node->in[1]->shape, xs = node->out[0]->shape;
    const float *dy = args->in[0], *w = args->in[1];
    float *dx = args->out[0];
    const int S = a->stride, P = a->pad, K = ws.h;

    for (int n = 0; n < xs.n; n++) {
        for (int c = 0; c < xs.c; c++) {
            for (int u = 0; u < xs.h; u++) {
                for (int v = 0; v < xs.w; v++) {
                    double sum = 0.0;
                    for (int o = 0; o < ws.n; o++) {
                        const float *plane = dy + ((size_t)n * dys.c + o) * dys.h * dys.w;
                        const float *taps = w + ((size_t)o * ws.c + c) * K * K;
                        for (int i = 0; i < K; i++) {
                            const int p = (u + P - i) / S;
                            if (u + P - i < 0 || p * S != u + P - i || p >= dys.h)
                                continue;
                            for (int j = 0; j < K; j++) {
                                const int q = (v + P - j) / S;
                                if (v + P - j >= 0 && q * S == v + P - j && q < dys.w)
                                    sum += (double)taps[i * K + j] * plane[(size_t)p * dys.w + q];
                            }
                        }
                    }
                    *dx++ = (float)sum;
                }
            }
        }
    }
}

/* One dimension of one phase of dx: the rows u = first + S*r, r < n_rows. With u + P = S*q + a they are
 * dx[u] = sum over j < n_taps of dy[q - j] w[S*j + a], a convolution of stride 1 with the taps in reverse order. */
typedef struct {
    int32_t first, n_rows, n_taps, pad, last_tap;
} Phase;

static Phase phase(int32_t a, int32_t size, int32_t k, const NervConvAttr *attr)
{
    const int32_t S = attr->stride, P = attr->pad;
    const int32_t q = P > a ? (P - a + S - 1) / S : 0;
    Phase p = { .first = S * q + a - P, .n_taps = k > a ? (k - a + S - 1) / S : 0 };
    p.n_rows = p.first < size ? (size - 1 - p.first) / S + 1 : 0;
    p.pad = p.n_taps - 1 - q;
    p.last_tap = S * (p.n_taps - 1) + a;
    return p;
}

static NervConvGeom dx_geometry(const NervNode *node, const Phase *y, const Phase *x)
{
    const NervShape dy = node->in[0]->shape, dx = node->out[0]->shape;
    return (NervConvGeom){ dy.n,   dy.c,   dy.h, dy.w,      y->n_taps, x->n_taps, 1,
                           y->pad, x->pad, dx.c, y->n_rows, x->n_rows, 1,         false };
}

static void cpu_dx(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dx = node->out[0]->shape;
    const int32_t S = a->stride, K = node->in[1]->shape.h;

    for (int32_t i = 0; i < S * S; i++) {
        const Phase y = phase(i / S, dx.h, K, a), x = phase(i % S, dx.w, K, a);
        if (y.n_rows == 0 || x.n_rows == 0)
            continue;
        const NervConvGeom g = dx_geometry(node, &y, &x);
        const float *last = args->in[1];
        if (y.n_taps > 0 && x.n_taps > 0)
            last += y.last_tap * K + x.last_tap;
        const NervConvWeights w = { last, K * K, (ptrdiff_t)dx.c * K * K, -S * K, -S };
        StoreTo to = { &cpu->dsp->conv, args->out[0], dx, S, y.first, x.first };
        nerv_conv_run(&g, cpu, args->scratch, args->in[0], &w, NULL, store, &to);
    }
}

static size_t cpu_scratch_dx(const NervNode *node, const NervCpu *cpu)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dx = node->out[0]->shape;
    const int32_t S = a->stride, K = node->in[1]->shape.h;
    size_t most = 0;

    for (int32_t i = 0; i < S * S; i++) {
        const Phase y = phase(i / S, dx.h, K, a), x = phase(i % S, dx.w, K, a);
        if (y.n_rows == 0 || x.n_rows == 0)
            continue;
        const NervConvGeom g = dx_geometry(node, &y, &x);
        most = MAX(most, nerv_conv_scratch(&g, cpu));
    }
    return most;
}

static uint32_t dispatch_dx(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dy = node->in[0]->shape, w = node->in[1]->shape, dx = node->out[0]->shape;
    const uint32_t columns = (uint32_t)dx.n * (uint32_t)dx.h * (uint32_t)dx.w;
    const NervGemm g = nerv_gemm_choose((uint32_t)dx.c, columns, nerv_gemm_bk((uint32_t)dy.c),
                                        nerv_gemm_min_groups(caps), caps);
    const uint64_t tiles = (uint64_t)g.tiles_m * g.tiles_n;
    const uint32_t push[] = { g.tiles_m,      (uint32_t)tiles, (uint32_t)dy.c, (uint32_t)dx.c,
                              (uint32_t)dx.h, (uint32_t)dx.w,  (uint32_t)dy.h, (uint32_t)dy.w,
                              columns,        (uint32_t)a->pad };

    nerv_dispatch_init(out, "conv2d_dx");
    nerv_gemm_spec(out, &g);
    nerv_dispatch_spec(out, (uint32_t)w.h);
    nerv_dispatch_spec(out, (uint32_t)a->stride);
    for (uint32_t i = 0; i < G_N_ELEMENTS(push); i++)
        nerv_dispatch_push(out, push[i]);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    return tiles <= UINT32_MAX && nerv_dispatch_groups(out, caps, tiles) ? 1 : 0;
}

/* dx is linear in dy and in w: with g = dL/d(dx), dL/d(dy) is the convolution of g, dL/dw its correlation with dy. */
static void grad_dx(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                    NervTensor **din)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    NervTensor *dy = node->in[0], *w = node->in[1], *g = dout[0];

    if (need[0])
        din[0] = nerv_conv2d(tape, g, w, NULL, a->stride, a->pad);
    if (need[1])
        din[1] = nerv_conv2d_dw(tape, dy, g, w->shape.h, a->stride, a->pad);
}

/* dy[N,Cout,Ho,Wo], x[N,Cin,H,W] -> dw[Cout,Cin,K,K], db[1,Cout,1,1] */
static bool infer_dw(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dy = node->in[0]->shape, x = node->in[1]->shape;

    if (!nerv_check_float(node, error))
        return false;
    if (!valid_window(node, a->k, error))
        return false;
    if (dy.n != x.n)
        return nerv_invalid(node, error, "the gradient and the image differ in batch size");
    if (out_size(x.h, a->k, a) != dy.h || out_size(x.w, a->k, a) != dy.w)
        return nerv_invalid(node, error, "the image's size does not lead to the gradient's");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(dy.c, x.c, a->k, a->k) };
    out[1] = (NervOutInfo){ NERV_F32, nerv_shape(1, dy.c, 1, 1) };
    return true;
}

static double tap_sum(const NervConvAttr *a, NervShape dys, NervShape xs, const float *dy, const float *x,
                      int o, int c, int i, int j)
{
    double sum = 0.0;
    for (int n = 0; n < dys.n; n++) {
        const float *dplane = dy + ((size_t)n * dys.c + o) * dys.h * dys.w;
        const float *plane = x + ((size_t)n * xs.c + c) * xs.h * xs.w;
        for (int p = 0; p < dys.h; p++) {
            const int u = p * a->stride + i - a->pad;
            if (u < 0 || u >= xs.h)
                continue;
            for (int q = 0; q < dys.w; q++) {
                const int v = q * a->stride + j - a->pad;
                if (v >= 0 && v < xs.w)
                    sum += (double)dplane[(size_t)p * dys.w + q] * plane[(size_t)u * xs.w + v];
            }
        }
    }
    return sum;
}

static void ref_dw(const NervNode *node, const NervArgs *args)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dys = node->in[0]->shape, xs = node->in[1]->shape;
    const float *dy = args->in[0], *x = args->in[1];
    float *dw = args->out[0], *db = args->out[1];
    const size_t plane = (size_t)dys.h * dys.w;

    for (int o = 0; dw && o < dys.c; o++) {
        for (int c = 0; c < xs.c; c++) {
            for (int i = 0; i < a->k; i++) {
                for (int j = 0; j < a->k; j++)
                    *dw++ = (float)tap_sum(a, dys, xs, dy, x, o, c, i, j);
            }
        }
    }
    for (int o = 0; db && o < dys.c; o++) {
        double sum = 0.0;
        for (int n = 0; n < dys.n; n++) {
            for (size_t p = 0; p < plane; p++)
                sum += dy[((size_t)n * dys.c + o) * plane + p];
        }
        db[o] = (float)sum;
    }
}

static NervConvGeom dw_geometry(const NervNode *node)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    return geometry(a, node->in[1]->shape, node->in[0]->shape, a->k);
}

static void cpu_dw(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervConvGeom g = dw_geometry(node);
    nerv_conv_dw_run(&g, cpu, args->scratch, args->in[0], args->in[1], args->out[0], args->out[1]);
}

static size_t cpu_scratch_dw(const NervNode *node, const NervCpu *cpu)
{
    const NervConvGeom g = dw_geometry(node);
    return nerv_conv_dw_scratch(&g, cpu);
}

/* How conv2d_dw's sum over all output pixels is split: into enough ranges to fill the device, none shorter than `shortest` pixels
 * (the sum of the parts would cost more; a GPU that stands idle costs more still) nor, for precision, longer than 4096, as
 * far as 64 MiB of parts allow. Where the pixels are too few for that the tiles are small instead. */
typedef struct {
    NervGemm tile;
    uint32_t columns; /* Cin*K*K + 1: the last one gives db */
    uint32_t pixels, splits, split_pixels;
} SplitDw;

static SplitDw split_dw(const NervNode *node, const NervVkCaps *caps)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dy = node->in[0]->shape, x = node->in[1]->shape;
    SplitDw s = { .columns = (uint32_t)x.c * (uint32_t)(a->k * a->k) + 1,
                  .pixels = (uint32_t)dy.n * (uint32_t)dy.h * (uint32_t)dy.w };

    const uint32_t shortest = caps->is_software ? 512 : 128, wanted = nerv_gemm_min_groups(caps);
    const uint32_t most_splits = MAX(s.pixels / shortest, 1);
    s.tile = nerv_gemm_choose((uint32_t)dy.c, s.columns, NERV_GEMM_MAX_BK,
                              (wanted + most_splits - 1) / most_splits, caps);
    const uint64_t tiles = (uint64_t)s.tile.tiles_m * s.tile.tiles_n;
    const uint64_t most = MAX(((uint64_t)1 << 24) / ((uint64_t)dy.c * s.columns), 1);
    uint64_t splits = MIN(2 * wanted / tiles, most_splits);
    splits = MAX(splits, s.pixels / 4096 + 1);
    splits = MIN(splits, most);
    s.split_pixels = (uint32_t)((s.pixels + splits - 1) / splits);
    s.split_pixels = (s.split_pixels + NERV_GEMM_MAX_BK - 1) / NERV_GEMM_MAX_BK * NERV_GEMM_MAX_BK;
    s.splits = (s.pixels + s.split_pixels - 1) / s.split_pixels;
    return s;
}

static size_t vk_scratch_dw(const NervNode *node, const NervVkCaps *caps)
{
    const SplitDw s = split_dw(node, caps);
    return (size_t)s.splits * (size_t)node->in[0]->shape.c * s.columns * sizeof(float);
}

static uint32_t dispatch_dw(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    const NervShape dy = node->in[0]->shape, x = node->in[1]->shape;
    const SplitDw s = split_dw(node, caps);
    const uint64_t groups = (uint64_t)s.tile.tiles_m * s.tile.tiles_n * s.splits;
    const uint64_t elements = (uint64_t)dy.c * s.columns;
    uint32_t lanes = 1; /* that share the parts of an element, about 16 each */
    while (lanes < 32 && s.splits > 16 * lanes)
        lanes *= 2;
    const uint32_t push[] = { s.tile.tiles_m,   s.tile.tiles_n,    s.splits,         s.split_pixels,
                              (uint32_t)dy.c,   (uint32_t)x.c,     (uint32_t)x.h,    (uint32_t)x.w,
                              (uint32_t)dy.h,   (uint32_t)dy.w,    s.pixels,         s.columns,
                              (uint32_t)a->pad, caps->out_live[0], caps->out_live[1] };

    nerv_dispatch_init(out, "conv2d_dw");
    nerv_gemm_spec(out, &s.tile);
    nerv_dispatch_spec(out, (uint32_t)a->k);
    nerv_dispatch_spec(out, (uint32_t)a->stride);
    nerv_dispatch_spec(out, 0);
    for (uint32_t i = 0; i < G_N_ELEMENTS(push); i++)
        nerv_dispatch_push(out, push[i]);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 1);
    nerv_dispatch_bind(out, NERV_BIND_SCRATCH, 0);

    /* The sum knows nothing of tiles and windows: with constants of its own it is one pipeline for all of them. */
    static const uint32_t sum_spec[] = { 16, 32, 4, 1, NERV_GEMM_MAX_BK, 0, 1, 1 };
    out[1] = out[0];
    memcpy(out[1].spec, sum_spec, sizeof sum_spec);
    out[1].spec[8] = lanes;
    out[1].barrier_before = true;
    if (groups > UINT32_MAX || !nerv_dispatch_groups(&out[0], caps, groups) ||
        !nerv_dispatch_elements(&out[1], caps, elements, NERV_VK_LOCAL / lanes))
        return 0;
    return 2;
}

/* dw and db are linear in dy and in x: with gw, gb their gradients, dL/d(dy) is the convolution of x with gw and
 * bias gb, and dL/dx is conv2d_dx of dy with gw. */
static void grad_dw(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                    NervTensor **din)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    NervTensor *dy = node->in[0], *x = node->in[1], *gw = dout[0], *gb = dout[1];

    if (need[0] && gw)
        din[0] = nerv_conv2d(tape, x, gw, gb, a->stride, a->pad);
    else if (need[0])
        din[0] = nerv_expand(tape, gb, dy->shape, 1.0f);
    if (need[1] && gw)
        din[1] = nerv_conv2d_dx(tape, dy, gw, a->stride, a->pad, x->shape.h, x->shape.w);
}

/* One per output pixel (for dx: per pixel of dy) and tap: the three do the same work. */
static int64_t macs(const NervNode *node)
{
    return nerv_shape_count(node->out[0]->shape) * node->in[1]->shape.c * node->in[1]->shape.h *
           node->in[1]->shape.w;
}

static int64_t macs_dx(const NervNode *node)
{
    return nerv_shape_count(node->in[0]->shape) * node->in[1]->shape.c * node->in[1]->shape.h *
           node->in[1]->shape.w;
}

static int64_t macs_dw(const NervNode *node)
{
    const NervConvAttr *a = NERV_NODE_ATTR(node, NervConvAttr);
    return nerv_shape_count(node->in[0]->shape) * node->in[1]->shape.c * a->k * a->k;
}

const NervOp nerv_op_conv2d = {
    .name = "conv2d",
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .infer = infer,
    .ref = ref,
    .cpu = cpu,
    .cpu_scratch = cpu_scratch,
    .dispatch = dispatch,
    .grad = grad,
    .macs = macs,
    .rtol = 1e-4f,
    .atol = 2e-4f,
};

const NervOp nerv_op_conv2d_dx = {
    .name = "conv2d_dx",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = infer_dx,
    .ref = ref_dx,
    .cpu = cpu_dx,
    .cpu_scratch = cpu_scratch_dx,
    .dispatch = dispatch_dx,
    .grad = grad_dx,
    .macs = macs_dx,
    .rtol = 1e-4f,
    .atol = 2e-4f,
};

const NervOp nerv_op_conv2d_dw = {
    .name = "conv2d_dw",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .infer = infer_dw,
    .ref = ref_dw,
    .cpu = cpu_dw,
    .cpu_scratch = cpu_scratch_dw,
    .dispatch = dispatch_dw,
    .vk_scratch = vk_scratch_dw,
    .grad = grad_dw,
    .macs = macs_dw,
    .rtol = 1e-4f,
    .atol = 1e-3f,
};

NervTensor *nerv_conv2d(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b, int stride, int pad)
{
    const NervConvAttr attr = { .stride = stride, .pad = pad };
    return nerv_tape_add(t, &nerv_op_conv2d, (NervTensor *[]){ x, w, b }, b ? 3 : 2, &attr, sizeof attr);
}

NervTensor *nerv_conv2d_dx(NervTape *t, NervTensor *dy, NervTensor *w, int stride, int pad, int h, int w_)
{
    const NervConvAttr attr = { .stride = stride, .pad = pad, .h = h, .w = w_ };
    return nerv_tape_add(t, &nerv_op_conv2d_dx, (NervTensor *[]){ dy, w }, 2, &attr, sizeof attr);
}

NervTensor *nerv_conv2d_dw(NervTape *t, NervTensor *dy, NervTensor *x, int k, int stride, int pad)
{
    const NervConvAttr attr = { .stride = stride, .pad = pad, .k = k };
    return nerv_tape_add(t, &nerv_op_conv2d_dw, (NervTensor *[]){ dy, x }, 2, &attr, sizeof attr);
}

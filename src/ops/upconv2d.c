/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The NeRV block in one op: z = conv2d(x, w, b) with stride 1 and padding (K-1)/2, y = act(pixel_shuffle(z, S)); Chen et
 * al. 2021, section 3. y[n,c,h*S+i,v*S+j] = act(z[n,(c*S+i)*S+j,h,v]).
 * Gradient: dz = pixel_unshuffle(dy) * act'(z), the op upconv2d_dz; then dx, dw, db are those of conv2d on dz. Where z is
 * read by somebody else (a gradient of the gradient), what flows into it is added to dz.
 */
#include "ops/ops.h"
#include "ops/gemm.h"

#define MAX_SCALE 16

static bool invalid(GError **error, const char *op, const char *what)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: %s", op, what);
    return false;
}

static bool valid_attr(const char *op, const NervNode *node, GError **error)
{
    const NervUpconvAttr *a = NERV_NODE_ATTR(node, NervUpconvAttr);

    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i]->dtype != NERV_F32)
            return invalid(error, op, "operands must be float");
    }
    if (a->s < 1 || a->s > MAX_SCALE)
        return invalid(error, op, "the scale must be 1 to 16");
    if (a->act < 0 || a->act >= NERV_ACT_N)
        return invalid(error, op, "the activation is not a known function");
    return true;
}

/* x[N,Cin,H,W], w[C*S*S,Cin,K,K], b[1,C*S*S,1,1] -> y[N,C,H*S,W*S], z[N,C*S*S,H,W] */
static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;
    const int32_t s = NERV_NODE_ATTR(node, NervUpconvAttr)->s;

    if (!valid_attr("upconv2d", node, error))
        return false;
    if (w.h != w.w || (w.h != 1 && w.h != 3 && w.h != 5))
        return invalid(error, "upconv2d", "the kernel must be 1, 3 or 5 wide and square");
    if (x.c != w.c)
        return invalid(error, "upconv2d", "the weights' input channels differ from the image's");
    if (w.n % (s * s) != 0)
        return invalid(error, "upconv2d", "the output channels must be a multiple of the scale squared");
    if (node->n_in > 2 && !nerv_shape_equal(node->in[2]->shape, nerv_shape(1, w.n, 1, 1)))
        return invalid(error, "upconv2d", "the bias must be 1 x C*S*S x 1 x 1");
    if (x.h > INT32_MAX / s || x.w > INT32_MAX / s)
        return invalid(error, "upconv2d", "the image is too large");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, w.n / (s * s), x.h * s, x.w * s) };
    out[1] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, w.n, x.h, x.w) };
    return true;
}

/* z[n,o,h,v] */
static double conv_at(const float *x, const float *w, const float *b, NervShape xs, int K, int n, int o,
                      int h, int v)
{
    double sum = b ? b[o] : 0.0;
    for (int c = 0; c < xs.c; c++) {
        const float *plane = x + ((size_t)n * xs.c + c) * xs.h * xs.w;
        const float *taps = w + ((size_t)o * xs.c + c) * K * K;
        for (int i = 0; i < K; i++) {
            const int p = h + i - (K - 1) / 2;
            for (int j = 0; j < K; j++) {
                const int q = v + j - (K - 1) / 2;
                if (p >= 0 && p < xs.h && q >= 0 && q < xs.w)
                    sum += (double)taps[i * K + j] * plane[(size_t)p * xs.w + q];
            }
        }
    }
    return sum;
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
                    const float value = (float)conv_at(args->in[0], args->in[1], b, xs, ws.h, n, o, h, v);
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

    if (!valid_attr("upconv2d_dz", node, error))
        return false;
    if (dy.n != z.n || dy.h % s != 0 || dy.h / s != z.h || dy.w % s != 0 || dy.w / s != z.w ||
        z.c % (s * s) != 0 || z.c / (s * s) != dy.c)
        return invalid(error, "upconv2d_dz", "the gradient's shape is not that of the shuffled z");
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
    .dispatch = dispatch,
    .grad = grad,
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

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Mean structural similarity (Wang, Bovik, Sheikh & Simoncelli 2004, equation 13) of images in [0,1] and its
 * gradient. G is the 11 x 11 Gaussian of sigma 1.5, normalised to sum 1, applied at every position where it fits:
 *
 *   mu_a = G a,  mu_b = G b,  var_a = G aa - mu_a^2,  var_b = G bb - mu_b^2,  cov = G ab - mu_a mu_b
 *   S = A1 A2 / (B1 B2)
 *   A1 = 2 mu_a mu_b + C1,        A2 = 2 cov + C2
 *   B1 = mu_a^2 + mu_b^2 + C1,    B2 = var_a + var_b + C2
 *
 * Taking S as a function of the window's mu_a, G aa and G ab, its derivatives are the maps that `ssim` leaves for
 * `ssim_dx`, [N, 3C, H-10, W-10], channel kC+c holding m(k+1) of channel c:
 *
 *   m1 = dS/dmu_a    = 2 mu_b (A2-A1) / (B1 B2) - 2 mu_a S (1/B1 - 1/B2)
 *   m2 = dS/d(G aa)  = -S / B2
 *   m3 = dS/d(G ab)  = 2 A1 / (B1 B2)
 *
 * The chain rule through G, with G' its transpose and n the number of windows, gives
 * da = g/n (G' m1 + 2 a G' m2 + b G' m3). S is symmetric, so the gradient in b is that of the exchanged pair.
 *
 * A gradient of that gradient flows back into the maps, too. If u is theirs, the derivatives q of sum_k uk mk in the same three
 * variables are the product of S's second derivatives with u, which `ssim_dmaps` yields; with l = A1/B1, s = A2/B2,
 * l' = 2 (mu_b - mu_a l) / B1, l'' = -2 (l + 2 mu_a l') / B1 and, in terms of mu_a, var_a and cov, v = u2 - 2 mu_a u1 and
 * c = u3 - mu_b u1:
 *
 *   q2 = (2 l (v s - c) / B2 - u1 l' s) / B2
 *   q3 = 2 (u1 l' - l v / B2) / B2
 *   q1 = u1 l'' s + (l' (2 c - v s) + 2 u1 l s) / B2 - 2 mu_a q2 - mu_b q3
 *
 * and through G they are a gradient in a as the maps are. In b there is none, and ssim_dmaps is not differentiable: targets are
 * constants, and third derivatives are not needed.
 */
#include <math.h>

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/ops.h"
#include "ops/ranges.h"

#define K  NERV_SSIM_K
#define C1 (0.01 * 0.01)
#define C2 (0.03 * 0.03)

/* The one-dimensional window; G is its outer product with itself. */
static void gaussian(double g[K])
{
    double sum = 0;
    for (int i = 0; i < K; i++)
        sum += g[i] = exp(-(i - K / 2) * (i - K / 2) / (2 * 1.5 * 1.5));
    for (int i = 0; i < K; i++)
        g[i] /= sum;
}

static NervShape maps_shape(NervShape s)
{
    return nerv_shape(s.n, 3 * s.c, s.h - K + 1, s.w - K + 1);
}

static int64_t n_windows(NervShape s)
{
    return (int64_t)s.n * s.c * (s.h - K + 1) * (s.w - K + 1);
}

static bool check_size(const NervNode *node, NervShape s, GError **error)
{
    if (s.h >= K && s.w >= K)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "op %s: images of %d x %d are smaller than the %d x %d window", node->op->name, s.w, s.h, K,
                K);
    return false;
}

static bool ssim_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape s = node->in[0]->shape;
    if (!nerv_check_alike(node, 0, 1, error) || !check_size(node, s, error))
        return false;
    nerv_infer_float(&out[0], nerv_shape(1, 1, 1, 1));
    return nerv_infer_float(&out[1], maps_shape(s));
}

/* Offset of the first map of plane p = nC+c; the others are C maps further each. */
static size_t map_offset(NervShape s, size_t p)
{
    return (p / s.c * 3 * s.c + p % s.c) * (s.h - K + 1) * (s.w - K + 1);
}

typedef struct {
    double mu_a, mu_b, a1, a2, b1, b2;
} Terms;

/* Of the window whose top left pixel is a[0], b[0]. */
static Terms terms_of(const float *a, const float *b, int32_t stride, const double *g)
{
    double mu_a = 0, mu_b = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < K; i++) {
        for (int j = 0; j < K; j++) {
            const double w = g[i] * g[j], pa = a[(size_t)i * stride + j], pb = b[(size_t)i * stride + j];
            mu_a += w * pa;
            mu_b += w * pb;
            aa += w * pa * pa;
            bb += w * pb * pb;
            ab += w * pa * pb;
        }
    }
    return (Terms){ .mu_a = mu_a,
                    .mu_b = mu_b,
                    .a1 = 2 * mu_a * mu_b + C1,
                    .a2 = 2 * (ab - mu_a * mu_b) + C2,
                    .b1 = mu_a * mu_a + mu_b * mu_b + C1,
                    .b2 = aa - mu_a * mu_a + bb - mu_b * mu_b + C2 };
}

/* SSIM of a window and its three derivatives. */
static double value_of(const Terms *t, double m[3])
{
    const double over = 1 / (t->b1 * t->b2), s = t->a1 * t->a2 * over;
    m[0] = 2 * t->mu_b * (t->a2 - t->a1) * over - 2 * t->mu_a * s * (1 / t->b1 - 1 / t->b2);
    m[1] = -s / t->b2;
    m[2] = 2 * t->a1 * over;
    return s;
}

static void ssim_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    const int32_t mh = s.h - K + 1, mw = s.w - K + 1;
    const size_t plane = (size_t)s.h * s.w, map = (size_t)mh * mw;
    float *maps = args->out[1];
    double g[K], m[3], sum = 0;
    gaussian(g);
    for (size_t p = 0; p < (size_t)s.n * s.c; p++) {
        const float *a = (const float *)args->in[0] + p * plane, *b = (const float *)args->in[1] + p * plane;
        for (int32_t y = 0; y < mh; y++) {
            for (int32_t x = 0; x < mw; x++) {
                const Terms t = terms_of(a + (size_t)y * s.w + x, b + (size_t)y * s.w + x, s.w, g);
                sum += value_of(&t, m);
                for (int k = 0; maps && k < 3; k++)
                    maps[map_offset(s, p) + k * s.c * map + (size_t)y * mw + x] = (float)m[k];
            }
        }
    }
    if (args->out[0])
        *(float *)args->out[0] = (float)(sum / n_windows(s));
}

/* Work of the ops: tiles of every plane, of windows for ssim and ssim_dmaps and of pixels for ssim_dx. */
typedef struct {
    const float *a, *b, *u;
    float *maps, *da;
    double *part;
    const NervMathDsp *dsp;
    NervShape s;
    int32_t h, w; /* of the result */
    uint32_t n_x, n_y;
    float scale;
} SsimJob;

static void cut(SsimJob *job, int32_t h, int32_t w)
{
    job->h = h;
    job->w = w;
    job->n_x = (uint32_t)(w + NERV_SSIM_TILE_W - 1) / NERV_SSIM_TILE_W;
    job->n_y = (uint32_t)(h + NERV_SSIM_TILE_H - 1) / NERV_SSIM_TILE_H;
}

static uint32_t n_tiles(const SsimJob *job)
{
    return (uint32_t)job->s.n * (uint32_t)job->s.c * job->n_x * job->n_y;
}

static NervSsimTile tile_of(const SsimJob *job, uint32_t task)
{
    const uint32_t tx = task % job->n_x, ty = task / job->n_x % job->n_y;
    const size_t p = task / job->n_x / job->n_y, plane = (size_t)job->s.h * job->s.w;
    const size_t map = (size_t)(job->s.h - K + 1) * (job->s.w - K + 1);
    NervSsimTile t = { .a = job->a + p * plane, .b = job->b + p * plane, .scale = job->scale };
    t.h = job->s.h;
    t.w = job->s.w;
    t.maps = job->maps ? job->maps + map_offset(job->s, p) : NULL;
    t.u = job->u ? job->u + map_offset(job->s, p) : NULL;
    t.map_stride = job->s.c * map;
    t.da = job->da ? job->da + p * plane : NULL;
    t.x0 = (int32_t)tx * NERV_SSIM_TILE_W;
    t.x1 = MIN(t.x0 + NERV_SSIM_TILE_W, job->w);
    t.y0 = (int32_t)ty * NERV_SSIM_TILE_H;
    t.y1 = MIN(t.y0 + NERV_SSIM_TILE_H, job->h);
    return t;
}

static void ssim_task(void *arg, uint32_t task, uint32_t thread)
{
    const SsimJob *job = arg;
    const NervSsimTile tile = tile_of(job, task);
    job->part[task] = job->dsp->ssim(&tile);
}

static size_t ssim_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    SsimJob job = { .s = node->in[0]->shape };
    cut(&job, job.s.h - K + 1, job.s.w - K + 1);
    return n_tiles(&job) * sizeof(double);
}

static void ssim_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    SsimJob job = { .a = args->in[0], .b = args->in[1], .maps = args->out[1], .part = args->scratch };
    double sum = 0;
    job.dsp = &cpu->dsp->math;
    job.s = node->in[0]->shape;
    cut(&job, job.s.h - K + 1, job.s.w - K + 1);
    nerv_pool_run(cpu->pool, n_tiles(&job), ssim_task, &job);
    for (uint32_t i = 0; i < n_tiles(&job); i++)
        sum += job.part[i];
    if (args->out[0])
        *(float *)args->out[0] = (float)(sum / n_windows(job.s));
}

/* The shaders' tile of windows or pixels (TILE in shaders/lib/window.glsl). */
#define VK_TILE 16

typedef struct {
    uint32_t n_x, n_y;
    uint64_t groups;
} VkTiles;

static VkTiles vk_tiles(NervShape s, int32_t h, int32_t w)
{
    VkTiles t = { .n_x = ((uint32_t)w + VK_TILE - 1) / VK_TILE,
                  .n_y = ((uint32_t)h + VK_TILE - 1) / VK_TILE };
    t.groups = (uint64_t)s.n * s.c * t.n_x * t.n_y;
    return t;
}

/* The taps that differ: 0..5 of 11. */
static void push_taps(NervDispatch *d)
{
    double g[K];
    gaussian(g);
    for (int i = 0; i <= K / 2; i++)
        nerv_dispatch_push_float(d, (float)g[i]);
}

static size_t ssim_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    const NervShape s = node->in[0]->shape;
    return (size_t)vk_tiles(s, s.h - K + 1, s.w - K + 1).groups * sizeof(float);
}

static uint32_t ssim_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape s = node->in[0]->shape;
    const VkTiles t = vk_tiles(s, s.h - K + 1, s.w - K + 1);

    nerv_dispatch_init(out, "ssim");
    nerv_dispatch_spec(out, 0);
    nerv_dispatch_push(out, (uint32_t)s.c);
    nerv_dispatch_push(out, (uint32_t)s.h);
    nerv_dispatch_push(out, (uint32_t)s.w);
    nerv_dispatch_push(out, t.n_x);
    nerv_dispatch_push(out, t.n_y);
    nerv_dispatch_push(out, (uint32_t)t.groups);
    nerv_dispatch_push(out, caps->out_live[1]);
    nerv_dispatch_push_float(out, (float)(1.0 / n_windows(s)));
    nerv_dispatch_push_float(out, (float)C1);
    nerv_dispatch_push_float(out, (float)C2);
    push_taps(out);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 1);
    nerv_dispatch_bind(out, NERV_BIND_SCRATCH, 0);

    out[1] = out[0];
    out[1].spec[0] = 1;
    out[1].barrier_before = true;
    if (!nerv_dispatch_groups(out, caps, t.groups))
        return 0;
    return caps->out_live[0] ? 2 : 1;
}

static void ssim_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                      NervTensor **din)
{
    NervTensor *a = node->in[0], *b = node->in[1];
    if (need[1] && dout[1]) {
        nerv_tape_fail(tape, NERV_ERROR_INVALID, "op ssim: its maps are not differentiable in b");
        return;
    }
    if (need[0] && dout[0])
        din[0] = nerv_ssim_dx(tape, dout[0], a, b, node->out[1]);
    if (need[0] && dout[1]) {
        NervTensor *n = nerv_tape_scalar(tape, (float)n_windows(a->shape));
        NervTensor *through = nerv_ssim_dx(tape, n, a, b, nerv_ssim_dmaps(tape, a, b, dout[1]));
        din[0] = din[0] ? nerv_add(tape, din[0], through) : through;
    }
    if (need[1]) {
        NervTensor *exchanged = nerv_ssim(tape, b, a);
        din[1] = exchanged ? nerv_ssim_dx(tape, dout[0], b, a, exchanged->node->out[1]) : NULL;
    }
}

const NervOp nerv_op_ssim = {
    .name = "ssim",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .infer = ssim_infer,
    .ref = ssim_ref,
    .cpu = ssim_cpu,
    .cpu_scratch = ssim_cpu_scratch,
    .dispatch = ssim_dispatch,
    .vk_scratch = ssim_vk_scratch,
    .grad = ssim_grad,
    /* For the maps, which lose digits to cancellation where variances are small; tests/unit/ssim.c holds the mean to 1e-6. */
    .rtol = 5e-4f,
    .atol = 1e-3f,
};

static bool ssim_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape s = node->in[1]->shape;
    return nerv_check_alike(node, 1, 2, error) && nerv_check_scalar(node, 0, error) &&
           check_size(node, s, error) &&
           nerv_check_shape(node, 3, maps_shape(s), "the maps of such images are", error) &&
           nerv_infer_float(out, s);
}

static void ssim_dx_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[1]->shape;
    const int32_t mh = s.h - K + 1, mw = s.w - K + 1;
    const size_t plane = (size_t)s.h * s.w, map = (size_t)mh * mw;
    const double scale = *(const float *)args->in[0] / (double)n_windows(s);
    double g[K];
    gaussian(g);
    for (size_t p = 0; p < (size_t)s.n * s.c; p++) {
        const float *a = (const float *)args->in[1] + p * plane, *b = (const float *)args->in[2] + p * plane;
        const float *m = (const float *)args->in[3] + map_offset(s, p);
        float *da = (float *)args->out[0] + p * plane;
        for (int32_t y = 0; y < s.h; y++) {
            for (int32_t x = 0; x < s.w; x++) {
                double sum[3] = { 0, 0, 0 };
                for (int32_t i = MAX(0, y - K + 1); i <= MIN(y, mh - 1); i++)
                    for (int32_t j = MAX(0, x - K + 1); j <= MIN(x, mw - 1); j++)
                        for (int k = 0; k < 3; k++)
                            sum[k] += g[y - i] * g[x - j] * m[k * s.c * map + (size_t)i * mw + j];
                const size_t at = (size_t)y * s.w + x;
                da[at] = (float)(scale * (sum[0] + 2 * a[at] * sum[1] + b[at] * sum[2]));
            }
        }
    }
}

static void ssim_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const SsimJob *job = arg;
    const NervSsimTile tile = tile_of(job, task);
    job->dsp->ssim_dx(&tile);
}

static void ssim_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    SsimJob job = { .a = args->in[1], .b = args->in[2], .da = args->out[0], .dsp = &cpu->dsp->math };
    job.s = node->in[1]->shape;
    job.maps = (float *)args->in[3]; /* only read by ssim_dx */
    job.scale = (float)(*(const float *)args->in[0] / (double)n_windows(job.s));
    cut(&job, job.s.h, job.s.w);
    nerv_pool_run(cpu->pool, n_tiles(&job), ssim_dx_task, &job);
}

static uint32_t ssim_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape s = node->in[1]->shape;
    const VkTiles t = vk_tiles(s, s.h, s.w);

    nerv_dispatch_init(out, "ssim_dx");
    nerv_dispatch_push(out, (uint32_t)s.c);
    nerv_dispatch_push(out, (uint32_t)s.h);
    nerv_dispatch_push(out, (uint32_t)s.w);
    nerv_dispatch_push(out, t.n_x);
    nerv_dispatch_push(out, t.n_y);
    nerv_dispatch_push(out, (uint32_t)t.groups);
    nerv_dispatch_push_float(out, (float)(1.0 / n_windows(s)));
    push_taps(out);
    for (uint32_t i = 0; i < 4; i++)
        nerv_dispatch_bind(out, NERV_BIND_IN, i);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    return nerv_dispatch_groups(out, caps, t.groups) ? 1 : 0;
}

/* [N,C,H,W], each plane filtered by G. */
static NervTensor *filtered(NervTape *tape, NervTensor *x, NervShape s)
{
    double g[K];
    float taps[K * K];
    gaussian(g);
    for (int i = 0; i < K * K; i++)
        taps[i] = (float)(g[i / K] * g[i % K]);
    NervTensor *window = nerv_tape_const(tape, nerv_shape(1, 1, K, K), taps);
    x = nerv_reshape(tape, x, nerv_shape(s.n * s.c, 1, s.h, s.w));
    return nerv_reshape(tape, nerv_conv2d(tape, x, window, NULL, 1, 0),
                        nerv_shape(s.n, s.c, s.h - K + 1, s.w - K + 1));
}

/* g/n G' of map k: what ssim_dx makes of it as the first map, without others. */
static NervTensor *spread(NervTape *tape, const NervNode *node, int k)
{
    NervTensor *g = node->in[0], *a = node->in[1], *b = node->in[2], *maps = node->in[3];
    const NervShape s = maps->shape;
    const int32_t c = a->shape.c;
    NervTensor *zeros =
        nerv_expand(tape, nerv_tape_scalar(tape, 0.0f), nerv_shape(s.n, 2 * c, s.h, s.w), 1.0f);
    NervTensor *alone = nerv_concat(tape, (NervTensor *[]){ nerv_slice(tape, maps, k * c, c), zeros }, 2);
    return nerv_ssim_dx(tape, g, a, b, alone);
}

/* With u = dL/d(da): dL/dg is the sum of u times da with 1 for g, dL/da = 2 u g/n G' m2, dL/db = u g/n G' m3, and those of the maps
 * are g/n G u, g/n G (2 a u) and g/n G (b u). */
static void ssim_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                         NervTensor **din)
{
    NervTensor *g = node->in[0], *a = node->in[1], *b = node->in[2], *maps = node->in[3], *u = dout[0];
    if (need[0]) {
        NervTensor *unit = nerv_ssim_dx(tape, nerv_tape_scalar(tape, 1.0f), a, b, maps);
        din[0] = nerv_reduce_sum(tape, nerv_mul(tape, u, unit), NERV_AXIS_ALL, 1.0f);
    }
    if (need[1])
        din[1] = nerv_affine(tape, nerv_mul(tape, u, spread(tape, node, 1)), 2.0f, 0.0f);
    if (need[2])
        din[2] = nerv_mul(tape, u, spread(tape, node, 2));
    if (need[3]) {
        NervTensor *in[3] = { u, nerv_affine(tape, nerv_mul(tape, a, u), 2.0f, 0.0f), nerv_mul(tape, b, u) };
        NervShape s = a->shape;
        s.c *= 3;
        din[3] = nerv_mul(tape, filtered(tape, nerv_concat(tape, in, 3), s),
                          nerv_expand(tape, g, maps->shape, (float)(1.0 / n_windows(a->shape))));
    }
}

const NervOp nerv_op_ssim_dx = {
    .name = "ssim_dx",
    .min_in = 4,
    .max_in = 4,
    .n_out = 1,
    .infer = ssim_dx_infer,
    .ref = ssim_dx_ref,
    .cpu = ssim_dx_cpu,
    .dispatch = ssim_dx_dispatch,
    .grad = ssim_dx_grad,
    .rtol = 1e-4f,
    .atol = 1e-6f,
};

/* --- ssim_dmaps --- */

static bool ssim_dmaps_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape s = node->in[0]->shape;
    return nerv_check_alike(node, 0, 1, error) && check_size(node, s, error) &&
           nerv_check_shape(node, 2, maps_shape(s), "the maps of such images are", error) &&
           nerv_infer_float(out, maps_shape(s));
}

/* The derivatives of u[0] m[0] + u[1] m[1] + u[2] m[2]. */
static void derive_maps(const Terms *t, const double u[3], double q[3])
{
    const double l = t->a1 / t->b1, s = t->a2 / t->b2;
    const double dl = 2 * (t->mu_b - t->mu_a * l) / t->b1, ddl = -2 * (l + 2 * t->mu_a * dl) / t->b1;
    const double v = u[1] - 2 * t->mu_a * u[0], c = u[2] - t->mu_b * u[0];
    q[1] = (2 * l * (v * s - c) / t->b2 - u[0] * dl * s) / t->b2;
    q[2] = 2 * (u[0] * dl - l * v / t->b2) / t->b2;
    q[0] = u[0] * ddl * s + (dl * (2 * c - v * s) + 2 * u[0] * l * s) / t->b2 - 2 * t->mu_a * q[1] -
           t->mu_b * q[2];
}

static void ssim_dmaps_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    const int32_t mh = s.h - K + 1, mw = s.w - K + 1;
    const size_t plane = (size_t)s.h * s.w, stride = (size_t)s.c * mh * mw;
    double g[K];
    gaussian(g);
    for (size_t p = 0; p < (size_t)s.n * s.c; p++) {
        const float *a = (const float *)args->in[0] + p * plane, *b = (const float *)args->in[1] + p * plane;
        const float *u = (const float *)args->in[2] + map_offset(s, p);
        float *q = (float *)args->out[0] + map_offset(s, p);
        for (int32_t i = 0; i < mh * mw; i++) {
            const size_t corner = (size_t)(i / mw) * s.w + i % mw;
            const Terms t = terms_of(a + corner, b + corner, s.w, g);
            double value[3];
            derive_maps(&t, (const double[]){ u[i], u[stride + i], u[2 * stride + i] }, value);
            for (int k = 0; k < 3; k++)
                q[k * stride + i] = (float)value[k];
        }
    }
}

static void ssim_dmaps_task(void *arg, uint32_t task, uint32_t thread)
{
    const SsimJob *job = arg;
    const NervSsimTile tile = tile_of(job, task);
    job->dsp->ssim_dmaps(&tile);
}

static void ssim_dmaps_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    SsimJob job = { .a = args->in[0], .b = args->in[1], .u = args->in[2], .maps = args->out[0] };
    job.dsp = &cpu->dsp->math;
    job.s = node->in[0]->shape;
    cut(&job, job.s.h - K + 1, job.s.w - K + 1);
    nerv_pool_run(cpu->pool, n_tiles(&job), ssim_dmaps_task, &job);
}

static uint32_t ssim_dmaps_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape s = node->in[0]->shape;
    const VkTiles t = vk_tiles(s, s.h - K + 1, s.w - K + 1);

    nerv_dispatch_init(out, "ssim_dmaps");
    nerv_dispatch_push(out, (uint32_t)s.c);
    nerv_dispatch_push(out, (uint32_t)s.h);
    nerv_dispatch_push(out, (uint32_t)s.w);
    nerv_dispatch_push(out, t.n_x);
    nerv_dispatch_push(out, t.n_y);
    nerv_dispatch_push(out, (uint32_t)t.groups);
    nerv_dispatch_push_float(out, (float)C1);
    nerv_dispatch_push_float(out, (float)C2);
    push_taps(out);
    for (uint32_t i = 0; i < 3; i++)
        nerv_dispatch_bind(out, NERV_BIND_IN, i);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    return nerv_dispatch_groups(out, caps, t.groups) ? 1 : 0;
}

const NervOp nerv_op_ssim_dmaps = {
    .name = "ssim_dmaps",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = ssim_dmaps_infer,
    .ref = ssim_dmaps_ref,
    .cpu = ssim_dmaps_cpu,
    .dispatch = ssim_dmaps_dispatch,
    .rtol = 5e-4f,
    .atol = 1e-2f,
};

NervTensor *nerv_ssim(NervTape *t, NervTensor *a, NervTensor *b)
{
    return nerv_tape_add(t, &nerv_op_ssim, (NervTensor *[]){ a, b }, 2, NULL, 0);
}

NervTensor *nerv_ssim_dmaps(NervTape *t, NervTensor *a, NervTensor *b, NervTensor *u)
{
    return nerv_tape_add(t, &nerv_op_ssim_dmaps, (NervTensor *[]){ a, b, u }, 3, NULL, 0);
}

NervTensor *nerv_ssim_dx(NervTape *t, NervTensor *g, NervTensor *a, NervTensor *b, NervTensor *maps)
{
    return nerv_tape_add(t, &nerv_op_ssim_dx, (NervTensor *[]){ g, a, b, maps }, 4, NULL, 0);
}

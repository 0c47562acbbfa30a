/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bilinear enlargement S times in both directions, pixels being areas and the borders repeated, as
 * torch.nn.functional.interpolate(mode="bilinear", align_corners=False); and its transpose. Each is the other's gradient.
 *
 * Row qS+r of the result lies d = (2r+1-S)/2S of a row below the middle of row q, |d| < 1/2: it is row q and its neighbour
 * before (d < 0) or after (d > 0), mixed 1-|d| to |d|; a neighbour outside is the border itself. So are columns.
 */
#include <math.h>
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

/* An invocation of the shader of upsample_dx reads 4 S^2 elements. */
#define MAX_SCALE 64

typedef struct {
    int32_t s;
} UpsampleAttr;

static int32_t scale_of(const NervNode *node)
{
    return NERV_NODE_ATTR(node, UpsampleAttr)->s;
}

static bool check_scale(const NervNode *node, GError **error)
{
    const int32_t s = scale_of(node);
    if (s >= 1 && s <= MAX_SCALE)
        return nerv_check_float(node, error);
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: the scale %d is not in 1..%d", node->op->name,
                s, MAX_SCALE);
    return false;
}

static double lean(int32_t s, int32_t r)
{
    return (2 * r + 1 - s) / (2.0 * s);
}

/* The neighbour that is mixed into line qS+r, of `size` lines. */
static int32_t neighbour(int32_t s, int32_t r, int32_t q, int32_t size)
{
    return CLAMP(2 * r + 1 < s ? q - 1 : q + 1, 0, size - 1);
}

/* What line q has in line i of the result. */
static double share(int32_t s, int32_t i, int32_t q, int32_t size)
{
    const double d = fabs(lean(s, i % s));
    return (i / s == q ? 1 - d : 0) + (neighbour(s, i % s, i / s, size) == q ? d : 0);
}

/* The lines of the result in which line q may have a share are first..end-1. */
static void reach(int32_t s, int32_t q, int32_t size, int32_t *first, int32_t *end)
{
    *first = MAX(q * s - (s + 1) / 2, 0);
    *end = MIN((q + 1) * s + (s + 1) / 2, size * s);
}

typedef struct {
    const NervDsp *dsp;
    const float *x; /* or dy */
    float *y;       /* or dx */
    float *scratch;
    size_t thread_floats; /* of scratch */
    int32_t h, w, s;      /* h, w: of the small picture */
    int32_t band;         /* rows of it in a task */
    uint32_t n_bands;
} UpsampleJob;

/* A task is a band of rows of one plane. */
static void run(const NervNode *node, const NervArgs *args, const NervCpu *cpu, NervShape small,
                size_t thread_floats, NervTaskFunc func)
{
    UpsampleJob job = { .dsp = cpu->dsp, .x = args->in[0], .y = args->out[0], .scratch = args->scratch };
    job.thread_floats = thread_floats;
    job.h = small.h;
    job.w = small.w;
    job.s = scale_of(node);
    job.band = (int32_t)MAX(1, NERV_RANGE / ((int64_t)small.w * job.s * job.s));
    job.n_bands = (uint32_t)((small.h + job.band - 1) / job.band);
    nerv_pool_run(cpu->pool, (uint32_t)small.n * (uint32_t)small.c * job.n_bands, func, &job);
}

/* --- upsample --- */

static bool upsample_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t s = scale_of(node);
    if (!check_scale(node, error))
        return false;
    if (x.h > NERV_MAX_ELEMENTS / s || x.w > NERV_MAX_ELEMENTS / s)
        return nerv_invalid(node, error, "the image is too large");
    return nerv_infer_float(out, nerv_shape(x.n, x.c, x.h * s, x.w * s));
}

static void upsample_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape xs = node->in[0]->shape, ys = node->out[0]->shape;
    const int32_t s = scale_of(node);
    const float *x = args->in[0];
    float *y = args->out[0];
    for (int32_t plane = 0; plane < xs.n * xs.c; plane++, x += (size_t)xs.h * xs.w) {
        for (int32_t u = 0; u < ys.h; u++) {
            const float *near = x + (size_t)(u / s) * xs.w;
            const float *far = x + (size_t)neighbour(s, u % s, u / s, xs.h) * xs.w;
            const double down = fabs(lean(s, u % s));
            for (int32_t v = 0; v < ys.w; v++) {
                const int32_t q = v / s, other = neighbour(s, v % s, q, xs.w);
                const double along = fabs(lean(s, v % s));
                *y++ = (float)((1 - down) * ((1 - along) * near[q] + along * near[other]) +
                               down * ((1 - along) * far[q] + along * far[other]));
            }
        }
    }
}

/* One row S times as wide. Its S phases, samples S apart, are mixtures of the row and of itself shifted. */
static void widen(const UpsampleJob *job, float *wide, const float *x, float *phases)
{
    const size_t w = (size_t)job->w;
    for (int32_t r = 0; r < job->s; r++) {
        float *phase = phases + r * w;
        const float d = (float)lean(job->s, r);
        if (d < 0) {
            phase[0] = x[0];
            job->dsp->math.mix(phase + 1, x + 1, x, w - 1, -d);
        } else {
            job->dsp->math.mix(phase, x, x + 1, w - 1, d);
            phase[w - 1] = x[w - 1];
        }
    }
    job->dsp->conv.interleave(wide, phases, w, w, job->s);
}

/* Scratch: the widened rows q-1, q and q+1, at q mod 3, and the phases of one. */
static void upsample_task(void *arg, uint32_t task, uint32_t thread)
{
    const UpsampleJob *job = arg;
    const size_t length = (size_t)job->w * job->s;
    const size_t plane = task / job->n_bands, small = plane * job->h;
    const int32_t first = (int32_t)(task % job->n_bands) * job->band, end = MIN(first + job->band, job->h);
    float *wide[3], *phases = job->scratch + thread * job->thread_floats;
    for (int i = 0; i < 3; i++)
        wide[i] = phases + (size_t)(i + 1) * length;
    for (int32_t q = MAX(first - 1, 0); q < MIN(first + 1, job->h); q++)
        widen(job, wide[q % 3], job->x + (small + q) * job->w, phases);
    for (int32_t q = first; q < end; q++) {
        if (q + 1 < job->h)
            widen(job, wide[(q + 1) % 3], job->x + (small + q + 1) * job->w, phases);
        for (int32_t r = 0; r < job->s; r++)
            job->dsp->math.mix(job->y + ((small + q) * job->s + r) * length, wide[q % 3],
                               wide[neighbour(job->s, r, q, job->h) % 3], length,
                               fabsf((float)lean(job->s, r)));
    }
}

static size_t upsample_thread_floats(const NervNode *node)
{
    return 4 * (size_t)node->out[0]->shape.w;
}

static size_t upsample_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_pool_threads(cpu->pool) * upsample_thread_floats(node) * sizeof(float);
}

static void upsample_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    run(node, args, cpu, node->in[0]->shape, upsample_thread_floats(node), upsample_task);
}

/* Both shaders are pushed the same: the elements of the result, H and W of the small picture, S. */
static uint32_t dispatch_upsample(const NervNode *node, const NervVkCaps *caps, NervDispatch *out,
                                  NervShape small)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push(out, (uint32_t)small.h);
    nerv_dispatch_push(out, (uint32_t)small.w);
    nerv_dispatch_push(out, (uint32_t)scale_of(node));
    return fits;
}

static uint32_t upsample_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return dispatch_upsample(node, caps, out, node->in[0]->shape);
}

static void upsample_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                          NervTensor **din)
{
    if (need[0])
        din[0] = nerv_upsample_dx(tape, dout[0], scale_of(node));
}

const NervOp nerv_op_upsample = {
    .name = "upsample",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = upsample_infer,
    .ref = upsample_ref,
    .cpu = upsample_cpu,
    .cpu_scratch = upsample_cpu_scratch,
    .dispatch = upsample_dispatch,
    .grad = upsample_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_upsample(NervTape *t, NervTensor *x, int s)
{
    const UpsampleAttr attr = { s };
    if (s == 1)
        return x;
    return nerv_tape_add(t, &nerv_op_upsample, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

/* --- upsample_dx --- */

static bool upsample_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape;
    const int32_t s = scale_of(node);
    if (!check_scale(node, error))
        return false;
    if (dy.h % s != 0 || dy.w % s != 0)
        return nerv_invalid(node, error, "height and width must be multiples of the scale");
    return nerv_infer_float(out, nerv_shape(dy.n, dy.c, dy.h / s, dy.w / s));
}

static void upsample_dx_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape ys = node->in[0]->shape, xs = node->out[0]->shape;
    const int32_t s = scale_of(node);
    const float *dy = args->in[0];
    float *dx = args->out[0];
    for (int32_t plane = 0; plane < xs.n * xs.c; plane++, dy += (size_t)ys.h * ys.w) {
        for (int32_t p = 0; p < xs.h; p++) {
            for (int32_t q = 0; q < xs.w; q++) {
                int32_t top, bottom, left, right;
                double sum = 0;
                reach(s, p, xs.h, &top, &bottom);
                reach(s, q, xs.w, &left, &right);
                for (int32_t u = top; u < bottom; u++)
                    for (int32_t v = left; v < right; v++)
                        sum += share(s, u, p, xs.h) * share(s, v, q, xs.w) * dy[(size_t)u * ys.w + v];
                *dx++ = (float)sum;
            }
        }
    }
}

/* widen(), transposed. */
static void narrow(const UpsampleJob *job, float *dx, const float *wide, float *phases)
{
    const size_t w = (size_t)job->w;
    job->dsp->conv.deinterleave(phases, w, wide, w, job->s);
    memset(dx, 0, w * sizeof *dx);
    for (int32_t r = 0; r < job->s; r++) {
        const float *phase = phases + r * w;
        const float d = (float)lean(job->s, r);
        job->dsp->math.add_scaled(dx, phase, w, 1 - fabsf(d));
        if (d < 0) {
            dx[0] -= d * phase[0];
            job->dsp->math.add_scaled(dx, phase + 1, w - 1, -d);
        } else {
            job->dsp->math.add_scaled(dx + 1, phase, w - 1, d);
            dx[w - 1] += d * phase[w - 1];
        }
    }
}

/* Scratch: a wide row, and its phases. */
static void upsample_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const UpsampleJob *job = arg;
    const size_t length = (size_t)job->w * job->s;
    const size_t plane = task / job->n_bands, small = plane * job->h;
    const int32_t first = (int32_t)(task % job->n_bands) * job->band, end = MIN(first + job->band, job->h);
    float *phases = job->scratch + thread * job->thread_floats, *wide = phases + length;
    for (int32_t q = first; q < end; q++) {
        int32_t top, bottom;
        reach(job->s, q, job->h, &top, &bottom);
        memset(wide, 0, length * sizeof *wide);
        for (int32_t i = top; i < bottom; i++) {
            const float weight = (float)share(job->s, i, q, job->h);
            if (weight != 0)
                job->dsp->math.add_scaled(wide, job->x + (small * job->s + i) * length, length, weight);
        }
        narrow(job, job->y + (small + q) * job->w, wide, phases);
    }
}

static size_t upsample_dx_thread_floats(const NervNode *node)
{
    return 2 * (size_t)node->in[0]->shape.w;
}

static size_t upsample_dx_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_pool_threads(cpu->pool) * upsample_dx_thread_floats(node) * sizeof(float);
}

static void upsample_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    run(node, args, cpu, node->out[0]->shape, upsample_dx_thread_floats(node), upsample_dx_task);
}

static uint32_t upsample_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return dispatch_upsample(node, caps, out, node->out[0]->shape);
}

static void upsample_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                             NervTensor **din)
{
    if (need[0])
        din[0] = nerv_upsample(tape, dout[0], scale_of(node));
}

const NervOp nerv_op_upsample_dx = {
    .name = "upsample_dx",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = upsample_dx_infer,
    .ref = upsample_dx_ref,
    .cpu = upsample_dx_cpu,
    .cpu_scratch = upsample_dx_cpu_scratch,
    .dispatch = upsample_dx_dispatch,
    .grad = upsample_dx_grad,
    .rtol = 2e-6f,
    .atol = 5e-6f,
};

NervTensor *nerv_upsample_dx(NervTape *t, NervTensor *dy, int s)
{
    const UpsampleAttr attr = { s };
    if (s == 1)
        return dy;
    return nerv_tape_add(t, &nerv_op_upsample_dx, (NervTensor *[]){ dy }, 1, &attr, sizeof attr);
}

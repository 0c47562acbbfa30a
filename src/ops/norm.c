/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Instance normalisation over time and space, torch.nn.InstanceNorm3d without parameters: for each channel of each clip of T
 * pictures, with the mean m and the biased variance v of its T H W elements,
 *
 *   y = (x - m) r,  r = 1 / sqrt(v + 1e-5)
 *   dx = r (dy - mean of dy - y mean of dy y)
 *
 * r is output 1, for norm_dx, to which it is an operand like any other: a gradient of the gradient flows back into y and into r.
 * Those gradients are made of other ops, on operands seen as [clips, T, C, H W]. The sums of a channel of a clip are one task's
 * on the CPU and one workgroup's on Vulkan, always in the same order; the variance is that of the differences from the mean.
 */
#include <math.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

#define EPSILON 1e-5

typedef struct {
    int32_t frames;
} NormAttr;

/* A channel of a clip: T runs of `plane` elements, `stride` from one to the next. */
typedef struct {
    size_t plane, stride;
    int32_t frames, channels;
    uint32_t n; /* channels of all clips */
} Clips;

static Clips clips_of(NervShape x, int32_t frames)
{
    Clips clips = { .plane = (size_t)x.h * x.w, .frames = frames, .channels = x.c };
    clips.stride = x.c * clips.plane;
    clips.n = (uint32_t)(x.n / frames) * (uint32_t)x.c;
    return clips;
}

static size_t channel_at(const Clips *clips, uint32_t i)
{
    return (i / clips->channels * (size_t)clips->frames * clips->channels + i % clips->channels) *
           clips->plane;
}

typedef struct {
    const float *x, *dy, *r; /* norm_dx: x is y */
    float *y, *r_out;        /* norm_dx: y is dx */
    const NervDsp *dsp;
    Clips clips;
    uint32_t per_task;
} NormJob;

static void run(NormJob *job, const NervCpu *cpu, NervTaskFunc task)
{
    job->dsp = cpu->dsp;
    job->per_task = (uint32_t)MAX(1, NERV_RANGE / (job->clips.plane * job->clips.frames));
    nerv_pool_run(cpu->pool, (job->clips.n + job->per_task - 1) / job->per_task, task, job);
}

/* What both shaders are pushed. */
static void push_clips(NervDispatch *d, const Clips *clips)
{
    nerv_dispatch_push(d, clips->n);
    nerv_dispatch_push(d, (uint32_t)clips->channels);
    nerv_dispatch_push(d, (uint32_t)clips->plane);
    nerv_dispatch_push(d, (uint32_t)clips->frames);
}

/* --- norm --- */

static bool norm_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t frames = NERV_NODE_ATTR(node, NormAttr)->frames;
    if (frames < 1 || x.n % frames) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op norm: %d pictures are no clips of %d", x.n,
                    frames);
        return false;
    }
    nerv_infer_float(&out[1], nerv_shape(x.n / frames, x.c, 1, 1));
    return nerv_check_float(node, error) && nerv_infer_float(out, x);
}

static void norm_ref(const NervNode *node, const NervArgs *args)
{
    const Clips clips = clips_of(node->in[0]->shape, NERV_NODE_ATTR(node, NormAttr)->frames);
    const double n = (double)clips.frames * (double)clips.plane;
    for (uint32_t i = 0; i < clips.n; i++) {
        const size_t at = channel_at(&clips, i);
        const float *x = (const float *)args->in[0] + at;
        float *y = args->out[0] ? (float *)args->out[0] + at : NULL;
        double sum = 0, squares = 0;
        for (int32_t t = 0; t < clips.frames; t++)
            for (size_t k = 0; k < clips.plane; k++)
                sum += x[t * clips.stride + k];
        for (int32_t t = 0; t < clips.frames; t++)
            for (size_t k = 0; k < clips.plane; k++)
                squares += (x[t * clips.stride + k] - sum / n) * (x[t * clips.stride + k] - sum / n);
        const double r = 1 / sqrt(squares / n + EPSILON);
        for (int32_t t = 0; y && t < clips.frames; t++)
            for (size_t k = 0; k < clips.plane; k++)
                y[t * clips.stride + k] = (float)((x[t * clips.stride + k] - sum / n) * r);
        if (args->out[1])
            ((float *)args->out[1])[i] = (float)r;
    }
}

static void norm_channel(const NormJob *job, uint32_t i)
{
    const Clips *clips = &job->clips;
    const size_t at = channel_at(clips, i), plane = clips->plane;
    const double n = (double)clips->frames * (double)plane;
    double sum = 0, squares = 0;
    for (int32_t t = 0; t < clips->frames; t++)
        sum += job->dsp->math.sum(job->x + at + t * clips->stride, plane);
    const float mean = (float)(sum / n);
    for (int32_t t = 0; t < clips->frames; t++)
        squares += job->dsp->clip.squares(job->x + at + t * clips->stride, plane, mean);
    /* The mean was rounded. */
    const double variance = squares / n - (sum / n - mean) * (sum / n - mean);
    const float r = (float)(1 / sqrt(MAX(variance, 0) + EPSILON));
    for (int32_t t = 0; job->y && t < clips->frames; t++)
        job->dsp->clip.norm(job->y + at + t * clips->stride, job->x + at + t * clips->stride, plane, mean, r);
    if (job->r_out)
        job->r_out[i] = r;
}

static void norm_task(void *arg, uint32_t task, uint32_t thread)
{
    const NormJob *job = arg;
    const uint32_t first = task * job->per_task;
    for (uint32_t i = first; i < MIN(first + job->per_task, job->clips.n); i++)
        norm_channel(job, i);
}

static void norm_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    NormJob job = { .x = args->in[0], .y = args->out[0], .r_out = args->out[1] };
    job.clips = clips_of(node->in[0]->shape, NERV_NODE_ATTR(node, NormAttr)->frames);
    run(&job, cpu, norm_task);
}

static uint32_t norm_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Clips clips = clips_of(node->in[0]->shape, NERV_NODE_ATTR(node, NormAttr)->frames);
    nerv_dispatch_init(out, "norm");
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 1);
    push_clips(out, &clips);
    nerv_dispatch_push(out, caps->out_live[0]);
    nerv_dispatch_push(out, caps->out_live[1]);
    nerv_dispatch_push_float(out, (float)EPSILON);
    return nerv_dispatch_groups(out, caps, clips.n);
}

static NervShape by_clip(NervShape x, int32_t clips)
{
    return nerv_shape(clips, x.n / clips, x.c, x.h * x.w);
}

/* k y with a k for each channel of a clip, [clips,C,1,1]. */
static NervTensor *scaled(NervTape *tape, NervTensor *y, NervTensor *k, int32_t clips)
{
    k = nerv_reshape(tape, k, nerv_shape(clips, 1, y->shape.c, 1));
    k = nerv_expand(tape, k, by_clip(y->shape, clips), 1.0f);
    return nerv_mul(tape, y, nerv_reshape(tape, k, y->shape));
}

/* scale times the sum of a b for each channel of a clip, [clips,C,1,1]. */
static NervTensor *products(NervTape *tape, NervTensor *a, NervTensor *b, int32_t clips, float scale)
{
    NervTensor *ab = nerv_reshape(tape, nerv_mul(tape, a, b), by_clip(a->shape, clips));
    return nerv_reshape(tape, nerv_reduce_sum(tape, ab, NERV_AXIS_C | NERV_AXIS_W, scale),
                        nerv_shape(clips, a->shape.c, 1, 1));
}

/* Elements of a channel of a clip. */
static double count_of(const NervTensor *y, const NervTensor *r)
{
    return (double)(nerv_shape_count(y->shape) / nerv_shape_count(r->shape));
}

/* dr/dx = -r^2 y / n, of n elements. */
static void norm_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                      NervTensor **din)
{
    NervTensor *y = node->out[0], *r = node->out[1];
    if (dout[0])
        din[0] = nerv_norm_dx(tape, dout[0], y, r);
    if (dout[1]) {
        NervTensor *k = nerv_mul(tape, dout[1], nerv_mul(tape, r, r));
        k = nerv_affine(tape, k, (float)(-1 / count_of(y, r)), 0.0f);
        NervTensor *through = scaled(tape, y, k, r->shape.n);
        din[0] = din[0] ? nerv_add(tape, din[0], through) : through;
    }
}

const NervOp nerv_op_norm = {
    .name = "norm",
    .min_in = 1,
    .max_in = 1,
    .n_out = 2,
    .infer = norm_infer,
    .ref = norm_ref,
    .cpu = norm_cpu,
    .dispatch = norm_dispatch,
    .grad = norm_grad,
    .rtol = 1e-5f,
    .atol = 1e-5f,
};

NervTensor *nerv_norm(NervTape *t, NervTensor *x, int frames)
{
    const NormAttr attr = { frames };
    return nerv_tape_add(t, &nerv_op_norm, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}

/* --- norm_dx --- */

static bool norm_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape y = node->in[1]->shape;
    const int32_t n = node->in[2]->shape.n;
    if (y.n % n)
        return nerv_invalid(node, error, "each clip has one row of deviations");
    return nerv_check_alike(node, 0, 1, error) &&
           nerv_check_shape(node, 2, nerv_shape(n, y.c, 1, 1), "the deviations of such clips are", error) &&
           nerv_infer_float(out, y);
}

static Clips clips_of_dx(const NervNode *node)
{
    return clips_of(node->in[1]->shape, node->in[1]->shape.n / node->in[2]->shape.n);
}

static void norm_dx_ref(const NervNode *node, const NervArgs *args)
{
    const Clips clips = clips_of_dx(node);
    const double n = (double)clips.frames * (double)clips.plane;
    for (uint32_t i = 0; i < clips.n; i++) {
        const size_t at = channel_at(&clips, i);
        const float *dy = (const float *)args->in[0] + at, *y = (const float *)args->in[1] + at;
        const double r = ((const float *)args->in[2])[i];
        float *dx = (float *)args->out[0] + at;
        double sum = 0, products = 0;
        for (int32_t t = 0; t < clips.frames; t++) {
            for (size_t k = 0; k < clips.plane; k++) {
                sum += dy[t * clips.stride + k];
                products += (double)dy[t * clips.stride + k] * y[t * clips.stride + k];
            }
        }
        for (int32_t t = 0; t < clips.frames; t++)
            for (size_t k = 0; k < clips.plane; k++)
                dx[t * clips.stride + k] = (float)(r * (dy[t * clips.stride + k] - sum / n -
                                                        products / n * y[t * clips.stride + k]));
    }
}

static void norm_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const NormJob *job = arg;
    const Clips *clips = &job->clips;
    const double n = (double)clips->frames * (double)clips->plane;
    const uint32_t first = task * job->per_task;
    for (uint32_t i = first; i < MIN(first + job->per_task, clips->n); i++) {
        const size_t at = channel_at(clips, i);
        double total[2] = { 0, 0 }, sums[2];
        for (int32_t t = 0; t < clips->frames; t++) {
            const size_t from = at + t * clips->stride;
            job->dsp->clip.norm_sums(job->dy + from, job->x + from, clips->plane, sums);
            total[0] += sums[0];
            total[1] += sums[1];
        }
        for (int32_t t = 0; t < clips->frames; t++) {
            const size_t from = at + t * clips->stride;
            job->dsp->clip.norm_dx(job->y + from, job->dy + from, job->x + from, clips->plane, job->r[i],
                                   (float)(total[0] / n), (float)(total[1] / n));
        }
    }
}

static void norm_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    NormJob job = { .dy = args->in[0], .x = args->in[1], .r = args->in[2], .y = args->out[0] };
    job.clips = clips_of_dx(node);
    run(&job, cpu, norm_dx_task);
}

static uint32_t norm_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Clips clips = clips_of_dx(node);
    nerv_dispatch_init(out, "norm_dx");
    for (uint32_t i = 0; i < 3; i++)
        nerv_dispatch_bind(out, NERV_BIND_IN, i);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    push_clips(out, &clips);
    return nerv_dispatch_groups(out, caps, clips.n);
}

/* With u = dL/d(dx): dL/d(dy) = r (u - mean of u - y mean of u y), dL/dy = -r (u mean of dy y + dy mean of u y), and dL/dr is the
 * sum of u dx / r. */
static void norm_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                         NervTensor **din)
{
    NervTensor *dy = node->in[0], *y = node->in[1], *r = node->in[2], *u = dout[0];
    const int32_t clips = r->shape.n;
    const float minus_mean = (float)(-1 / count_of(y, r));

    if (need[0])
        din[0] = nerv_norm_dx(tape, u, y, r);
    if (need[1]) {
        NervTensor *of_dy = nerv_mul(tape, r, products(tape, dy, y, clips, minus_mean));
        NervTensor *of_u = nerv_mul(tape, r, products(tape, u, y, clips, minus_mean));
        din[1] = nerv_add(tape, scaled(tape, u, of_dy, clips), scaled(tape, dy, of_u, clips));
    }
    if (need[2]) {
        NervTensor *one = nerv_expand(tape, nerv_tape_scalar(tape, 1.0f), r->shape, 1.0f);
        din[2] = products(tape, u, nerv_norm_dx(tape, dy, y, one), clips, 1.0f);
    }
}

const NervOp nerv_op_norm_dx = {
    .name = "norm_dx",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = norm_dx_infer,
    .ref = norm_dx_ref,
    .cpu = norm_dx_cpu,
    .dispatch = norm_dx_dispatch,
    .grad = norm_dx_grad,
    .rtol = 1e-5f,
    .atol = 1e-5f,
};

NervTensor *nerv_norm_dx(NervTape *t, NervTensor *dy, NervTensor *y, NervTensor *r)
{
    return nerv_tape_add(t, &nerv_op_norm_dx, (NervTensor *[]){ dy, y, r }, 3, NULL, 0);
}

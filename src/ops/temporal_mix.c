/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A matrix over time for each channel, beside what was there: the temporal mixing of D-NeRV (GTMLP, He et al. 2023). Frame t of
 * clip k is picture kT+t:
 *
 *   y[kT+t,c] = x[kT+t,c] + b[c,t] + sum over u of w[c,t,u] x[kT+u,c]
 *   dx: the same of dy, without b and with w[c,u,t]: the op itself, transposed
 *   dw[c,t,u] = sum over clips and pixels of dy[kT+t,c] x[kT+u,c],  db[c,t] = sum of dy[kT+t,c]
 *
 * The gradients of temporal_mix_dw are the sums over u alone, without the x beside them, in x and, transposed, in dy. A difference
 * from x would lose them: gradients are small and x is not. So the op has that form, too. temporal_mix_dw's sums over all clips
 * are one task's, or on Vulkan one workgroup's, for each channel.
 */
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

extern const NervOp nerv_op_temporal_mix;

typedef struct {
    int32_t frames;     /* temporal_mix_dw only */
    int32_t transposed; /* temporal_mix only */
    int32_t alone;      /* temporal_mix only: without x[kT+t,c] */
} MixAttr;

typedef struct {
    int32_t clips, frames, channels;
    size_t plane, stride; /* from a frame to the next */
} Clips;

static Clips clips_of(NervShape x, int32_t frames)
{
    Clips clips = { .clips = x.n / frames, .frames = frames, .channels = x.c };
    clips.plane = (size_t)x.h * x.w;
    clips.stride = x.c * clips.plane;
    return clips;
}

static size_t channel_at(const Clips *clips, size_t clip, size_t c)
{
    return clip * clips->frames * clips->stride + c * clips->plane;
}

static bool check_frames(const NervNode *node, int32_t n, int32_t frames, GError **error)
{
    if (frames >= 1 && frames <= NERV_MIX_MAX && n % frames == 0)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: %d pictures are no clips of %d, at most %d",
                node->op->name, n, frames, NERV_MIX_MAX);
    return false;
}

/* --- temporal_mix --- */

static bool temporal_mix_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t frames = node->in[1]->shape.h;
    return nerv_check_float(node, error) && check_frames(node, x.n, frames, error) &&
           nerv_check_shape(node, 1, nerv_shape(x.c, frames, frames, 1), "a matrix for each channel is",
                            error) &&
           (node->n_in < 3 || nerv_check_shape(node, 2, nerv_shape(1, x.c, frames, 1),
                                               "a bias for each frame of a channel is", error)) &&
           nerv_infer_float(out, x);
}

/* What frame t takes of frame u, beside itself. */
static float weight_of(const NervNode *node, const NervArgs *args, int32_t c, int32_t t, int32_t u)
{
    const int32_t frames = node->in[1]->shape.c;
    const float *w = (const float *)args->in[1] + (size_t)c * frames * frames;
    return NERV_NODE_ATTR(node, MixAttr)->transposed ? w[u * frames + t] : w[t * frames + u];
}

static float bias_of(const NervNode *node, const NervArgs *args, int32_t c, int32_t t)
{
    return node->n_in == 3 ? ((const float *)args->in[2])[(size_t)c * node->in[1]->shape.c + t] : 0.0f;
}

static void temporal_mix_ref(const NervNode *node, const NervArgs *args)
{
    const Clips clips = clips_of(node->in[0]->shape, node->in[1]->shape.c);
    for (int32_t k = 0; k < clips.clips; k++) {
        for (int32_t c = 0; c < clips.channels; c++) {
            const float *x = (const float *)args->in[0] + channel_at(&clips, k, c);
            float *y = (float *)args->out[0] + channel_at(&clips, k, c);
            for (int32_t t = 0; t < clips.frames; t++) {
                for (size_t i = 0; i < clips.plane; i++) {
                    double sum = bias_of(node, args, c, t);
                    if (!NERV_NODE_ATTR(node, MixAttr)->alone)
                        sum += x[t * clips.stride + i];
                    for (int32_t u = 0; u < clips.frames; u++)
                        sum += (double)weight_of(node, args, c, t, u) * x[u * clips.stride + i];
                    y[t * clips.stride + i] = (float)sum;
                }
            }
        }
    }
}

typedef struct {
    const NervNode *node;
    const NervArgs *args;
    const NervClipDsp *dsp;
    Clips clips;
    size_t piece; /* elements of each frame at a time */
    uint32_t n_pieces, n_items, per_task;
    double *sums; /* temporal_mix_dw: [threads] of dw, db of a channel */
} MixJob;

/* A piece of a channel of a clip. */
static void mix_item(const MixJob *job, uint32_t item)
{
    const Clips *clips = &job->clips;
    const size_t first = item % job->n_pieces * job->piece;
    const int32_t c = (int32_t)(item / job->n_pieces % (uint32_t)clips->channels), frames = clips->frames;
    const size_t at = channel_at(clips, item / job->n_pieces / (uint32_t)clips->channels, (size_t)c) + first;
    float weights[NERV_MIX_MAX * NERV_MIX_MAX], bias[NERV_MIX_MAX];
    NervMixPiece piece = { .x = (const float *)job->args->in[0] + at,
                           .y = (float *)job->args->out[0] + at,
                           .stride = clips->stride,
                           .frames = frames,
                           .is_alone = NERV_NODE_ATTR(job->node, MixAttr)->alone,
                           .weights = weights,
                           .bias = bias };
    piece.n = MIN(job->piece, clips->plane - first);
    piece.width = (frames + NERV_MIX_BLOCK - 1) / NERV_MIX_BLOCK * NERV_MIX_BLOCK;
    for (int32_t t = 0; t < piece.width; t++) {
        bias[t] = t < frames ? bias_of(job->node, job->args, c, t) : 0.0f;
        for (int32_t u = 0; u < frames; u++)
            weights[u * piece.width + t] = t < frames ? weight_of(job->node, job->args, c, t, u) : 0.0f;
    }
    job->dsp->mix(&piece);
}

static void mix_task(void *arg, uint32_t task, uint32_t thread)
{
    const MixJob *job = arg;
    const uint32_t first = task * job->per_task;
    for (uint32_t item = first; item < MIN(first + job->per_task, job->n_items); item++)
        mix_item(job, item);
}

static void temporal_mix_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    MixJob job = { .node = node, .args = args, .dsp = &cpu->dsp->clip };
    job.clips = clips_of(node->in[0]->shape, node->in[1]->shape.c);
    job.piece = NERV_RANGE / NERV_MIX_BLOCK;
    job.n_pieces = (uint32_t)((job.clips.plane + job.piece - 1) / job.piece);
    job.n_items = (uint32_t)job.clips.clips * (uint32_t)job.clips.channels * job.n_pieces;
    job.per_task = (uint32_t)MAX(1, NERV_RANGE / (MIN(job.piece, job.clips.plane) * job.clips.frames));
    nerv_pool_run(cpu->pool, (job.n_items + job.per_task - 1) / job.per_task, mix_task, &job);
}

static uint32_t temporal_mix_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Clips clips = clips_of(node->in[0]->shape, node->in[1]->shape.c);
    const uint32_t n_blocks = (uint32_t)(clips.frames + NERV_MIX_BLOCK - 1) / NERV_MIX_BLOCK;
    const uint64_t n = (uint64_t)clips.clips * clips.channels * clips.plane * n_blocks;
    if (n > UINT32_MAX)
        return 0;
    nerv_dispatch_init(out, "temporal_mix");
    for (uint32_t i = 0; i < 3; i++)
        nerv_dispatch_bind(out, NERV_BIND_IN, i);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_push(out, (uint32_t)n);
    nerv_dispatch_push(out, (uint32_t)clips.plane);
    nerv_dispatch_push(out, (uint32_t)clips.channels);
    nerv_dispatch_push(out, (uint32_t)clips.frames);
    nerv_dispatch_push(out, n_blocks);
    nerv_dispatch_push(out, (uint32_t)NERV_NODE_ATTR(node, MixAttr)->transposed);
    nerv_dispatch_push(out, node->n_in == 3);
    nerv_dispatch_push(out, (uint32_t)NERV_NODE_ATTR(node, MixAttr)->alone);
    return nerv_dispatch_elements(out, caps, n, NERV_VK_LOCAL);
}

static NervTensor *mix(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b, bool transposed, bool alone)
{
    const MixAttr attr = { .transposed = transposed, .alone = alone };
    return nerv_tape_add(t, &nerv_op_temporal_mix, (NervTensor *[]){ x, w, b }, b ? 3 : 2, &attr,
                         sizeof attr);
}

static void temporal_mix_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                              NervTensor **din)
{
    NervTensor *x = node->in[0], *w = node->in[1], *dw = NULL;
    const MixAttr *attr = NERV_NODE_ATTR(node, MixAttr);
    const bool transposed = attr->transposed;
    if (need[0])
        din[0] = mix(tape, dout[0], w, NULL, !transposed, attr->alone);
    if (need[1] || (node->n_in == 3 && need[2]))
        dw = transposed ? nerv_temporal_mix_dw(tape, x, dout[0], w->shape.c)
                        : nerv_temporal_mix_dw(tape, dout[0], x, w->shape.c);
    din[1] = dw;
    if (node->n_in == 3 && dw)
        din[2] = dw->node->out[1];
}

static int64_t temporal_mix_macs(const NervNode *node)
{
    return nerv_shape_count(node->in[0]->shape) * node->in[1]->shape.c;
}

const NervOp nerv_op_temporal_mix = {
    .name = "temporal_mix",
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .infer = temporal_mix_infer,
    .ref = temporal_mix_ref,
    .cpu = temporal_mix_cpu,
    .dispatch = temporal_mix_dispatch,
    .grad = temporal_mix_grad,
    .macs = temporal_mix_macs,
    .rtol = 1e-5f,
    .atol = 5e-6f,
};

NervTensor *nerv_temporal_mix(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b)
{
    return mix(t, x, w, b, false, false);
}

NervTensor *nerv_temporal_mix_dx(NervTape *t, NervTensor *dy, NervTensor *w)
{
    return mix(t, dy, w, NULL, true, false);
}

NervTensor *nerv_temporal_sum(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b)
{
    return mix(t, x, w, b, false, true);
}

NervTensor *nerv_temporal_sum_dx(NervTape *t, NervTensor *dy, NervTensor *w)
{
    return mix(t, dy, w, NULL, true, true);
}

/* --- temporal_mix_dw --- */

static bool temporal_mix_dw_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[1]->shape;
    const int32_t frames = NERV_NODE_ATTR(node, MixAttr)->frames;
    return nerv_check_alike(node, 0, 1, error) && check_frames(node, x.n, frames, error) &&
           nerv_infer_float(&out[1], nerv_shape(1, x.c, frames, 1)) &&
           nerv_infer_float(out, nerv_shape(x.c, frames, frames, 1));
}

/* The sum of the products of two frames of channel c over clips and pixels, or of the first where x is NULL. */
static double product(const Clips *clips, const float *dy, const float *x, int32_t c, int32_t t, int32_t u)
{
    double sum = 0;
    for (int32_t k = 0; k < clips->clips; k++) {
        const size_t at = channel_at(clips, k, c);
        for (size_t i = 0; i < clips->plane; i++)
            sum += (double)dy[at + t * clips->stride + i] * (x ? x[at + u * clips->stride + i] : 1.0f);
    }
    return sum;
}

static void temporal_mix_dw_ref(const NervNode *node, const NervArgs *args)
{
    const Clips clips = clips_of(node->in[0]->shape, NERV_NODE_ATTR(node, MixAttr)->frames);
    float *dw = args->out[0], *db = args->out[1];
    for (int32_t c = 0; c < clips.channels; c++) {
        for (int32_t t = 0; t < clips.frames; t++) {
            for (int32_t u = 0; dw && u < clips.frames; u++)
                *dw++ = (float)product(&clips, args->in[0], args->in[1], c, t, u);
            if (db)
                *db++ = (float)product(&clips, args->in[0], NULL, c, t, 0);
        }
    }
}

static size_t sums_of(int32_t frames)
{
    return (size_t)frames * (frames + 1);
}

/* One channel. */
static void mix_dw_task(void *arg, uint32_t task, uint32_t thread)
{
    const MixJob *job = arg;
    const Clips *clips = &job->clips;
    const size_t n_dw = (size_t)clips->frames * clips->frames;
    double *sums = job->sums + thread * sums_of(clips->frames);
    float *dw = job->args->out[0], *db = job->args->out[1];
    memset(sums, 0, sums_of(clips->frames) * sizeof *sums);
    for (int32_t k = 0; k < clips->clips; k++) {
        const size_t at = channel_at(clips, k, task);
        job->dsp->mix_dw(sums, sums + n_dw, (const float *)job->args->in[0] + at,
                         (const float *)job->args->in[1] + at, clips->stride, clips->plane, clips->frames);
    }
    for (size_t i = 0; dw && i < n_dw; i++)
        dw[task * n_dw + i] = (float)sums[i];
    for (int32_t t = 0; db && t < clips->frames; t++)
        db[(size_t)task * clips->frames + t] = (float)sums[n_dw + t];
}

static size_t temporal_mix_dw_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return nerv_pool_threads(cpu->pool) * sums_of(NERV_NODE_ATTR(node, MixAttr)->frames) * sizeof(double);
}

static void temporal_mix_dw_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    MixJob job = { .node = node, .args = args, .dsp = &cpu->dsp->clip, .sums = args->scratch };
    job.clips = clips_of(node->in[0]->shape, NERV_NODE_ATTR(node, MixAttr)->frames);
    nerv_pool_run(cpu->pool, (uint32_t)job.clips.channels, mix_dw_task, &job);
}

/* Frames of x that a workgroup multiplies with one of dy: COLUMNS of shaders/temporal_mix_dw.comp. */
#define VK_COLUMNS 4

static uint32_t temporal_mix_dw_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Clips clips = clips_of(node->in[0]->shape, NERV_NODE_ATTR(node, MixAttr)->frames);
    const uint32_t n_blocks = (uint32_t)(clips.frames + VK_COLUMNS - 1) / VK_COLUMNS;
    const uint64_t n = (uint64_t)clips.channels * (uint32_t)clips.frames * n_blocks;
    nerv_dispatch_init(out, "temporal_mix_dw");
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 1);
    nerv_dispatch_push(out, (uint32_t)n);
    nerv_dispatch_push(out, (uint32_t)clips.plane);
    nerv_dispatch_push(out, (uint32_t)clips.channels);
    nerv_dispatch_push(out, (uint32_t)clips.frames);
    nerv_dispatch_push(out, (uint32_t)clips.clips);
    nerv_dispatch_push(out, n_blocks);
    nerv_dispatch_push(out, caps->out_live[0]);
    nerv_dispatch_push(out, caps->out_live[1]);
    return nerv_dispatch_groups(out, caps, n);
}

/* With gw, gb = dL/d(dw), dL/d(db): dL/d(dy[kT+t,c]) = gb[c,t] + sum over u of gw[c,t,u] x[kT+u,c], and dL/dx is the transposed sum
 * of dy, without gb. */
static void temporal_mix_dw_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout,
                                 const bool *need, NervTensor **din)
{
    NervTensor *dy = node->in[0], *x = node->in[1], *gw = dout[0], *gb = dout[1];
    if (need[1] && gw)
        din[1] = nerv_temporal_sum_dx(tape, dy, gw);
    if (!gw)
        gw = nerv_expand(tape, nerv_tape_scalar(tape, 0.0f), node->out[0]->shape, 1.0f);
    if (need[0])
        din[0] = nerv_temporal_sum(tape, x, gw, gb);
}

static int64_t temporal_mix_dw_macs(const NervNode *node)
{
    return nerv_shape_count(node->in[0]->shape) * NERV_NODE_ATTR(node, MixAttr)->frames;
}

const NervOp nerv_op_temporal_mix_dw = {
    .name = "temporal_mix_dw",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .infer = temporal_mix_dw_infer,
    .ref = temporal_mix_dw_ref,
    .cpu = temporal_mix_dw_cpu,
    .cpu_scratch = temporal_mix_dw_cpu_scratch,
    .dispatch = temporal_mix_dw_dispatch,
    .grad = temporal_mix_dw_grad,
    .macs = temporal_mix_dw_macs,
    .rtol = 1e-5f,
    .atol = 5e-5f,
};

NervTensor *nerv_temporal_mix_dw(NervTape *t, NervTensor *dy, NervTensor *x, int frames)
{
    const MixAttr attr = { .frames = frames };
    return nerv_tape_add(t, &nerv_op_temporal_mix_dw, (NervTensor *[]){ dy, x }, 2, &attr, sizeof attr);
}

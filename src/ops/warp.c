/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Bilinear samples of a picture where a flow points, and the gradients in the picture and in the flow:
 *
 *   p = j + flow[n,0,i,j], clamped to 0..W-1,  j0 = floor(p), at most W-2,  f = p - j0;  rows alike with i, flow[n,1], H: i0, g
 *   y[n,c,i,j] = (1-g) ((1-f) x[i0,j0] + f x[i0,j0+1]) + g ((1-f) x[i0+1,j0] + f x[i0+1,j0+1])     of x[m,c]
 *   dflow[n,0] = sum over c of dy ((1-g) (x[i0,j0+1] - x[i0,j0]) + g (x[i0+1,j0+1] - x[i0+1,j0])),  0 unless 0 < p < W-1
 *   dx[i0,j0] += (1-g) (1-f) dy, and so on: a scatter
 *
 * where each of M pictures serves N/M flows in a row: m = floor(n / (N/M)). It is the same
 * as torch.nn.functional.grid_sample(padding_mode="border", align_corners=True), whose coordinates are scaled. All forms round
 * j + flow to float once, so that they agree on j0 even where the slope jumps. A NaN is clamped to 0: whatever a flow
 * holds, reads stay inside. The two gradients are not differentiable.
 *
 * The scatter's sums do not depend on the order of events. The CPU cuts the gradient into bands of rows, and each adds what
 * falls into it in the order of the flow's pixels. Vulkan has atomic adds of 32-bit integers alone: there shaders/warp_dx.comp
 * adds 64-bit fixed-point numbers, two words each, in units that the largest |dy| sets. A constant unit such as 2^-44 would
 * overflow for losses that are sums, and have few digits for the 1e-8 of a mean over a large picture.
 */
#include <math.h>
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

/* Coordinates are floats, and whole numbers up to here are exact. */
#define MAX_SIDE (1 << 24)

#define BAND_PIXELS 8192 /* of packed gradient or of rows in a task: 256 KiB, which L2 holds */

typedef struct {
    int32_t pictures; /* warp_dx only: N of x */
} WarpAttr;

/* A flow beside a picture or gradient of operand `like`, whose channels may be any. */
static bool check_flow(const NervNode *node, uint32_t flow, uint32_t like, GError **error)
{
    const NervShape f = node->in[flow]->shape, s = node->in[like]->shape;
    if (s.h > MAX_SIDE || s.w > MAX_SIDE)
        return nerv_invalid(node, error, "pictures have at most 16777216 rows and columns");
    return nerv_check_float(node, error) &&
           nerv_check_shape(node, flow, nerv_shape(f.n, 2, s.h, s.w), "a flow in such pictures is", error);
}

static bool check_pictures(const NervNode *node, int32_t pictures, int32_t n, GError **error)
{
    if (pictures >= 1 && n % pictures == 0)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "op %s: %d flows cannot be shared out among %d pictures", node->op->name, n, pictures);
    return false;
}

/* --- references --- */

typedef struct {
    size_t at, right, down; /* the upper left sample; offsets of the others */
    double fx, fy;
    bool in_x, in_y; /* the coordinate was not clamped */
} Sample;

static int32_t locate_axis(float p, int32_t size, double *fraction, bool *inside)
{
    const float last = (float)(size - 1);
    *inside = p > 0 && p < last;
    p = p > 0 ? MIN(p, last) : 0;
    const int32_t line = MIN((int32_t)p, MAX(size - 2, 0));
    *fraction = (double)p - line;
    return line;
}

/* Of pixel i, j of the flow of one picture. */
static Sample locate(const float *flow, NervShape s, int32_t i, int32_t j)
{
    const size_t pixel = (size_t)i * s.w + j;
    Sample t = { .right = s.w > 1 ? 1 : 0, .down = s.h > 1 ? (size_t)s.w : 0 };
    const int32_t x0 = locate_axis((float)j + flow[pixel], s.w, &t.fx, &t.in_x);
    const int32_t y0 = locate_axis((float)i + flow[pixel + (size_t)s.h * s.w], s.h, &t.fy, &t.in_y);
    t.at = (size_t)y0 * s.w + x0;
    return t;
}

/* Channel c of the picture that flow n of n_flows points into. */
static const float *picture_of(const float *x, NervShape xs, int32_t n_flows, int32_t n, int32_t c)
{
    return x + ((size_t)(n / (n_flows / xs.n)) * xs.c + c) * xs.h * xs.w;
}

static void warp_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->out[0]->shape;
    const float *flow = args->in[1];
    float *y = args->out[0];
    for (int32_t n = 0; n < s.n; n++, flow += 2 * (size_t)s.h * s.w) {
        for (int32_t c = 0; c < s.c; c++) {
            const float *x = picture_of(args->in[0], node->in[0]->shape, s.n, n, c);
            for (int32_t i = 0; i < s.h; i++) {
                for (int32_t j = 0; j < s.w; j++) {
                    const Sample t = locate(flow, s, i, j);
                    const float *p = x + t.at, *q = p + t.down;
                    *y++ = (float)((1 - t.fy) * ((1 - t.fx) * p[0] + t.fx * p[t.right]) +
                                   t.fy * ((1 - t.fx) * q[0] + t.fx * q[t.right]));
                }
            }
        }
    }
}

static void warp_dflow_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    const size_t plane = (size_t)s.h * s.w;
    const float *flow = args->in[2];
    float *dflow = args->out[0];
    for (int32_t n = 0; n < s.n; n++, flow += 2 * plane, dflow += 2 * plane) {
        for (int32_t i = 0; i < s.h; i++) {
            for (int32_t j = 0; j < s.w; j++) {
                const Sample t = locate(flow, s, i, j);
                const size_t pixel = (size_t)i * s.w + j;
                double along = 0, across = 0;
                for (int32_t c = 0; c < s.c; c++) {
                    const float *p = picture_of(args->in[1], node->in[1]->shape, s.n, n, c) + t.at;
                    const double a = p[0], b = p[t.right], d = p[t.down], e = p[t.down + t.right];
                    const double g = ((const float *)args->in[0])[(n * s.c + c) * plane + pixel];
                    along += g * ((1 - t.fy) * (b - a) + t.fy * (e - d));
                    across += g * ((1 - t.fx) * (d - a) + t.fx * (e - b));
                }
                dflow[pixel] = t.in_x ? (float)along : 0;
                dflow[plane + pixel] = t.in_y ? (float)across : 0;
            }
        }
    }
}

/* Adds the contributions of one plane of dy to a plane of sums. */
static void scatter(double *sum, const float *dy, const float *flow, NervShape s)
{
    for (int32_t i = 0; i < s.h; i++) {
        for (int32_t j = 0; j < s.w; j++) {
            const Sample t = locate(flow, s, i, j);
            double *p = sum + t.at, *q = p + t.down;
            const double g = *dy++;
            p[0] += (1 - t.fy) * (1 - t.fx) * g;
            p[t.right] += (1 - t.fy) * t.fx * g;
            q[0] += t.fy * (1 - t.fx) * g;
            q[t.right] += t.fy * t.fx * g;
        }
    }
}

static void warp_dx_ref(const NervNode *node, const NervArgs *args)
{
    const NervShape s = node->in[0]->shape;
    const int32_t pictures = node->out[0]->shape.n, n_flows = s.n / pictures;
    const size_t plane = (size_t)s.h * s.w;
    const float *dy = args->in[0], *flow = args->in[1];
    float *dx = args->out[0];
    double *sum = g_new(double, plane);
    for (int32_t m = 0; m < pictures; m++) {
        for (int32_t c = 0; c < s.c; c++) {
            memset(sum, 0, plane * sizeof *sum);
            for (int32_t n = m * n_flows; n < (m + 1) * n_flows; n++)
                scatter(sum, dy + ((size_t)n * s.c + c) * plane, flow + 2 * n * plane, s);
            for (size_t k = 0; k < plane; k++)
                *dx++ = (float)sum[k];
        }
    }
    g_free(sum);
}

/* --- CPU: pictures are packed, blocks of channels one after another (cpu/warp_dsp.h), then rows are done in bands --- */

typedef struct {
    const NervWarpDsp *dsp;
    const float *x, *flow, *dy;
    float *y, *packed;
    float *bands;              /* warp_dx: one per thread */
    int32_t *touched;          /* warp_dx: two rows for each of the flow's */
    NervShape s;               /* N of the flows, C of the pictures */
    int32_t pictures, n_flows; /* n_flows: of each picture */
    int32_t band;
    uint32_t n_blocks, n_bands;
    size_t plane;
} WarpJob;

static WarpJob job_new(const NervCpu *cpu, NervShape s, int32_t pictures)
{
    WarpJob job = { .dsp = &cpu->dsp->warp, .s = s, .pictures = pictures, .n_flows = s.n / pictures };
    job.plane = (size_t)s.h * s.w;
    job.band = MIN(MAX(BAND_PIXELS / s.w, 8), s.h);
    job.n_bands = (uint32_t)((s.h + job.band - 1) / job.band);
    job.n_blocks = (uint32_t)((s.c + job.dsp->lanes - 1) / job.dsp->lanes);
    return job;
}

/* Floats of one picture, packed. */
static size_t packed_floats(const WarpJob *job)
{
    return job->n_blocks * job->plane * (size_t)job->dsp->lanes;
}

static NervWarpRow row_of(const WarpJob *job, int32_t n, int32_t i)
{
    const size_t at = (size_t)i * job->s.w;
    NervWarpRow row = { .i = i, .h = job->s.h, .w = job->s.w, .c = job->s.c };
    row.flow = job->flow + 2 * n * job->plane + at;
    if (job->packed)
        row.x = job->packed + (size_t)(n / job->n_flows) * packed_floats(job);
    if (job->dy)
        row.dy = job->dy + (size_t)n * job->s.c * job->plane + at;
    return row;
}

/* Range of a block of a picture. */
static void pack_task(void *arg, uint32_t task, uint32_t thread)
{
    const WarpJob *job = arg;
    const uint32_t n_ranges = nerv_n_ranges(job->plane), range = task % n_ranges, block = task / n_ranges;
    const int32_t c = (int32_t)(block % job->n_blocks) * job->dsp->lanes,
                  m = (int32_t)(block / job->n_blocks);
    const size_t at = (size_t)range * NERV_RANGE;
    job->dsp->pack(job->packed + (block * job->plane + at) * (size_t)job->dsp->lanes,
                   job->x + ((size_t)m * job->s.c + c) * job->plane + at, job->plane,
                   MIN(job->s.c - c, job->dsp->lanes), nerv_range_length(job->plane, range));
}

static void pack_pictures(WarpJob *job, const NervCpu *cpu)
{
    nerv_pool_run(cpu->pool, (uint32_t)job->pictures * job->n_blocks * nerv_n_ranges(job->plane), pack_task,
                  job);
}

static size_t warp_scratch(const NervTensor *x, const NervCpu *cpu)
{
    const WarpJob job = job_new(cpu, x->shape, x->shape.n);
    return (size_t)job.pictures * packed_floats(&job) * sizeof(float);
}

static size_t warp_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return warp_scratch(node->in[0], cpu);
}

static void warp_task(void *arg, uint32_t task, uint32_t thread)
{
    const WarpJob *job = arg;
    const int32_t n = (int32_t)(task / job->n_bands), first = (int32_t)(task % job->n_bands) * job->band;
    for (int32_t i = first; i < MIN(first + job->band, job->s.h); i++) {
        NervWarpRow row = row_of(job, n, i);
        row.y = job->y + (size_t)n * job->s.c * job->plane + (size_t)i * job->s.w;
        job->dsp->warp(&row);
    }
}

static void warp_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    WarpJob job = job_new(cpu, node->out[0]->shape, node->in[0]->shape.n);
    job.x = args->in[0];
    job.flow = args->in[1];
    job.y = args->out[0];
    job.packed = args->scratch;
    pack_pictures(&job, cpu);
    nerv_pool_run(cpu->pool, (uint32_t)job.s.n * job.n_bands, warp_task, &job);
}

static size_t warp_dflow_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    return warp_scratch(node->in[1], cpu);
}

static void warp_dflow_task(void *arg, uint32_t task, uint32_t thread)
{
    const WarpJob *job = arg;
    const int32_t n = (int32_t)(task / job->n_bands), first = (int32_t)(task % job->n_bands) * job->band;
    for (int32_t i = first; i < MIN(first + job->band, job->s.h); i++) {
        NervWarpRow row = row_of(job, n, i);
        row.y = job->y + 2 * n * job->plane + (size_t)i * job->s.w;
        job->dsp->warp_dflow(&row);
    }
}

static void warp_dflow_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    WarpJob job = job_new(cpu, node->in[0]->shape, node->in[1]->shape.n);
    job.dy = args->in[0];
    job.x = args->in[1];
    job.flow = args->in[2];
    job.y = args->out[0];
    job.packed = args->scratch;
    pack_pictures(&job, cpu);
    nerv_pool_run(cpu->pool, (uint32_t)job.s.n * job.n_bands, warp_dflow_task, &job);
}

static void touched_task(void *arg, uint32_t task, uint32_t thread)
{
    const WarpJob *job = arg;
    const int32_t n = (int32_t)(task / job->n_bands), first = (int32_t)(task % job->n_bands) * job->band;
    for (int32_t i = first; i < MIN(first + job->band, job->s.h); i++) {
        const NervWarpRow row = row_of(job, n, i);
        job->dsp->touched(&row, job->touched + 2 * ((size_t)n * job->s.h + i));
    }
}

/* A band of rows of a block of channels of dx: all that falls into it, by way of those rows of the flow that reach it. */
static void warp_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const WarpJob *job = arg;
    const int32_t lanes = job->dsp->lanes, first = (int32_t)(task % job->n_bands) * job->band;
    const int32_t n_rows = MIN(job->band, job->s.h - first),
                  m = (int32_t)(task / job->n_bands / job->n_blocks);
    const int32_t c = (int32_t)(task / job->n_bands % job->n_blocks) * lanes,
                  count = MIN(job->s.c - c, lanes);
    float *band = job->bands + thread * ((size_t)job->band * job->s.w * lanes);
    memset(band, 0, (size_t)n_rows * job->s.w * lanes * sizeof *band);
    for (int32_t n = m * job->n_flows; n < (m + 1) * job->n_flows; n++) {
        for (int32_t i = 0; i < job->s.h; i++) {
            const int32_t *touched = job->touched + 2 * ((size_t)n * job->s.h + i);
            if (touched[1] < first || touched[0] >= first + n_rows)
                continue;
            NervWarpRow row = row_of(job, n, i);
            row.dy += c * job->plane;
            row.c = count;
            job->dsp->warp_dx(&row, band, first, n_rows);
        }
    }
    job->dsp->unpack(job->y + ((size_t)m * job->s.c + c) * job->plane + (size_t)first * job->s.w, job->plane,
                     count, band, (size_t)n_rows * job->s.w);
}

/* Two numbers for each row of the flow, then bands; in whole vectors. */
static size_t touched_bytes(const WarpJob *job)
{
    return (2 * (size_t)job->s.n * job->s.h * sizeof(int32_t) + 63) / 64 * 64;
}

static size_t warp_dx_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    const WarpJob job = job_new(cpu, node->in[0]->shape, node->out[0]->shape.n);
    return touched_bytes(&job) +
           nerv_pool_threads(cpu->pool) * (size_t)job.band * job.s.w * job.dsp->lanes * sizeof(float);
}

static void warp_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    WarpJob job = job_new(cpu, node->in[0]->shape, node->out[0]->shape.n);
    job.dy = args->in[0];
    job.flow = args->in[1];
    job.y = args->out[0];
    job.touched = args->scratch;
    job.bands = (float *)(void *)((uint8_t *)args->scratch + touched_bytes(&job));
    nerv_pool_run(cpu->pool, (uint32_t)job.s.n * job.n_bands, touched_task, &job);
    nerv_pool_run(cpu->pool, (uint32_t)job.pictures * job.n_blocks * job.n_bands, warp_dx_task, &job);
}

/* --- Vulkan --- */

/* What all three shaders are pushed, behind the count of elements. */
static void push_sizes(NervDispatch *d, NervShape s, int32_t pictures)
{
    nerv_dispatch_push(d, (uint32_t)s.c);
    nerv_dispatch_push(d, (uint32_t)s.h);
    nerv_dispatch_push(d, (uint32_t)s.w);
    nerv_dispatch_push(d, (uint32_t)(s.n / pictures));
}

static uint32_t warp_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    push_sizes(out, node->out[0]->shape, node->in[0]->shape.n);
    return fits;
}

static uint32_t warp_dflow_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape s = node->in[0]->shape;
    const uint64_t n_pixels = (uint64_t)s.n * s.h * s.w;
    nerv_dispatch_pointwise(out, node, caps);
    out->push[0] = (uint32_t)n_pixels;
    push_sizes(out, s, node->in[1]->shape.n);
    return nerv_dispatch_elements(out, caps, n_pixels, NERV_VK_LOCAL);
}

/* PARTS of shaders/warp_dx.comp: workgroups of its first pass, words of scratch before the sums. */
#define VK_PARTS 128

static size_t warp_dx_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    return (VK_PARTS + 2 * (size_t)nerv_shape_count(node->out[0]->shape)) * sizeof(uint32_t);
}

/* The least k with n <= 2^k. */
static uint32_t log2_up(uint64_t n)
{
    uint32_t k = 0;
    while (n > UINT64_C(1) << k)
        k++;
    return k;
}

static uint32_t warp_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape s = node->in[0]->shape;
    const int32_t pictures = node->out[0]->shape.n;
    const uint64_t n_dy = (uint64_t)nerv_shape_count(s),
                   n_dx = (uint64_t)nerv_shape_count(node->out[0]->shape);
    bool fits = true;
    for (uint32_t pass = 0; pass < 3; pass++) {
        NervDispatch *d = &out[pass];
        fits &= nerv_dispatch_pointwise(d, node, caps);
        nerv_dispatch_bind(d, NERV_BIND_SCRATCH, 0);
        d->push[0] = (uint32_t)n_dy;
        push_sizes(d, s, pictures);
        nerv_dispatch_push(d, (uint32_t)n_dx);
        nerv_dispatch_push(d, pass);
        nerv_dispatch_push(d, log2_up((uint64_t)(s.n / pictures) * s.h * s.w));
        d->barrier_before = pass > 0;
    }
    fits &= nerv_dispatch_groups(&out[0], caps, VK_PARTS);
    fits &= nerv_dispatch_elements(&out[1], caps, n_dy, NERV_VK_LOCAL);
    return fits ? 3 : 0;
}

/* --- the ops --- */

static bool warp_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t n = node->in[1]->shape.n;
    return check_flow(node, 1, 0, error) && check_pictures(node, x.n, n, error) &&
           nerv_infer_float(out, nerv_shape(n, x.c, x.h, x.w));
}

static void warp_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                      NervTensor **din)
{
    if (need[0])
        din[0] = nerv_warp_dx(tape, dout[0], node->in[1], node->in[0]->shape.n);
    if (need[1])
        din[1] = nerv_warp_dflow(tape, dout[0], node->in[0], node->in[1]);
}

const NervOp nerv_op_warp = {
    .name = "warp",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = warp_infer,
    .ref = warp_ref,
    .cpu = warp_cpu,
    .cpu_scratch = warp_cpu_scratch,
    .dispatch = warp_dispatch,
    .grad = warp_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_warp(NervTape *t, NervTensor *x, NervTensor *flow)
{
    return nerv_tape_add(t, &nerv_op_warp, (NervTensor *[]){ x, flow }, 2, NULL, 0);
}

static bool warp_dflow_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape, x = node->in[1]->shape;
    return check_flow(node, 2, 0, error) && check_pictures(node, x.n, dy.n, error) &&
           nerv_check_shape(node, 1, nerv_shape(x.n, dy.c, dy.h, dy.w), "the gradient but for N", error) &&
           nerv_check_shape(node, 2, nerv_shape(dy.n, 2, dy.h, dy.w), "a flow of the gradient's N is",
                            error) &&
           nerv_infer_float(out, node->in[2]->shape);
}

const NervOp nerv_op_warp_dflow = {
    .name = "warp_dflow",
    .min_in = 3,
    .max_in = 3,
    .n_out = 1,
    .infer = warp_dflow_infer,
    .ref = warp_dflow_ref,
    .cpu = warp_dflow_cpu,
    .cpu_scratch = warp_dflow_cpu_scratch,
    .dispatch = warp_dflow_dispatch,
    .rtol = 2e-6f,
    .atol = 5e-6f,
};

NervTensor *nerv_warp_dflow(NervTape *t, NervTensor *dy, NervTensor *x, NervTensor *flow)
{
    return nerv_tape_add(t, &nerv_op_warp_dflow, (NervTensor *[]){ dy, x, flow }, 3, NULL, 0);
}

static bool warp_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape;
    const int32_t pictures = NERV_NODE_ATTR(node, WarpAttr)->pictures;
    return check_flow(node, 1, 0, error) && check_pictures(node, pictures, dy.n, error) &&
           nerv_check_shape(node, 1, nerv_shape(dy.n, 2, dy.h, dy.w), "a flow of the gradient's N is",
                            error) &&
           nerv_infer_float(out, nerv_shape(pictures, dy.c, dy.h, dy.w));
}

const NervOp nerv_op_warp_dx = {
    .name = "warp_dx",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = warp_dx_infer,
    .ref = warp_dx_ref,
    .cpu = warp_dx_cpu,
    .cpu_scratch = warp_dx_cpu_scratch,
    .dispatch = warp_dx_dispatch,
    .vk_scratch = warp_dx_vk_scratch,
    .rtol = 2e-6f,
    .atol = 5e-6f,
};

NervTensor *nerv_warp_dx(NervTape *t, NervTensor *dy, NervTensor *flow, int pictures)
{
    const WarpAttr attr = { pictures };
    return nerv_tape_add(t, &nerv_op_warp_dx, (NervTensor *[]){ dy, flow }, 2, &attr, sizeof attr);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the ops of warp.c and warp_slope.c share, see warp_common.h.
 */
#include <string.h>

#include "ops/warp_common.h"

/* Coordinates are floats, and whole numbers up to here are exact. */
#define MAX_SIDE (1 << 24)

#define BAND_PIXELS 8192 /* of packed gradient or of rows in a task: 256 KiB, which L2 holds */

/* --- shape rules --- */

bool nerv_warp_check_flow(const NervNode *node, uint32_t flow, uint32_t like, GError **error)
{
    const NervShape f = node->in[flow]->shape, s = node->in[like]->shape;
    if (s.h > MAX_SIDE || s.w > MAX_SIDE)
        return nerv_invalid(node, error, "pictures have at most 16777216 rows and columns");
    return nerv_check_float(node, error) &&
           nerv_check_shape(node, flow, nerv_shape(f.n, 2, s.h, s.w), "a flow in such pictures is", error);
}

bool nerv_warp_check_pictures(const NervNode *node, int32_t pictures, int32_t n, GError **error)
{
    if (pictures >= 1 && n % pictures == 0)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "op %s: %d flows cannot be shared out among %d pictures", node->op->name, n, pictures);
    return false;
}

bool nerv_warp_dflow_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape, x = node->in[1]->shape;
    return nerv_warp_check_flow(node, 2, 0, error) && nerv_warp_check_pictures(node, x.n, dy.n, error) &&
           nerv_check_shape(node, 1, nerv_shape(x.n, dy.c, dy.h, dy.w), "the gradient but for N", error) &&
           nerv_check_shape(node, 2, nerv_shape(dy.n, 2, dy.h, dy.w), "a flow of the gradient's N is",
                            error) &&
           nerv_infer_float(out, node->in[2]->shape);
}

bool nerv_warp_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape;
    const int32_t pictures = NERV_NODE_ATTR(node, NervWarpAttr)->pictures;
    return nerv_warp_check_flow(node, 1, 0, error) && nerv_warp_check_pictures(node, pictures, dy.n, error) &&
           nerv_check_shape(node, 1, nerv_shape(dy.n, 2, dy.h, dy.w), "a flow of the gradient's N is",
                            error) &&
           nerv_infer_float(out, nerv_shape(pictures, dy.c, dy.h, dy.w));
}

/* --- references --- */

static int32_t locate_axis(float p, int32_t size, double *fraction, bool *inside)
{
    const float last = (float)(size - 1);
    *inside = p > 0 && p < last;
    p = p > 0 ? MIN(p, last) : 0;
    const int32_t line = MIN((int32_t)p, MAX(size - 2, 0));
    *fraction = (double)p - line;
    return line;
}

NervWarpSample nerv_warp_locate(const float *flow, NervShape s, int32_t i, int32_t j)
{
    const size_t pixel = (size_t)i * s.w + j;
    NervWarpSample t = { .right = s.w > 1 ? 1 : 0, .down = s.h > 1 ? (size_t)s.w : 0 };
    const int32_t x0 = locate_axis((float)j + flow[pixel], s.w, &t.fx, &t.in_x);
    const int32_t y0 = locate_axis((float)i + flow[pixel + (size_t)s.h * s.w], s.h, &t.fy, &t.in_y);
    t.at = (size_t)y0 * s.w + x0;
    return t;
}

/* Adds the contributions of one plane of dy to a plane of sums. */
static void scatter_plane(double *sum, const float *dy, const float *flow, const float *v, NervShape s,
                          NervWarpWeigh weigh)
{
    for (int32_t i = 0; i < s.h; i++) {
        for (int32_t j = 0; j < s.w; j++) {
            const NervWarpSample t = nerv_warp_locate(flow, s, i, j);
            const size_t pixel = (size_t)i * s.w + j;
            double weight[4], *p = sum + t.at, *q = p + t.down;
            weigh(&t, v ? v + pixel : NULL, (size_t)s.h * s.w, weight);
            p[0] += weight[0] * dy[pixel];
            p[t.right] += weight[1] * dy[pixel];
            q[0] += weight[2] * dy[pixel];
            q[t.right] += weight[3] * dy[pixel];
        }
    }
}

void nerv_warp_scatter_ref(const NervNode *node, const NervArgs *args, NervWarpWeigh weigh)
{
    const NervShape s = node->in[0]->shape;
    const int32_t pictures = node->out[0]->shape.n, n_flows = s.n / pictures;
    const size_t plane = (size_t)s.h * s.w;
    const float *dy = args->in[0], *flow = args->in[1], *v = node->n_in > 2 ? args->in[2] : NULL;
    float *dx = args->out[0];
    double *sum = g_new(double, plane);
    for (int32_t m = 0; m < pictures; m++) {
        for (int32_t c = 0; c < s.c; c++) {
            memset(sum, 0, plane * sizeof *sum);
            for (int32_t n = m * n_flows; n < (m + 1) * n_flows; n++)
                scatter_plane(sum, dy + ((size_t)n * s.c + c) * plane, flow + 2 * n * plane,
                              v ? v + 2 * n * plane : NULL, s, weigh);
            for (size_t k = 0; k < plane; k++)
                *dx++ = (float)sum[k];
        }
    }
    g_free(sum);
}

/* --- CPU: pictures are packed, blocks of channels one after another (cpu/warp_dsp.h), then rows are done in bands --- */

typedef struct {
    const NervWarpDsp *dsp;
    NervWarpOperands o;
    float *packed;
    float *bands;              /* a scatter's: one per thread */
    int32_t *touched;          /* a scatter's: two rows for each of the flow's */
    NervShape s;               /* N of the flows, C of the pictures */
    int32_t pictures, n_flows; /* n_flows: of each picture */
    int32_t y_channels;        /* of what a gather yields */
    int32_t band;
    uint32_t n_blocks, n_bands;
    size_t plane;
} Job;

static Job job_new(const NervCpu *cpu, NervShape s, int32_t pictures)
{
    Job job = { .dsp = &cpu->dsp->warp, .s = s, .pictures = pictures, .n_flows = s.n / pictures };
    job.plane = (size_t)s.h * s.w;
    job.band = MIN(MAX(BAND_PIXELS / s.w, 8), s.h);
    job.n_bands = (uint32_t)((s.h + job.band - 1) / job.band);
    job.n_blocks = (uint32_t)((s.c + job.dsp->lanes - 1) / job.dsp->lanes);
    return job;
}

/* Floats of one picture, packed. */
static size_t packed_floats(const Job *job)
{
    return job->n_blocks * job->plane * (size_t)job->dsp->lanes;
}

static NervWarpRow row_of(const Job *job, int32_t n, int32_t i)
{
    const size_t at = (size_t)i * job->s.w, flow = 2 * n * job->plane + at;
    NervWarpRow row = { .i = i, .h = job->s.h, .w = job->s.w, .c = job->s.c };
    row.flow = job->o.flow + flow;
    if (job->o.v)
        row.v = job->o.v + flow;
    if (job->packed)
        row.x = job->packed + (size_t)(n / job->n_flows) * packed_floats(job);
    if (job->o.dy)
        row.dy = job->o.dy + (size_t)n * job->s.c * job->plane + at;
    return row;
}

/* Range of a block of a picture. */
static void pack_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const uint32_t n_ranges = nerv_n_ranges(job->plane), range = task % n_ranges, block = task / n_ranges;
    const int32_t c = (int32_t)(block % job->n_blocks) * job->dsp->lanes,
                  m = (int32_t)(block / job->n_blocks);
    const size_t at = (size_t)range * NERV_RANGE;
    job->dsp->pack(job->packed + (block * job->plane + at) * (size_t)job->dsp->lanes,
                   job->o.x + ((size_t)m * job->s.c + c) * job->plane + at, job->plane,
                   MIN(job->s.c - c, job->dsp->lanes), nerv_range_length(job->plane, range));
}

static void gather_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const int32_t n = (int32_t)(task / job->n_bands), first = (int32_t)(task % job->n_bands) * job->band;
    for (int32_t i = first; i < MIN(first + job->band, job->s.h); i++) {
        NervWarpRow row = row_of(job, n, i);
        row.y = job->o.y + (size_t)n * job->y_channels * job->plane + (size_t)i * job->s.w;
        job->o.row(&row);
    }
}

void nerv_warp_gather(const NervWarpOperands *operands, NervShape s, int32_t pictures, int32_t y_channels,
                      void *scratch, const NervCpu *cpu)
{
    Job job = job_new(cpu, s, pictures);
    job.o = *operands;
    job.packed = scratch;
    job.y_channels = y_channels;
    nerv_pool_run(cpu->pool, (uint32_t)pictures * job.n_blocks * nerv_n_ranges(job.plane), pack_task, &job);
    nerv_pool_run(cpu->pool, (uint32_t)s.n * job.n_bands, gather_task, &job);
}

size_t nerv_warp_gather_scratch(const NervTensor *x, const NervCpu *cpu)
{
    const Job job = job_new(cpu, x->shape, x->shape.n);
    return (size_t)job.pictures * packed_floats(&job) * sizeof(float);
}

static void touched_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const int32_t n = (int32_t)(task / job->n_bands), first = (int32_t)(task % job->n_bands) * job->band;
    for (int32_t i = first; i < MIN(first + job->band, job->s.h); i++) {
        const NervWarpRow row = row_of(job, n, i);
        job->dsp->touched(&row, job->touched + 2 * ((size_t)n * job->s.h + i));
    }
}

/* A band of rows of a block of channels of y: all that falls into it, by way of those rows of the flow that reach it. */
static void scatter_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
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
            job->o.scatter(&row, band, first, n_rows);
        }
    }
    job->dsp->unpack(job->o.y + ((size_t)m * job->s.c + c) * job->plane + (size_t)first * job->s.w,
                     job->plane, count, band, (size_t)n_rows * job->s.w);
}

/* Two numbers for each row of the flow, then bands; in whole vectors. */
static size_t touched_bytes(const Job *job)
{
    return (2 * (size_t)job->s.n * job->s.h * sizeof(int32_t) + 63) / 64 * 64;
}

void nerv_warp_scatter(const NervWarpOperands *operands, NervShape s, int32_t pictures, void *scratch,
                       const NervCpu *cpu)
{
    Job job = job_new(cpu, s, pictures);
    job.o = *operands;
    job.touched = scratch;
    job.bands = (float *)(void *)((uint8_t *)scratch + touched_bytes(&job));
    nerv_pool_run(cpu->pool, (uint32_t)s.n * job.n_bands, touched_task, &job);
    nerv_pool_run(cpu->pool, (uint32_t)pictures * job.n_blocks * job.n_bands, scatter_task, &job);
}

size_t nerv_warp_scatter_scratch(const NervNode *node, const NervCpu *cpu)
{
    const Job job = job_new(cpu, node->in[0]->shape, node->out[0]->shape.n);
    return touched_bytes(&job) +
           nerv_pool_threads(cpu->pool) * (size_t)job.band * job.s.w * job.dsp->lanes * sizeof(float);
}

/* --- Vulkan --- */

/* What all shaders of the family are pushed, behind the count of elements. */
static void push_sizes(NervDispatch *d, NervShape s, int32_t pictures)
{
    nerv_dispatch_push(d, (uint32_t)s.c);
    nerv_dispatch_push(d, (uint32_t)s.h);
    nerv_dispatch_push(d, (uint32_t)s.w);
    nerv_dispatch_push(d, (uint32_t)(s.n / pictures));
}

uint32_t nerv_warp_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    push_sizes(out, node->out[0]->shape, node->in[0]->shape.n);
    return fits;
}

uint32_t nerv_warp_dflow_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape s = node->in[0]->shape;
    const uint64_t n_pixels = (uint64_t)s.n * s.h * s.w;
    nerv_dispatch_pointwise(out, node, caps);
    out->push[0] = (uint32_t)n_pixels;
    push_sizes(out, s, node->in[1]->shape.n);
    return nerv_dispatch_elements(out, caps, n_pixels, NERV_VK_LOCAL);
}

/* PARTS of shaders/lib/scatter.glsl: workgroups of its first pass, words of scratch before the sums. */
#define VK_PARTS 128

size_t nerv_warp_scatter_vk_scratch(const NervNode *node, const NervVkCaps *caps)
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

uint32_t nerv_warp_scatter_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
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

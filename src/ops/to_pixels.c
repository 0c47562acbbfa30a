/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Planes of R'G'B' to packed frames: values are clamped to [0,1], chroma is filtered down from all luma
 * places, codes are floor(v + 1/2). Layouts and the affine map are those of tensor/pixels.h. The last bytes
 * that make a frame whole 32-bit words are 0. Rounding has no gradient.
 */
#include <string.h>

#include "ops/pixels_common.h"
#include "cpu/cpu.h"

static bool to_pixels_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    const int32_t n = node->in[0]->shape.n;
    int32_t stride;
    if (!nerv_pixels_check(node, &stride, error) || !nerv_check_float(node, error) ||
        !nerv_check_shape(node, 0, nerv_shape(n, 3, p->height, p->width), "frames of that size are", error))
        return false;
    out[0] = (NervOutInfo){ NERV_U8, nerv_shape(n, 1, 1, stride) };
    return true;
}

/* --- reference --- */

static float clamped(float v)
{
    return v > 0 ? MIN(v, 1.0f) : 0.0f; /* and NaN becomes 0 */
}

static uint8_t code_of(const NervColorMatrix *m, int k, const float rgb[3])
{
    const float v = m->to_off[k] + m->to[k][0] * rgb[0] + m->to[k][1] * rgb[1] + m->to[k][2] * rgb[2];
    return (uint8_t)(CLAMP(v, 0.0f, 255.0f) + 0.5f);
}

/* The colour of one chroma sample: the filters of both axes over the luma places round it. */
static void filtered(const NervPixels *p, const float *planes, int32_t cx, int32_t cy, float rgb[3])
{
    static const float cosited[3] = { 0.25f, 0.5f, 0.25f }, centred[3] = { 0, 0.5f, 0.5f };
    const float *wx = p->h_cosited ? cosited : centred, *wy = p->v_cosited ? cosited : centred;
    const size_t area = (size_t)p->width * p->height;
    for (int k = 0; k < 3; k++) {
        rgb[k] = 0;
        for (int i = 0; i < 9; i++) {
            const int32_t x = CLAMP(2 * cx + i % 3 - 1, 0, p->width - 1),
                          y = CLAMP(2 * cy + i / 3 - 1, 0, p->height - 1);
            rgb[k] += wx[i % 3] * wy[i / 3] * clamped(planes[k * area + (size_t)y * p->width + x]);
        }
    }
}

static void write_frame(const NervPixels *p, const NervColorMatrix *m, const float *src, uint8_t *dst)
{
    const size_t area = (size_t)p->width * p->height;
    const int pixel_bytes = nerv_pixels_pixel_bytes(p);
    const bool is_yuv = nerv_pixels_is_yuv(p), swap = p->format == NERV_PIXELS_BGRX;
    NervPlane planes[3];
    nerv_pixels_planes(p, planes);
    for (size_t i = 0; i < area; i++) {
        const float rgb[3] = { clamped(src[i]), clamped(src[area + i]), clamped(src[2 * area + i]) };
        if (is_yuv) {
            dst[i] = code_of(m, 0, rgb);
            continue;
        }
        for (int k = 0; k < 3; k++)
            dst[i * pixel_bytes + (swap ? 2 - k : k)] = code_of(m, k, rgb);
        if (pixel_bytes == 4)
            dst[i * 4 + 3] = 255;
    }
    for (int32_t i = 0; is_yuv && i < (p->width + 1) / 2 * ((p->height + 1) / 2); i++) {
        float rgb[3];
        filtered(p, src, i % ((p->width + 1) / 2), i / ((p->width + 1) / 2), rgb);
        const bool pairs = p->format == NERV_PIXELS_NV12;
        dst[planes[1].offset + (pairs ? 2 * i : i)] = code_of(m, 1, rgb);
        dst[pairs ? planes[1].offset + 2 * i + 1 : planes[2].offset + i] = code_of(m, 2, rgb);
    }
    memset(dst + nerv_pixels_bytes(p), 0, nerv_pixels_stride(p) - nerv_pixels_bytes(p));
}

static void to_pixels_ref(const NervNode *node, const NervArgs *args)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    NervColorMatrix m;
    nerv_pixels_matrix(p, &m);
    for (int32_t n = 0; n < node->in[0]->shape.n; n++)
        write_frame(p, &m, (const float *)args->in[0] + 3 * (size_t)p->width * p->height * n,
                    (uint8_t *)args->out[0] + nerv_pixels_stride(p) * n);
}

/* --- CPU: a task is a band of rows of one frame, with the chroma rows that lie in it --- */

typedef struct {
    const NervNode *node;
    const NervArgs *args;
    const NervPixelsDsp *dsp;
    NervColorMatrix m;
    uint32_t n_bands;
} Job;

/* Row y of the three planes of frame n, y clamped to the picture. */
static void rows_at(const Job *job, int32_t n, int32_t y, const float *rgb[3])
{
    const NervPixels *p = NERV_NODE_ATTR(job->node, NervPixels);
    const size_t area = (size_t)p->width * p->height;
    for (int k = 0; k < 3; k++)
        rgb[k] = (const float *)job->args->in[0] + (3 * (size_t)n + k) * area +
                 (size_t)CLAMP(y, 0, p->height - 1) * p->width;
}

/* Filters the rows round chroma row cy into one row per plane, borders repeated, and then along it. */
static void write_chroma(const Job *job, uint8_t *frame, const NervPlane planes[3], int32_t n, int32_t cy,
                         float *scratch)
{
    static const float cosited[3] = { 0.25f, 0.5f, 0.25f }, centred[3] = { 0, 0.5f, 0.5f };
    const NervPixels *p = NERV_NODE_ATTR(job->node, NervPixels);
    const bool pairs = p->format == NERV_PIXELS_NV12;
    const size_t row_floats = nerv_pixels_row_floats(p);
    const float *round[3][3], *mixed[3];
    for (int i = 0; i < 3; i++)
        rows_at(job, n, 2 * cy + i - 1, round[i]);
    for (int k = 0; k < 3; k++) {
        const float *rows[3] = { round[0][k], round[1][k], round[2][k] };
        float *row = scratch + row_floats * k + 16;
        job->dsp->mix(row, rows, p->v_cosited ? cosited : centred, p->width);
        row[-1] = row[0];
        row[p->width] = row[p->width - 1];
        mixed[k] = row;
    }
    uint8_t *cb = frame + planes[1].offset + (size_t)cy * planes[1].stride;
    uint8_t *cr = pairs ? cb + 1 : frame + planes[2].offset + (size_t)cy * planes[2].stride;
    job->dsp->to_chroma(cb, cr, pairs ? 2 : 1, mixed, (p->width + 1) / 2, p->h_cosited, &job->m);
}

static void band(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervPixels *p = NERV_NODE_ATTR(job->node, NervPixels);
    const int32_t n = (int32_t)(task / job->n_bands), y0 = (int32_t)(task % job->n_bands) * NERV_PIXELS_BAND;
    const int32_t y1 = MIN(y0 + NERV_PIXELS_BAND, p->height);
    uint8_t *frame = (uint8_t *)job->args->out[0] + nerv_pixels_stride(p) * n;
    float *scratch = job->args->scratch; /* NULL for RGB formats */
    if (scratch)
        scratch += 3 * nerv_pixels_row_floats(p) * thread;
    NervPlane planes[3];
    nerv_pixels_planes(p, planes);
    for (int32_t y = y0; y < y1; y++) {
        uint8_t *dst = frame + (size_t)y * planes[0].stride;
        const float *rgb[3];
        rows_at(job, n, y, rgb);
        if (!nerv_pixels_is_yuv(p)) {
            job->dsp->pack(dst, rgb, p->width, nerv_pixels_pixel_bytes(p), p->format == NERV_PIXELS_BGRX);
            continue;
        }
        job->dsp->to_luma(dst, rgb, p->width, &job->m);
        if (y % 2 == 0)
            write_chroma(job, frame, planes, n, y / 2, scratch);
    }
    if (y1 == p->height)
        memset(frame + nerv_pixels_bytes(p), 0, nerv_pixels_stride(p) - nerv_pixels_bytes(p));
}

static void to_pixels_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    Job job = { .node = node, .args = args, .dsp = &cpu->dsp->pixels };
    job.n_bands = (uint32_t)(p->height + NERV_PIXELS_BAND - 1) / NERV_PIXELS_BAND;
    nerv_pixels_matrix(p, &job.m);
    nerv_pool_run(cpu->pool, job.n_bands * (uint32_t)node->in[0]->shape.n, band, &job);
}

static size_t to_pixels_scratch(const NervNode *node, const NervCpu *cpu)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    if (!nerv_pixels_is_yuv(p))
        return 0;
    return 3 * nerv_pixels_row_floats(p) * sizeof(float) * nerv_pool_threads(cpu->pool);
}

/* --- Vulkan: one invocation per 32-bit word of output --- */

static uint32_t to_pixels_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    const int32_t n = node->in[0]->shape.n;
    NervColorMatrix m;
    nerv_pixels_matrix(p, &m);
    nerv_dispatch_init(out, "to_pixels");
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_pixels_push(out, p, (uint32_t)n, (uint32_t)n, m.to, m.to_off);
    return nerv_dispatch_elements(out, caps, (uint64_t)nerv_pixels_stride(p) / 4 * n, NERV_VK_LOCAL);
}

/* A value next to the middle of two codes may go either way. */
const NervOp nerv_op_to_pixels = {
    .name = "to_pixels",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = to_pixels_infer,
    .ref = to_pixels_ref,
    .cpu = to_pixels_cpu,
    .cpu_scratch = to_pixels_scratch,
    .dispatch = to_pixels_dispatch,
    .rtol = 0,
    .atol = 1,
};

NervTensor *nerv_to_pixels(NervTape *t, NervTensor *rgb, const NervPixels *pixels)
{
    return nerv_tape_add(t, &nerv_op_to_pixels, &rgb, 1, pixels, sizeof(*pixels));
}

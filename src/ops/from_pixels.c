/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Stored frames to planes of R'G'B': rgb[n] = map(store[index[n]]) clamped to [0,1], chroma interpolated
 * linearly to the luma samples' places. Layouts and the affine map are those of tensor/pixels.h. Frames are
 * data: no gradient.
 */
#include <string.h>

#include "ops/pixels_common.h"
#include "cpu/cpu.h"

static bool from_pixels_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    const NervShape store = node->in[0]->shape, index = node->in[1]->shape;
    int32_t stride;
    if (!nerv_pixels_check(node, &stride, error))
        return false;
    if (node->in[0]->dtype != NERV_U8 || node->in[1]->dtype != NERV_I32) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op from_pixels: takes bytes and 32-bit indices");
        return false;
    }
    if (!nerv_check_shape(node, 0, nerv_shape(store.n, 1, 1, stride), "frames of that format are stored",
                          error) ||
        !nerv_check_shape(node, 1, nerv_shape(index.n, 1, 1, 1), "a list of indices is", error))
        return false;
    return nerv_infer_float(out, nerv_shape(index.n, 3, p->height, p->width));
}

/* The frame that output `n` shows. */
static const uint8_t *frame_at(const NervNode *node, const NervArgs *args, int32_t n)
{
    const NervShape store = node->in[0]->shape;
    const int32_t i = ((const int32_t *)args->in[1])[n];
    return (const uint8_t *)args->in[0] + (size_t)store.w * (i >= 0 && i < store.n ? i : 0);
}

/* --- reference --- */

/* Where along one axis a luma sample finds its chroma: sample near with weight 1-w, sample far with weight w.
 */
typedef struct {
    int32_t near, far;
    float w;
} Taps;

static Taps taps_at(int32_t at, int32_t n_chroma, bool cosited)
{
    const int32_t i = at / 2;
    const bool odd = at & 1;
    Taps t = { i, odd ? i + 1 : i - 1, cosited ? (odd ? 0.5f : 0.0f) : 0.25f };
    t.far = CLAMP(t.far, 0, n_chroma - 1);
    return t;
}

static float interpolate(const uint8_t *plane, int32_t stride, int step, Taps x, Taps y)
{
    const uint8_t *near = plane + (size_t)y.near * stride, *far = plane + (size_t)y.far * stride;
    const float a = near[x.near * step] * (1 - y.w) + far[x.near * step] * y.w;
    const float b = near[x.far * step] * (1 - y.w) + far[x.far * step] * y.w;
    return a * (1 - x.w) + b * x.w;
}

static void read_codes(const NervPixels *p, const uint8_t *frame, int32_t x, int32_t y, float code[3])
{
    NervPlane planes[3];
    nerv_pixels_planes(p, planes);
    if (!nerv_pixels_is_yuv(p)) {
        const uint8_t *at = frame + (size_t)y * planes[0].stride + (size_t)x * nerv_pixels_pixel_bytes(p);
        const bool swap = p->format == NERV_PIXELS_BGRX;
        code[0] = at[swap ? 2 : 0];
        code[1] = at[1];
        code[2] = at[swap ? 0 : 2];
        return;
    }
    const bool pairs = p->format == NERV_PIXELS_NV12;
    const uint8_t *cb = frame + planes[1].offset, *cr = pairs ? cb + 1 : frame + planes[2].offset;
    const Taps tx = taps_at(x, (p->width + 1) / 2, p->h_cosited),
               ty = taps_at(y, (p->height + 1) / 2, p->v_cosited);
    code[0] = frame[(size_t)y * planes[0].stride + x];
    code[1] = interpolate(cb, planes[1].stride, pairs ? 2 : 1, tx, ty);
    code[2] = interpolate(cr, planes[1].stride, pairs ? 2 : 1, tx, ty);
}

static void from_pixels_ref(const NervNode *node, const NervArgs *args)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    const size_t plane = (size_t)p->width * p->height;
    NervColorMatrix m;
    nerv_pixels_matrix(p, &m);
    for (int32_t n = 0; n < node->in[1]->shape.n; n++) {
        const uint8_t *frame = frame_at(node, args, n);
        float *rgb = (float *)args->out[0] + 3 * plane * n;
        for (int32_t y = 0; y < p->height; y++) {
            for (int32_t x = 0; x < p->width; x++) {
                float code[3];
                read_codes(p, frame, x, y, code);
                for (int k = 0; k < 3; k++) {
                    const float v = m.from[k][0] * (code[0] - m.to_off[0]) +
                                    m.from[k][1] * (code[1] - m.to_off[1]) +
                                    m.from[k][2] * (code[2] - m.to_off[2]);
                    rgb[k * plane + (size_t)y * p->width + x] = CLAMP(v, 0.0f, 1.0f);
                }
            }
        }
    }
}

/* --- CPU: a task is a band of rows of one frame --- */

typedef struct {
    const NervNode *node;
    const NervArgs *args;
    const NervPixelsDsp *dsp;
    NervColorMatrix m;
    uint32_t n_bands;
} Job;

/* One chroma plane's row for luma row y, with its border samples repeated once on either side. */
static void chroma_row(const Job *job, float *row, const uint8_t *plane, int32_t stride, int step, int32_t y)
{
    const NervPixels *p = NERV_NODE_ATTR(job->node, NervPixels);
    const int32_t n = (p->width + 1) / 2;
    const Taps t = taps_at(y, (p->height + 1) / 2, p->v_cosited);
    job->dsp->blend(row, plane + (size_t)t.near * stride, plane + (size_t)t.far * stride, t.w, n, step);
    row[-1] = row[0];
    row[n] = row[n - 1];
}

static void band(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervPixels *p = NERV_NODE_ATTR(job->node, NervPixels);
    const int32_t n = (int32_t)(task / job->n_bands), y0 = (int32_t)(task % job->n_bands) * NERV_PIXELS_BAND;
    const size_t area = (size_t)p->width * p->height, row_floats = nerv_pixels_row_floats(p);
    const uint8_t *frame = frame_at(job->node, job->args, n);
    float *cb = (float *)job->args->scratch + 2 * row_floats * thread + 16, *cr = cb + row_floats;
    const bool pairs = p->format == NERV_PIXELS_NV12;
    NervPlane planes[3];
    nerv_pixels_planes(p, planes);
    for (int32_t y = y0; y < MIN(y0 + NERV_PIXELS_BAND, p->height); y++) {
        const uint8_t *src = frame + (size_t)y * planes[0].stride;
        float *rgb[3];
        for (int k = 0; k < 3; k++)
            rgb[k] = (float *)job->args->out[0] + (3 * (size_t)n + k) * area + (size_t)y * p->width;
        if (!nerv_pixels_is_yuv(p)) {
            job->dsp->unpack(rgb, src, p->width, nerv_pixels_pixel_bytes(p), p->format == NERV_PIXELS_BGRX);
            continue;
        }
        const uint8_t *u = frame + planes[1].offset, *v = pairs ? u + 1 : frame + planes[2].offset;
        chroma_row(job, cb, u, planes[1].stride, pairs ? 2 : 1, y);
        chroma_row(job, cr, v, planes[1].stride, pairs ? 2 : 1, y);
        job->dsp->from_yuv(rgb, src, cb, cr, p->width, p->h_cosited, &job->m);
    }
}

static void from_pixels_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    Job job = { .node = node, .args = args, .dsp = &cpu->dsp->pixels };
    job.n_bands = (uint32_t)(p->height + NERV_PIXELS_BAND - 1) / NERV_PIXELS_BAND;
    nerv_pixels_matrix(p, &job.m);
    nerv_pool_run(cpu->pool, job.n_bands * (uint32_t)node->in[1]->shape.n, band, &job);
}

static size_t from_pixels_scratch(const NervNode *node, const NervCpu *cpu)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    if (!nerv_pixels_is_yuv(p))
        return 0;
    return 2 * nerv_pixels_row_floats(p) * sizeof(float) * nerv_pool_threads(cpu->pool);
}

/* --- Vulkan: one invocation per pixel --- */

static uint32_t from_pixels_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    const int32_t n = node->in[1]->shape.n;
    NervColorMatrix m;
    nerv_pixels_matrix(p, &m);
    nerv_dispatch_init(out, "from_pixels");
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_pixels_push(out, p, (uint32_t)n, (uint32_t)node->in[0]->shape.n, m.from, m.to_off);
    return nerv_dispatch_elements(out, caps, (uint64_t)p->width * p->height * n, NERV_VK_LOCAL);
}

const NervOp nerv_op_from_pixels = {
    .name = "from_pixels",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = from_pixels_infer,
    .ref = from_pixels_ref,
    .cpu = from_pixels_cpu,
    .cpu_scratch = from_pixels_scratch,
    .dispatch = from_pixels_dispatch,
    .rtol = 0,
    .atol = 2e-6f,
};

NervTensor *nerv_from_pixels(NervTape *t, NervTensor *store, NervTensor *index, const NervPixels *pixels)
{
    return nerv_tape_add(t, &nerv_op_from_pixels, (NervTensor *[]){ store, index }, 2, pixels,
                         sizeof(*pixels));
}

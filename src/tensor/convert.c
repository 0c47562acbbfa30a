/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Any layout to I420, see convert.h. Chroma c with U c nearest to the picture's own chroma s, where U is from_pixels' interpolation,
 * is approached from the filtered picture (as to_pixels writes it) by steps c += U'(s - U c) / 4, the gradient's direction: borders
 * aside a column of U sums to at most 4 and U'U / 4 has no eigenvalue above 1, so that each step comes nearer.
 */
#include "tensor/convert.h"

#include <stdlib.h>
#include <string.h>

#define N_STEPS 8 /* more change nothing that is coded */

/* The chroma places round luma place `at` along one axis, and their weights. */
typedef struct {
    int32_t near, far;
    float w; /* of far */
} Taps;

typedef struct {
    const NervPixels *to;
    int32_t w, h, cw, ch;
    float *codes;  /* 3 planes of w x h: codes of `to`, not rounded */
    float *chroma; /* cw x ch */
    float *step;   /* cw x ch */
} Work;

static int32_t held(int32_t v, int32_t n)
{
    return v < 0 ? 0 : v >= n ? n - 1 : v;
}

static float held_code(float v)
{
    return v > 0 ? v < 255 ? v : 255 : 0;
}

static Taps taps_at(int32_t at, int32_t n_chroma, bool cosited)
{
    const int32_t i = at / 2;
    const bool odd = at & 1;
    return (Taps){ i, held(odd ? i + 1 : i - 1, n_chroma), cosited ? (odd ? .5f : 0) : .25f };
}

/* --- the picture's codes at all places --- */

static float sample(const uint8_t *plane, int32_t stride, int step, Taps x, Taps y)
{
    const uint8_t *near = plane + (size_t)y.near * stride, *far = plane + (size_t)y.far * stride;
    return (near[x.near * step] * (1 - y.w) + far[x.near * step] * y.w) * (1 - x.w) +
           (near[x.far * step] * (1 - y.w) + far[x.far * step] * y.w) * x.w;
}

static void read_rgb(const NervPixels *p, const NervPlane planes[3], const NervColorMatrix *m,
                     const uint8_t *src, int32_t x, int32_t y, float rgb[3])
{
    float code[3];
    if (p->format == NERV_PIXELS_I420 || p->format == NERV_PIXELS_NV12) {
        const bool pairs = p->format == NERV_PIXELS_NV12;
        const uint8_t *cb = src + planes[1].offset, *cr = pairs ? cb + 1 : src + planes[2].offset;
        const Taps tx = taps_at(x, (p->width + 1) / 2, p->h_cosited),
                   ty = taps_at(y, (p->height + 1) / 2, p->v_cosited);
        code[0] = src[(size_t)y * planes[0].stride + x];
        code[1] = sample(cb, planes[1].stride, pairs ? 2 : 1, tx, ty);
        code[2] = sample(cr, planes[1].stride, pairs ? 2 : 1, tx, ty);
    } else {
        const int pixel_bytes = p->format == NERV_PIXELS_RGB ? 3 : 4;
        const uint8_t *at = src + (size_t)y * planes[0].stride + (size_t)x * pixel_bytes;
        const bool swap = p->format == NERV_PIXELS_BGRX;
        code[0] = at[swap ? 2 : 0];
        code[1] = at[1];
        code[2] = at[swap ? 0 : 2];
    }
    for (int k = 0; k < 3; k++) {
        rgb[k] = 0;
        for (int j = 0; j < 3; j++)
            rgb[k] += m->from[k][j] * (code[j] - m->to_off[j]);
        rgb[k] = rgb[k] > 0 ? rgb[k] < 1 ? rgb[k] : 1 : 0;
    }
}

static void fill_codes(const Work *work, const NervPixels *from, const uint8_t *src)
{
    const size_t area = (size_t)work->w * work->h;
    NervColorMatrix in, out;
    NervPlane planes[3] = { { 0 } };
    nerv_pixels_planes(from, planes);
    nerv_pixels_matrix(from, &in);
    nerv_pixels_matrix(work->to, &out);
    for (int32_t y = 0; y < work->h; y++) {
        for (int32_t x = 0; x < work->w; x++) {
            float rgb[3];
            read_rgb(from, planes, &in, src, x, y, rgb);
            for (int k = 0; k < 3; k++)
                work->codes[k * area + (size_t)y * work->w + x] = held_code(
                    out.to_off[k] + out.to[k][0] * rgb[0] + out.to[k][1] * rgb[1] + out.to[k][2] * rgb[2]);
        }
    }
}

/* --- chroma --- */

/* to_pixels' filters: codes are an affine function of colours, so the codes may be filtered. */
static void filter(const Work *work, const float *s)
{
    static const float cosited[3] = { .25f, .5f, .25f }, centred[3] = { 0, .5f, .5f };
    const float *wx = work->to->h_cosited ? cosited : centred, *wy = work->to->v_cosited ? cosited : centred;
    for (int32_t y = 0; y < work->ch; y++) {
        for (int32_t x = 0; x < work->cw; x++) {
            float sum = 0;
            for (int i = 0; i < 9; i++)
                sum +=
                    wx[i % 3] * wy[i / 3] *
                    s[(size_t)held(2 * y + i / 3 - 1, work->h) * work->w + held(2 * x + i % 3 - 1, work->w)];
            work->chroma[(size_t)y * work->cw + x] = sum;
        }
    }
}

/* One luma place: what U c lacks there, and back to the four chroma places that it is made of. */
static void scatter(const Work *work, const float *s, int32_t x, int32_t y)
{
    const Taps tx = taps_at(x, work->cw, work->to->h_cosited), ty = taps_at(y, work->ch, work->to->v_cosited);
    const size_t at[4] = { (size_t)ty.near * work->cw + tx.near, (size_t)ty.near * work->cw + tx.far,
                           (size_t)ty.far * work->cw + tx.near, (size_t)ty.far * work->cw + tx.far };
    const float w[4] = { (1 - ty.w) * (1 - tx.w), (1 - ty.w) * tx.w, ty.w * (1 - tx.w), ty.w * tx.w };
    float error = s[(size_t)y * work->w + x];
    for (int i = 0; i < 4; i++)
        error -= w[i] * work->chroma[at[i]];
    for (int i = 0; i < 4; i++)
        work->step[at[i]] += w[i] * error;
}

static void approach(const Work *work, const float *s)
{
    const size_t n = (size_t)work->cw * work->ch;
    memset(work->step, 0, n * sizeof(float));
    for (int32_t y = 0; y < work->h; y++)
        for (int32_t x = 0; x < work->w; x++)
            scatter(work, s, x, y);
    for (size_t i = 0; i < n; i++)
        work->chroma[i] = held_code(work->chroma[i] + work->step[i] / 4);
}

static void convert(const Work *work, uint8_t *dst)
{
    const size_t area = (size_t)work->w * work->h, n = (size_t)work->cw * work->ch;
    for (size_t i = 0; i < area; i++)
        dst[i] = (uint8_t)(work->codes[i] + .5f);
    for (int k = 1; k < 3; k++) {
        const float *s = work->codes + k * area;
        filter(work, s);
        for (int i = 0; i < N_STEPS; i++)
            approach(work, s);
        for (size_t i = 0; i < n; i++)
            dst[area + (k - 1) * n + i] = (uint8_t)(work->chroma[i] + .5f);
    }
}

/* --- the door --- */

static bool same_samples(const NervPixels *a, const NervPixels *b)
{
    return (a->format == NERV_PIXELS_I420 || a->format == NERV_PIXELS_NV12) && a->matrix == b->matrix &&
           !a->full_range == !b->full_range && !a->h_cosited == !b->h_cosited &&
           !a->v_cosited == !b->v_cosited;
}

static void copy(const NervPixels *from, const uint8_t *src, uint8_t *dst)
{
    const size_t area = (size_t)from->width * from->height;
    if (from->format == NERV_PIXELS_I420) {
        memcpy(dst, src, nerv_pixels_bytes(from));
        return;
    }
    const size_t n = (nerv_pixels_bytes(from) - area) / 2;
    memcpy(dst, src, area);
    for (size_t i = 0; i < n; i++) {
        dst[area + i] = src[area + 2 * i];
        dst[area + n + i] = src[area + 2 * i + 1];
    }
}

bool nerv_pixels_to_i420(const NervPixels *from, const uint8_t *src, const NervPixels *to, uint8_t *dst)
{
    const size_t area = (size_t)to->width * to->height;
    Work work = { .to = to, .w = to->width, .h = to->height };
    work.cw = (work.w + 1) / 2;
    work.ch = (work.h + 1) / 2;
    const size_t n = (size_t)work.cw * work.ch;
    if (same_samples(from, to)) {
        copy(from, src, dst);
        return true;
    }
    work.codes = malloc((3 * area + 2 * n) * sizeof(float));
    if (!work.codes)
        return false;
    work.chroma = work.codes + 3 * area;
    work.step = work.chroma + n;
    fill_codes(&work, from, src);
    convert(&work, dst);
    free(work.codes);
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See holes.h.
 */
#include "codec/holes.h"

#include "base/error.h"
#include "base/rng.h"

#define MAX_LEVELS 16
#define GREY       128

/* --- what counts --- */

static bool shares_chroma(const NervPixels *p)
{
    return p->format == NERV_PIXELS_I420 || p->format == NERV_PIXELS_NV12;
}

/* Whether all luma samples that share a chroma sample with x, y are known; or the one, where none is shared. */
static bool is_known(const NervPixels *p, const uint8_t *known, int32_t stride, int32_t x, int32_t y)
{
    if (!shares_chroma(p))
        return known[(ptrdiff_t)y * stride + x] >= NERV_KNOWN;
    const int32_t x1 = MIN(x | 1, p->width - 1), y1 = MIN(y | 1, p->height - 1);
    for (int32_t j = y & ~1; j <= y1; j++)
        for (int32_t i = x & ~1; i <= x1; i++)
            if (known[(ptrdiff_t)j * stride + i] < NERV_KNOWN)
                return false;
    return true;
}

bool nerv_holes_none(const NervPixels *p, const uint8_t *known, int32_t stride)
{
    for (int32_t y = 0; y < p->height; y++)
        for (int32_t x = 0; x < p->width; x++)
            if (known[(ptrdiff_t)y * stride + x] < NERV_KNOWN)
                return false;
    return true;
}

void nerv_holes_mask(const NervPixels *p, const uint8_t *known, int32_t stride, double held_out,
                     uint64_t seed, uint64_t frame, uint8_t *dst)
{
    const uint32_t threshold = (uint32_t)(held_out * 65536.);
    NervRng rng;
    nerv_rng_init(&rng, seed ^ (frame + 1) * UINT64_C(0x9e3779b97f4a7c15));
    for (int32_t y = 0; y < p->height; y++)
        for (int32_t x = 0; x < p->width; x++, dst += 3) {
            const bool held = threshold && nerv_rng_below(&rng, 65536) < threshold;
            const bool counts = !known || is_known(p, known, stride, x, y);
            dst[0] = !counts ? NERV_GUESS_WEIGHT : held ? 0 : 255;
            dst[1] = counts && held ? 255 : 0;
            dst[2] = counts && !held ? 255 : 0;
        }
}

/* --- filling --- */

/* One plane at one scale: values times weights 0..1, and the weights. */
typedef struct {
    int32_t width, height;
    float *value, *weight;
} Level;

/* A plane of a picture as bytes, `step` apart. */
typedef struct {
    uint8_t *data;
    int32_t width, height, stride, step, shift; /* luma samples to one, as a power of two, along each axis */
} Channel;

static bool channel_knows(const NervPixels *p, const Channel *c, const uint8_t *known, int32_t stride,
                          int32_t x, int32_t y)
{
    if (!c->shift)
        return known[(ptrdiff_t)y * stride + x] >= NERV_KNOWN;
    return is_known(p, known, stride, x << c->shift, y << c->shift);
}

static void first_level(const NervPixels *p, const Channel *c, const uint8_t *known, int32_t stride, Level *l)
{
    float *v = l->value, *w = l->weight;
    for (int32_t y = 0; y < c->height; y++)
        for (int32_t x = 0; x < c->width; x++) {
            *w = channel_knows(p, c, known, stride, x, y);
            *v++ = *w++ * c->data[(ptrdiff_t)y * c->stride + (ptrdiff_t)x * c->step];
        }
}

/* Each sample of `to` stands for up to four of `from`. */
static void pull(const Level *from, Level *to)
{
    for (int32_t y = 0; y < to->height; y++)
        for (int32_t x = 0; x < to->width; x++) {
            float v = 0.f, w = 0.f;
            for (int32_t j = 2 * y; j < MIN(2 * y + 2, from->height); j++)
                for (int32_t i = 2 * x; i < MIN(2 * x + 2, from->width); i++) {
                    v += from->value[(size_t)j * from->width + i];
                    w += from->weight[(size_t)j * from->width + i];
                }
            const float most = MIN(w, 1.f);
            to->value[(size_t)y * to->width + x] = w > 0.f ? v * (most / w) : 0.f;
            to->weight[(size_t)y * to->width + x] = most;
        }
}

/* A whole level's value between the centres of its samples, at a sample of the level before. */
static float between(const Level *l, int32_t x, int32_t y)
{
    const int32_t x0 = x / 2, y0 = y / 2, x1 = CLAMP(x & 1 ? x0 + 1 : x0 - 1, 0, l->width - 1),
                  y1 = CLAMP(y & 1 ? y0 + 1 : y0 - 1, 0, l->height - 1);
    const float *near = l->value + (size_t)y0 * l->width, *far = l->value + (size_t)y1 * l->width;
    return .75f * (.75f * near[x0] + .25f * near[x1]) + .25f * (.75f * far[x0] + .25f * far[x1]);
}

/* What `to` lacks, from the coarser level, which is whole. */
static void push(const Level *from, Level *to)
{
    for (int32_t y = 0; y < to->height; y++)
        for (int32_t x = 0; x < to->width; x++) {
            const size_t at = (size_t)y * to->width + x;
            to->value[at] += (1.f - to->weight[at]) * between(from, x, y);
            to->weight[at] = 1.f;
        }
}

static void store(const NervPixels *p, const Channel *c, const uint8_t *known, int32_t stride, const Level *l)
{
    const float *v = l->value;
    for (int32_t y = 0; y < c->height; y++)
        for (int32_t x = 0; x < c->width; x++, v++)
            if (!channel_knows(p, c, known, stride, x, y))
                c->data[(ptrdiff_t)y * c->stride + (ptrdiff_t)x * c->step] =
                    (uint8_t)CLAMP(*v + .5f, 0.f, 255.f);
}

/* Levels down to one sample, out of one allocation. */
static int make_levels(const Channel *c, Level *levels, float **memory)
{
    size_t n = 0;
    int count = 0;
    for (int32_t w = c->width, h = c->height;; w = (w + 1) / 2, h = (h + 1) / 2) {
        levels[count++] = (Level){ .width = w, .height = h };
        n += (size_t)w * h;
        if (w == 1 && h == 1)
            break;
    }
    *memory = g_try_new(float, 2 * n);
    float *at = *memory;
    for (int i = 0; at && i < count; i++) {
        const size_t size = (size_t)levels[i].width * levels[i].height;
        levels[i].value = at;
        levels[i].weight = at + size;
        at += 2 * size;
    }
    return count;
}

static bool fill_channel(const NervPixels *p, const Channel *c, const uint8_t *known, int32_t stride)
{
    Level levels[MAX_LEVELS + 2];
    float *memory;
    const int n = make_levels(c, levels, &memory);
    if (!memory)
        return false;
    first_level(p, c, known, stride, &levels[0]);
    for (int i = 1; i < n; i++)
        pull(&levels[i - 1], &levels[i]);
    Level *last = &levels[n - 1];
    last->value[0] = last->weight[0] > 0.f ? last->value[0] / last->weight[0] : GREY;
    for (int i = n - 1; i > 0; i--)
        push(&levels[i], &levels[i - 1]);
    store(p, c, known, stride, &levels[0]);
    g_free(memory);
    return true;
}

bool nerv_holes_fill(const NervPixels *p, const uint8_t *known, int32_t stride, uint8_t *frame,
                     GError **error)
{
    NervPlane planes[3];
    const int n = nerv_pixels_planes(p, planes);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        /* bytes of a sample are channels of it, an unused fourth one as well */
        const bool chroma = i > 0;
        const int32_t width = chroma ? (p->width + 1) / 2 : p->width;
        const int32_t step = planes[i].row_bytes / width;
        for (int k = 0; ok && k < step; k++)
            ok = fill_channel(p,
                              &(Channel){ .data = frame + planes[i].offset + k,
                                          .width = width,
                                          .height = planes[i].rows,
                                          .stride = planes[i].stride,
                                          .step = step,
                                          .shift = chroma },
                              known, stride);
    }
    if (!ok)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to fill a frame's holes");
    return ok;
}

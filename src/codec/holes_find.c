/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What one frame hides and another shows, see holes.h. Squares of a hole are matched by the known samples round them, at displacements
 * of a grid that is then made finer round the best one, as motion is searched for.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cuts.h"
#include "codec/holes.h"

/* Frames either way that are looked at, and of those in which the place was found. */
#define MOST_DISTANCE 32
#define MOST_FOUND    6
/* Parts of the frame's width: a square's side, what is compared on each side of it, how far it may be displaced. */
#define SQUARE_PART .05
#define MARGIN_PART .05
#define RANGE_PART  .1
/* Steps of the first search over the range each way, and samples compared along a square's side. */
#define COARSE_STEPS 8
#define SIDE_SAMPLES 8
/* A match: so much of what is hidden is known there, so much of the surroundings can be compared, and codes differ by so much at most, plus as much for each frame
 * between, since what is near in time is like it in what the surroundings don't show. */
#define LEAST_SHOWN    .6
#define LEAST_COMPARED .4
#define MOST_DIFFERENT 14.
#define PER_FRAME      .1

typedef struct {
    const NervPixels *pixels;
    uint8_t *const *frames, *const *masks;
    uint32_t n;
    int32_t square, margin, range, least_step;
    int32_t spacing; /* of compared samples */
} Search;

typedef struct {
    int32_t x0, y0, x1, y1;
} Box;

typedef struct {
    uint32_t frame;
    int32_t dx, dy;
    double cost; /* infinite: none */
} Match;

static bool is_inside(const Search *s, int32_t x, int32_t y)
{
    return x >= 0 && y >= 0 && x < s->pixels->width && y < s->pixels->height;
}

static const uint8_t *mask_at(const Search *s, uint32_t frame, int32_t x, int32_t y)
{
    return s->masks[frame] + 3 * ((size_t)y * s->pixels->width + x);
}

/* Held-out samples are known here: a copy of them says nothing of themselves. */
static bool is_known(const Search *s, uint32_t frame, int32_t x, int32_t y)
{
    if (!is_inside(s, x, y))
        return false;
    if (!s->masks[frame])
        return true;
    const uint8_t *m = mask_at(s, frame, x, y);
    return m[1] || m[2];
}

/* Part of the square's hidden samples that are known in the other frame, displaced. */
static double shown_part(const Search *s, uint32_t frame, const Box *b, const Match *m)
{
    uint32_t n = 0, shown = 0;
    for (int32_t y = b->y0; y < b->y1; y += s->spacing)
        for (int32_t x = b->x0; x < b->x1; x += s->spacing)
            if (!is_known(s, frame, x, y)) {
                n++;
                shown += is_known(s, m->frame, x + m->dx, y + m->dy);
            }
    return n ? (double)shown / n : 0.;
}

/* Mean difference of grey codes round the square; infinite where too little can be compared. */
static double difference(const Search *s, uint32_t frame, const Box *b, const Match *m)
{
    size_t stride, step;
    const uint8_t *own = nerv_grey_plane(s->pixels, s->frames[frame], &stride, &step),
                  *other = nerv_grey_plane(s->pixels, s->frames[m->frame], &stride, &step);
    uint32_t known = 0, n = 0, sum = 0;
    for (int32_t y = b->y0 - s->margin; y < b->y1 + s->margin; y += s->spacing)
        for (int32_t x = b->x0 - s->margin; x < b->x1 + s->margin; x += s->spacing) {
            if (!is_known(s, frame, x, y))
                continue;
            known++;
            if (!is_known(s, m->frame, x + m->dx, y + m->dy))
                continue;
            n++;
            sum += (uint32_t)abs(own[(size_t)y * stride + (size_t)x * step] -
                                 other[(size_t)(y + m->dy) * stride + (size_t)(x + m->dx) * step]);
        }
    return n > 0 && n >= LEAST_COMPARED * known ? (double)sum / n : INFINITY;
}

static void try_match(const Search *s, uint32_t frame, const Box *b, Match m, Match *best)
{
    if (abs(m.dx) > s->range || abs(m.dy) > s->range || shown_part(s, frame, b, &m) < LEAST_SHOWN)
        return;
    m.cost = difference(s, frame, b, &m);
    if (m.cost < best->cost)
        *best = m;
}

/* The best displacement in another frame. */
static Match search_frame(const Search *s, uint32_t frame, uint32_t other, const Box *b)
{
    Match best = { .frame = other, .cost = INFINITY };
    int32_t step = MAX(s->range / COARSE_STEPS, 1);
    step = (step + s->least_step - 1) / s->least_step * s->least_step;
    for (int32_t dy = -(s->range / step) * step; dy <= s->range; dy += step)
        for (int32_t dx = -(s->range / step) * step; dx <= s->range; dx += step)
            try_match(s, frame, b, (Match){ other, dx, dy, 0. }, &best);
    while (isfinite(best.cost) && step > s->least_step) {
        const Match from = best;
        step = MAX(step / 2 / s->least_step, 1) * s->least_step;
        for (int k = 0; k < 9; k++)
            try_match(s, frame, b,
                      (Match){ other, from.dx + (k % 3 - 1) * step, from.dy + (k / 3 - 1) * step, 0. },
                      &best);
    }
    return best;
}

/* Bytes of a pixel, with the chroma that it shares. */
static void copy_pixel(const NervPixels *p, const uint8_t *src, int32_t from_x, int32_t from_y, uint8_t *dst,
                       int32_t x, int32_t y)
{
    NervPlane planes[3];
    const int n = nerv_pixels_planes(p, planes);
    for (int i = 0; i < n; i++) {
        const int shift = i > 0;
        const int32_t width = shift ? (p->width + 1) / 2 : p->width, step = planes[i].row_bytes / width;
        memcpy(dst + planes[i].offset + (size_t)(y >> shift) * planes[i].stride + (size_t)(x >> shift) * step,
               src + planes[i].offset + (size_t)(from_y >> shift) * planes[i].stride +
                   (size_t)(from_x >> shift) * step,
               (size_t)step);
    }
}

/* What the match shows of the square's guessed samples. */
static void take(const Search *s, uint32_t frame, const Box *b, const Match *m)
{
    for (int32_t y = b->y0; y < b->y1; y++)
        for (int32_t x = b->x0; x < b->x1; x++) {
            if (*mask_at(s, frame, x, y) != NERV_GUESS_WEIGHT || !is_known(s, m->frame, x + m->dx, y + m->dy))
                continue;
            copy_pixel(s->pixels, s->frames[m->frame], x + m->dx, y + m->dy, s->frames[frame], x, y);
            s->masks[frame][3 * ((size_t)y * s->pixels->width + x)] = NERV_FOUND_WEIGHT;
        }
}

static int by_cost(const void *a, const void *b)
{
    const double d = ((const Match *)a)->cost - ((const Match *)b)->cost;
    return d < 0. ? -1 : d > 0.;
}

static bool hides(const Search *s, uint32_t frame, const Box *b)
{
    for (int32_t y = b->y0; y < b->y1; y++)
        for (int32_t x = b->x0; x < b->x1; x++)
            if (*mask_at(s, frame, x, y) == NERV_GUESS_WEIGHT)
                return true;
    return false;
}

/* The nearest frames that show the place, the best of them first. */
static void find_square(const Search *s, uint32_t frame, const Box *b)
{
    Match found[MOST_FOUND];
    uint32_t n = 0;
    for (uint32_t d = 1; d <= MOST_DISTANCE && n < MOST_FOUND; d++)
        for (int way = 0; way < 2 && n < MOST_FOUND; way++) {
            if (way ? frame + d >= s->n : frame < d)
                continue;
            Match m = search_frame(s, frame, way ? frame + d : frame - d, b);
            if (m.cost > MOST_DIFFERENT)
                continue;
            m.cost += PER_FRAME * d;
            found[n++] = m;
        }
    qsort(found, n, sizeof(*found), by_cost);
    for (uint32_t i = 0; i < n; i++)
        take(s, frame, b, &found[i]);
}

void nerv_holes_find(const NervPixels *p, uint8_t *const *frames, uint8_t *const *masks, uint32_t n)
{
    const bool shared = p->format == NERV_PIXELS_I420 || p->format == NERV_PIXELS_NV12;
    Search s = { .pixels = p, .frames = frames, .masks = masks, .n = n, .least_step = shared ? 2 : 1 };
    s.square = MAX((int32_t)lrint(SQUARE_PART * p->width) / 2 * 2, 8);
    s.margin = MAX((int32_t)lrint(MARGIN_PART * p->width), 8);
    s.range = MAX((int32_t)lrint(RANGE_PART * p->width), 8);
    s.spacing = MAX(s.square / SIDE_SAMPLES, 1);
    for (uint32_t i = 0; i < n; i++)
        for (int32_t y = 0; masks[i] && y < p->height; y += s.square)
            for (int32_t x = 0; x < p->width; x += s.square) {
                const Box b = { x, y, MIN(x + s.square, p->width), MIN(y + s.square, p->height) };
                if (hides(&s, i, &b))
                    find_square(&s, i, &b);
            }
}

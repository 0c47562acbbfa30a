/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cuts by the mean difference of small grey pictures, see cuts.h.
 */
#include "codec/cuts.h"

#include <glib.h>
#include <stdlib.h>

#define CELLS        16  /* each way; a cell has the mean of some of its samples */
#define CELL_SAMPLES 8   /* each way, at most */
#define LEAST_CHANGE 12. /* of 255 */
#define LEAST_RATIO  3.  /* to the larger of the changes before and behind */
/* Beside other cuts: a change so large is another picture, if it is not back within a frame, as behind a flash. */
#define OTHER_PICTURE 30.
#define LEAST_STAYING 0.3 /* of that change, to the frame before the last and to the next but one */

typedef struct {
    float cell[CELLS * CELLS];
} Thumb;

const uint8_t *nerv_grey_plane(const NervPixels *pixels, const uint8_t *frame, size_t *stride, size_t *step)
{
    NervPlane plane[3];
    nerv_pixels_planes(pixels, plane);
    *step = pixels->format == NERV_PIXELS_RGB ? 3 : pixels->format < NERV_PIXELS_I420 ? 4 : 1;
    *stride = plane[0].stride;
    return frame + plane[0].offset + (*step > 1 ? 1 : 0);
}

static void make_thumb(const NervPixels *pixels, const uint8_t *frame, Thumb *thumb)
{
    size_t stride, step;
    const uint8_t *grey = nerv_grey_plane(pixels, frame, &stride, &step);
    const int32_t n = CELLS * CELL_SAMPLES;
    for (int32_t i = 0; i < CELLS * CELLS; i++)
        thumb->cell[i] = 0.f;
    for (int32_t i = 0; i < n; i++) {
        const uint8_t *row = grey + (size_t)((int64_t)i * pixels->height / n) * stride;
        for (int32_t j = 0; j < n; j++)
            thumb->cell[i / CELL_SAMPLES * CELLS + j / CELL_SAMPLES] +=
                row[(size_t)((int64_t)j * pixels->width / n) * step];
    }
}

static double change(const Thumb *a, const Thumb *b)
{
    double sum = 0.;
    for (int32_t i = 0; i < CELLS * CELLS; i++)
        sum += ABS(a->cell[i] - b->cell[i]);
    return sum / (CELLS * CELLS * CELL_SAMPLES * CELL_SAMPLES);
}

/* Changes into a frame, from the one before and from that before it; 0 where there is none. */
typedef struct {
    double one, two;
} Change;

static bool is_cut(const Change *c)
{
    if (c->one >= LEAST_CHANGE && c->one >= LEAST_RATIO * MAX(c[-1].one, c[1].one))
        return true;
    const double least = LEAST_STAYING * c->one;
    return c->one >= OTHER_PICTURE && (c[-1].one == 0. || c->two >= least) &&
           (c[1].one == 0. || c[1].two >= least);
}

uint32_t nerv_cuts_find(const NervPixels *pixels, uint32_t n_frames, NervFrameAt frame_at, void *user,
                        int32_t **videos)
{
    g_autofree Change *changes =
        g_new0(Change, (gsize)n_frames + 1); /* none into the first and behind the last */
    Thumb thumb[3];
    for (uint32_t i = 0; i < n_frames; i++) {
        make_thumb(pixels, frame_at(user, i), &thumb[i % 3]);
        if (i > 0)
            changes[i].one = change(&thumb[(i - 1) % 3], &thumb[i % 3]);
        if (i > 1)
            changes[i].two = change(&thumb[(i - 2) % 3], &thumb[i % 3]);
    }
    GArray *lengths = g_array_new(FALSE, FALSE, sizeof(int32_t));
    uint32_t begin = 0;
    for (uint32_t i = 1; i <= n_frames; i++) {
        if (i < n_frames && !is_cut(&changes[i]))
            continue;
        const int32_t length = (int32_t)(i - begin);
        g_array_append_val(lengths, length);
        begin = i;
    }
    const uint32_t n = lengths->len;
    *videos = (int32_t *)(void *)g_array_free(lengths, FALSE);
    return n;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cuts between scenes: found where they are, in each layout of pixels and at any frame size; and none in noise, fast motion, a
 * fade, a little more light, a flash, or frames that don't change.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/cuts.h"

#include <glib.h>

#define MAX_FRAMES 64

/* Frames painted by a function of place and time: 0..255. */
typedef double (*Paint)(const int32_t *scene, double x, double y, int32_t frame);

typedef struct {
    NervPixels pixels;
    uint8_t *frame[MAX_FRAMES];
    uint32_t n;
} Clip;

/* A scene of its own: waves of a direction, a length and a brightness that its number decides. */
static double scene_at(int32_t scene, double x, double y, double shift)
{
    static const double mean[] = { 70, 150, 105, 190 };
    const double angle = 1.3 * scene, length = 9. + 5. * (scene % 3);
    return mean[scene % 4] + 45. * sin((x * cos(angle) + y * sin(angle) + shift) * 6.28 / length);
}

static double still(const int32_t *scene, double x, double y, int32_t frame)
{
    return scene_at(scene[frame], x, y, 0.);
}

static double slow(const int32_t *scene, double x, double y, int32_t frame)
{
    return scene_at(scene[frame], x, y, .7 * frame);
}

static double fast(const int32_t *scene, double x, double y, int32_t frame)
{
    return scene_at(scene[frame], x, y, 4.3 * frame);
}

/* From one scene to the next over sixteen frames. */
static double fade(const int32_t *scene, double x, double y, int32_t frame)
{
    const double k = CLAMP((frame - 6) / 16., 0., 1.);
    return (1. - k) * scene_at(0, x, y, .7 * frame) + k * scene_at(3, x, y, .7 * frame);
}

/* A still, a little brighter from one frame on. */
static double light(const int32_t *scene, double x, double y, int32_t frame)
{
    return scene_at(0, x, y, 0.) + (frame < 12 ? 0. : 9.);
}

/* A photographer's. */
static double flash(const int32_t *scene, double x, double y, int32_t frame)
{
    return scene_at(0, x, y, .7 * frame) + (frame == 20 ? 120. : 0.);
}

/* Luma, or green, by which cuts are found; what is beside it stays as it was. */
static void put(const NervPixels *p, uint8_t *frame, int32_t x, int32_t y, uint8_t value)
{
    const size_t at = (size_t)y * (size_t)p->width + (size_t)x;
    switch (p->format) {
    case NERV_PIXELS_RGB:
        frame[3 * at + 1] = value;
        break;
    case NERV_PIXELS_RGBX:
    case NERV_PIXELS_BGRX:
        frame[4 * at + 1] = value;
        break;
    default:
        frame[at] = value;
    }
}

static void clip_init(Clip *c, int32_t format, int32_t w, int32_t h, const int32_t *scene, uint32_t n,
                      Paint paint, double noise)
{
    NervRng rng;
    nerv_rng_init(&rng, 7);
    *c = (Clip){ .pixels = { .format = format, .width = w, .height = h, .matrix = NERV_MATRIX_BT709 },
                 .n = n };
    g_assert_cmpuint(n, <=, MAX_FRAMES);
    for (uint32_t i = 0; i < n; i++) {
        const size_t bytes = nerv_pixels_bytes(&c->pixels);
        c->frame[i] = g_malloc(bytes);
        for (size_t j = 0; j < bytes; j++) /* all but luma or green: anything */
            c->frame[i][j] = (uint8_t)nerv_rng_below(&rng, 256);
        for (int32_t y = 0; y < h; y++)
            for (int32_t x = 0; x < w; x++) {
                const double value = paint(scene, x * 96. / w, y * 96. / h, (int32_t)i) +
                                     noise * (double)nerv_rng_uniform(&rng, -1.f, 1.f);
                put(&c->pixels, c->frame[i], x, y, (uint8_t)CLAMP(value, 0., 255.));
            }
    }
}

static void clip_clear(Clip *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        g_free(c->frame[i]);
}

static const uint8_t *frame_at(void *user, uint32_t i)
{
    const Clip *c = user;
    g_assert_cmpuint(i, <, c->n);
    return c->frame[i];
}

/* want: lengths of the videos, up to a 0. */
static void expect_videos(Clip *c, const int32_t *want, const char *what)
{
    int32_t *got = NULL;
    const uint32_t n = nerv_cuts_find(&c->pixels, c->n, frame_at, c, &got);
    uint32_t n_want = 0;
    while (want[n_want])
        n_want++;
    if (n != n_want || memcmp(got, want, n * sizeof(*got)) != 0)
        g_error("%s, %d x %d, format %d: %u videos, the first of %d frames", what, c->pixels.width,
                c->pixels.height, c->pixels.format, n, got[0]);
    g_free(got);
    clip_clear(c);
}

/* Numbers of the scenes of frames, given the videos' lengths. */
static uint32_t number_scenes(const int32_t *lengths, int32_t *scene)
{
    uint32_t n = 0;
    for (int32_t v = 0; lengths[v]; v++)
        for (int32_t i = 0; i < lengths[v]; i++)
            scene[n++] = v;
    return n;
}

static const int32_t formats[] = { NERV_PIXELS_RGB, NERV_PIXELS_RGBX, NERV_PIXELS_BGRX, NERV_PIXELS_I420,
                                   NERV_PIXELS_NV12 };
static const int32_t sizes[][2] = { { 96, 64 }, { 16, 16 }, { 131, 77 }, { 17, 300 }, { 320, 180 } };

static void test_cuts(void)
{
    static const int32_t lengths[] = { 9, 4, 13, 2, 7, 0 };
    int32_t scene[MAX_FRAMES];
    const uint32_t n = number_scenes(lengths, scene);
    for (size_t f = 0; f < G_N_ELEMENTS(formats); f++) {
        for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
            Clip c;
            if (f > 0 && s == G_N_ELEMENTS(sizes) - 1)
                continue; /* the largest in one format */
            clip_init(&c, formats[f], sizes[s][0], sizes[s][1], scene, n, slow, 6.);
            expect_videos(&c, lengths, "cuts");
        }
    }
}

/* Single frames at the ends, cuts soon after each other. */
static void test_short_videos(void)
{
    static const int32_t lengths[][4] = { { 1, 12, 0 }, { 12, 1, 0 }, { 2, 2, 2, 0 },
                                          { 1, 1, 0 },  { 1, 0 },     { 2, 0 } };
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        int32_t scene[MAX_FRAMES];
        const uint32_t n = number_scenes(lengths[i], scene);
        Clip c;
        clip_init(&c, NERV_PIXELS_I420, 96, 64, scene, n, still, 0.);
        expect_videos(&c, lengths[i], "short videos");
    }
}

/* Single frames between others of their own. */
static void test_single_frames(void)
{
    static const int32_t lengths[] = { 6, 1, 1, 3, 1, 8, 1, 1, 1, 2, 0 };
    int32_t scene[MAX_FRAMES];
    const uint32_t n = number_scenes(lengths, scene);
    Clip c;
    clip_init(&c, NERV_PIXELS_I420, 320, 180, scene, n, slow, 6.);
    expect_videos(&c, lengths, "single frames");
}

static void test_none(void)
{
    static const struct {
        const char *what;
        Paint paint;
        double noise;
    } cases[] = { { "a still", still, 0. },    { "slow motion", slow, 0. }, { "noise", slow, 60. },
                  { "fast motion", fast, 0. }, { "fade", fade, 0. },        { "fade in noise", fade, 25. },
                  { "more light", light, 0. }, { "a flash", flash, 0. } };
    static const int32_t scene[MAX_FRAMES], want[] = { 40, 0 };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (int i420 = 0; i420 < 2; i420++) {
            Clip c;
            clip_init(&c, i420 ? NERV_PIXELS_I420 : NERV_PIXELS_RGB, 131, 77, scene, 40, cases[i].paint,
                      cases[i].noise);
            expect_videos(&c, want, cases[i].what);
        }
    }
}

/* Cuts between scenes that move fast and are noisy are still cuts. */
static void test_noisy_cuts(void)
{
    static const int32_t lengths[] = { 15, 20, 11, 0 };
    int32_t scene[MAX_FRAMES];
    const uint32_t n = number_scenes(lengths, scene);
    Clip c;
    clip_init(&c, NERV_PIXELS_I420, 320, 180, scene, n, slow, 40.);
    expect_videos(&c, lengths, "noisy cuts");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cuts/cuts", test_cuts);
    g_test_add_func("/cuts/short-videos", test_short_videos);
    g_test_add_func("/cuts/single-frames", test_single_frames);
    g_test_add_func("/cuts/none", test_none);
    g_test_add_func("/cuts/noisy-cuts", test_noisy_cuts);
    return g_test_run();
}

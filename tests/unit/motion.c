/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Motion search: a texture that a camera passes over is followed further than any search step, in halves that move apart as well; rows say
 * it in the model's units; sizes that are searched on smaller pictures, and formats; stills, cuts and models without flows.
 */
#include <math.h>
#include <string.h>

#include "codec/motion.h"

#define N 17

typedef struct {
    NervPixels pixels;
    uint8_t *frame;
    size_t bytes;
    double dx, dy; /* samples a frame */
    bool apart;    /* the lower half moves the other way */
    int32_t turn;  /* frame from which it goes back; 0: never */
    int32_t cut;   /* frame from which all is another texture; 0: none */
    gint cancel_at, *cancel;
} Clip;

/* A smooth texture without a period. */
static double texture(double x, double y)
{
    return sin(.31 * x + .17 * y) + sin(.13 * x - .29 * y + 1.) + sin(.071 * x + .053 * y + 2.) +
           .7 * sin(.47 * x - .083 * y) + .7 * sin(.059 * x + .41 * y + .5);
}

static const uint8_t *frame_at(void *user, uint32_t i)
{
    Clip *c = user;
    const int32_t w = c->pixels.width, h = c->pixels.height;
    const int32_t step = c->pixels.format == NERV_PIXELS_RGB ? 3 : 1;
    if (c->cancel && (gint)i >= c->cancel_at)
        g_atomic_int_set(c->cancel, 1);
    for (int32_t y = 0; y < h; y++)
        for (int32_t x = 0; x < w; x++) {
            const double way = c->apart && y >= h / 2 ? -1. : 1.;
            const double other = c->cut && (int32_t)i >= c->cut ? 1000. : 0.;
            const double far = c->turn && (int32_t)i > c->turn ? 2 * c->turn - (int32_t)i : (int32_t)i;
            const double v = texture(x - way * c->dx * far + other,
                                     (y - way * c->dy * far + other) + (way < 0. ? 333. : 0.));
            for (int32_t k = 0; k < step; k++)
                c->frame[(size_t)(y * w + x) * (size_t)step + (size_t)k] = (uint8_t)(128.5 + 25. * v);
        }
    return c->frame;
}

static void clip_init(Clip *c, NervPixelFormat format, int32_t w, int32_t h, double dx, double dy)
{
    *c = (Clip){ .pixels = { .format = format, .width = w, .height = h, .matrix = NERV_MATRIX_BT709 },
                 .dx = dx,
                 .dy = dy };
    c->bytes = nerv_pixels_bytes(&c->pixels);
    c->frame = g_malloc0(c->bytes);
}

static NervModel *model_new(const Clip *c, const char *options, int32_t *videos, uint32_t n_videos)
{
    const NervClip clip = { c->pixels.width, c->pixels.height, N };
    const NervModelSize size = { .videos = videos, .n_videos = n_videos };
    GError *error = NULL;
    g_autoptr(GVariant) v = g_variant_ref_sink(g_variant_new_parsed(options));
    NervModel *model = nerv_model_new_sized("dnerv", v, &clip, &size, &error);
    g_assert_no_error(error);
    return model;
}

static float *place(const NervModel *model, Clip *c)
{
    float *weights = g_new(float, model->n_weights);
    GError *error = NULL;
    for (int64_t i = 0; i < model->n_weights; i++)
        weights[i] = 77.f;
    NervMotion motion = { 0 };
    g_assert_true(nerv_motion_find(&motion, model, &c->pixels, frame_at, c, NULL, &error));
    g_assert_no_error(error);
    g_assert_true(nerv_motion_suits(&motion, model));
    nerv_motion_place(&motion, model, weights);
    nerv_motion_clear(&motion);
    return weights;
}

/* The flow of a keyframe in the middle of the picture's upper or lower half, in samples for the whole way to the other one. */
static double flow_of(const NervModel *model, const float *weights, uint32_t span, int32_t row, int end,
                      int axis, bool lower)
{
    NervFlows flows;
    g_assert_true(nerv_model_flows(model, &flows));
    for (uint32_t i = 0; i < flows.param; i++)
        weights += nerv_shape_count(model->params[i].shape);
    const NervShape s = model->params[flows.param].shape;
    const int64_t n = (int64_t)s.h * s.w, r = flows.spans[span].row + row;
    const int32_t y = lower ? model->clip.height * 3 / 4 / flows.cell : model->clip.height / 4 / flows.cell;
    const double value = weights[(r * 4 + 2 * end + axis) * n + (int64_t)y * s.w + s.w / 2];
    g_assert_cmpint(flows.spans[span].rows, >, row);
    g_free(flows.spans);
    return value / flows.unit;
}

static const char options[] = "{'keyframe-interval': <16>, 'flow-frames': <8>, 'strides': <[4, 2, 2]>, "
                              "'widths': <[8, 8, 8]>, 'base-channels': <2>}";

static void check(const NervModel *model, const float *weights, uint32_t span, double x, double y,
                  double tolerance, bool lower)
{
    for (int32_t row = 0; row < 3; row++) {
        g_assert_cmpfloat(fabs(flow_of(model, weights, span, row, 0, 0, lower) + x), <, tolerance);
        g_assert_cmpfloat(fabs(flow_of(model, weights, span, row, 0, 1, lower) + y), <, tolerance);
        g_assert_cmpfloat(fabs(flow_of(model, weights, span, row, 1, 0, lower) - x), <, tolerance);
        g_assert_cmpfloat(fabs(flow_of(model, weights, span, row, 1, 1, lower) - y), <, tolerance);
    }
}

/* Forty samples between the keyframes, in a search of a sample a step; all else stays. */
static void test_pan(void)
{
    static const NervPixelFormat formats[] = { NERV_PIXELS_RGB, NERV_PIXELS_I420, NERV_PIXELS_NV12 };
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        Clip c;
        clip_init(&c, formats[i], 160, 96, 2.5, -.75);
        NervModel *model = model_new(&c, options, NULL, 0);
        g_autofree float *weights = place(model, &c);
        NervFlows flows;
        check(model, weights, 0, 16 * 2.5, 16 * -.75, 1.5, false);
        g_assert_true(nerv_model_flows(model, &flows));
        const float *w = weights;
        for (uint32_t p = 0; p < model->n_params; p++)
            for (int64_t n = nerv_shape_count(model->params[p].shape); n > 0; n--, w++)
                g_assert_true(*w == 77.f || p == flows.param);
        g_free(flows.spans);
        nerv_model_free(model);
        g_free(c.frame);
    }
}

static void test_apart(void)
{
    Clip c;
    clip_init(&c, NERV_PIXELS_I420, 192, 128, 1.5, 0.);
    c.apart = true;
    NervModel *model = model_new(&c, options, NULL, 0);
    g_autofree float *weights = place(model, &c);
    check(model, weights, 0, 24., 0., 2., false);
    check(model, weights, 0, -24., 0., 2., true);
    nerv_model_free(model);
    g_free(c.frame);
}

/* On pictures of a third. */
static void test_large(void)
{
    Clip c;
    clip_init(&c, NERV_PIXELS_I420, 1280, 192, 6., 1.5);
    NervModel *model = model_new(&c,
                                 "{'keyframe-interval': <16>, 'flow-frames': <8>, 'strides': <[4, 4, 2]>, "
                                 "'widths': <[8, 8, 8]>, 'base-channels': <2>}",
                                 NULL, 0);
    g_autofree float *weights = place(model, &c);
    check(model, weights, 0, 96., 24., 7., false);
    nerv_model_free(model);
    g_free(c.frame);
}

/* Of what all frames share: rows say the way to the frame in the middle, of a camera that moves evenly and of one that turns back. */
static void test_shared(void)
{
    for (int turns = 0; turns <= 1; turns++) {
        Clip c;
        GError *error = NULL;
        clip_init(&c, NERV_PIXELS_RGB, 160, 96, 2.5, -.75);
        c.turn = turns ? 8 : 0;
        const NervClip clip = { 160, 96, N };
        g_autoptr(GVariant) v = g_variant_ref_sink(g_variant_new_parsed(
            "{'flow-rows': <5>, 'grids': <'4x2/1x2/1x1'>, 'strides': <[4, 2]>, 'widths': <[8, 8]>}"));
        NervModel *model = nerv_model_new("nerv", v, &clip, &error);
        g_assert_no_error(error);
        g_autofree float *weights = place(model, &c);
        NervFlows flows;
        g_assert_true(nerv_model_flows(model, &flows));
        g_assert_cmpuint(flows.n_moved, ==, 2);
        g_assert_cmpuint(flows.param, ==, 0);
        const NervShape s = model->params[0].shape;
        g_assert_true(nerv_shape_equal(s, nerv_shape(5, 4, 12, 20)));
        for (int32_t row = 0; row < 5; row++)
            for (int32_t channel = 0; channel < 4; channel++) {
                const double frame = row * 4., far = turns ? fabs(8. - frame) : 8. - frame;
                const double want = far * (channel % 2 ? -.75 : 2.5);
                const float *at = weights + ((size_t)row * 4 + (size_t)channel) * 240 + 6 * 20 + 10;
                g_assert_cmpfloat_with_epsilon(*at / flows.unit, want, 1.2);
            }
        nerv_model_free(model);
        g_free(c.frame);
    }
}

/* Videos do not look into each other, and one of a single frame has no motion. */
static void test_cut(void)
{
    int32_t videos[] = { 8, 1, 8 };
    Clip c;
    clip_init(&c, NERV_PIXELS_I420, 160, 96, 2., 1.);
    c.cut = 9;
    NervModel *model = model_new(&c, options, videos, G_N_ELEMENTS(videos));
    g_autofree float *weights = place(model, &c);
    for (uint32_t span = 0; span < 3; span += 2) {
        g_assert_cmpfloat(fabs(flow_of(model, weights, span, 1, 0, 0, false) + 14.), <, 1.);
        g_assert_cmpfloat(fabs(flow_of(model, weights, span, 1, 1, 1, false) - 7.), <, 1.);
    }
    nerv_model_free(model);
    g_free(c.frame);
}

/* What a video's motion leaves: little of one that moves as a whole, much where it is cut, nothing where no frame lies between keyframes; and whom it suits. */
static void test_error(void)
{
    int32_t videos[] = { 8, 1, 8 }, others[] = { 9, 8 };
    Clip c;
    GError *error = NULL;
    NervMotion motion = { 0 };
    clip_init(&c, NERV_PIXELS_I420, 160, 96, 2., 1.);
    c.cut = 13; /* in the last of them */
    NervModel *model = model_new(&c, options, videos, G_N_ELEMENTS(videos));
    NervModel *other = model_new(&c, options, others, G_N_ELEMENTS(others));
    NervModel *none = model_new(&c, "{'without': <'flow'>, 'keyframe-interval': <16>}", NULL, 0);
    g_assert_false(nerv_motion_suits(&motion, model));
    g_assert_true(nerv_motion_suits(&motion, none));
    g_assert_true(nerv_motion_find(&motion, model, &c.pixels, frame_at, &c, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(motion.n_videos, ==, 3);
    g_test_message("left by motion: %g, %g, %g", motion.error[0], motion.error[1], motion.error[2]);
    g_assert_cmpfloat(motion.error[0], >, 0.);
    g_assert_cmpfloat(motion.error[0], <, 25.);
    g_assert_cmpfloat(motion.error[1], ==, 0.);
    g_assert_cmpfloat(motion.error[2], >, 100.);
    g_assert_true(nerv_motion_suits(&motion, model));
    g_assert_false(nerv_motion_suits(&motion, other));
    g_assert_false(nerv_motion_suits(&motion, none));
    g_assert_true(nerv_motion_find(&motion, none, &c.pixels, frame_at, &c, NULL, &error));
    g_assert_null(motion.error);
    nerv_motion_clear(&motion);
    nerv_model_free(none);
    nerv_model_free(other);
    nerv_model_free(model);
    g_free(c.frame);
}

static void test_cancel(void)
{
    gint cancel = 0;
    Clip c;
    GError *error = NULL;
    clip_init(&c, NERV_PIXELS_I420, 160, 96, 2., 1.);
    c.cancel = &cancel;
    c.cancel_at = 3;
    NervModel *model = model_new(&c, options, NULL, 0);
    NervMotion motion = { 0 };
    g_assert_false(nerv_motion_find(&motion, model, &c.pixels, frame_at, &c, &cancel, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
    g_assert_null(motion.grid);
    g_clear_error(&error);
    nerv_model_free(model);
    g_free(c.frame);
}

/* The paper's networks find motion by themselves. */
static void test_none(void)
{
    Clip c;
    GError *error = NULL;
    clip_init(&c, NERV_PIXELS_I420, 160, 96, 2., 1.);
    const NervClip clip = { 160, 96, N };
    NervModel *model = nerv_model_new("dnerv-net", NULL, &clip, &error);
    g_assert_no_error(error);
    g_autofree float *weights = place(model, &c);
    for (int64_t i = 0; i < model->n_weights; i++)
        g_assert_cmpfloat(weights[i], ==, 77.f);
    nerv_model_free(model);
    g_free(c.frame);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/motion/pan", test_pan);
    g_test_add_func("/motion/apart", test_apart);
    g_test_add_func("/motion/large", test_large);
    g_test_add_func("/motion/shared", test_shared);
    g_test_add_func("/motion/cut", test_cut);
    g_test_add_func("/motion/error", test_error);
    g_test_add_func("/motion/cancel", test_cancel);
    g_test_add_func("/motion/none", test_none);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Built-in inits: all are sound, are found by name and by nearness, and encoders begin with them, or not, as they are asked to: fits of few steps show it. And how wide a network is
 * where time is short.
 */
#include <math.h>
#include <string.h>

#include "codec/builtin.h"
#include "codec/encoder_internal.h"
#include "codec/settings.h"
#include "nerv.h"

#define W      320
#define H      180
#define FRAMES 24

static void test_sound(void)
{
    uint8_t hash[NERV_INIT_HASH_BYTES] = { 1, 2, 3 };
    g_assert_null(nerv_builtin_find(hash));
    g_assert_cmpuint(nerv_n_builtin_files, >, 0);
    for (uint32_t i = 0; i < nerv_n_builtin_files; i++) {
        const NervInit *init = nerv_builtin_init(i);
        g_assert_nonnull(init);
        g_assert_true(nerv_builtin_find(init->hash) == init);
        g_assert_cmpuint(strlen(init->provenance), >, 100);
        g_assert_true(nerv_init_suits(init, init->model));
    }
}

/* A clip's own network is near to itself, and none to a network that is another kind or of another size. */
static void test_near(void)
{
    NervModelSize size = { 0 };
    NervModel *like;
    GError *error = NULL;
    for (uint32_t i = 0; i < nerv_n_builtin_files; i++) {
        const NervInit *init = nerv_builtin_init(i);
        NervClip clip = init->model->clip;
        clip.n_frames *= 2;
        size.like = init->model;
        NervModel *same = nerv_model_new_sized(init->model->klass->name, NULL, &clip, &size, &error);
        g_assert_no_error(error);
        size.like = NULL;
        g_assert_true(nerv_builtin_near(same, &size, &like) == init);
        g_assert_nonnull(like);
        g_assert_cmpint(like->n_weights, ==, same->n_weights);
        nerv_model_free(like);
        nerv_model_free(same);
    }

    const NervClip clip = nerv_builtin_init(0)->model->clip;
    g_autoptr(GVariant) tiny = g_variant_ref_sink(g_variant_new_parsed("{'weights': <4000>}"));
    NervModel *others[] = { nerv_model_new("nerv", tiny, &clip, &error),
                            nerv_model_new("nerv-s", NULL, &clip, &error) };
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_assert_null(nerv_builtin_near(others[i], &size, &like));
        g_assert_null(like);
        nerv_model_free(others[i]);
    }
}

/* Clips of a second or more have one that is near whatever preset or rate is asked for. */
static void test_default(void)
{
    static const int32_t sizes[][2] = { { 320, 180 }, { 352, 288 }, { 640, 360 } };
    static const NervPreset presets[] = { NERV_PRESET_ULTRAFAST, NERV_PRESET_FASTER, NERV_PRESET_MEDIUM };
    NervEncoderSettings s;
    GError *error = NULL;
    nerv_encoder_settings_init(&s);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes) * G_N_ELEMENTS(presets) * 4; i++) {
        const int32_t *wh = sizes[i / 4 % G_N_ELEMENTS(sizes)];
        const NervClip clip = { wh[0], wh[1], i & 1 ? 64 : 32 };
        const double bytes = i & 2 ? .06 / 8. * clip.width * clip.height * clip.n_frames : 0.;
        NervModel *like;
        s.preset = presets[i / 4 / G_N_ELEMENTS(sizes)];
        const NervModelSize size = nerv_settings_model_size(&s, &clip, bytes, 1., 0.);
        NervModel *own = nerv_model_new_sized("nerv", NULL, &clip, &size, &error);
        g_assert_no_error(error);
        const NervInit *init = nerv_builtin_near(own, &size, &like);
        g_assert_nonnull(init);
        g_assert_cmpint(init->model->clip.width, ==, clip.width);
        nerv_model_free(like);
        nerv_model_free(own);
    }
    nerv_encoder_settings_clear(&s);
}

/* A pattern that pans. */
static void paint(uint8_t *rgb, uint32_t frame)
{
    for (int32_t y = 0; y < H; y++)
        for (int32_t x = 0; x < W; x++)
            for (int32_t c = 0; c < 3; c++) {
                const double u = x + 1.5 * frame, v = y - .5 * frame;
                rgb[3 * (y * W + x) + c] =
                    (uint8_t)lrint(127.5 + 60. * sin(.11 * u + .05 * v + c) + 40. * sin(.23 * v - .03 * u));
            }
}

static NervEncoder *encoder(NervPreset preset, uint32_t epochs, double max_seconds, NervInitFrom init,
                            NervWarmStart warm)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    NervEncoderSettings s;
    GError *error = NULL;
    nerv_encoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup("cpu");
    s.segment_frames = FRAMES;
    s.preset = preset;
    s.epochs = epochs;
    s.max_seconds = max_seconds;
    s.tune = NERV_TUNE_PSNR;
    s.init = init;
    s.warm_start = warm;
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

static void encode_segment(NervEncoder *enc, uint32_t segment, NervEncoderStats *stats)
{
    GError *error = NULL;
    g_autofree uint8_t *rgb = g_malloc(3 * W * H);
    const NervFrame frame = { .data = { rgb }, .stride = { 3 * W } };
    for (uint32_t i = 0; i < FRAMES; i++) {
        paint(rgb, segment * FRAMES + i);
        g_assert_true(nerv_encoder_send(enc, &frame, (int64_t)(segment * FRAMES + i) * 40000000, &error));
    }
    g_assert_true(nerv_encoder_fit(enc, &error));
    g_assert_no_error(error);
    nerv_encoder_get_stats(enc, stats);
    g_test_message("%s: %u steps, %.2f dB, began with %s", stats->model, stats->n_steps, stats->psnr_frames,
                   stats->init);
}

/* Two segments of a few steps; their dB, and what they began with. */
static void encode(NervInitFrom init, NervWarmStart warm, double psnr[2], char began[2][65])
{
    NervEncoder *enc = encoder(NERV_PRESET_MEDIUM, 1, 0., init, warm);
    for (uint32_t segment = 0; segment < 2; segment++) {
        NervEncoderStats stats;
        encode_segment(enc, segment, &stats);
        psnr[segment] = stats.psnr_frames;
        g_strlcpy(began[segment], stats.init, 65);
    }
    nerv_encoder_free(enc);
}

static void test_encoder(void)
{
    char began[2][65];
    double drawn[2], learned[2], psnr[2];
    encode(NERV_INIT_NONE, NERV_WARM_START_WEIGHTS, drawn, began);
    g_assert_cmpstr(began[0], ==, "none");
    g_assert_cmpstr(began[1], ==, "none");
    encode(NERV_INIT_BUILTIN, NERV_WARM_START_WEIGHTS, learned, began);
    g_assert_cmpuint(strlen(began[0]), ==, 64);
    g_assert_cmpstr(began[1], ==, began[0]);
    for (int i = 0; i < 2; i++)
        g_assert_cmpfloat(learned[i], >, drawn[i] + 3.);
    encode(NERV_INIT_PREVIOUS, NERV_WARM_START_WEIGHTS, psnr, began);
    g_assert_cmpuint(strlen(began[0]), ==, 64);
    g_assert_cmpstr(began[1], ==, "previous");
    encode(NERV_INIT_PREVIOUS, NERV_WARM_START_NONE, psnr, began);
    g_assert_cmpstr(began[1], ==, began[0]);
    encode(NERV_INIT_BUILTIN, NERV_WARM_START_RESIDUAL, psnr, began);
    g_assert_cmpuint(strlen(began[0]), ==, 64);
    g_assert_cmpstr(began[1], ==, "previous");
}

/* A preset of few steps takes as few as a learned start needs, and says nothing of the start's network being another than its own. */
static void test_ultrafast(void)
{
    for (int i = 0; i < 2; i++) {
        NervEncoder *enc = encoder(NERV_PRESET_ULTRAFAST, 0, 0., i ? NERV_INIT_NONE : NERV_INIT_BUILTIN,
                                   NERV_WARM_START_WEIGHTS);
        NervEncoderStats stats;
        encode_segment(enc, 0, &stats);
        g_assert_cmpuint(stats.n_steps, >=, i ? 500 : 200);
        g_assert_cmpuint(stats.n_steps, <, (i ? 500 : 200) + FRAMES);
        g_assert_cmpfloat(stats.psnr_frames, >, 30.);
        g_assert_null(nerv_encoder_warning(enc));
        nerv_encoder_free(enc);
    }
}

/* Where time is for few passes it goes into more of them with fewer multiplications, and that needs no warning. */
static void test_timed(void)
{
    uint64_t parameters[2];
    for (int i = 0; i < 2; i++) {
        NervEncoder *enc =
            encoder(NERV_PRESET_MEDIUM, 1, i ? 2. : 0., NERV_INIT_NONE, NERV_WARM_START_WEIGHTS);
        NervEncoderStats stats;
        nerv_encoder_expect(enc, FRAMES);
        encode_segment(enc, 0, &stats);
        parameters[i] = stats.parameters;
        if (i && stats.n_steps >= 50)
            g_assert_null(nerv_encoder_warning(enc));
        nerv_encoder_free(enc);
    }
    g_assert_cmpuint(parameters[1], <, parameters[0]);
}

/* With fewer steps narrower networks, and then smaller ones, until there is no other; with enough the same one. */
static void test_less(void)
{
    NervEncoder *enc = encoder(NERV_PRESET_MEDIUM, 0, 10., NERV_INIT_NONE, NERV_WARM_START_WEIGHTS);
    GError *error = NULL;
    g_autofree uint8_t *rgb = g_malloc(3 * W * H);
    const NervFrame frame = { .data = { rgb }, .stride = { 3 * W } };
    for (uint32_t i = 0; i < FRAMES; i++) {
        paint(rgb, i);
        g_assert_true(nerv_encoder_send(enc, &frame, (int64_t)i * 40000000, &error));
    }
    NervModel *model = nerv_encoder_new_model(enc, FRAMES, 0., &error);
    g_assert_no_error(error);
    g_assert_false(nerv_encoder_take_less(enc, model, 150 * FRAMES));
    g_assert_cmpfloat(enc->most_macs, ==, 0.);
    int tries = 0;
    for (uint32_t n = 160; tries < 20 && nerv_encoder_take_less(enc, model, n); tries++, n = 5) {
        NervModel *less = nerv_encoder_new_model(enc, FRAMES, 0., &error);
        g_assert_no_error(error);
        g_test_message("%u steps: %" G_GINT64_FORMAT " weights, %.0f multiplications", n, less->n_weights,
                       nerv_model_macs_per_pixel(less));
        if (tries == 0)
            g_assert_cmpfloat(nerv_model_macs_per_pixel(less), <, .9 * nerv_model_macs_per_pixel(model));
        g_assert_cmpint(less->n_weights, <, model->n_weights);
        nerv_model_free(model);
        model = less;
    }
    g_assert_cmpint(tries, >, 2);
    g_assert_cmpint(tries, <, 20);
    nerv_model_free(model);
    nerv_encoder_free(enc);
}

/* Of passes over 64 frames of 320x180, and networks of narrow and wide layers. */
static void test_passes(void)
{
    const NervClip clip = { W, H, 64 };
    NervEncoderSettings s;
    nerv_encoder_settings_init(&s);
    g_assert_cmpfloat(nerv_settings_least_passes(&s, &clip, 1500.), ==, 0.);
    const double passes = nerv_settings_least_passes(&s, &clip, 3400.);
    g_assert_cmpfloat(passes, >, 20.);
    g_assert_cmpfloat(passes, <, 150.);
    g_assert_cmpfloat(nerv_settings_fewer_macs(&s, &clip, 3400., passes / 4.), <, 3000.);
    g_assert_cmpfloat(nerv_settings_fewer_macs(&s, &clip, 3400., passes), >=, 3400.);
    s.preset = NERV_PRESET_ULTRAFAST; /* has as few as there are */
    g_assert_cmpfloat(nerv_settings_least_passes(&s, &clip, 3400.), ==, 0.);
    nerv_encoder_settings_clear(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/builtin/sound", test_sound);
    g_test_add_func("/builtin/near", test_near);
    g_test_add_func("/builtin/default", test_default);
    g_test_add_func("/builtin/encoder", test_encoder);
    g_test_add_func("/builtin/ultrafast", test_ultrafast);
    g_test_add_func("/builtin/timed", test_timed);
    g_test_add_func("/builtin/less", test_less);
    g_test_add_func("/builtin/passes", test_passes);
    return g_test_run();
}

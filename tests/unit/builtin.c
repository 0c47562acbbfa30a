/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Built-in inits: all are sound, are found by name and by nearness, and encoders begin with them, or not, as they are asked to: fits of few steps show it.
 */
#include <math.h>
#include <string.h>

#include "codec/builtin.h"
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
    const NervInit *init = nerv_builtin_init(0);
    NervModelSize size = { .like = init->model };
    NervClip clip = init->model->clip;
    NervModel *like;
    GError *error = NULL;
    clip.n_frames *= 2;
    NervModel *same = nerv_model_new_sized(init->model->klass->name, NULL, &clip, &size, &error);
    g_assert_no_error(error);
    size.like = NULL;
    g_assert_true(nerv_builtin_near(same, &size, &like) == init);
    g_assert_nonnull(like);
    g_assert_cmpint(like->n_weights, ==, same->n_weights);
    nerv_model_free(like);
    nerv_model_free(same);

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

/* Two segments of a few steps; their dB, and what they began with. */
static void encode(NervInitFrom init, NervWarmStart warm, double psnr[2], char began[2][65])
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
    s.epochs = 1;
    s.tune = NERV_TUNE_PSNR;
    s.init = init;
    s.warm_start = warm;
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    nerv_encoder_settings_clear(&s);
    g_autofree uint8_t *rgb = g_malloc(3 * W * H);
    const NervFrame frame = { .data = { rgb }, .stride = { 3 * W } };
    for (uint32_t segment = 0; segment < 2; segment++) {
        NervEncoderStats stats;
        for (uint32_t i = 0; i < FRAMES; i++) {
            paint(rgb, segment * FRAMES + i);
            g_assert_true(nerv_encoder_send(enc, &frame, (int64_t)(segment * FRAMES + i) * 40000000, &error));
        }
        g_assert_true(nerv_encoder_fit(enc, &error));
        g_assert_no_error(error);
        nerv_encoder_get_stats(enc, &stats);
        psnr[segment] = stats.psnr_frames;
        g_strlcpy(began[segment], stats.init, 65);
        g_test_message("%s: %.2f dB, began with %s", stats.model, stats.psnr_frames, stats.init);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/builtin/sound", test_sound);
    g_test_add_func("/builtin/near", test_near);
    g_test_add_func("/builtin/encoder", test_encoder);
    return g_test_run();
}

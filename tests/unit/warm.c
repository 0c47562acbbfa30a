/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Warm start: a segment's fit begins with the weights of the one before as a decoder has them, only where both networks are alike,
 * and never across a reset, a failure or a change of format. Streams are as deterministic as without.
 */
#include <math.h>
#include <string.h>

#include "codec/warm.h"
#include "codec/weights.h"
#include "nerv.h"
#include "small.h"

#define W 40
#define H 24
#define N 6 /* frames of a segment */

/* --- what is kept --- */

/* Keeps a network of random weights, which come back as they are decoded. */
static float *keep_random(NervWarm *warm, const NervModel *model, uint64_t seed)
{
    g_autofree float *weights = g_new(float, model->n_weights);
    float *decoded = NULL;
    GError *error = NULL;
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_model_init_params(model, seed, weights);
    g_assert_true(nerv_network_write(model, weights, 6, &w, &error));
    nerv_warm_keep(warm, NERV_UNIT_NETWORK, w.bytes->data, w.bytes->len, &model->clip, NULL);
    NervModel *read =
        nerv_network_read(w.bytes->data, w.bytes->len, &model->clip, model->n_weights, &decoded, &error);
    g_assert_no_error(error);
    nerv_model_free(read);
    nerv_writer_clear(&w);
    return decoded;
}

/* What a fit would begin with; NULL if it is nothing of the last network. */
static float *start(const NervWarm *warm, const NervModel *model, uint64_t seed)
{
    GError *error = NULL;
    float *weights;
    g_assert_true(nerv_warm_start(warm, model, seed, &weights, &error));
    g_assert_no_error(error);
    return weights;
}

/* Half of the decoded layers and grids that all frames share; grids of other times are drawn as ever. */
static void test_weights(void)
{
    NervModel *model = small_grid_new("3x4/2x2/1x2", W, H, N),
              *longer = small_grid_new("3x4/2x2/1x2", W, H, N + 1);
    NervWarm warm = { 0 };
    g_autofree float *decoded = keep_random(&warm, model, 5), *drawn = g_new(float, model->n_weights),
                     *got = start(&warm, model, 7), *of_longer = start(&warm, longer, 7);
    int64_t at = 0;
    uint32_t n_of_time = 0;
    nerv_model_init_params(model, 7, drawn);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const bool of_time = p->role == NERV_PARAM_GRID && p->shape.n > 1;
        n_of_time += of_time;
        for (int64_t n = nerv_shape_count(p->shape); n > 0; n--, at++)
            g_assert_cmpfloat(got[at], ==, of_time ? drawn[at] : decoded[at] / 2.f);
    }
    g_assert_cmpint(at, ==, model->n_weights);
    g_assert_cmpuint(n_of_time, ==, 2);
    /* the same configuration for more frames is alike */
    g_assert_cmpmem(got, (size_t)at * sizeof(float), of_longer, (size_t)at * sizeof(float));
    nerv_warm_clear(&warm);
    nerv_model_free(model);
    nerv_model_free(longer);
}

/* Nothing to begin with: nothing kept, another configuration, a damaged payload, after clearing. */
static void test_nothing(void)
{
    NervModel *model = small_grid_new("3x4/2x2/1x2", W, H, N),
              *other = small_grid_new("3x4/2x2/1x3", W, H, N);
    NervWarm warm = { 0 };
    g_assert_null(start(&warm, model, 1));
    g_free(keep_random(&warm, model, 5));
    g_assert_null(start(&warm, other, 1));
    nerv_warm_keep(&warm, NERV_UNIT_NETWORK, (const uint8_t *)"\2\1", 2, &model->clip, NULL);
    g_assert_null(start(&warm, model, 1));
    g_free(keep_random(&warm, model, 5));
    nerv_warm_clear(&warm);
    g_assert_null(start(&warm, model, 1));
    nerv_warm_clear(&warm);
    nerv_model_free(model);
    nerv_model_free(other);
}

/* --- encoders --- */

static NervEncoder *encoder_new(NervWarmStart warm_start, uint32_t threads, uint32_t epochs)
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
    s.threads = threads;
    s.epochs = epochs;
    s.segment_frames = N;
    s.tune = NERV_TUNE_PSNR;
    s.warm_start = warm_start;
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

/* Fits n frames of one slowly turning picture from number `first` on; the segment's bytes, to be freed with g_bytes_unref(). */
static GBytes *segment(NervEncoder *enc, int first, int n)
{
    g_autofree uint8_t *rgb = g_malloc((size_t)W * H * 3);
    NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    GByteArray *all = g_byte_array_new();
    GError *error = NULL;
    NervPacket packet;
    for (int i = first; i < first + n; i++) {
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++)
                    rgb[(y * W + x) * 3 + c] = (uint8_t)(128 + 60 * sin(.4 * x + c + .02 * i) +
                                                         50 * sin(.5 * y + .1 * x * c - .03 * i));
        nerv_encoder_send(enc, &frame, (int64_t)i * 40000000, &error);
        g_assert_no_error(error);
    }
    nerv_encoder_fit(enc, &error);
    g_assert_no_error(error);
    while (nerv_encoder_get(enc, &packet)) {
        gsize size;
        const guint8 *data = g_bytes_get_data(packet.data, &size);
        g_byte_array_append(all, data, (guint)size);
        g_bytes_unref(packet.data);
    }
    return g_byte_array_free_to_bytes(all);
}

static bool same(GBytes *a, GBytes *b)
{
    const bool equal = g_bytes_equal(a, b);
    g_bytes_unref(a);
    g_bytes_unref(b);
    return equal;
}

/* The second segment gains, the first and a last one of another configuration are what they are without. */
static void test_segments(void)
{
    NervEncoder *cold = encoder_new(NERV_WARM_START_NONE, 1, 30),
                *warm = encoder_new(NERV_WARM_START_WEIGHTS, 1, 30);
    NervEncoderStats a, b;
    g_assert_true(same(segment(cold, 0, N), segment(warm, 0, N)));
    g_assert_false(same(segment(cold, N, N), segment(warm, N, N)));
    nerv_encoder_get_stats(cold, &a);
    nerv_encoder_get_stats(warm, &b);
    g_test_message("%.2f dB in %u bytes, from the segment before %.2f dB in %u", a.psnr_frames,
                   (guint)a.network_bytes, b.psnr_frames, (guint)b.network_bytes);
    g_assert_cmpfloat(b.psnr_frames, >, a.psnr_frames + .1);
    g_assert_cmpuint(b.network_bytes, <, a.network_bytes * 19 / 20);
    g_assert_true(same(segment(cold, 2 * N, 2), segment(warm, 2 * N, 2)));
    nerv_encoder_free(cold);
    nerv_encoder_free(warm);
}

static void test_determinism(void)
{
    NervEncoder *one = encoder_new(NERV_WARM_START_WEIGHTS, 1, 5),
                *three = encoder_new(NERV_WARM_START_WEIGHTS, 3, 5);
    for (int i = 0; i < 3; i++)
        g_assert_true(same(segment(one, i * N, N), segment(three, i * N, N)));
    nerv_encoder_free(one);
    nerv_encoder_free(three);
}

/* After a reset, in an encoder that continues another, and after a fit that failed: as without. */
static void test_forgotten(void)
{
    NervEncoder *cold = encoder_new(NERV_WARM_START_NONE, 1, 2),
                *warm = encoder_new(NERV_WARM_START_WEIGHTS, 1, 2),
                *next = encoder_new(NERV_WARM_START_WEIGHTS, 1, 2);
    GError *error = NULL;
    g_assert_true(same(segment(cold, 0, N), segment(warm, 0, N)));
    nerv_encoder_reset(warm);
    g_assert_true(same(segment(cold, N, N), segment(warm, N, N)));
    nerv_encoder_cancel(warm);
    g_assert_false(nerv_encoder_fit(warm, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
    g_clear_error(&error);
    nerv_encoder_reset(warm);
    g_assert_true(same(segment(cold, 2 * N, N), segment(warm, 2 * N, N)));
    nerv_encoder_continue(next, warm);
    g_assert_true(same(segment(cold, 3 * N, N), segment(next, 3 * N, N)));
    nerv_encoder_free(cold);
    nerv_encoder_free(warm);
    nerv_encoder_free(next);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/warm/weights", test_weights);
    g_test_add_func("/warm/nothing", test_nothing);
    g_test_add_func("/warm/segments", test_segments);
    g_test_add_func("/warm/determinism", test_determinism);
    g_test_add_func("/warm/forgotten", test_forgotten);
    return g_test_run();
}

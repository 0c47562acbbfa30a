/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Keyframes coded several at once: order, the same bytes on any number of threads, errors of the caller's, giving up at once; how their
 * quantiser is found for bytes or for a quality; which speed a preset takes. The pictures are drawn here.
 */
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "codec/keys.h"
#include "codec/settings.h"
#include "codec/stills.h"

#define W 96
#define H 64
#define N 11

static GThread *caller;

/* Frame i of a video of any layout: waves and noise, each frame its own. */
typedef struct {
    NervPixels pixels;
    uint8_t *frame;
} Source;

static const uint8_t *frame_at(void *user, uint32_t i)
{
    Source *s = user;
    const size_t n = nerv_pixels_bytes(&s->pixels);
    NervRng rng;
    nerv_rng_init(&rng, i);
    g_assert_true(g_thread_self() == caller);
    if (!s->frame)
        s->frame = g_malloc(n);
    for (size_t j = 0; j < n; j++)
        s->frame[j] = (uint8_t)(120 + 60 * sinf(.05f * (float)(j % W) * (float)(1 + i % 3)) +
                                20 * cosf(.01f * (float)j) + nerv_rng_uniform(&rng, -6, 6));
    return s->frame;
}

static Source source_of(NervPixelFormat format, int32_t w, int32_t h)
{
    return (Source){
        .pixels = { .format = format, .width = w, .height = h, .matrix = NERV_MATRIX_BT601, .full_range = 1 }
    };
}

static NervStillsJob job_of(Source *s, uint32_t n_threads)
{
    return (NervStillsJob){
        .pixels = &s->pixels, .frame_at = frame_at, .user = s, .quant = 30, .speed = 8, .n_threads = n_threads
    };
}

/* --- order and bytes --- */

typedef struct {
    Source *source;
    uint32_t n, stop_at;
    GByteArray *coded[N];
} Got;

/* Each is its own frame's, decoded as the decoder has it, and its error what it says. */
static bool collect(void *user, uint32_t i, const NervStill *still, GError **error)
{
    Got *got = user;
    NervPixels p;
    nerv_keyframe_pixels(&got->source->pixels, &p);
    const size_t bytes = nerv_pixels_bytes(&p);
    g_autofree uint8_t *decoded = g_malloc0(bytes + 4);
    g_assert_true(g_thread_self() == caller);
    g_assert_cmpuint(i, ==, got->n++);
    if (i == got->stop_at) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "no more");
        return false;
    }
    nerv_keyframe_decode(still->coded->data, still->coded->len, &p, decoded, error);
    g_assert_no_error(*error);
    g_assert_cmpmem(still->decoded, (bytes + 3) / 4 * 4, decoded, (bytes + 3) / 4 * 4);
    g_assert_cmpfloat(still->error, >, 0);
    g_assert_cmpfloat(still->error, <, 300);
    got->coded[i] = g_byte_array_ref(still->coded);
    return true;
}

static void got_clear(Got *got)
{
    for (int i = 0; i < N; i++)
        if (got->coded[i])
            g_byte_array_unref(got->coded[i]);
    g_free(got->source->frame);
    got->source->frame = NULL;
}

static void test_threads(void)
{
    static const NervPixelFormat formats[] = { NERV_PIXELS_I420, NERV_PIXELS_RGB };
    static const int32_t frames[N] = { 0, 3, 4, 9, 2, 100, 7, 8, 1, 50, 51 };
    for (size_t f = 0; f < G_N_ELEMENTS(formats); f++) {
        Source source = source_of(formats[f], W + 1, H + 1);
        Got first = { .source = &source, .stop_at = N };
        for (uint32_t threads = 0; threads <= 4; threads++) {
            NervStillsJob job = job_of(&source, threads);
            Got got = { .source = &source, .stop_at = N };
            GError *error = NULL;
            job.max_bytes = threads == 4; /* there is always room for one */
            g_assert_true(nerv_stills_code(&job, frames, N, collect, threads ? &got : &first, &error));
            g_assert_no_error(error);
            for (int i = 0; threads && i < N; i++)
                g_assert_cmpmem(got.coded[i]->data, got.coded[i]->len, first.coded[i]->data,
                                first.coded[i]->len);
            if (threads)
                got_clear(&got);
        }
        g_assert_cmpint(memcmp(first.coded[0]->data, first.coded[1]->data, first.coded[1]->len), !=, 0);
        got_clear(&first);
    }
}

static void test_errors(void)
{
    static const int32_t frames[N] = { 0 };
    Source source = source_of(NERV_PIXELS_I420, W, H);
    NervStillsJob job = job_of(&source, 3);
    Got got = { .source = &source, .stop_at = 4 };
    GError *error = NULL;
    g_assert_false(nerv_stills_code(&job, frames, N, collect, &got, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    g_assert_cmpuint(got.n, ==, 5);
    g_clear_error(&error);
    got_clear(&got);
    job.quant = NERV_KEYFRAME_QUANT_MAX + 1; /* a worker's */
    got = (Got){ .source = &source, .stop_at = N };
    g_assert_false(nerv_stills_code(&job, frames, N, collect, &got, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_assert_cmpuint(got.n, ==, 0);
    g_clear_error(&error);
    g_assert_true(nerv_stills_code(&job, frames, 0, collect, &got, &error));
    got_clear(&got);
}

/* The error is that of R, G and B: measured through the matrix, of a picture whose noise leaves little room for chance. */
static bool measure(void *user, uint32_t i, const NervStill *still, GError **error)
{
    const Source *s = user;
    const int32_t half = s->pixels.width / 2;
    NervColorMatrix m;
    double sum = 0;
    nerv_pixels_matrix(&s->pixels, &m);
    for (int32_t y = 0; y < s->pixels.height; y++)
        for (int32_t x = 0; x < s->pixels.width; x++) {
            const size_t luma = (size_t)y * (size_t)s->pixels.width + (size_t)x;
            const size_t u = (size_t)W * H + (size_t)(y / 2 * half + x / 2), v = u + (size_t)W * H / 4;
            const double d[] = { s->frame[luma] - still->decoded[luma], s->frame[u] - still->decoded[u],
                                 s->frame[v] - still->decoded[v] };
            for (int c = 0; c < 3; c++) {
                const double e = m.from[c][0] * d[0] + m.from[c][1] * d[1] + m.from[c][2] * d[2];
                sum += 255. * 255. * e * e;
            }
        }
    sum /= 3. * W * H;
    g_test_message("error %.2f, measured %.2f", still->error, sum);
    g_assert_cmpfloat(fabs(sum / still->error - 1.), <, .15);
    return true;
}

static void test_measure(void)
{
    static const int32_t frame = 5;
    for (int32_t full = 0; full < 2; full++) {
        Source source = source_of(NERV_PIXELS_I420, W, H);
        GError *error = NULL;
        source.pixels.full_range = full;
        NervStillsJob job = job_of(&source, 1);
        g_assert_true(nerv_stills_code(&job, &frame, 1, measure, &source, &error));
        g_assert_no_error(error);
        g_free(source.frame);
    }
}

/* --- keys --- */

static NervModel *model_of(void)
{
    GError *error = NULL;
    const NervClip clip = { W, H, 33 };
    g_autoptr(GVariant) options = g_variant_ref_sink(
        g_variant_new_parsed("{'clip-frames': <4>, 'keyframe-interval': <8>, 'widths': <[12, 8]>, "
                             "'strides': <[4, 2]>}"));
    NervModel *model = nerv_model_new("dnerv", options, &clip, &error);
    g_assert_no_error(error);
    g_assert_cmpint(model->n_keys, ==, 5);
    return model;
}

static bool add_error(void *user, uint32_t i, const NervStill *still, GError **error)
{
    *(double *)user += still->error;
    return true;
}

/* What the keyframes come to in R, G and B with that quantiser. */
static double psnr_of(Source *s, const NervModel *model, uint32_t quant)
{
    NervStillsJob job = job_of(s, 1);
    GError *error = NULL;
    double sum = 0;
    job.quant = quant;
    g_assert_true(nerv_stills_code(&job, model->keys, (uint32_t)model->n_keys, add_error, &sum, &error));
    return 10. * log10(65025. * model->n_keys / sum);
}

static void test_keys(void)
{
    static const double psnr[] = { 26, 30, 34 }, bytes[] = { 2000, 6000 };
    Source source = source_of(NERV_PIXELS_I420, W, H);
    NervModel *model = model_of();
    GError *error = NULL;
    NervBackend *be = nerv_backend_open("cpu", 1, &error);
    NervKeysJob job = {
        .be = be, .pixels = &source.pixels, .frame_at = frame_at, .user = &source, .quant = 33, .speed = 8
    };
    NervKeys keys = { 0 };
    g_assert_true(nerv_keys_make(&keys, model, &job, &error));
    g_assert_cmpuint(keys.quant, ==, 33);
    nerv_keys_clear(&keys);
    for (size_t i = 0; i < G_N_ELEMENTS(psnr); i++) {
        job.target_psnr = psnr[i];
        g_assert_true(nerv_keys_make(&keys, model, &job, &error));
        const double got = psnr_of(&source, model, keys.quant);
        g_test_message("%g dB: quantiser %u, %.2f dB", psnr[i], keys.quant, got);
        g_assert_cmpfloat(got, >, psnr[i] - .2); /* four of the five were tried */
        g_assert_cmpfloat(psnr_of(&source, model, keys.quant + 2), <, psnr[i]);
        nerv_keys_clear(&keys);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bytes); i++) {
        job.target_bytes = bytes[i]; /* goes before the quality */
        g_assert_true(nerv_keys_make(&keys, model, &job, &error));
        g_test_message("%g bytes: quantiser %u, %u bytes", bytes[i], keys.quant, (guint)keys.bytes);
        g_assert_cmpfloat((double)keys.bytes, <, 1.15 * bytes[i]);
        g_assert_cmpfloat((double)keys.bytes, >, .7 * bytes[i]);
        nerv_keys_clear(&keys);
    }
    nerv_backend_free(be);
    nerv_model_free(model);
    g_free(source.frame);
}

/* Slower presets never take a faster speed, and large pictures never a slower one. */
static void test_speeds(void)
{
    const NervPixels sizes[] = { source_of(NERV_PIXELS_I420, 16, 16).pixels,
                                 source_of(NERV_PIXELS_I420, 320, 180).pixels,
                                 source_of(NERV_PIXELS_I420, 1280, 720).pixels,
                                 source_of(NERV_PIXELS_I420, 8192, 8192).pixels };
    NervEncoderSettings s;
    nerv_encoder_settings_init(&s);
    uint32_t before[G_N_ELEMENTS(sizes)] = { 9, 9, 9, 9 };
    for (s.preset = 0; s.preset < NERV_PRESET_N; s.preset++) {
        uint32_t last = 0;
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
            const uint32_t speed = nerv_settings_key_speed(&s, &sizes[i]);
            g_assert_cmpuint(speed, <=, before[i]);
            g_assert_cmpuint(speed, >=, last);
            g_assert_cmpuint(speed, <=, NERV_KEYFRAME_SPEED_MAX);
            before[i] = last = speed;
        }
    }
    s.preset = NERV_PRESET_MEDIUM;
    g_assert_cmpuint(nerv_settings_key_speed(&s, &sizes[1]), <, nerv_settings_key_speed(&s, &sizes[2]));
    nerv_encoder_settings_clear(&s);
}

/* Keyframes have a quality of their own where one is asked for, and only there. */
static void test_target(void)
{
    NervEncoderSettings s;
    nerv_encoder_settings_init(&s);
    g_assert_cmpfloat(nerv_settings_key_psnr(&s), ==, 0);
    s.target_psnr = 30;
    const double low = nerv_settings_key_psnr(&s);
    g_assert_cmpfloat(low, >=, 30);
    g_assert_cmpfloat(low, <, 36);
    s.target_psnr = 35;
    g_assert_cmpfloat(nerv_settings_key_psnr(&s), ==, low + 5);
    s.bitrate = 100;
    g_assert_cmpfloat(nerv_settings_key_psnr(&s), ==, 0);
    nerv_encoder_settings_clear(&s);
}

/* --- giving up; last, because libaom may be at work until the process ends --- */

static gpointer cancel_soon(gpointer cancel)
{
    g_usleep(100000);
    g_atomic_int_set((gint *)cancel, 1);
    return GSIZE_TO_POINTER((gsize)g_get_monotonic_time());
}

static void test_cancel(void)
{
    static const int32_t frames[N] = { 0 };
    Source source = source_of(NERV_PIXELS_I420, 1280, 960); /* half a minute with speed 0 */
    NervStillsJob job = job_of(&source, 2);
    Got got = { .source = &source, .stop_at = 0 };
    GError *error = NULL;
    gint cancel = 0;
    job.quant = 4;
    job.speed = 0;
    job.cancel = &cancel;
    GThread *thread = g_thread_new("cancel", cancel_soon, &cancel);
    g_assert_false(nerv_stills_code(&job, frames, N, collect, &got, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
    g_clear_error(&error);
    const gint64 end = g_get_monotonic_time(), began = (gint64)GPOINTER_TO_SIZE(g_thread_join(thread));
    g_test_message("%.0f ms", (double)(end - began) * 1e-3);
    g_assert_cmpint(end - began, <, 2000000);
    g_assert_cmpuint(got.n, ==, 0);
    g_assert_false(nerv_stills_code(&job, frames, N, collect, &got, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
    g_clear_error(&error);
    g_free(source.frame);
}

int main(int argc, char **argv)
{
    caller = g_thread_self();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stills/threads", test_threads);
    g_test_add_func("/stills/errors", test_errors);
    g_test_add_func("/stills/measure", test_measure);
    g_test_add_func("/stills/keys", test_keys);
    g_test_add_func("/stills/speeds", test_speeds);
    g_test_add_func("/stills/target", test_target);
    g_test_add_func("/stills/cancel", test_cancel);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A fit with a deadline: given up after a few steps, with nothing written, where there is time for fewer than asked for; else written
 * and in time. On the CPU.
 */
#include "codec/fitter.h"

#define W      32
#define H      24
#define N      4
#define SECOND 1000000

static const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H };

static void no_progress(void *user, const NervTrainProgress *p, bool last)
{
}

static NervFitResult fit(uint32_t least_steps, double seconds, guint *bytes)
{
    const NervClip clip = { W, H, N };
    GError *error = NULL;
    NervFitResult result;
    NervBitWriter network;
    uint8_t rgb[N * W * H * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i / 7 + i % 5);
    NervBackend *be = nerv_backend_open("cpu", 1, &error);
    g_assert_no_error(error);
    NervModel *model = nerv_model_new("nerv", NULL, &clip, &error);
    g_assert_no_error(error);
    NervBuffer *frames = nerv_buffer_new(be, sizeof rgb, &error);
    g_assert_true(nerv_buffer_upload(frames, 0, rgb, sizeof rgb, &error));
    NervFitter f = { .be = be,
                     .model = model,
                     .footage = { .frames = frames, .pixels = &pixels },
                     .bits = 8,
                     .least_steps = least_steps,
                     .progress = no_progress };
    nerv_train_settings_default(&f.train);
    f.train.bits = 8;
    f.train.deadline_us = g_get_monotonic_time() + (gint64)(seconds * SECOND);
    nerv_writer_init(&network);
    nerv_fitter_run(&f, &network, &result, &error);
    g_assert_no_error(error);
    *bytes = network.bytes->len;
    nerv_writer_clear(&network);
    nerv_buffer_free(frames);
    nerv_model_free(model);
    nerv_backend_free(be);
    return result;
}

static void test_few(void)
{
    guint bytes;
    const gint64 start = g_get_monotonic_time();
    const NervFitResult r = fit(UINT32_MAX, 1000., &bytes);
    g_assert_cmpuint(r.too_few_steps, >, 5);
    g_assert_cmpuint(r.too_few_steps, <, UINT32_MAX);
    g_assert_false(r.gave_up);
    g_assert_cmpuint(bytes, ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 100 * SECOND);
}

static void test_enough(void)
{
    guint bytes;
    NervFitResult r = fit(1, 1., &bytes);
    g_assert_cmpuint(r.too_few_steps, ==, 0);
    g_assert_cmpuint(bytes, >, 0);
    r = fit(0, .5, &bytes);
    g_assert_cmpuint(r.too_few_steps, ==, 0);
    g_assert_cmpuint(bytes, >, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fitter/few", test_few);
    g_test_add_func("/fitter/enough", test_enough);
    return g_test_run();
}

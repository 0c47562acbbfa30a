/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fits with a deadline: how many steps they are said to have time for, and whether they have it, and are in time. On the CPU.
 */
#include <time.h>

#include "codec/fitter.h"

#define W      64
#define H      48
#define N      4
#define SECOND 1000000

static const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H };

static void no_progress(void *user, const NervTrainProgress *p, bool last)
{
}

/* Of so many seconds. *said: steps there would be time for. *off: seconds that it was too late, or less than 0. */
static NervFitResult fit(double seconds, uint64_t target_bytes, uint32_t *said, double *off, double *share)
{
    const NervClip clip = { W, H, N };
    GError *error = NULL;
    NervFitResult result;
    NervBitWriter network;
    g_autofree uint8_t *rgb = g_malloc(N * W * H * 3);
    for (size_t i = 0; i < N * W * H * 3; i++)
        rgb[i] = (uint8_t)(i / 7 + i % 5);
    NervBackend *be = nerv_backend_open("cpu", 1, &error);
    g_assert_no_error(error);
    NervModel *model = nerv_model_new("nerv", NULL, &clip, &error);
    g_assert_no_error(error);
    NervBuffer *frames = nerv_buffer_new(be, N * W * H * 3, &error);
    g_assert_true(nerv_buffer_upload(frames, 0, rgb, N * W * H * 3, &error));
    NervFitter f = { .be = be,
                     .model = model,
                     .footage = { .frames = frames, .pixels = &pixels },
                     .bits = 8,
                     .target_bytes = target_bytes,
                     .progress = no_progress };
    nerv_train_settings_default(&f.train);
    f.train.bits = 8;
    f.train.deadline_us = g_get_monotonic_time() + (gint64)(seconds * SECOND);
    g_assert_true(nerv_pace_find(&f.pace, be, model, &f.footage, &f.train, seconds, &error));
    *said = nerv_fitter_steps(&f, 1.);
    g_assert_cmpuint(nerv_fitter_steps(&f, .5), <=, *said);
    nerv_writer_init(&network);
    const gint64 start_us = g_get_monotonic_time();
    const clock_t start = clock();
    g_assert_true(nerv_fitter_run(&f, &network, &result, &error));
    g_assert_no_error(error);
    *share =
        (double)(clock() - start) / CLOCKS_PER_SEC / ((double)(g_get_monotonic_time() - start_us) / SECOND);
    *off = (double)(g_get_monotonic_time() - f.train.deadline_us) / SECOND;
    g_test_message("%g s, %" G_GUINT64_FORMAT
                   " bytes: a step %.1f ms, scoring %.1f ms, coding %.1f ms; %u steps said, %u made, %+.3f s",
                   seconds, target_bytes, f.pace.step * 1e3, f.pace.scoring * 1e3, f.pace.coding * 1e3, *said,
                   result.n_steps, *off);
    g_assert_cmpuint(network.bytes->len, >, 0);
    nerv_writer_clear(&network);
    nerv_buffer_free(frames);
    nerv_model_free(model);
    nerv_backend_free(be);
    return result;
}

/* On a machine that does other work beside: within a factor, of the time that it had. */
static void test_steps(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    g_test_skip("the clock says nothing under sanitizers");
    return;
#endif
    static const uint64_t targets[] = { 0, 4000 };
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        uint32_t said;
        double off, share;
        const NervFitResult r = fit(3., targets[i], &said, &off, &share);
        g_assert_cmpuint(said, >, r.n_steps / 3);
        g_assert_cmpfloat(said * MIN(share, 1.), <, r.n_steps * 3. + 10.);
        g_assert_cmpfloat(off, <, 1.);
        g_assert_cmpfloat(off, >, -1.);
    }
}

/* No time at all: a step is made all the same, and what comes of it written. */
static void test_none(void)
{
    uint32_t said;
    double off, share;
    const NervFitResult r = fit(1e-6, 0, &said, &off, &share);
    g_assert_cmpuint(said, ==, 1);
    g_assert_cmpuint(r.n_steps, >=, 1);
    g_assert_cmpuint(r.n_steps, <=, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fitter/steps", test_steps);
    g_test_add_func("/fitter/none", test_none);
    return g_test_run();
}

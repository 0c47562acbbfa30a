/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Videos of one segment that are not equally hard: what they count in a fit, and how their keyframes are coded.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/keys.h"
#include "codec/settings.h"
#include "train/balance.h"
#include "train/trainer.h"

#define W      48
#define H      32
#define FRAMES 12 /* of each of two videos */

static void test_weights(void)
{
    static const double power[] = { 0., .5, 1. }, hard[] = { 1., .31622777, .1 };
    for (size_t i = 0; i < G_N_ELEMENTS(power); i++) {
        NervBalance b;
        nerv_balance_init(&b, 2, power[i]);
        nerv_balance_add(&b, 0, .01);
        g_assert_cmpfloat(nerv_balance_weight(&b, 0), ==, 1.); /* of the other nothing is known */
        g_assert_cmpfloat(nerv_balance_weight(&b, 1), ==, 1.);
        nerv_balance_add(&b, 1, .0001);
        g_assert_cmpfloat_with_epsilon(nerv_balance_weight(&b, 0), hard[i], 1e-6);
        g_assert_cmpfloat_with_epsilon(nerv_balance_weight(&b, 1), 1. / hard[i], 1e-6);
        for (int k = 0; k < 200; k++)
            nerv_balance_add(&b, 0, .0001);
        g_assert_cmpfloat_with_epsilon(nerv_balance_weight(&b, 0), 1., 1e-3);
        for (int k = 0; k < 200; k++)
            nerv_balance_add(&b, 0, 0.); /* and what is black */
        g_assert_cmpfloat(nerv_balance_weight(&b, 0), <=, 16.);
        nerv_balance_clear(&b);
    }
}

/* --- two videos: noise that stays, and a slow wave --- */

static const NervPixels pixels = {
    .format = NERV_PIXELS_RGB, .width = W, .height = H, .matrix = NERV_MATRIX_BT601, .full_range = 1
};

static const uint8_t *frame_at(void *user, uint32_t i)
{
    uint8_t *frame = user;
    NervRng rng;
    nerv_rng_init(&rng, i);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++) {
                const double wave = 128. + 60. * sin(.1 * x + .07 * y * (c + 1) + .1 * i);
                const double noise = 128. + nerv_rng_uniform(&rng, -90, 90);
                *frame++ = (uint8_t)(i < FRAMES ? noise : wave);
            }
    return user;
}

static NervModel *model_of(uint32_t n_videos)
{
    static const int32_t videos[] = { FRAMES, FRAMES };
    g_autoptr(GError) error = NULL;
    const NervClip clip = { W, H, 2 * FRAMES };
    const NervModelSize size = { .videos = videos, .n_videos = n_videos };
    g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed(
        "{'keyframe-interval': <%i>, 'flow-frames': <6>, 'base-channels': <2>, 'middle-channels': <0>, "
        "'widths': <[10, 8]>, 'strides': <[4, 2]>}",
        FRAMES - 1));
    NervModel *model = nerv_model_new_sized("dnerv", options, &clip, &size, &error);
    g_assert_no_error(error);
    return model;
}

/* Grey keyframes: all is left to the network. Mean squared errors of the last epochs, the noise's first. */
static void fit(double balance, double *errors)
{
    g_autoptr(GError) error = NULL;
    NervBackend *be = nerv_backend_open("cpu", 1, &error);
    g_assert_no_error(error);
    NervModel *model = model_of(2);
    const size_t bytes = (size_t)W * H * 3;
    g_autofree uint8_t *grey = g_malloc((size_t)model->n_keys * bytes), *frame = g_malloc(bytes);
    memset(grey, 128, (size_t)model->n_keys * bytes);
    NervFootage footage = { .frames = nerv_buffer_new(be, 2 * FRAMES * bytes, &error),
                            .pixels = &pixels,
                            .keys = nerv_buffer_new(be, (size_t)model->n_keys * bytes, &error),
                            .key_pixels = pixels };
    g_assert_no_error(error);
    for (uint32_t i = 0; i < 2 * FRAMES; i++)
        g_assert_true(nerv_buffer_upload(footage.frames, i * bytes, frame_at(frame, i), bytes, &error));
    g_assert_true(nerv_buffer_upload(footage.keys, 0, grey, (size_t)model->n_keys * bytes, &error));
    NervTrainSettings settings;
    nerv_train_settings_default(&settings);
    settings.l1_weight = settings.ssim_weight = 0.;
    settings.mse_weight = 1.;
    settings.epochs = 30;
    settings.learning_rate = 1e-2;
    settings.balance = balance;
    NervTrainer *tr = nerv_trainer_new(be, model, &footage, &settings, &error);
    g_assert_no_error(error);
    int n[2] = { 0, 0 };
    errors[0] = errors[1] = 0.;
    for (int step = 0; !nerv_trainer_done(tr); step++) {
        double loss, mse;
        g_assert_true(nerv_trainer_step(tr, &error));
        nerv_trainer_last(tr, &loss, &mse);
        g_assert_cmpfloat_with_epsilon(loss, mse, 1e-6); /* what is shown of it is not weighted */
        if (step < 2 * FRAMES * 25)
            continue;
        const int which = mse < .03; /* the noise has a variance of .04 */
        errors[which] += mse;
        n[which]++;
    }
    g_assert_cmpint(n[0], ==, n[1]);
    errors[0] /= n[0];
    errors[1] /= n[1];
    g_test_message("balance %g: noise %.5f, wave %.6f", balance, errors[0], errors[1]);
    nerv_trainer_free(tr);
    nerv_buffer_free(footage.frames);
    nerv_buffer_free(footage.keys);
    nerv_model_free(model);
    nerv_backend_free(be);
}

/* What cannot be learned does not keep the fit from what can. */
static void test_fit(void)
{
    double without[2], with[2];
    fit(0., without);
    fit(1., with);
    g_assert_cmpfloat(with[1], <, .7 * without[1]);
    g_assert_cmpfloat(with[0], <, 1.3 * without[0]);
}

/* --- keyframes --- */

/* Bytes of both videos' keyframes. */
static void code(const NervModel *model, NervKeysJob *job, double *bytes, uint64_t *all)
{
    NervKeys keys = { 0 };
    g_autoptr(GError) error = NULL;
    g_assert_true(nerv_keys_make(&keys, model, job, &error));
    g_assert_no_error(error);
    g_assert_cmpint(keys.n, ==, 4);
    bytes[0] = bytes[1] = 0.;
    for (int i = 0; i < 4; i++)
        bytes[keys.frames[i] >= FRAMES] += keys.coded[i]->len;
    *all = keys.bytes;
    g_assert_cmpfloat(bytes[0] + bytes[1], ==, (double)*all);
    nerv_keys_clear(&keys);
}

static void test_keys(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *frame = g_malloc(nerv_pixels_bytes(&pixels));
    NervBackend *be = nerv_backend_open("cpu", 1, &error);
    g_assert_no_error(error);
    NervModel *model = model_of(2);
    NervKeysJob job = {
        .be = be, .pixels = &pixels, .frame_at = frame_at, .user = frame, .quant = 40, .speed = 8
    };
    double apart[2], sized[2];
    uint64_t all;
    code(model, &job, apart, &all);
    job.target_bytes = (double)all; /* with a quantiser of its own, but the same way apart */
    code(model, &job, sized, &all);
    g_assert_cmpfloat((double)all, <, 1.1 * job.target_bytes);
    g_assert_cmpfloat((double)all, >, .8 * job.target_bytes);
    g_assert_cmpfloat_with_epsilon(sized[0] / sized[1], apart[0] / apart[1], .2 * apart[0] / apart[1]);
    nerv_model_free(model);

    model = model_of(0); /* one video, of the same keyframes but for those at the cut */
    job.target_bytes = 0.;
    NervKeys keys = { 0 };
    g_assert_true(nerv_keys_make(&keys, model, &job, &error));
    const double noise = keys.coded[0]->len, wave = keys.coded[keys.n - 1]->len;
    g_test_message("noise %g and wave %g bytes with one quantiser, %g and %g apart", noise, wave,
                   apart[0] / 2, apart[1] / 2);
    g_assert_cmpfloat(apart[0] / 2, <, .9 * noise);
    g_assert_cmpfloat(apart[1] / 2, >, 1.1 * wave);
    nerv_keys_clear(&keys);
    nerv_model_free(model);
    nerv_backend_free(be);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/balance/weights", test_weights);
    g_test_add_func("/balance/fit", test_fit);
    g_test_add_func("/balance/keys", test_keys);
    return g_test_run();
}

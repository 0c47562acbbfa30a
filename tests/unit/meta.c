/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Meta-learning on the device named as the argument: MAML's gradient against differences of its own loss, each learner's start against a
 * drawn one on a clip that it has not seen, and a learner that goes on from its state as if it had never stopped. Skipped (77) where there is no
 * such device.
 */
#include <math.h>
#include <string.h>

#include "models/start.h"
#include "train/meta.h"
#include "train/patches.h"
#include "device.h"

#define W           24
#define H           16
#define N           4
#define LAYERS_RATE .1
#define CLIPS       6 /* the last one, between the others, is for tests */
#define BYTES       ((size_t)N * W * H * 3)

static NervBackend *backend;
static NervBuffer *clip[CLIPS];
static const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H };

/* Waves that move, of other lengths, directions and colours. */
static void paint(double which, uint8_t *at)
{
    for (int f = 0; f < N; f++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++)
                    *at++ = (uint8_t)(110 + 12 * which +
                                      70 * sin((.25 + .07 * which) * (x + f) + (.5 - .15 * which) * y + c));
}

static NervModel *make_model(const char *more)
{
    GError *error = NULL;
    g_autofree char *text = g_strdup_printf(
        "{'grids': <'2x3/1x2'>, 'strides': <[4, 2]>, 'widths': <[6, 5]>, 'kernels': <[1, 3]>, %s}", more);
    g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed(text));
    NervModel *model = nerv_model_new("nerv-grid", options, &(NervClip){ W, H, N }, &error);
    g_assert_no_error(error);
    return model;
}

static NervMetaSettings settings_for(NervMetaLearner learner)
{
    NervMetaSettings s;
    nerv_meta_settings_default(&s);
    s.relative = false;
    s.learner = learner;
    s.inner_steps = learner == NERV_META_MAML ? 3 : 8;
    s.batch = 2;
    s.outer_rate = learner == NERV_META_REPTILE ? .3 : 1e-2;
    s.train.learning_rate = 1e-2;
    s.train.layers_rate = LAYERS_RATE;
    s.train.beta1 = .9;
    return s;
}

static NervMeta *make(const NervModel *model, const NervMetaSettings *s)
{
    GError *error = NULL;
    NervMeta *meta = nerv_meta_new(backend, model, &pixels, &pixels, s, &error);
    g_assert_no_error(error);
    return meta;
}

/* Of networks with keyframes, NULL: other clips' pictures, and flows. */
static NervBuffer *keys;
static float *flows;

static NervMetaLoss learn(NervMeta *meta, int which)
{
    GError *error = NULL;
    NervMetaLoss loss;
    const NervFootage footage = {
        .frames = clip[which], .pixels = &pixels, .keys = keys, .key_pixels = pixels
    };
    nerv_meta_learn(meta, &footage, N, flows, &loss, &error);
    g_assert_no_error(error);
    return loss;
}

static void update(NervMeta *meta)
{
    GError *error = NULL;
    nerv_meta_update(meta, 1., &error);
    g_assert_no_error(error);
}

/* The loss behind the steps from a state in which value `at` is moved by `by`. */
static double loss_near(NervMeta *meta, const float *state, size_t at, float by)
{
    const size_t n = nerv_meta_state_count(meta);
    GError *error = NULL;
    g_autofree float *moved = g_memdup2(state, n * sizeof(*state));
    moved[at] += by;
    nerv_meta_set_state(meta, moved, n, &error);
    g_assert_no_error(error);
    return learn(meta, 0).after;
}

/* lavapipe */
static bool is_slow(void)
{
    return backend->is_software && !backend->n_threads;
}

/* kinks: whether flows that are learned move samples past others on the way, where the loss has no slope; then most of the values count. */
static void check_gradient(NervModel *model, bool kinks)
{
    NervMetaSettings s = settings_for(NERV_META_MAML);
    s.spatial = 0.;
    NervMeta *meta = make(model, &s);
    const size_t n = nerv_meta_state_count(meta);
    const size_t n_values = (size_t)nerv_start_count(model) + model->n_params;
    g_autofree float *state = g_new(float, n), *gradient = NULL;
    double largest = 0.;
    int n_looks = 0, n_off = 0;
    nerv_meta_get_state(meta, state);
    learn(meta, 0);
    gradient = g_memdup2(nerv_meta_gradient(meta), n_values * sizeof(*gradient));
    for (size_t i = 0; i < n_values; i++)
        largest = fmax(largest, fabs((double)gradient[i]));
    g_assert_cmpfloat(largest, >, 1e-4);
    for (size_t i = 0; i < n_values; i += 1 + n_values / (is_slow() ? 15 : 60)) {
        const float step = kinks ? 1e-3f : 4e-3f;
        const double slope =
            (loss_near(meta, state, i, step) - loss_near(meta, state, i, -step)) / (2. * (double)step);
        g_test_message("%zu: %g, %g", i, (double)gradient[i], slope);
        n_off += fabs(slope - gradient[i]) >= .02 * largest;
        n_looks++;
    }
    g_assert_cmpint(n_off, <=, kinks ? n_looks / 10 : 0);
    nerv_meta_free(meta);
    nerv_model_free(model);
}

static void test_gradient(void)
{
    check_gradient(make_model("'flow-rows': <0>"), false);
    check_gradient(make_model("'flow-rows': <2>"), false);
}

/* Networks with keyframes: a search's flows are where the learned ones begin. */
static void test_keys(void)
{
    static const struct {
        const char *name, *options;
    } cases[] = {
        { "dnerv", "{'widths': <[6, 5]>, 'strides': <[4, 2]>, 'keyframe-interval': <3>}" },
        { "dnerv-net",
          "{'widths': <[6, 5]>, 'strides': <[4, 2]>, 'clip-frames': <2>, 'keyframe-interval': <2>}" }
    };
    for (size_t i = 0; i < (is_slow() ? 1 : G_N_ELEMENTS(cases)); i++) {
        GError *error = NULL;
        NervFlows grid = { 0 };
        g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed(cases[i].options));
        NervModel *model = nerv_model_new(cases[i].name, options, &(NervClip){ W, H, N }, &error);
        g_assert_no_error(error);
        g_assert_cmpint(model->n_keys, >=, 2);
        g_autofree uint8_t *rgb = g_malloc(BYTES);
        keys = nerv_buffer_new(backend, (size_t)model->n_keys * W * H * 3, &error);
        paint(1.3, rgb);
        for (int32_t k = 0; k < model->n_keys; k++)
            g_assert_true(nerv_buffer_upload(keys, (size_t)k * W * H * 3, rgb, W * H * 3, &error));
        if (nerv_model_flows(model, &grid)) {
            const int64_t n = nerv_shape_count(model->params[grid.param].shape);
            flows = g_new(float, (gsize)n);
            for (int64_t j = 0; j < n; j++)
                flows[j] = .2f * (float)(j % 7);
            g_free(grid.spans);
            NervMetaSettings s = settings_for(NERV_META_REPTILE);
            NervMeta *meta = make(model, &s);
            const double with = learn(meta, 0).before;
            nerv_meta_free(meta);
            g_clear_pointer(&flows, g_free);
            meta = make(model, &s);
            g_assert_cmpfloat(fabs(learn(meta, 0).before - with), >, 1e-5);
            nerv_meta_free(meta);
        }
        check_gradient(model, i == 1);
        nerv_buffer_free(keys);
        keys = NULL;
    }
}

/* The mean squared error of the unseen clip after a few passes from given weights, or from drawn ones. */
static double fit(const NervModel *model, const float *weights, double layers_rate)
{
    GError *error = NULL;
    NervTrainSettings s;
    NervTrainProgress p;
    nerv_train_settings_default(&s);
    s.epochs = 3;
    s.learning_rate = 1e-2;
    s.layers_rate = layers_rate;
    s.beta1 = .9;
    s.warmup = 0.;
    s.l1_weight = s.ssim_weight = 0.;
    s.mse_weight = 1.;
    NervTrainer *tr = nerv_trainer_new(
        backend, model, &(NervFootage){ .frames = clip[CLIPS - 1], .pixels = &pixels }, &s, &error);
    g_assert_no_error(error);
    if (weights)
        g_assert_true(nerv_trainer_set_params(tr, weights, &error));
    while (!nerv_trainer_done(tr))
        g_assert_true(nerv_trainer_step(tr, &error));
    nerv_trainer_progress(tr, &p);
    nerv_trainer_free(tr);
    return p.psnr;
}

static void check_learner(NervMetaLearner learner, double spatial)
{
    NervMetaSettings s = settings_for(learner);
    s.spatial = spatial;
    NervModel *model = make_model("'flow-rows': <0>");
    NervMeta *meta = make(model, &s);
    const NervFootage unseen = { .frames = clip[CLIPS - 1], .pixels = &pixels };
    double first = 0., last = 0.;
    for (int i = 0; i < 80; i++) {
        double after = 0.;
        for (int j = 0; j < CLIPS - 1; j++)
            after += learn(meta, j).after / (CLIPS - 1);
        update(meta);
        first = i == 0 ? after : first;
        last = after;
    }
    g_autofree float *weights = g_new(float, (gsize)model->n_weights);
    g_autofree float *seen = g_new(float, (gsize)nerv_start_patches_count(model) + 1);
    NervPatches *patches = nerv_patches_new(backend, model, &unseen, NULL);
    g_assert_true(patches && nerv_patches_run(patches, &unseen, NULL, seen, NULL));
    nerv_patches_free(patches);
    nerv_start_expand(model, nerv_meta_start(meta), seen, weights);
    const double drawn = fit(model, NULL, 1.), learned = fit(model, weights, LAYERS_RATE);
    g_test_message("%s: loss %g, %g; %.2f dB from a drawn start, %.2f from this",
                   nerv_meta_learner_name(learner), first, last, drawn, learned);
    g_assert_cmpfloat(last, <, .5 * first);
    g_assert_cmpfloat(learned, >, drawn + 1.);
    nerv_meta_free(meta);
    nerv_model_free(model);
}

static void test_maml(void)
{
    check_learner(NERV_META_MAML, .5);
}

static void test_fomaml(void)
{
    check_learner(NERV_META_FOMAML, .5);
}

static void test_reptile(void)
{
    check_learner(NERV_META_REPTILE, 0.);
}

static void test_state(void)
{
    for (int learner = 0; learner < NERV_META_N; learner++) {
        GError *error = NULL;
        const NervMetaSettings s = settings_for((NervMetaLearner)learner);
        NervModel *model = make_model("'flow-rows': <0>");
        NervMeta *meta = make(model, &s), *other = make(model, &s);
        const size_t n = nerv_meta_state_count(meta);
        g_autofree float *state = g_new(float, n), *end = g_new(float, n), *same = g_new(float, n);
        learn(meta, 0);
        update(meta);
        nerv_meta_get_state(meta, state);
        for (int i = 1; i < 3; i++) {
            learn(meta, i);
            update(meta);
        }
        nerv_meta_get_state(meta, end);
        learn(other, 4);
        g_assert_true(nerv_meta_set_state(other, state, n, &error));
        for (int i = 1; i < 3; i++) {
            learn(other, i);
            update(other);
        }
        nerv_meta_get_state(other, same);
        g_assert_cmpmem(end, n * sizeof(*end), same, n * sizeof(*same));
        g_assert_true(memcmp(state, end, n * sizeof(*state)) != 0);

        g_assert_false(nerv_meta_set_state(other, state, n - 1, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
        g_clear_error(&error);
        for (size_t i = 0; i < n; i += n - 1) {
            const float kept = state[i];
            state[i] = NAN;
            g_assert_false(nerv_meta_set_state(other, state, n, &error));
            g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
            g_clear_error(&error);
            state[i] = kept;
        }
        nerv_meta_free(meta);
        nerv_meta_free(other);
        nerv_model_free(model);
    }
}

static void test_settings(void)
{
    NervModel *model = make_model("'flow-rows': <0>");
    for (int i = 0; i < 6; i++) {
        GError *error = NULL;
        NervMetaSettings s = settings_for(NERV_META_MAML);
        s.inner_steps = i == 0 ? 0 : i == 1 ? NERV_META_MAX_UNROLLED + 1 : s.inner_steps;
        s.batch = i == 2 ? 0 : s.batch;
        s.inner_rate = i == 3 ? 0. : s.inner_rate;
        s.outer_rate = i == 4 ? NAN : s.outer_rate;
        s.spatial = i == 5 ? -1. : s.spatial;
        g_assert_null(nerv_meta_new(backend, model, &pixels, NULL, &s, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_clear_error(&error);
    }
    nerv_model_free(model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    backend = nerv_backend_open(test_device_name(argc, argv), 2, NULL);
    if (!backend)
        return 77;
    g_autofree uint8_t *rgb = g_malloc(BYTES);
    for (int i = 0; i < CLIPS; i++) {
        paint(i < CLIPS - 1 ? i : 2.5, rgb);
        clip[i] = nerv_buffer_new(backend, BYTES, NULL);
        g_assert_true(clip[i] && nerv_buffer_upload(clip[i], 0, rgb, BYTES, NULL));
    }
    g_test_add_func("/meta/gradient", test_gradient);
    g_test_add_func("/meta/keys", test_keys);
    if (!is_slow()) {
        g_test_add_func("/meta/maml", test_maml);
        g_test_add_func("/meta/fomaml", test_fomaml);
        g_test_add_func("/meta/reptile", test_reptile);
    }
    g_test_add_func("/meta/state", test_state);
    g_test_add_func("/meta/settings", test_settings);
    const int status = g_test_run();
    for (int i = 0; i < CLIPS; i++)
        nerv_buffer_free(clip[i]);
    nerv_backend_free(backend);
    return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV against PyTorch's (make_golden_dnerv.py): the paper's network, and all parts on a temporal grid, and what nervenc has by default, over a few videos whose
 * last clips are padded, on every CPU level and on Vulkan. Frames, the loss and the gradients of a full and of a partial clip, ten
 * Adam steps clip by clip on a tape built here, and ten of the trainer's on the last video, a single partial clip.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits.h"
#include "models/params.h"
#include "train/trainer.h"

#define FORWARD_TOLERANCE 2e-5 /* absolute, of values in 0..1 */

typedef struct {
    const char *name;
    GoldenFile *file;
    NervModel *model, *last; /* of all videos; of the last one */
    int32_t videos[8];
    uint32_t n_videos;
    NervPixels pixels;
    bool paper_loss; /* else MSE */
    uint32_t n_steps;
} Golden;

typedef struct {
    FitsDevice *device;
    Golden *golden;
} Case;

static Golden goldens[] = { { .name = "dnerv-paper" }, { .name = "dnerv-grid" }, { .name = "dnerv-moved" } };

/* --- set-up --- */

static double number(const Golden *g, const char *option)
{
    return g_ascii_strtod(golden_option(g->file, option), NULL);
}

static NervModel *make_model(const Golden *g, const int32_t *videos, uint32_t n_videos)
{
    static const char *const ints[] = { "stem", "base-channels", "content", NULL },
                             *const moved_ints[] = { "base-channels",   "row-frames",    "flow-frames",
                                                     "middle-channels", "middle-frames", NULL },
                             *const lists[] = { "widths", "strides", NULL };
    const bool moved = g_str_equal(g->name, "dnerv-moved");
    g_autoptr(GError) error = NULL;
    const NervModelSize size = { .videos = videos, .n_videos = n_videos };
    NervClip clip = { g->pixels.width, g->pixels.height, 0 };
    for (uint32_t i = 0; i < n_videos; i++)
        clip.n_frames += videos[i];

    g_autoptr(GVariant) shared =
        fits_options(g->file, moved ? moved_ints : ints, lists, (const char *const[]){ "without", NULL });
    GVariantDict dict;
    g_variant_dict_init(&dict, shared);
    g_variant_dict_insert(&dict, "clip-frames", "i", atoi(golden_option(g->file, "clip")));
    g_variant_dict_insert(&dict, "keyframe-interval", "i", atoi(golden_option(g->file, "interval")));
    if (atoi(golden_option(g->file, "stem")))
        g_variant_dict_insert(&dict, "pe-levels", "i", atoi(golden_option(g->file, "pe-levels")));
    else if (!moved)
        g_variant_dict_insert(&dict, "row-frames", "i", atoi(golden_option(g->file, "row-frames")));
    if (g_str_equal(golden_option(g->file, "without"), "none"))
        g_variant_dict_remove(&dict, "without");
    g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_dict_end(&dict));
    NervModel *model = nerv_model_new_sized(moved ? "dnerv" : "dnerv-net", options, &clip, &size, &error);
    g_assert_no_error(error);
    return model;
}

static void open_golden(Golden *g)
{
    g->file = fits_file(g->name);
    g->pixels = (NervPixels){ .format = NERV_PIXELS_RGB,
                              .width = atoi(golden_option(g->file, "width")),
                              .height = atoi(golden_option(g->file, "height")) };
    g->n_steps = (uint32_t)golden_array(g->file, "order")->shape.c;
    g->paper_loss = g_str_equal(golden_option(g->file, "loss"), "paper");
    g_auto(GStrv) lengths = g_strsplit(golden_option(g->file, "videos"), ",", -1);
    for (g->n_videos = 0; lengths[g->n_videos]; g->n_videos++)
        g->videos[g->n_videos] = atoi(lengths[g->n_videos]);
    g->model = make_model(g, g->videos, g->n_videos);
    g->last = make_model(g, &g->videos[g->n_videos - 1], 1);
}

/* The initial weights of the last video's model: its rows of a grid and its own weights are the last. A model of one video has no gains. */
static float *last_params(const Golden *g)
{
    g_autofree float *all = fits_params(g->file, g->model, "w0.");
    float *own = g_new(float, g->last->n_weights), *dst = own;
    const float *src = all;
    for (uint32_t i = 0, j = 0; i < g->model->n_params; i++) {
        src += nerv_shape_count(g->model->params[i].shape);
        if (g_str_has_prefix(g->model->params[i].name, "gain"))
            continue;
        g_assert_cmpstr(g->model->params[i].name, ==, g->last->params[j].name);
        const int64_t n = nerv_shape_count(g->last->params[j++].shape);
        memcpy(dst, src - n, (size_t)n * sizeof(float));
        dst += n;
    }
    return own;
}

/* The pictures of the model's frames and keyframes; both models' end with the file's. */
static NervFootage footage_new(const Golden *g, const NervModel *model, NervBackend *be)
{
    const int32_t frames = model->clip.n_frames, keys = model->n_keys;
    return (NervFootage){ .frames = fits_pictures(g->file, "frames", be,
                                                  golden_array(g->file, "frames")->shape.n - frames, frames),
                          .pixels = &g->pixels,
                          .keys = fits_pictures(g->file, "keys", be,
                                                golden_array(g->file, "keys")->shape.n - keys, keys),
                          .key_pixels = g->pixels };
}

static void footage_clear(NervFootage *f)
{
    nerv_buffer_free(f->frames);
    nerv_buffer_free(f->keys);
}

/* --- the tape of one step on one clip --- */

typedef struct {
    const Golden *golden;
    NervTape *tape;
    NervScene scene;
    NervTensor **leaves;         /* weights, first moments, second moments */
    NervTensor **grads, **hyper; /* by parameter */
    NervTensor *rgb, *loss;
    NervExec *exec;
    NervFootage footage;
    NervParams *state[3];
} Step;

static void step_build(Step *s, bool with_adam)
{
    const NervModel *model = s->golden->model;
    const uint32_t n = model->n_params;
    const NervAdamAttr adam = { (float)model->beta1, (float)model->beta2, (float)number(s->golden, "epsilon"),
                                0.f };
    NervTape *t = s->tape = nerv_tape_new();

    nerv_scene_init(&s->scene, t, model, &s->footage, 1);
    s->leaves = g_new0(NervTensor *, 3 * n);
    s->grads = g_new0(NervTensor *, n);
    s->hyper = g_new0(NervTensor *, n);
    nerv_params_leaves(model, t, "", s->leaves);
    nerv_params_leaves(model, t, "m.", s->leaves + n);
    nerv_params_leaves(model, t, "v.", s->leaves + 2 * n);
    s->rgb = nerv_model_build(model, t, s->leaves, s->scene.input, s->scene.keys);
    NervTensor *rgb = nerv_scene_mask(&s->scene, t, s->rgb),
               *target = nerv_scene_mask(&s->scene, t, s->scene.target);
    s->loss = s->golden->paper_loss ? nerv_add(t, nerv_affine(t, nerv_l1(t, rgb, target), 0.7f, 0.f),
                                               nerv_affine(t, nerv_ssim(t, rgb, target), -0.3f, 0.3f))
                                    : nerv_mse(t, rgb, target);
    nerv_tape_output(t, s->rgb, "rgb");
    nerv_tape_output(t, s->loss, "loss");
    nerv_tape_grad(t, s->loss, s->leaves, n, s->grads);
    for (uint32_t i = 0; i < n; i++) {
        if (!with_adam) {
            nerv_tape_output(t, s->grads[i], NULL);
            continue;
        }
        s->hyper[i] = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "hyper");
        nerv_adam(t, s->leaves[i], s->grads[i], s->leaves[n + i], s->leaves[2 * n + i], s->hyper[i], &adam);
    }
}

static void step_init(Step *s, const Golden *g, NervBackend *be, bool with_adam)
{
    g_autoptr(GError) error = NULL;
    g_autofree float *w0 = fits_params(g->file, g->model, "w0.");
    *s = (Step){ .golden = g, .footage = footage_new(g, g->model, be) };
    step_build(s, with_adam);
    nerv_tape_check(s->tape, &error);
    g_assert_no_error(error);
    s->exec = nerv_exec_new(be, s->tape, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_scene_bind(&s->scene, s->exec, &s->footage, &error));
    for (uint32_t i = 0; i < (with_adam ? 3 : 1); i++) {
        s->state[i] = nerv_params_new(be, g->model, &error);
        g_assert_no_error(error);
        nerv_params_bind(s->state[i], s->exec, s->leaves + i * g->model->n_params, &error);
        g_assert_no_error(error);
    }
    nerv_params_upload(s->state[0], w0, &error);
    g_assert_no_error(error);
}

static void step_clear(Step *s)
{
    nerv_exec_free(s->exec);
    for (uint32_t i = 0; i < 3; i++)
        nerv_params_free(s->state[i]);
    footage_clear(&s->footage);
    nerv_scene_clear(&s->scene);
    nerv_tape_free(s->tape);
    g_free(s->leaves);
    g_free(s->grads);
    g_free(s->hyper);
}

/* Runs step `n` (from 0) on one clip and returns the loss of the clip's own frames. */
static double step_run(Step *s, int32_t run, uint32_t n)
{
    const Golden *g = s->golden;
    g_autoptr(GError) error = NULL;
    const float rate = golden_floats(g->file, "rates", g->n_steps)[n];
    float loss = NAN;
    nerv_scene_set(&s->scene, 0, run);
    g_assert_true(nerv_scene_write(&s->scene, s->exec, &error));
    for (uint32_t i = 0; s->hyper[0] && i < g->model->n_params; i++) {
        const NervParam *p = &g->model->params[i];
        const float hyper[4] = { rate * (p->rate > 0.f ? p->rate : 1.f),
                                 (float)(1 - pow(g->model->beta1, n + 1.)),
                                 (float)(1 - pow(g->model->beta2, n + 1.)), 0 };
        g_assert_true(nerv_exec_write(s->exec, s->hyper[i], hyper, &error));
    }
    nerv_exec_run(s->exec, &error);
    g_assert_no_error(error);
    nerv_exec_read(s->exec, s->loss, &loss, &error);
    g_assert_no_error(error);
    return loss * g->model->run_frames / (double)nerv_model_run(g->model, run).n;
}

/* --- the tests --- */

/* Both cut the videos alike. */
static void test_keys(gconstpointer data)
{
    const Golden *g = data;
    const float *want = golden_floats(g->file, "key-frames", g->model->n_keys);
    for (int32_t i = 0; i < g->model->n_keys; i++)
        g_assert_cmpint(g->model->keys[i], ==, (int32_t)want[i]);
}

static void test_forward(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    g_autoptr(GError) error = NULL;
    const int64_t n = (int64_t)3 * g->pixels.height * g->pixels.width;
    const float *want = golden_floats(g->file, "forward", g->model->clip.n_frames * n);
    Step s;
    if (fits_missing(c->device))
        return;
    g_autofree float *got = g_new(float, g->model->run_frames *n);
    step_init(&s, g, c->device->be, false);
    for (int32_t i = 0; i < g->model->n_runs; i++) {
        const NervRun run = nerv_model_run(g->model, i);
        step_run(&s, i, 0);
        nerv_exec_read(s.exec, s.rgb, got, &error);
        g_assert_no_error(error);
        g_assert_cmpfloat(fits_difference(got, want + run.first * n, run.n * n), <=, FORWARD_TOLERANCE);
    }
    step_clear(&s);
}

static void expect_gradients(Step *s, int32_t run, const char *label)
{
    const Golden *g = s->golden;
    g_autoptr(GError) error = NULL;
    g_autofree char *loss = g_strconcat(label, ".loss", NULL), *prefix = g_strconcat(label, ".grad.", NULL);
    fits_expect_loss(step_run(s, run, 0), *golden_floats(g->file, loss, 1), 0);
    for (uint32_t i = 0; i < g->model->n_params; i++) {
        const NervParam *p = &g->model->params[i];
        g_autofree float *got = g_new(float, nerv_shape_count(p->shape));
        nerv_exec_read(s->exec, s->grads[i], got, &error);
        g_assert_no_error(error);
        fits_expect_gradient(g->file, p, prefix, got);
    }
}

static void test_gradients(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    const int32_t partial = (int32_t)golden_floats(g->file, "order", g->n_steps)[0];
    Step s;
    if (fits_missing(c->device))
        return;
    g_assert_cmpint(nerv_model_run(g->model, 0).n, ==, g->model->run_frames);
    g_assert_cmpint(nerv_model_run(g->model, partial).n, <, g->model->run_frames);
    step_init(&s, g, c->device->be, false);
    expect_gradients(&s, 0, "full");
    expect_gradients(&s, partial, "partial");
    step_clear(&s);
}

static void test_steps(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    g_autoptr(GError) error = NULL;
    const float *order = golden_floats(g->file, "order", g->n_steps);
    const float *losses = golden_floats(g->file, "steps.losses", g->n_steps);
    Step s;
    if (fits_missing(c->device))
        return;
    step_init(&s, g, c->device->be, true);
    for (uint32_t i = 0; i < g->n_steps; i++)
        fits_expect_loss(step_run(&s, (int32_t)order[i], i), losses[i], i);
    g_autofree float *w0 = fits_params(g->file, g->model, "w0."), *got = g_new(float, g->model->n_weights);
    nerv_params_download(s.state[0], got, &error);
    g_assert_no_error(error);
    fits_expect_weights(g->file, g->model, got, w0, "steps.w.");
    step_clear(&s);
}

static void test_trainer(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    g_autoptr(GError) error = NULL;
    const float *losses = golden_floats(g->file, "last.losses", g->n_steps);
    NervTrainSettings settings;
    double loss, mse;
    if (fits_missing(c->device))
        return;
    g_assert_cmpint(g->last->n_runs, ==, 1);
    NervFootage footage = footage_new(g, g->last, c->device->be);
    g_autofree float *w0 = last_params(g), *got = g_new(float, g->last->n_weights);
    nerv_train_settings_default(&settings);
    settings.epochs = g->n_steps;
    settings.learning_rate = number(g, "peak-rate");
    settings.warmup = number(g, "warmup");
    settings.eps = number(g, "epsilon");
    settings.beta1 = g->last->beta1;
    settings.beta2 = g->last->beta2;
    if (!g->paper_loss)
        settings.l1_weight = settings.ssim_weight = 0., settings.mse_weight = 1.;
    NervTrainer *tr = nerv_trainer_new(c->device->be, g->last, &footage, &settings, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_trainer_set_params(tr, w0, &error));
    for (uint32_t i = 0; i < g->n_steps; i++) {
        g_assert_false(nerv_trainer_done(tr));
        nerv_trainer_step(tr, &error);
        g_assert_no_error(error);
        nerv_trainer_last(tr, &loss, &mse);
        fits_expect_loss(loss, losses[i], i);
        if (!g->paper_loss)
            g_assert_cmpfloat_with_epsilon(mse, loss, 1e-6);
    }
    g_assert_true(nerv_trainer_done(tr));
    g_assert_true(nerv_trainer_get_params(tr, got, &error));
    fits_expect_weights(g->file, g->last, got, w0, "last.w.");
    nerv_trainer_free(tr);
    footage_clear(&footage);
}

static void add_case(Golden *g, FitsDevice *d, const char *name, GTestDataFunc func)
{
    Case *c = g_new(Case, 1);
    g_autofree char *path = g_strdup_printf("/golden/%s/%s/%s", g->name, d->name, name);
    *c = (Case){ d, g };
    g_test_add_data_func_full(path, c, func, g_free);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fits_devices_open();
    for (size_t i = 0; i < G_N_ELEMENTS(goldens); i++) {
        Golden *g = &goldens[i];
        g_autofree char *path = g_strdup_printf("/golden/%s/keys", g->name);
        open_golden(g);
        g_test_add_data_func(path, g, test_keys);
        for (size_t d = 0; d < FITS_N_DEVICES; d++) {
            add_case(g, &fits_devices[d], "forward", test_forward);
            add_case(g, &fits_devices[d], "gradients", test_gradients);
            add_case(g, &fits_devices[d], "ten-steps", test_steps);
            add_case(g, &fits_devices[d], "trainer", test_trainer);
        }
    }
    const int status = g_test_run();
    fits_devices_close();
    for (size_t i = 0; i < G_N_ELEMENTS(goldens); i++) {
        nerv_model_free(goldens[i].model);
        nerv_model_free(goldens[i].last);
        golden_file_free(goldens[i].file);
    }
    return status;
}

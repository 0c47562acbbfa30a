/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Parity with the paper's mathematics: PyTorch's forward pass, loss, gradients and ten Adam steps of tiny
 * networks (make_golden.py) against the same network on every CPU level and on Vulkan. One fit goes frame by
 * frame through a tape built here, in the order that the file gives; one goes through the trainer with all
 * frames in every step, so that its shuffling does not matter.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits.h"
#include "models/params.h"
#include "train/schedule.h"
#include "train/trainer.h"

typedef struct {
    const char *name;
    GoldenFile *file;
    NervModel *model;
    NervPixels pixels;
    uint32_t n_steps;
} Golden;

typedef struct {
    FitsDevice *device;
    Golden *golden;
} Case;

static Golden goldens[] = { { .name = "gelu" }, { .name = "silu" } };

/* --- set-up --- */

static void open_golden(Golden *g)
{
    static const char *const ints[] = { "stem", "base-channels", NULL },
                             *const lists[] = { "widths", "strides", "kernels", NULL },
                             *const strings[] = { "activation", "out-activation", NULL };
    g_autoptr(GError) error = NULL;

    g->file = fits_file(g->name);
    const int w = atoi(golden_option(g->file, "width")), h = atoi(golden_option(g->file, "height"));
    g->pixels = (NervPixels){ .format = NERV_PIXELS_RGB, .width = w, .height = h };
    g->n_steps = (uint32_t)golden_array(g->file, "order")->shape.c;
    const NervClip clip = { w, h, golden_array(g->file, "frames")->shape.n };
    g_autoptr(GVariant) options = fits_options(g->file, ints, lists, strings);
    g->model = nerv_model_new("nerv-mlp", options, &clip, &error);
    g_assert_no_error(error);
}

static NervBuffer *upload_frames(const Golden *g, NervBackend *be)
{
    return fits_pictures(g->file, "frames", be, 0, g->model->clip.n_frames);
}

/* --- the tape of one step on one frame --- */

typedef struct {
    NervTape *tape;
    NervTensor *input, *index, *hyper, *store, *rgb, *loss;
    NervTensor **leaves; /* weights, first moments, second moments */
    NervTensor **grads;
    NervExec *exec;
    NervBuffer *frames;
    NervParams *state[3];
} Step;

static void step_build(Step *s, const Golden *g, bool with_adam)
{
    const NervModel *model = g->model;
    const uint32_t n = model->n_params;
    const int32_t padded = (int32_t)((nerv_pixels_bytes(&g->pixels) + 3) / 4 * 4);
    const NervAdamAttr adam = { 0.5f, 0.999f, 1e-8f, 0.f };
    NervTape *t = s->tape = nerv_tape_new();

    s->store = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_U8, nerv_shape(model->clip.n_frames, 1, 1, padded),
                              "frames");
    s->input =
        nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, model->input_floats, 1, 1), "input");
    s->index = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
    s->hyper = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "hyper");
    s->leaves = g_new0(NervTensor *, 3 * n);
    s->grads = g_new0(NervTensor *, n);
    nerv_params_leaves(model, t, "", s->leaves);
    nerv_params_leaves(model, t, "m.", s->leaves + n);
    nerv_params_leaves(model, t, "v.", s->leaves + 2 * n);

    NervTensor *target = nerv_from_pixels(t, s->store, s->index, &g->pixels);
    s->rgb = nerv_model_build(model, t, s->leaves, s->input, NULL);
    s->loss = nerv_add(t, nerv_affine(t, nerv_l1(t, s->rgb, target), 0.7f, 0.f),
                       nerv_affine(t, nerv_ssim(t, s->rgb, target), -0.3f, 0.3f));
    nerv_tape_output(t, s->rgb, "rgb");
    nerv_tape_output(t, s->loss, "loss");
    nerv_tape_grad(t, s->loss, s->leaves, n, s->grads);
    for (uint32_t i = 0; i < n; i++) {
        if (with_adam)
            nerv_adam(t, s->leaves[i], s->grads[i], s->leaves[n + i], s->leaves[2 * n + i], s->hyper, &adam);
        else
            nerv_tape_output(t, s->grads[i], NULL);
    }
}

static void step_init(Step *s, const Golden *g, NervBackend *be, bool with_adam)
{
    g_autoptr(GError) error = NULL;
    g_autofree float *w0 = fits_params(g->file, g->model, "w0.");
    memset(s, 0, sizeof(*s));
    step_build(s, g, with_adam);
    nerv_tape_check(s->tape, &error);
    g_assert_no_error(error);
    s->exec = nerv_exec_new(be, s->tape, &error);
    g_assert_no_error(error);
    s->frames = upload_frames(g, be);
    g_assert_true(nerv_exec_bind(s->exec, s->store, s->frames, 0, &error));
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
    nerv_buffer_free(s->frames);
    nerv_tape_free(s->tape);
    g_free(s->leaves);
    g_free(s->grads);
}

/* Runs step `n` (from 0) on one frame and returns its loss. */
static double step_run(Step *s, const Golden *g, int32_t frame, uint32_t n, bool with_adam)
{
    g_autoptr(GError) error = NULL;
    g_autofree float *encoding = g_new(float, g->model->input_floats);
    const float rate = golden_floats(g->file, "rates", g->n_steps)[n];
    const float hyper[4] = { rate, (float)(1 - pow(0.5, n + 1.)), (float)(1 - pow(0.999, n + 1.)), 0 };
    float loss = NAN;
    nerv_model_input(g->model, frame, encoding);
    g_assert_true(nerv_exec_write(s->exec, s->input, encoding, &error));
    g_assert_true(nerv_exec_write(s->exec, s->index, &frame, &error));
    if (with_adam)
        g_assert_true(nerv_exec_write(s->exec, s->hyper, hyper, &error));
    nerv_exec_run(s->exec, &error);
    g_assert_no_error(error);
    nerv_exec_read(s->exec, s->loss, &loss, &error);
    g_assert_no_error(error);
    return loss;
}

/* --- the tests --- */

static void test_rates(gconstpointer data)
{
    const Golden *g = data;
    const float *want = golden_floats(g->file, "rates", g->n_steps);
    const double peak = g_ascii_strtod(golden_option(g->file, "peak-rate"), NULL);
    const double warmup = g_ascii_strtod(golden_option(g->file, "warmup"), NULL);
    for (uint32_t i = 0; i < g->n_steps; i++)
        g_assert_cmpfloat_with_epsilon(
            nerv_schedule_lr(peak, warmup, (double)i / g->n_steps, (i + 1.) / g->n_steps), want[i],
            1e-6 * peak);
}

static void test_forward(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    g_autoptr(GError) error = NULL;
    const int64_t n = nerv_shape_count(nerv_shape(1, 3, g->pixels.height, g->pixels.width));
    const float *want = golden_floats(g->file, "forward", g->model->clip.n_frames * n);
    Step s;
    if (fits_missing(c->device))
        return;
    g_autofree float *got = g_new(float, n);
    step_init(&s, g, c->device->be, false);
    for (int32_t i = 0; i < g->model->clip.n_frames; i++) {
        step_run(&s, g, i, 0, false);
        nerv_exec_read(s.exec, s.rgb, got, &error);
        g_assert_no_error(error);
        g_assert_cmpfloat(fits_difference(got, want + i * n, n), <=, FITS_FORWARD_TOLERANCE);
    }
    step_clear(&s);
}

static void test_gradients(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    g_autoptr(GError) error = NULL;
    Step s;
    if (fits_missing(c->device))
        return;
    step_init(&s, g, c->device->be, false);
    const int32_t frame = (int32_t)golden_floats(g->file, "order", g->n_steps)[0];
    fits_expect_loss(step_run(&s, g, frame, 0, false), *golden_floats(g->file, "loss", 1), 0);
    for (uint32_t i = 0; i < g->model->n_params; i++) {
        const NervParam *p = &g->model->params[i];
        g_autofree float *got = g_new(float, nerv_shape_count(p->shape));
        nerv_exec_read(s.exec, s.grads[i], got, &error);
        g_assert_no_error(error);
        fits_expect_gradient(g->file, p, "grad.", got);
    }
    step_clear(&s);
}

static void test_single(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    g_autoptr(GError) error = NULL;
    const float *order = golden_floats(g->file, "order", g->n_steps);
    const float *losses = golden_floats(g->file, "single.losses", g->n_steps);
    Step s;
    if (fits_missing(c->device))
        return;
    step_init(&s, g, c->device->be, true);
    for (uint32_t i = 0; i < g->n_steps; i++)
        fits_expect_loss(step_run(&s, g, (int32_t)order[i], i, true), losses[i], i);
    g_autofree float *w0 = fits_params(g->file, g->model, "w0."), *got = g_new(float, g->model->n_weights);
    nerv_params_download(s.state[0], got, &error);
    g_assert_no_error(error);
    fits_expect_weights(g->file, g->model, got, w0, "single.w.");
    step_clear(&s);
}

static void test_trainer(gconstpointer data)
{
    const Case *c = data;
    const Golden *g = c->golden;
    g_autoptr(GError) error = NULL;
    const float *losses = golden_floats(g->file, "full.losses", g->n_steps);
    NervTrainSettings settings;
    double loss, mse;
    if (fits_missing(c->device))
        return;
    NervBuffer *frames = upload_frames(g, c->device->be);
    g_autofree float *w0 = fits_params(g->file, g->model, "w0."), *got = g_new(float, g->model->n_weights);
    nerv_train_settings_default(&settings);
    settings.epochs = g->n_steps;
    settings.batch_size = (uint32_t)g->model->clip.n_frames;
    settings.learning_rate = g_ascii_strtod(golden_option(g->file, "peak-rate"), NULL);
    settings.warmup = g_ascii_strtod(golden_option(g->file, "warmup"), NULL);
    NervTrainer *tr = nerv_trainer_new(
        c->device->be, g->model, &(NervFootage){ .frames = frames, .pixels = &g->pixels }, &settings, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_trainer_set_params(tr, w0, &error));
    for (uint32_t i = 0; i < g->n_steps; i++) {
        g_assert_false(nerv_trainer_done(tr));
        nerv_trainer_step(tr, &error);
        g_assert_no_error(error);
        nerv_trainer_last(tr, &loss, &mse);
        fits_expect_loss(loss, losses[i], i);
    }
    g_assert_true(nerv_trainer_done(tr));
    g_assert_true(nerv_trainer_get_params(tr, got, &error));
    fits_expect_weights(g->file, g->model, got, w0, "full.w.");
    nerv_trainer_free(tr);
    nerv_buffer_free(frames);
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
        g_autofree char *path = g_strdup_printf("/golden/%s/rates", g->name);
        open_golden(g);
        g_test_add_data_func(path, g, test_rates);
        for (size_t d = 0; d < FITS_N_DEVICES; d++) {
            add_case(g, &fits_devices[d], "forward", test_forward);
            add_case(g, &fits_devices[d], "gradients", test_gradients);
            add_case(g, &fits_devices[d], "ten-steps", test_single);
            add_case(g, &fits_devices[d], "trainer", test_trainer);
        }
    }
    const int status = g_test_run();
    fits_devices_close();
    for (size_t i = 0; i < G_N_ELEMENTS(goldens); i++) {
        nerv_model_free(goldens[i].model);
        golden_file_free(goldens[i].file);
    }
    return status;
}

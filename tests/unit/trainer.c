/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Quantisation-aware training of nerv-grid on the device named as the argument: a step is one submission, the bits fall with
 * the rate's weight, and what is written is what the last steps were evaluated with. Pruning: exact zeros that stay, and a fit that
 * goes on without them. Skipped (77) where there is no such device.
 */
#include <math.h>
#include <string.h>

#include "codec/quant.h"
#include "codec/weights.h"
#include "models/params.h"
#include "train/prune.h"
#include "train/trainer.h"
#include "device.h"
#include "small.h"

#define W 48
#define H 32
#define N 6

static NervBackend *backend; /* one for all fits, so that pipelines are made once */

typedef struct {
    NervBackend *be;
    NervModel *model;
    NervBuffer *frames;
    NervTrainer *trainer;
} Fit;

static const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H };

/* A moving wave. */
static uint8_t *paint(void)
{
    uint8_t *rgb = g_malloc((size_t)N * W * H * 3), *at = rgb;
    for (int f = 0; f < N; f++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++)
                    *at++ = (uint8_t)(128 + 100 * sin(.3 * (x + f) + .2 * y * (c + 1)));
    return rgb;
}

static Fit fit_new(const NervTrainSettings *settings)
{
    const NervClip clip = { W, H, N };
    GError *error = NULL;
    Fit fit;
    uint8_t *rgb = paint();
    fit.be = backend;
    GVariant *options =
        g_variant_ref_sink(g_variant_new_parsed("{'grids': <'3x4/2x2/1x2+1x1'>, 'flow-rows': <2>, 'strides': "
                                                "<[4, 2]>, 'widths': <[10, 8]>, 'kernels': <[1, 3]>}"));
    fit.model = nerv_model_new("nerv-grid", options, &clip, &error);
    g_assert_no_error(error);
    g_variant_unref(options);
    fit.frames = nerv_buffer_new(fit.be, (size_t)N * W * H * 3, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_buffer_upload(fit.frames, 0, rgb, (size_t)N * W * H * 3, &error));
    fit.trainer = nerv_trainer_new(
        fit.be, fit.model, &(NervFootage){ .frames = fit.frames, .pixels = &pixels }, settings, &error);
    g_assert_no_error(error);
    g_free(rgb);
    return fit;
}

static void fit_free(Fit *fit)
{
    nerv_trainer_free(fit->trainer);
    nerv_buffer_free(fit->frames);
    nerv_model_free(fit->model);
}

static NervTrainSettings settings_for(double rate_weight)
{
    NervTrainSettings s;
    nerv_train_settings_default(&s);
    s.epochs = backend->is_software && backend->n_threads == 0 ? 12 : 40; /* lavapipe is slow */
    s.learning_rate = 1e-2;
    s.beta1 = .9;
    s.beta2 = .95;
    s.l1_weight = s.ssim_weight = 0.;
    s.mse_weight = 1.;
    s.bits = 8;
    s.quantise_from = .25;
    s.rate_weight = rate_weight;
    return s;
}

static void run(Fit *fit)
{
    GError *error = NULL;
    while (!nerv_trainer_done(fit->trainer)) {
        nerv_trainer_step(fit->trainer, &error);
        g_assert_no_error(error);
    }
}

/* Evaluates one frame with given weights through the model's own tape and returns its mean squared error. */
static double frame_mse(const Fit *fit, const float *weights, int frame)
{
    GError *error = NULL;
    NervTape *t = nerv_tape_new();
    g_autofree NervTensor **leaves = g_new0(NervTensor *, fit->model->n_params);
    g_autofree float *input = g_new0(float, fit->model->input_floats);
    const int32_t index = frame;
    float mse;
    nerv_params_leaves(fit->model, t, "", leaves);
    NervTensor *in = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32,
                                    nerv_shape(1, fit->model->input_floats, 1, 1), "input");
    NervTensor *store =
        nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_U8, nerv_shape(N, 1, 1, W * H * 3), "store");
    NervTensor *at = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
    NervTensor *out = nerv_mse(t, nerv_model_build(fit->model, t, leaves, in, NULL),
                               nerv_from_pixels(t, store, at, &pixels));
    nerv_tape_output(t, out, "mse");
    NervExec *exec = nerv_exec_new(fit->be, t, &error);
    g_assert_no_error(error);
    NervParams *params = nerv_params_new(fit->be, fit->model, &error);
    g_assert_true(nerv_params_upload(params, weights, &error) &&
                  nerv_params_bind(params, exec, leaves, &error) &&
                  nerv_exec_bind(exec, store, fit->frames, 0, &error));
    nerv_model_input(fit->model, frame, input);
    g_assert_true(nerv_exec_write(exec, in, input, &error) && nerv_exec_write(exec, at, &index, &error) &&
                  nerv_exec_run(exec, &error) && nerv_exec_read(exec, out, &mse, &error));
    nerv_params_free(params);
    nerv_exec_free(exec);
    nerv_tape_free(t);
    return mse;
}

/* Length in bytes of the network that the fit would write, which is read back and compared with weights / steps. */
static guint written(const Fit *fit, float *decoded)
{
    GError *error = NULL;
    const NervModel *m = fit->model;
    g_autofree float *weights = g_new(float, m->n_weights);
    g_autofree uint16_t *steps = g_new(uint16_t, nerv_model_steps(m));
    float *back = NULL;
    NervBitWriter w;
    g_assert_true(nerv_trainer_get_params(fit->trainer, weights, &error));
    g_assert_true(nerv_trainer_get_steps(fit->trainer, steps, &error));
    nerv_writer_init(&w);
    g_assert_true(nerv_network_write_steps(m, weights, steps, NULL, &w, &error));
    NervModel *read = nerv_network_read(w.bytes->data, w.bytes->len, &m->clip, m->n_weights, &back, &error);
    g_assert_no_error(error);
    memcpy(decoded, back, (size_t)m->n_weights * sizeof(float));

    const float *value = weights;
    const uint16_t *code = steps;
    for (uint32_t i = 0; i < m->n_params; i++) {
        const NervParam *p = &m->params[i];
        const int64_t n = nerv_shape_count(p->shape), n_steps = nerv_param_steps(p);
        const int64_t run = p->role == NERV_PARAM_GRID ? (int64_t)p->shape.h * p->shape.w : n / n_steps;
        for (int64_t j = 0; j < n; j++) {
            const float step = nerv_quant_step(code[j / run % n_steps]);
            g_assert_cmpfloat(fabs(back[value - weights] - *value), <=, step * .5 * 1.0001);
            value++;
        }
        code += n_steps;
    }
    /* frozen on the lattice, four of sixteen codes an octave */
    for (int64_t i = 0; i < nerv_model_steps(m); i++)
        g_assert_cmpuint(steps[i] % 4, ==, 0);
    const guint bytes = w.bytes->len;
    nerv_writer_clear(&w);
    nerv_model_free(read);
    g_free(back);
    return bytes;
}

static double fit_and_write(double rate_weight, guint *bytes, double *estimate)
{
    const NervTrainSettings s = settings_for(rate_weight);
    NervTrainProgress p;
    Fit fit = fit_new(&s);
    g_autofree float *decoded = g_new(float, fit.model->n_weights);
    run(&fit);
    nerv_trainer_progress(fit.trainer, &p);
    *bytes = written(&fit, decoded);
    *estimate = p.bits / 8;
    double mse = 0.;
    for (int i = 0; i < N; i++)
        mse += frame_mse(&fit, decoded, i) / N;
    fit_free(&fit);
    /* The last epoch was evaluated with nearly these weights. */
    g_assert_cmpfloat(fabs(p.psnr + 10. * log10(mse)), <, 1.);
    return mse;
}

static void test_rate(void)
{
    guint bytes[2];
    double mse[2], estimate[2];
    mse[0] = fit_and_write(1e-4, &bytes[0], &estimate[0]);
    mse[1] = fit_and_write(1e-2, &bytes[1], &estimate[1]);
    g_test_message("%u bytes (estimated %.0f) %g, %u bytes (%.0f) %g", bytes[0], estimate[0], mse[0],
                   bytes[1], estimate[1], mse[1]);
    g_assert_cmpfloat(mse[0], <, .01);
    g_assert_cmpuint(bytes[1], <, bytes[0] * 3 / 4);
    g_assert_cmpfloat(mse[1], >, mse[0]);
    for (int i = 0; i < 2; i++) { /* steps and biases come on top of a few thousand weights */
        g_assert_cmpfloat(bytes[i], <, estimate[i] * 1.3 + 200);
        g_assert_cmpfloat(bytes[i], >, estimate[i] * .5);
    }
}

/* Few indices and no rate: what rows grow to in the fit still finds its place. From weights that are a tenth of the usual ones, so that all
 * must grow. */
static void test_narrow(void)
{
    NervTrainSettings s = settings_for(0.);
    GError *error = NULL;
    s.bits = 4;
    s.epochs *= 2;
    s.quantise_from = .01;
    Fit fit = fit_new(&s);
    g_autofree float *weights = g_new(float, fit.model->n_weights);
    g_assert_true(nerv_trainer_get_params(fit.trainer, weights, &error));
    for (int64_t i = 0; i < fit.model->n_weights; i++)
        weights[i] *= .1f;
    g_assert_true(nerv_trainer_set_params(fit.trainer, weights, &error));
    run(&fit);
    NervTrainProgress p;
    nerv_trainer_progress(fit.trainer, &p);
    g_test_message("%.2f dB", p.psnr);
    g_assert_cmpfloat(p.psnr, >, s.epochs < 40 ? 30. : 37.3); /* rows that stay as wide as they were: 36.2 */
    written(&fit, weights);
    fit_free(&fit);
}

/* Quantised in its first step too: steps are there, before none. */
static void test_early(void)
{
    NervTrainSettings s = settings_for(1e-3);
    GError *error = NULL;
    s.quantise_from = 1. / (s.epochs * N);
    Fit fit = fit_new(&s);
    g_autofree uint16_t *steps = g_new(uint16_t, nerv_model_steps(fit.model));
    g_assert_true(nerv_trainer_step(fit.trainer, &error));
    g_assert_false(nerv_trainer_get_steps(fit.trainer, steps, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    const bool vulkan = !strcmp(fit.be->klass->name, "vulkan");
    for (int i = 0; i < 4; i++) {
        g_assert_true(nerv_trainer_step(fit.trainer, &error));
        const NervBackendStats before = fit.be->stats;
        g_assert_true(nerv_trainer_step(fit.trainer, &error));
        g_assert_cmpuint(fit.be->stats.submissions, ==, before.submissions + vulkan);
        g_assert_cmpuint(fit.be->stats.recordings, ==, before.recordings);
    }
    g_assert_true(nerv_trainer_get_steps(fit.trainer, steps, &error));
    for (int64_t i = 0; i < nerv_model_steps(fit.model); i++)
        g_assert_cmpuint(steps[i], >, 0);
    fit_free(&fit);
}

/* The largest change of a parameter's weights. */
static double moved(const NervModel *model, const char *name, const float *from, const float *to)
{
    double most = 0.;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        for (int64_t j = 0; g_str_equal(model->params[i].name, name) && j < n; j++)
            most = fmax(most, fabs((double)(to[j] - from[j])));
        from += n;
        to += n;
    }
    return most;
}

/* Steps of a head that has become small are as much smaller: at a rate that stayed they would be noise. */
static void test_head(void)
{
    NervTrainSettings s = settings_for(0.);
    GError *error = NULL;
    s.bits = 0;
    s.warmup = 0.;
    s.steps = 1000;
    Fit fit = fit_new(&s);
    const int64_t n = fit.model->n_weights;
    g_autofree float *from = g_new(float, n), *to = g_new(float, n);
    for (int i = 0; i < 100; i++)
        g_assert_true(nerv_trainer_step(fit.trainer, &error));
    g_assert_true(nerv_trainer_get_params(fit.trainer, from, &error));
    float *at = from;
    for (uint32_t i = 0; i < fit.model->n_params; i++) {
        const int64_t count = nerv_shape_count(fit.model->params[i].shape);
        for (int64_t j = 0; g_str_equal(fit.model->params[i].name, "head.weight") && j < count; j++)
            at[j] *= .01f;
        at += count;
    }
    g_assert_true(nerv_trainer_set_params(fit.trainer, from, &error));
    g_assert_true(nerv_trainer_step(fit.trainer, &error));
    g_assert_true(nerv_trainer_get_params(fit.trainer, to, &error));
    const double head = moved(fit.model, "head.weight", from, to),
                 block = moved(fit.model, "block1.weight", from, to);
    g_test_message("a step of the head %g, of a block %g", head, block);
    g_assert_cmpfloat(head, >, 0.);
    g_assert_cmpfloat(head, <, .05 * block);
    fit_free(&fit);
}

static int64_t n_zeros(const float *w, int64_t n)
{
    int64_t zeros = 0;
    for (int64_t i = 0; i < n; i++)
        zeros += w[i] == 0.f;
    return zeros;
}

static double mean_mse(const Fit *fit, const float *weights)
{
    double mse = 0.;
    for (int i = 0; i < N; i++)
        mse += frame_mse(fit, weights, i) / N;
    return mse;
}

/* Zeros come where pruning begins, as many as asked for, and are the same ones at the end; what is left makes good for them. */
static void test_pruning(void)
{
    NervTrainSettings s = settings_for(0.);
    GError *error = NULL;
    s.bits = 0;
    s.pruning = .5;
    s.prune_at = .6;
    Fit fit = fit_new(&s);
    const int64_t n = fit.model->n_weights, pruned = nerv_prune_eligible(fit.model) / 2;
    const uint32_t at = (uint32_t)ceil(s.prune_at * s.epochs * N);
    g_autofree float *full = g_new(float, n), *cut = g_new(float, n), *end = g_new(float, n);
    g_autofree float *mask = g_new(float, n);
    for (uint32_t i = 0; i < at; i++)
        g_assert_true(nerv_trainer_step(fit.trainer, &error));
    g_assert_true(nerv_trainer_get_params(fit.trainer, full, &error));
    g_assert_cmpint(n_zeros(full, n), ==, 0);
    g_assert_true(nerv_trainer_step(fit.trainer, &error));
    g_assert_true(nerv_trainer_get_params(fit.trainer, cut, &error));
    g_assert_cmpint(n_zeros(cut, n), ==, pruned);
    run(&fit);
    g_assert_true(nerv_trainer_get_params(fit.trainer, end, &error));
    memcpy(cut, full, (size_t)n * sizeof(float));
    g_assert_true(nerv_prune(fit.model, s.pruning, cut, mask, &error));
    int64_t moved = 0;
    for (int64_t i = 0; i < n; i++) {
        g_assert_cmpint(end[i] == 0.f, ==, mask[i] == 0.f);
        moved += end[i] != cut[i];
    }
    g_assert_cmpint(moved, >, (n - pruned) * 9 / 10);
    const double before = mean_mse(&fit, full), after_cut = mean_mse(&fit, cut), after = mean_mse(&fit, end);
    g_test_message("%g, pruned %g, at the end %g", before, after_cut, after);
    g_assert_cmpfloat(after, <, after_cut * .8);
    g_assert_cmpfloat(after, <, before * 2);
    fit_free(&fit);
}

/* A fit that is pruned is until then the fit of as many steps that is not. */
static void test_pruning_begins(void)
{
    NervTrainSettings s = settings_for(0.);
    GError *error = NULL;
    s.bits = 0;
    s.epochs = 3;
    Fit whole = fit_new(&s);
    run(&whole);
    s.epochs = 6;
    s.pruning = .5;
    s.prune_at = .5;
    Fit fit = fit_new(&s);
    const int64_t n = fit.model->n_weights;
    g_autofree float *a = g_new(float, n), *b = g_new(float, n);
    for (uint32_t i = 0; i < 3 * N; i++)
        g_assert_true(nerv_trainer_step(fit.trainer, &error));
    g_assert_true(nerv_trainer_get_params(whole.trainer, a, &error));
    g_assert_true(nerv_trainer_get_params(fit.trainer, b, &error));
    for (int64_t i = 0; i < n; i++)
        g_assert_cmpfloat(fabsf(a[i] - b[i]), <=, 1e-4);
    fit_free(&fit);
    fit_free(&whole);
}

/* However the fit ends: what was asked for is zero, even where the time was over before it began. */
static void test_pruning_ends(void)
{
    static const double prune_at[] = { 0., .5, 1. };
    static const gint64 from_now_us[] = { 0, 50000, -1000000 }; /* 0: by steps */
    for (int i = 0; i < 9; i++) {
        NervTrainSettings s = settings_for(0.);
        GError *error = NULL;
        s.bits = 0;
        s.epochs = 1;
        s.pruning = .5;
        s.prune_at = prune_at[i / 3];
        s.deadline_us = from_now_us[i % 3] ? g_get_monotonic_time() + from_now_us[i % 3] : 0;
        Fit fit = fit_new(&s);
        const int64_t n = fit.model->n_weights;
        g_autofree float *w = g_new(float, n);
        run(&fit);
        g_assert_true(nerv_trainer_get_params(fit.trainer, w, &error));
        g_assert_cmpint(n_zeros(w, n), ==, nerv_prune_eligible(fit.model) / 2);
        for (int64_t j = 0; j < n; j++)
            g_assert_true(isfinite(w[j]));
        fit_free(&fit);
    }
}

/* Ranges of the settings; and no steps without quantisation. */
static void test_settings(void)
{
    NervTrainSettings s = settings_for(1e-3);
    GError *error = NULL;
    s.bits = 0;
    Fit fit = fit_new(&s);
    uint16_t code;
    run(&fit);
    g_assert_false(nerv_trainer_get_steps(fit.trainer, &code, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    static const struct {
        uint32_t bits;
        double from, rate, pruning, prune_at;
    } bad[] = { { 1, 0, 0, 0, 0 },  { 13, 0, 0, 0, 0 },  { 8, -.1, 0, 0, 0 }, { 8, 1.1, 0, 0, 0 },
                { 8, 0, -1, 0, 0 }, { 8, 0, NAN, 0, 0 }, { 8, 0, 0, .1, .5 }, { 0, 0, 0, -.1, .5 },
                { 0, 0, 0, 1, .5 }, { 0, 0, 0, NAN, 0 }, { 0, 0, 0, .5, -1 }, { 0, 0, 0, .5, 1.5 } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        s.bits = bad[i].bits;
        s.quantise_from = bad[i].from;
        s.rate_weight = bad[i].rate;
        s.pruning = bad[i].pruning;
        s.prune_at = bad[i].prune_at;
        g_assert_null(nerv_trainer_new(
            fit.be, fit.model, &(NervFootage){ .frames = fit.frames, .pixels = &pixels }, &s, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_clear_error(&error);
    }
    fit_free(&fit);
}

/* Estimated bits of a network in rows of steps, biases apart, as docs/ops.md has them. */
static double estimate(const NervModel *model, const float *w, const float *steps)
{
    double bits = 0.;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), n_rows = nerv_param_steps(p);
        const int64_t cells = p->role == NERV_PARAM_GRID ? (int64_t)p->shape.h * p->shape.w : n / n_rows;
        for (int64_t k = 0; p->role != NERV_PARAM_BIAS && k < n_rows; k++) {
            double sum = 0.;
            for (int64_t j = 0; j < n; j++)
                sum += j / cells % n_rows == k ? fabs(w[j]) : 0.;
            const double m = fmax(sum * (double)n_rows / (double)n / exp2(steps[k]), 1e-3);
            const double theta = (sqrt(1. + m * m) - 1.) / m;
            bits += (double)n / (double)n_rows * (-log2((1. - theta) / (1. + theta)) - m * log2(theta));
        }
        w += n;
        steps += n_rows;
    }
    return bits;
}

/* The first steps are as coarse as the bits need, by one factor, of 8 at most; biases' stay. */
static void test_first_steps(void)
{
    NervModel *model = small_grid_new("3x4/2x2/1x2", 40, 24, 6);
    const gsize n_steps = (gsize)nerv_model_steps(model);
    g_autofree float *w = g_new(float, model->n_weights), *fine = g_new(float, n_steps);
    g_autofree float *coarse = g_new(float, n_steps);
    nerv_model_init_params(model, 3, w);
    g_assert_true(nerv_steps_first(model, 8, w, 0., fine));
    const double bits = estimate(model, w, fine);
    g_assert_cmpfloat(bits, >, 3. * (double)model->n_weights);
    static const double parts[] = { 2., 1., .7, .5, .01 };
    for (size_t k = 0; k < G_N_ELEMENTS(parts); k++) {
        float shift = -1.f;
        gsize at = 0;
        g_assert_true(nerv_steps_first(model, 8, w, parts[k] * bits * 1.0001, coarse));
        for (uint32_t i = 0; i < model->n_params; i++)
            for (int64_t r = nerv_param_steps(&model->params[i]); r > 0; r--, at++) {
                const float by = coarse[at] - fine[at];
                if (model->params[i].role == NERV_PARAM_BIAS) {
                    g_assert_cmpfloat(by, ==, 0.f);
                    continue;
                }
                shift = shift < 0.f ? by : shift;
                g_assert_cmpfloat(fabsf(by - shift), <, 1e-4f);
            }
        const double got = estimate(model, w, coarse);
        g_test_message("%.0f bits of %.0f wanted, %.2f octaves", got, parts[k] * bits, shift);
        if (parts[k] >= 1.)
            g_assert_cmpfloat(shift, ==, 0.f);
        else if (parts[k] > .1)
            g_assert_true(got <= parts[k] * bits * 1.0002 && got > parts[k] * bits * .98);
        else
            g_assert_cmpfloat(fabsf(shift - 3.f), <, .02f);
    }
    nerv_model_free(model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    backend = nerv_backend_open(test_device_name(argc, argv), 2, NULL);
    if (!backend)
        return 77;
    g_test_add_func("/trainer/rate", test_rate);
    g_test_add_func("/trainer/narrow", test_narrow);
    g_test_add_func("/trainer/first-steps", test_first_steps);
    g_test_add_func("/trainer/early", test_early);
    g_test_add_func("/trainer/head", test_head);
    g_test_add_func("/trainer/pruning", test_pruning);
    g_test_add_func("/trainer/pruning-begins", test_pruning_begins);
    g_test_add_func("/trainer/pruning-ends", test_pruning_ends);
    g_test_add_func("/trainer/settings", test_settings);
    const int status = g_test_run();
    nerv_backend_free(backend);
    return status;
}

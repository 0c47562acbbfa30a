/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the seam promises of an exec, on the device named as the argument: slots keep runs in flight apart, profiles time the
 * right steps, and on Vulkan a training step is one submission and nothing else. Skipped (77) where there is no such
 * device.
 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "train/trainer.h"
#include "device.h"

static const char *device;

static NervBackend *open_device(void)
{
    GError *error = NULL;
    NervBackend *be = nerv_backend_open(device, 2, &error);
    g_assert_no_error(error);
    return be;
}

/* --- what a training step costs --- */

typedef struct {
    NervModel *model;
    NervBuffer *frames;
    NervTrainer *trainer;
} Fit;

static Fit fit_new(NervBackend *be)
{
    const NervClip clip = { 40, 24, 3 };
    const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = 40, .height = 24 };
    NervTrainSettings settings;
    GError *error = NULL;
    Fit fit;
    uint8_t *bytes = g_malloc(3 * nerv_pixels_bytes(&pixels));
    for (size_t i = 0; i < 3 * nerv_pixels_bytes(&pixels); i++)
        bytes[i] = (uint8_t)(i * 37 >> 3);
    nerv_train_settings_default(&settings);
    settings.epochs = 10;
    settings.batch_size = 2;
    GVariant *options =
        g_variant_ref_sink(g_variant_new_parsed("{'strides': <[2, 2]>, 'widths': <[8, 6]>, 'stem': <16>}"));
    fit.model = nerv_model_new("nerv-mlp", options, &clip, &error);
    g_assert_no_error(error);
    g_variant_unref(options);
    fit.frames = nerv_buffer_new(be, 3 * nerv_pixels_bytes(&pixels), &error);
    g_assert_no_error(error);
    g_assert_true(nerv_buffer_upload(fit.frames, 0, bytes, 3 * nerv_pixels_bytes(&pixels), &error));
    fit.trainer = nerv_trainer_new(be, fit.model, &(NervFootage){ .frames = fit.frames, .pixels = &pixels },
                                   &settings, &error);
    g_assert_no_error(error);
    g_free(bytes);
    return fit;
}

static void fit_free(Fit *fit)
{
    nerv_trainer_free(fit->trainer);
    nerv_buffer_free(fit->frames);
    nerv_model_free(fit->model);
}

static void test_step_cost(void)
{
    NervBackend *be = open_device();
    GError *error = NULL;
    Fit fit = fit_new(be);
    const bool vulkan = !strcmp(be->klass->name, "vulkan");
    g_assert_true(nerv_trainer_step(fit.trainer, &error));
    for (int i = 0; i < 8; i++) {
        const NervBackendStats before = be->stats;
        const size_t live = be->live_bytes;
        g_assert_true(nerv_trainer_step(fit.trainer, &error));
        g_assert_cmpuint(be->stats.submissions, ==, before.submissions + vulkan);
        g_assert_cmpuint(be->stats.allocations, ==, before.allocations);
        g_assert_cmpuint(be->stats.recordings, ==, before.recordings);
        g_assert_cmpuint(be->stats.descriptors, ==, before.descriptors);
        g_assert_cmpuint(be->stats.pipelines, ==, before.pipelines);
        g_assert_cmpuint(be->live_bytes, ==, live);
    }
    /* The counters do count. */
    g_assert_cmpint(be->stats.recordings > 0 && be->stats.descriptors > 0 && be->stats.pipelines > 0 &&
                        be->stats.allocations > 0,
                    ==, vulkan);
    fit_free(&fit);
    nerv_backend_free(be);
}

/* --- slots --- */

typedef struct {
    NervTape *tape;
    NervTensor *x, *w, *y;
    NervExec *exec;
    NervBuffer *weights;
} Product;

enum { COUNT = 3000 };

/* y = x w + 1, x an input, w a parameter. */
static Product product_new(NervBackend *be, float weight)
{
    GError *error = NULL;
    Product p;
    float w[COUNT];
    for (int i = 0; i < COUNT; i++)
        w[i] = weight;
    p.tape = nerv_tape_new();
    p.x = nerv_tape_leaf(p.tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 1, 1, COUNT), "x");
    p.w = nerv_tape_leaf(p.tape, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, 1, 1, COUNT), "w");
    p.y = nerv_affine(p.tape, nerv_mul(p.tape, p.x, p.w), 1.f, 1.f);
    nerv_tape_output(p.tape, p.y, "y");
    p.exec = nerv_exec_new(be, p.tape, &error);
    g_assert_no_error(error);
    p.weights = nerv_buffer_new(be, sizeof(w), &error);
    g_assert_no_error(error);
    g_assert_true(nerv_buffer_upload(p.weights, 0, w, sizeof(w), &error));
    g_assert_true(nerv_exec_bind(p.exec, p.w, p.weights, 0, &error));
    return p;
}

static void product_free(Product *p)
{
    nerv_exec_free(p->exec);
    nerv_buffer_free(p->weights);
    nerv_tape_free(p->tape);
}

static void start(const Product *p, uint32_t slot, float value)
{
    GError *error = NULL;
    float x[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = value + (float)i;
    nerv_exec_use_slot(p->exec, slot);
    g_assert_true(nerv_exec_write(p->exec, p->x, x, &error));
    g_assert_true(nerv_exec_run(p->exec, &error));
}

static void finish(const Product *p, uint32_t slot, float value, float weight)
{
    GError *error = NULL;
    float y[COUNT];
    nerv_exec_use_slot(p->exec, slot);
    g_assert_true(nerv_exec_read(p->exec, p->y, y, &error));
    for (int i = 0; i < COUNT; i++)
        g_assert_cmpfloat(y[i], ==, (value + (float)i) * weight + 1.f);
}

static void test_slots(void)
{
    NervBackend *be = open_device();
    GError *error = NULL;
    const size_t live = be->live_bytes;
    Product p = product_new(be, 2.f);
    g_assert_false(nerv_exec_set_slots(p.exec, 0, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(nerv_exec_set_slots(p.exec, NERV_MAX_SLOTS + 1, &error));
    g_clear_error(&error);
    start(&p, 0, 5.f);
    finish(&p, 0, 5.f, 2.f);
    /* More slots: the first keeps its outputs, the others are apart, in whatever order they are read. */
    g_assert_true(nerv_exec_set_slots(p.exec, 3, &error));
    finish(&p, 0, 5.f, 2.f);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t s = 0; s < 3; s++)
            start(&p, s, (float)(10 * round + s));
        for (uint32_t s = 0; s < 3; s++)
            finish(&p, (s + round) % 3, (float)(10 * round + (s + round) % 3), 2.f);
    }
    /* A ring, as a decoder would go: two ahead of the one that is read. */
    const uint64_t recordings = be->stats.recordings;
    for (uint32_t frame = 0; frame < 12; frame++) {
        start(&p, frame % 3, (float)frame);
        if (frame >= 2)
            finish(&p, (frame - 2) % 3, (float)(frame - 2), 2.f);
    }
    g_assert_cmpuint(be->stats.recordings, ==, recordings);
    /* A slot runs again with the inputs that it has; its neighbour's do not matter. */
    nerv_exec_use_slot(p.exec, 1);
    g_assert_true(nerv_exec_run(p.exec, &error));
    finish(&p, 1, 10.f, 2.f);
    /* Rebinding means every slot. */
    NervBuffer *other = nerv_buffer_new(be, COUNT * sizeof(float), &error);
    g_assert_no_error(error);
    start(&p, 0, 7.f);
    g_assert_true(nerv_exec_bind(p.exec, p.w, other, 0, &error));
    finish(&p, 0, 7.f, 2.f);
    for (uint32_t s = 0; s < 3; s++)
        start(&p, s, 3.f);
    for (uint32_t s = 0; s < 3; s++)
        finish(&p, s, 3.f, 0.f);
    g_assert_true(nerv_exec_bind(p.exec, p.w, p.weights, 0, &error));
    start(&p, 2, 1.f);
    g_assert_true(nerv_exec_set_slots(p.exec, 1, &error));
    start(&p, 0, 9.f);
    finish(&p, 0, 9.f, 2.f);
    product_free(&p);
    nerv_buffer_free(other);
    /* Freed while a run is under way. */
    p = product_new(be, 1.f);
    g_assert_true(nerv_exec_set_slots(p.exec, NERV_MAX_SLOTS, &error));
    for (uint32_t s = 0; s < NERV_MAX_SLOTS; s++)
        start(&p, s, 0.f);
    product_free(&p);
    g_assert_cmpuint(be->live_bytes, <=, live + (4 << 20)); /* but for a staging buffer */
    nerv_backend_free(be);
}

/* Memory that is not to be had leaves the exec as it was. */
static void test_slots_memory(void)
{
    NervBackend *be = open_device();
    GError *error = NULL;
    Product p = product_new(be, 2.f);
    be->limit_bytes = be->live_bytes + 1000;
    const size_t live = be->live_bytes;
    start(&p, 0, 4.f);
    g_assert_false(nerv_exec_set_slots(p.exec, 3, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_MEMORY);
    g_clear_error(&error);
    g_assert_cmpuint(be->live_bytes, ==, live);
    g_assert_cmpuint(p.exec->n_slots, ==, 1);
    finish(&p, 0, 4.f, 2.f);
    product_free(&p);
    nerv_backend_free(be);
}

/* --- profiles --- */

static void test_profile(void)
{
    NervBackend *be = open_device();
    GError *error = NULL;
    NervTape *tape = nerv_tape_new();
    NervTensor *x = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 32, 48, 48), "x");
    NervTensor *w = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(32, 32, 3, 3), "w");
    NervTensor *y = nerv_affine(tape, nerv_conv2d(tape, x, w, NULL, 1, 1), 2.f, 0.f);
    nerv_tape_output(tape, y, "y");
    NervExec *exec = nerv_exec_new(be, tape, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(exec->plan->n_steps, ==, 2);
    g_assert_cmpfloat(nerv_plan_profile(exec->plan, 0), ==, 0.);
    g_assert_true(nerv_exec_run(exec, &error));
    g_assert_true(nerv_exec_set_slots(exec, 2, &error));
    if (!nerv_exec_profile(exec, true, &error)) {
        g_assert_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED);
        g_clear_error(&error);
        g_test_skip("no timestamps");
    } else {
        const gint64 start_us = g_get_monotonic_time();
        for (int i = 0; i < 5; i++) {
            nerv_exec_use_slot(exec, (uint32_t)i % 2);
            g_assert_true(nerv_exec_run(exec, &error));
            g_assert_true(nerv_exec_wait(exec, &error));
        }
        const double elapsed_ns = (double)(g_get_monotonic_time() - start_us + 1) * 1e3;
        const double conv_ns = nerv_plan_profile(exec->plan, 0), affine_ns = nerv_plan_profile(exec->plan, 1);
        g_test_message("conv2d %.0f ns, affine %.0f ns", conv_ns, affine_ns);
        g_assert_cmpuint(exec->plan->profile.n_runs, ==, 5);
        g_assert_cmpfloat(conv_ns, >, affine_ns); /* 288 times the arithmetic */
        g_assert_cmpfloat(5. * (conv_ns + affine_ns), <=, elapsed_ns * 1.01);
        g_assert_cmpfloat(5. * (conv_ns + affine_ns), >=, elapsed_ns * 0.001);
        g_assert_true(nerv_exec_profile(exec, false, &error));
        g_assert_true(nerv_exec_run(exec, &error));
        g_assert_true(nerv_exec_wait(exec, &error));
        g_assert_cmpuint(exec->plan->profile.n_runs, ==, 5); /* kept, and no longer added to */
        g_assert_true(nerv_exec_profile(exec, true, &error));
        g_assert_cmpuint(exec->plan->profile.n_runs, ==, 0);
    }
    nerv_exec_free(exec);
    nerv_tape_free(tape);
    nerv_backend_free(be);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    NervBackend *be = nerv_backend_open(device, 1, NULL);
    if (!be)
        return 77;
    nerv_backend_free(be);
    g_test_add_func("/exec/step-cost", test_step_cost);
    g_test_add_func("/exec/slots", test_slots);
    g_test_add_func("/exec/slots-memory", test_slots_memory);
    g_test_add_func("/exec/profile", test_profile);
    return g_test_run();
}

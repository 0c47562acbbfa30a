/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * MAML against PyTorch's (make_golden_meta.py): losses in front of the inner steps and behind them, and the second-order gradient in the start and in the
 * inner rates, of a network of two guided stages, on every CPU level and on Vulkan.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits.h"
#include "models/blocks.h"
#include "models/start.h"
#include "train/meta.h"

/* How much of a gradient second order is, at least: else a first-order gradient would pass as well. */
#define LEAST_SECOND_ORDER 10 /* times the tolerance */

static GoldenFile *file;

static int32_t number(const char *option)
{
    return atoi(golden_option(file, option));
}

static NervModel *make_model(void)
{
    g_autoptr(GError) error = NULL;
    const NervClip clip = { number("width"), number("height"), number("frames") };
    g_autoptr(GVariant) shared =
        fits_options(file, (const char *const[]){ NULL }, (const char *const[]){ "widths", "strides", NULL },
                     (const char *const[]){ "grids", NULL });
    GVariantDict dict;
    g_variant_dict_init(&dict, shared);
    g_variant_dict_insert(&dict, "flow-rows", "i", 0);
    g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_dict_end(&dict));
    NervModel *model = nerv_model_new("nerv", options, &clip, &error);
    g_assert_no_error(error);
    return model;
}

/* What the network has, and a convolution for each stage. */
static NervModel whole_of(const NervModel *model)
{
    NervModel whole = { .params = g_new0(NervParam, model->n_params + 4) };
    static const char *const names[] = { "stage0", "stage1" };
    for (; whole.n_params < model->n_params; whole.n_params++) {
        whole.params[whole.n_params] = model->params[whole.n_params];
        whole.params[whole.n_params].shape = nerv_start_shape(&model->params[whole.n_params]);
        whole.n_weights += nerv_shape_count(whole.params[whole.n_params].shape);
    }
    g_auto(GStrv) widths = g_strsplit(golden_option(file, "widths"), ",", -1);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        nerv_model_add_layer(&whole, names[i], 3, atoi(widths[i]), 1);
    return whole;
}

static void set_start(NervMeta *meta, const NervModel *whole)
{
    g_autoptr(GError) error = NULL;
    const size_t n = nerv_meta_state_count(meta);
    g_autofree float *state = g_new(float, n), *start = fits_params(file, whole, "start.");
    const float *rates = golden_floats(file, "rates", whole->n_params);
    nerv_meta_get_state(meta, state);
    memcpy(state, start, (size_t)whole->n_weights * sizeof(*state));
    memcpy(state + whole->n_weights, rates, whole->n_params * sizeof(*state));
    nerv_meta_set_state(meta, state, n, &error);
    g_assert_no_error(error);
}

/* The largest magnitude, and by how much the first-order gradient is off. */
static void expect_second_order(const NervParam *p, const float *got)
{
    const int64_t n = nerv_shape_count(p->shape);
    g_autofree char *name = g_strconcat("first.", p->name, NULL);
    const float *first = golden_floats(file, name, n);
    double largest = 0.;
    for (int64_t i = 0; i < n; i++)
        largest = MAX(largest, fabs((double)got[i]));
    g_assert_cmpfloat(fits_difference(got, first, n), >,
                      LEAST_SECOND_ORDER * FITS_GRADIENT_TOLERANCE * largest);
}

static void test_maml(gconstpointer data)
{
    const FitsDevice *d = data;
    g_autoptr(GError) error = NULL;
    if (fits_missing(d))
        return;
    NervModel *model = make_model(), whole = whole_of(model);
    const NervPixels pixels = { .format = NERV_PIXELS_RGB,
                                .width = model->clip.width,
                                .height = model->clip.height };
    NervBuffer *frames = fits_pictures(file, "frames", d->be, 0, model->clip.n_frames);
    NervMetaSettings s;
    nerv_meta_settings_default(&s);
    s.relative = false;
    s.learner = NERV_META_MAML;
    s.inner_steps = (uint32_t)number("steps");
    s.batch = (uint32_t)model->clip.n_frames; /* all frames in each step: their order is of no matter */
    s.inner_rate = g_ascii_strtod(golden_option(file, "rate"), NULL);
    s.spatial = g_ascii_strtod(golden_option(file, "spatial"), NULL);
    s.learn_rates = true;
    NervMeta *meta = nerv_meta_new(d->be, model, &pixels, NULL, &s, &error);
    g_assert_no_error(error);
    set_start(meta, &whole);

    NervMetaLoss loss;
    nerv_meta_learn(meta, &(NervFootage){ .frames = frames, .pixels = &pixels }, model->n_runs, NULL, &loss,
                    &error);
    g_assert_no_error(error);
    const float *losses = golden_floats(file, "losses", 2);
    fits_expect_loss(loss.before, losses[0], 0);
    fits_expect_loss(loss.after, losses[1], 1);
    const float *got = nerv_meta_gradient(meta);
    for (uint32_t i = 0; i < whole.n_params; i++) {
        fits_expect_gradient(file, &whole.params[i], "grad.", got);
        expect_second_order(&whole.params[i], got);
        got += nerv_shape_count(whole.params[i].shape);
    }
    NervParam rates = { .name = "rate-gradients", .shape = { 1, (int32_t)whole.n_params, 1, 1 } };
    fits_expect_gradient(file, &rates, "", got);

    nerv_meta_free(meta);
    nerv_buffer_free(frames);
    g_free(whole.params);
    nerv_model_free(model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fits_devices_open();
    file = fits_file("meta");
    for (size_t d = 0; d < FITS_N_DEVICES; d++) {
        g_autofree char *path = g_strdup_printf("/golden/meta/%s", fits_devices[d].name);
        g_test_add_data_func(path, &fits_devices[d], test_maml);
    }
    const int status = g_test_run();
    fits_devices_close();
    golden_file_free(file);
    return status;
}

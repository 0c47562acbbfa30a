/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NeRV's configurations: the paper's parameter counts from the built tape, free options and their errors, any
 * frame size, configuration written and read back.
 */
#include <math.h>
#include <string.h>

#include "models/grid.h"
#include "models/nerv.h"
#include "models/params.h"
#include "models/pixelwise.h"

static GVariant *parse(const char *text)
{
    return text ? g_variant_ref_sink(g_variant_new_parsed(text)) : NULL;
}

static NervModel *make(const char *name, const char *options, int w, int h, int n, GError **error)
{
    const NervClip clip = { w, h, n };
    GVariant *v = parse(options);
    NervModel *model = nerv_model_new(name, v, &clip, error);
    if (v)
        g_variant_unref(v);
    return model;
}

/* Builds the network and counts what its tape has in weights; checks the output's shape on the way. */
static int64_t count_from_tape(const NervModel *model)
{
    NervTape *tape = nerv_tape_new();
    NervTensor **leaves = g_new0(NervTensor *, model->n_params);
    int64_t count = 0;
    nerv_params_leaves(model, tape, "", leaves);
    NervTensor *input =
        nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, model->input_floats, 1, 1), "input");
    NervTensor *rgb = nerv_model_build(model, tape, leaves, input, NULL);
    GError *error = NULL;
    nerv_tape_check(tape, &error);
    g_assert_no_error(error);
    g_assert_nonnull(rgb);
    g_assert_true(nerv_shape_equal(rgb->shape, nerv_shape(1, 3, model->clip.height, model->clip.width)));
    for (guint i = 0; i < tape->tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tape->tensors, i);
        if (t->kind == NERV_TENSOR_PARAM)
            count += nerv_shape_count(t->shape);
    }
    g_free(leaves);
    nerv_tape_free(tape);
    return count;
}

static void test_paper_counts(void)
{
    static const struct {
        const char *name;
        double millions;
    } sizes[] = { { "nerv-s", 3.202 }, { "nerv-m", 6.282 }, { "nerv-l", 12.525 } };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        GError *error = NULL;
        NervModel *model = make(sizes[i].name, NULL, 1280, 720, 132, &error);
        g_assert_no_error(error);
        const int64_t count = count_from_tape(model);
        g_assert_cmpint(count, ==, model->n_weights);
        g_assert_cmpfloat(fabs((double)count * 1e-6 - sizes[i].millions), <, 0.0005);
        nerv_model_free(model);
    }
}

/* 1080p uses strides 5,3,2,2,2 and the same base grid. */
static void test_paper_strides(void)
{
    static const struct {
        int w, h, n, stride[NERV_MAX_BLOCKS];
    } cases[] = { { 1280, 720, 5, { 5, 2, 2, 2, 2 } },
                  { 1920, 1080, 5, { 5, 3, 2, 2, 2 } },
                  { 320, 180, 3, { 5, 2, 2 } } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        NervModel *model = make("nerv-s", NULL, cases[i].w, cases[i].h, 1, NULL);
        const NervNerv *nerv = (const NervNerv *)model;
        g_assert_cmpint(nerv->config.n_blocks, ==, cases[i].n);
        g_assert_cmpmem(nerv->config.stride, sizeof(nerv->config.stride), cases[i].stride,
                        sizeof(cases[i].stride));
        g_assert_cmpint(nerv->grid_h, ==, 9);
        g_assert_cmpint(nerv->grid_w, ==, 16);
        nerv_model_free(model);
    }
}

static void test_free_configuration(void)
{
    GError *error = NULL;
    NervModel *model =
        make("nerv-mlp", "{'stem': <64>, 'base-channels': <8>, 'widths': <[24,16,12]>, 'strides': <[5,2,2]>}",
             320, 180, 32, &error);
    g_assert_no_error(error);
    g_assert_cmpint(count_from_tape(model), ==, 144751);
    nerv_model_free(model);
}

/* Levels, several grids of one level, as many as there may be; names and counts by hand. */
static void test_grids(void)
{
    static const char options[] =
        "{'grids': <'6x4+3x2/2x1//1x3'>, 'widths': <[8,6,5]>, 'strides': <[5,2,2]>, 'kernels': <[1,3,3]>}";
    GError *error = NULL;
    float x[4];
    NervModel *model = make("nerv-grid", options, 320, 180, 7, &error);
    g_assert_no_error(error);
    const int64_t grids = (6 * 4 + 3 * 2) * 144 + 2 * 144 * 25 + 3 * 180 * 320;
    const int64_t layers = (6 + 1) * 8 * 25 + (9 * 9 + 1) * 6 * 4 + (6 * 9 + 1) * 5 * 4 + (8 * 9 + 1) * 3;
    g_assert_cmpint(model->n_weights, ==, grids + layers);
    g_assert_cmpint(count_from_tape(model), ==, model->n_weights);
    g_assert_cmpstr(model->params[0].name, ==, "grid0");
    g_assert_cmpint(model->params[0].role, ==, NERV_PARAM_GRID);
    g_autofree char *text = nerv_model_describe(model);
    g_assert_nonnull(strstr(text, "6x4+3x2/2x1//1x3"));

    /* the first frame has the first row, the last the last */
    g_assert_cmpint(model->input_floats, ==, 4);
    nerv_model_input(model, 0, x);
    for (int i = 0; i < 4; i++)
        g_assert_cmpfloat(x[i], ==, 0.f);
    nerv_model_input(model, 3, x);
    g_assert_cmpfloat(x[0], ==, 2.5f);
    g_assert_cmpfloat(x[1], ==, 1.f);
    nerv_model_input(model, 6, x);
    g_assert_cmpfloat(x[0], ==, 5.f);
    g_assert_cmpfloat(x[2], ==, 1.f);
    g_assert_cmpfloat(x[3], ==, 0.f);
    /* between frames, and not beyond the last */
    nerv_model_input_at(model, 3, .5, x);
    g_assert_cmpfloat(fabs(x[0] - 3.5 * 5 / 6), <, 1e-6);
    g_assert_cmpfloat(fabs(x[1] - 3.5 * 2 / 6), <, 1e-6);
    nerv_model_input_at(model, 6, .5, x);
    g_assert_cmpfloat(x[0], ==, 5.f);
    nerv_model_free(model);

    /* a flow for each grid of one row behind the base */
    model =
        make("nerv-grid",
             "{'grids': <'1x4/2x1+1x2//1x3'>, 'flow-rows': <4>, 'widths': <[8,6,5]>, 'strides': <[5,2,2]>}",
             320, 180, 7, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(model->params[0].name, ==, "flow");
    g_assert_true(nerv_shape_equal(model->params[0].shape, nerv_shape(4, 4, 9, 16)));
    g_assert_cmpint(model->input_floats, ==, 5);
    nerv_model_free(model);

    /* rows of the flow, where the grids are not said */
    for (int rows = 0; rows <= 9; rows += 9) {
        g_autofree char *flow = g_strdup_printf("{'flow-rows': <%d>}", rows);
        model = make("nerv", flow, 320, 180, 132, &error);
        g_assert_no_error(error);
        g_assert_true(g_str_equal(model->params[0].name, "flow") == (rows > 0));
        g_assert_true(rows == 0 || model->params[0].shape.n == rows);
        nerv_model_free(model);
    }

    /* about as many weights as asked for, at all sizes where grids leave a choice */
    static const int sizes[][4] = {
        { 320, 180, 132, 100000 }, { 320, 180, 132, 300000 },    { 320, 180, 132, 1000000 },
        { 1280, 720, 60, 500000 }, { 1920, 1080, 250, 3000000 }, { 97, 61, 30, 30000 },
        { 176, 144, 1, 60000 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *weights = g_strdup_printf("{'weights': <%d>}", sizes[i][3]);
        model = make("nerv-grid", weights, sizes[i][0], sizes[i][1], sizes[i][2], &error);
        g_assert_no_error(error);
        g_assert_cmpint(count_from_tape(model), ==, model->n_weights);
        /* a grid as fine as the picture comes on top, and is no more than as much again */
        int64_t fine = 0;
        for (uint32_t k = 0; k < model->n_params; k++)
            if (model->params[k].role == NERV_PARAM_GRID && model->params[k].shape.h >= model->clip.height)
                fine += nerv_shape_count(model->params[k].shape);
        g_assert_cmpint(model->n_weights - fine, <=, sizes[i][3] * 11 / 10);
        g_assert_cmpint(model->n_weights - fine, >, sizes[i][3] * 8 / 10);
        g_assert_cmpint(fine, <=, sizes[i][3]);
        nerv_model_free(model);
    }

    /* more inputs than a concat takes */
    model = make("nerv-grid",
                 "{'grids': <'2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1+2x1'>}", 64,
                 64, 3, &error);
    g_assert_no_error(error);
    g_assert_cmpint(count_from_tape(model), ==, model->n_weights);
    nerv_model_free(model);
}

/* A network for so many weights as a rate has bits for. */
static NervModel *make_sized(double weights, int32_t n_frames)
{
    const NervClip clip = { 320, 180, n_frames };
    const NervModelSize size = { .weights = weights };
    GError *error = NULL;
    NervModel *model = nerv_model_new_sized("nerv", NULL, &clip, &size, &error);
    g_assert_no_error(error);
    return model;
}

static int64_t count_layers(const NervModel *model)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        if (model->params[i].role != NERV_PARAM_GRID)
            n += nerv_shape_count(model->params[i].shape);
    return n;
}

/* What the frames share does not become coarser with a lower rate, nor with fewer frames; layers become narrower. Very low rates, which could not even
 * say that so many weights are zero, take fewer. */
static void test_rates(void)
{
    NervModel *low = make_sized(30000., 64), *middle = make_sized(150000., 64),
              *few = make_sized(150000., 16), *least = make_sized(3000., 64);
    g_assert_cmpint(low->n_params, ==, middle->n_params);
    g_assert_cmpint(few->n_params, ==, middle->n_params);
    for (uint32_t i = 0; i < middle->n_params; i++) {
        const NervShape s = middle->params[i].shape;
        if (middle->params[i].role != NERV_PARAM_GRID)
            continue;
        g_assert_true(nerv_shape_equal(low->params[i].shape, s));
        g_assert_cmpint(few->params[i].shape.n, <=, s.n);
        g_assert_true(
            nerv_shape_equal(few->params[i].shape, nerv_shape(few->params[i].shape.n, s.c, s.h, s.w)));
    }
    g_assert_cmpint(count_layers(low), <, count_layers(middle) / 2);
    g_assert_cmpint(count_layers(middle), <=, 150000 * 3 / 10);
    g_assert_cmpint(least->n_weights, <, 3000 * 8 * 5 / 4);
    nerv_model_free(low);
    nerv_model_free(middle);
    nerv_model_free(few);
    nerv_model_free(least);
}

static void test_any_size(void)
{
    static const int sizes[][2] = { { 16, 16 },   { 17, 16 },     { 97, 61 },
                                    { 16, 8192 }, { 1919, 1081 }, { 8192, 8192 } };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (int grid = 0; grid < 2; grid++) {
            GError *error = NULL;
            NervModel *model = make(grid ? "nerv" : "nerv-mlp", NULL, sizes[i][0], sizes[i][1], 4, &error);
            g_assert_no_error(error);
            if (sizes[i][0] < 8192)
                g_assert_cmpint(count_from_tape(model), ==, model->n_weights);
            nerv_model_free(model);
        }
    }
}

static void test_errors(void)
{
    static const struct {
        const char *model, *options, *said;
        int w, h;
    } cases[] = {
        { "nervous", NULL, "nervous", 64, 64 },
        { "nerv-mlp", "{'stemm': <64>}", "stemm", 64, 64 },
        { "nerv-mlp", "{'stem': <'wide'>}", "stem", 64, 64 },
        { "nerv-mlp", "{'stem': <0>}", "stem", 64, 64 },
        { "nerv-mlp", "{'stem': <100000>}", "stem", 64, 64 },
        { "nerv-mlp", "{'widths': <[8,8]>, 'strides': <[5,2,2]>}", "widths", 64, 64 },
        { "nerv-mlp", "{'strides': <[2,2,2,2,2,2,2,2,2]>}", "strides", 64, 64 },
        { "nerv-mlp", "{'strides': <[16,16,16,16]>}", "strides", 64, 64 },
        { "nerv-mlp", "{'kernels': <[2,3]>, 'strides': <[2,2]>}", "kernels", 64, 64 },
        { "nerv-mlp", "{'activation': <'softplus'>}", "softplus", 64, 64 },
        { "nerv-mlp", "{'out-activation': <'gelu'>}", "output activation", 64, 64 },
        { "nerv-mlp", "{'base-channels': <4096>, 'stem': <4096>}", "large", 1280, 720 },
        { "nerv-grid", "{'stem': <64>}", "stem", 64, 64 },
        { "nerv-grid", "{'weights': <0>}", "weights", 64, 64 },
        { "nerv-grid", "{'grids': <''>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'/4x4'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'4x4+'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'4x'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'4x4x4'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'4x4++2x1'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'4x 4'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <' 4x4'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'-1x4'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'99999999999999999999x4'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'2x1////////////2x1'>}", "grids", 64, 64 },
        { "nerv-grid", "{'grids': <'65536x1024'>}", "too many weights", 1280, 720 },
        { "nerv-grid", "{'grids': <'4x4/2x2'>, 'flow-rows': <3>}", "flow-rows", 64, 64 },
        { "nerv-grid", "{'grids': <'1x4'>, 'flow-rows': <3>}", "flow-rows", 64, 64 },
        { "nerv-grid", "{'flow-rows': <-1>}", "flow-rows", 64, 64 },
        { "nerv-grid", "{'grids': <'1x4///1x1'>, 'flow-rows': <3>, 'strides': <[5,5,5]>}", "64 times", 640,
          640 },
        { "nerv-grid", "{'head-kernel': <2>}", "kernels", 64, 64 },
        { "nerv-grid", "{'out-activation': <'gelu'>}", "output activation", 64, 64 },
        { "nerv-grid", "{'widths': <[8,8]>, 'strides': <[5,2,2]>}", "widths", 64, 64 },
        { "nerv-grid", "{'weights': <4000>, 'grids': <'4x4'>, 'widths': <[8,8]>, 'strides': <[4,2]>}",
          "\"weights\" has nothing to choose beside \"grids\", \"widths\"", 64, 64 },
        { "siren", "{'levels': <4>}", "levels", 64, 64 },
        { "siren", "{'weights': <4000>, 'width': <16>}", "\"weights\" has nothing to choose beside \"width\"",
          64, 64 },
        { "nerf", "{'width': <16>, 'weights': <4000>}", "\"weights\" has nothing to choose beside \"width\"",
          64, 64 },
        { "siren", "{'omega': <0>}", "omega", 64, 64 },
        { "nerf", "{'omega': <30>}", "omega", 64, 64 },
        { "nerf", "{'levels': <17>}", "levels", 64, 64 },
        { "nerf", "{'width': <4096>, 'layers': <17>}", "layers", 64, 64 },
        { "nerf", "{'width': <4096>, 'layers': <16>, 'weights': <99>}", "weights", 64, 64 },
        { "nerv-mlp", NULL, "15", 15, 64 },
        { "nerv-mlp", NULL, "8193", 64, 8193 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        NervModel *model = make(cases[i].model, cases[i].options, cases[i].w, cases[i].h, 4, &error);
        g_assert_null(model);
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, cases[i].said));
        g_clear_error(&error);
    }
}

/* What is on grids can be shown between frames, what is on a positional encoding cannot; a network that was read is as the one that was written. */
static void test_between(void)
{
    static const struct {
        const char *model, *options;
        bool between;
    } cases[] = { { "nerv", NULL, true },
                  { "nerv-grid", "{'grids': <'4x4/1x2'>}", true },
                  { "dnerv", NULL, true },
                  { "dnerv-net", NULL, true },
                  { "dnerv-net", "{'stem': <8>}", false },
                  { "dnerv-s", NULL, false },
                  { "dnerv-s", "{'stem': <0>}", true },
                  { "nerv-mlp", NULL, false },
                  { "nerv-s", NULL, false },
                  { "siren", NULL, false },
                  { "nerf", NULL, false } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        NervBitWriter w;
        NervBitReader r;
        NervModel *a = make(cases[i].model, cases[i].options, 64, 48, 9, &error);
        g_assert_no_error(error);
        nerv_writer_init(&w);
        nerv_model_write(a, &w);
        nerv_reader_init(&r, w.bytes->data, w.bytes->len);
        NervModel *b = nerv_model_read(&r, &a->clip, &error);
        g_assert_no_error(error);
        if (a->between != cases[i].between || b->between != cases[i].between)
            g_error("%s %s: %d, read %d", cases[i].model, cases[i].options, a->between, b->between);
        nerv_writer_clear(&w);
        nerv_model_free(a);
        nerv_model_free(b);
    }
}

static void test_write_read(void)
{
    static const char *const names[] = { "nerv-mlp", "nerv-s", "nerv-l", "nerv-grid", "siren", "nerf" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        GError *error = NULL;
        NervBitWriter w;
        NervBitReader r;
        NervModel *a = make(names[i], NULL, 97, 61, 5, &error);
        g_assert_no_error(error);
        nerv_writer_init(&w);
        nerv_model_write(a, &w);
        nerv_reader_init(&r, w.bytes->data, w.bytes->len);
        NervModel *b = nerv_model_read(&r, &a->clip, &error);
        g_assert_no_error(error);
        g_assert_true(a->klass == b->klass);
        if (a->klass == &nerv_model_class_nerv)
            g_assert_cmpmem(&((NervNerv *)a)->config, sizeof(NervNervConfig), &((NervNerv *)b)->config,
                            sizeof(NervNervConfig));
        else if (a->klass == &nerv_model_class_pixelwise)
            g_assert_cmpmem(&((NervPixelwise *)a)->config, sizeof(NervPixelwiseConfig),
                            &((NervPixelwise *)b)->config, sizeof(NervPixelwiseConfig));
        else
            g_assert_cmpmem(&((NervGrid *)a)->config, sizeof(NervGridConfig), &((NervGrid *)b)->config,
                            sizeof(NervGridConfig));
        g_assert_cmpuint(nerv_reader_left(&r), ==, 0);
        nerv_model_free(b);
        /* every truncation is refused */
        for (size_t n = 0; n < w.bytes->len; n++) {
            nerv_reader_init(&r, w.bytes->data, n);
            g_assert_null(nerv_model_read(&r, &a->clip, &error));
            g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
            g_clear_error(&error);
        }
        nerv_writer_clear(&w);
        nerv_model_free(a);
    }
}

/* SIREN's and NeRF's layers, counted by hand and from the tape; a network of a number of weights has about so many; and where pixels lie. */
static void test_pixelwise(void)
{
    static const struct {
        const char *model, *options;
        int64_t weights;
    } cases[] = {
        { "siren", "{'width': <256>, 'layers': <4>}", 4 * 256 + 3 * (256 * 256 + 256) + 257 * 3 },
        { "nerf", "{'width': <64>, 'layers': <8>, 'levels': <10>}",
          61 * 64 + 6 * (64 * 64 + 64) + (124 + 1) * 64 + 65 * 3 },
        { "nerf", "{'width': <16>, 'layers': <2>, 'levels': <2>}", 13 * 16 + 17 * 16 + 17 * 3 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        NervModel *model = make(cases[i].model, cases[i].options, 33, 20, 5, NULL);
        g_assert_cmpint(model->n_weights, ==, cases[i].weights);
        g_assert_cmpint(count_from_tape(model), ==, cases[i].weights);
        nerv_model_free(model);
    }
    for (int i = 0; i < 2; i++) {
        NervModel *model = make(i ? "nerf" : "siren", "{'weights': <145000>}", 320, 180, 132, NULL);
        g_assert_cmpfloat(fabs((double)model->n_weights / 145000. - 1.), <, .03);
        nerv_model_free(model);
    }
    float x[33 + 20 + 1];
    NervModel *model = make("siren", NULL, 33, 20, 5, NULL);
    g_assert_cmpint(model->input_floats, ==, 54);
    nerv_model_input(model, 3, x);
    g_assert_cmpfloat(fabs(x[0] + 32. / 33.), <, 1e-6);
    g_assert_cmpfloat(fabs(x[16]), <, 1e-6);
    g_assert_cmpfloat(fabs(x[33] + 19. / 20.), <, 1e-6);
    g_assert_cmpfloat(fabs(x[53] - .5), <, 1e-6);
    nerv_model_free(model);
}

/* Equation 1 at some points, and phases that float could not hold. */
static void test_encoding(void)
{
    float x[160];
    NervModel *model = make("nerv-mlp", "{'pe-levels': <80>}", 64, 64, 100, NULL);
    g_assert_cmpint(model->input_floats, ==, 160);
    nerv_model_input(model, 37, x);
    double b = 1.;
    for (int k = 0; k < 80; k++, b *= 1.25) {
        g_assert_cmpfloat(fabs(x[2 * k] - sin(b * G_PI * .37)), <, 1e-6);
        g_assert_cmpfloat(fabs(x[2 * k + 1] - cos(b * G_PI * .37)), <, 1e-6);
    }
    nerv_model_input_at(model, 37, .25, x);
    g_assert_cmpfloat(fabs(x[0] - sin(G_PI * .3725)), <, 1e-6);
    g_assert_cmpfloat(fabs(x[1] - cos(G_PI * .3725)), <, 1e-6);
    nerv_model_free(model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/models/nerv/paper-counts", test_paper_counts);
    g_test_add_func("/models/nerv/paper-strides", test_paper_strides);
    g_test_add_func("/models/nerv/free-configuration", test_free_configuration);
    g_test_add_func("/models/grid/grids", test_grids);
    g_test_add_func("/models/nerv/any-size", test_any_size);
    g_test_add_func("/models/grid/rates", test_rates);
    g_test_add_func("/models/nerv/errors", test_errors);
    g_test_add_func("/models/nerv/write-read", test_write_read);
    g_test_add_func("/models/between", test_between);
    g_test_add_func("/models/nerv/encoding", test_encoding);
    g_test_add_func("/models/pixelwise", test_pixelwise);
    return g_test_run();
}

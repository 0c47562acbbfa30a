/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Model dnerv on grids: how far apart its keyframes are, which rows its grids have and which of them a frame takes. Its options' errors,
 * its configuration in a stream and that it learns are in dnerv.c, what it computes in tests/golden.
 */
#include "models/dnerv.h"

#define N_INPUTS 4 /* of a frame behind its row: weights by distance, by place */

static NervModel *make_sized(const char *name, const char *options, int w, int h, const NervModelSize *size,
                             GError **error)
{
    NervClip clip = { w, h, 0 };
    for (uint32_t i = 0; i < size->n_videos; i++)
        clip.n_frames += size->videos[i];
    g_autoptr(GVariant) v = options ? g_variant_ref_sink(g_variant_new_parsed(options)) : NULL;
    return nerv_model_new_sized(name, v, &clip, size, error);
}

static const NervDnerv *as_dnerv(const NervModel *model)
{
    g_assert_true(model->klass == &nerv_model_class_dnerv);
    return (const NervDnerv *)model;
}

/* As many keyframes as the bytes pay for, evenly; the same whatever the network is left with, and no more than an option says. */
static void test_intervals(void)
{
    static const struct {
        int n, clip;
        double bytes;
        int interval, n_keys;
    } cases[] = { { 132, 1, 0, 48, 4 },     { 132, 1, 75000, 44, 4 }, { 132, 1, 41000, 66, 3 },
                  { 80, 1, 75000, 27, 4 },  { 132, 1, 1000, 131, 2 }, { 132, 1, 1e9, 9, 16 },
                  { 132, 6, 75000, 48, 4 }, { 1, 1, 75000, 8, 1 },    { 20, 1, 5000, 19, 2 } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        NervModelSize size = { .bytes = cases[i].bytes, .weights = 1e5 };
        g_autoptr(GVariant) options =
            g_variant_ref_sink(g_variant_new_parsed("{'clip-frames': <%i>}", cases[i].clip));
        const NervClip clip = { 320, 180, cases[i].n };
        NervModel *model = nerv_model_new_sized("dnerv", options, &clip, &size, &error);
        g_assert_no_error(error);
        g_assert_cmpint(as_dnerv(model)->config.interval, ==, cases[i].interval);
        g_assert_cmpint(model->n_keys, ==, cases[i].n_keys);
        nerv_model_free(model);
    }
}

/* Of several videos each is cut by itself: none has fewer keyframes because of how many fit into all of them. */
static void test_several(void)
{
    static const int32_t videos[] = { 132, 190, 41, 79 }, n_keys[] = { 3, 3, 2, 2 };
    g_autoptr(GError) error = NULL;
    const NervModelSize size = { .bytes = 98000., .weights = 1e5, .videos = videos, .n_videos = 4 };
    NervModel *model = make_sized("dnerv", NULL, 320, 180, &size, &error);
    g_assert_no_error(error);
    g_assert_cmpint(as_dnerv(model)->config.interval, ==, 82);
    int32_t n[4] = { 0 };
    for (int32_t i = 0, key = -1; i < model->n_runs; i++) {
        const NervRun run = nerv_model_run(model, i);
        for (int end = 0; end < 2; end++)
            if (run.keys[end] > key) {
                key = run.keys[end];
                n[run.video]++;
            }
    }
    for (int i = 0; i < 4; i++)
        g_assert_cmpint(n[i], ==, n_keys[i]);
    nerv_model_free(model);
}

/* Adam remembers a part of a pass, whose length goes with the frames; never less than a few steps. */
static void test_memory(void)
{
    static const struct {
        int n;
        double steps;
    } cases[] = { { 1, 20. }, { 41, 20. }, { 132, 26.4 }, { 442, 88.4 } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        const NervClip clip = { 64, 48, cases[i].n };
        NervModel *model = nerv_model_new("dnerv", NULL, &clip, &error);
        g_assert_no_error(error);
        g_assert_cmpfloat_with_epsilon(1. / (1. - model->beta2), cases[i].steps, 1e-6);
        nerv_model_free(model);
    }
}

/* On grids, by hand. */
static void test_grids(void)
{
    static const int32_t videos[] = { 25, 1, 12 };
    g_autoptr(GError) error = NULL;
    const NervModelSize size = { .videos = videos, .n_videos = 3 };
    NervModel *model =
        make_sized("dnerv",
                   "{'keyframe-interval': <12>, 'base-channels': <6>, 'row-frames': <3>, 'flow-frames': <5>, "
                   "'middle-channels': <2>, 'middle-frames': <10>, 'widths': <[12, 9]>, 'strides': <[4, 3]>}",
                   60, 36, &size, &error);
    g_assert_no_error(error);
    const NervDnerv *m = as_dnerv(model);
    g_assert_cmpuint(m->config.parts, ==, NERV_DNERV_MOVED);
    g_assert_cmpint(model->run_frames, ==, 1);
    g_assert_cmpint(model->n_keys, ==, 3 + 1 + 2);
    g_assert_cmpint(m->n_rows, ==, 8 + 1 + 4);
    g_assert_cmpint(m->n_middle, ==, 3 + 1 + 1);
    /* from 0 to 12 and to 24, 25 alone, from 26 to 37 */
    g_assert_cmpint(m->n_flow, ==, 3 + 3 + 1 + 3);
    const int64_t cells = 5 * 3, grids = 13 * 6 * cells + 10 * 4 * cells + 5 * 2 * cells * 16;
    const int64_t layers = 3 * (6 + 1) * 12 * 16 + (9 * (12 + 2) + 1) * 9 * 9 + (9 * (9 + 3) + 1) * 4;
    const int64_t gains = 3 * (12 + 9);
    g_assert_cmpint(model->n_weights, ==, grids + layers + gains);

    /* row of the grid, weights by distance and place, rows of flow, middle and gains */
    const int32_t frame[] = { 0, 3, 12, 24, 25, 26, 37 };
    const float row[] = { 0, 7 * 3 / 24.f, 7 * 12 / 24.f, 7, 8, 9, 12 };
    const float distance[] = { 0, .25f, 0, 1, 0, 0, 1 };
    const float flow[] = { 0, .5f, 3, 5, 6, 7, 9 };
    const float middle[] = { 0, 2 * 3 / 24.f, 1, 2, 3, 4, 4 };
    const float video[] = { 0, 0, 0, 0, 1, 2, 2 };
    g_assert_cmpint(model->input_floats, ==, 1 + N_INPUTS + 3);
    for (size_t i = 0; i < G_N_ELEMENTS(frame); i++) {
        float x[1 + N_INPUTS + 3];
        nerv_model_input(model, nerv_model_run_of(model, frame[i]), x);
        g_assert_cmpfloat_with_epsilon(x[0], row[i], 1e-6);
        g_assert_cmpfloat_with_epsilon(x[1], 1 - distance[i], 1e-6);
        g_assert_cmpfloat_with_epsilon(x[2], distance[i], 1e-6);
        g_assert_cmpfloat_with_epsilon(x[1 + N_INPUTS], flow[i], 1e-6);
        g_assert_cmpfloat_with_epsilon(x[2 + N_INPUTS], middle[i], 1e-6);
        g_assert_cmpfloat_with_epsilon(x[3 + N_INPUTS], video[i], 1e-6);
    }
    nerv_model_free(model);

    /* one video has nothing to be told apart from */
    model = make_sized("dnerv", NULL, 60, 36, &(NervModelSize){ .videos = videos, .n_videos = 1 }, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(as_dnerv(model)->config.parts, ==, NERV_DNERV_MOVED & ~NERV_DNERV_OF_SEVERAL);
    nerv_model_free(model);

    /* 80 times the base is too much to enlarge at once: the flow begins with the second stage */
    model = make_sized("dnerv", "{'strides': <[5, 2, 2, 2, 2]>}", 640, 400, &size, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < model->n_params; i++)
        if (g_str_equal(model->params[i].name, "flow"))
            g_assert_true(
                nerv_shape_equal(model->params[i].shape, nerv_shape(as_dnerv(model)->n_flow, 4, 25, 40)));
    nerv_model_free(model);
}

/* Each of a few videos has a first block of its own; of many short ones none has. */
static void test_own(void)
{
    static const struct {
        int32_t n, frames;
        bool own;
    } cases[] = { { 1, 90, false }, { 2, 90, true }, { 5, 90, true }, { 60, 8, false } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        int32_t videos[60];
        for (int j = 0; j < cases[i].n; j++)
            videos[j] = cases[i].frames;
        const NervModelSize size = { .weights = 40000. * MIN(cases[i].n, 5),
                                     .videos = videos,
                                     .n_videos = (uint32_t)cases[i].n };
        NervModel *model = make_sized("dnerv", NULL, 320, 180, &size, &error);
        g_assert_no_error(error);
        const uint32_t parts = as_dnerv(model)->config.parts;
        g_assert_true(((parts & NERV_DNERV_OWN) != 0) == cases[i].own);
        g_assert_true(((parts & NERV_DNERV_GAINS) != 0) == (cases[i].n > 1));
        nerv_model_free(model);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/moved/intervals", test_intervals);
    g_test_add_func("/moved/several", test_several);
    g_test_add_func("/moved/memory", test_memory);
    g_test_add_func("/moved/grids", test_grids);
    g_test_add_func("/moved/own", test_own);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How D-NeRV's videos become runs and keyframes: every frame in one run, videos of any length, keyframes shared; and what goes in for
 * each frame: positional encoding or grid rows, and the keyframes' weights.
 */
#include <math.h>
#include <string.h>

#include "models/dnerv.h"

#define N_INPUTS 4 /* of a frame behind the stem's: weights by distance, by place */

static NervModel *make_sized(const char *name, const char *options, int w, int h, const NervModelSize *size,
                             GError **error)
{
    NervClip clip = { w, h, 0 };
    for (uint32_t i = 0; i < size->n_videos; i++)
        clip.n_frames += size->videos[i];
    g_autoptr(GVariant) v = options ? g_variant_ref_sink(g_variant_new_parsed(options)) : NULL;
    return nerv_model_new_sized(name, v, &clip, size, error);
}

/* Of one video. */
static NervModel *make(const char *name, const char *options, int w, int h, int n, GError **error)
{
    const int32_t video = n;
    return make_sized(name, options, w, h, &(NervModelSize){ .videos = &video, .n_videos = 1 }, error);
}

static const NervDnerv *as_dnerv(const NervModel *model)
{
    g_assert_true(model->klass == &nerv_model_class_dnerv);
    return (const NervDnerv *)model;
}

/* --- runs and keyframes --- */

/* Every frame in one run, runs within their interval, keyframes where they belong. */
static void check_runs(const NervModel *model, const int32_t *videos, uint32_t n_videos)
{
    const NervDnervConfig *c = &as_dnerv(model)->config;
    int32_t first = 0, run = 0;
    for (uint32_t v = 0; v < n_videos; first += videos[v++]) {
        for (int32_t f = 0; f < videos[v];) {
            const NervRun r = nerv_model_run(model, run);
            const int32_t start = f / c->interval * c->interval,
                          end = MIN(start + c->interval, videos[v] - 1);
            g_assert_cmpint(r.first, ==, first + f);
            g_assert_cmpint(r.n, ==, MIN(c->clip, videos[v] - f));
            g_assert_cmpint(r.keys[0], >=, 0);
            g_assert_cmpint(r.keys[1], <, model->n_keys);
            g_assert_cmpint(model->keys[r.keys[0]], ==, first + start);
            g_assert_cmpint(model->keys[r.keys[1]], ==, first + end);
            for (int32_t i = 0; i < r.n; i++)
                g_assert_cmpint(nerv_model_run_of(model, r.first + i), ==, run);
            f += r.n;
            run++;
        }
    }
    g_assert_cmpint(run, ==, model->n_runs);
    g_assert_cmpint(first, ==, model->clip.n_frames);
    for (int32_t i = 1; i < model->n_keys; i++)
        g_assert_cmpint(model->keys[i - 1], <, model->keys[i]);
}

static void test_runs(void)
{
    static const struct {
        int32_t videos[5];
        uint32_t n_videos;
        int32_t n_runs, n_keys; /* with clips of 4 and an interval of 8 */
    } cases[] = { { { 1 }, 1, 1, 1 },        { { 2 }, 1, 1, 2 },          { { 4 }, 1, 1, 2 },
                  { { 5 }, 1, 2, 2 },        { { 8 }, 1, 2, 2 },          { { 9 }, 1, 3, 2 },
                  { { 10 }, 1, 3, 3 },       { { 17 }, 1, 5, 3 },         { { 132 }, 1, 33, 18 },
                  { { 8, 8, 8 }, 3, 6, 6 },  { { 1, 1, 1, 1 }, 4, 4, 4 }, { { 9, 1, 3, 16, 5 }, 5, 11, 10 },
                  { { 1, 31, 1 }, 3, 10, 7 } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        const NervModelSize size = { .videos = cases[i].videos, .n_videos = cases[i].n_videos };
        NervModel *model =
            make_sized("dnerv-net", "{'clip-frames': <4>, 'keyframe-interval': <8>, 'row-frames': <3>}", 64,
                       48, &size, &error);
        g_assert_no_error(error);
        check_runs(model, cases[i].videos, cases[i].n_videos);
        g_assert_cmpint(model->n_runs, ==, cases[i].n_runs);
        g_assert_cmpint(model->n_keys, ==, cases[i].n_keys);
        nerv_model_free(model);
    }

    /* as one video where nobody says */
    NervModel *model = nerv_model_new("dnerv-net", NULL, &(NervClip){ 64, 48, 23 }, NULL);
    check_runs(model, (const int32_t[]){ 23 }, 1);
    nerv_model_free(model);
}

static void test_random_runs(void)
{
    for (int i = 0; i < 200; i++) {
        g_autoptr(GError) error = NULL;
        int32_t videos[12];
        const int32_t clip = g_test_rand_int_range(1, 33), times = g_test_rand_int_range(1, 5);
        const uint32_t n = (uint32_t)g_test_rand_int_range(1, 13);
        for (uint32_t v = 0; v < n; v++)
            videos[v] = g_test_rand_int_range(1, 100);
        g_autofree char *options = g_strdup_printf(
            "{'clip-frames': <%d>, 'keyframe-interval': <%d>, 'widths': <[8]>, 'strides': <[8]>}", clip,
            clip * times);
        NervModel *model = make_sized("dnerv-net", options, 16, 16,
                                      &(NervModelSize){ .videos = videos, .n_videos = n }, &error);
        g_assert_no_error(error);
        check_runs(model, videos, n);
        nerv_model_free(model);
    }
}

/* --- what goes in --- */

/* Weights of the keyframes: by distance between them, and by place in the interval, half of which each one's picture fills. */
static void check_weights(const float *x, double frame, int32_t start, int32_t end, int32_t interval)
{
    const double d = end > start ? (frame - start) / (end - start) : 0.;
    const double middle = frame - start + .5, quarter = interval / 4.;
    const double late = middle <= quarter        ? 0.
                        : middle >= 3. * quarter ? 1.
                                                 : (middle - quarter) / (2. * quarter);
    g_assert_cmpfloat(fabs(x[0] - (1. - d)), <, 1e-6);
    g_assert_cmpfloat(fabs(x[1] - d), <, 1e-6);
    g_assert_cmpfloat(fabs(x[2] - (1. - late)), <, 1e-6);
    g_assert_cmpfloat(fabs(x[3] - late), <, 1e-6);
}

/* Two videos of 10 and 3 frames, runs of 4, 4 and 2 frames, then 3: the last frame again behind the end of each. */
static const int32_t input_frames[][4] = {
    { 0, 1, 2, 3 }, { 4, 5, 6, 7 }, { 8, 9, 9, 9 }, { 10, 11, 12, 12 }
};
static const int32_t input_keys[][2] = { { 0, 8 }, { 0, 8 }, { 8, 9 }, { 10, 12 } };

static NervModel *make_for_inputs(const char *options)
{
    static const int32_t videos[] = { 10, 3 };
    g_autoptr(GError) error = NULL;
    NervModel *model =
        make_sized("dnerv-net", options, 64, 48, &(NervModelSize){ .videos = videos, .n_videos = 2 }, &error);
    g_assert_no_error(error);
    g_assert_cmpint(model->n_runs, ==, G_N_ELEMENTS(input_frames));
    return model;
}

static void test_encoding(void)
{
    NervModel *model =
        make_for_inputs("{'clip-frames': <4>, 'keyframe-interval': <8>, 'stem': <8>, 'pe-levels': <240>}");
    const int32_t n = model->input_floats;
    g_assert_cmpint(n, ==, 480 + N_INPUTS);
    g_autofree float *x = g_new(float, 4 * n);
    for (int32_t run = 0; run < model->n_runs; run++) {
        nerv_model_input(model, run, x);
        for (int32_t i = 0; i < 4; i++) {
            const int32_t f = input_frames[run][i];
            const float *own = x + i * n;
            const long double t = f < 10 ? f / 9.L : (f - 10) / 2.L;
            /* as far as a double's phase says where in its period it is */
            for (int k = 0; k < 60; k++) {
                const long double phase = powl(1.25L, k) * acosl(-1.L) * t;
                g_assert_cmpfloat(fabsl(own[2 * k] - sinl(phase)), <, 1e-6 + 1e-15 * (double)phase);
                g_assert_cmpfloat(fabsl(own[2 * k + 1] - cosl(phase)), <, 1e-6 + 1e-15 * (double)phase);
            }
            for (int k = 0; k < 240; k++)
                g_assert_cmpfloat(fabs(hypot(own[2 * k], own[2 * k + 1]) - 1.), <, 1e-6);
            check_weights(own + 480, f, input_keys[run][0], input_keys[run][1], 8);
        }
    }
    nerv_model_free(model);
}

/* The first frame of a video has the first of its rows, the last the last, however many there are. */
static void test_rows(void)
{
    static const struct {
        int32_t row_frames, rows[2];
    } cases[] = { { 1, { 10, 3 } }, { 2, { 5, 2 } }, { 3, { 3, 1 } }, { 7, { 1, 1 } }, { 100, { 1, 1 } } };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *options = g_strdup_printf(
            "{'clip-frames': <4>, 'keyframe-interval': <8>, 'row-frames': <%d>}", cases[k].row_frames);
        const int32_t *rows = cases[k].rows;
        NervModel *model = make_for_inputs(options);
        float x[4][1 + N_INPUTS];
        g_assert_cmpint(model->input_floats, ==, 1 + N_INPUTS);
        g_assert_cmpint(as_dnerv(model)->n_rows, ==, rows[0] + rows[1]);
        for (int32_t run = 0; run < model->n_runs; run++) {
            nerv_model_input(model, run, x[0]);
            for (int32_t i = 0; i < 4; i++) {
                const int32_t f = input_frames[run][i];
                const double row = f < 10 ? f * (rows[0] - 1) / 9. : rows[0] + (f - 10) * (rows[1] - 1) / 2.;
                g_assert_cmpfloat(fabs(x[i][0] - row), <, 1e-6);
                check_weights(x[i] + 1, f, input_keys[run][0], input_keys[run][1], 8);
            }
        }
        nerv_model_free(model);
    }

    /* a video of one frame: its first row, its only keyframe, twice */
    NervModel *model = make("dnerv-net", "{'clip-frames': <2>, 'keyframe-interval': <2>}", 64, 48, 1, NULL);
    float x[2][1 + N_INPUTS];
    nerv_model_input(model, 0, x[0]);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpfloat(x[i][0], ==, 0.f);
        g_assert_cmpfloat(x[i][1], ==, 1.f);
        g_assert_cmpfloat(x[i][2], ==, 0.f);
        check_weights(x[i] + 1, 0, 0, 0, 2);
    }
    nerv_model_free(model);
}

/* Times between frames: rows and keyframes of the same video, the last of which nothing lies behind. */
static void test_between(void)
{
    static const double later[] = { 0., .25, .5, .999 };
    NervModel *model = make_for_inputs("{'clip-frames': <4>, 'keyframe-interval': <8>, 'row-frames': <2>}");
    float x[4][1 + N_INPUTS];
    for (int32_t run = 0; run < model->n_runs; run++)
        for (size_t k = 0; k < G_N_ELEMENTS(later); k++) {
            nerv_model_input_at(model, run, later[k], x[0]);
            for (int32_t i = 0; i < 4; i++) {
                const double f = fmin(input_frames[run][i] + later[k], run < 3 ? 9. : 12.);
                const double row = run < 3 ? f * 4 / 9. : 5. + (f - 10) / 2.;
                g_assert_cmpfloat(fabs(x[i][0] - row), <, 1e-6);
                check_weights(x[i] + 1, f, input_keys[run][0], input_keys[run][1], 8);
            }
        }
    nerv_model_free(model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/runs/runs", test_runs);
    g_test_add_func("/runs/random-runs", test_random_runs);
    g_test_add_func("/runs/encoding", test_encoding);
    g_test_add_func("/runs/rows", test_rows);
    g_test_add_func("/runs/between", test_between);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Learned starts on the device named as the argument: what patches say of pictures that are known, which frames a row is of, that sums are the
 * transpose of expansion, and where a walk towards given weights ends. Skipped (77) where there is no such device.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "device.h"
#include "models/start.h"
#include "train/patches.h"

#define W 60 /* the last cells of 8 and of 16 are half outside */
#define H 36

static NervBackend *backend;

static NervModel *make(const char *name, const char *options, int32_t n_frames, int32_t n_videos)
{
    GError *error = NULL;
    const NervClip clip = { W, H, n_frames };
    const int32_t first = n_videos == 1 ? n_frames : n_frames / 4, videos[] = { first, n_frames - first };
    const NervModelSize size = { .videos = videos, .n_videos = (uint32_t)n_videos };
    g_autoptr(GVariant) v = g_variant_ref_sink(g_variant_new_parsed(options));
    NervModel *model = nerv_model_new_sized(name, v, &clip, &size, &error);
    g_assert_no_error(error);
    return model;
}

static NervModel *make_grids(const char *grids, int32_t n_frames)
{
    g_autofree char *options = g_strdup_printf(
        "{'grids': <'%s'>, 'strides': <[4,2,2]>, 'widths': <[5,4,4]>, 'flow-rows': <2>}", grids);
    return make("nerv", options, n_frames, 1);
}

/* R'G'B' of a place and time, 0..255. */
typedef double (*Paint)(int32_t c, int32_t x, int32_t y, int32_t frame);

static double constant(int32_t c, int32_t x, int32_t y, int32_t frame)
{
    return 40. + 60. * c;
}

static double later(int32_t c, int32_t x, int32_t y, int32_t frame)
{
    return 20. * frame;
}

/* The cosine of second order along x in cells of 4. */
static double ripple(int32_t c, int32_t x, int32_t y, int32_t frame)
{
    return 127.5 + 100. * cos(G_PI * (x % 4 + .5) * 2. / 4.);
}

static float *look(const NervModel *model, Paint paint, const float *flows)
{
    GError *error = NULL;
    const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H };
    const size_t bytes = (size_t)W * H * 3, n = (size_t)model->clip.n_frames;
    g_autofree uint8_t *rgb = g_malloc(n * bytes);
    for (size_t i = 0; i < n * bytes; i++) {
        const int32_t x = (int32_t)(i / 3 % W), y = (int32_t)(i / 3 / W % H);
        rgb[i] = (uint8_t)lrint(paint((int32_t)(i % 3), x, y, (int32_t)(i / bytes)));
    }
    NervFootage footage = { .pixels = &pixels, .key_pixels = pixels };
    footage.frames = nerv_buffer_new(backend, n * bytes, &error);
    g_assert_true(footage.frames && nerv_buffer_upload(footage.frames, 0, rgb, n * bytes, &error));
    if (model->n_keys > 0)
        footage.keys = nerv_buffer_new(backend, (size_t)model->n_keys * bytes, &error);
    NervPatches *patches = nerv_patches_new(backend, model, &footage, &error);
    g_assert_no_error(error);
    float *seen = g_new(float, (gsize)nerv_start_patches_count(model));
    g_assert_true(nerv_patches_run(patches, &footage, flows, seen, &error));
    g_assert_no_error(error);
    nerv_patches_free(patches);
    nerv_buffer_free(footage.frames);
    nerv_buffer_free(footage.keys);
    return seen;
}

/* Coefficient f of row r of the first grid with cells of that size; behind it the same of the other cells. */
static const float *find(const NervModel *model, const float *seen, int32_t cell, int32_t r, int32_t f)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t cells = (int64_t)p->shape.h * p->shape.w;
        if (p->cell == cell)
            return seen + ((int64_t)r * nerv_start_patch(p) + f) * cells;
        seen += (int64_t)nerv_start_patch(p) * p->shape.n * cells;
    }
    g_assert_not_reached();
}

/* Of a flat picture there is brightness and colour, everywhere the same, and nothing else. */
static void test_flat(void)
{
    NervModel *model = make_grids("3x2/2x1/1x2/1x1", 6);
    g_autofree float *seen = look(model, constant, NULL);
    static const int32_t cells[] = { 16, 4, 2, 1 };
    for (size_t i = 0; i < G_N_ELEMENTS(cells); i++) {
        const int32_t side = MIN(cells[i], NERV_START_SIDE), n = side * side;
        const int32_t across = (W + 15) / 16 * 16 / cells[i], down = (H + 15) / 16 * 16 / cells[i];
        /* (40 + 100 + 160) / 3 and 60 either way, of 255 */
        const double want[] = { 4. * (100. / 255. - .5), 12. * 60. / 255., 12. * -60. / 255. };
        for (int32_t f = 0; f < 3 * n; f++)
            for (int32_t k = 0; k < across * down; k++)
                g_assert_cmpfloat_with_epsilon(find(model, seen, cells[i], 0, f)[k], f % n ? 0. : want[f / n],
                                               2e-3);
    }
    nerv_model_free(model);
}

static void test_wave(void)
{
    NervModel *model = make_grids("3x2/2x1/1x2/1x1", 6);
    g_autofree float *seen = look(model, ripple, NULL);
    /* the mean of its square is a half, and the gain 4 (1 + 2) */
    const double want = 12. * G_SQRT2 * .5 * 100. / 255.;
    for (int32_t f = 0; f < 48; f++)
        g_assert_cmpfloat_with_epsilon(find(model, seen, 4, 1, f)[17], f == 2 ? want : 0., 2e-2);
    nerv_model_free(model);
}

static double wave(double x, double y)
{
    return 127.5 + 50. * sin(.31 * x + .17 * y) + 50. * sin(.13 * x - .29 * y + 1.);
}

static double pan(int32_t c, int32_t x, int32_t y, int32_t frame)
{
    return wave(x - 2. * frame, y + .5 * frame);
}

static double middle(int32_t c, int32_t x, int32_t y, int32_t frame)
{
    return pan(c, x, y, 3);
}

/* Root of the mean square of coefficients from..to of the first grid with cells of that size, inside of the picture. */
static double size_of(const NervModel *model, const float *a, const float *b, int32_t cell, int32_t from,
                      int32_t to)
{
    const int32_t across = (W + 15) / 16 * 16 / cell;
    double sum = 0.;
    int n = 0;
    for (int32_t f = from; f < to; f++)
        for (int32_t y = 16 / cell; y < (H - 16) / cell; y++)
            for (int32_t x = 16 / cell; x < (W - 16) / cell; x++, n++) {
                const float *at = find(model, a, cell, 0, f) + y * across + x;
                const double d = b ? *at - (find(model, b, cell, 0, f) + y * across + x)[0] : *at;
                sum += d * d;
            }
    return sqrt(sum / n);
}

/* With the flow of a camera, what all frames share is the frame in the middle, and nothing is left for rows in time. */
static void test_moved(void)
{
    NervModel *model = make_grids("3x2/2x1/1x2/1x1", 6);
    const NervShape s = model->params[0].shape; /* the flow, of two grids */
    const size_t cells = (size_t)s.h * (size_t)s.w;
    g_autofree float *flows = g_new(float, 8 * cells);
    NervFlows f;
    g_assert_true(nerv_model_flows(model, &f));
    g_assert_cmpint(nerv_shape_count(s), ==, 8 * (int64_t)cells);
    for (size_t i = 0; i < 8 * cells; i++)
        flows[i] = f.unit * (float)((i < 4 * cells ? 3. : -2.) * (i / cells % 2 ? -.5 : 2.));
    g_autofree float *moved = look(model, pan, flows), *still = look(model, pan, NULL),
                     *want = look(model, middle, NULL);
    for (int32_t cell = 2; cell > 0; cell--) {
        const int32_t n = cell * cell; /* the brightness */
        const double size = size_of(model, want, NULL, cell, 0, n);
        g_assert_cmpfloat(size, >, .1);
        g_assert_cmpfloat(size_of(model, moved, want, cell, 0, n), <, .1 * size);
        g_assert_cmpfloat(size_of(model, still, want, cell, 0, n), >, .3 * size);
    }
    const double size = size_of(model, still, NULL, 4, 48, 64);
    g_assert_cmpfloat(size, >, .1);
    g_assert_cmpfloat(size_of(model, moved, NULL, 4, 48, 64), <, .15 * size);
    nerv_model_free(model);
}

static double brightness(double frame)
{
    return 4. * (20. * frame / 255. - .5);
}

/* Rows are of the frames round their times, those of one row of all. */
static void test_rows(void)
{
    NervModel *model = make_grids("6x2/3x1/1x2/1x1", 6);
    g_autofree float *seen = look(model, later, NULL);
    for (int32_t r = 0; r < 6; r++)
        g_assert_cmpfloat_with_epsilon(find(model, seen, 16, r, 0)[3], brightness(r), 2e-3);
    /* at 0, 0.4, 0.8, 1.2, 1.6 and 2 of three rows */
    g_assert_cmpfloat_with_epsilon(find(model, seen, 4, 0, 0)[5], brightness((.6 + .2 * 2.) / 1.8), 2e-3);
    g_assert_cmpfloat_with_epsilon(find(model, seen, 4, 1, 0)[5], brightness(2.5), 2e-3);
    g_assert_cmpfloat_with_epsilon(find(model, seen, 2, 0, 0)[7], brightness(2.5), 2e-3);
    nerv_model_free(model);
    /* rows that no frame falls on are as those before */
    model = make_grids("5x2/1x1", 2);
    g_autofree float *few = look(model, later, NULL);
    for (int32_t r = 0; r < 5; r++)
        g_assert_cmpfloat_with_epsilon(find(model, few, 16, r, 0)[3], brightness(r == 4), 2e-3);
    nerv_model_free(model);
}

/* A video's rows are of its own frames. */
static void test_videos(void)
{
    static const char options[] = "{'widths': <[8,8]>, 'strides': <[4,2]>, 'base-channels': <3>, "
                                  "'row-frames': <2>, 'middle-channels': <1>, 'middle-frames': <100>}";
    NervModel *model = make("dnerv", options, 12, 2);
    g_autofree float *seen = look(model, later, NULL);
    uint32_t at = 0;
    while (model->params[at].cell != 8)
        at++;
    const int32_t rows = model->params[at].shape.n;
    double before = -3.;
    g_assert_cmpint(rows, >=, 4);
    for (int32_t r = 0; r < rows; r++) {
        const double now = find(model, seen, 8, r, 0)[2];
        g_assert_cmpfloat(now, >, before);
        g_assert_true(now < brightness(2.01) || now > brightness(2.99)); /* frames 0 to 2 and 3 to 11 */
        before = now;
    }
    g_assert_cmpfloat_with_epsilon(find(model, seen, 2, 0, 0)[2], brightness(1.), 2e-3);
    g_assert_cmpfloat_with_epsilon(find(model, seen, 2, 1, 0)[2], brightness(7.), 2e-3);
    nerv_model_free(model);
}

/* --- starts and weights --- */

static float *draw(int64_t n, uint64_t seed)
{
    NervRng rng;
    float *x = g_new(float, (gsize)n);
    nerv_rng_init(&rng, seed);
    for (int64_t i = 0; i < n; i++)
        x[i] = nerv_rng_uniform(&rng, -1.f, 1.f);
    return x;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0.;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static void check_transpose(NervModel *model)
{
    const int64_t n = model->n_weights, n_start = nerv_start_count(model);
    g_autofree float *start = draw(n_start, 1), *w = draw(n, 2), *expanded = g_new(float, (gsize)n);
    g_autofree float *seen = draw(nerv_start_patches_count(model) + 1, 3),
                     *summed = g_new(float, (gsize)n_start);
    for (int with = 0; with < 2; with++) {
        nerv_start_expand(model, start, with ? seen : NULL, expanded);
        nerv_start_sum(model, w, with ? seen : NULL, summed);
        const double a = dot(expanded, w, n), b = dot(start, summed, n_start);
        g_assert_cmpfloat_with_epsilon(a / b, 1., 1e-3);
    }
    nerv_model_free(model);
}

static void test_transpose(void)
{
    check_transpose(make_grids("6x2/3x1/1x2/1x1", 6));
    check_transpose(
        make("nerv-mlp", "{'stem': <8>, 'base-channels': <4>, 'widths': <[8,6]>, 'strides': <[4,2]>}", 8, 1));
    for (int32_t n_videos = 1; n_videos <= 2; n_videos++) {
        check_transpose(make("dnerv", "{'widths': <[8,8]>, 'strides': <[4,2]>}", 12, n_videos));
        check_transpose(make("dnerv-net", "{'widths': <[8,8]>, 'strides': <[4,2]>}", 16, n_videos));
    }
}

/* Weights that a start makes of other patches each time: it is found by walking towards them. */
static void test_towards(void)
{
    NervModel *model = make_grids("6x2/3x1/1x2/1x1", 6);
    const int64_t n = model->n_weights, n_start = nerv_start_count(model),
                  n_seen = nerv_start_patches_count(model);
    g_autofree float *hidden = draw(n_start, 4), *start = g_new0(float, (gsize)n_start);
    g_autofree float *want = g_new(float, (gsize)n), *got = g_new(float, (gsize)n),
                     *by = g_new(float, (gsize)n_start);
    double first = 0., last = 0.;
    for (int i = 0; i < 400; i++) {
        g_autofree float *seen = draw(n_seen, 100 + (uint64_t)i);
        nerv_start_expand(model, hidden, seen, want);
        nerv_start_expand(model, start, seen, got);
        for (int64_t j = 0; j < n; j++)
            got[j] = want[j] - got[j];
        last = dot(got, got, n);
        first = i ? first : last;
        nerv_start_towards(model, got, seen, by);
        for (int64_t j = 0; j < n_start; j++)
            start[j] += by[j];
    }
    g_test_message("%g, %g", first, last);
    g_assert_cmpfloat(last, <, 1e-3 * first);
    nerv_model_free(model);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    backend = nerv_backend_open(test_device_name(argc, argv), 2, NULL);
    if (!backend)
        return 77;
    g_test_add_func("/start/flat", test_flat);
    g_test_add_func("/start/wave", test_wave);
    g_test_add_func("/start/rows", test_rows);
    g_test_add_func("/start/moved", test_moved);
    g_test_add_func("/start/videos", test_videos);
    g_test_add_func("/start/transpose", test_transpose);
    g_test_add_func("/start/towards", test_towards);
    const int status = g_test_run();
    nerv_backend_free(backend);
    return status;
}

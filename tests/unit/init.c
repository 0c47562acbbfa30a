/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Init files: what is written is what is read, for every model; which models an init suits; what is refused, and with which words.
 */
#include <math.h>
#include <string.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "base/rng.h"
#include "codec/init.h"
#include "codec/units.h"
#include "codec/weights.h"
#include "nerv.h"

#define ORIGIN "three clips, CC0: \xc3\xa4"

static const NervInitRates rates = { 2e-3, .25, 70 };

static NervModel *make(const char *name, const char *options, int32_t width, int32_t height, int32_t n_frames,
                       uint32_t n_videos)
{
    GError *error = NULL;
    const int32_t first = n_videos == 1 ? n_frames : n_frames / 2, videos[] = { first, n_frames - first };
    const NervClip clip = { width, height, n_frames };
    const NervModelSize size = { .videos = videos, .n_videos = n_videos };
    g_autoptr(GVariant) v = options ? g_variant_ref_sink(g_variant_new_parsed(options)) : NULL;
    NervModel *model = nerv_model_new_sized(name, v, &clip, &size, &error);
    g_assert_no_error(error);
    return model;
}

static NervModel *make_grids(const char *grids, int32_t width, int32_t n_frames)
{
    g_autofree char *options =
        g_strdup_printf("{'grids': <'%s'>, 'strides': <[4,2]>, 'widths': <[8,8]>, 'flow-rows': <2>}", grids);
    return make("nerv", options, width, 48, n_frames, 0);
}

static float *draw(const NervModel *model)
{
    NervRng rng;
    float *start = g_new(float, (gsize)nerv_start_count(model));
    nerv_rng_init(&rng, 3);
    for (int64_t i = 0; i < nerv_start_count(model); i++)
        start[i] = nerv_rng_uniform(&rng, -.5f, .5f);
    return start;
}

static GByteArray *write_file(const NervModel *model, const float *start)
{
    GError *error = NULL;
    GByteArray *file = g_byte_array_new();
    nerv_init_write(model, start, &rates, ORIGIN, file, &error);
    g_assert_no_error(error);
    return file;
}

static NervInit *read_file(const GByteArray *file)
{
    GError *error = NULL;
    NervInit *init = nerv_init_read(file->data, file->len, &error);
    g_assert_no_error(error);
    return init;
}

static void check_round(NervModel *model)
{
    g_autofree float *start = draw(model);
    GByteArray *file = write_file(model, start);
    g_autoptr(NervInit) init = read_file(file);
    g_assert_cmpstr(init->provenance, ==, ORIGIN);
    g_assert_cmpfloat_with_epsilon(init->rates.learning_rate, 2e-3, 1e-9);
    g_assert_cmpfloat(init->rates.layers_rate, ==, .25);
    g_assert_cmpuint(init->rates.full_steps, ==, 70);
    g_assert_true(nerv_init_suits(init, model));
    const int64_t n = nerv_start_count(model);
    g_assert_cmpint(nerv_start_count(init->model), ==, n);
    for (int64_t i = 0; i < n; i++)
        g_assert_cmpfloat(fabsf(init->start[i] - start[i]), <=, .5f / 127);
    /* a grid's rows and places are no bytes, nearly */
    g_test_message("%" G_GINT64_FORMAT " weights, %" G_GINT64_FORMAT " values, %u bytes", model->n_weights, n,
                   file->len);
    g_assert_cmpint(file->len, <, 2.4 * (double)n + 400 + .1 * (double)model->n_weights);
    g_byte_array_unref(file);
    nerv_model_free(model);
}

static void test_round(void)
{
    check_round(make_grids("8x3/2x1/1x2", 64, 16));
    check_round(make("nerv-mlp", "{'stem': <8>, 'base-channels': <4>, 'widths': <[8,6]>, 'strides': <[4,2]>}",
                     64, 48, 8, 0));
    check_round(make("dnerv", "{'widths': <[8,8]>, 'strides': <[4,2]>}", 64, 48, 16, 1));
    check_round(make("dnerv", "{'widths': <[8,8]>, 'strides': <[4,2]>}", 64, 48, 16, 2));
    check_round(make("dnerv-net", "{'widths': <[8,8]>, 'strides': <[4,2]>}", 64, 48, 16, 2));
}

/* An init serves clips of any length and size, and networks of several videos; not other layers. */
static void test_suits(void)
{
    NervModel *model = make_grids("8x3/2x1/1x2", 64, 16);
    g_autofree float *start = draw(model);
    GByteArray *file = write_file(model, start);
    g_autoptr(NervInit) init = read_file(file);
    static const struct {
        const char *grids;
        int32_t width, n_frames;
        bool suits;
    } cases[] = { { "8x3/2x1/1x2", 64, 16, true },      { "20x3/5x1/1x2", 64, 40, true },
                  { "8x3/2x1/1x2", 128, 16, true },     { "8x4/2x1/1x2", 64, 16, false },
                  { "8x3/2x1+2x1/1x2", 64, 16, false }, { "8x3//1x2", 64, 16, false } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        NervModel *other = make_grids(cases[i].grids, cases[i].width, cases[i].n_frames);
        g_assert_true(nerv_init_suits(init, other) == cases[i].suits);
        g_assert_cmpuint(nerv_init_rates(init, other).full_steps, ==,
                         (70 * cases[i].n_frames + 15) / 16); /* the file's 70 are of 16 frames */
        nerv_model_free(other);
    }
    NervModel *other = make("nerv-mlp", NULL, 64, 48, 16, 0);
    g_assert_false(nerv_init_suits(init, other));
    nerv_model_free(other);
    nerv_model_free(model);
    g_byte_array_unref(file);
}

/* A long fit's layers are partly drawn; its grids are not. */
static void test_loosen(void)
{
    NervModel *model = make_grids("8x3/2x1/1x2", 64, 16);
    g_autofree float *drawn = g_new(float, (gsize)model->n_weights),
                     *weights = g_new(float, (gsize)model->n_weights);
    GError *error = NULL;
    g_assert_cmpfloat(nerv_init_kept(1), ==, 1.);
    g_assert_cmpfloat(nerv_init_kept(320), ==, 1.);
    g_assert_cmpfloat(nerv_init_kept(1280), ==, .5);
    g_assert_cmpfloat(nerv_init_kept(0), <, .6);
    nerv_model_init_params(model, 7, drawn);
    for (uint64_t steps = 100; steps <= 1280; steps += 1180) {
        for (int64_t i = 0; i < model->n_weights; i++)
            weights[i] = 2.f;
        g_assert_true(nerv_init_loosen(model, steps, 7, weights, &error));
        g_assert_no_error(error);
        int64_t at = 0;
        for (uint32_t i = 0; i < model->n_params; i++)
            for (int64_t n = nerv_shape_count(model->params[i].shape); n > 0; n--, at++) {
                const bool is_grid = model->params[i].role == NERV_PARAM_GRID;
                g_assert_cmpfloat(weights[at], ==, steps == 100 || is_grid ? 2.f : 1.f + .5f * drawn[at]);
            }
    }
    nerv_model_free(model);
}

/* A network of an init's layers for other clips: with rows for their frames, and without regard to the size that is asked for. */
static void test_like(void)
{
    static const char *const names[] = { "nerv", "dnerv", "dnerv-net" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        NervModel *model = make(names[i], NULL, 96, 64, 32, 1);
        g_autofree float *start = draw(model);
        GByteArray *file = write_file(model, start);
        g_autoptr(NervInit) init = read_file(file);
        for (uint32_t n_videos = 1; n_videos <= 2; n_videos++) {
            GError *error = NULL;
            const int32_t videos[] = { n_videos == 1 ? 90 : 40, 50 };
            const NervClip clip = { 160, 96, 90 };
            NervModelSize size = { .weights = 3e4, .bytes = 2e4, .videos = videos, .n_videos = n_videos };
            NervModel *free = nerv_model_new_sized(names[i], NULL, &clip, &size, &error);
            g_assert_no_error(error);
            size.like = init->model;
            NervModel *like = nerv_model_new_sized(names[i], NULL, &clip, &size, &error);
            g_assert_no_error(error);
            g_autoptr(GVariant) options =
                g_variant_ref_sink(g_variant_new_parsed("{'strides': <[4,4]>, 'widths': <[9,9]>}"));
            NervModel *other = nerv_model_new_sized(names[i], options, &clip, &size, &error);
            g_assert_no_error(error);
            g_assert_false(nerv_init_suits(init, free));
            g_assert_true(nerv_init_suits(init, like));
            g_assert_false(nerv_init_suits(init, other));
            uint32_t at = 0;
            while (model->params[at].role != NERV_PARAM_GRID)
                at++;
            g_assert_cmpint(like->params[at].shape.n, >=, 2 * model->params[at].shape.n);
            nerv_model_free(free);
            nerv_model_free(like);
            nerv_model_free(other);
        }
        nerv_model_free(model);
        g_byte_array_unref(file);
    }
}

static const float *find(const NervModel *model, const float *weights, const char *name)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        if (g_str_equal(model->params[i].name, name))
            return weights;
        weights += nerv_shape_count(model->params[i].shape);
    }
    g_assert_not_reached();
}

/* What each of several videos has for itself begins alike, and what tells them apart as nothing. */
static void test_several(void)
{
    static const char options[] = "{'widths': <[8,8]>, 'strides': <[4,2]>, 'base-channels': <3>, "
                                  "'middle-channels': <1>}";
    NervModel *one = make("dnerv", options, 64, 48, 16, 1), *two = make("dnerv", options, 64, 48, 16, 2);
    g_autofree float *start = draw(one), *a = g_new(float, (gsize)one->n_weights);
    g_autofree float *b = g_new(float, (gsize)two->n_weights);
    GByteArray *file = write_file(one, start);
    g_autoptr(NervInit) init = read_file(file);
    g_assert_cmpint(nerv_start_count(one), ==, nerv_start_count(two));
    g_assert_true(nerv_init_suits(init, two));
    nerv_start_expand(one, init->start, NULL, a);
    nerv_start_expand(two, init->start, NULL, b);
    const size_t n = 3 * 8 * 16, biases = 8 * 16;
    for (size_t v = 0; v < 2; v++) {
        g_assert_cmpmem(find(one, a, "block0.weight"), n * 4, find(two, b, "block0.weight") + v * n, n * 4);
        g_assert_cmpmem(find(one, a, "block0.bias"), biases * 4, find(two, b, "block0.bias") + v * biases,
                        biases * 4);
    }
    for (int i = 0; i < 16; i++)
        g_assert_cmpfloat(find(two, b, "gain1")[i], ==, 0.f);
    g_assert_cmpfloat(find(one, a, "head.weight")[5], ==, find(two, b, "head.weight")[5]);
    g_byte_array_unref(file);
    nerv_model_free(one);
    nerv_model_free(two);
}

/* Short fits keep what was learned. */
static void test_rates(void)
{
    NervTrainSettings t;
    nerv_train_settings_default(&t);
    const double own = t.learning_rate;
    nerv_init_tune(&(NervInitRates){ .layers_rate = .5 }, 3, &t);
    g_assert_cmpfloat(t.learning_rate, ==, own);
    g_assert_cmpfloat(t.layers_rate, ==, .5);
    static const struct {
        uint64_t n_steps;
        double want;
    } cases[] = { { 0, 2e-3 }, { 7, 2e-4 }, { 35, 1e-3 }, { 70, 2e-3 }, { 5000, 2e-3 } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        nerv_init_tune(&rates, cases[i].n_steps, &t);
        g_assert_cmpfloat_with_epsilon(t.learning_rate, cases[i].want, 1e-9);
    }
}

static void expect(const GByteArray *file, int code, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(nerv_init_read(file->data, file->len, &error));
    g_assert_error(error, NERV_ERROR, code);
    g_assert_nonnull(strstr(error->message, words));
}

/* With the right hash behind what was changed. */
static void rehash(GByteArray *file)
{
    gsize n = NERV_INIT_HASH_BYTES;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, file->data, (gssize)(file->len - n));
    g_checksum_get_digest(sum, file->data + file->len - n, &n);
    g_checksum_free(sum);
}

static void test_refused(void)
{
    NervModel *model = make_grids("8x3/2x1/1x2", 64, 16);
    g_autofree float *start = draw(model);
    GByteArray *file = write_file(model, start);
    g_autoptr(GError) error = NULL;

    for (guint i = 4; i < file->len; i += 7) { /* any bit */
        file->data[i] ^= 0x10;
        expect(file, i == 4 ? NERV_ERROR_UNSUPPORTED : NERV_ERROR_DATA, i == 4 ? "version" : "hash");
        file->data[i] ^= 0x10;
    }
    const guint length = file->len;
    for (guint cut = 0; cut < length; cut += 5) {
        file->len = cut;
        expect(file, NERV_ERROR_DATA, cut <= 36 ? "no init file" : "hash");
    }
    file->len = length;
    file->data[0] ^= 1;
    expect(file, NERV_ERROR_DATA, "no init file");
    file->data[0] ^= 1;
    file->data[5] = 15; /* the width */
    rehash(file);
    expect(file, NERV_ERROR_DATA, "head");
    g_byte_array_unref(file);

    file = g_byte_array_new();
    start[1] = NAN;
    g_assert_false(nerv_init_write(model, start, &rates, "", file, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    start[1] = 0.f;
    g_assert_false(nerv_init_write(model, start, &rates, "\xff", file, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(nerv_init_write(model, start, &(NervInitRates){ -1., 1., 0 }, "", file, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_assert_cmpuint(file->len, ==, 0);
    g_byte_array_unref(file);
    nerv_model_free(model);
}

/* The errors of files name them. */
static void test_load(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("nerv-init-XXXXXX", &error);
    g_assert_no_error(error);
    g_autofree char *path = g_build_filename(folder, "a.init", NULL);
    NervModel *model = make_grids("8x3/2x1/1x2", 64, 16);
    g_autofree float *start = draw(model);
    GByteArray *file = write_file(model, start);

    g_assert_null(nerv_init_load(path, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "a.init"));
    g_clear_error(&error);
    g_file_set_contents(path, "", 0, &error);
    g_assert_no_error(error);
    g_assert_null(nerv_init_load(path, &error));
    g_assert_nonnull(strstr(error->message, "a.init"));
    g_clear_error(&error);
    g_file_set_contents(path, (const char *)file->data, file->len, &error);
    g_assert_no_error(error);
    g_autoptr(NervInit) init = nerv_init_load(path, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_init_suits(init, model));
    g_autofree char *name = nerv_init_name(init->hash);
    g_assert_cmpuint(strlen(name), ==, 64);
    g_remove(path);
    g_rmdir(folder);
    g_byte_array_unref(file);
    nerv_model_free(model);
}

/* --- in the encoder --- */

#define FRAMES 8

static NervEncoder *make_encoder(const char *path, const char *model, const char *options, GError **error)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = 96, .height = 64 },
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    NervEncoderSettings s;
    nerv_encoder_settings_init(&s);
    g_free(s.model);
    g_free(s.device);
    s.model = g_strdup(model);
    s.device = g_strdup("cpu");
    s.init_location = g_strdup(path);
    s.model_options = options ? g_variant_ref_sink(g_variant_new_parsed(options)) : NULL;
    s.segment_frames = FRAMES;
    s.rate_weight = 0.; /* what it ends with is what it began with, nearly */
    s.learning_rate = 1e-9;
    s.epochs = 1;
    NervEncoder *enc = nerv_encoder_new(&info, &s, error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

/* The first network of the stream. */
static float *encode(NervEncoder *enc, NervModel **model)
{
    g_autofree uint8_t *pixels = g_malloc0(96 * 64 * 3);
    g_autoptr(GError) error = NULL;
    const NervFrame frame = { .data = { pixels }, .stride = { 96 * 3 } };
    const NervClip clip = { 96, 64, FRAMES };
    float *weights = NULL;
    NervPacket packet;
    NervUnit unit;
    size_t need;
    for (int i = 0; i < FRAMES; i++)
        g_assert_true(nerv_encoder_send(enc, &frame, i * INT64_C(40000000), &error));
    nerv_encoder_fit(enc, &error);
    g_assert_no_error(error);
    while (nerv_encoder_get(enc, &packet)) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(packet.data, &size);
        while (!weights && size && nerv_unit_scan(data, size, &unit, &need) == NERV_SCAN_OK) {
            if (unit.type == NERV_UNIT_NETWORK)
                *model =
                    nerv_network_read(unit.payload, unit.payload_bytes, &clip, 1 << 20, &weights, &error);
            g_assert_no_error(error);
            data += unit.unit_bytes;
            size -= unit.unit_bytes;
        }
        g_bytes_unref(packet.data);
    }
    g_assert_nonnull(weights);
    return weights;
}

static void test_encoder(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("nerv-init-XXXXXX", &error);
    g_autofree char *path = g_build_filename(folder, "a.init", NULL);
    NervModel *reference = make("nerv", NULL, 160, 96, 32, 0), *model = NULL;
    g_autofree float *start = draw(reference);
    GByteArray *file = write_file(reference, start);
    g_file_set_contents(path, (const char *)file->data, file->len, &error);
    g_assert_no_error(error);

    NervEncoder *enc = make_encoder(path, "nerv", NULL, &error);
    g_assert_no_error(error);
    g_autofree float *got = encode(enc, &model);
    g_autoptr(NervInit) init = read_file(file);
    g_assert_true(nerv_init_suits(init, model));
    g_autofree float *want = g_new(float, (gsize)model->n_weights);
    NervBackend *be = nerv_backend_open("cpu", 2, &error);
    const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = 96, .height = 64 };
    NervFootage footage = { .frames = nerv_buffer_new(be, FRAMES * 96 * 64 * 3, &error), .pixels = &pixels };
    g_autofree uint8_t *black = g_malloc0(FRAMES * 96 * 64 * 3);
    g_assert_true(nerv_buffer_upload(footage.frames, 0, black, FRAMES * 96 * 64 * 3, &error));
    g_assert_true(nerv_init_begin(init, be, model, &footage, NULL, want, &error));
    nerv_buffer_free(footage.frames);
    nerv_backend_free(be);
    double seen = 0.;
    int64_t at = 0;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        for (int64_t j = 0; j < n; j++) {
            const bool is_flow =
                g_str_equal(model->params[i].name, "flow"); /* is looked for: nothing moves */
            g_assert_cmpfloat(fabsf(got[at + j] - (is_flow ? 0.f : want[at + j])), <, .01f);
            seen = fmax(seen, fabs((double)want[at + j]));
        }
        at += n;
    }
    g_assert_cmpfloat(seen, >, .6); /* drawn values are within .5: grids have the pictures' too */
    nerv_encoder_free(enc);

    g_assert_null(make_encoder(path, "dnerv", NULL, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "another network"));
    g_clear_error(&error);
    g_assert_null(make_encoder(path, "nerv", "{'widths': <[9,9]>, 'strides': <[4,4]>}", &error));
    g_assert_nonnull(strstr(error->message, "another network"));
    g_clear_error(&error);
    file->data[file->len - 1] ^= 1;
    g_file_set_contents(path, (const char *)file->data, file->len, &error);
    g_assert_no_error(error);
    g_assert_null(make_encoder(path, "nerv", NULL, &error));
    g_assert_nonnull(strstr(error->message, "hash"));

    g_remove(path);
    g_rmdir(folder);
    g_byte_array_unref(file);
    nerv_model_free(model);
    nerv_model_free(reference);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/init/round", test_round);
    g_test_add_func("/init/suits", test_suits);
    g_test_add_func("/init/rates", test_rates);
    g_test_add_func("/init/loosen", test_loosen);
    g_test_add_func("/init/like", test_like);
    g_test_add_func("/init/several", test_several);
    g_test_add_func("/init/refused", test_refused);
    g_test_add_func("/init/load", test_load);
    g_test_add_func("/init/encoder", test_encoder);
    return g_test_run();
}

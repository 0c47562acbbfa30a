/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Networks that are differences from an init: the payload, the sum, the encoder's choice, decoders with the init and without it, residuals of such a network,
 * and what doesn't fit together.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "base/error.h"
#include "codec/builtin.h"
#include "codec/delta.h"
#include "codec/weights.h"
#include "device.h"
#include "layers.h"
#include "nerv.h"
#include "small.h"

#define W     40
#define H     24
#define N     6 /* frames of a segment */
#define BYTES ((size_t)W * H * 3)

static const char *device;
static char *folder, *path; /* of an init file */

/* --- payload, sum and hash --- */

static void test_payload(void)
{
    uint8_t hash[NERV_INIT_HASH_BYTES];
    NervBitWriter network, w;
    g_autoptr(GError) error = NULL;
    const uint8_t *got, *its;
    size_t bytes;
    for (int i = 0; i < NERV_INIT_HASH_BYTES; i++)
        hash[i] = (uint8_t)(7 * i);
    nerv_writer_init(&network);
    nerv_write_bytes(&network, "abcde", 5);
    nerv_writer_init(&w);
    nerv_delta_write(hash, &network, &w);
    g_assert_cmpuint(w.bytes->len, ==, NERV_DELTA_HEAD + 5);
    g_assert_true(nerv_delta_read(w.bytes->data, w.bytes->len, &its, &got, &bytes, &error));
    g_assert_cmpmem(its, NERV_INIT_HASH_BYTES, hash, NERV_INIT_HASH_BYTES);
    g_assert_cmpmem(got, bytes, "abcde", 5);
    g_assert_false(nerv_delta_read(w.bytes->data, NERV_DELTA_HEAD, &its, &got, &bytes, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    nerv_writer_clear(&network);
    nerv_writer_clear(&w);
}

/* Layers get the init's, in a model of more frames too; grids get nothing. */
static void test_sum(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(NervInit) init = nerv_init_load(path, &error);
    g_assert_no_error(error);
    NervModel *model = small_grid_new("3x4/2x2/1x2", W, H, 3 * N);
    NervModel *other = small_grid_new("3x4/2x2/1x3", W, H, N);
    g_autofree float *weights = g_new(float, model->n_weights), *at = weights;
    const float *start = init->start;
    for (int64_t i = 0; i < model->n_weights; i++)
        weights[i] = 1.f;
    g_assert_true(nerv_delta_suits(init, model, &error));
    nerv_delta_add(init, model, weights);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape);
        for (int64_t j = 0; j < n; j++)
            g_assert_cmpfloat(at[j], ==, p->role == NERV_PARAM_GRID ? 1.f : 1.f + start[j]);
        at += n;
        start += nerv_shape_count(nerv_start_shape(p));
    }
    at = NULL;
    g_assert_false(nerv_delta_suits(init, other, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    nerv_model_free(model);
    nerv_model_free(other);
}

static void test_find(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(NervInit) init = nerv_init_load(path, &error);
    g_assert_no_error(error);
    g_autofree char *name = nerv_init_name(init->hash);
    g_assert_true(nerv_delta_find(init, init->hash, &error) == init);
    g_assert_cmpuint(nerv_n_builtin_files, >, 0);
    for (uint32_t i = 0; i < nerv_n_builtin_files; i++)
        g_assert_true(nerv_delta_find(init, nerv_builtin_init(i)->hash, &error) == nerv_builtin_init(i));
    g_assert_null(nerv_delta_find(NULL, init->hash, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, name));
}

/* --- streams --- */

typedef struct {
    GBytes *unit[N];
    NervEncoderStats stats;
} Segment;

/* Frame i of a slowly turning picture. */
static void draw(uint8_t *rgb, uint32_t i)
{
    for (uint32_t y = 0; y < H; y++)
        for (uint32_t x = 0; x < W; x++)
            for (uint32_t c = 0; c < 3; c++)
                rgb[(y * W + x) * 3 + c] =
                    (uint8_t)(128 + 60 * sin(.4 * x + c + .02 * i) + 50 * sin(.5 * y + .1 * x * c - .03 * i));
}

static NervEncoder *encoder_new(const char *init_location, NervWarmStart warm_start, uint32_t epochs)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    NervEncoderSettings s;
    g_autoptr(GError) error = NULL;
    nerv_encoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup("cpu");
    s.threads = 1;
    s.epochs = epochs;
    s.segment_frames = N;
    s.tune = NERV_TUNE_PSNR;
    s.warm_start = warm_start;
    if (init_location) {
        s.init_location = g_strdup(init_location);
        s.weight_deltas = true;
    } else {
        s.model_options =
            g_variant_ref_sink(g_variant_new_parsed("{'grids': <'3x4/2x2/1x2'>, 'widths': <[10, 8]>, "
                                                    "'strides': <[4, 2]>, 'kernels': <[1, 3]>}"));
        g_free(s.model);
        s.model = g_strdup("nerv-grid");
        s.init = NERV_INIT_NONE;
    }
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

static void fit(NervEncoder *enc, Segment *s, uint32_t first)
{
    uint8_t rgb[BYTES];
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    g_autoptr(GError) error = NULL;
    NervPacket packet;
    for (uint32_t i = first; i < first + N; i++) {
        draw(rgb, i);
        g_assert_true(nerv_encoder_send(enc, &frame, (int64_t)i * 40000000, &error));
    }
    nerv_encoder_fit(enc, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < N; i++) {
        g_assert_true(nerv_encoder_get(enc, &packet));
        s->unit[i] = packet.data;
    }
    nerv_encoder_get_stats(enc, &s->stats);
}

static void segment_clear(Segment *s)
{
    for (uint32_t i = 0; i < N; i++)
        g_bytes_unref(s->unit[i]);
}

static void scan(const Segment *s, NervAccessUnit *au)
{
    gsize size, need;
    const uint8_t *data = g_bytes_get_data(s->unit[0], &size);
    g_assert_cmpint(nerv_access_unit_scan(data, size, au, &need), ==, NERV_SCAN_OK);
    g_assert_true(au->begins);
}

static NervDecoder *decoder_new(const char *init_location)
{
    NervDecoderSettings s;
    g_autoptr(GError) error = NULL;
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup(device);
    s.init_location = g_strdup(init_location);
    NervDecoder *dec = nerv_decoder_new(&s, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_clear(&s);
    return dec;
}

static bool send(NervDecoder *dec, GBytes *unit, GError **error)
{
    NervDecodedInfo info;
    gsize size;
    const uint8_t *data = g_bytes_get_data(unit, &size);
    return nerv_decoder_send(dec, data, size, &info, error);
}

/* A segment decodes to what the encoder says it has. */
static void decode_and_compare(NervDecoder *dec, const Segment *s, uint32_t first)
{
    uint8_t got[BYTES], want[BYTES];
    const NervFrame frame = { .data = { got }, .stride = { W * 3 } };
    double psnr = 0.;
    g_autoptr(GError) error = NULL;
    for (uint32_t i = 0; i < N; i++) {
        double sum = 0.;
        send(dec, s->unit[i], &error);
        g_assert_no_error(error);
        g_assert_true(nerv_decoder_render(dec, &frame, &error));
        draw(want, first + i);
        for (size_t j = 0; j < BYTES; j++)
            sum += ((double)got[j] - want[j]) * ((double)got[j] - want[j]);
        psnr += 10. * log10(255. * 255. * (double)BYTES / sum);
    }
    g_assert_cmpfloat(fabs(psnr / N - s->stats.psnr_frames), <, .05);
}

/* An init that is the very network of a segment's frames, as far as its layers go. */
static void make_init(void)
{
    const NervClip clip = { W, H, N };
    Segment s;
    gsize bytes;
    NervEncoder *enc = encoder_new(NULL, NERV_WARM_START_NONE, 40);
    fit(enc, &s, 0);
    const uint8_t *data = g_bytes_get_data(s.unit[0], &bytes);
    layers_to_init(data, bytes, &clip, path);
    segment_clear(&s);
    nerv_encoder_free(enc);
}

/* The better of the two, by what is written of both; layers that need not be written are a gain. */
static void test_choice(void)
{
    Segment s;
    NervAccessUnit au;
    NervEncoder *enc = encoder_new(path, NERV_WARM_START_WEIGHTS, 25);
    for (uint32_t i = 0; i < 3; i++) {
        fit(enc, &s, i * N);
        const NervEncoderStats *e = &s.stats;
        g_test_message("whole %u bytes %.2f dB, delta %u bytes %.2f dB", (guint)e->whole_bytes, e->whole_psnr,
                       (guint)e->delta_bytes, e->delta_psnr);
        scan(&s, &au);
        g_assert_true(au.is_sync);
        g_assert_cmpuint(au.network.type, ==, e->is_delta ? NERV_UNIT_DELTA : NERV_UNIT_NETWORK);
        g_assert_cmpuint(au.network.payload_bytes, ==, e->is_delta ? e->delta_bytes : e->whole_bytes);
        g_assert_cmpuint(e->network_bytes, ==, au.network.payload_bytes);
        g_assert_cmpfloat(e->psnr_frames, ==, e->is_delta ? e->delta_psnr : e->whole_psnr);
        g_assert_cmpuint(e->residual_bytes, ==, 0);
        const double gain =
            e->delta_psnr - e->whole_psnr + log2((double)e->whole_bytes / (double)e->delta_bytes) * 2.4;
        g_assert_cmpint(e->is_delta, ==, gain > 0.);
        g_assert_true(i > 0 || e->is_delta);
        segment_clear(&s);
    }
    nerv_encoder_free(enc);
}

/* With the init; again, without parsing and after a flush; without the init, which is named; and after that a network that needs none. */
static void test_decode(void)
{
    Segment s, plain;
    NervDecoder *dec = decoder_new(path), *without = decoder_new(NULL);
    NervEncoder *enc = encoder_new(path, NERV_WARM_START_WEIGHTS, 25);
    NervEncoder *other = encoder_new(NULL, NERV_WARM_START_NONE, 10);
    g_autoptr(GError) error = NULL;
    g_autoptr(NervInit) init = nerv_init_load(path, &error);
    g_autofree char *name = nerv_init_name(init->hash);
    fit(enc, &s, 0);
    fit(other, &plain, 0);
    g_assert_true(s.stats.is_delta);
    decode_and_compare(dec, &s, 0);
    decode_and_compare(dec, &s, 0);
    nerv_decoder_reset(dec);
    decode_and_compare(dec, &s, 0);
    decode_and_compare(dec, &plain, 0); /* where the last one's weights were */
    decode_and_compare(dec, &s, 0);

    g_assert_false(send(without, s.unit[0], &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, name));
    g_clear_error(&error);
    g_assert_false(send(without, s.unit[1], &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    decode_and_compare(without, &plain, 0);
    segment_clear(&s);
    segment_clear(&plain);
    nerv_encoder_free(enc);
    nerv_encoder_free(other);
    nerv_decoder_free(dec);
    nerv_decoder_free(without);
}

/* Residuals go on from a delta's sums. */
static void test_residual(void)
{
    Segment s[3];
    NervDecoder *dec = decoder_new(path);
    NervEncoder *enc = encoder_new(path, NERV_WARM_START_RESIDUAL, 25);
    for (uint32_t i = 0; i < 3; i++)
        fit(enc, &s[i], i * N);
    g_assert_true(s[0].stats.is_delta);
    g_assert_true(s[1].stats.is_residual || s[2].stats.is_residual);
    for (uint32_t i = 0; i < 3; i++) {
        decode_and_compare(dec, &s[i], i * N);
        segment_clear(&s[i]);
    }
    nerv_encoder_free(enc);
    nerv_decoder_free(dec);
}

/* The access unit of a network unit, with the header and the frame of another's. */
static GBytes *access_unit(const NervAccessUnit *au, NervUnitType type, const NervBitWriter *payload)
{
    GByteArray *out = g_byte_array_new();
    nerv_unit_write(out, NERV_UNIT_SEQUENCE, au->sequence.payload, au->sequence.payload_bytes);
    nerv_unit_write(out, type, payload->bytes->data, payload->bytes->len);
    nerv_unit_write(out, NERV_UNIT_FRAME, au->frame.payload, au->frame.payload_bytes);
    return g_byte_array_free_to_bytes(out);
}

/* Another network than the init's, with nothing before it and where one like it was; a payload that is cut. */
static void test_damaged(void)
{
    Segment s;
    NervAccessUnit au;
    NervEncoder *enc = encoder_new(path, NERV_WARM_START_WEIGHTS, 25);
    NervDecoder *dec = decoder_new(path);
    NervModel *model = small_grid_new("3x4/2x2/1x3", W, H, N);
    g_autofree float *weights = g_new(float, model->n_weights);
    g_autoptr(GError) error = NULL;
    NervBitWriter network, delta, cut;
    fit(enc, &s, 0);
    scan(&s, &au);
    nerv_model_init_params(model, 1, weights);
    nerv_writer_init(&network);
    nerv_writer_init(&delta);
    nerv_writer_init(&cut);
    g_assert_true(nerv_network_write(model, weights, 8, &network, &error));
    nerv_delta_write(au.network.payload, &network, &delta);
    nerv_write_bytes(&cut, au.network.payload, 20);
    g_autoptr(GBytes) alike = access_unit(&au, NERV_UNIT_NETWORK, &network);
    g_autoptr(GBytes) other = access_unit(&au, NERV_UNIT_DELTA, &delta);
    g_autoptr(GBytes) short_one = access_unit(&au, NERV_UNIT_DELTA, &cut);
    for (int i = 0; i < 4; i++) {
        if (i >= 2) {
            send(dec, alike, &error);
            g_assert_no_error(error);
        }
        g_assert_false(send(dec, i % 2 ? short_one : other, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
        g_clear_error(&error);
        decode_and_compare(dec, &s, 0);
    }
    nerv_writer_clear(&network);
    nerv_writer_clear(&delta);
    nerv_writer_clear(&cut);
    nerv_decoder_free(dec);
    nerv_model_free(model);
    segment_clear(&s);
    nerv_encoder_free(enc);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    NervBackend *be = nerv_backend_open(device, 1, NULL);
    if (!be)
        return 77;
    nerv_backend_free(be);
    folder = g_dir_make_tmp("nerv-delta-XXXXXX", NULL);
    path = g_build_filename(folder, "a.init", NULL);
    make_init();
    g_test_add_func("/delta/decode", test_decode);
    g_test_add_func("/delta/damaged", test_damaged);
    if (!strcmp(device, "cpu")) {
        g_test_add_func("/delta/payload", test_payload);
        g_test_add_func("/delta/sum", test_sum);
        g_test_add_func("/delta/find", test_find);
        g_test_add_func("/delta/choice", test_choice);
        g_test_add_func("/delta/residual", test_residual);
    }
    const int status = g_test_run();
    g_remove(path);
    g_rmdir(folder);
    g_free(path);
    g_free(folder);
    return status;
}

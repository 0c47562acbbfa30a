/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Residual networks: payload and sum; an encoder that tries both ways keeps the better one and says what either took; a decoder shows
 * what the encoder measured, refuses a residual without its base, and takes one after a flush. argv[1]: the device, cpu or vulkan.
 */
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "base/error.h"
#include "codec/residual.h"
#include "codec/units.h"
#include "codec/weights.h"
#include "device.h"
#include "nerv.h"
#include "small.h"

#define W          40
#define H          24
#define N          6 /* frames of a segment */
#define N_SEGMENTS 4
#define BYTES      ((size_t)W * H * 3)

static const char *device;

/* --- payload and sum --- */

static void test_payload(void)
{
    NervBitWriter network, w;
    GError *error = NULL;
    const uint8_t *got;
    size_t bytes;
    uint32_t crc;
    nerv_writer_init(&network);
    g_byte_array_append(network.bytes, (const uint8_t *)"abcde", 5);
    nerv_writer_init(&w);
    nerv_residual_write(0x01020384, &network, &w);
    g_assert_cmpmem(w.bytes->data, w.bytes->len, "\x84\3\2\1abcde", 9);
    g_assert_true(nerv_residual_read(w.bytes->data, w.bytes->len, &crc, &got, &bytes, &error));
    g_assert_cmpuint(crc, ==, 0x01020384);
    g_assert_cmpmem(got, bytes, "abcde", 5);
    g_assert_false(nerv_residual_read(w.bytes->data, 3, &crc, &got, &bytes, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    g_clear_error(&error);
    nerv_writer_clear(&network);
    nerv_writer_clear(&w);
}

/* Half of what was before, but nothing in grids whose rows are times. */
static void test_sum(void)
{
    NervModel *model = small_grid_new("3x4/2x2/1x2", W, H, N);
    const gsize n = (gsize)model->n_weights;
    g_autofree float *before = g_new(float, n), *weights = g_new(float, n);
    gsize at = 0;
    for (gsize i = 0; i < n; i++) {
        before[i] = (float)i;
        weights[i] = 1000.f;
    }
    nerv_residual_add(model, before, weights);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const gsize end = at + (gsize)nerv_shape_count(p->shape);
        const bool of_time = p->role == NERV_PARAM_GRID && p->shape.n > 1;
        for (; at < end; at++)
            g_assert_cmpfloat(weights[at], ==, of_time ? 1000.f : 1000.f + (float)at / 2.f);
    }
    g_assert_cmpuint(at, ==, n);
    nerv_model_free(model);
}

/* --- streams --- */

typedef struct {
    GBytes *unit[N];
    bool is_sync[N];
    NervEncoderStats stats;
} Segment;

static NervEncoder *try_encoder(uint32_t threads, uint32_t sync_interval, uint64_t max_memory, GError **error)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    NervEncoderSettings s;
    nerv_encoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup("cpu");
    s.threads = threads;
    s.epochs = 25;
    s.segment_frames = N;
    s.tune = NERV_TUNE_PSNR;
    s.warm_start = NERV_WARM_START_RESIDUAL;
    s.sync_interval = sync_interval;
    s.max_memory_bytes = max_memory;
    NervEncoder *enc = nerv_encoder_new(&info, &s, error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

static NervEncoder *encoder_new(uint32_t threads, uint32_t sync_interval)
{
    GError *error = NULL;
    NervEncoder *enc = try_encoder(threads, sync_interval, 0, &error);
    g_assert_no_error(error);
    return enc;
}

/* Frame i of a slowly turning picture. */
static void draw(uint8_t *rgb, uint32_t i)
{
    for (uint32_t y = 0; y < H; y++)
        for (uint32_t x = 0; x < W; x++)
            for (uint32_t c = 0; c < 3; c++)
                rgb[(y * W + x) * 3 + c] =
                    (uint8_t)(128 + 60 * sin(.4 * x + c + .02 * i) + 50 * sin(.5 * y + .1 * x * c - .03 * i));
}

static void fit(NervEncoder *enc, Segment *s, uint32_t first)
{
    uint8_t rgb[BYTES];
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    GError *error = NULL;
    NervPacket packet;
    for (uint32_t i = first; i < first + N; i++) {
        draw(rgb, i);
        nerv_encoder_send(enc, &frame, (int64_t)i * 40000000, &error);
        g_assert_no_error(error);
    }
    nerv_encoder_fit(enc, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < N; i++) {
        g_assert_true(nerv_encoder_get(enc, &packet));
        s->unit[i] = packet.data;
        s->is_sync[i] = packet.is_sync;
    }
    g_assert_false(nerv_encoder_get(enc, &packet));
    nerv_encoder_get_stats(enc, &s->stats);
}

static void fit_all(NervEncoder *enc, Segment *s)
{
    for (uint32_t i = 0; i < N_SEGMENTS; i++)
        fit(enc, &s[i], i * N);
    nerv_encoder_free(enc);
}

static void segments_clear(Segment *s)
{
    for (uint32_t i = 0; i < N_SEGMENTS * N; i++)
        g_bytes_unref(s[i / N].unit[i % N]);
}

static bool is_residual(const Segment *s)
{
    gsize size, need;
    NervAccessUnit au;
    const uint8_t *data = g_bytes_get_data(s->unit[0], &size);
    g_assert_cmpint(nerv_access_unit_scan(data, size, &au, &need), ==, NERV_SCAN_OK);
    g_assert_true(au.begins);
    g_assert_cmpint(au.is_sync, ==, au.network.type == NERV_UNIT_NETWORK);
    g_assert_cmpint(s->is_sync[0], ==, au.is_sync);
    g_assert_cmpuint(s->stats.network_bytes, ==, au.network.payload_bytes);
    return !au.is_sync;
}

static NervDecoder *decoder_new(void)
{
    NervDecoderSettings ds;
    GError *error = NULL;
    nerv_decoder_settings_init(&ds);
    g_free(ds.device);
    ds.device = g_strdup(device);
    NervDecoder *dec = nerv_decoder_new(&ds, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_clear(&ds);
    return dec;
}

static bool send(NervDecoder *dec, const Segment *s, uint32_t frame, GError **error)
{
    NervDecodedInfo info;
    gsize size;
    const uint8_t *data = g_bytes_get_data(s->unit[frame], &size);
    return nerv_decoder_send(dec, data, size, &info, error);
}

static void render(NervDecoder *dec, uint8_t *rgb)
{
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    GError *error = NULL;
    nerv_decoder_render(dec, &frame, &error);
    g_assert_no_error(error);
}

static double psnr(const uint8_t *a, const uint8_t *b)
{
    double sum = 0.;
    for (size_t i = 0; i < BYTES; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return 10. * log10(255. * 255. * (double)BYTES / sum);
}

/* Each segment decodes to what the encoder says it has. */
static void decode_and_compare(NervDecoder *dec, const Segment *s, uint32_t first)
{
    uint8_t got[BYTES], want[BYTES];
    double sum = 0.;
    GError *error = NULL;
    for (uint32_t i = 0; i < N; i++) {
        send(dec, s, i, &error);
        g_assert_no_error(error);
        render(dec, got);
        draw(want, first + i);
        sum += psnr(got, want);
    }
    g_assert_cmpfloat(fabs(sum / N - s->stats.psnr_frames), <, .05);
}

/* The better of the two, by what is written of both; a dB is worth about a quarter of the bytes. */
static void test_choice(void)
{
    Segment s[N_SEGMENTS];
    uint32_t n = 0;
    fit_all(encoder_new(1, 100), s);
    for (uint32_t i = 0; i < N_SEGMENTS; i++) {
        const NervEncoderStats *e = &s[i].stats;
        g_assert_cmpint(is_residual(&s[i]), ==, e->is_residual);
        g_assert_cmpint(e->residual_bytes > 0, ==, i > 0);
        g_test_message("whole %u bytes %.2f dB, residual %u bytes %.2f dB", (guint)e->whole_bytes,
                       e->whole_psnr, (guint)e->residual_bytes, e->residual_psnr);
        for (uint32_t k = 1; k < N; k++)
            g_assert_false(s[i].is_sync[k]);
        n += e->is_residual;
        if (i == 0)
            continue;
        g_assert_cmpuint(e->network_bytes, ==, e->is_residual ? e->residual_bytes : e->whole_bytes);
        g_assert_cmpfloat(e->psnr_frames, ==, e->is_residual ? e->residual_psnr : e->whole_psnr);
        const double gain =
            e->residual_psnr - e->whole_psnr + log2((double)e->whole_bytes / (double)e->residual_bytes) * 2.4;
        g_assert_cmpint(e->is_residual, ==, gain > 0.);
    }
    g_assert_cmpuint(n, >=, 2); /* the picture hardly changes */
    segments_clear(s);
}

/* In sequence, on both devices; the same unit again, and after a flush. */
static void test_decode(void)
{
    Segment s[N_SEGMENTS];
    NervDecoder *dec = decoder_new();
    fit_all(encoder_new(1, 100), s);
    for (uint32_t i = 0; i < N_SEGMENTS; i++) {
        decode_and_compare(dec, &s[i], i * N);
        decode_and_compare(dec, &s[i], i * N);
        nerv_decoder_reset(dec);
    }
    /* back to the beginning, as a seek goes there */
    for (uint32_t i = 0; i < N_SEGMENTS; i++)
        decode_and_compare(dec, &s[i], i * N);
    nerv_decoder_free(dec);
    segments_clear(s);
}

/* Without its base a residual is no error of the data: the decoder waits for a sync point, and takes it. */
static void test_lost(void)
{
    Segment s[N_SEGMENTS];
    NervDecoder *fresh = decoder_new(), *dec = decoder_new();
    GError *error = NULL;
    uint32_t r = 2;
    fit_all(encoder_new(1, 100), s);
    while (r < N_SEGMENTS && !(is_residual(&s[r - 1]) && is_residual(&s[r])))
        r++;
    g_assert_cmpuint(r, <, N_SEGMENTS);
    g_assert_false(send(fresh, &s[r], 0, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    g_clear_error(&error);

    decode_and_compare(dec, &s[0], 0);
    g_assert_false(send(dec, &s[r], 0, &error)); /* the segment between is lost */
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    g_clear_error(&error);
    g_assert_false(send(dec, &s[r], 1, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    g_clear_error(&error);
    for (uint32_t i = r == 2; i < N_SEGMENTS; i++)
        if (i > 0 || r > 2)
            decode_and_compare(dec, &s[i], i * N);
    nerv_decoder_free(fresh);
    nerv_decoder_free(dec);
    segments_clear(s);
}

/* A residual whose network is of another configuration than its base, and one that is cut. */
static void test_damaged(void)
{
    Segment s[N_SEGMENTS];
    GError *error = NULL;
    gsize size, need;
    NervAccessUnit au;
    NervDecodedInfo info;
    fit_all(encoder_new(1, 100), s);
    const uint8_t *data = g_bytes_get_data(s[0].unit[0], &size);
    g_assert_cmpint(nerv_access_unit_scan(data, size, &au, &need), ==, NERV_SCAN_OK);
    for (int kind = 0; kind < 2; kind++) {
        NervDecoder *dec = decoder_new();
        NervModel *other = small_grid_new("3x4/2x2/1x3", W, H, N);
        g_autofree float *weights = g_new(float, other->n_weights);
        GByteArray *out = g_byte_array_new();
        NervBitWriter network, w;
        nerv_model_init_params(other, 1, weights);
        nerv_writer_init(&network);
        nerv_writer_init(&w);
        g_assert_true(nerv_network_write(other, weights, 8, &network, &error));
        nerv_residual_write(au.network.crc, &network, &w);
        nerv_unit_write(out, NERV_UNIT_SEQUENCE, au.sequence.payload, au.sequence.payload_bytes);
        nerv_unit_write(out, NERV_UNIT_RESIDUAL, w.bytes->data, kind ? 3 : w.bytes->len);
        nerv_unit_write(out, NERV_UNIT_FRAME, au.frame.payload, au.frame.payload_bytes);
        g_assert_true(send(dec, &s[0], 0, &error));
        g_assert_false(nerv_decoder_send(dec, out->data, out->len, &info, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
        g_clear_error(&error);
        decode_and_compare(dec, &s[0], 0);
        nerv_decoder_free(dec);
        nerv_model_free(other);
        nerv_writer_clear(&network);
        nerv_writer_clear(&w);
        g_byte_array_unref(out);
    }
    segments_clear(s);
}

/* Sync points come as often as asked for, and where they are asked for. */
static void test_sync(void)
{
    Segment s[N_SEGMENTS], forced;
    NervEncoder *enc = encoder_new(1, 2);
    for (uint32_t i = 0; i < N_SEGMENTS; i++)
        fit(enc, &s[i], i * N);
    for (uint32_t i = 2; i < N_SEGMENTS; i++)
        g_assert_true(s[i].is_sync[0] || s[i - 1].is_sync[0]);
    nerv_encoder_free(enc);
    segments_clear(s);

    enc = encoder_new(1, 100);
    for (uint32_t i = 0; i < N_SEGMENTS; i++) {
        nerv_encoder_force_sync(enc);
        fit(enc, &s[i], i * N);
        g_assert_true(s[i].is_sync[0]);
        g_assert_cmpuint(s[i].stats.residual_bytes, ==, 0);
    }
    segments_clear(s);
    fit(enc, &forced, N_SEGMENTS * N); /* one call is for one segment */
    g_assert_cmpuint(forced.stats.residual_bytes, >, 0);
    for (uint32_t i = 0; i < N; i++)
        g_bytes_unref(forced.unit[i]);
    nerv_encoder_free(enc);
}

/* Memory in which an encoder starts is enough for residuals. */
static void test_memory(void)
{
    Segment s[N_SEGMENTS];
    uint64_t few = 1 << 16, many = 1 << 26;
    while (many - few > 2048) {
        const uint64_t middle = (few + many) / 2;
        GError *error = NULL;
        NervEncoder *enc = try_encoder(1, 100, middle, &error);
        g_assert_true(enc || g_error_matches(error, NERV_ERROR, NERV_ERROR_MEMORY));
        const bool whole = enc && nerv_encoder_max_frames(enc) == N;
        nerv_encoder_free(enc);
        g_clear_error(&error);
        *(whole ? &many : &few) = middle;
    }
    g_test_message("%u bytes", (guint)many);
    fit_all(try_encoder(1, 100, many, NULL), s);
    g_assert_cmpuint(s[1].stats.residual_bytes, >, 0);
    segments_clear(s);
}

static void test_determinism(void)
{
    Segment a[N_SEGMENTS], b[N_SEGMENTS];
    fit_all(encoder_new(1, 100), a);
    fit_all(encoder_new(3, 100), b);
    for (uint32_t i = 0; i < N_SEGMENTS * N; i++)
        g_assert_true(g_bytes_equal(a[i / N].unit[i % N], b[i / N].unit[i % N]));
    segments_clear(a);
    segments_clear(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    NervBackend *be = nerv_backend_open(device, 1, NULL);
    if (!be)
        return 77;
    nerv_backend_free(be);
    g_test_add_func("/residual/decode", test_decode);
    g_test_add_func("/residual/lost", test_lost);
    g_test_add_func("/residual/damaged", test_damaged);
    if (!strcmp(device, "cpu")) {
        g_test_add_func("/residual/payload", test_payload);
        g_test_add_func("/residual/sum", test_sum);
        g_test_add_func("/residual/choice", test_choice);
        g_test_add_func("/residual/sync", test_sync);
        g_test_add_func("/residual/memory", test_memory);
        g_test_add_func("/residual/determinism", test_determinism);
    }
    return g_test_run();
}

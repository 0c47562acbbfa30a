/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libnerv's public door as a program would use it: frames in, access units out, frames back; seeds, threads and devices
 * agree; cancellation, memory limits and damaged input fail as nerv.h says.
 */
#include <math.h>
#include <string.h>

#include "nerv.h"

#define W 33
#define H 18

static void small_settings(NervEncoderSettings *s)
{
    nerv_encoder_settings_init(s);
    g_free(s->model);
    s->model = g_strdup("nerv-mlp");
    s->model_options = g_variant_ref_sink(
        g_variant_new_parsed("{'stem': <16>, 'base-channels': <4>, 'widths': <[6,5]>, 'strides': <[2,2]>}"));
    s->epochs = 30;
    s->rate_weight = 0.;
    s->learning_rate = 5e-3;
    g_free(s->device);
    s->device = g_strdup("cpu");
}

static NervVideoInfo video(int format)
{
    return (
        NervVideoInfo){ .pixels = { .format = format, .width = W, .height = H, .matrix = NERV_MATRIX_BT601 },
                        .primaries = 1,
                        .transfer = 1,
                        .fps_n = 30000,
                        .fps_d = 1001,
                        .par_n = 1,
                        .par_d = 1 };
}

/* A moving gradient; every byte depends on the frame. */
static void paint(uint8_t *rgb, int frame)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                rgb[(y * W + x) * 3 + c] = (uint8_t)(128 + 100 * sin(.2 * (x + frame) + .3 * y + c));
}

static GPtrArray *encode(const NervEncoderSettings *s, int n_frames, GError **error)
{
    const NervVideoInfo info = video(NERV_PIXELS_RGB);
    uint8_t rgb[W * H * 3];
    NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    NervPacket packet;
    GPtrArray *packets = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    NervEncoder *enc = nerv_encoder_new(&info, s, error);
    for (int i = 0; enc && i < n_frames; i++) {
        paint(rgb, i);
        if (!nerv_encoder_send(enc, &frame, (int64_t)i * 33366667, error) ||
            ((nerv_encoder_is_full(enc) || i == n_frames - 1) && !nerv_encoder_fit(enc, error)))
            break;
        while (nerv_encoder_get(enc, &packet))
            g_ptr_array_add(packets, packet.data);
    }
    nerv_encoder_free(enc);
    return packets;
}

static double decode_psnr(GPtrArray *packets, const char *device)
{
    NervDecoderSettings s;
    GError *error = NULL;
    uint8_t want[W * H * 3], got[W * H * 3];
    NervFrame frame = { .data = { got }, .stride = { W * 3 } };
    double sum = 0.;
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup(device);
    NervDecoder *dec = nerv_decoder_new(&s, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < packets->len; i++) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(packets, i), &size);
        NervDecodedInfo info;
        nerv_decoder_send(dec, data, size, &info, &error);
        g_assert_no_error(error);
        g_assert_cmpint(info.pts_ns, ==, (int64_t)i * 33366667);
        g_assert_cmpuint(info.frame, ==, i);
        nerv_decoder_render(dec, &frame, &error);
        g_assert_no_error(error);
        paint(want, (int)i);
        for (int j = 0; j < W * H * 3; j++)
            sum += (want[j] - got[j]) * (want[j] - got[j]);
    }
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&s);
    return 10. * log10(255. * 255. * W * H * 3 * packets->len / sum);
}

static void test_round_trip(void)
{
    NervEncoderSettings s;
    GError *error = NULL;
    small_settings(&s);
    s.segment_frames = 5;
    GPtrArray *packets = encode(&s, 12, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(packets->len, ==, 12);
    for (guint i = 0; i < packets->len; i++) {
        NervAccessUnit au;
        size_t need, size;
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(packets, i), &size);
        g_assert_cmpint(nerv_access_unit_scan(data, size, &au, &need), ==, NERV_SCAN_OK);
        g_assert_cmpuint(au.bytes, ==, size);
        g_assert_cmpint(au.is_sync, ==, i % 5 == 0);
        if (i % 5)
            g_assert_cmpuint(size, <=, 20);
    }
    g_assert_cmpfloat(decode_psnr(packets, "cpu"), >, 12.);
    g_ptr_array_unref(packets);
    nerv_encoder_settings_clear(&s);
}

static bool same_packets(GPtrArray *a, GPtrArray *b)
{
    bool same = a->len == b->len;
    for (guint i = 0; same && i < a->len; i++)
        same = g_bytes_equal(g_ptr_array_index(a, i), g_ptr_array_index(b, i));
    return same;
}

/* One seed, one stream, whatever the number of threads; another seed, another stream. */
static void test_determinism(void)
{
    NervEncoderSettings s;
    small_settings(&s);
    s.epochs = 4;
    GPtrArray *first = NULL;
    for (uint32_t threads = 1; threads <= 4; threads++) {
        GError *error = NULL;
        s.threads = threads;
        GPtrArray *packets = encode(&s, 6, &error);
        g_assert_no_error(error);
        if (first) {
            g_assert_true(same_packets(first, packets));
            g_ptr_array_unref(packets);
        } else {
            first = packets;
        }
    }
    s.seed++;
    GPtrArray *other = encode(&s, 6, NULL);
    g_assert_false(same_packets(first, other));
    g_ptr_array_unref(first);
    g_ptr_array_unref(other);
    nerv_encoder_settings_clear(&s);
}

static gpointer cancel_soon(gpointer enc)
{
    g_usleep(50000);
    nerv_encoder_cancel(enc);
    return NULL;
}

static void test_cancel(void)
{
    const NervVideoInfo info = video(NERV_PIXELS_RGB);
    NervEncoderSettings s;
    GError *error = NULL;
    uint8_t rgb[W * H * 3];
    NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    small_settings(&s);
    s.epochs = 1000000;
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    paint(rgb, 0);
    g_assert_true(nerv_encoder_send(enc, &frame, 0, NULL));
    GThread *thread = g_thread_new("cancel", cancel_soon, enc);
    g_assert_false(nerv_encoder_fit(enc, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
    g_clear_error(&error);
    g_thread_join(thread);
    g_assert_cmpuint(nerv_encoder_pending(enc), ==, 1);
    g_assert_false(nerv_encoder_fit(enc, &error)); /* still cancelled */
    g_clear_error(&error);
    nerv_encoder_reset(enc);
    g_assert_cmpuint(nerv_encoder_pending(enc), ==, 0);
    g_assert_true(nerv_encoder_fit(enc, &error)); /* nothing to do */
    g_assert_no_error(error);
    nerv_encoder_free(enc);
    nerv_encoder_settings_clear(&s);
}

static void test_memory_limit(void)
{
    const NervVideoInfo info = video(NERV_PIXELS_RGB);
    NervEncoderSettings s;
    GError *error = NULL;
    small_settings(&s);
    s.max_memory_bytes = 100000;
    g_assert_null(nerv_encoder_new(&info, &s, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_MEMORY);
    g_assert_nonnull(strstr(error->message, "max-memory"));
    g_clear_error(&error);

    /* more frames than fit: shorter segments */
    s.max_memory_bytes = 4 << 20;
    s.segment_frames = 60000;
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    const uint32_t capacity = nerv_encoder_max_frames(enc);
    g_assert_cmpuint(capacity, <, 60000);
    nerv_encoder_free(enc);

    /* segment_frames 0: as many frames as fit, then full */
    s.segment_frames = 0;
    enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(nerv_encoder_max_frames(enc), ==, capacity);
    uint8_t rgb[W * H * 3];
    NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    paint(rgb, 0);
    while (!nerv_encoder_is_full(enc))
        g_assert_true(nerv_encoder_send(enc, &frame, 0, NULL));
    g_assert_cmpuint(nerv_encoder_pending(enc), >, 100);
    g_assert_false(nerv_encoder_send(enc, &frame, 0, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    nerv_encoder_free(enc);
    nerv_encoder_settings_clear(&s);
}

/* After a change of format, another encoder counts on. */
static void test_continue(void)
{
    const NervVideoInfo info = video(NERV_PIXELS_RGB);
    NervEncoderSettings s;
    GError *error = NULL;
    uint8_t rgb[W * H * 3];
    NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    NervPacket packet;
    small_settings(&s);
    s.epochs = 1;
    NervEncoder *first = nerv_encoder_new(&info, &s, &error), *second = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    paint(rgb, 0);
    g_assert_true(nerv_encoder_send(first, &frame, 0, NULL) && nerv_encoder_send(first, &frame, 1, NULL));
    g_assert_true(nerv_encoder_fit(first, NULL));
    nerv_encoder_continue(second, first);
    g_assert_true(nerv_encoder_send(second, &frame, 2, NULL));
    g_assert_true(nerv_encoder_fit(second, NULL));
    g_assert_true(nerv_encoder_get(second, &packet));

    NervAccessUnit au;
    NervSequence sequence;
    size_t need, size;
    const uint8_t *data = g_bytes_get_data(packet.data, &size);
    g_assert_cmpint(nerv_access_unit_scan(data, size, &au, &need), ==, NERV_SCAN_OK);
    g_assert_true(nerv_sequence_read(au.sequence.payload, au.sequence.payload_bytes, &sequence, NULL));
    g_assert_cmpuint(sequence.segment_id, ==, 1);
    g_assert_cmpuint(sequence.first_frame, ==, 2);
    g_bytes_unref(packet.data);
    nerv_encoder_free(first);
    nerv_encoder_free(second);
    nerv_encoder_settings_clear(&s);
}

/* A frame without its network asks for a sync point; damage is refused and the next sync point heals. */
static void test_sync_points(void)
{
    NervEncoderSettings es;
    NervDecoderSettings ds;
    NervDecodedInfo info;
    GError *error = NULL;
    gsize size;
    small_settings(&es);
    es.epochs = 1;
    es.segment_frames = 3;
    GPtrArray *packets = encode(&es, 6, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_init(&ds);
    NervDecoder *dec = nerv_decoder_new(&ds, &error);
    g_assert_no_error(error);

    const uint8_t *data = g_bytes_get_data(g_ptr_array_index(packets, 1), &size);
    g_assert_false(nerv_decoder_send(dec, data, size, &info, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    g_clear_error(&error);

    data = g_bytes_get_data(g_ptr_array_index(packets, 0), &size);
    uint8_t *bad = g_memdup2(data, size);
    bad[size / 2] ^= 0x10;
    g_assert_false(nerv_decoder_send(dec, bad, size, &info, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    g_clear_error(&error);
    g_free(bad);

    for (guint i = 3; i < 6; i++) {
        data = g_bytes_get_data(g_ptr_array_index(packets, i), &size);
        g_assert_true(nerv_decoder_send(dec, data, size, &info, &error));
        g_assert_cmpuint(info.frame, ==, i);
        g_assert_cmpint(info.is_sync, ==, i == 3);
    }
    /* a frame of the earlier segment is not evaluated with this network */
    data = g_bytes_get_data(g_ptr_array_index(packets, 2), &size);
    g_assert_false(nerv_decoder_send(dec, data, size, &info, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    g_clear_error(&error);
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&ds);
    g_ptr_array_unref(packets);
    nerv_encoder_settings_clear(&es);
}

/* Six frames in two segments that end early, as at a forced key unit: each takes its part of the time by what is expected, half of it if
 * nothing is, and the last one the rest. */
static void test_seconds(void)
{
#ifdef __SANITIZE_THREAD__
    g_test_skip("the clock says nothing under ThreadSanitizer");
    return;
#endif
    static const struct {
        uint64_t expected;
        double least, most; /* of the first segment's end */
    } cases[] = { { 6, .35, .75 }, { 0, .35, .75 }, { 12, .15, .5 } };
    const NervVideoInfo info = video(NERV_PIXELS_RGB);
    uint8_t rgb[W * H * 3];
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    for (size_t c = 0; c < G_N_ELEMENTS(cases); c++) {
        NervEncoderSettings s;
        NervPacket packet;
        GError *error = NULL;
        small_settings(&s);
        s.max_seconds = 1.;
        NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
        g_assert_no_error(error);
        const gint64 start = g_get_monotonic_time();
        double seconds[2];
        for (int i = 0; i < 6; i++) {
            paint(rgb, i);
            g_assert_true(nerv_encoder_send(enc, &frame, (int64_t)i * 33366667, &error));
            if (i % 3 < 2)
                continue;
            nerv_encoder_expect(enc, i == 5 ? NERV_EXPECT_END : cases[c].expected);
            g_assert_true(nerv_encoder_fit(enc, &error));
            seconds[i / 3] = (double)(g_get_monotonic_time() - start) * 1e-6;
            while (nerv_encoder_get(enc, &packet))
                g_bytes_unref(packet.data);
        }
        g_test_message("%.2f s, %.2f s", seconds[0], seconds[1]);
        g_assert_cmpfloat(seconds[0], >, cases[c].least);
        g_assert_cmpfloat(seconds[0], <, cases[c].most);
        g_assert_cmpfloat(seconds[1], >, .85);
        g_assert_cmpfloat(seconds[1], <, 1.3);
        nerv_encoder_free(enc);
        nerv_encoder_settings_clear(&s);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/round-trip", test_round_trip);
    g_test_add_func("/stream/determinism", test_determinism);
    g_test_add_func("/stream/cancel", test_cancel);
    g_test_add_func("/stream/memory-limit", test_memory_limit);
    g_test_add_func("/stream/continue", test_continue);
    g_test_add_func("/stream/seconds", test_seconds);
    g_test_add_func("/stream/sync-points", test_sync_points);
    return g_test_run();
}

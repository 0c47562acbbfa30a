/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stream of dnerv from encoder to decoder: a scene with a cut, clips and keyframes. Any frame decodes alone as in sequence; what a lost,
 * damaged or foreign keyframe costs; the bytes that are asked for. The argument names the device; skipped (77) without one.
 */
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "codec/settings.h"
#include "codec/units.h"
#include "nerv.h"
#include "device.h"

#define W     64
#define H     40
#define N     29
#define CUT   13
#define BYTES (W * H * 3)

static const char *device;
static bool is_slow;      /* lavapipe, and the same code as the CPU's in all that matters here */
static GPtrArray *stream; /* GBytes, N access units */
static uint8_t *shown;    /* N frames, decoded in sequence */

/* Waves that move, others behind the cut. */
static void paint(int f, uint8_t *rgb)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = (uint8_t)(f < CUT ? 100 + 60 * sin(.2 * (x + f) + .1 * y * (c + 1))
                                           : 170 + 60 * sin(.15 * (y - 2 * f) + .1 * x * (c + 1)));
}

static NervFrame frame_of(uint8_t *rgb)
{
    return (NervFrame){ .data = { rgb }, .stride = { W * 3 } };
}

static NervEncoder *encoder_new(uint64_t target_bytes)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                 .primaries = 2,
                                 .transfer = 2,
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    NervEncoderSettings s;
    GError *error = NULL;
    nerv_encoder_settings_init(&s);
    g_free(s.model);
    g_free(s.device);
    s.model = g_strdup("dnerv");
    s.device = g_strdup(device);
    s.model_options = g_variant_ref_sink(g_variant_new_parsed(
        "{'clip-frames': <4>, 'keyframe-interval': <8>, 'widths': <[12, 8]>, 'strides': <[4, 2]>}"));
    s.epochs = 3;
    s.threads = 2;
    s.tune = NERV_TUNE_PSNR;
    s.target_size_bytes = target_bytes;
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

/* GBytes, one per frame. */
static GPtrArray *encode(uint64_t target_bytes, NervEncoderStats *stats)
{
    NervEncoder *enc = encoder_new(target_bytes);
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    GError *error = NULL;
    NervPacket packet;
    uint8_t rgb[BYTES];
    for (int f = 0; f < N; f++) {
        const NervFrame frame = frame_of(rgb);
        paint(f, rgb);
        g_assert_true(nerv_encoder_send(enc, &frame, f * 40000000ll, &error));
    }
    nerv_encoder_fit(enc, &error);
    g_assert_no_error(error);
    while (nerv_encoder_get(enc, &packet))
        g_ptr_array_add(out, packet.data);
    g_assert_cmpuint(out->len, ==, N);
    nerv_encoder_get_stats(enc, stats);
    nerv_encoder_free(enc);
    return out;
}

static NervDecoder *decoder_new(uint32_t threads)
{
    NervDecoderSettings s;
    GError *error = NULL;
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup(device);
    s.threads = threads;
    NervDecoder *dec = nerv_decoder_new(&s, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_clear(&s);
    return dec;
}

static void send(NervDecoder *dec, GBytes *unit)
{
    GError *error = NULL;
    NervDecodedInfo info;
    gsize size;
    const uint8_t *data = g_bytes_get_data(unit, &size);
    nerv_decoder_send(dec, data, size, &info, &error);
    g_assert_no_error(error);
}

static bool render(NervDecoder *dec, uint8_t *rgb, GError **error)
{
    const NervFrame frame = frame_of(rgb);
    return nerv_decoder_render(dec, &frame, error);
}

static double psnr(const uint8_t *a, const uint8_t *b)
{
    double sum = 0;
    for (int i = 0; i < BYTES; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return 10 * log10(255. * 255. * BYTES / fmax(sum, 1));
}

/* A unit without its keyframes, or with those that `keep` wants. */
static GBytes *without_keyframes(GBytes *unit, int keep)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(unit, &size);
    GByteArray *out = g_byte_array_new();
    NervAccessUnit au;
    size_t need;
    g_assert_cmpint(nerv_access_unit_scan(data, size, &au, &need), ==, NERV_SCAN_OK);
    for (size_t at = 0; at < size;) {
        NervUnit u;
        NervKeyframeHeader k;
        g_assert_cmpint(nerv_unit_scan(data + at, size - at, &u, &need), ==, NERV_SCAN_OK);
        const bool is_key =
            u.type == NERV_UNIT_KEYFRAME && nerv_keyframe_header_read(u.payload, u.payload_bytes, &k, NULL);
        if (!is_key || (int)k.index == keep)
            g_byte_array_append(out, data + at, (guint)u.unit_bytes);
        at += u.unit_bytes;
    }
    return g_byte_array_free_to_bytes(out);
}

static void test_sequence(void)
{
    double mean = 0;
    NervDecoder *dec = decoder_new(2);
    GError *error = NULL;
    for (int f = 0; f < N; f++) {
        uint8_t rgb[BYTES];
        send(dec, g_ptr_array_index(stream, f));
        render(dec, shown + f * BYTES, &error);
        g_assert_no_error(error);
        paint(f, rgb);
        mean += psnr(rgb, shown + f * BYTES) / N;
    }
    NervDecoderStats stats;
    nerv_decoder_get_stats(dec, &stats);
    g_assert_cmpuint(stats.concealed, ==, 0);
    g_assert_cmpuint(stats.plans, ==, 1);
    g_test_message("%.2f dB, %s", mean, stats.model);
    g_assert_cmpfloat(mean, >, 22);
    nerv_decoder_free(dec);
}

/* The first access unit has the keyframes of the first two clips at most; each later one is there before the clip that it starts. */
static void test_keyframes(void)
{
    uint32_t seen = 0;
    for (int f = 0; f < N; f++) {
        NervAccessUnit au;
        gsize size;
        size_t need;
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(stream, f), &size);
        g_assert_cmpint(nerv_access_unit_scan(data, size, &au, &need), ==, NERV_SCAN_OK);
        g_assert_cmpuint(au.n_keyframes, <=, 3);
        seen += au.n_keyframes;
    }
    /* frames 0, 8, 12 (the first scene's last), 13, 21, 28 */
    g_assert_cmpuint(seen, ==, 6);
}

/* Frames in any order, on any number of threads, are those of the sequence. */
static void test_alone(void)
{
    static const int order[] = { 28, 0, 12, 13, 27, 5, 4, 20, 21, 1 };
    GError *error = NULL;
    uint8_t rgb[BYTES];
    for (uint32_t threads = 1; threads <= (is_slow ? 1 : 2); threads++) {
        NervDecoder *dec = decoder_new(threads);
        for (int f = 0; f < N; f++) /* all keyframes, nothing rendered */
            send(dec, g_ptr_array_index(stream, f));
        for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
            send(dec, g_ptr_array_index(stream, order[i]));
            render(dec, rgb, &error);
            g_assert_no_error(error);
            g_assert_cmpmem(rgb, BYTES, shown + order[i] * BYTES, BYTES);
        }
        nerv_decoder_free(dec);
    }
    /* no more than the clip's own: what comes before it, rendered never */
    for (int f = 0; f < N; f += is_slow ? 14 : 9) {
        NervDecoder *dec = decoder_new(2);
        for (int i = 0; i <= f; i++)
            send(dec, g_ptr_array_index(stream, i));
        render(dec, rgb, &error);
        g_assert_no_error(error);
        g_assert_cmpmem(rgb, BYTES, shown + f * BYTES, BYTES);
        nerv_decoder_free(dec);
    }
}

/* Only frame 0's keyframe comes: its interval is made from it, those that have none fail, and nothing else does. */
static void test_lost(void)
{
    NervDecoder *dec = decoder_new(2);
    uint8_t rgb[BYTES];
    NervDecoderStats stats;
    for (int f = 0; f < N; f++) {
        g_autoptr(GBytes) unit = without_keyframes(g_ptr_array_index(stream, f), 0);
        GError *error = NULL;
        send(dec, unit);
        const bool ok = render(dec, rgb, &error);
        if (f < 4) {
            g_assert_no_error(error);
            g_assert_cmpfloat(psnr(rgb, shown + f * BYTES), >, 12);
        } else {
            g_assert_false(ok);
            g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
            g_clear_error(&error);
        }
    }
    nerv_decoder_get_stats(dec, &stats);
    g_assert_cmpuint(stats.concealed, >=, 1);
    /* once they are there, all is as it was */
    for (int f = 0; f < N; f++) {
        GError *error = NULL;
        send(dec, g_ptr_array_index(stream, f));
        render(dec, rgb, &error);
        g_assert_no_error(error);
        g_assert_true(f < 4 || !memcmp(rgb, shown + f * BYTES, BYTES));
    }
    nerv_decoder_free(dec);
}

/* Appends a keyframe of that frame with these bytes in front of a unit. */
static GBytes *with_keyframe(GBytes *unit, uint32_t segment, uint32_t index, const char *data)
{
    const NervKeyframeHeader k = { .segment_id = segment,
                                   .index = index,
                                   .codec = NERV_KEYFRAME_AV1,
                                   .data = (const uint8_t *)data,
                                   .bytes = strlen(data) };
    GByteArray *out = g_byte_array_new();
    NervBitWriter w;
    gsize size;
    nerv_writer_init(&w);
    nerv_keyframe_header_write(&k, &w);
    nerv_unit_write(out, NERV_UNIT_KEYFRAME, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
    const uint8_t *rest = g_bytes_get_data(unit, &size);
    g_byte_array_append(out, rest, (guint)size);
    return g_byte_array_free_to_bytes(out);
}

/* A damaged picture is a lost one; another segment's, and one of a frame that is none, are nothing. */
static void test_strange(void)
{
    static const struct {
        uint32_t segment, index;
        bool hurts;
    } keys[] = { { 0, 13, true }, { 1, 13, false }, { 0, 14, false }, { 0, 60000, false } };
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        NervDecoder *dec = decoder_new(1);
        uint8_t rgb[BYTES];
        for (int f = 0; f <= 15; f++) {
            GError *error = NULL;
            g_autoptr(GBytes) unit = f == 14 ? with_keyframe(g_ptr_array_index(stream, f), keys[i].segment,
                                                             keys[i].index, "no picture")
                                             : g_bytes_ref(g_ptr_array_index(stream, f));
            send(dec, unit);
            if (f < 15)
                continue;
            render(dec, rgb, &error);
            g_assert_no_error(error);
            g_assert_true(keys[i].hurts == (memcmp(rgb, shown + f * BYTES, BYTES) != 0));
        }
        nerv_decoder_free(dec);
    }
}

static void test_rate(void)
{
    NervEncoderStats stats;
    gsize bytes = 0;
    GPtrArray *sized = encode(20000, &stats);
    for (guint i = 0; i < sized->len; i++)
        bytes += g_bytes_get_size(g_ptr_array_index(sized, i));
    g_test_message("%zu bytes, keyframes %" G_GUINT64_FORMAT, bytes, stats.keyframe_bytes);
    g_assert_cmpuint(bytes, >, 19400);
    g_assert_cmpuint(bytes, <, 20600);
    g_assert_cmpuint(stats.keyframe_bytes, >, 1000);
    g_assert_cmpuint(stats.keyframe_bytes, <, 12500);
    g_ptr_array_unref(sized);
}

/* Keyframes take their share of what the frames' own units leave of a size, not of the size: what is above are the quantisers' steps and a faster speed's trials. */
static void test_share(void)
{
    for (uint64_t target = 3200; target <= 4800; target += 400) {
        NervEncoderStats stats;
        gsize bytes = 0;
        GPtrArray *sized = encode(target, &stats);
        for (guint i = 0; i < sized->len; i++)
            bytes += g_bytes_get_size(g_ptr_array_index(sized, i));
        const double others = (double)(bytes - stats.network_bytes - stats.keyframe_bytes);
        const double most = nerv_settings_keys_share() * ((double)target - others);
        g_test_message("%" G_GUINT64_FORMAT " asked for, %zu bytes, keyframes %" G_GUINT64_FORMAT
                       " of %.0f, network %" G_GUINT64_FORMAT,
                       target, bytes, stats.keyframe_bytes, most, (guint64)stats.network_bytes);
        g_assert_cmpfloat((double)stats.keyframe_bytes, <=, 1.08 * most);
        g_ptr_array_unref(sized);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    NervBackend *be = nerv_backend_open(device, 1, NULL);
    if (!be)
        return 77;
    is_slow = be->is_software && be->n_threads == 0;
    nerv_backend_free(be);
    NervEncoderStats stats;
    stream = encode(0, &stats);
    shown = g_malloc(N * BYTES);
    g_test_add_func("/clipstream/sequence", test_sequence);
    g_test_add_func("/clipstream/keyframes", test_keyframes);
    g_test_add_func("/clipstream/alone", test_alone);
    g_test_add_func("/clipstream/lost", test_lost);
    g_test_add_func("/clipstream/strange", test_strange);
    if (!is_slow) {
        g_test_add_func("/clipstream/rate", test_rate);
        g_test_add_func("/clipstream/share", test_share);
    }
    const int status = g_test_run();
    g_ptr_array_unref(stream);
    g_free(shown);
    return status;
}

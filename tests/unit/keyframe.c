/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Coded keyframes: distance and bytes at several quantisers, odd sizes, equal bytes from equal arguments, other
 * sizes and depths refused, damaged pictures; the unit's header. The pictures are drawn here.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/keyframe.h"
#include "codec/units.h"

#define FAST 8

static NervPixels layout(int32_t w, int32_t h)
{
    return (NervPixels){
        .format = NERV_PIXELS_I420, .width = w, .height = h, .matrix = NERV_MATRIX_BT601, .full_range = 1
    };
}

/* Waves, an edge and some noise in each plane. */
static uint8_t *picture(const NervPixels *p, uint64_t seed)
{
    uint8_t *frame = g_malloc(nerv_pixels_bytes(p));
    NervPlane planes[3];
    NervRng rng;
    nerv_rng_init(&rng, seed);
    const int n = nerv_pixels_planes(p, planes);
    for (int i = 0; i < n; i++) {
        const float fx = nerv_rng_uniform(&rng, .02f, .2f), fy = nerv_rng_uniform(&rng, .02f, .2f);
        for (int32_t y = 0; y < planes[i].rows; y++)
            for (int32_t x = 0; x < planes[i].row_bytes; x++) {
                const float v = 120 + 60 * sinf(fx * (float)x) * cosf(fy * (float)y) +
                                (2 * x > planes[i].row_bytes + y ? 30.f : 0) + nerv_rng_uniform(&rng, -3, 3);
                frame[planes[i].offset + (size_t)y * planes[i].stride + x] = (uint8_t)v;
            }
    }
    return frame;
}

static double psnr(const uint8_t *a, const uint8_t *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum > 0 ? 10 * log10(65025 * (double)n / sum) : 100;
}

static GByteArray *encode(const NervPixels *p, const uint8_t *frame, uint32_t quant)
{
    GError *error = NULL;
    GByteArray *out = g_byte_array_new();
    nerv_keyframe_encode(p, frame, quant, FAST, NULL, out, &error);
    g_assert_no_error(error);
    return out;
}

static double distance(const NervPixels *p, const uint8_t *frame, const GByteArray *coded)
{
    GError *error = NULL;
    g_autofree uint8_t *got = g_malloc0(nerv_pixels_bytes(p));
    nerv_keyframe_decode(coded->data, coded->len, p, got, &error);
    g_assert_no_error(error);
    return psnr(frame, got, nerv_pixels_bytes(p));
}

/* --- round trips --- */

static void test_quality(void)
{
    static const struct {
        uint32_t quant;
        double psnr;
        guint bytes;
    } bounds[] = { { 0, 100, 13000 }, { 20, 40.5, 1600 }, { 40, 36, 680 }, { 63, 26.5, 260 } };
    const NervPixels p = layout(160, 96);
    g_autofree uint8_t *frame = picture(&p, 1);
    guint last = G_MAXUINT;
    for (size_t i = 0; i < G_N_ELEMENTS(bounds); i++) {
        GByteArray *coded = encode(&p, frame, bounds[i].quant);
        const double got = distance(&p, frame, coded);
        g_test_message("quantiser %u: %.2f dB, %u bytes", bounds[i].quant, got, coded->len);
        g_assert_cmpfloat(got, >=, bounds[i].psnr);
        g_assert_cmpuint(coded->len, <=, bounds[i].bytes);
        g_assert_cmpuint(coded->len, <, last);
        last = coded->len;
        g_byte_array_unref(coded);
    }
}

static void test_sizes(void)
{
    static const int32_t sizes[][2] = { { 16, 16 },  { 17, 16 },  { 16, 17 },   { 33, 31 },   { 65, 129 },
                                        { 16, 600 }, { 601, 17 }, { 320, 180 }, { 8192, 16 }, { 16, 8192 } };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const NervPixels p = layout(sizes[i][0], sizes[i][1]);
        g_autofree uint8_t *frame = picture(&p, i);
        GByteArray *lossless = encode(&p, frame, 0), *coded = encode(&p, frame, 30);
        g_assert_cmpfloat(distance(&p, frame, lossless), ==, 100);
        g_assert_cmpfloat(distance(&p, frame, coded), >=, 32);
        g_byte_array_unref(lossless);
        g_byte_array_unref(coded);
    }
}

static void test_same_bytes(void)
{
    const NervPixels p = layout(330, 270);
    g_autofree uint8_t *frame = picture(&p, 5);
    g_autofree uint8_t *before = g_memdup2(frame, nerv_pixels_bytes(&p));
    GByteArray *a = encode(&p, frame, 30);
    for (int i = 0; i < 3; i++) {
        GByteArray *b = encode(&p, frame, 30);
        g_assert_cmpmem(a->data, a->len, b->data, b->len);
        g_byte_array_unref(b);
    }
    g_assert_cmpmem(frame, nerv_pixels_bytes(&p), before, nerv_pixels_bytes(&p));
    g_byte_array_unref(a);
}

/* --- refusals --- */

static void assert_encoder_refuses(const NervPixels *p, uint32_t quant, uint32_t speed, const gint *cancel,
                                   NervErrorCode code)
{
    static const uint8_t frame[64 * 64 * 4];
    GError *error = NULL;
    GByteArray *out = g_byte_array_new();
    g_byte_array_append(out, (const guint8 *)"before", 6);
    g_assert_false(nerv_keyframe_encode(p, frame, quant, speed, cancel, out, &error));
    g_assert_error(error, NERV_ERROR, (gint)code);
    g_assert_cmpmem(out->data, out->len, "before", 6);
    g_clear_error(&error);
    g_byte_array_unref(out);
}

static void test_encoder_refusals(void)
{
    const NervPixels good = layout(64, 64);
    const gint cancelled = 1;
    NervPixels p = good;
    p.width = 15;
    assert_encoder_refuses(&p, 30, FAST, NULL, NERV_ERROR_INVALID);
    p.width = 8193;
    assert_encoder_refuses(&p, 30, FAST, NULL, NERV_ERROR_INVALID);
    p = good;
    p.format = NERV_PIXELS_NV12;
    assert_encoder_refuses(&p, 30, FAST, NULL, NERV_ERROR_INVALID);
    assert_encoder_refuses(&good, 64, FAST, NULL, NERV_ERROR_INVALID);
    assert_encoder_refuses(&good, 30, 10, NULL, NERV_ERROR_INVALID);
    assert_encoder_refuses(&good, 30, FAST, &cancelled, NERV_ERROR_CANCELLED);
}

/* Returns whether it decoded; anything else must be NERV_ERROR_DATA. The input is a copy of exactly its size. */
static bool decodes(const uint8_t *data, size_t bytes, const NervPixels *p)
{
    GError *error = NULL;
    g_autofree uint8_t *exact = g_memdup2(data, bytes);
    g_autofree uint8_t *got = g_malloc(nerv_pixels_bytes(p));
    const bool ok = nerv_keyframe_decode(exact, bytes, p, got, &error);
    if (ok)
        g_assert_no_error(error);
    else
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    g_clear_error(&error);
    return ok;
}

/* First bit of the sequence header's max_frame_width_minus_1 is behind 5 + 5 + 4 + 4 bits; the header is the first OBU. */
static void flip(GByteArray *a, guint bit)
{
    a->data[2 + bit / 8] ^= (guint8)(0x80 >> bit % 8);
}

static void test_decoder_refusals(void)
{
    const NervPixels p = layout(64, 48);
    g_autofree uint8_t *frame = picture(&p, 3);
    GByteArray *coded = encode(&p, frame, 30);
    const guint sequence = 2u + coded->data[1], sizes = 18, tools = sizes + 6 + 6;
    g_assert_true(decodes(coded->data, coded->len, &p));
    for (int i = 0; i < 4; i++) { /* another size than asked for */
        NervPixels other = p;
        *(i & 1 ? &other.width : &other.height) += i & 2 ? 1 : -1;
        g_assert_false(decodes(coded->data, coded->len, &other));
    }
    for (guint i = 0; i < 5; i++) { /* profile, no still picture, no short header */
        flip(coded, i);
        g_assert_false(decodes(coded->data, coded->len, &p));
        flip(coded, i);
    }
    for (guint i = sizes; i < tools; i++) {
        flip(coded, i);
        g_assert_false(decodes(coded->data, coded->len, &p));
        flip(coded, i);
    }
    for (guint i = tools + 6; i < tools + 8; i++) { /* ten bits, monochrome */
        flip(coded, i);
        g_assert_false(decodes(coded->data, coded->len, &p));
        flip(coded, i);
    }
    g_assert_true(decodes(coded->data, coded->len, &p));

    GByteArray *a = g_byte_array_new(); /* other OBUs, none, and two of each */
    g_byte_array_append(a, (const guint8 *)"\x12\0", 2);
    g_byte_array_append(a, coded->data, coded->len);
    g_assert_false(decodes(a->data, a->len, &p));
    g_byte_array_append(a, (const guint8 *)"\x12\0", 2);
    g_assert_false(decodes(a->data + 2, a->len - 2, &p));
    g_assert_false(decodes(coded->data, sequence, &p));
    g_assert_false(decodes(coded->data + sequence, coded->len - sequence, &p));
    g_byte_array_set_size(a, 0);
    g_byte_array_append(a, coded->data, coded->len);
    g_byte_array_append(a, coded->data + sequence, coded->len - sequence);
    g_assert_false(decodes(a->data, a->len, &p));
    g_byte_array_unref(a);
    g_byte_array_unref(coded);
}

static void test_truncated(void)
{
    const NervPixels p = layout(64, 48);
    g_autofree uint8_t *frame = picture(&p, 3);
    GByteArray *coded = encode(&p, frame, 40);
    for (guint n = 1; n < coded->len; n++)
        g_assert_false(decodes(coded->data, n, &p));
    g_byte_array_unref(coded);
}

static void test_flipped(void)
{
    const NervPixels p = layout(64, 48);
    g_autofree uint8_t *frame = picture(&p, 3);
    GByteArray *coded = encode(&p, frame, 40);
    unsigned n_decoded = 0;
    for (guint bit = 0; bit < 8 * coded->len; bit++) {
        coded->data[bit / 8] ^= (guint8)(1u << bit % 8);
        n_decoded += decodes(coded->data, coded->len, &p);
        coded->data[bit / 8] ^= (guint8)(1u << bit % 8);
    }
    g_test_message("%u of %u decoded to something", n_decoded, 8 * coded->len);
    g_assert_cmpuint(n_decoded, >, 0);
    g_byte_array_unref(coded);
}

/* --- the unit's header --- */

static void test_unit_round_trip(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 4);
    for (int i = 0; i < 500; i++) {
        uint8_t picture[100];
        const NervKeyframeHeader k = { .segment_id = nerv_rng_below(&rng, 256),
                                       .index = nerv_rng_below(&rng, 65536),
                                       .codec = NERV_KEYFRAME_AV1,
                                       .data = picture,
                                       .bytes = 1 + nerv_rng_below(&rng, 100) };
        NervKeyframeHeader got;
        NervBitWriter w;
        for (size_t j = 0; j < sizeof picture; j++)
            picture[j] = (uint8_t)nerv_rng_below(&rng, 256);
        nerv_writer_init(&w);
        nerv_keyframe_header_write(&k, &w);
        const guint header = w.bytes->len - (guint)k.bytes;
        for (guint n = 0; n <= w.bytes->len; n++) {
            uint8_t *copy = n ? g_memdup2(w.bytes->data, n) : NULL;
            g_assert_true(nerv_keyframe_header_read(copy, n, &got, NULL) == (n > header));
            g_free(copy);
        }
        g_assert_true(nerv_keyframe_header_read(w.bytes->data, w.bytes->len, &got, NULL));
        g_assert_cmpuint(got.segment_id, ==, k.segment_id);
        g_assert_cmpuint(got.index, ==, k.index);
        g_assert_cmpuint(got.codec, ==, k.codec);
        g_assert_cmpmem(got.data, got.bytes, k.data, k.bytes);
        nerv_writer_clear(&w);
    }
}

/* Segment, index, codec, extension. */
static void test_unit_refusals(void)
{
    static const struct {
        const char *bytes;
        guint n;
        int code; /* -1: none */
    } cases[] = { { "\7\1\1\0x", 5, -1 },
                  { "\7\1\1\2xxy", 7, -1 }, /* an extension is skipped */
                  { "\7\1\1\2xx", 6, NERV_ERROR_DATA },
                  { "\7\1\1\3xx", 6, NERV_ERROR_DATA },
                  { "\7\1\1\377\377\377\377\377\377\377\377\377\1x", 14, NERV_ERROR_DATA },
                  { "\7\377\377\3\1\0x", 7, -1 },
                  { "\7\200\200\4\1\0x", 7, NERV_ERROR_DATA },
                  { "\7\1\2\0x", 5, NERV_ERROR_UNSUPPORTED },
                  { "\7\1\0\0x", 5, NERV_ERROR_UNSUPPORTED } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        NervKeyframeHeader got;
        GError *error = NULL;
        const bool ok = nerv_keyframe_header_read((const uint8_t *)cases[i].bytes, cases[i].n, &got, &error);
        g_assert_true(ok == (cases[i].code < 0));
        if (ok)
            g_assert_cmpuint(got.bytes, ==, 1);
        else
            g_assert_error(error, NERV_ERROR, cases[i].code);
        if (g_error_matches(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED))
            g_assert_true(got.segment_id == 7 && got.index == 1);
        g_clear_error(&error);
    }
}

/* --- layouts --- */

static void test_layouts(void)
{
    const NervPixels rgb = {
        .format = NERV_PIXELS_BGRX, .width = 20, .height = 30, .matrix = 5, .h_cosited = 1
    };
    NervPixels nv12 = { .format = NERV_PIXELS_NV12,
                        .width = 20,
                        .height = 30,
                        .matrix = NERV_MATRIX_BT709,
                        .h_cosited = 1 },
               got;
    const NervPixels full = layout(20, 30);
    nerv_keyframe_pixels(&rgb, &got);
    g_assert_cmpmem(&got, sizeof got, &full, sizeof full);
    nerv_keyframe_pixels(&nv12, &got);
    g_assert_cmpint(got.format, ==, NERV_PIXELS_I420);
    got.format = NERV_PIXELS_NV12;
    g_assert_cmpmem(&got, sizeof got, &nv12, sizeof nv12);
    nv12.matrix = 2;
    nerv_keyframe_pixels(&nv12, &got);
    g_assert_cmpmem(&got, sizeof got, &full, sizeof full);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyframe/quality", test_quality);
    g_test_add_func("/keyframe/sizes", test_sizes);
    g_test_add_func("/keyframe/same-bytes", test_same_bytes);
    g_test_add_func("/keyframe/encoder-refusals", test_encoder_refusals);
    g_test_add_func("/keyframe/decoder-refusals", test_decoder_refusals);
    g_test_add_func("/keyframe/truncated", test_truncated);
    g_test_add_func("/keyframe/flipped", test_flipped);
    g_test_add_func("/keyframe/layouts", test_layouts);
    g_test_add_func("/keyframe/unit/round-trip", test_unit_round_trip);
    g_test_add_func("/keyframe/unit/refusals", test_unit_refusals);
    return g_test_run();
}

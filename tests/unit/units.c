/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Framing and headers: write -> parse -> compare with random values; every truncation and every flipped bit of a small
 * sync point; absurd sizes; resynchronisation after damage; times at the ends of their ranges.
 */
#include <string.h>

#include "base/rng.h"
#include "codec/units.h"

/* --- units --- */

/* The CRC bit by bit, as docs/bitstream.md defines it. */
static uint32_t slow_crc32(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < 8 * n; i++) {
        const uint32_t bit = (p[i / 8] >> i % 8 & 1) ^ (c & 1);
        c = (c >> 1) ^ (bit ? 0xedb88320 : 0);
    }
    return ~c;
}

static uint8_t slow_crc8(const uint8_t *p, size_t n)
{
    uint32_t c = 0xff;
    for (size_t i = 0; i < 8 * n; i++) {
        const uint32_t bit = (p[i / 8] >> (7 - i % 8) & 1) ^ (c >> 7);
        c = (c << 1 & 0xff) ^ (bit ? 0x07 : 0);
    }
    return (uint8_t)c;
}

static GByteArray *unit_of(uint32_t type, size_t payload_bytes, uint64_t seed)
{
    NervRng rng;
    GByteArray *out = g_byte_array_new();
    g_autofree uint8_t *payload = g_malloc(payload_bytes);
    nerv_rng_init(&rng, seed);
    for (size_t i = 0; i < payload_bytes; i++)
        payload[i] = (uint8_t)nerv_rng_below(&rng, 256);
    nerv_unit_write(out, type, payload, payload_bytes);
    return out;
}

static void test_unit_round_trip(void)
{
    static const size_t sizes[] = {
        0, 1, 2, 63, 64, 65, 100, 16383, 16384, 16385, 4194303, 4194304, 5000000
    };
    static const size_t headers[] = { 3, 3, 3, 3, 5, 5, 5, 5, 6, 6, 6, 7, 7 };
    NervUnit unit;
    size_t need;
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        GByteArray *a = unit_of(1 + s, sizes[s], s), *other = unit_of(1 + s, sizes[s], s);
        g_assert_cmpuint(a->len, ==, 4 + headers[s] + sizes[s] + 4);
        const size_t covered = a->len - 8;
        const uint8_t *end = a->data + 4 + covered;
        const uint32_t crc = end[0] | end[1] << 8 | end[2] << 16 | (uint32_t)end[3] << 24;
        g_assert_cmpuint(crc, ==, slow_crc32(a->data + 4, covered));
        g_assert_cmpuint(a->data[6], ==, slow_crc8(a->data + 4, 2));
        g_byte_array_append(a, other->data, other->len); /* what follows does not matter */
        g_assert_cmpint(nerv_unit_scan(a->data, a->len, &unit, &need), ==, NERV_SCAN_OK);
        g_assert_cmpuint(unit.type, ==, 1 + s);
        g_assert_cmpuint(unit.unit_bytes, ==, other->len);
        g_assert_cmpmem(unit.payload, unit.payload_bytes, other->data + 4 + headers[s], sizes[s]);
        g_byte_array_unref(a);
        g_byte_array_unref(other);
    }
}

/* The CRC's published check value, through a unit whose covered bytes are known. */
static void test_unit_bytes(void)
{
    static const uint8_t want[] = { 'N', 0xE5, 'V', 0x9C, 0x03, 0x03, 0xE1,
                                    'a', 'b',  'c', 0x50, 0x17, 0x50, 0xD4 };
    g_assert_cmpuint(slow_crc32((const uint8_t *)"123456789", 9), ==, 0xcbf43926);
    GByteArray *a = g_byte_array_new();
    nerv_unit_write(a, NERV_UNIT_FRAME, "abc", 3);
    g_assert_cmpmem(a->data, a->len, want, sizeof want);
    g_byte_array_unref(a);
}

/* Every prefix in an allocation of its own size: wants more, and never more than the unit has. */
static void test_unit_truncated(void)
{
    static const size_t sizes[] = { 0, 3, 64, 20000 };
    NervUnit unit;
    size_t need;
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        GByteArray *a = unit_of(NERV_UNIT_NETWORK, sizes[s], 9);
        for (guint n = 0; n < a->len; n++) {
            uint8_t *copy = n ? g_memdup2(a->data, n) : NULL;
            g_assert_cmpint(nerv_unit_scan(copy, n, &unit, &need), ==, NERV_SCAN_MORE);
            g_assert_cmpuint(need, >, n);
            g_assert_cmpuint(need, ==, n < NERV_UNIT_MIN_BYTES ? NERV_UNIT_MIN_BYTES : a->len);
            g_free(copy);
        }
        g_byte_array_unref(a);
    }
}

/* Bytes of a unit with a correct header for any size and type, without its payload. */
static size_t header_of(uint8_t *p, uint32_t type, unsigned n, uint32_t size)
{
    memcpy(p, "N\xE5V\x9C", 4);
    p[4] = (uint8_t)type;
    p[5] = (uint8_t)(n << 6 | (size & 63));
    p[6] = slow_crc8(p + 4, 2);
    for (unsigned i = 0; i < n; i++)
        p[7 + i] = (uint8_t)(size >> (6 + 8 * i));
    p[7 + n] = slow_crc8(p + 4, 3 + n);
    return n ? 8 + n : 7;
}

static void test_unit_absurd(void)
{
    uint8_t b[32] = { 0 };
    NervUnit unit;
    size_t need;
    header_of(b, NERV_UNIT_NETWORK, 3, NERV_UNIT_MAX_PAYLOAD);
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_MORE);
    g_assert_cmpuint(need, ==, (size_t)NERV_UNIT_MAX_PAYLOAD + NERV_UNIT_MAX_OVERHEAD);
    header_of(b, NERV_UNIT_NETWORK, 3, NERV_UNIT_MAX_PAYLOAD + 1);
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_DAMAGED);
    header_of(b, NERV_UNIT_NETWORK, 3, 0x3fffffff);
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_DAMAGED);
    header_of(b, NERV_UNIT_NETWORK, 1, 20); /* not the shortest form */
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_DAMAGED);
    header_of(b, NERV_UNIT_NETWORK, 2, 16383);
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_DAMAGED);
    header_of(b, 0, 0, 40);
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_DAMAGED);
    header_of(b, 128, 0, 40);
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_DAMAGED);
    header_of(b, 127, 0, 40);
    g_assert_cmpint(nerv_unit_scan(b, sizeof b, &unit, &need), ==, NERV_SCAN_MORE);
}

static void test_find_sync(void)
{
    static const uint8_t b[] = { 'x', 'N', 'N', 0xE5, 'V', 'N', 0xE5, 'V', 0x9C, 'N', 0xE5, 'V' };
    g_assert_cmpuint(nerv_unit_find_sync(b, sizeof b, 0), ==, 5);
    g_assert_cmpuint(nerv_unit_find_sync(b, sizeof b, 5), ==, 5);
    g_assert_cmpuint(nerv_unit_find_sync(b, sizeof b, 6), ==, 9); /* may become one */
    g_assert_cmpuint(nerv_unit_find_sync(b, sizeof b, 10), ==, sizeof b);
    g_assert_cmpuint(nerv_unit_find_sync(b, sizeof b, 99), ==, sizeof b);
    g_assert_cmpuint(nerv_unit_find_sync(b, 5, 0), ==, 2);
    g_assert_cmpuint(nerv_unit_find_sync(b, 1, 0), ==, 1);
    g_assert_cmpuint(nerv_unit_find_sync(NULL, 0, 0), ==, 0);
}

/* --- headers --- */

static uint32_t between(NervRng *rng, uint32_t lo, uint32_t hi)
{
    /* Ends of the range are as likely as the inside. */
    const uint32_t which = nerv_rng_below(rng, 6);
    return which == 0 ? lo : which == 1 ? hi : lo + (uint32_t)(nerv_rng_u64(rng) % ((uint64_t)hi - lo + 1));
}

static NervSequence random_sequence(NervRng *rng)
{
    NervSequence s = {
        .version = NERV_STREAM_VERSION,
        .segment_id = between(rng, 0, UINT32_MAX),
        .first_frame = nerv_rng_u64(rng) >> (2 + nerv_rng_below(rng, 62)),
        .n_frames = between(rng, 1, 65536),
        .width = between(rng, 16, 8192),
        .height = between(rng, 16, 8192),
        .fps_n = between(rng, 0, INT32_MAX),
        .fps_d = 1,
        .par_n = between(rng, 1, INT32_MAX),
        .par_d = between(rng, 1, INT32_MAX),
        .matrix = between(rng, 0, 255),
        .primaries = between(rng, 0, 255),
        .transfer = between(rng, 0, 255),
        .full_range = between(rng, 0, 1),
        .format = between(rng, 0, NERV_PIXELS_N - 1),
        .h_cosited = between(rng, 0, 1),
        .v_cosited = between(rng, 0, 1),
        .pts_ns = (int64_t)(nerv_rng_u64(rng) << 1) >> (2 + nerv_rng_below(rng, 60)),
    };
    if (s.fps_n)
        s.fps_d = between(rng, 1, (uint32_t)MIN((uint64_t)s.fps_n * 32768, INT32_MAX));
    return s;
}

static void assert_sequences_equal(const NervSequence *a, const NervSequence *b)
{
    g_assert_cmpuint(a->version, ==, b->version);
    g_assert_cmpuint(a->profile, ==, b->profile);
    g_assert_cmpuint(a->segment_id, ==, b->segment_id);
    g_assert_cmpuint(a->first_frame, ==, b->first_frame);
    g_assert_cmpuint(a->n_frames, ==, b->n_frames);
    g_assert_cmpuint(a->width, ==, b->width);
    g_assert_cmpuint(a->height, ==, b->height);
    g_assert_cmpuint(a->fps_n, ==, b->fps_n);
    g_assert_cmpuint(a->fps_d, ==, b->fps_d);
    g_assert_cmpuint(a->par_n, ==, b->par_n);
    g_assert_cmpuint(a->par_d, ==, b->par_d);
    g_assert_cmpuint(a->matrix, ==, b->matrix);
    g_assert_cmpuint(a->primaries, ==, b->primaries);
    g_assert_cmpuint(a->transfer, ==, b->transfer);
    g_assert_cmpuint(a->full_range, ==, b->full_range);
    g_assert_cmpuint(a->format, ==, b->format);
    g_assert_cmpuint(a->h_cosited, ==, b->h_cosited);
    g_assert_cmpuint(a->v_cosited, ==, b->v_cosited);
    g_assert_cmpint(a->pts_ns, ==, b->pts_ns);
}

static void test_sequence_round_trip(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 1);
    for (int i = 0; i < 3000; i++) {
        const NervSequence s = random_sequence(&rng);
        NervSequence got;
        NervBitWriter w;
        GError *error = NULL;
        nerv_writer_init(&w);
        nerv_sequence_write(&s, &w);
        g_assert_true(nerv_sequence_read(w.bytes->data, w.bytes->len, &got, &error));
        g_assert_no_error(error);
        assert_sequences_equal(&s, &got);
        /* A later version's extension is skipped: its length replaces the 0 at the end. */
        w.bytes->data[w.bytes->len - 1] = 3;
        nerv_write_bytes(&w, "new", 3);
        g_assert_true(nerv_sequence_read(w.bytes->data, w.bytes->len, &got, NULL));
        assert_sequences_equal(&s, &got);
        for (guint n = 0; n < w.bytes->len; n++) {
            uint8_t *copy = g_memdup2(w.bytes->data, n);
            g_assert_false(nerv_sequence_read(copy, n, &got, &error));
            g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
            g_clear_error(&error);
            g_free(copy);
            if (i > 20)
                break;
        }
        nerv_write_u8(&w, 0); /* bytes that nothing announces */
        g_assert_false(nerv_sequence_read(w.bytes->data, w.bytes->len, &got, NULL));
        nerv_writer_clear(&w);
    }
}

static void assert_sequence_refused(const NervSequence *s, NervErrorCode code, const char *message)
{
    NervSequence got;
    NervBitWriter w;
    GError *error = NULL;
    nerv_writer_init(&w);
    nerv_sequence_write(s, &w);
    g_assert_false(nerv_sequence_read(w.bytes->data, w.bytes->len, &got, &error));
    g_assert_error(error, NERV_ERROR, (gint)code);
    if (message)
        g_assert_cmpstr(error->message, ==, message);
    g_clear_error(&error);
    nerv_writer_clear(&w);
}

static void test_sequence_refusals(void)
{
    const NervSequence good = {
        .version = 1, .n_frames = 1, .width = 16, .height = 16, .fps_d = 1, .par_n = 1, .par_d = 1
    };
    NervBitWriter w;
    NervSequence s, got;
    nerv_writer_init(&w);
    nerv_sequence_write(&good, &w);
    g_assert_true(nerv_sequence_read(w.bytes->data, w.bytes->len, &got, NULL));
    nerv_writer_clear(&w);
#define REFUSE(field, value)                                                                                 \
    s = good;                                                                                                \
    s.field = (value);                                                                                       \
    assert_sequence_refused(&s, NERV_ERROR_DATA, NULL)
    REFUSE(version, 0);
    REFUSE(first_frame, UINT64_MAX);
    REFUSE(n_frames, 0);
    REFUSE(n_frames, 65537);
    REFUSE(width, 15);
    REFUSE(width, 8193);
    REFUSE(height, 15);
    REFUSE(height, UINT32_MAX);
    REFUSE(fps_d, 0);
    REFUSE(fps_d, 2); /* of a variable rate */
    REFUSE(fps_n, 0x80000000);
    REFUSE(par_n, 0);
    REFUSE(par_d, 0);
    REFUSE(par_d, 0x80000000);
    REFUSE(format, NERV_PIXELS_N);
    REFUSE(pts_ns, INT64_MAX);
    REFUSE(pts_ns, INT64_MIN);
#undef REFUSE
    s = good;
    s.fps_n = 1;
    s.fps_d = 32769;
    assert_sequence_refused(&s, NERV_ERROR_DATA, NULL);
    s = good;
    s.version = 2;
    assert_sequence_refused(&s, NERV_ERROR_UNSUPPORTED, "stream version 2, this decoder knows 1");
    s = good;
    s.profile = 1;
    assert_sequence_refused(&s, NERV_ERROR_UNSUPPORTED, "stream profile 1, this decoder knows 0 (main)");
}

static void test_frame_round_trip(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 2);
    for (int i = 0; i < 3000; i++) {
        const NervFrameHeader f = {
            .segment_id = between(&rng, 0, 255),
            .index = between(&rng, 0, 65535),
            .pts_delta_ns = i % 2 ? 0 : (int64_t)nerv_rng_u64(&rng) >> (4 + nerv_rng_below(&rng, 60)),
        };
        NervFrameHeader got;
        NervBitWriter w;
        GByteArray *unit = g_byte_array_new();
        nerv_writer_init(&w);
        nerv_frame_write(&f, &w);
        nerv_unit_write(unit, NERV_UNIT_FRAME, w.bytes->data, w.bytes->len);
        if (f.pts_delta_ns == 0) /* a constant rate's frames: this is what each costs */
            g_assert_cmpuint(unit->len, <=, f.index < 128 ? 14 : 16);
        g_byte_array_unref(unit);
        for (guint n = 0; n < w.bytes->len; n++) {
            uint8_t *copy = g_memdup2(w.bytes->data, n);
            g_assert_false(nerv_frame_read(copy, n, &got, NULL));
            g_free(copy);
        }
        nerv_write_bytes(&w, "later", i % 3); /* an extension */
        g_assert_true(nerv_frame_read(w.bytes->data, w.bytes->len, &got, NULL));
        g_assert_cmpuint(got.segment_id, ==, f.segment_id);
        g_assert_cmpuint(got.index, ==, f.index);
        g_assert_cmpint(got.pts_delta_ns, ==, f.pts_delta_ns);
        nerv_writer_clear(&w);
    }
    static const NervFrameHeader bad[] = { { .index = 65536 },
                                           { .pts_delta_ns = INT64_MAX },
                                           { .pts_delta_ns = INT64_MIN } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        NervFrameHeader got;
        NervBitWriter w;
        GError *error = NULL;
        nerv_writer_init(&w);
        nerv_frame_write(&bad[i], &w);
        g_assert_false(nerv_frame_read(w.bytes->data, w.bytes->len, &got, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
        g_clear_error(&error);
        nerv_writer_clear(&w);
    }
}

static void test_times(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 3);
    for (int i = 0; i < 5000; i++) {
        const NervSequence s = random_sequence(&rng);
        const uint32_t index = between(&rng, 0, 65535);
        __extension__ typedef __int128 Wide;
        const Wide t = s.fps_n ? (Wide)index * s.fps_d * 1000000000 / s.fps_n : 0;
        const Wide t1 = s.fps_n ? (Wide)(index + 1) * s.fps_d * 1000000000 / s.fps_n : 0;
        g_assert_true(s.pts_ns + t == nerv_sequence_pts(&s, index));
        g_assert_true(t1 - t == nerv_sequence_duration(&s, index));
    }
    NervSequence s = { .fps_n = 30000, .fps_d = 1001, .pts_ns = 5 };
    g_assert_cmpint(nerv_sequence_pts(&s, 1), ==, 33366666 + 5);
    g_assert_cmpint(nerv_sequence_pts(&s, 30000), ==, INT64_C(1001000000000) + 5);
    g_assert_cmpint(nerv_sequence_duration(&s, 0), ==, 33366666);
    /* The latest time that a stream can express, with the largest delta. */
    s = (NervSequence){ .fps_n = 1, .fps_d = 32768, .pts_ns = INT64_C(1) << 62 };
    g_assert_cmpint(nerv_sequence_pts(&s, 65536), >, s.pts_ns);
    g_assert_cmpint(nerv_sequence_pts(&s, 65536), <=, INT64_MAX - (INT64_C(1) << 60));
}

/* --- access units --- */

static void append_frame(GByteArray *out, uint32_t segment, uint32_t index)
{
    const NervFrameHeader f = { .segment_id = segment, .index = index };
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_frame_write(&f, &w);
    nerv_unit_write(out, NERV_UNIT_FRAME, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
}

static void append_sequence(GByteArray *out, uint32_t segment)
{
    NervRng rng;
    NervBitWriter w;
    nerv_rng_init(&rng, segment);
    NervSequence s = random_sequence(&rng);
    s.segment_id = segment;
    nerv_writer_init(&w);
    nerv_sequence_write(&s, &w);
    nerv_unit_write(out, NERV_UNIT_SEQUENCE, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
}

static void append_unit(GByteArray *out, uint32_t type, size_t payload_bytes)
{
    GByteArray *unit = unit_of(type, payload_bytes, type + payload_bytes);
    g_byte_array_append(out, unit->data, unit->len);
    g_byte_array_unref(unit);
}

static GByteArray *sync_point(uint32_t segment)
{
    GByteArray *out = g_byte_array_new();
    append_sequence(out, segment);
    append_unit(out, NERV_UNIT_NETWORK, 100);
    append_frame(out, segment, 0);
    return out;
}

static NervScan scan(const GByteArray *a, NervAccessUnit *au)
{
    size_t need;
    return nerv_access_unit_scan(a->data, a->len, au, &need);
}

static void test_access_units(void)
{
    NervAccessUnit au;
    GByteArray *a = sync_point(7);
    const guint len = a->len;
    append_frame(a, 7, 1);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
    g_assert_true(au.is_sync && au.begins);
    g_assert_cmpuint(au.bytes, ==, len);
    g_assert_cmpuint(au.sequence.type, ==, NERV_UNIT_SEQUENCE);
    g_assert_cmpuint(au.network.payload_bytes, ==, 100);
    g_assert_cmpuint(au.unknown_type, ==, 0);
    g_byte_array_remove_range(a, 0, len);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
    g_assert_false(au.is_sync || au.begins);
    g_assert_cmpuint(au.bytes, ==, a->len);
    g_assert_cmpuint(au.sequence.type, ==, 0);

    g_byte_array_set_size(a, 0); /* skippable units anywhere before the frame */
    append_unit(a, 64, 5);
    append_sequence(a, 1);
    append_unit(a, 127, 0);
    append_unit(a, NERV_UNIT_NETWORK, 10);
    append_unit(a, 100, 70);
    append_frame(a, 1, 0);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
    g_assert_true(au.is_sync);
    g_assert_cmpuint(au.bytes, ==, a->len);
    g_assert_cmpuint(au.unknown_type, ==, 0);

    g_byte_array_set_size(a, 0); /* a residual begins a segment, where decoding cannot start */
    append_sequence(a, 2);
    append_unit(a, NERV_UNIT_RESIDUAL, 20);
    append_frame(a, 2, 0);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
    g_assert_true(au.begins && !au.is_sync);
    g_assert_cmpuint(au.network.type, ==, NERV_UNIT_RESIDUAL);
    g_assert_cmpuint(au.network.crc, ==, nerv_unit_crc(NERV_UNIT_RESIDUAL, au.network.payload, 20));

    g_byte_array_set_size(a, 0); /* a delta begins one where it can */
    append_sequence(a, 3);
    append_unit(a, NERV_UNIT_DELTA, 40);
    append_frame(a, 3, 0);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
    g_assert_true(au.begins && au.is_sync);
    g_assert_cmpuint(au.network.type, ==, NERV_UNIT_DELTA);

    g_byte_array_set_size(a, 0); /* one that must be understood: told, not skipped in silence */
    append_unit(a, 7, 5);
    append_unit(a, 63, 5);
    append_frame(a, 1, 0);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
    g_assert_cmpuint(au.unknown_type, ==, 7);
    g_byte_array_unref(a);
}

/* As many as may be, in order, wherever they stand; one more is damage. */
static void test_access_unit_keyframes(void)
{
    for (size_t before = 0; before <= NERV_ACCESS_UNIT_MAX_KEYFRAMES; before++) {
        GByteArray *a = g_byte_array_new();
        NervAccessUnit au;
        for (size_t i = 0; i < NERV_ACCESS_UNIT_MAX_KEYFRAMES; i++) {
            if (i == before)
                append_sequence(a, 1);
            append_unit(a, NERV_UNIT_KEYFRAME, 10 + i);
        }
        if (before == NERV_ACCESS_UNIT_MAX_KEYFRAMES)
            append_sequence(a, 1);
        append_unit(a, NERV_UNIT_NETWORK, 30);
        const guint head = a->len;
        append_frame(a, 1, 0);
        g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
        g_assert_true(au.is_sync);
        g_assert_cmpuint(au.bytes, ==, a->len);
        g_assert_cmpuint(au.unknown_type, ==, 0);
        g_assert_cmpuint(au.n_keyframes, ==, NERV_ACCESS_UNIT_MAX_KEYFRAMES);
        for (size_t i = 0; i < NERV_ACCESS_UNIT_MAX_KEYFRAMES; i++)
            g_assert_cmpuint(au.keyframes[i].payload_bytes, ==, 10 + i);
        g_byte_array_set_size(a, head);
        append_unit(a, NERV_UNIT_KEYFRAME, 1);
        append_frame(a, 1, 0);
        g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_DAMAGED);
        g_byte_array_unref(a);
    }
}

static void test_access_unit_order(void)
{
    static const char *const bad[] = { "nf", "sf",   "ssnf", "snnf", "nsf", "snsf",
                                       "rf", "srnf", "snrf", "rsf",  "srsf" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GByteArray *a = g_byte_array_new();
        NervAccessUnit au;
        for (const char *p = bad[i]; *p; p++)
            if (*p == 's')
                append_sequence(a, 0);
            else if (*p == 'n')
                append_unit(a, NERV_UNIT_NETWORK, 30);
            else if (*p == 'r')
                append_unit(a, NERV_UNIT_RESIDUAL, 30);
            else
                append_frame(a, 0, 0);
        g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_DAMAGED);
        g_byte_array_unref(a);
    }
}

/* Neither endless small units nor a sum of large ones keeps a parser waiting for ever. */
static void test_access_unit_bounds(void)
{
    GByteArray *a = g_byte_array_new();
    NervAccessUnit au;
    size_t need;
    for (int i = 0; i < NERV_ACCESS_UNIT_MAX_UNITS - 1; i++)
        append_unit(a, 64, 1);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_MORE);
    append_frame(a, 0, 0);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_OK);
    g_byte_array_set_size(a, 0);
    for (int i = 0; i < NERV_ACCESS_UNIT_MAX_UNITS; i++)
        append_unit(a, 64, 1);
    append_frame(a, 0, 0);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_DAMAGED);

    uint8_t huge[16] = { 0 };
    header_of(huge, NERV_UNIT_NETWORK, 3, NERV_UNIT_MAX_PAYLOAD);
    g_byte_array_set_size(a, 0);
    append_sequence(a, 0);
    g_byte_array_append(a, huge, sizeof huge);
    g_assert_cmpint(nerv_access_unit_scan(a->data, a->len, &au, &need), ==, NERV_SCAN_MORE);
    g_assert_cmpuint(need, <=, NERV_ACCESS_UNIT_MAX_BYTES);
    g_byte_array_set_size(a, 0);
    append_unit(a, 64, 8192);
    g_byte_array_append(a, huge, sizeof huge);
    g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_DAMAGED);
    g_byte_array_unref(a);
}

static void test_sync_point_truncated(void)
{
    GByteArray *a = sync_point(3);
    for (guint n = 0; n < a->len; n++) {
        NervAccessUnit au;
        size_t need;
        uint8_t *copy = n ? g_memdup2(a->data, n) : NULL;
        g_assert_cmpint(nerv_access_unit_scan(copy, n, &au, &need), ==, NERV_SCAN_MORE);
        g_assert_cmpuint(need, >, n);
        g_assert_cmpuint(need, <=, a->len);
        g_free(copy);
    }
    g_byte_array_unref(a);
}

/* With everything there, a flipped bit is damage: it neither passes nor makes the scanner wait for more. */
static void test_sync_point_flipped(void)
{
    GByteArray *a = sync_point(3);
    append_frame(a, 3, 1);
    const guint sync_bytes = a->len - 14;
    for (guint bit = 0; bit < sync_bytes * 8; bit++) {
        NervAccessUnit au;
        a->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        g_assert_cmpint(scan(a, &au), ==, NERV_SCAN_DAMAGED);
        a->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    g_byte_array_unref(a);
}

/* Walks a buffer as a parser does; returns the segment ids of the sync points and delta frames that it finds. */
static GString *walk(const GByteArray *a)
{
    GString *found = g_string_new(NULL);
    size_t pos = 0;
    while (pos < a->len) {
        NervAccessUnit au;
        NervFrameHeader f;
        size_t need;
        if (nerv_access_unit_scan(a->data + pos, a->len - pos, &au, &need) == NERV_SCAN_OK) {
            g_assert_true(nerv_frame_read(au.frame.payload, au.frame.payload_bytes, &f, NULL));
            g_string_append_printf(found, "%c%u.%u ", au.is_sync ? 'S' : 'd', f.segment_id, f.index);
            pos += au.bytes;
        } else {
            pos += nerv_unit_find_sync(a->data + pos, a->len - pos, 1);
        }
    }
    return found;
}

/* Three segments of three frames; any byte of the second's sync point destroyed costs that segment's network at most. */
static void test_resynchronise(void)
{
    GByteArray *a = g_byte_array_new();
    guint begin = 0, end = 0;
    for (uint32_t s = 0; s < 3; s++) {
        GByteArray *sync = sync_point(s);
        begin = s == 1 ? a->len : begin;
        g_byte_array_append(a, sync->data, sync->len);
        end = s == 1 ? a->len : end;
        append_frame(a, s, 1);
        append_frame(a, s, 2);
        g_byte_array_unref(sync);
    }
    GString *all = walk(a);
    g_assert_cmpstr(all->str, ==, "S0.0 d0.1 d0.2 S1.0 d1.1 d1.2 S2.0 d2.1 d2.2 ");
    for (guint i = begin; i < end; i++) {
        const uint8_t saved = a->data[i];
        a->data[i] ^= 0x5a;
        GString *found = walk(a);
        g_assert_true(g_str_has_prefix(found->str, "S0.0 d0.1 d0.2 "));
        g_assert_true(g_str_has_suffix(found->str, " d1.1 d1.2 S2.0 d2.1 d2.2 "));
        g_assert_null(strstr(found->str, "S1"));
        g_string_free(found, TRUE);
        a->data[i] = saved;
    }
    g_string_free(all, TRUE);
    g_byte_array_unref(a);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/units/unit/round-trip", test_unit_round_trip);
    g_test_add_func("/units/unit/bytes", test_unit_bytes);
    g_test_add_func("/units/unit/truncated", test_unit_truncated);
    g_test_add_func("/units/unit/absurd", test_unit_absurd);
    g_test_add_func("/units/find-sync", test_find_sync);
    g_test_add_func("/units/sequence/round-trip", test_sequence_round_trip);
    g_test_add_func("/units/sequence/refusals", test_sequence_refusals);
    g_test_add_func("/units/frame/round-trip", test_frame_round_trip);
    g_test_add_func("/units/times", test_times);
    g_test_add_func("/units/access-unit/kinds", test_access_units);
    g_test_add_func("/units/access-unit/keyframes", test_access_unit_keyframes);
    g_test_add_func("/units/access-unit/order", test_access_unit_order);
    g_test_add_func("/units/access-unit/bounds", test_access_unit_bounds);
    g_test_add_func("/units/sync-point/truncated", test_sync_point_truncated);
    g_test_add_func("/units/sync-point/flipped", test_sync_point_flipped);
    g_test_add_func("/units/resynchronise", test_resynchronise);
    return g_test_run();
}

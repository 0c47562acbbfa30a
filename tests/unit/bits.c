/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Header integers: written and read back over their whole range, refused when cut short, over-long or out of
 * range, and a failed reader stays failed and yields zeros.
 */
#include <math.h>

#include "base/bits.h"
#include "base/rng.h"

/* Random numbers of every length in bits. */
static uint64_t any_u64(NervRng *rng)
{
    return nerv_rng_u64(rng) >> nerv_rng_below(rng, 64);
}

static void test_round_trip(void)
{
    NervRng rng;
    for (int pass = 0; pass < 2; pass++) {
        static NervBitWriter w;
        static NervBitReader r;
        nerv_rng_init(&rng, 1);
        if (pass == 0)
            nerv_writer_init(&w);
        else
            nerv_reader_init(&r, w.bytes->data, w.bytes->len);
        for (int i = 0; i < 5000; i++) {
            const uint64_t u = any_u64(&rng);
            const int64_t s = (int64_t)(u << 1) >> nerv_rng_below(&rng, 64);
            const float f = nerv_rng_uniform(&rng, -3, 3);
            if (pass == 0) {
                nerv_write_varint(&w, u);
                nerv_write_svarint(&w, s);
                nerv_write_u8(&w, (uint8_t)u);
                nerv_write_u32(&w, (uint32_t)u);
                nerv_write_f32(&w, f);
                nerv_write_bytes(&w, &u, sizeof u);
            } else {
                g_assert_cmpuint(nerv_read_varint(&r), ==, u);
                g_assert_cmpint(nerv_read_svarint(&r), ==, s);
                g_assert_cmpuint(nerv_read_u8(&r), ==, (uint8_t)u);
                g_assert_cmpuint(nerv_read_u32(&r), ==, (uint32_t)u);
                g_assert_cmpfloat(nerv_read_f32(&r), ==, f);
                const uint8_t *p = nerv_read_bytes(&r, sizeof u);
                g_assert_cmpmem(p, sizeof u, &u, sizeof u);
                g_assert_false(r.failed);
            }
        }
        if (pass == 1) {
            g_assert_cmpuint(nerv_reader_left(&r), ==, 0);
            nerv_writer_clear(&w);
        }
    }
}

static void test_extremes(void)
{
    static const int64_t values[] = { 0, 1, -1, 63, 64, -64, -65, INT64_MAX, INT64_MIN };
    static const uint8_t most[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
    NervBitWriter w;
    NervBitReader r;
    nerv_writer_init(&w);
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
        nerv_write_svarint(&w, values[i]);
    nerv_reader_init(&r, w.bytes->data, w.bytes->len);
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
        g_assert_cmpint(nerv_read_svarint(&r), ==, values[i]);
    nerv_writer_clear(&w);

    /* The documented bytes, not merely the inverse of the writer. */
    nerv_writer_init(&w);
    nerv_write_varint(&w, 300);
    nerv_write_svarint(&w, -2);
    nerv_write_varint(&w, UINT64_MAX);
    nerv_write_u32(&w, 0x04030201);
    g_assert_cmpmem(w.bytes->data, 3, "\xac\x02\x03", 3);
    g_assert_cmpmem(w.bytes->data + 3, 10, most, 10);
    g_assert_cmpmem(w.bytes->data + 13, 4, "\x01\x02\x03\x04", 4);
    nerv_writer_clear(&w);
}

static void assert_refused(const void *data, size_t size)
{
    NervBitReader r;
    nerv_reader_init(&r, data, size);
    g_assert_cmpuint(nerv_read_varint(&r), ==, 0);
    g_assert_true(r.failed);
}

static void test_refusals(void)
{
    assert_refused("", 0);
    assert_refused("\x80", 1);
    assert_refused("\x80\x00", 2); /* zero in two bytes */
    assert_refused("\xac\x82\x00", 3);
    assert_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10); /* bit 64 */
    assert_refused("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);

    NervBitReader r;
    nerv_reader_init(&r, "\x05\x01", 2);
    g_assert_cmpuint(nerv_read_range(&r, 6, 9), ==, 6);
    g_assert_true(r.failed);
    g_assert_cmpuint(nerv_read_u8(&r), ==, 0); /* the error sticks although a byte is left */
    g_assert_cmpuint(nerv_reader_left(&r), ==, 0);

    nerv_reader_init(&r, "abc", 3);
    g_assert_null(nerv_read_bytes(&r, SIZE_MAX));
    g_assert_null(nerv_read_bytes(&r, 1));
    nerv_reader_init(&r, "abc", 3);
    g_assert_cmpuint(nerv_read_u32(&r), ==, 0);
    g_assert_true(r.failed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bits/round-trip", test_round_trip);
    g_test_add_func("/bits/extremes", test_extremes);
    g_test_add_func("/bits/refusals", test_refusals);
    return g_test_run();
}

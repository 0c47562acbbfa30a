/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Range coder: bits and symbols of friendly and hostile distributions come back as they went in, long carries
 * propagate, the cost stays near the entropy, and a decoder given any bytes stays inside them.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/rangecoder.h"

/* --- bits --- */

typedef uint32_t (*BitSource)(NervRng *rng, int i);

static uint32_t bit_fair(NervRng *rng, int i)
{
    return nerv_rng_below(rng, 2);
}
static uint32_t bit_zero(NervRng *rng, int i)
{
    return 0;
}
static uint32_t bit_one(NervRng *rng, int i)
{
    return 1;
}
static uint32_t bit_rare(NervRng *rng, int i)
{
    return nerv_rng_below(rng, 1000) == 0;
}
/* Teaches the model one value and then surprises it: the narrowest intervals there are. */
static uint32_t bit_trap(NervRng *rng, int i)
{
    return i % 600 == 599;
}
static uint32_t bit_flip(NervRng *rng, int i)
{
    return i / 300 % 2;
}

static void test_bits(void)
{
    static const BitSource sources[] = { bit_fair, bit_zero, bit_one, bit_rare, bit_trap, bit_flip };
    for (size_t s = 0; s < G_N_ELEMENTS(sources); s++)
        for (int n = 0; n < 40000; n = n * 3 + 1) {
            GByteArray *out = g_byte_array_new();
            NervRangeEncoder e;
            NervRangeDecoder d;
            NervProb prob[2];
            NervRng rng;
            g_byte_array_append(out, (const uint8_t *)"\xff\xff",
                                2); /* carries must not touch what was there */
            nerv_rng_init(&rng, s);
            nerv_range_encode_begin(&e, out);
            nerv_prob_init(&prob[0]);
            nerv_prob_init(&prob[1]);
            for (int i = 0; i < n; i++) {
                nerv_range_encode(&e, &prob[i & 1], sources[s](&rng, i));
                if (i % 7 == 0)
                    nerv_range_encode_bits(&e, nerv_rng_below(&rng, 1u << i % 17), i % 17);
            }
            nerv_range_encode_end(&e);
            g_assert_cmpmem(out->data, 2, "\xff\xff", 2);

            nerv_rng_init(&rng, s);
            nerv_range_decode_begin(&d, out->data + 2, out->len - 2);
            nerv_prob_init(&prob[0]);
            nerv_prob_init(&prob[1]);
            for (int i = 0; i < n; i++) {
                g_assert_cmpuint(nerv_range_decode(&d, &prob[i & 1]), ==, sources[s](&rng, i));
                if (i % 7 == 0)
                    g_assert_cmpuint(nerv_range_decode_bits(&d, i % 17), ==,
                                     nerv_rng_below(&rng, 1u << i % 17));
            }
            /* Exactly what was written has been read: the format's rule about the end of the data. */
            g_assert_false(nerv_range_decode_overrun(&d));
            g_assert_cmpuint(d.pos, ==, out->len - 2 + 3);
            g_byte_array_unref(out);
        }
}

/* Aims every value at the interval that straddles the next carry, so that byte after byte is written as 0xff
 * while it is still open whether they become 0x00; the last value settles it either way. */
static void test_carries(void)
{
    int carried = 0;
    for (int run = 2; run < 400; run++) {
        GByteArray *out = g_byte_array_new();
        NervRangeEncoder e;
        NervRangeDecoder d;
        uint32_t value[400];
        nerv_range_encode_begin(&e, out);
        for (int i = 0; i < run; i++) {
            const uint64_t to_carry = (UINT64_C(1) << 32) - e.low, width = e.range >> 8;
            value[i] = i == 0 ? 0x7f : (uint32_t)MIN(to_carry / width, 255);
            if (i == run - 1)
                value[i] = run & 1 ? 255 : 0;
            nerv_range_encode_bits(&e, value[i], 8);
        }
        nerv_range_encode_end(&e);
        for (guint zeros = 1; run & 1 && zeros < out->len && out->data[zeros] == 0; zeros++)
            carried = MAX(carried, (int)zeros);
        nerv_range_decode_begin(&d, out->data, out->len);
        for (int i = 0; i < run; i++)
            g_assert_cmpuint(nerv_range_decode_bits(&d, 8), ==, value[i]);
        g_byte_array_unref(out);
    }
    g_test_message("longest carry: %d bytes", carried);
    g_assert_cmpint(carried, >, 100);
}

/* --- symbols --- */

static double normal(NervRng *rng)
{
    const double u = nerv_rng_uniform(rng, 1e-7f, 1), v = nerv_rng_uniform(rng, 0, 1);
    return sqrt(-2 * log(u)) * cos(2 * G_PI * v);
}

enum { GAUSS, LAPLACE, UNIFORM, SPARSE, EXTREMES, N_SHAPES };

static int32_t draw(NervRng *rng, int shape, int32_t max)
{
    double x = 0;
    if (shape == GAUSS)
        x = normal(rng) * max / 3;
    else if (shape == LAPLACE)
        x = -log(nerv_rng_uniform(rng, 1e-7f, 1)) * max / 6 * (nerv_rng_below(rng, 2) ? 1 : -1);
    else if (shape == UNIFORM)
        x = nerv_rng_uniform(rng, -1, 1) * (max + .5);
    else if (shape == SPARSE)
        x = nerv_rng_below(rng, 50) ? 0 : normal(rng) * max / 3;
    else
        x = nerv_rng_below(rng, 2) ? max : -max;
    return (int32_t)CLAMP(lrint(x), -max, max);
}

static double entropy_bits(const int32_t *v, int n, int32_t max)
{
    g_autofree int *count = g_new0(int, 2 * max + 1);
    double bits = 0;
    for (int i = 0; i < n; i++)
        count[v[i] + max]++;
    for (int32_t i = 0; i <= 2 * max; i++)
        if (count[i])
            bits -= count[i] * log2((double)count[i] / n);
    return bits;
}

/* Returns coded bytes. */
static guint code_and_check(const int32_t *v, int n, unsigned max_class)
{
    GByteArray *out = g_byte_array_new();
    NervSymbolModel model;
    NervRangeEncoder e;
    NervRangeDecoder d;
    nerv_symbol_init(&model);
    nerv_range_encode_begin(&e, out);
    for (int i = 0; i < n; i++)
        nerv_symbol_encode(&e, &model, max_class, v[i]);
    nerv_range_encode_end(&e);
    nerv_symbol_init(&model);
    nerv_range_decode_begin(&d, out->data, out->len);
    for (int i = 0; i < n; i++)
        g_assert_cmpint(nerv_symbol_decode(&d, &model, max_class), ==, v[i]);
    g_assert_cmpuint(d.pos, ==, out->len + 3);
    const guint bytes = out->len;
    g_byte_array_unref(out);
    return bytes;
}

static void test_symbols(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 3);
    for (unsigned max_class = 1; max_class <= NERV_SYMBOL_MAX_CLASS; max_class++)
        for (int shape = 0; shape < N_SHAPES; shape++)
            for (int n = 1; n < 3000; n = n * 5 + 2) {
                g_autofree int32_t *v = g_new(int32_t, n);
                for (int i = 0; i < n; i++)
                    v[i] = draw(&rng, shape, (1 << max_class) - 1);
                code_and_check(v, n, max_class);
            }
}

/* What the format promises of 8-bit weights: at most 2 % over the zero-order entropy (of the very sample,
 * which no decoder knows) at 5000 weights, 1 % at 70000. */
static void test_overhead(void)
{
    static const struct {
        int n;
        double most;
    } sizes[] = { { 5000, 1.02 }, { 70000, 1.01 } };
    NervRng rng;
    nerv_rng_init(&rng, 4);
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++)
        for (int shape = 0; shape < SPARSE; shape++) {
            const int n = sizes[s].n;
            g_autofree int32_t *v = g_new(int32_t, n);
            for (int i = 0; i < n; i++)
                v[i] = draw(&rng, shape, 127);
            const double ratio = code_and_check(v, n, 7) * 8. / entropy_bits(v, n, 127);
            g_test_message("shape %d, %d symbols: %.2f %% over the entropy", shape, n, 100 * (ratio - 1));
            g_assert_cmpfloat(ratio, <, sizes[s].most);
        }
}

/* A model that keeps its estimates but relearns must serve a second source without the first's inertia. */
static void test_relearn(void)
{
    guint bytes[2];
    for (int relearn = 0; relearn < 2; relearn++) {
        GByteArray *out = g_byte_array_new();
        NervSymbolModel model;
        NervRangeEncoder e;
        NervRng rng;
        nerv_rng_init(&rng, 5);
        nerv_symbol_init(&model);
        nerv_range_encode_begin(&e, out);
        for (int i = 0; i < 20000; i++)
            nerv_symbol_encode(&e, &model, 7, draw(&rng, GAUSS, 127));
        const guint before = out->len;
        if (relearn)
            nerv_symbol_relearn(&model, 20);
        for (int i = 0; i < 300; i++)
            nerv_symbol_encode(&e, &model, 7, draw(&rng, SPARSE, 127));
        nerv_range_encode_end(&e);
        bytes[relearn] = out->len - before;
        g_byte_array_unref(out);
    }
    g_assert_cmpuint(bytes[1], <, bytes[0]);
}

/* Any bytes at all: bounded values, no reading outside (the sanitizers' builds watch), overrun told. */
static void test_hostile(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 6);
    for (int round = 0; round < 300; round++) {
        const size_t n = nerv_rng_below(&rng, 40);
        uint8_t *data = g_malloc(n);
        for (size_t i = 0; i < n; i++)
            data[i] = round % 3 == 0 ? 0xff : (uint8_t)nerv_rng_below(&rng, 256);
        const unsigned max_class = 1 + nerv_rng_below(&rng, NERV_SYMBOL_MAX_CLASS);
        NervRangeDecoder d;
        NervSymbolModel model;
        nerv_symbol_init(&model);
        nerv_range_decode_begin(&d, data, n);
        for (int i = 0; i < 2000; i++)
            g_assert_cmpint(ABS(nerv_symbol_decode(&d, &model, max_class)), <, 1 << max_class);
        if (n == 0)
            g_assert_true(nerv_range_decode_overrun(&d));
        g_free(data);
    }
}

/* Coded bytes are the format and must never change. These come from a model of docs/bitstream.md's arithmetic
 * with integers of unlimited length, which knows no carries. */
static void test_golden(void)
{
    static const int32_t v[] = { 0, 1, -1, 5, -127, 64, 3, 0, 0, -9, 100, 17, -33, 2, -2, 0 };
    static const uint8_t want[] = { 0x0f, 0x00, 0x13, 0x6e, 0xd3, 0x7d, 0x44,
                                    0xac, 0xaf, 0x80, 0x9e, 0x25, 0xb0, 0xb8 };
    GByteArray *out = g_byte_array_new();
    NervSymbolModel model;
    NervRangeEncoder e;
    nerv_symbol_init(&model);
    nerv_range_encode_begin(&e, out);
    for (size_t i = 0; i < G_N_ELEMENTS(v); i++)
        nerv_symbol_encode(&e, &model, 7, v[i]);
    nerv_range_encode_end(&e);
    g_assert_cmpmem(out->data, out->len, want, sizeof want);
    g_byte_array_unref(out);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rangecoder/bits", test_bits);
    g_test_add_func("/rangecoder/carries", test_carries);
    g_test_add_func("/rangecoder/symbols", test_symbols);
    g_test_add_func("/rangecoder/overhead", test_overhead);
    g_test_add_func("/rangecoder/relearn", test_relearn);
    g_test_add_func("/rangecoder/hostile", test_hostile);
    g_test_add_func("/rangecoder/golden", test_golden);
    return g_test_run();
}

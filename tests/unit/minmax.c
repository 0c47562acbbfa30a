/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Coding 2's weights: a string of bits made by hand from docs/bitstream.md, values within half a step of what went in at every number of bits
 * and on every scale, zeros exact, and damage refused.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/minmax.h"
#include "codec/quant.h"

/* '0' and '1' to bytes, other characters ignored; the last byte filled with zeros. */
static GByteArray *bits_of(const char *text)
{
    GByteArray *out = g_byte_array_new();
    unsigned n = 0;
    for (; *text; text++) {
        if (*text != '0' && *text != '1')
            continue;
        if (n++ % 8 == 0)
            g_byte_array_append(out, (const uint8_t *)"", 1);
        out->data[out->len - 1] |= (uint8_t)((*text == '1') << (8 - n % 8) % 8);
    }
    return out;
}

static NervParam hand_params[] = { { .name = "weight", .shape = { 2, 1, 1, 3 }, .role = NERV_PARAM_WEIGHT },
                                   { .name = "bias", .shape = { 1, 2, 1, 1 }, .role = NERV_PARAM_BIAS } };
static const NervModel hand_model = { .params = hand_params, .n_params = 2, .n_weights = 8 };

#define LENGTHS "1111 0010 1110 1110 0 101"                /* 2, none, none, 2, and 1 for zero */
#define ROW_0   "10001100000000 0111111111101000  10 0 11" /* unit 1/8, offset -24: point 0, zero, point 3 */
#define ROW_1   "00000000000000"                           /* zeros */
#define BIAS    "10001100000001 1000000000000000  11 10"   /* unit 129/1024, offset 0: points 3 and 0 */

static bool read_hand(const char *text, float *x, size_t *used)
{
    GByteArray *a = bits_of(text);
    GError *error = NULL;
    const bool ok = nerv_minmax_read(&hand_model, 2, a->data, a->len, x, NULL, NULL, used, &error);
    g_assert_no_error(error);
    if (ok)
        g_assert_cmpuint(*used, <=, a->len);
    g_byte_array_unref(a);
    return ok;
}

static void test_by_hand(void)
{
    static const float want[8] = { -3, 0, 3, 0, 0, 0, 48 * 129.f / 1024, 0 };
    float x[8];
    size_t used;
    g_assert_true(read_hand(LENGTHS ROW_0 ROW_1 BIAS, x, &used));
    g_assert_cmpmem(x, sizeof x, want, sizeof want);
    g_assert_cmpuint(used, ==, (20 + 35 + 14 + 34 + 7) / 8);

    static const char *const bad[] = {
        "1111 0010 1110 1110 0 0" ROW_0 ROW_1 BIAS,       /* 2, 2 and 2: incomplete */
        "1111 0001 1110 1110 0 0" ROW_0 ROW_1 BIAS,       /* 1, 1 and 1: one too many */
        "1111 0001 1110 1110 1110 1110" ROW_0 ROW_1 BIAS, /* one code alone */
        "1111 0000 1110 1110 0 101" ROW_0 ROW_1 BIAS,     /* a length of 0 */
        "1111 1111 101 0 0 0" ROW_0 ROW_1 BIAS,           /* and of 16 */
        LENGTHS ROW_0 ROW_1,                              /* cut off */
        LENGTHS ROW_0 ROW_1 BIAS "1",                     /* what fills it is not zero */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(read_hand(bad[i], x, &used));
}

/* Rows of all kinds in one network: around zero, far from it, of one value, tiny, huge, of zeros, with zeros. */
static float draw(NervRng *rng, int64_t row)
{
    const float u = nerv_rng_uniform(rng, -1, 1);
    switch (row % 8) {
    case 0:
        return u;
    case 1:
        return 3 + u * .01f;
    case 2:
        return -.125f;
    case 3:
        return u * 1e-9f;
    case 4:
        return u * 0x1p50f;
    case 5:
        return 0;
    case 6:
        return nerv_rng_below(rng, 3) ? 0 : 1.5f + u;
    default:
        return 2 + fabsf(u) * 1e-6f;
    }
}

/* Half a step of the row, which is that of its range or as fine as a row far from zero can have. */
static double tolerance(const float *x, int64_t n, uint32_t bits)
{
    double least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0) {
            least = fmin(least, x[i]);
            most = fmax(most, x[i]);
        }
    const double step = fmax((most - least) / ((1 << bits) - 1), fabs(least) / 2047);
    return (.5 + 1. / 32) * step * (1 + 1. / 128) + 1e-9 * step;
}

static void test_round_trip(void)
{
    NervParam params[] = { { .name = "grid", .shape = { 3, 2, 4, 5 }, .role = NERV_PARAM_GRID },
                           { .name = "weight", .shape = { 40, 5, 3, 3 }, .role = NERV_PARAM_WEIGHT },
                           { .name = "bias", .shape = { 1, 40, 1, 1 }, .role = NERV_PARAM_BIAS } };
    const NervModel model = { .params = params, .n_params = 3, .n_weights = 120 + 1800 + 40 };
    static const int64_t rows[] = { 3, 40, 1 }, lengths[] = { 40, 45, 40 };
    float x[1960], y[1960];
    for (uint32_t bits = 2; bits <= 8; bits++) {
        NervRng rng;
        GError *error = NULL;
        GByteArray *a = g_byte_array_new();
        size_t used;
        nerv_rng_init(&rng, bits);
        float *at = x;
        for (int t = 0; t < 3; t++)
            for (int64_t r = 0; r < rows[t]; r++)
                for (int64_t i = 0; i < lengths[t]; i++)
                    *at++ = draw(&rng, t == 1 ? r : 0);
        g_assert_true(nerv_minmax_write(&model, x, NULL, bits, a, &error));
        memset(y, 0xff, sizeof y);
        g_assert_true(nerv_minmax_read(&model, bits, a->data, a->len, y, NULL, NULL, &used, &error));
        g_assert_cmpuint(used, ==, a->len);
        const float *p = x, *q = y;
        for (int t = 0; t < 3; t++)
            for (int64_t r = 0; r < rows[t]; r++, p += lengths[t], q += lengths[t])
                for (int64_t i = 0; i < lengths[t]; i++)
                    if (p[i] == 0)
                        g_assert_true(q[i] == 0 && !signbit(q[i]));
                    else
                        g_assert_cmpfloat(fabs((double)p[i] - q[i]), <=, tolerance(p, lengths[t], bits));
        g_byte_array_unref(a);
    }
}

/* Symbols cost what their counts say: the zeros of a pruned network little more than a bit. */
static void test_cost(void)
{
    NervParam params[] = { { .name = "weight", .shape = { 64, 64, 3, 3 }, .role = NERV_PARAM_WEIGHT } };
    const NervModel model = { .params = params, .n_params = 1, .n_weights = 64 * 576 };
    g_autofree float *x = g_new(float, model.n_weights);
    double entropy = 0, count[257] = { 0 };
    NervRng rng;
    GByteArray *a = g_byte_array_new();
    nerv_rng_init(&rng, 3);
    for (int64_t i = 0; i < model.n_weights; i++) /* evenly spread over the points of every row */
        x[i] = i % 576 < 2 ? (i % 2 ? 1.f : -1.f) : (float)nerv_rng_below(&rng, 256) * 2.f / 255 - 1;
    for (int64_t i = 0; i < model.n_weights; i++) {
        if (i % 576 >= 2 && nerv_rng_below(&rng, 10) < 4)
            x[i] = 0;
        count[x[i] == 0 ? 256 : (int)lrintf((x[i] + 1) * 127.5f)]++;
    }
    for (int i = 0; i < 257; i++)
        if (count[i] > 0)
            entropy -= count[i] * log2(count[i] / (double)model.n_weights) / 8;
    g_assert_true(nerv_minmax_write(&model, x, NULL, 8, a, NULL));
    const double rest = 64 * 30 / 8 + 257; /* rows and lengths */
    g_test_message("%u bytes, entropy %.0f", a->len, entropy);
    g_assert_cmpfloat(a->len, >=, entropy);
    g_assert_cmpfloat(a->len, <, entropy * 1.02 + rest);
    g_byte_array_unref(a);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/minmax/by-hand", test_by_hand);
    g_test_add_func("/minmax/round-trip", test_round_trip);
    g_test_add_func("/minmax/cost", test_cost);
    return g_test_run();
}

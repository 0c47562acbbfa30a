/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Coding 3: every width of codes, every mask and both formats of numbers come back bit by bit, with the values that the page defines; numbers at the ends of their
 * ranges; what cannot be written is refused by name; each truncation and flipped bit is an error or finite weights; the length beside the codes' entropy.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/weights.h"

static const NervClip clip = { 33, 18, 5 };
#define NET                                                                                                  \
    "{'grids': <'5x3/2x2'>, 'strides': <[1,3,2]>, 'widths': <[6,4,3]>, 'kernels': <[1,3,5]>, "               \
    "'head-kernel': <3>}"

static NervModel *make(const char *options, const NervClip *c)
{
    GError *error = NULL;
    g_autoptr(GVariant) v = g_variant_ref_sink(g_variant_new_parsed(options));
    NervModel *model = nerv_model_new("nerv-grid", v, c, &error);
    g_assert_no_error(error);
    return model;
}

/* A number of the format: a few leading bits, any of a range of exponents. */
static float draw_number(NervRng *rng, bool half, bool negative)
{
    const float m = (float)(1 + nerv_rng_below(rng, half ? 2047 : 1 << 24));
    return ldexpf(negative && nerv_rng_below(rng, 2) ? -m : m,
                  (int)nerv_rng_below(rng, 12) - (half ? 18 : 40));
}

/* The dimensions of a mask that a shape allows, or 0. */
static uint32_t allowed_mask(NervShape s, uint32_t mask)
{
    const int32_t size[4] = { s.n, s.c, s.h, s.w };
    for (uint32_t i = 0; i < 4; i++)
        if (size[i] == 1)
            mask &= ~(1u << i);
    return nerv_stored_numbers(s, mask) < nerv_shape_count(s) ? mask : 0;
}

static NervStoredTensor draw_tensor(NervRng *rng, NervShape s, uint32_t bits, uint32_t mask, bool half)
{
    const int64_t n = nerv_shape_count(s);
    NervStoredTensor t = { .bits = bits, .half = half, .mask = bits ? allowed_mask(s, mask) : 0 };
    if (bits == 0) {
        t.values = g_new(float, n);
        for (int64_t i = 0; i < n; i++)
            t.values[i] = nerv_rng_below(rng, 9) ? draw_number(rng, half, true) : 0.f;
        return t;
    }
    const int64_t n_numbers = nerv_stored_numbers(s, t.mask);
    t.codes = g_malloc(n);
    t.minimum = g_new(float, n_numbers);
    t.scale = g_new(float, n_numbers);
    for (int64_t i = 0; i < n; i++)
        t.codes[i] = (uint8_t)((nerv_rng_below(rng, 1u << bits) + nerv_rng_below(rng, 1u << bits)) / 2);
    for (int64_t i = 0; i < n_numbers; i++) {
        t.minimum[i] = draw_number(rng, half, true);
        t.scale[i] = nerv_rng_below(rng, 9) ? draw_number(rng, half, false) : 0.f;
    }
    return t;
}

static NervStoredTensor *draw_network(const NervModel *m, NervRng *rng, uint32_t bits, uint32_t mask,
                                      bool half)
{
    NervStoredTensor *t = g_new(NervStoredTensor, m->n_params);
    for (uint32_t i = 0; i < m->n_params; i++)
        t[i] = draw_tensor(rng, m->params[i].shape, bits, mask, half);
    return t;
}

static void free_network(NervStoredTensor *t, uint32_t n)
{
    for (uint32_t i = 0; t && i < n; i++)
        nerv_stored_clear(&t[i]);
    g_free(t);
}

/* The definition, one value at a time. */
static float value_at(NervShape s, const NervStoredTensor *t, int64_t i)
{
    const int64_t size[4] = { s.n, s.c, s.h, s.w };
    int64_t place[4], at = 0;
    for (int64_t d = 3, rest = i; d >= 0; d--) {
        place[d] = rest % size[d];
        rest /= size[d];
    }
    for (int d = 0; d < 4; d++)
        if (t->mask >> d & 1)
            at = at * size[d] + place[d];
    if (t->bits == 0)
        return t->values[i];
    volatile float product = t->scale[at] * (float)t->codes[i]; /* rounded */
    return t->minimum[at] + product;
}

static void check_same(const NervModel *m, const NervStoredTensor *a, const NervStoredTensor *b,
                       const float *x)
{
    for (uint32_t i = 0; i < m->n_params; i++) {
        const NervShape s = m->params[i].shape;
        const int64_t n = nerv_shape_count(s), numbers = nerv_stored_numbers(s, a[i].mask);
        g_autofree float *values = g_new(float, n);
        g_assert_cmpuint(a[i].bits, ==, b[i].bits);
        g_assert_cmpuint(a[i].mask, ==, b[i].mask);
        g_assert_true(a[i].half == b[i].half);
        if (a[i].bits) {
            g_assert_cmpmem(a[i].codes, n, b[i].codes, n);
            g_assert_cmpmem(a[i].minimum, numbers * 4, b[i].minimum, numbers * 4);
            g_assert_cmpmem(a[i].scale, numbers * 4, b[i].scale, numbers * 4);
        } else {
            g_assert_cmpmem(a[i].values, n * 4, b[i].values, n * 4);
        }
        nerv_stored_values(s, &a[i], values);
        g_assert_cmpmem(values, n * 4, x, n * 4);
        for (int64_t j = 0; j < n; j++)
            g_assert_cmpfloat(x[j], ==, value_at(s, &a[i], j));
        x += n;
    }
}

static GByteArray *write_network(const NervModel *m, const NervStoredTensor *t)
{
    NervBitWriter w;
    GError *error = NULL;
    nerv_writer_init(&w);
    g_assert_true(nerv_network_write_stored(m, t, &w, &error));
    g_assert_no_error(error);
    return w.bytes;
}

static void check_round_trip(const NervModel *m, const NervStoredTensor *t)
{
    GError *error = NULL;
    g_autofree float *x = NULL, *plain = NULL;
    NervStoredTensor *back = NULL;
    GByteArray *a = write_network(m, t), *b = write_network(m, t);
    g_assert_cmpmem(a->data, a->len, b->data, b->len);
    NervModel *read = nerv_network_read_stored(a->data, a->len, &m->clip, m->n_weights, &x, &back, &error);
    g_assert_no_error(error);
    g_assert_nonnull(back);
    check_same(m, t, back, x);
    nerv_model_free(read);
    read = nerv_network_read(a->data, a->len, &m->clip, m->n_weights, &plain, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(x, m->n_weights * 4, plain, m->n_weights * 4);
    nerv_model_free(read);
    free_network(back, m->n_params);
    g_byte_array_unref(a);
    g_byte_array_unref(b);
}

static void test_round_trip(void)
{
    NervModel *m = make(NET, &clip);
    NervRng rng;
    nerv_rng_init(&rng, 3);
    for (uint32_t bits = 0; bits <= 8; bits++)
        for (uint32_t mask = 0; mask < 16; mask++)
            for (int half = 0; half < 2; half++) {
                NervStoredTensor *t = draw_network(m, &rng, bits, mask, half);
                check_round_trip(m, t);
                free_network(t, m->n_params);
            }
    for (int i = 0; i < 50; i++) { /* all kinds beside each other */
        NervStoredTensor *t = g_new(NervStoredTensor, m->n_params);
        for (uint32_t j = 0; j < m->n_params; j++)
            t[j] = draw_tensor(&rng, m->params[j].shape, nerv_rng_below(&rng, 9), nerv_rng_below(&rng, 16),
                               nerv_rng_below(&rng, 2));
        check_round_trip(m, t);
        free_network(t, m->n_params);
    }
    nerv_model_free(m);
}

/* A network whose last tensor, the head's bias, has these values. */
static NervStoredTensor *with_bias(const NervModel *m, const float *values, bool half)
{
    NervRng rng;
    nerv_rng_init(&rng, 5);
    NervStoredTensor *t = draw_network(m, &rng, 4, 1, true), *bias = &t[m->n_params - 1];
    nerv_stored_clear(bias);
    *bias = (NervStoredTensor){ .half = half, .values = g_memdup2(values, 3 * sizeof(float)) };
    return t;
}

static void test_numbers(void)
{
    static const float halves[][3] = { { 65504.f, -65504.f, 0.f },
                                       { 0x1p-24f, -0x1p-24f, 0x1.ff8p-15f },
                                       { 0x1p-14f, 1.f, -0x1.ffcp15f },
                                       { -0.f, 1023 * 0x1p-24f, 0x1.004p0f } };
    static const float floats[][3] = { { 0x1.fffffep111f, -0x1.fffffep111f, 0.f },
                                       { 0x1p-149f, -0x1p-126f, 0x1.fffffcp-127f },
                                       { -0.f, 1.f, 3.f } };
    static const float no_halves[] = { 65520.f, 65536.f, 0x1p-25f, 0x1.002p0f, 1e30f, 0x1.8p-24f };
    static const float no_floats[] = { 0x1p112f, -0x1p112f, INFINITY, -INFINITY, NAN };
    NervModel *m = make(NET, &clip);
    for (size_t i = 0; i < G_N_ELEMENTS(halves) + G_N_ELEMENTS(floats); i++) {
        const bool half = i < G_N_ELEMENTS(halves);
        NervStoredTensor *t = with_bias(m, half ? halves[i] : floats[i - G_N_ELEMENTS(halves)], half);
        check_round_trip(m, t);
        free_network(t, m->n_params);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(no_halves) + G_N_ELEMENTS(no_floats); i++) {
        const bool half = i < G_N_ELEMENTS(no_halves);
        const float values[3] = { 1.f, 2.f, half ? no_halves[i] : no_floats[i - G_N_ELEMENTS(no_halves)] };
        NervBitWriter w;
        GError *error = NULL;
        NervStoredTensor *t = with_bias(m, values, half);
        nerv_writer_init(&w);
        g_assert_false(nerv_network_write_stored(m, t, &w, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "head.bias"));
        g_assert_cmpuint(w.bytes->len, ==, 0);
        g_clear_error(&error);
        nerv_writer_clear(&w);
        free_network(t, m->n_params);
    }
    nerv_model_free(m);
}

/* Tensors that a writer does not take, each wrong in one way. */
static void test_invalid(void)
{
    NervModel *m = make(NET, &clip);
    const NervParam *p = &m->params[0]; /* 5 x 3 x 3 x 6 */
    NervRng rng;
    nerv_rng_init(&rng, 9);
    g_assert_cmpint(p->shape.n, ==, 5);
    for (int i = 0; i < 7; i++) {
        GError *error = NULL;
        NervStoredTensor t = draw_tensor(&rng, p->shape, 5, 3, true);
        g_assert_true(nerv_stored_check(p, &t, &error));
        if (i == 0)
            t.mask = 15; /* nothing is shared */
        else if (i == 1)
            t.mask = 16;
        else if (i == 2)
            t.bits = 9;
        else if (i == 3)
            t.codes[7] = 32;
        else if (i == 4)
            t.scale[2] = -1.f;
        else if (i == 5)
            t.minimum[3] = 1e-20f; /* no half */
        else
            t.scale[1] = NAN;
        g_assert_false(nerv_stored_check(p, &t, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, p->name));
        g_error_free(error);
        nerv_stored_clear(&t);
    }
    NervStoredTensor bias = draw_tensor(&rng, m->params[m->n_params - 1].shape, 3, 0, false);
    bias.mask = 1; /* a dimension of 1 */
    g_assert_false(nerv_stored_check(&m->params[m->n_params - 1], &bias, NULL));
    nerv_stored_clear(&bias);
    nerv_model_free(m);
}

/* Reads a copy of exactly n bytes: an error, or finite weights. */
static bool try_read(const uint8_t *data, size_t n, int *code)
{
    GError *error = NULL;
    float *x = NULL;
    NervStoredTensor *stored = NULL;
    uint8_t *copy = n ? g_memdup2(data, n) : NULL;
    NervModel *m = nerv_network_read_stored(copy, n, &clip, 1 << 20, &x, &stored, &error);
    g_free(copy);
    if (!m) {
        g_assert_nonnull(error);
        g_assert_null(x);
        g_assert_null(stored);
        *code = error->code;
        g_error_free(error);
        return false;
    }
    for (int64_t i = 0; i < m->n_weights; i++)
        g_assert_true(isfinite(x[i]));
    free_network(stored, m->n_params);
    nerv_model_free(m);
    g_free(x);
    return true;
}

static void test_damage(void)
{
    NervModel *m = make(NET, &clip);
    NervRng rng;
    nerv_rng_init(&rng, 11);
    for (int kind = 0; kind < 3; kind++) {
        int code = 0, accepted = 0;
        NervStoredTensor *t =
            draw_network(m, &rng, kind == 2 ? 0 : 8 - kind * 5, 1 + (uint32_t)kind, kind != 1);
        GByteArray *a = write_network(m, t);
        g_assert_true(try_read(a->data, a->len, &code));
        for (guint n = 0; n < a->len; n += n < 200 || n + 20 > a->len ? 1 : 13) {
            g_assert_false(try_read(a->data, n, &code));
            g_assert_cmpint(code, ==, NERV_ERROR_DATA);
        }
        for (guint bit = 0; bit < a->len * 8; bit += bit < 800 ? 1 : 7) {
            a->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            accepted += try_read(a->data, a->len, &code);
            a->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        g_test_message("%d damaged networks could be read", accepted);
        g_byte_array_append(a, (const uint8_t *)"", 1);
        g_assert_false(try_read(a->data, a->len, &code)); /* bytes that nothing accounts for */
        g_byte_array_unref(a);
        free_network(t, m->n_params);
    }
    nerv_model_free(m);
}

/* Bytes that are looked at of a first tensor with that head and noise behind it. */
static size_t read_head(const NervModel *m, uint32_t bits, uint32_t mask)
{
    NervRangeEncoder e;
    NervRangeDecoder d;
    NervRng rng;
    GError *error = NULL;
    g_autofree float *x = g_new(float, m->n_weights);
    GByteArray *a = g_byte_array_new();
    nerv_rng_init(&rng, 1);
    nerv_range_encode_begin(&e, a);
    nerv_range_encode_bits(&e, bits, 4);
    nerv_range_encode_bits(&e, 1, 1);
    if (bits)
        nerv_range_encode_bits(&e, mask, 4);
    for (int i = 0; i < 200; i++)
        nerv_range_encode_bits(&e, nerv_rng_below(&rng, 256), 8);
    nerv_range_encode_end(&e);
    nerv_range_decode_begin(&d, a->data, a->len);
    g_assert_false(nerv_stored_read(m, &d, x, NULL, NULL, &error));
    g_assert_no_error(error);
    g_byte_array_unref(a);
    return d.pos;
}

/* A damaged head is seen before anything is read that it announces. */
static void test_heads(void)
{
    NervModel *m = make(NET, &clip); /* its first tensor has no dimension of 1 */
    for (uint32_t bits = 0; bits < 16; bits++)
        for (uint32_t mask = 0; mask < 16; mask++)
            g_assert_true((read_head(m, bits, mask) > 6) == (bits == 0 || (bits <= 8 && mask < 15)));
    nerv_model_free(m);
}

/* A network of many zeros takes fewer bytes than it may: padded, and refused with one byte less or more. */
static void test_padding(void)
{
    const NervClip large = { 320, 180, 40 };
    NervModel *m = make("{'grids': <'40x12'>, 'strides': <[5,2]>, 'widths': <[4,4]>}", &large);
    NervStoredTensor *t = g_new0(NervStoredTensor, m->n_params);
    for (uint32_t i = 0; i < m->n_params; i++) {
        const int64_t n = nerv_shape_count(m->params[i].shape);
        t[i] = (NervStoredTensor){ .bits = 1,
                                   .half = true,
                                   .codes = g_malloc0(n),
                                   .minimum = g_new0(float, 1),
                                   .scale = g_new0(float, 1) };
    }
    GByteArray *a = write_network(m, t);
    const uint64_t least = (uint64_t)(m->n_weights + 255) / 256;
    g_test_message("%u bytes for %" G_GINT64_FORMAT " zeros", a->len, m->n_weights);
    g_assert_cmpuint(a->len, >=, least);
    check_round_trip(m, t);
    for (int more = -1; more <= 1; more += 2) {
        GError *error = NULL;
        float *x;
        g_autofree uint8_t *copy = g_malloc0(a->len + 1);
        memcpy(copy, a->data, a->len);
        g_assert_null(nerv_network_read(copy, a->len + (gsize)more, &large, m->n_weights, &x, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
        g_error_free(error);
    }
    g_byte_array_unref(a);
    free_network(t, m->n_params);
    nerv_model_free(m);
}

/* Codes round zero with a range for each channel: no more than their entropy, which that of the codes as they are is above. */
static void test_length(void)
{
    const NervClip large = { 320, 180, 4 };
    NervModel *m = make(
        "{'grids': <'4x16'>, 'strides': <[5,2,2]>, 'widths': <[40,32,24]>, 'kernels': <[3,3,3]>}", &large);
    NervRng rng;
    nerv_rng_init(&rng, 21);
    NervStoredTensor *t = g_new0(NervStoredTensor, m->n_params);
    double entropy = 0;
    for (uint32_t i = 0; i < m->n_params; i++) {
        const NervShape s = m->params[i].shape;
        const int64_t n = nerv_shape_count(s), row = n / s.n;
        uint32_t count[256] = { 0 };
        t[i] = draw_tensor(&rng, s, 8, 1, true);
        for (int64_t j = 0; j < n; j++) {
            const int64_t at = t[i].mask ? j / row : 0;
            if (j % row == 0) { /* zero's code differs from row to row */
                t[i].scale[at] = 0x1p-10f;
                t[i].minimum[at] = -0x1p-10f * (float)(90 + nerv_rng_below(&rng, 80));
            }
            double x = 0;
            for (int k = 0; k < 8; k++)
                x += nerv_rng_uniform(&rng, -.5, .5);
            t[i].codes[j] = (uint8_t)CLAMP(lrint(20 * x - t[i].minimum[at] / t[i].scale[at]), 0, 255);
            count[t[i].codes[j]]++;
        }
        for (int k = 0; k < 256; k++)
            entropy -= count[k] ? count[k] * log2((double)count[k] / n) : 0;
    }
    GByteArray *a = write_network(m, t);
    check_round_trip(m, t);
    g_test_message("%u bytes, %.0f by the codes' entropy, %" G_GINT64_FORMAT " weights", a->len, entropy / 8,
                   m->n_weights);
    g_assert_cmpfloat(a->len, <, .97 * entropy / 8);
    g_byte_array_unref(a);
    free_network(t, m->n_params);
    nerv_model_free(m);
}

static void test_unsupported(void)
{
    NervModel *m = make(NET, &clip);
    NervBitWriter w;
    GError *error = NULL;
    float *x;
    nerv_writer_init(&w);
    nerv_model_write(m, &w);
    nerv_write_varint(&w, 4);
    nerv_write_bytes(&w, "\0some coded weights, as many as they may be", 40);
    g_assert_null(nerv_network_read(w.bytes->data, w.bytes->len, &clip, 1 << 20, &x, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "coding 4"));
    g_error_free(error);
    nerv_writer_clear(&w);
    nerv_model_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stored/round-trip", test_round_trip);
    g_test_add_func("/stored/numbers", test_numbers);
    g_test_add_func("/stored/invalid", test_invalid);
    g_test_add_func("/stored/damage", test_damage);
    g_test_add_func("/stored/heads", test_heads);
    g_test_add_func("/stored/padding", test_padding);
    g_test_add_func("/stored/length", test_length);
    g_test_add_func("/stored/unsupported", test_unsupported);
    return g_test_run();
}

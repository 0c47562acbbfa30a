/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The network unit in all its codings: networks of many forms written and read back within the quantiser's error, bit-exactly repeatable;
 * each truncation and flipped bit survived; networks that are too large for their bytes or for the caller refused before
 * memory is taken; the cost near the entropy of the indices. Run with --bench [FILE] for speed and length, and as JSON, of a
 * network of 3 million weights in each.
 */
#include <float.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/rng.h"
#include "bench/machine.h"
#include "codec/field.h"
#include "codec/quant.h"
#include "codec/units.h"
#include "codec/weights.h"

static const NervClip small_clip = { 33, 18, 5 };
#define TINY  "{'stem': <4>, 'base-channels': <2>, 'widths': <[2,2]>, 'strides': <[2,4]>, 'pe-levels': <6>}"
#define SMALL "{'stem': <16>, 'base-channels': <4>, 'widths': <[6,5]>, 'strides': <[2,2]>}"

static NervModel *make(const char *name, const char *options, const NervClip *clip)
{
    GError *error = NULL;
    g_autoptr(GVariant) v = options ? g_variant_ref_sink(g_variant_new_parsed(options)) : NULL;
    NervModel *model = nerv_model_new(name, v, clip, &error);
    g_assert_no_error(error);
    return model;
}

enum { UNIFORM, PEAKED, ROWS_APART, PRUNED, ZERO, N_SHAPES };

/* Parameters as training might leave them; with ROWS_APART each channel has a scale of its own. */
static float *make_params(const NervModel *model, int shape, uint64_t seed)
{
    NervRng rng;
    float *params = g_new(float, model->n_weights), *x = params;
    nerv_rng_init(&rng, seed);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        const int64_t row = n / model->params[i].shape.n;
        const float bound = model->params[i].init_bound;
        float scale = 1;
        for (int64_t j = 0; j < n; j++, x++) {
            if (shape == ROWS_APART && j % row == 0)
                scale = expf(nerv_rng_uniform(&rng, -12, 4));
            *x = nerv_rng_uniform(&rng, -bound, bound) * scale;
            if (shape == PEAKED)
                *x *= nerv_rng_uniform(&rng, 0, 1) * nerv_rng_uniform(&rng, 0, 1);
            if (shape == ZERO || (shape == PRUNED && (nerv_rng_below(&rng, 10) || j / row % 3 == 0)))
                *x = 0;
        }
    }
    return params;
}

#define STEPS     0  /* in place of a number of bits: coding 1 */
#define STEP_BITS 6  /* for which the tests then choose its steps */
#define HUFFMAN   16 /* added to a number of bits: coding 2 */

static int64_t row_length(const NervParam *p)
{
    return nerv_shape_count(p->shape) / nerv_param_steps(p);
}

/* Steps as a trainer might choose them: one per row. */
static uint16_t *make_steps(const NervModel *model, const float *params)
{
    size_t n = 0;
    uint16_t *steps = g_new(uint16_t, model->n_weights);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t row = row_length(&model->params[i]);
        for (int64_t r = 0; r < nerv_param_steps(&model->params[i]); r++, params += row)
            steps[n++] = (uint16_t)nerv_quant_fit(params, row, (1 << (STEP_BITS - 1)) - 1);
    }
    return steps;
}

static GByteArray *write_network(const NervModel *model, const float *params, uint32_t bits)
{
    NervBitWriter w;
    GError *error = NULL;
    nerv_writer_init(&w);
    if (bits == STEPS) {
        g_autofree uint16_t *steps = make_steps(model, params);
        g_assert_true(nerv_network_write_steps(model, params, steps, NULL, &w, &error));
    } else if (bits >= HUFFMAN) {
        g_assert_true(nerv_network_write_huffman(model, params, bits - HUFFMAN, &w, &error));
    } else {
        g_assert_true(nerv_network_write(model, params, bits, &w, &error));
    }
    g_assert_no_error(error);
    return w.bytes;
}

/* What the reader must give: the writer's own choice of steps, applied row by row. */
static float *expected_params(const NervModel *model, const float *params, uint32_t bits)
{
    float *out = g_new(float, model->n_weights), *y = out;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const bool bias = p->role == NERV_PARAM_BIAS;
        const int64_t n = nerv_shape_count(p->shape), row = row_length(p);
        const uint32_t row_bits = bits == STEPS ? STEP_BITS : bias ? NERV_BIAS_BITS : bits;
        const int32_t max_index = (1 << (row_bits - 1)) - 1;
        g_autofree int16_t *index = g_new(int16_t, row);
        for (int64_t j = 0; j < n; j += row, params += row, y += row) {
            const uint32_t code = nerv_quant_fit(params, row, max_index);
            nerv_quantise(params, row, code, bits == STEPS ? NERV_INDEX_MAX : max_index, index);
            for (int64_t k = 0; k < row; k++)
                y[k] = code ? (float)index[k] * nerv_quant_step(code) : 0;
        }
    }
    return out;
}

static void check_round_trip(const char *name, const char *options, const NervClip *clip, int shape,
                             uint32_t bits)
{
    GError *error = NULL;
    NervModel *model = make(name, options, clip);
    g_autofree float *params = make_params(model, shape, bits);
    g_autofree float *want = expected_params(model, params, bits);
    g_autofree float *got = NULL;
    GByteArray *a = write_network(model, params, bits), *b = write_network(model, params, bits);
    g_assert_cmpmem(a->data, a->len, b->data, b->len);
    NervModel *back = nerv_network_read(a->data, a->len, clip, model->n_weights, &got, &error);
    g_assert_no_error(error);
    g_assert_cmpint(back->n_weights, ==, model->n_weights);
    g_assert_cmpuint(back->n_params, ==, model->n_params);
    g_assert_cmpmem(got, model->n_weights * sizeof(float), want, model->n_weights * sizeof(float));
    nerv_model_free(back);
    nerv_model_free(model);
    g_byte_array_unref(a);
    g_byte_array_unref(b);
}

static void test_round_trip(void)
{
    for (int shape = 0; shape < N_SHAPES; shape++)
        check_round_trip("nerv-mlp", SMALL, &small_clip, shape, STEPS);
    check_round_trip("nerv-mlp", NULL, &(NervClip){ 97, 61, 9 }, PEAKED, STEPS);
    for (uint32_t bits = 2; bits <= 8; bits++)
        for (int shape = 0; shape < N_SHAPES; shape++) {
            check_round_trip("nerv-mlp", SMALL, &small_clip, shape, bits);
            if (bits % 3 == 2 && (shape == PEAKED || shape == ROWS_APART))
                check_round_trip("nerv-mlp", NULL, &(NervClip){ 97, 61, 9 }, shape, bits);
        }
    check_round_trip("nerv-mlp", "{'stem': <1>, 'base-channels': <1>, 'widths': <[1]>, 'strides': <[16]>}",
                     &(NervClip){ 16, 16, 1 }, PEAKED, 8);
}

/* What coding 2 gives for what it gave is the same again, up to a point's place in floating point; zeros are the same ones. */
static void test_round_trip_huffman(void)
{
    for (uint32_t bits = 2; bits <= 8; bits += 3)
        for (int shape = 0; shape < N_SHAPES; shape++) {
            GError *error = NULL;
            NervModel *model = make("nerv-mlp", SMALL, &small_clip);
            g_autofree float *params = make_params(model, shape, bits);
            g_autofree float *got = NULL;
            double worst = 0, peak = 1e-30;
            GByteArray *a = write_network(model, params, HUFFMAN + bits),
                       *b = write_network(model, params, HUFFMAN + bits);
            g_assert_cmpmem(a->data, a->len, b->data, b->len);
            NervModel *back = nerv_network_read(a->data, a->len, &small_clip, model->n_weights, &got, &error);
            g_assert_no_error(error);
            for (int64_t i = 0; i < model->n_weights; i++) {
                g_assert_true(params[i] != 0 || got[i] == 0);
                worst = fmax(worst, fabsf(got[i] - params[i]));
                peak = fmax(peak, fabsf(params[i]));
            }
            /* a row's range is at most twice its peak */
            g_assert_cmpfloat(worst, <=, peak * 2 / ((1 << bits) - 1) * .55);
            nerv_model_free(back);
            nerv_model_free(model);
            g_byte_array_unref(a);
            g_byte_array_unref(b);
        }
}

/* Reads a copy of exactly n bytes; NULL or a model, and then finite weights. */
static bool try_read(const uint8_t *data, size_t n, NervErrorCode *code)
{
    GError *error = NULL;
    float *params = NULL;
    uint8_t *copy = n ? g_memdup2(data, n) : NULL;
    NervModel *model = nerv_network_read(copy, n, &small_clip, 1 << 20, &params, &error);
    g_free(copy);
    if (!model) {
        g_assert_nonnull(error);
        g_assert_null(params);
        *code = (NervErrorCode)error->code;
        g_error_free(error);
        return false;
    }
    g_assert_no_error(error);
    for (int64_t i = 0; i < model->n_weights; i++)
        g_assert_true(isfinite(params[i]));
    nerv_model_free(model);
    g_free(params);
    return true;
}

static void test_truncated(void)
{
    static const uint32_t bits[] = { STEPS, 8, HUFFMAN + 8, HUFFMAN + 3 };
    for (int i = 0; i < 4 * N_SHAPES; i++) {
        NervErrorCode code;
        NervModel *model = make("nerv-mlp", TINY, &small_clip);
        g_autofree float *params = make_params(model, i / 4, 1);
        GByteArray *a = write_network(model, params, bits[i % 4]);
        g_assert_true(try_read(a->data, a->len, &code));
        for (guint n = 0; n < a->len; n++) {
            g_assert_false(try_read(a->data, n, &code));
            g_assert_cmpint(code, ==, NERV_ERROR_DATA);
        }
        g_byte_array_append(a, (const uint8_t *)"", 1);
        g_assert_false(try_read(a->data, a->len, &code)); /* bytes that nothing accounts for */
        g_byte_array_unref(a);
        nerv_model_free(model);
    }
}

/* The unit's CRC catches these in a stream; here the reader alone must hold: an error or some finite network. */
static void test_flipped(gconstpointer bits)
{
    NervErrorCode code;
    NervModel *model = make("nerv-mlp", TINY, &small_clip);
    g_autofree float *params = make_params(model, PEAKED, 1);
    GByteArray *a = write_network(model, params, GPOINTER_TO_UINT(bits));
    int accepted = 0;
    for (guint bit = 0; bit < a->len * 8; bit++) {
        a->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        accepted += try_read(a->data, a->len, &code);
        a->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    g_test_message("%d of %u damaged networks could be read", accepted, a->len * 8);
    g_byte_array_unref(a);
    nerv_model_free(model);
}

static void test_headers(void)
{
    NervErrorCode code;
    NervBitWriter w;
    NervModel *model = make("nerv-mlp", SMALL, &small_clip);
    g_autofree float *params = make_params(model, UNIFORM, 1);
    nerv_writer_init(&w);
    nerv_model_write(model, &w);
    const guint head = w.bytes->len;
    nerv_writer_clear(&w);
    GByteArray *a = write_network(model, params, 8);
    g_assert_cmpmem(a->data + head, 3, "\x00\x08\x00", 3);

    static const struct {
        uint8_t coding, bits;
        NervErrorCode code;
    } bad[] = { { 4, 8, NERV_ERROR_UNSUPPORTED },
                { 0, 1, NERV_ERROR_DATA },
                { 0, 9, NERV_ERROR_DATA },
                { 2, 1, NERV_ERROR_DATA },
                { 2, 9, NERV_ERROR_DATA } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        a->data[head] = bad[i].coding;
        a->data[head + 1] = bad[i].bits;
        g_assert_false(try_read(a->data, a->len, &code));
        g_assert_cmpint(code, ==, bad[i].code);
    }
    a->data[head] = 0;
    a->data[head + 1] = 8;

    /* A later version's extension is skipped. */
    GByteArray *b = g_byte_array_new();
    g_byte_array_append(b, a->data, head + 2);
    g_byte_array_append(b, (const uint8_t *)"\x04more", 5);
    g_byte_array_append(b, a->data + head + 3, a->len - head - 3);
    g_assert_true(try_read(b->data, b->len, &code));
    b->data[head + 2] = 0x7f; /* longer than what there is: here it would swallow coded weights */
    g_assert_false(try_read(b->data, b->len, &code));
    g_byte_array_unref(a);
    g_byte_array_unref(b);
    nerv_model_free(model);
}

/* 201 million weights announced by a few bytes; one more than the caller allows. */
static void test_absurd(void)
{
    const NervClip clip = { 8192, 8192, 1 };
    GError *error = NULL;
    float *params = NULL;
    NervBitWriter w;
    NervModel *model =
        make("nerv-mlp", "{'stem': <2>, 'base-channels': <1>, 'widths': <[1]>, 'strides': <[1]>}", &clip);
    g_assert_cmpint(model->n_weights, >, 200000000);
    nerv_writer_init(&w);
    nerv_model_write(model, &w);
    nerv_write_bytes(&w, "\x00\x08\x00", 3);
    nerv_write_bytes(&w, "some coded weights", 18);
    g_assert_null(nerv_network_read(w.bytes->data, w.bytes->len, &clip, INT64_MAX, &params, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    g_assert_nonnull(strstr(error->message, "cannot hold"));
    g_clear_error(&error);
    g_assert_null(
        nerv_network_read(w.bytes->data, w.bytes->len, &clip, model->n_weights - 1, &params, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_MEMORY);
    g_clear_error(&error);
    g_assert_null(params);
    nerv_writer_clear(&w);
    nerv_model_free(model);
}

/* A network that its bytes could hold, but memory cannot. */
static void test_out_of_memory(void)
{
#if defined(__SANITIZE_ADDRESS__)
    g_test_skip("the address sanitizer needs all the address space");
#else
    const NervClip clip = { 8192, 8192, 1 };
    const rlim_t most = (rlim_t)600 << 20;
    struct rlimit saved, limit;
    GError *error = NULL;
    float *params = NULL;
    NervBitWriter w;
    NervModel *model =
        make("nerv-mlp", "{'stem': <2>, 'base-channels': <1>, 'widths': <[1]>, 'strides': <[1]>}", &clip);
    nerv_writer_init(&w);
    nerv_model_write(model, &w);
    nerv_write_bytes(&w, "\x00\x08\x00", 3);
    g_byte_array_set_size(w.bytes, w.bytes->len + (guint)(model->n_weights / NERV_WEIGHTS_PER_BYTE) + 1);
    g_assert_cmpint(getrlimit(RLIMIT_AS, &saved), ==, 0);
    limit = saved;
    limit.rlim_cur = MIN(saved.rlim_max, most);
    g_assert_cmpint(setrlimit(RLIMIT_AS, &limit), ==, 0);
    g_assert_null(nerv_network_read(w.bytes->data, w.bytes->len, &clip, INT64_MAX, &params, &error));
    g_assert_cmpint(setrlimit(RLIMIT_AS, &saved), ==, 0);
    g_assert_error(error, NERV_ERROR, NERV_ERROR_MEMORY);
    g_assert_null(params);
    g_clear_error(&error);
    nerv_writer_clear(&w);
    nerv_model_free(model);
#endif
}

static void test_invalid(void)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY, 0x1p51f };
    GError *error = NULL;
    NervBitWriter w;
    NervModel *model = make("nerv-mlp", SMALL, &small_clip);
    g_autofree float *params = make_params(model, UNIFORM, 1);
    nerv_writer_init(&w);
    nerv_write_u8(&w, 7);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const int64_t at[] = { 0, model->n_weights / 2, model->n_weights - 1 };
        for (size_t j = 0; j < G_N_ELEMENTS(at); j++) {
            const float saved = params[at[j]];
            params[at[j]] = bad[i];
            g_assert_false(nerv_network_write(model, params, 8, &w, &error));
            g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
            g_clear_error(&error);
            params[at[j]] = saved;
        }
    }
    g_assert_false(nerv_network_write(model, params, 9, &w, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(nerv_network_write(model, params, 1, &w, NULL));
    g_assert_false(nerv_network_write_huffman(model, params, 9, &w, NULL));
    g_assert_false(nerv_network_write_huffman(model, params, 1, &w, NULL));
    params[5] = INFINITY;
    g_assert_false(nerv_network_write_huffman(model, params, 8, &w, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    params[5] = 0;

    g_autofree uint16_t *steps = make_steps(model, params);
    double length;
    steps[3] = NERV_STEP_CODES;
    g_assert_false(nerv_network_write_steps(model, params, steps, NULL, &w, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    steps[3] = NERV_STEP_CODES - 1;
    params[1] = NAN;
    g_assert_false(nerv_network_write_steps(model, params, steps, NULL, &w, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(nerv_network_steps_bits(model, params, steps, NULL, NULL, &length, NULL));
    g_assert_cmpuint(w.bytes->len, ==, 1);
    nerv_writer_clear(&w);
    nerv_model_free(model);
}

static gpointer cancel_soon(gpointer user)
{
    g_usleep(20000);
    g_atomic_int_set((gint *)user, 1);
    return NULL;
}

/* Coding stops where it is told to, before it begins and in its midst, and leaves nothing behind. */
static void test_cancelled(void)
{
    gint cancel = 0;
    double length;
    GError *error = NULL;
    NervBitWriter w;
    NervModel *model = make(
        "nerv-mlp", "{'stem': <512>, 'base-channels': <32>, 'widths': <[2]>, 'strides': <[2]>}", &small_clip);
    g_autofree float *params = make_params(model, PEAKED, 1);
    g_autofree uint16_t *steps = make_steps(model, params);
    nerv_writer_init(&w);
    nerv_write_u8(&w, 7);
    g_assert_cmpint(model->n_weights, >, 2000000);
    for (int early = 0; early < 2; early++) {
        GThread *thread = early ? NULL : g_thread_new("cancel", cancel_soon, &cancel);
        g_assert_false(nerv_network_write_steps(model, params, steps, &cancel, &w, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
        g_clear_error(&error);
        g_assert_cmpuint(w.bytes->len, ==, 1);
        if (thread)
            g_thread_join(thread);
    }
    g_assert_false(nerv_network_steps_bits(model, params, steps, NULL, &cancel, &length, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
    g_clear_error(&error);
    nerv_writer_clear(&w);
    nerv_model_free(model);
}

/* Zero-order entropy of the weights' indices, tensor by tensor, and the biases at their full width; in bytes. */
static double entropy_bytes(const NervModel *model, const float *params, uint32_t bits)
{
    const int32_t max_index = (1 << (bits - 1)) - 1;
    double total = 0;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), row = n / p->shape.n;
        int count[256] = { 0 };
        int16_t *index = g_new(int16_t, n);
        for (int64_t j = 0; p->role == NERV_PARAM_WEIGHT && j < n; j += row) {
            nerv_quantise(params + j, row, nerv_quant_fit(params + j, row, max_index), max_index, index);
            for (int64_t k = 0; k < row; k++)
                count[index[k] + max_index]++;
        }
        for (int k = 0; k < 256; k++)
            if (count[k])
                total -= count[k] * log2((double)count[k] / n) / 8;
        if (p->role == NERV_PARAM_BIAS)
            total += (double)n * NERV_BIAS_BITS / 8;
        params += n;
        g_free(index);
    }
    return total;
}

/* With steps, headers and all that the models had to learn: within 1 % at 8 bits for a network of 145,000 parameters. */
static void test_cost(void)
{
    const NervClip clip = { 320, 180, 32 };
    NervModel *model =
        make("nerv-mlp", "{'stem': <64>, 'base-channels': <8>, 'widths': <[24,16,12]>, 'strides': <[5,2,2]>}",
             &clip);
    g_assert_cmpint(model->n_weights, ==, 144751);
    for (int shape = UNIFORM; shape <= PEAKED; shape++)
        for (uint32_t bits = 4; bits <= 8; bits += 4) {
            g_autofree float *params = make_params(model, shape, 3);
            GByteArray *a = write_network(model, params, bits);
            const double entropy = entropy_bytes(model, params, bits);
            g_test_message("%u bits: %u bytes, %.2f %% over the entropy", bits, a->len,
                           100 * (a->len / entropy - 1));
            g_assert_cmpfloat(a->len, <, entropy * (bits == 8 ? 1.01 : 1.02));
            g_byte_array_unref(a);
        }
    nerv_model_free(model);
}

/* With the predictions of another network of its kind a network is about as long, and with its own exactly as long. */
static void test_known(void)
{
    double bits, own, known;
    NervPredictions predictions = { 0 };
    NervModel *model = make("nerv-mlp", NULL, &(NervClip){ 97, 61, 9 });
    g_autofree float *params = make_params(model, PEAKED, 1);
    g_autofree float *others = make_params(model, PEAKED, 2);
    g_autofree uint16_t *steps = make_steps(model, params);
    g_assert_true(nerv_network_steps_bits(model, params, steps, NULL, NULL, &bits, NULL));
    g_assert_true(nerv_network_steps_bits(model, params, steps, &predictions, NULL, &own, NULL));
    g_assert_cmpfloat(own, ==, bits);
    g_assert_true(predictions.known);
    g_assert_true(nerv_network_steps_bits(model, params, steps, &predictions, NULL, &own, NULL));
    g_assert_cmpfloat(own, ==, bits);
    predictions.known = false;
    g_assert_true(nerv_network_steps_bits(model, others, steps, &predictions, NULL, &own, NULL));
    g_assert_true(nerv_network_steps_bits(model, params, steps, &predictions, NULL, &known, NULL));
    g_test_message("%.0f bits, %.0f with another network's predictions", bits, known);
    g_assert_cmpfloat(fabs(known / bits - 1), <, .02);
    g_free(predictions.of);
    nerv_model_free(model);
}

/* What is written is as long as the models say, and the unit's own fields. */
static void test_length(void)
{
    for (int shape = 0; shape < N_SHAPES; shape++) {
        double bits;
        GError *error = NULL;
        NervModel *model = make("nerv-mlp", NULL, &(NervClip){ 97, 61, 9 });
        g_autofree float *params = make_params(model, shape, 1);
        g_autofree uint16_t *steps = make_steps(model, params);
        GByteArray *a = write_network(model, params, STEPS);
        g_assert_true(nerv_network_steps_bits(model, params, steps, NULL, NULL, &bits, &error));
        const double least = ceil((double)model->n_weights / NERV_WEIGHTS_PER_BYTE);
        g_test_message("shape %d: %u bytes of %.0f", shape, a->len, bits / 8);
        g_assert_cmpfloat(a->len, <=, MAX(bits / 8 * 1.01, least) + 32);
        g_assert_cmpfloat(a->len, >=, bits / 8);
        g_byte_array_unref(a);
        nerv_model_free(model);
    }
}

/* A network of 3.2 million weights as a fit with learned steps leaves it: indices of Laplace's distribution, of different width in each
 * row, about 3 bits each. */
static NervModel *make_fitted(float **params, uint16_t **steps)
{
    const NervClip clip = { 1280, 720, 132 };
    NervModel *model = make("nerv-s", NULL, &clip);
    NervRng rng;
    float *x = *params = g_new(float, model->n_weights);
    uint16_t *step = *steps = g_new(uint16_t, nerv_model_steps(model));
    nerv_rng_init(&rng, 1);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        for (int64_t r = 0; r < nerv_param_steps(p); r++, step++) {
            const float width = nerv_rng_uniform(&rng, 1, 2);
            *step = (uint16_t)(NERV_STEP_MIDDLE - 40 + 4 * nerv_rng_below(&rng, 12));
            for (int64_t j = 0; j < row_length(p); j++, x++) {
                const float size = -width * logf(nerv_rng_uniform(&rng, 1e-6f, 1));
                *x = rintf(nerv_rng_below(&rng, 2) ? size : -size) * nerv_quant_step(*step);
            }
        }
    }
    return model;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Nanoseconds of this thread's processor that a weight takes to read, the best of n times. */
static double read_ns(const NervModel *model, const GByteArray *a, int n)
{
    double best = INFINITY;
    for (int i = 0; i < n; i++) {
        float *got;
        GError *error = NULL;
        const double start = cpu_seconds();
        NervModel *back = nerv_network_read(a->data, a->len, &model->clip, model->n_weights, &got, &error);
        best = fmin(best, cpu_seconds() - start);
        g_assert_no_error(error);
        nerv_model_free(back);
        g_free(got);
    }
    return best * 1e9 / (double)model->n_weights;
}

/* The one with 3 million weights: as long as the models say. */
static void test_length_large(void)
{
    g_autofree float *params = NULL;
    g_autofree uint16_t *steps = NULL;
    double bits;
    NervBitWriter w;
    GError *error = NULL;
    NervModel *model = make_fitted(&params, &steps);
    nerv_writer_init(&w);
    g_assert_true(nerv_network_write_steps(model, params, steps, NULL, &w, &error));
    g_assert_true(nerv_network_steps_bits(model, params, steps, NULL, NULL, &bits, &error));
    g_assert_no_error(error);
    g_test_message("%u bytes, %.0f by the models' own entropy: %+.3f %%", w.bytes->len, bits / 8,
                   100 * (w.bytes->len * 8 / bits - 1));
    g_assert_cmpfloat(w.bytes->len, >=, bits / 8);
    g_assert_cmpfloat(w.bytes->len, <=, bits / 8 * 1.01 + 32);
    nerv_writer_clear(&w);
    nerv_model_free(model);
}

/* As other programs store it: 6 bits between each tensor's minimum and maximum. */
static bool write_stored(const NervModel *model, const float *params, NervBitWriter *w)
{
    NervStoredTensor *t = g_new0(NervStoredTensor, model->n_params);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        float low = params[0], scale = params[0];
        for (int64_t k = 1; k < n; k++)
            low = fminf(low, params[k]), scale = fmaxf(scale, params[k]);
        scale = fmaxf((scale - low) / 63, FLT_MIN);
        t[i] = (NervStoredTensor){ .bits = 6, .codes = g_new(uint8_t, n) };
        t[i].minimum = g_memdup2(&low, sizeof low);
        t[i].scale = g_memdup2(&scale, sizeof scale);
        for (int64_t k = 0; k < n; k++)
            t[i].codes[k] = (uint8_t)lrintf((params[k] - low) / scale);
        params += n;
    }
    const bool ok = nerv_network_write_stored(model, t, w, NULL);
    for (uint32_t i = 0; i < model->n_params; i++)
        nerv_stored_clear(&t[i]);
    g_free(t);
    return ok;
}

/* One coding of the network into the results' array. */
static void bench_coding(Json *j, int coding, const NervModel *model, const float *params,
                         const uint16_t *steps)
{
    const double n = (double)model->n_weights;
    double bits;
    NervBitWriter w;
    nerv_writer_init(&w);
    const double start = cpu_seconds();
    g_assert_true(coding == 1   ? nerv_network_write_steps(model, params, steps, NULL, &w, NULL)
                  : coding == 2 ? nerv_network_write_huffman(model, params, 6, &w, NULL)
                  : coding == 3 ? write_stored(model, params, &w)
                                : nerv_network_write(model, params, 6, &w, NULL));
    const double write_ns = (cpu_seconds() - start) * 1e9 / n, ns = read_ns(model, w.bytes, 7);
    g_print("coding %d: %u bytes, %.3f bits a weight, written at %.0f ns a weight, read at %.1f, in all in "
            "%.0f ms\n",
            coding, w.bytes->len, w.bytes->len * 8. / n, write_ns, ns, ns * n * 1e-6);
    json_open(j, NULL, '{');
    json_integer(j, "coding", coding);
    json_integer(j, "bytes", w.bytes->len);
    json_number(j, "write_ns", write_ns);
    json_number(j, "read_ns", ns);
    json_number(j, "read_ms", ns * n * 1e-6);
    if (coding == 1 && nerv_network_steps_bits(model, params, steps, NULL, NULL, &bits, NULL)) {
        g_print("          %.0f bytes by its models' own entropy: %+.3f %%\n", bits / 8,
                100 * (w.bytes->len * 8 / bits - 1));
        json_number(j, "entropy_bytes", bits / 8);
    }
    json_close(j, '}');
    nerv_writer_clear(&w);
}

/* Speed and length; into a file as well, if one is named. */
static int bench(const char *file)
{
    g_autofree float *params = NULL;
    g_autofree uint16_t *steps = NULL;
    Json j;
    GError *error = NULL;
    NervModel *model = make_fitted(&params, &steps);
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_integer(&j, "weights", model->n_weights);
    json_string(&j, "indices", "of Laplace's distribution");
    json_open(&j, "codings", '[');
    g_print("%" G_GINT64_FORMAT " weights, indices of Laplace's distribution\n", model->n_weights);
    for (int coding = 0; coding <= 3; coding++)
        bench_coding(&j, coding, model, params, steps);
    json_close(&j, ']');
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    nerv_model_free(model);
    if (!file || g_file_set_contents(file, text, -1, &error))
        return 0;
    g_printerr("%s\n", error->message);
    g_error_free(error);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && g_str_equal(argv[1], "--bench"))
        return bench(argc > 2 ? argv[2] : NULL);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/weights/round-trip", test_round_trip);
    g_test_add_func("/weights/round-trip-huffman", test_round_trip_huffman);
    g_test_add_func("/weights/truncated", test_truncated);
    g_test_add_data_func("/weights/flipped", GUINT_TO_POINTER(4), test_flipped);
    g_test_add_data_func("/weights/flipped-steps", GUINT_TO_POINTER(STEPS), test_flipped);
    g_test_add_data_func("/weights/flipped-huffman", GUINT_TO_POINTER(HUFFMAN + 4), test_flipped);
    g_test_add_func("/weights/length", test_length);
    g_test_add_func("/weights/known", test_known);
    g_test_add_func("/weights/length-large", test_length_large);
    g_test_add_func("/weights/headers", test_headers);
    g_test_add_func("/weights/absurd", test_absurd);
    g_test_add_func("/weights/out-of-memory", test_out_of_memory);
    g_test_add_func("/weights/invalid", test_invalid);
    g_test_add_func("/weights/cancelled", test_cancelled);
    g_test_add_func("/weights/cost", test_cost);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Coding 1 on parameters of all roles and odd shapes, grids above all, which need no model class here: indices of friendly and hostile
 * distributions come back exactly, each truncation and flipped bit is survived and seen, the length is what the models say
 * and near what the data hold.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/quant.h"
#include "codec/tensors.h"

static NervParam shapes[] = {
    { .name = "grid", .shape = { 5, 3, 4, 6 }, .role = NERV_PARAM_GRID },
    { .name = "weight", .shape = { 6, 4, 3, 3 }, .role = NERV_PARAM_WEIGHT },
    { .name = "bias", .shape = { 1, 6, 1, 1 }, .role = NERV_PARAM_BIAS },
    { .name = "one.grid", .shape = { 1, 1, 1, 1 }, .role = NERV_PARAM_GRID },
    { .name = "flat.grid", .shape = { 3, 2, 1, 7 }, .role = NERV_PARAM_GRID },
    { .name = "tall.grid", .shape = { 2, 1, 9, 1 }, .role = NERV_PARAM_GRID },
    { .name = "point.grid", .shape = { 4, 5, 1, 1 }, .role = NERV_PARAM_GRID },
    { .name = "linear", .shape = { 10, 7, 1, 1 }, .role = NERV_PARAM_WEIGHT },
    { .name = "kernel", .shape = { 1, 1, 5, 5 }, .role = NERV_PARAM_WEIGHT },
    { .name = "one.bias", .shape = { 1, 1, 1, 1 }, .role = NERV_PARAM_BIAS },
    { .name = "narrow", .shape = { 3, 2, 1, 4 }, .role = NERV_PARAM_WEIGHT },
    { .name = "once.grid", .shape = { 1, 2, 3, 3 }, .role = NERV_PARAM_GRID },
};
static NervModel small_model = { .params = shapes, .n_params = G_N_ELEMENTS(shapes) };

enum { GEOMETRIC, UNIFORM, SPARSE, CONSTANT, EXTREME, ZERO_ROWS, ZERO, LAST, WALK, N_KINDS };

/* Small steps in time and space of `scale`. */
static int32_t walk(const NervParam *p, const int32_t *index, int64_t i, NervRng *rng)
{
    const int64_t slab = nerv_shape_count(p->shape) / p->shape.n;
    const int32_t before = i >= slab ? index[i - slab] : 0, left = i % p->shape.w ? index[i - 1] : before;
    const int32_t up = i >= slab && i % p->shape.w ? index[i - slab - 1] : before;
    return CLAMP(before + (left - up) / 2 + (int32_t)nerv_rng_below(rng, 5) - 2, -60, 60);
}

static int32_t draw(int kind, const NervParam *p, const int32_t *index, int64_t i, int64_t row, NervRng *rng)
{
    const int32_t sign = nerv_rng_below(rng, 2) ? 1 : -1;
    int32_t v = 0;
    switch (kind) {
    case UNIFORM:
        return sign * (int32_t)nerv_rng_below(rng, NERV_INDEX_MAX + 1);
    case SPARSE:
        return nerv_rng_below(rng, 30) ? 0 : sign;
    case CONSTANT:
        return 7;
    case EXTREME:
        return sign * NERV_INDEX_MAX;
    case ZERO:
        return 0;
    case LAST:
        return i + 1 == nerv_shape_count(p->shape) ? -1 : 0;
    case WALK:
        return walk(p, index, i, rng);
    default:
        while (nerv_rng_below(rng, 5) > 1)
            v++;
        return kind == ZERO_ROWS && row % 2 ? 0 : sign * v;
    }
}

static int64_t row_of(const NervParam *p, int64_t i)
{
    const NervShape s = p->shape;
    const int64_t plane = (int64_t)s.h * s.w;
    return p->role == NERV_PARAM_BIAS ? 0 : p->role == NERV_PARAM_GRID ? i / plane % s.c : i / (plane * s.c);
}

typedef struct {
    NervModel *model;
    float *params;
    uint16_t *steps;
    GByteArray *coded;
    double bits;
} Case;

static void case_init(Case *k, NervModel *model, int kind, uint64_t seed)
{
    NervRng rng;
    GError *error = NULL;
    NervRangeEncoder e;
    int64_t n = 0, n_steps = 0;
    nerv_rng_init(&rng, seed);
    for (uint32_t i = 0; i < model->n_params; i++) {
        n += nerv_shape_count(model->params[i].shape);
        n_steps += nerv_param_steps(&model->params[i]);
    }
    model->n_weights = n;
    *k = (Case){ .model = model, .params = g_new(float, n), .steps = g_new(uint16_t, n_steps) };
    float *x = k->params;
    uint16_t *steps = k->steps;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t count = nerv_shape_count(p->shape), rows = nerv_param_steps(p);
        g_autofree int32_t *index = g_new0(int32_t, count);
        for (int64_t r = 0; r < rows; r++) /* close together, on lattices, anywhere, all the same */
            steps[r] = (uint16_t)(i % 4 == 0   ? 1000 + nerv_rng_below(&rng, 40)
                                  : i % 4 == 1 ? 801 + 4 * nerv_rng_below(&rng, 20)
                                  : i % 4 == 2 ? 1 + nerv_rng_below(&rng, NERV_STEP_CODES - 1)
                                               : 1200);
        for (int64_t j = 0; j < count; j++) {
            index[j] = draw(kind, p, index, j, row_of(p, j), &rng);
            x[j] = (float)index[j] * nerv_quant_step(steps[row_of(p, j)]);
        }
        x += count;
        steps += rows;
    }
    k->coded = g_byte_array_new();
    nerv_range_encode_begin(&e, k->coded);
    g_assert_true(nerv_tensors_write(model, k->params, k->steps, NULL, NULL, &e, &error));
    nerv_range_encode_end(&e);
    nerv_range_count_begin(&e);
    g_assert_true(nerv_tensors_write(model, k->params, k->steps, NULL, NULL, &e, &error));
    k->bits = nerv_range_counted(&e);
    g_assert_no_error(error);
}

static void case_clear(Case *k)
{
    g_byte_array_unref(k->coded);
    g_free(k->params);
    g_free(k->steps);
}

/* Reads exactly n bytes; whether they are a network that an encoder may have written, and whether it is the case's. */
static bool try_read(const Case *k, size_t n, bool *same)
{
    GError *error = NULL;
    NervRangeDecoder d;
    const size_t bytes = (size_t)k->model->n_weights * sizeof(float);
    float *x = g_malloc(bytes);
    uint8_t *copy = n ? g_memdup2(k->coded->data, n) : NULL;
    memset(x, 0xff, bytes);
    nerv_range_decode_begin(&d, copy, n);
    bool ok = nerv_tensors_read(k->model, &d, x, NULL, NULL, &error);
    g_assert_no_error(error);
    for (int64_t i = 0; ok && i < k->model->n_weights; i++)
        g_assert_true(isfinite(x[i]));
    *same = ok && !memcmp(x, k->params, bytes);
    ok = ok && !nerv_range_decode_overrun(&d) && d.pos == n + 3;
    g_free(copy);
    g_free(x);
    return ok;
}

static void test_round_trip(void)
{
    for (int kind = 0; kind < N_KINDS; kind++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            Case k;
            bool same;
            case_init(&k, &small_model, kind, seed);
            g_assert_true(try_read(&k, k.coded->len, &same));
            g_assert_true(same);
            g_test_message("kind %d: %u bytes, the models say %.1f", kind, k.coded->len, k.bits / 8);
            g_assert_cmpfloat(k.coded->len, <=, k.bits / 8 * 1.01 + 32);
            g_assert_cmpfloat(k.coded->len, >=, k.bits / 8);
            case_clear(&k);
        }
}

/* What is left may happen to be another network's, but never the whole of this one's. */
static void test_truncated(void)
{
    int n_read = 0, n_accepted = 0;
    for (int kind = 0; kind < N_KINDS; kind++) {
        Case k;
        bool same;
        case_init(&k, &small_model, kind, 7);
        for (guint n = 0; n < k.coded->len; n++, n_read++) {
            const bool accepted = try_read(&k, n, &same);
            g_assert_false(accepted && same);
            n_accepted += accepted;
        }
        case_clear(&k);
    }
    g_test_message("%d of %d truncated networks could be read", n_accepted, n_read);
    g_assert_cmpint(n_accepted * 50, <, n_read);
}

/* Only the last byte says more than is needed, and the prediction's weights where they change no level. */
static void test_flipped(void)
{
    int n_silent = 0;
    for (int kind = 0; kind < N_KINDS; kind++) {
        Case k;
        bool same;
        case_init(&k, &small_model, kind, 8);
        for (guint bit = 0; bit < k.coded->len * 8; bit++) {
            k.coded->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            try_read(&k, k.coded->len, &same);
            n_silent += same && bit / 8 + 1 < k.coded->len;
            k.coded->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        case_clear(&k);
    }
    g_test_message("%d flipped bits changed nothing", n_silent);
    g_assert_cmpint(n_silent, <, 10);
}

static void test_noise(void)
{
    Case k;
    NervRng rng;
    bool same;
    nerv_rng_init(&rng, 1);
    case_init(&k, &small_model, GEOMETRIC, 1);
    for (int i = 0; i < 3000; i++) {
        g_byte_array_set_size(k.coded, nerv_rng_below(&rng, 2000));
        for (guint j = 0; j < k.coded->len; j++)
            k.coded->data[j] = (uint8_t)nerv_rng_below(&rng, 256);
        try_read(&k, k.coded->len, &same);
        g_assert_false(same);
    }
    case_clear(&k);
}

/* Scattered to places of their own, as an upload's image wants them. */
static void test_offsets(void)
{
    Case k;
    NervRangeDecoder d;
    size_t offset[G_N_ELEMENTS(shapes)], at = 64;
    case_init(&k, &small_model, WALK, 2);
    for (size_t i = G_N_ELEMENTS(shapes); i-- > 0; at += (size_t)nerv_shape_count(shapes[i].shape) * 4 + 128)
        offset[i] = at;
    g_autofree uint8_t *image = g_malloc0(at);
    nerv_range_decode_begin(&d, k.coded->data, k.coded->len);
    g_assert_true(nerv_tensors_read(k.model, &d, image, offset, NULL, NULL));
    const float *x = k.params;
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        const size_t n = (size_t)nerv_shape_count(shapes[i].shape);
        g_assert_cmpmem(image + offset[i], n * sizeof *x, x, n * sizeof *x);
        x += n;
    }
    case_clear(&k);
}

/* --- length --- */

/* Zero-order entropy of each row's indices, in bytes. */
static double entropy_bytes(const Case *k)
{
    double bits = 0;
    const float *x = k->params;
    const uint16_t *steps = k->steps;
    for (uint32_t i = 0; i < k->model->n_params; i++) {
        const NervParam *p = &k->model->params[i];
        const int64_t n = nerv_shape_count(p->shape);
        for (int64_t r = 0; r < nerv_param_steps(p); r++) {
            int count[2 * NERV_INDEX_MAX + 1] = { 0 }, total = 0;
            for (int64_t j = 0; j < n; j++)
                if (row_of(p, j) == r) {
                    count[lrintf(x[j] / nerv_quant_step(steps[r])) + NERV_INDEX_MAX]++;
                    total++;
                }
            for (size_t v = 0; v < G_N_ELEMENTS(count); v++)
                if (count[v])
                    bits -= count[v] * log2((double)count[v] / total);
        }
        x += n;
        steps += nerv_param_steps(p);
    }
    return bits / 8;
}

/* Where neighbours say nothing, coding 1 costs its steps and its models' learning; where they do, far less than the
 * zero-order entropy. */
static void test_cost(void)
{
    static const struct {
        NervParam param;
        int kind;
        double least, most; /* times the entropy */
    } cases[] = {
        { { .name = "weight", .shape = { 40, 60, 3, 3 }, .role = NERV_PARAM_WEIGHT }, GEOMETRIC, .995, 1.03 },
        { { .name = "sparse", .shape = { 40, 60, 3, 3 }, .role = NERV_PARAM_WEIGHT }, SPARSE, .995, 1.1 },
        { { .name = "grid", .shape = { 20, 3, 18, 32 }, .role = NERV_PARAM_GRID }, GEOMETRIC, .995, 1.03 },
        { { .name = "walk", .shape = { 20, 3, 18, 32 }, .role = NERV_PARAM_GRID }, WALK, .3, .65 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        NervParam param = cases[i].param;
        NervModel model = { .params = &param, .n_params = 1 };
        Case k;
        case_init(&k, &model, cases[i].kind, i);
        const double ratio = k.coded->len / entropy_bytes(&k);
        g_test_message("%s: %u bytes, %.3f of the entropy", param.name, k.coded->len, ratio);
        g_assert_cmpfloat(ratio, >, cases[i].least);
        g_assert_cmpfloat(ratio, <, cases[i].most);
        g_assert_cmpfloat(k.coded->len, <=, k.bits / 8 * 1.01 + 32);
        case_clear(&k);
    }
}

/* Values beyond the indices' range are clipped, and a row that rounds to zeros is one. */
static void test_quantised(void)
{
    NervParam param = { .name = "grid", .shape = { 2, 2, 1, 2 }, .role = NERV_PARAM_GRID };
    NervModel model = { .params = &param, .n_params = 1, .n_weights = 8 };
    const float step = nerv_quant_step(1000);
    const float x[8] = { 5000 * step, -1e6f, .4f, -.4f, 1.5f * step, .49f * step, .3f, 0 };
    const float want[8] = { NERV_INDEX_MAX * step, -NERV_INDEX_MAX * step, 0, 0, 2 * step, 0, 0, 0 };
    const uint16_t steps[2] = { 1000, (uint16_t)nerv_quant_code(1) };
    float got[8];
    NervRangeEncoder e;
    NervRangeDecoder d;
    GByteArray *a = g_byte_array_new();
    nerv_range_encode_begin(&e, a);
    g_assert_true(nerv_tensors_write(&model, x, steps, NULL, NULL, &e, NULL));
    nerv_range_encode_end(&e);
    nerv_range_decode_begin(&d, a->data, a->len);
    g_assert_true(nerv_tensors_read(&model, &d, got, NULL, NULL, NULL));
    g_assert_cmpmem(got, sizeof got, want, sizeof want);
    g_byte_array_unref(a);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tensors/round-trip", test_round_trip);
    g_test_add_func("/tensors/truncated", test_truncated);
    g_test_add_func("/tensors/flipped", test_flipped);
    g_test_add_func("/tensors/noise", test_noise);
    g_test_add_func("/tensors/offsets", test_offsets);
    g_test_add_func("/tensors/cost", test_cost);
    g_test_add_func("/tensors/quantised", test_quantised);
    return g_test_run();
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weights as they were stored elsewhere, see stored.h. Weights' codes often lie around the one that stands for zero, which follows from minimum and
 * scale: what is coded is then the distance from it, so that rows with different ranges share one statistic. Keep the pairs write_x/read_x together.
 */
#include "codec/stored.h"

#include <math.h>
#include <string.h>

#include "codec/lattice.h"
#include "codec/range_inline.h"

#define RELEARN_COUNT 20 /* what a tensor's statistics are worth at the start of the next one */
#define FLOAT_TOP     9  /* bits of a number that are modelled: sign and exponent */
#define HALF_TOP      6
#define MOST_EXPONENT 238 /* the biased exponent of a binary32 below NERV_STORED_MAX */
#define MOST_SHIFT    31

typedef enum { NUMBER_MINIMUM, NUMBER_SCALE, NUMBER_VALUE, N_NUMBERS } Number;

/* What both sides know when a tensor begins: the probabilities of trees of bits, by node. */
typedef struct {
    NervProb code[NERV_STORED_MAX_BITS + 1][1 << NERV_STORED_MAX_BITS];
    NervProb of_float[N_NUMBERS][1 << FLOAT_TOP], of_half[N_NUMBERS][1 << HALF_TOP];
} State;

static State *state_new(void)
{
    State *s = g_try_new(State, 1);
    for (size_t i = 0; s && i < sizeof(*s) / sizeof(NervProb); i++)
        nerv_prob_init((NervProb *)(void *)s + i);
    return s;
}

static void state_begin_tensor(State *s)
{
    NervProb *p = (NervProb *)(void *)s;
    for (size_t i = 0; i < sizeof(*s) / sizeof(*p); i++)
        p[i].n = MIN(p[i].n, RELEARN_COUNT);
}

void nerv_stored_clear(NervStoredTensor *t)
{
    g_free(t->codes);
    g_free(t->minimum);
    g_free(t->scale);
    g_free(t->values);
    *t = (NervStoredTensor){ 0 };
}

/* --- shapes --- */

/* A tensor's dimensions, and how far minimum and scale go on with a step along each. */
typedef struct {
    int64_t size[4], step[4];
} Walk;

static Walk walk_of(NervShape shape, uint32_t mask)
{
    Walk w = { .size = { shape.n, shape.c, shape.h, shape.w } };
    int64_t step = 1;
    for (int i = 3; i >= 0; i--) {
        if (!(mask >> i & 1))
            continue;
        w.step[i] = step;
        step *= w.size[i];
    }
    return w;
}

/* Place of the minimum of the run of w.size[3] scalars that has this number. */
static int64_t numbers_at(const Walk *w, int64_t run)
{
    const int64_t h = run % w->size[2], c = run / w->size[2] % w->size[1], n = run / w->size[2] / w->size[1];
    return n * w->step[0] + c * w->step[1] + h * w->step[2];
}

int64_t nerv_stored_numbers(NervShape shape, uint32_t mask)
{
    const int64_t size[4] = { shape.n, shape.c, shape.h, shape.w };
    int64_t n = 1;
    for (int i = 0; i < 4; i++)
        n *= mask >> i & 1 ? size[i] : 1;
    return n;
}

/* Dimensions of 1 are not in it, and of the others one at least is not. */
static bool mask_valid(NervShape shape, uint32_t mask)
{
    const int64_t size[4] = { shape.n, shape.c, shape.h, shape.w };
    for (int i = 0; i < 4; i++)
        if (mask >> i & 1 && size[i] == 1)
            return false;
    return mask < 16 && (mask == 0 || nerv_stored_numbers(shape, mask) < nerv_shape_count(shape));
}

/* --- numbers --- */

static uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* binary16 to binary32, exact. Its exponent is not 31. */
static float half_float(uint32_t half)
{
    const float magnitude = half >> 10 & 31
                                ? ldexpf((float)((half & 1023) | 1024), (int)(half >> 10 & 31) - 25)
                                : ldexpf((float)(half & 1023), -24);
    return half >> 15 ? -magnitude : magnitude;
}

/* The binary16 that is x, or -1 if none is. */
static int32_t float_half(float x)
{
    int e;
    const uint32_t sign = float_bits(x) >> 31 << 15;
    const float m = frexpf(fabsf(x), &e); /* 0.5 <= m < 1 */
    if (m == 0.f)
        return (int32_t)sign;
    const bool subnormal = e < -13;
    const float scaled = ldexpf(m, subnormal ? e + 24 : 11);
    if (e > 16 || scaled != rintf(scaled))
        return -1;
    return (int32_t)(sign |
                     (subnormal ? (uint32_t)scaled : (uint32_t)(e + 14) << 10 | ((uint32_t)scaled & 1023)));
}

static bool number_valid(float x, bool half)
{
    return fabsf(x) < NERV_STORED_MAX && (!half || float_half(x) >= 0); /* false for a NaN */
}

static void write_tree(NervRangeEncoder *e, NervProb *tree, uint32_t value, unsigned n_bits)
{
    uint32_t node = 1;
    while (n_bits-- > 0) {
        const uint32_t bit = value >> n_bits & 1;
        nerv_range_encode(e, &tree[node], bit);
        node = node << 1 | bit;
    }
}

static inline uint32_t read_tree(NervRangeDecoder *d, NervProb *tree, unsigned n_bits)
{
    uint32_t node = 1;
    for (unsigned i = 0; i < n_bits; i++)
        node = node << 1 | nerv_range_decode_inline(d, &tree[node]);
    return node - (1u << n_bits);
}

static void write_number(State *s, NervRangeEncoder *e, Number kind, bool half, float x)
{
    if (half) {
        const uint32_t bits = (uint32_t)float_half(x);
        write_tree(e, s->of_half[kind], bits >> 10, HALF_TOP);
        nerv_range_encode_bits(e, bits & 1023, 10);
        return;
    }
    const uint32_t bits = float_bits(x);
    write_tree(e, s->of_float[kind], bits >> 23, FLOAT_TOP);
    nerv_range_encode_bits(e, bits >> 12 & 2047, 11);
    nerv_range_encode_bits(e, bits & 4095, 12);
}

static bool read_number(State *s, NervRangeDecoder *d, Number kind, bool half, float *x)
{
    if (half) {
        const uint32_t top = read_tree(d, s->of_half[kind], HALF_TOP);
        *x = half_float(top << 10 | nerv_range_decode_bits_inline(d, 10));
        return (top & 31) < 31 && (kind != NUMBER_SCALE || top < 32);
    }
    const uint32_t top = read_tree(d, s->of_float[kind], FLOAT_TOP),
                   high = nerv_range_decode_bits_inline(d, 11), low = nerv_range_decode_bits_inline(d, 12);
    *x = bits_float(top << 23 | high << 12 | low);
    return (top & 255) <= MOST_EXPONENT && (kind != NUMBER_SCALE || top < 256);
}

/* --- codes --- */

/* A magnitude as an integer times 2^(*exponent). */
static uint64_t magnitude(float x, int32_t *exponent)
{
    const uint32_t bits = float_bits(x), biased = bits >> 23 & 255;
    *exponent = (int32_t)MAX(biased, 1);
    return (bits & 0x7fffff) | (biased ? 0x800000 : 0);
}

/* The code that is nearest below zero, of those there are. */
static uint32_t zero_code(float minimum, float scale, uint32_t bits)
{
    const uint32_t most = (1u << bits) - 1;
    int32_t over, under;
    uint64_t a = magnitude(minimum, &over), b = magnitude(scale, &under);
    if (float_bits(minimum) >> 31 == 0 || b == 0 || over - under < -MOST_SHIFT)
        return 0;
    if (over - under > MOST_SHIFT)
        return most;
    a <<= MAX(over - under, 0);
    b <<= MAX(under - over, 0);
    return (uint32_t)MIN(a / b, most);
}

/* For each minimum and scale what its codes are coded as distances from: half of all codes before zero's, modulo their number, so that zero is in the middle;
 * or 0, where they are coded as they are. A new array, g_free(). NULL: no memory. */
static uint8_t *new_origins(const NervStoredTensor *t, int64_t n, bool from_zero)
{
    uint8_t *origin = g_try_malloc0((gsize)n);
    for (int64_t i = 0; origin && from_zero && i < n; i++)
        origin[i] = (uint8_t)(zero_code(t->minimum[i], t->scale[i], t->bits) - (1u << (t->bits - 1)));
    return origin;
}

static inline uint32_t modulo(uint32_t code, uint32_t bits)
{
    return code & ((1u << bits) - 1);
}

/* --- writing --- */

static bool check_codes(const NervStoredTensor *t, int64_t n, int64_t n_numbers, const char **why)
{
    for (int64_t i = 0; i < n; i++)
        if (t->codes[i] >> t->bits) {
            *why = "a code has more bits than there are";
            return false;
        }
    for (int64_t i = 0; i < n_numbers; i++)
        if (!number_valid(t->minimum[i], t->half) || !number_valid(t->scale[i], t->half) ||
            float_bits(t->scale[i]) >> 31) {
            *why = "a minimum or scale is not finite, not of its format, or a scale is negative";
            return false;
        }
    return true;
}

bool nerv_stored_check(const NervParam *param, const NervStoredTensor *t, GError **error)
{
    const int64_t n = nerv_shape_count(param->shape);
    const char *why = NULL;
    if (t->bits > NERV_STORED_MAX_BITS)
        why = "codes have 1 to 8 bits";
    else if (t->bits == 0)
        for (int64_t i = 0; i < n && !why; i++)
            why = number_valid(t->values[i], t->half) ? NULL : "a value is not finite, or not of its format";
    else if (!mask_valid(param->shape, t->mask))
        why = "minimum and scale vary along a dimension of 1, or along all of them";
    else
        check_codes(t, n, nerv_stored_numbers(param->shape, t->mask), &why);
    if (why)
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "tensor %s: %s", param->name, why);
    return !why && (t->bits || !t->scale || nerv_lattice_check(param, t, error));
}

/* With `e` NULL they are counted instead. */
static void write_codes(State *s, NervRangeEncoder *e, NervShape shape, const NervStoredTensor *t,
                        const uint8_t *origin, uint32_t *count)
{
    const Walk w = walk_of(shape, t->mask);
    const int64_t runs = nerv_shape_count(shape) / shape.w;
    const uint8_t *code = t->codes;
    for (int64_t run = 0; run < runs; run++) {
        int64_t at = numbers_at(&w, run);
        for (int32_t i = 0; i < shape.w; i++, at += w.step[3]) {
            const uint32_t symbol = modulo(*code++ - origin[at], t->bits);
            if (e)
                write_tree(e, s->code[t->bits], symbol, t->bits);
            else
                count[symbol]++;
        }
    }
}

/* Bits that the codes' distances take by their own statistic. */
static double entropy(NervShape shape, const NervStoredTensor *t, const uint8_t *origin)
{
    uint32_t count[1 << NERV_STORED_MAX_BITS] = { 0 };
    double bits = 0;
    write_codes(NULL, NULL, shape, t, origin, count);
    for (size_t i = 0; i < G_N_ELEMENTS(count); i++)
        bits -= count[i] ? count[i] * log2((double)count[i] / (double)nerv_shape_count(shape)) : 0;
    return bits;
}

static bool no_memory(GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights of a tensor");
    return false;
}

static bool write_tensor(State *s, NervRangeEncoder *e, NervShape shape, const NervStoredTensor *t,
                         GError **error)
{
    nerv_range_encode_bits(e, t->bits, 4);
    nerv_range_encode_bits(e, t->half, 1);
    if (t->bits == 0) {
        for (int64_t i = 0; i < nerv_shape_count(shape); i++)
            write_number(s, e, NUMBER_VALUE, t->half, t->values[i]);
        return true;
    }
    const int64_t n = nerv_stored_numbers(shape, t->mask);
    nerv_range_encode_bits(e, t->mask, 4);
    for (int64_t i = 0; i < n; i++)
        write_number(s, e, NUMBER_MINIMUM, t->half, t->minimum[i]);
    for (int64_t i = 0; i < n; i++)
        write_number(s, e, NUMBER_SCALE, t->half, t->scale[i]);
    g_autofree uint8_t *plain = new_origins(t, n, false), *around = new_origins(t, n, true);
    if (!plain || !around)
        return no_memory(error);
    const bool from_zero = entropy(shape, t, around) < entropy(shape, t, plain);
    nerv_range_encode_bits(e, from_zero, 1);
    write_codes(s, e, shape, t, from_zero ? around : plain, NULL);
    return true;
}

bool nerv_stored_write(const NervModel *model, const NervStoredTensor *tensors, NervRangeEncoder *e,
                       GError **error)
{
    g_autofree State *s = state_new();
    if (!s)
        return no_memory(error);
    for (uint32_t i = 0; i < model->n_params; i++) {
        state_begin_tensor(s);
        if (!write_tensor(s, e, model->params[i].shape, &tensors[i], error))
            return false;
    }
    return true;
}

/* --- reading --- */

static inline float value_of(float minimum, float scale, uint32_t code)
{
    const float product = scale * (float)code;
    return minimum + product;
}

void nerv_stored_values(NervShape shape, const NervStoredTensor *t, float *dst)
{
    const Walk w = walk_of(shape, t->mask);
    const int64_t n = nerv_shape_count(shape);
    const uint8_t *code = t->codes;
    if (t->bits == 0) {
        memcpy(dst, t->values, (size_t)n * sizeof(*dst));
        return;
    }
    for (int64_t run = 0; run < n / shape.w; run++) {
        int64_t at = numbers_at(&w, run);
        for (int32_t i = 0; i < shape.w; i++, at += w.step[3])
            *dst++ = value_of(t->minimum[at], t->scale[at], *code++);
    }
}

/* codes: NULL, or where they go. */
static void read_codes(State *s, NervRangeDecoder *decoder, NervShape shape, const NervStoredTensor *t,
                       const uint8_t *origin, float *dst, uint8_t *codes)
{
    const Walk w = walk_of(shape, t->mask);
    const int64_t runs = nerv_shape_count(shape) / shape.w;
    NervProb *tree = s->code[t->bits];
    NervRangeDecoder d = *decoder; /* in registers */
    for (int64_t run = 0; run < runs; run++) {
        int64_t at = numbers_at(&w, run);
        for (int32_t i = 0; i < shape.w; i++, at += w.step[3]) {
            const uint32_t code = modulo(read_tree(&d, tree, t->bits) + origin[at], t->bits);
            *dst++ = value_of(t->minimum[at], t->scale[at], code);
            if (codes)
                *codes++ = (uint8_t)code;
        }
    }
    *decoder = d;
}

static bool read_numbers(State *s, NervRangeDecoder *d, Number kind, bool half, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!read_number(s, d, kind, half, &x[i]))
            return false;
    return !nerv_range_decode_overrun(d);
}

/* What is behind the format; t->minimum and t->scale are the caller's to free. */
static bool read_coded(State *s, NervRangeDecoder *d, NervShape shape, NervStoredTensor *t, float *dst,
                       bool keep, GError **error)
{
    t->mask = nerv_range_decode_bits(d, 4);
    if (!mask_valid(shape, t->mask))
        return false;
    const int64_t n = nerv_stored_numbers(shape, t->mask); /* at most half of the values, or one */
    t->minimum = g_try_new(float, (gsize)n);
    t->scale = g_try_new(float, (gsize)n);
    t->codes = keep ? g_try_malloc((gsize)nerv_shape_count(shape)) : NULL;
    if (!t->minimum || !t->scale || (keep && !t->codes))
        return no_memory(error);
    if (!read_numbers(s, d, NUMBER_MINIMUM, t->half, t->minimum, n) ||
        !read_numbers(s, d, NUMBER_SCALE, t->half, t->scale, n))
        return false;
    g_autofree uint8_t *origin = new_origins(t, n, nerv_range_decode_bits(d, 1));
    if (!origin)
        return no_memory(error);
    read_codes(s, d, shape, t, origin, dst, t->codes);
    return !nerv_range_decode_overrun(d);
}

static bool read_tensor(State *s, NervRangeDecoder *d, NervShape shape, NervStoredTensor *t, float *dst,
                        bool keep, GError **error)
{
    const int64_t n = nerv_shape_count(shape);
    t->bits = nerv_range_decode_bits(d, 4);
    t->half = nerv_range_decode_bits(d, 1);
    if (t->bits > NERV_STORED_MAX_BITS)
        return false;
    if (t->bits)
        return read_coded(s, d, shape, t, dst, keep, error);
    if (!read_numbers(s, d, NUMBER_VALUE, t->half, dst, n))
        return false;
    if (keep && !(t->values = g_try_new(float, (gsize)n)))
        return no_memory(error);
    if (keep)
        memcpy(t->values, dst, (size_t)n * sizeof(*dst));
    return true;
}

bool nerv_stored_read(const NervModel *model, NervRangeDecoder *d, void *dst, const size_t *offset,
                      NervStoredTensor *tensors, GError **error)
{
    g_autofree State *s = state_new();
    float *x = dst;
    if (!s)
        return no_memory(error);
    for (uint32_t i = 0; i < model->n_params; i++) {
        NervStoredTensor own = { 0 };
        const NervShape shape = model->params[i].shape;
        if (offset)
            x = (float *)(void *)((uint8_t *)dst + offset[i]);
        state_begin_tensor(s);
        const bool ok = read_tensor(s, d, shape, tensors ? &tensors[i] : &own, x, tensors != NULL, error);
        nerv_stored_clear(&own);
        if (!ok)
            return false;
        x += nerv_shape_count(shape);
    }
    return true;
}

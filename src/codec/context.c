/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Models and syntax of coding 1, see context.h and docs/bitstream.md, section "Coding 1". Keep the pairs write_x/read_x
 * together.
 */
#include "codec/context.h"

#include <string.h>

#include "codec/quant.h"
#include "codec/range_inline.h"

#define RELEARN_COUNT 20 /* what the models of indices are worth at the start of the next tensor */
#define STEP_CLASS    11 /* differences of step codes are below 2^11 */
#define WEIGHT_CLASS  7
#define ERROR_BITS    6
#define ALWAYS_INLINE inline __attribute__((always_inline))

static void init_all(NervProb *prob, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof *prob; i++)
        nerv_prob_init(&prob[i]);
}

void nerv_context_init(NervContext *c)
{
    init_all(&c->zero[0][0][0], sizeof c->zero);
    init_all(&c->sign[0][0][0], sizeof c->sign);
    init_all(&c->more[0][0], sizeof c->more);
    init_all(&c->mantissa[0][0][0], sizeof c->mantissa);
    init_all(c->zero_row, sizeof c->zero_row);
    nerv_symbol_init(&c->first_step);
    nerv_symbol_init(&c->weights);
    for (size_t i = 0; i < G_N_ELEMENTS(c->steps); i++)
        nerv_symbol_init(&c->steps[i]);
    c->step_mean = NERV_STEP_MIDDLE * 16;
}

static void limit(NervProb *prob, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof *prob; i++)
        prob[i].n = (uint16_t)MIN(prob[i].n, RELEARN_COUNT);
}

void nerv_context_begin_tensor(NervContext *c)
{
    limit(&c->zero[0][0][0], sizeof c->zero);
    limit(&c->sign[0][0][0], sizeof c->sign);
    limit(&c->more[0][0], sizeof c->more);
    limit(&c->mantissa[0][0][0], sizeof c->mantissa);
}

NervPrediction nerv_prediction_plain(void)
{
    return (NervPrediction){ .mode = NERV_PREDICT_PLAIN, .errors = { 2, 2, 1, 2, 1, 6, 2, 18 } };
}

/* --- steps --- */

/* The widest distance that separates all codes. */
static unsigned step_shift(const uint16_t *codes, int64_t n)
{
    uint32_t differences = 0;
    uint16_t first = 0;
    for (int64_t i = 0; i < n; i++) {
        first = first ? first : codes[i];
        differences |= codes[i] ? (uint32_t)(codes[i] ^ first) : 0;
    }
    return MIN(differences ? (unsigned)__builtin_ctz(differences) : 0, NERV_STEP_SHIFTS - 1);
}

/* The code expected next; once there is one, among those that are a multiple of 2^shift from it. */
static int32_t expected_step(const NervContext *c, uint32_t first, unsigned shift)
{
    const uint32_t x = (c->step_mean + 8) / 16, unit = 1u << shift;
    return (int32_t)x - (first ? (int32_t)((x - first + unit / 2) & (unit - 1)) - (int32_t)(unit / 2) : 0);
}

static void learn_step(NervContext *c, uint32_t code, bool first)
{
    c->step_mean = first ? code * 16 : (c->step_mean * 7 + code * 16 + 4) / 8;
}

void nerv_context_write_steps(NervContext *c, NervRangeEncoder *e, const uint16_t *codes, int64_t n)
{
    const unsigned shift = step_shift(codes, n);
    uint32_t first = 0, zero = 0;
    nerv_range_encode_bits(e, shift, 3);
    for (int64_t i = 0; i < n; i++) {
        nerv_range_encode(e, &c->zero_row[zero], codes[i] == 0);
        zero = codes[i] == 0;
        if (zero)
            continue;
        const int32_t difference = codes[i] - expected_step(c, first, shift);
        if (first)
            nerv_symbol_encode(e, &c->steps[shift], STEP_CLASS, difference >> shift);
        else
            nerv_symbol_encode(e, &c->first_step, STEP_CLASS, difference);
        learn_step(c, codes[i], !first);
        first = first ? first : codes[i];
    }
}

bool nerv_context_read_steps(NervContext *c, NervRangeDecoder *d, uint16_t *codes, int64_t n)
{
    const unsigned shift = nerv_range_decode_bits(d, 3);
    uint32_t first = 0, zero = 0;
    if (shift >= NERV_STEP_SHIFTS)
        return false;
    for (int64_t i = 0; i < n; i++) {
        codes[i] = 0;
        zero = nerv_range_decode(d, &c->zero_row[zero]);
        if (zero)
            continue;
        int32_t code = expected_step(c, first, shift);
        if (first)
            code += nerv_symbol_decode(d, &c->steps[shift], STEP_CLASS) * (1 << shift);
        else
            code += nerv_symbol_decode(d, &c->first_step, STEP_CLASS);
        if (code < 1 || code >= NERV_STEP_CODES || nerv_range_decode_overrun(d))
            return false;
        codes[i] = (uint16_t)code;
        learn_step(c, codes[i], !first);
        first = first ? first : codes[i];
    }
    return !nerv_range_decode_overrun(d);
}

/* --- prediction --- */

void nerv_context_write_prediction(NervContext *c, NervRangeEncoder *e, const NervPrediction *p)
{
    nerv_range_encode_bits(e, p->mode, 2);
    if (p->mode == NERV_PREDICT_PLAIN)
        return;
    for (int i = 0; i < NERV_NEAR_ERRORS; i++)
        nerv_range_encode_bits(e, p->errors[i], ERROR_BITS);
    for (int set = 0; set < (int)p->mode - 1; set++)
        for (int i = 0; i < NERV_NEAR_VALUES; i++)
            nerv_symbol_encode(e, &c->weights, WEIGHT_CLASS, p->values[set][i]);
}

bool nerv_context_read_prediction(NervContext *c, NervRangeDecoder *d, NervPrediction *p)
{
    *p = nerv_prediction_plain();
    p->mode = nerv_range_decode_bits(d, 2);
    if (p->mode == NERV_PREDICT_PLAIN)
        return !nerv_range_decode_overrun(d);
    for (int i = 0; i < NERV_NEAR_ERRORS; i++)
        p->errors[i] = (uint8_t)nerv_range_decode_bits(d, ERROR_BITS);
    for (int set = 0; set < (int)p->mode - 1; set++)
        for (int i = 0; i < NERV_NEAR_VALUES; i++)
            p->values[set][i] = (int8_t)nerv_symbol_decode(d, &c->weights, WEIGHT_CLASS);
    if (p->mode == NERV_PREDICT_ONE)
        memcpy(p->values[1], p->values[0], sizeof p->values[0]);
    return !nerv_range_decode_overrun(d);
}

/* --- indices --- */

/* What is known of an index before it is coded. */
typedef struct {
    int32_t prediction;
    NervProb *zero, *sign, *more, (*mantissa)[3];
    bool mirrored; /* the nearer neighbour of the prediction is the lower one: signs are seen from there */
} Expectation;

/* Coefficients of the neighbours in the same plane, and what all cells of it share. Copies: what is written to bytes' arrays would
 * otherwise be read again for each cell. */
typedef struct {
    size_t up;
    int32_t left_error, up_error, corner_error, row_error;
    int32_t left[2], above[2], above_left[2], above_right[2];
    const int32_t *far_errors, *far_values[2];
} Near;

static Near near_of(const NervField *f, const NervPrediction *p)
{
    const unsigned second = p->mode == NERV_PREDICT_TWO;
    Near near = { .up = f->stride,
                  .left_error = p->errors[0],
                  .up_error = p->errors[1],
                  .corner_error = p->errors[2],
                  .row_error = p->errors[7],
                  .far_errors = f->far_errors };
    for (unsigned set = 0; set < 2; set++) {
        near.left[set] = p->values[set][0];
        near.above[set] = p->values[set][1];
        near.above_left[set] = p->values[set][2];
        near.above_right[set] = p->values[set][3];
        near.far_values[set] = f->far_values[set & second];
    }
    return near;
}

static void sum_far_errors(const NervField *f, const uint8_t *coefficients, size_t n)
{
    const int16_t *restrict before = f->error[1] + f->first_cell, *restrict mean =
                                                                      f->mean_error + f->first_cell;
    const int16_t *restrict beside = f->beside_error + (f->first_cell - f->beside);
    const int16_t e3 = coefficients[3], e4 = coefficients[4], e5 = coefficients[5], e6 = coefficients[6];
    int32_t *restrict out = f->far_errors;
    const size_t up = f->stride;
    for (size_t i = 0; i < n; i += NERV_FIELD_LANES)
        for (size_t j = i; j < i + NERV_FIELD_LANES; j++)
            out[j] =
                e3 * before[j] + e4 * ((before[j + 1] + before[j + up]) >> 1) + e5 * mean[j] + e6 * beside[j];
}

static void sum_far_values(const NervField *f, const int8_t *coefficients, size_t n, int32_t *restrict out)
{
    const int16_t *restrict before = f->value[1] + f->first_cell, *restrict mean =
                                                                      f->mean_value + f->first_cell;
    const int16_t *restrict earlier = f->value[2] + f->first_cell;
    const int16_t *restrict beside = f->beside_value + (f->first_cell - f->beside);
    const size_t up = f->stride;
    const int16_t *restrict left = before - 1, *restrict above = before - up;
    int16_t w[NERV_NEAR_VALUES];
    for (int i = 0; i < NERV_NEAR_VALUES; i++)
        w[i] = coefficients[i];
    for (size_t i = 0; i < n; i += NERV_FIELD_LANES)
        for (size_t j = i; j < i + NERV_FIELD_LANES; j++)
            out[j] = 8 * (w[4] * before[j] + w[5] * left[j] + w[6] * before[j + 1] + w[7] * above[j] +
                          w[8] * before[j + up] + w[9] * earlier[j] + w[11] * beside[j]) +
                     w[10] * mean[j];
}

/* All that is known of a plane before its first cell. */
static void begin_plane(const NervField *f, const NervPrediction *p)
{
    const size_t n = (size_t)(f->height - 1) * f->stride + (size_t)f->width;
    sum_far_errors(f, p->errors, n);
    for (unsigned set = 0; set + NERV_PREDICT_ONE <= p->mode; set++)
        sum_far_values(f, p->values[set], n, f->far_values[set]);
}

/* A tensor's form, which is a constant in the reader's loops. */
typedef struct {
    bool predicts, flat; /* flat: a single line, nothing is above */
} Form;

static Form form_of(const NervField *f, const NervPrediction *p)
{
    return (Form){ p->mode >= NERV_PREDICT_ONE, f->height == 1 };
}

/* Of the cell that is number i of its plane; the sums are those of nerv_expected_error() and nerv_predict(). */
static ALWAYS_INLINE Expectation expect(NervContext *c, const NervField *f, const Near *near, Form form,
                                        size_t i)
{
    const size_t cell = f->first_cell + i;
    const int16_t *error_here = f->error[0] + cell;
    int32_t error =
        near->far_errors[i] + near->left_error * error_here[-1] + near->row_error * (f->mean >> 6);
    if (!form.flat) {
        const int16_t *above = error_here - near->up;
        error += near->up_error * above[0] + near->corner_error * ((above[-1] + above[1]) >> 1);
    }
    error *= 2;
    const uint32_t e = (uint32_t)MAX(error, 64);
    const unsigned octave = 31 - (unsigned)__builtin_clz(e);
    const unsigned level = MIN(2 * (octave - 6) + (e >> (octave - 1) & 1), NERV_CONTEXT_LEVELS - 1);
    Expectation x = { .more = c->more[level], .mantissa = c->mantissa[level] };
    if (!form.predicts) {
        x.zero = &c->zero[level][0][0];
        x.sign = &c->sign[level][0][0];
        return x;
    }
    const unsigned set = nerv_prediction_set(error);
    const int16_t *here = f->value[0] + cell;
    int32_t sum = near->left[set] * here[-1];
    if (!form.flat) {
        const int16_t *above = here - near->up;
        sum += near->above[set] * above[0] + near->above_left[set] * above[-1] +
               near->above_right[set] * above[1];
    }
    const int32_t v = CLAMP(near->far_values[set][i] + 8 * sum, -NERV_INDEX_MAX * 512, NERV_INDEX_MAX * 512);
    x.prediction = (v + 256) >> 9;
    const int32_t phase = v - x.prediction * 512;
    x.mirrored = phase < 0 || (phase == 0 && x.prediction < 0);
    const unsigned third = ((unsigned)ABS(phase) * 3) >> 8, k = MIN(third, NERV_CONTEXT_PHASES - 1);
    x.zero = &c->zero[level][k][x.prediction != 0];
    x.sign = &c->sign[level][k][x.prediction != 0];
    return x;
}

static inline void write_residual(NervRangeEncoder *e, const Expectation *x, int32_t v)
{
    nerv_range_encode(e, x->zero, v != 0);
    if (v == 0)
        return;
    nerv_range_encode(e, x->sign, (v < 0) != x->mirrored);
    const uint32_t magnitude = (uint32_t)ABS(v);
    const unsigned klass = 32 - (unsigned)__builtin_clz(magnitude);
    for (unsigned i = 1; i <= klass && i < NERV_CONTEXT_CLASSES; i++)
        nerv_range_encode(e, &x->more[i], i < klass);
    unsigned rest = klass - 1, seen = 0;
    for (int i = 0; i < 2 && rest > 0; i++) {
        const uint32_t bit = magnitude >> --rest & 1;
        nerv_range_encode(e, &x->mantissa[klass][seen], bit);
        seen = 1 + bit;
    }
    if (rest > 0)
        nerv_range_encode_bits(e, magnitude & ((1u << rest) - 1), rest);
}

static inline int32_t read_residual(NervRangeDecoder *d, const Expectation *x)
{
    if (!nerv_range_decode_inline(d, x->zero))
        return 0;
    const bool negative = nerv_range_decode_inline(d, x->sign) != x->mirrored;
    unsigned klass = 1;
    while (klass < NERV_CONTEXT_CLASSES && nerv_range_decode_inline(d, &x->more[klass]))
        klass++;
    unsigned rest = klass - 1, seen = 0;
    uint32_t magnitude = 1;
    for (int i = 0; i < 2 && rest > 0; i++, rest--) {
        const uint32_t bit = nerv_range_decode_inline(d, &x->mantissa[klass][seen]);
        magnitude = magnitude << 1 | bit;
        seen = 1 + bit;
    }
    if (rest > 0)
        magnitude = magnitude << rest | nerv_range_decode_bits_inline(d, rest);
    return negative ? -(int32_t)magnitude : (int32_t)magnitude;
}

void nerv_context_write_indices(NervContext *c, NervRangeEncoder *e, NervField *f, const uint16_t *codes,
                                const NervPrediction *p, const int16_t *index)
{
    const Near near = near_of(f, p);
    const Form form = form_of(f, p);
    nerv_field_begin(f);
    while (nerv_field_next(f, codes)) {
        const int16_t *v = index + f->first_scalar;
        begin_plane(f, p);
        for (int64_t y = 0; y < f->height && !nerv_field_cancelled(f); y++)
            for (int64_t x = 0; x < f->width; x++, v++) {
                const size_t i = (size_t)y * f->stride + (size_t)x;
                const Expectation expected = expect(c, f, &near, form, i);
                write_residual(e, &expected, *v - expected.prediction);
                nerv_field_put(f, f->first_cell + i, *v, expected.prediction);
            }
    }
}

static ALWAYS_INLINE bool read_plane(NervContext *c, NervRangeDecoder *d, NervField *f, const Near *near,
                                     Form form, float step, float *to)
{
    for (int64_t y = 0; y < f->height; y++) {
        for (int64_t x = 0; x < f->width; x++, to++) {
            const size_t i = (size_t)y * f->stride + (size_t)x;
            const Expectation expected = expect(c, f, near, form, i);
            const int32_t v = expected.prediction + read_residual(d, &expected);
            if (ABS(v) > NERV_INDEX_MAX)
                return false;
            nerv_field_put(f, f->first_cell + i, v, expected.prediction);
            *to = (float)v * step;
        }
        if (nerv_range_decode_overrun(d))
            return false;
    }
    return true;
}

static ALWAYS_INLINE bool read_planes(NervContext *c, NervRangeDecoder *d, NervField *f,
                                      const uint16_t *codes, const NervPrediction *p, Form form, float *out)
{
    NervRangeDecoder local = *d; /* in registers */
    const Near near = near_of(f, p);
    while (nerv_field_next(f, codes)) {
        begin_plane(f, p);
        if (!read_plane(c, &local, f, &near, form, nerv_quant_step(codes[f->row]), out + f->first_scalar))
            return false;
    }
    *d = local;
    return true;
}

bool nerv_context_read_values(NervContext *c, NervRangeDecoder *d, NervField *f, const uint16_t *codes,
                              const NervPrediction *p, float *out)
{
    const Form form = form_of(f, p);
    memset(out, 0, (size_t)(f->n_slabs * f->n_planes * f->height * f->width) * sizeof *out);
    nerv_field_begin(f);
    if (form.predicts)
        return form.flat ? read_planes(c, d, f, codes, p, (Form){ true, true }, out)
                         : read_planes(c, d, f, codes, p, (Form){ true, false }, out);
    return form.flat ? read_planes(c, d, f, codes, p, (Form){ false, true }, out)
                     : read_planes(c, d, f, codes, p, (Form){ false, false }, out);
}

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

static inline Expectation expect(NervContext *c, const NervField *f, const NervPrediction *p, size_t cell)
{
    int32_t near[MAX(NERV_NEAR_VALUES, NERV_NEAR_ERRORS)];
    nerv_field_errors(f, cell, near);
    const int32_t error = nerv_expected_error(p, near);
    const uint32_t e = (uint32_t)MAX(error, 64);
    const unsigned octave = 31 - (unsigned)__builtin_clz(e);
    const unsigned level = MIN(2 * (octave - 6) + (e >> (octave - 1) & 1), NERV_CONTEXT_LEVELS - 1);
    Expectation x = { .more = c->more[level], .mantissa = c->mantissa[level] };
    int32_t phase = 0;
    if (p->mode >= NERV_PREDICT_ONE) {
        nerv_field_values(f, cell, near);
        const int32_t v = nerv_predict(p, nerv_prediction_set(error), near);
        x.prediction = (v + 256) >> 9;
        phase = v - x.prediction * 512;
        x.mirrored = phase < 0 || (phase == 0 && x.prediction < 0);
    }
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
    nerv_field_begin(f);
    while (nerv_field_next(f, codes)) {
        const int16_t *v = index + f->first_scalar;
        for (int64_t y = 0; y < f->height && !nerv_field_cancelled(f); y++)
            for (int64_t x = 0; x < f->width; x++, v++) {
                const size_t cell = f->first_cell + (size_t)y * f->stride + (size_t)x;
                const Expectation expected = expect(c, f, p, cell);
                write_residual(e, &expected, *v - expected.prediction);
                nerv_field_put(f, cell, *v, expected.prediction);
            }
    }
}

bool nerv_context_read_values(NervContext *c, NervRangeDecoder *d, NervField *f, const uint16_t *codes,
                              const NervPrediction *p, float *out)
{
    NervRangeDecoder local = *d; /* in registers */
    memset(out, 0, (size_t)(f->n_slabs * f->n_planes * f->height * f->width) * sizeof *out);
    nerv_field_begin(f);
    while (nerv_field_next(f, codes)) {
        float *to = out + f->first_scalar;
        const float step = nerv_quant_step(codes[f->row]);
        for (int64_t y = 0; y < f->height; y++) {
            for (int64_t x = 0; x < f->width; x++, to++) {
                const size_t cell = f->first_cell + (size_t)y * f->stride + (size_t)x;
                const Expectation expected = expect(c, f, p, cell);
                const int32_t v = expected.prediction + read_residual(&local, &expected);
                if (ABS(v) > NERV_INDEX_MAX)
                    return false;
                nerv_field_put(f, cell, v, expected.prediction);
                *to = (float)v * step;
            }
            if (nerv_range_decode_overrun(&local))
                return false;
        }
    }
    *d = local;
    return true;
}

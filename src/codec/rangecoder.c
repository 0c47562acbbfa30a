/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Range coder, see rangecoder.h and docs/bitstream.md, section "Range coder". The interval [low, low + range)
 * of 32 bits is kept at 2^24 or wider by moving whole bytes out; a carry is added to the bytes already
 * written.
 */
#include "codec/range_inline.h"

#include <math.h>

#define LEAST_ODDS 0x1p-960 /* and a symbol's, at least 2^-16, remain numbers of full precision */

/* --- probabilities --- */

/* floor(65536 / (n + 2)) for n = 0..NERV_PROB_MAX_COUNT */
#define R1(n)  (65536 / ((n) + 2))
#define R4(n)  R1(n), R1((n) + 1), R1((n) + 2), R1((n) + 3)
#define R16(n) R4(n), R4((n) + 4), R4((n) + 8), R4((n) + 12)
#define R64(n) R16(n), R16((n) + 16), R16((n) + 32), R16((n) + 48)
const uint16_t nerv_prob_rate[256] = { R64(0), R64(64), R64(128), R64(192) };

void nerv_prob_init(NervProb *prob)
{
    *prob = (NervProb){ .p = 1u << 15, .n = 0 };
}

/* --- bits --- */

void nerv_range_encode_begin(NervRangeEncoder *e, GByteArray *out)
{
    *e = (NervRangeEncoder){ .out = out, .start = out->len, .low = 0, .range = UINT32_MAX };
}

void nerv_range_count_begin(NervRangeEncoder *e)
{
    *e = (NervRangeEncoder){ .range = UINT32_MAX, .odds = 1. };
}

double nerv_range_counted(const NervRangeEncoder *e)
{
    return e->bits - log2(e->odds);
}

/* One logarithm for many symbols. */
static void count(NervRangeEncoder *e, uint32_t p)
{
    e->odds *= (double)p * 0x1p-16;
    if (e->odds > LEAST_ODDS)
        return;
    e->bits -= log2(e->odds);
    e->odds = 1.;
}

static void add_low(NervRangeEncoder *e, uint32_t x)
{
    e->low += x;
    if (e->low >= x)
        return;
    /* The number written so far is below 1, so the carry ends within the written bytes. */
    for (guint i = e->out->len; i > e->start;)
        if (++e->out->data[--i] != 0)
            break;
}

static void shift_out(NervRangeEncoder *e)
{
    const uint8_t b = (uint8_t)(e->low >> 24);
    g_byte_array_append(e->out, &b, 1);
    e->low <<= 8;
    e->range <<= 8;
}

void nerv_range_encode(NervRangeEncoder *e, NervProb *prob, uint32_t bit)
{
    if (!e->out) {
        count(e, bit ? 65536 - prob->p : prob->p);
        nerv_prob_adapt(prob, bit);
        return;
    }
    const uint32_t bound = (uint32_t)((uint64_t)e->range * prob->p >> 16);
    if (bit) {
        add_low(e, bound);
        e->range -= bound;
    } else {
        e->range = bound;
    }
    nerv_prob_adapt(prob, bit);
    while (e->range < NERV_RANGE_MIN)
        shift_out(e);
}

void nerv_range_encode_bits(NervRangeEncoder *e, uint32_t value, unsigned n)
{
    if (!e->out) {
        e->bits += n;
        return;
    }
    e->range >>= n;
    add_low(e, e->range * value);
    while (e->range < NERV_RANGE_MIN)
        shift_out(e);
}

void nerv_range_encode_end(NervRangeEncoder *e)
{
    /* A multiple of 2^24 lies in the interval, as that is at least so wide. */
    const uint32_t up = (NERV_RANGE_MIN - (e->low & (NERV_RANGE_MIN - 1))) & (NERV_RANGE_MIN - 1);
    add_low(e, up);
    shift_out(e);
}

void nerv_range_decode_begin(NervRangeDecoder *d, const void *data, size_t size)
{
    *d = (NervRangeDecoder){ .data = data, .size = size, .range = UINT32_MAX };
    for (; d->pos < 4; d->pos++)
        d->code = d->code << 8 | (d->pos < size ? d->data[d->pos] : 0);
}

uint32_t nerv_range_decode(NervRangeDecoder *d, NervProb *prob)
{
    return nerv_range_decode_inline(d, prob);
}

uint32_t nerv_range_decode_bits(NervRangeDecoder *d, unsigned n)
{
    return nerv_range_decode_bits_inline(d, n);
}

bool nerv_range_decode_overrun(const NervRangeDecoder *d)
{
    /* The encoder writes one byte where the decoder looks at four. */
    return d->pos > d->size + 3;
}

/* --- signed integers --- */

void nerv_symbol_init(NervSymbolModel *m)
{
    for (size_t i = 0; i < G_N_ELEMENTS(m->klass); i++)
        nerv_prob_init(&m->klass[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(m->mantissa); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(m->mantissa[0]); j++)
            nerv_prob_init(&m->mantissa[i][j]);
}

void nerv_symbol_relearn(NervSymbolModel *m, unsigned n)
{
    for (size_t i = 0; i < G_N_ELEMENTS(m->klass); i++)
        m->klass[i].n = (uint16_t)MIN(m->klass[i].n, n);
    for (size_t i = 0; i < G_N_ELEMENTS(m->mantissa); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(m->mantissa[0]); j++)
            m->mantissa[i][j].n = (uint16_t)MIN(m->mantissa[i][j].n, n);
}

/* Number of bits of v: 0 for 0. */
static inline unsigned bit_length(uint32_t v)
{
    return v ? 32 - (unsigned)__builtin_clz(v) : 0;
}

void nerv_symbol_encode(NervRangeEncoder *e, NervSymbolModel *m, unsigned max_class, int32_t v)
{
    const uint32_t magnitude = (uint32_t)ABS(v);
    const unsigned klass = bit_length(magnitude);
    uint32_t node = 1;
    for (unsigned i = bit_length(max_class); i-- > 0;) {
        const uint32_t bit = klass >> i & 1;
        nerv_range_encode(e, &m->klass[node], bit);
        node = node << 1 | bit;
    }
    if (klass == 0)
        return;
    unsigned rest = klass - 1; /* bits after the leading one that are still to come */
    uint32_t ctx = 0;
    for (int i = 0; i < 2 && rest > 0; i++) {
        const uint32_t bit = magnitude >> --rest & 1;
        nerv_range_encode(e, &m->mantissa[klass][ctx], bit);
        ctx = 1 + bit;
    }
    nerv_range_encode_bits(e, (v < 0 ? 1u << rest : 0) | (magnitude & ((1u << rest) - 1)), rest + 1);
}

int32_t nerv_symbol_decode(NervRangeDecoder *decoder, NervSymbolModel *m, unsigned max_class)
{
    NervRangeDecoder d = *decoder; /* in registers */
    uint32_t node = 1;
    const unsigned depth = bit_length(max_class);
    for (unsigned i = 0; i < depth; i++)
        node = node << 1 | nerv_range_decode_inline(&d, &m->klass[node]);
    const unsigned klass = MIN(node - (1u << depth), max_class);
    if (klass == 0) {
        *decoder = d;
        return 0;
    }
    unsigned rest = klass - 1;
    uint32_t magnitude = 1, ctx = 0;
    for (int i = 0; i < 2 && rest > 0; i++, rest--) {
        const uint32_t bit = nerv_range_decode_inline(&d, &m->mantissa[klass][ctx]);
        magnitude = magnitude << 1 | bit;
        ctx = 1 + bit;
    }
    const uint32_t tail = nerv_range_decode_bits_inline(&d, rest + 1);
    magnitude = magnitude << rest | (tail & ((1u << rest) - 1));
    *decoder = d;
    return tail >> rest ? -(int32_t)magnitude : (int32_t)magnitude;
}

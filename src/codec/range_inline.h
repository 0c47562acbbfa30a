/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The range decoder's inner steps, for loops that keep a decoder in registers: rangecoder.c and context.c. They are the same functions
 * as in rangecoder.h, without a call.
 */
#pragma once

#include "codec/rangecoder.h"

#define NERV_RANGE_MIN (1u << 24)

/* floor(65536 / (n + 2)) for n = 0..NERV_PROB_MAX_COUNT */
extern const uint16_t nerv_prob_rate[256];

static inline void nerv_prob_adapt(NervProb *prob, uint32_t bit)
{
    const uint32_t p = prob->p, rate = nerv_prob_rate[prob->n];
    /* Written without a branch on the bit, which is random: it costs a misprediction every other time. */
    const uint32_t ones = 0u - bit;
    const uint32_t error = (p & ones) | ((65536 - p) & ~ones);
    const uint32_t step = (error * rate) >> 16;
    prob->p = (uint16_t)(p + ((step ^ ones) + bit));
    prob->n += prob->n < NERV_PROB_MAX_COUNT;
}

static inline void nerv_range_refill(NervRangeDecoder *d)
{
    while (d->range < NERV_RANGE_MIN) {
        d->code = d->code << 8 | (d->pos < d->size ? d->data[d->pos] : 0);
        d->range <<= 8;
        d->pos++;
    }
}

static inline uint32_t nerv_range_decode_inline(NervRangeDecoder *d, NervProb *prob)
{
    const uint32_t bound = (uint32_t)((uint64_t)d->range * prob->p >> 16);
    const uint32_t bit = d->code >= bound, ones = 0u - bit;
    d->range = (bound & ~ones) | ((d->range - bound) & ones);
    d->code -= bound & ones;
    nerv_prob_adapt(prob, bit);
    nerv_range_refill(d);
    return bit;
}

static inline uint32_t nerv_range_decode_bits_inline(NervRangeDecoder *d, unsigned n)
{
    d->range >>= n;
    /* Only bytes that no encoder wrote lead beyond the last value. */
    const uint32_t value = MIN(d->code / d->range, (1u << n) - 1);
    d->code -= value * d->range;
    nerv_range_refill(d);
    return value;
}

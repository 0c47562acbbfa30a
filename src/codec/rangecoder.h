/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An adaptive binary range coder and, on top of it, a coder of signed integers: docs/bitstream.md, section "Range coder".
 * Integer arithmetic only: the same bytes decode to the same values on every machine. Knows nothing of weights.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Estimate of the probability that a bit is 0, in units of 2^-16, and how many bits it has seen. */
typedef struct {
    uint16_t p; /* 1..65535 */
    uint16_t n; /* 0..NERV_PROB_MAX_COUNT */
} NervProb;

/* The estimate moves by 1/(n+2) of its error: first the Krichevsky-Trofimov estimator, then a window of 1/256. */
#define NERV_PROB_MAX_COUNT 254

void nerv_prob_init(NervProb *prob);

/* --- bits --- */

typedef struct {
    GByteArray *out; /* not owned */
    guint start;     /* the coded bytes begin here; carries never go further back */
    uint32_t low, range;
    /* Where `out` is NULL, lengths are summed up instead of bytes written. */
    double bits, odds; /* so many, and those of this probability */
} NervRangeEncoder;

/* Bytes are appended to `out`, which nothing else may write to until nerv_range_encode_end(). */
void nerv_range_encode_begin(NervRangeEncoder *e, GByteArray *out);
/* An encoder that writes nothing. */
void nerv_range_count_begin(NervRangeEncoder *e);
/* -log2 of the probability that the models gave to what it was told so far: the length that they allow, in bits. */
double nerv_range_counted(const NervRangeEncoder *e);
void nerv_range_encode(NervRangeEncoder *e, NervProb *prob, uint32_t bit);
/* n <= 16 bits of `value` that are 0 or 1 equally often. */
void nerv_range_encode_bits(NervRangeEncoder *e, uint32_t value, unsigned n);
/* Appends the one byte that makes what follows irrelevant, if a reader takes zeros for missing bytes. */
void nerv_range_encode_end(NervRangeEncoder *e);

typedef struct {
    const uint8_t *data; /* not owned */
    size_t size;
    size_t pos; /* bytes consumed, counting zeros beyond the end */
    uint32_t code, range;
} NervRangeDecoder;

void nerv_range_decode_begin(NervRangeDecoder *d, const void *data, size_t size);
uint32_t nerv_range_decode(NervRangeDecoder *d, NervProb *prob);
uint32_t nerv_range_decode_bits(NervRangeDecoder *d, unsigned n);
/* Whether more was decoded than the bytes hold: what came out is then not what an encoder put in. */
bool nerv_range_decode_overrun(const NervRangeDecoder *d);

/* --- signed integers --- */

#define NERV_SYMBOL_MAX_CLASS 12
/* Largest magnitude of a symbol. */
#define NERV_SYMBOL_MAX ((1 << NERV_SYMBOL_MAX_CLASS) - 1)

/* Adaptive model of integers whose distribution is roughly symmetric: the magnitude's number of bits and its two
 * bits after the leading one are modelled, sign and further bits are taken as even. */
typedef struct {
    NervProb klass[16];
    NervProb mantissa[NERV_SYMBOL_MAX_CLASS + 1][3];
} NervSymbolModel;

void nerv_symbol_init(NervSymbolModel *m);
/* The model keeps its estimates but adapts from now on as if each came of at most `n` bits. */
void nerv_symbol_relearn(NervSymbolModel *m, unsigned n);
/* max_class: symbols' magnitudes are below 2^max_class, 1 <= max_class <= NERV_SYMBOL_MAX_CLASS; the same for both. */
void nerv_symbol_encode(NervRangeEncoder *e, NervSymbolModel *m, unsigned max_class, int32_t v);
/* Yields values of magnitude below 2^max_class only, whatever the bytes. */
int32_t nerv_symbol_decode(NervRangeDecoder *d, NervSymbolModel *m, unsigned max_class);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Canonical Huffman codes of bounded length, and the bits that they are written in: docs/bitstream.md, section "Coding 2". Integer
 * arithmetic only. Knows nothing of weights.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NERV_HUFFMAN_MAX_SYMBOLS 257
#define NERV_HUFFMAN_MAX_LENGTH  15

/* --- bits, the most significant of a byte first --- */

typedef struct {
    GByteArray *out; /* not owned */
    uint32_t held;   /* bits that make no byte yet */
    unsigned n_held; /* 0..7 */
} NervHuffmanWriter;

/* Bytes are appended to `out`, which nothing else may write to until nerv_huffman_end(). */
void nerv_huffman_begin(NervHuffmanWriter *w, GByteArray *out);
/* The lowest n <= 16 bits of `value`, the most significant first. */
void nerv_huffman_put(NervHuffmanWriter *w, uint32_t value, unsigned n);
/* Fills the last byte with zeros. */
void nerv_huffman_end(NervHuffmanWriter *w);

typedef struct {
    const uint8_t *data; /* not owned */
    size_t size;         /* bytes */
    size_t pos;          /* bits taken; those beyond the end are 0 */
} NervHuffmanReader;

/* The next n <= 16 bits, without taking them. */
static inline uint32_t nerv_huffman_peek(const NervHuffmanReader *r, unsigned n)
{
    const size_t at = r->pos >> 3;
    uint32_t v = 0;
    for (size_t i = at; i < at + 3; i++)
        v = v << 8 | (i < r->size ? r->data[i] : 0u);
    return v >> (24 - (r->pos & 7) - n) & ((1u << n) - 1);
}

static inline uint32_t nerv_huffman_take(NervHuffmanReader *r, unsigned n)
{
    const uint32_t v = nerv_huffman_peek(r, n);
    r->pos += n;
    return v;
}

/* Whether more was taken than there is. */
static inline bool nerv_huffman_overrun(const NervHuffmanReader *r)
{
    return r->pos > r->size * 8;
}

/* --- codes --- */

/* Lengths of a prefix code for symbols 0..n-1, 2 <= n <= NERV_HUFFMAN_MAX_SYMBOLS: 0 where the count is 0, else 1..NERV_HUFFMAN_MAX_LENGTH
 * with the least sum of count * length that there is. Where fewer than two symbols occur, the first that do not get a code as well,
 * so that two have one. The sum of the counts is below 2^48. */
void nerv_huffman_lengths(const uint64_t *count, uint32_t n, uint8_t *length);

/* The canonical code of such lengths: shorter ones first, those of one length by symbol. False if the lengths are not those of a complete
 * prefix code of at least two symbols. */
bool nerv_huffman_codes(const uint8_t *length, uint32_t n, uint16_t *code);

/* By the next NERV_HUFFMAN_MAX_LENGTH bits: 16 times the symbol plus the length of its code. */
typedef struct {
    uint16_t entry[1 << NERV_HUFFMAN_MAX_LENGTH];
} NervHuffmanTable;

/* False as nerv_huffman_codes(). */
bool nerv_huffman_table(const uint8_t *length, uint32_t n, NervHuffmanTable *table);

static inline uint32_t nerv_huffman_symbol(NervHuffmanReader *r, const NervHuffmanTable *table)
{
    const uint32_t entry = table->entry[nerv_huffman_peek(r, NERV_HUFFMAN_MAX_LENGTH)];
    r->pos += entry & 15;
    return entry >> 4;
}

/* The lengths themselves as bits. What is read may be no code yet; false if a length is out of range. */
void nerv_huffman_write_lengths(NervHuffmanWriter *w, const uint8_t *length, uint32_t n);
bool nerv_huffman_read_lengths(NervHuffmanReader *r, uint8_t *length, uint32_t n);

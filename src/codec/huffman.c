/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Huffman codes, see huffman.h. Lengths by package-merge (Larmore and Hirschberg 1990), which is optimal under the bound; Huffman's own
 * algorithm is not, and the counts of a pruned network are uneven enough to reach it.
 */
#include "codec/huffman.h"

#include <stdlib.h>
#include <string.h>

#define MAX_N    NERV_HUFFMAN_MAX_SYMBOLS
#define MAX_LEN  NERV_HUFFMAN_MAX_LENGTH
#define FIRST    8 /* length that the first one is compared with */
#define UNUSED   0xe
#define EXPLICIT 0xf

/* --- bits --- */

void nerv_huffman_begin(NervHuffmanWriter *w, GByteArray *out)
{
    *w = (NervHuffmanWriter){ .out = out };
}

void nerv_huffman_put(NervHuffmanWriter *w, uint32_t value, unsigned n)
{
    w->held = w->held << n | (value & ((1u << n) - 1));
    for (w->n_held += n; w->n_held >= 8; w->n_held -= 8) {
        const uint8_t byte = (uint8_t)(w->held >> (w->n_held - 8));
        g_byte_array_append(w->out, &byte, 1);
    }
    w->held &= (1u << w->n_held) - 1;
}

void nerv_huffman_end(NervHuffmanWriter *w)
{
    if (w->n_held > 0)
        nerv_huffman_put(w, 0, 8 - w->n_held);
}

/* --- lengths --- */

typedef struct {
    uint64_t count;
    uint32_t symbol;
} Leaf;

static int by_count(const void *a, const void *b)
{
    const Leaf *x = a, *y = b;
    return x->count != y->count ? (x->count > y->count) - (x->count < y->count)
                                : (x->symbol > y->symbol) - (x->symbol < y->symbol);
}

/* The symbols that get a code, rarest first; their number, at least 2. */
static uint32_t sort_leaves(const uint64_t *count, uint32_t n, Leaf *leaf)
{
    uint32_t n_leaves = 0;
    for (uint32_t i = 0; i < n; i++)
        if (count[i])
            leaf[n_leaves++] = (Leaf){ count[i], i };
    for (uint32_t i = 0; i < n && n_leaves < 2; i++)
        if (!count[i])
            leaf[n_leaves++] = (Leaf){ 0, i };
    qsort(leaf, n_leaves, sizeof *leaf, by_count);
    return n_leaves;
}

/* One level's list: the leaves and the level before's pairs, by weight. is_leaf[] says which is which; its length is returned. */
static uint32_t merge(const Leaf *leaf, uint32_t n_leaves, const uint64_t *before, uint32_t n_before,
                      uint64_t *list, bool *is_leaf)
{
    const uint32_t n_pairs = n_before / 2;
    uint32_t i = 0, j = 0, n = 0;
    while (i < n_leaves || j < n_pairs) {
        const uint64_t pair = j < n_pairs ? before[2 * j] + before[2 * j + 1] : UINT64_MAX;
        is_leaf[n] = i < n_leaves && leaf[i].count <= pair;
        list[n] = is_leaf[n] ? leaf[i].count : pair;
        if (is_leaf[n++])
            i++;
        else
            j++;
    }
    return n;
}

void nerv_huffman_lengths(const uint64_t *count, uint32_t n, uint8_t *length)
{
    Leaf leaf[MAX_N];
    bool is_leaf[MAX_LEN][2 * MAX_N];
    uint64_t list[2][2 * MAX_N];
    const uint32_t n_leaves = sort_leaves(count, n, leaf);
    uint32_t n_list = 0;
    for (uint32_t level = 0; level < MAX_LEN; level++)
        n_list = merge(leaf, n_leaves, list[level & 1], n_list, list[~level & 1], is_leaf[level]);
    memset(length, 0, n);
    /* The first 2 n - 2 of the last list: each leaf among them, and in the pairs among them, adds one to its symbol's length. A list's leaves
     * come in order, so a number says which they are. */
    uint32_t chosen = 2 * n_leaves - 2;
    for (uint32_t level = MAX_LEN; level-- > 0;) {
        uint32_t leaves = 0;
        for (uint32_t i = 0; i < chosen; i++)
            leaves += is_leaf[level][i];
        for (uint32_t i = 0; i < leaves; i++)
            length[leaf[i].symbol]++;
        chosen = 2 * (chosen - leaves);
    }
}

/* --- codes --- */

bool nerv_huffman_codes(const uint8_t *length, uint32_t n, uint16_t *code)
{
    uint32_t of_length[MAX_LEN + 1] = { 0 }, next = 0;
    for (uint32_t i = 0; i < n; i++)
        of_length[length[i]]++;
    /* In units of the longest code's share, so that the next length's first code is where this one's end. */
    uint32_t first[MAX_LEN + 1];
    for (unsigned l = 1; l <= MAX_LEN; l++) {
        first[l] = next;
        next += of_length[l] << (MAX_LEN - l);
    }
    if (next != 1u << MAX_LEN)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!length[i])
            continue;
        code[i] = (uint16_t)(first[length[i]] >> (MAX_LEN - length[i]));
        first[length[i]] += 1u << (MAX_LEN - length[i]);
    }
    return true;
}

bool nerv_huffman_table(const uint8_t *length, uint32_t n, NervHuffmanTable *table)
{
    uint16_t code[MAX_N];
    if (!nerv_huffman_codes(length, n, code))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!length[i])
            continue;
        const uint32_t share = 1u << (MAX_LEN - length[i]), start = code[i] * share;
        for (uint32_t j = start; j < start + share; j++)
            table->entry[j] = (uint16_t)(i << 4 | length[i]);
    }
    return true;
}

/* --- lengths as bits --- */

void nerv_huffman_write_lengths(NervHuffmanWriter *w, const uint8_t *length, uint32_t n)
{
    int last = FIRST;
    for (uint32_t i = 0; i < n; i++) {
        const int step = length[i] - last;
        if (!length[i]) {
            nerv_huffman_put(w, UNUSED, 4);
            continue;
        }
        if (step == 0)
            nerv_huffman_put(w, 0, 1);
        else if (ABS(step) == 1)
            nerv_huffman_put(w, 4u | (step < 0), 3);
        else if (ABS(step) == 2)
            nerv_huffman_put(w, 12u | (step < 0), 4);
        else
            nerv_huffman_put(w, EXPLICIT << 4 | length[i], 8);
        last = length[i];
    }
}

bool nerv_huffman_read_lengths(NervHuffmanReader *r, uint8_t *length, uint32_t n)
{
    int last = FIRST;
    for (uint32_t i = 0; i < n; i++) {
        unsigned ones = 0;
        while (ones < 4 && nerv_huffman_take(r, 1))
            ones++;
        if (ones == 3) {
            length[i] = 0;
            continue;
        }
        if (ones == 4)
            last = (int)nerv_huffman_take(r, 4);
        else if (ones > 0)
            last += nerv_huffman_take(r, 1) ? -(int)ones : (int)ones;
        if (last < 1 || last > MAX_LEN)
            return false;
        length[i] = (uint8_t)last;
    }
    return true;
}

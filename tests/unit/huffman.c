/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Huffman codes: as short as Huffman's own algorithm makes them, and where that exceeds the bound as short as any code within it, found by
 * trying all; canonical, complete, read back by table and with their lengths; what is no complete code refused.
 */
#include <string.h>

#include "base/rng.h"
#include "codec/huffman.h"

#define MAX_N   NERV_HUFFMAN_MAX_SYMBOLS
#define MAX_LEN NERV_HUFFMAN_MAX_LENGTH

static uint64_t cost_of(const uint64_t *count, const uint8_t *length, uint32_t n)
{
    uint64_t cost = 0;
    for (uint32_t i = 0; i < n; i++)
        cost += count[i] * length[i];
    return cost;
}

/* The textbook's: the two rarest become one until one is left; every merge costs its weight. Of counts that are not 0. */
static uint64_t textbook_cost(const uint64_t *count, uint32_t n, unsigned *depth)
{
    uint64_t weight[MAX_N], cost = 0;
    unsigned deep[MAX_N];
    uint32_t left = 0;
    for (uint32_t i = 0; i < n; i++)
        if (count[i]) {
            weight[left] = count[i];
            deep[left++] = 0;
        }
    for (*depth = 0; left > 1; left--) {
        for (uint32_t pick = 0; pick < 2; pick++) /* the rarest to the end */
            for (uint32_t i = 0; i + 1 < left - pick; i++)
                if (weight[i] < weight[i + 1]) {
                    const uint64_t w = weight[i];
                    const unsigned d = deep[i];
                    weight[i] = weight[i + 1];
                    deep[i] = deep[i + 1];
                    weight[i + 1] = w;
                    deep[i + 1] = d;
                }
        weight[left - 2] += weight[left - 1];
        deep[left - 2] = MAX(deep[left - 2], deep[left - 1]) + 1;
        cost += weight[left - 2];
        *depth = MAX(*depth, deep[left - 2]);
    }
    return cost;
}

/* The least cost of all complete codes: at each depth some of the nodes are leaves, which take the most frequent symbols left. `count` falls. */
static uint64_t search(const uint64_t *count, uint32_t n, uint32_t nodes, unsigned depth, uint64_t so_far,
                       uint64_t best)
{
    if (n == 0)
        return nodes == 0 ? MIN(so_far, best) : best;
    if (nodes == 0 || nodes > n || depth > MAX_LEN || so_far >= best)
        return best;
    for (uint32_t leaves = 0; leaves <= nodes; leaves++) {
        best = search(count + leaves, n - leaves, 2 * (nodes - leaves), depth + 1, so_far, best);
        so_far += leaves < nodes ? count[leaves] * depth : 0;
    }
    return best;
}

/* All that must hold of lengths, whatever the counts. */
static void check_code(const uint64_t *count, uint32_t n, const uint8_t *length)
{
    NervHuffmanTable *table = g_new(NervHuffmanTable, 1);
    uint16_t code[MAX_N] = { 0 };
    uint8_t back[MAX_N];
    NervHuffmanWriter w;
    GByteArray *out = g_byte_array_new();
    uint32_t used = 0, occur = 0;
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmpuint(length[i], <=, MAX_LEN);
        g_assert_true(count[i] == 0 || length[i] > 0);
        used += length[i] > 0;
        occur += count[i] > 0;
    }
    g_assert_cmpuint(used, ==, MAX(occur, 2));
    g_assert_true(nerv_huffman_codes(length, n, code));
    g_assert_true(nerv_huffman_table(length, n, table));
    nerv_huffman_begin(&w, out);
    nerv_huffman_put(&w, 5, 3);
    nerv_huffman_write_lengths(&w, length, n);
    for (uint32_t i = 0; i < n; i++)
        if (length[i])
            nerv_huffman_put(&w, code[i], length[i]);
    nerv_huffman_end(&w);
    NervHuffmanReader r = { .data = out->data, .size = out->len };
    g_assert_cmpuint(nerv_huffman_take(&r, 3), ==, 5);
    g_assert_true(nerv_huffman_read_lengths(&r, back, n));
    g_assert_cmpmem(back, n, length, n);
    for (uint32_t i = 0; i < n; i++)
        if (length[i])
            g_assert_cmpuint(nerv_huffman_symbol(&r, table), ==, i);
    g_assert_cmpuint((r.pos + 7) / 8, ==, out->len);
    g_assert_false(nerv_huffman_overrun(&r));
    nerv_huffman_take(&r, 8);
    g_assert_true(nerv_huffman_overrun(&r));
    g_byte_array_unref(out);
    g_free(table);
}

static void check(const uint64_t *count, uint32_t n)
{
    uint8_t length[MAX_N];
    unsigned depth;
    nerv_huffman_lengths(count, n, length);
    check_code(count, n, length);
    const uint64_t best = textbook_cost(count, n, &depth);
    if (depth > MAX_LEN)
        g_assert_cmpuint(cost_of(count, length, n), >, best);
    else if (depth > 0)
        g_assert_cmpuint(cost_of(count, length, n), ==, best);
}

static void test_optimal(void)
{
    NervRng rng;
    uint64_t count[MAX_N];
    nerv_rng_init(&rng, 1);
    for (int trial = 0; trial < 400; trial++) {
        const uint32_t n = trial < 50 ? MAX_N : 2 + nerv_rng_below(&rng, MAX_N - 1);
        const uint32_t holes = nerv_rng_below(&rng, 4), widest = nerv_rng_below(&rng, 30);
        for (uint32_t i = 0; i < n; i++)
            count[i] = holes && nerv_rng_below(&rng, 4) < holes ? 0 : 1 + nerv_rng_below(&rng, 1u << widest);
        check(count, n);
    }
    for (uint32_t i = 0; i < MAX_N; i++)
        count[i] = UINT64_C(1) << 39; /* a network of 2^28 weights is far below */
    check(count, MAX_N);
}

static void test_few(void)
{
    uint64_t count[5] = { 0 };
    uint8_t length[5];
    check(count, 5); /* none occurs: two have a code all the same */
    count[3] = 100;
    check(count, 5);
    nerv_huffman_lengths(count, 5, length);
    g_assert_cmpmem(length, 5, "\1\0\0\1\0", 5);
    count[1] = 1;
    check(count, 5);
    nerv_huffman_lengths(count, 5, length);
    g_assert_cmpmem(length, 5, "\0\1\0\1\0", 5);
    count[4] = 40;
    check(count, 5);
    nerv_huffman_lengths(count, 5, length);
    g_assert_cmpmem(length, 5, "\0\2\0\1\2", 5);
}

/* Counts that grow as fast as those of a network with few odd weights: Huffman's code would be too long. */
static void test_bound(void)
{
    for (uint32_t n = 17; n <= 21; n++)
        for (int kind = 0; kind < 3; kind++) {
            uint64_t count[MAX_N], falling[MAX_N];
            uint8_t length[MAX_N];
            unsigned depth;
            for (uint32_t i = 0; i < n; i++)
                count[i] = i < 2       ? 1
                           : kind == 0 ? count[i - 1] + count[i - 2]
                                       : count[i - 1] * (1 + kind) + i % 3;
            for (uint32_t i = 0; i < n; i++)
                falling[i] = count[n - 1 - i];
            nerv_huffman_lengths(count, n, length);
            check_code(count, n, length);
            textbook_cost(count, n, &depth);
            g_assert_cmpuint(depth, >, MAX_LEN);
            g_assert_cmpuint(cost_of(count, length, n), ==, search(falling, n, 1, 0, 0, UINT64_MAX));
        }
}

static void test_refused(void)
{
    static const struct {
        const char *lengths;
        uint32_t n;
    } bad[] = { { "\1\0\0", 3 }, { "\0\0\0", 3 },     { "\1\1\1", 3 },         { "\1\2\0", 3 },
                { "\2\2\2", 3 }, { "\1\2\3\3\3", 5 }, { "\17\17\17\17\17", 5 } };
    NervHuffmanTable *table = g_new(NervHuffmanTable, 1);
    uint16_t code[5];
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(nerv_huffman_codes((const uint8_t *)bad[i].lengths, bad[i].n, code));
        g_assert_false(nerv_huffman_table((const uint8_t *)bad[i].lengths, bad[i].n, table));
    }
    g_assert_true(nerv_huffman_codes((const uint8_t *)"\1\2\2", 3, code));
    /* Lengths of 0 and 16: said outright, and stepped to. */
    static const uint8_t zero[] = { 0xf0, 0 }, above[] = { 0xff, 0x80 }, below[] = { 0xf1, 0xa0 };
    uint8_t length[2];
    NervHuffmanReader r = { .data = zero, .size = 2 };
    g_assert_false(nerv_huffman_read_lengths(&r, length, 2));
    r = (NervHuffmanReader){ .data = above, .size = 2 };
    g_assert_false(nerv_huffman_read_lengths(&r, length, 2));
    r = (NervHuffmanReader){ .data = below, .size = 2 };
    g_assert_false(nerv_huffman_read_lengths(&r, length, 2));
    g_free(table);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/huffman/optimal", test_optimal);
    g_test_add_func("/huffman/few", test_few);
    g_test_add_func("/huffman/bound", test_bound);
    g_test_add_func("/huffman/refused", test_refused);
    return g_test_run();
}

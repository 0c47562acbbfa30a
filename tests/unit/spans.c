/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sub-allocation of device memory, its arithmetic: nothing overlaps, everything is aligned, and what is given back merges.
 * Seeded; a failing run prints GLib's seed.
 */
#include <string.h>

#include "vulkan/spans.h"

#define BLOCK 65536

typedef struct {
    uint64_t offset, bytes;
} Piece;

static void test_edges(void)
{
    NervSpans s;
    uint64_t at;
    nerv_spans_init(&s, 1024);
    g_assert_true(nerv_spans_whole(&s));
    g_assert_false(nerv_spans_take(&s, 1025, 1, &at));
    g_assert_true(nerv_spans_take(&s, 1024, 1024, &at));
    g_assert_cmpuint(at, ==, 0);
    g_assert_false(nerv_spans_take(&s, 1, 1, &at));
    g_assert_false(nerv_spans_whole(&s));
    nerv_spans_give(&s, 0, 1024);
    g_assert_true(nerv_spans_whole(&s));
    nerv_spans_clear(&s);
    nerv_spans_init(&s, 0);
    g_assert_true(nerv_spans_whole(&s));
    g_assert_false(nerv_spans_take(&s, 1, 1, &at));
    nerv_spans_clear(&s);
}

/* What an alignment skips is found by a request that fits there, and the smallest hole that fits is used. */
static void test_fit(void)
{
    NervSpans s;
    uint64_t at;
    nerv_spans_init(&s, 4096);
    g_assert_true(nerv_spans_take(&s, 1, 1, &at));
    g_assert_true(nerv_spans_take(&s, 1024, 1024, &at));
    g_assert_cmpuint(at, ==, 1024);
    g_assert_true(nerv_spans_take(&s, 100, 4, &at));
    g_assert_cmpuint(at, ==, 4);
    g_assert_true(nerv_spans_take(&s, 2048, 256, &at));
    g_assert_cmpuint(at, ==, 2048);
    nerv_spans_give(&s, 0, 1);
    nerv_spans_give(&s, 1024, 1024);
    g_assert_true(nerv_spans_take(&s, 4, 1, &at)); /* four bytes lie before 4 */
    g_assert_cmpuint(at, ==, 0);
    g_assert_false(nerv_spans_take(&s, 2048, 1, &at));
    nerv_spans_clear(&s);
}

static void test_random(void)
{
    static uint8_t taken[BLOCK];
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
    NervSpans s;
    int refused = 0;
    memset(taken, 0, sizeof(taken));
    nerv_spans_init(&s, BLOCK);
    for (int i = 0; i < 20000; i++) {
        if (pieces->len && g_test_rand_int_range(0, 100) < 45) {
            const guint k = (guint)g_test_rand_int_range(0, (gint32)pieces->len);
            const Piece p = g_array_index(pieces, Piece, k);
            nerv_spans_give(&s, p.offset, p.bytes);
            memset(taken + p.offset, 0, p.bytes);
            g_array_remove_index_fast(pieces, k);
            continue;
        }
        Piece p = { .bytes = (uint64_t)g_test_rand_int_range(1, 3000) };
        const uint64_t align = (uint64_t)1 << g_test_rand_int_range(0, 11);
        if (!nerv_spans_take(&s, p.bytes, align, &p.offset)) {
            refused++;
            continue;
        }
        g_assert_cmpuint(p.offset % align, ==, 0);
        g_assert_cmpuint(p.offset + p.bytes, <=, BLOCK);
        for (uint64_t b = 0; b < p.bytes; b++)
            g_assert_cmpint(taken[p.offset + b], ==, 0);
        memset(taken + p.offset, 1, p.bytes);
        g_array_append_val(pieces, p);
    }
    g_assert_cmpint(refused, >, 0); /* it was full at times */
    for (guint k = 0; k < pieces->len; k++)
        nerv_spans_give(&s, g_array_index(pieces, Piece, k).offset, g_array_index(pieces, Piece, k).bytes);
    g_assert_true(nerv_spans_whole(&s));
    nerv_spans_clear(&s);
    g_array_unref(pieces);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/spans/edges", test_edges);
    g_test_add_func("/spans/fit", test_fit);
    g_test_add_func("/spans/random", test_random);
    return g_test_run();
}

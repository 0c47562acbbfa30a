/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Heads of Matroska files in which a track gets its codec: only the marked one, whatever is beside it, in one buffer or in several; and heads
 * that end anywhere.
 */
#include <gst/check/gstcheck.h>
#include <string.h>

#include "nervebml.h"

static gsize padding; /* zeros behind names of codecs, 0 or 1 */

/* Appends an element. */
static void append(GByteArray *out, guint32 id, const void *data, gsize size)
{
    guint8 head[12];
    guint n = 0;
    for (int shift = 24; shift >= 0; shift -= 8)
        if (id >> shift)
            head[n++] = (guint8)(id >> shift);
    head[n++] = (guint8)(0x40 | size >> 8); /* a size of two bytes */
    head[n++] = (guint8)size;
    g_byte_array_append(out, head, n);
    g_byte_array_append(out, data, (guint)size);
}

static void append_array(GByteArray *out, guint32 id, GByteArray *data)
{
    append(out, id, data->data, data->len);
    g_byte_array_unref(data);
}

static GByteArray *track(const char *codec, const char *private)
{
    GByteArray *entry = g_byte_array_new();
    append(entry, 0xd7, "\1", 1);
    append(entry, 0x86, codec, strlen(codec) + padding);
    if (private)
        append(entry, 0x63a2, private, strlen(private));
    return entry;
}

/* EBML's head, a segment of unknown size, an info that has a track's bytes in it, tracks, a cluster. */
static GByteArray *make_head(gsize *tracks_at)
{
    static const guint8 segment[] = {
        0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
    };
    static const guint8 cluster[] = { 0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0 };
    GByteArray *out = g_byte_array_new(), *tracks = g_byte_array_new(), *decoy = g_byte_array_new();
    append(out, 0x1a45dfa3, "doctype", 7);
    g_byte_array_append(out, segment, sizeof segment);
    append_array(decoy, 0xae, track("V_FFV1", "NERV"));
    append_array(out, 0x1549a966, decoy);
    append_array(tracks, 0xae, track("V_FFV1", NULL));
    append_array(tracks, 0xae, track("V_FFV1", "NERV"));
    append_array(tracks, 0xae, track("A_OPUS", "NERV"));
    append_array(tracks, 0xae, track("V_FFV1", "NERVE"));
    *tracks_at = out->len;
    append_array(out, 0x1654ae6b, tracks);
    g_byte_array_append(out, cluster, sizeof cluster);
    return out;
}

static guint count(const GByteArray *a, const char *text)
{
    guint n = 0;
    for (gsize i = 0; i + strlen(text) <= a->len; i++)
        n += memcmp(a->data + i, text, strlen(text)) == 0;
    return n;
}

GST_START_TEST(test_whole)
{
    padding = (gsize)__i__;
    gsize tracks_at;
    GByteArray *a = make_head(&tracks_at), *b = make_head(&tracks_at);
    GstNervEbml e;
    gst_nerv_ebml_init(&e);
    fail_unless(gst_nerv_ebml_walk(&e, a->data, a->len));
    fail_unless(e.done);
    fail_unless_equals_int(e.n_tracks, 1);
    fail_unless_equals_int(count(b, "V_FFV1"), 4);
    fail_unless_equals_int(count(a, "V_FFV1"), 3);
    fail_unless_equals_int(count(a, "V_NERV"), 1);
    guint differ = 0;
    for (guint i = 0; i < a->len; i++)
        differ += a->data[i] != b->data[i];
    fail_unless_equals_int(differ, 4);
    g_byte_array_unref(a);
    g_byte_array_unref(b);
}
GST_END_TEST;

/* Cut in two anywhere: changed, or refused, and nothing beyond a piece is touched. */
GST_START_TEST(test_pieces)
{
    gsize tracks_at, n = 0;
    GByteArray *a = make_head(&tracks_at);
    for (gsize cut = 0; cut <= a->len; cut++) {
        guint8 *first = g_memdup2(a->data, cut), *second = g_memdup2(a->data + cut, a->len - cut);
        GstNervEbml e;
        gst_nerv_ebml_init(&e);
        const gboolean ok =
            gst_nerv_ebml_walk(&e, first, cut) && gst_nerv_ebml_walk(&e, second, a->len - cut);
        fail_unless(!ok || (e.done && e.n_tracks == 1), "cut at %" G_GSIZE_FORMAT, cut);
        if (cut == tracks_at || cut == a->len || cut == 0)
            fail_unless(ok, "cut at %" G_GSIZE_FORMAT, cut);
        n += ok;
        g_free(first);
        g_free(second);
    }
    fail_unless(n > 30 && n < a->len);
    g_byte_array_unref(a);
}
GST_END_TEST;

/* Any byte changed to anything: no crash (the sanitizers' build looks at what is read). */
GST_START_TEST(test_damaged)
{
    gsize tracks_at;
    GByteArray *a = make_head(&tracks_at);
    for (gsize i = 0; i < a->len; i++)
        for (int v = 0; v < 256; v += 5) {
            guint8 *copy = g_memdup2(a->data, a->len);
            GstNervEbml e;
            copy[i] = (guint8)v;
            gst_nerv_ebml_init(&e);
            gst_nerv_ebml_walk(&e, copy, a->len);
            g_free(copy);
        }
    g_byte_array_unref(a);
}
GST_END_TEST;

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("ebml");
    TCase *tc = tcase_create("ebml");
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_whole, 0, 2);
    tcase_add_test(tc, test_pieces);
    tcase_add_test(tc, test_damaged);
    return gst_check_run_suite(s, "ebml", __FILE__);
}

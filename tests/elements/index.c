/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parser's index by itself (src/codec/index.c, walk.c): walks over streams whose networks are larger than its window, with
 * damage, lies about sizes and growing files; look-up in both directions.
 */
#include "common.h"
#include "nervindex.h"

#define FRAME (40 * GST_MSECOND)

typedef struct {
    GByteArray *bytes;
    guint64 pulled; /* bytes read */
    GArray *syncs;  /* gsize: where sync points are */
} Stream;

static NervSequence sequence(guint id, guint first, guint frames)
{
    return (NervSequence){ .version = NERV_STREAM_VERSION,
                           .segment_id = id,
                           .first_frame = first,
                           .n_frames = frames,
                           .width = 64,
                           .height = 48,
                           .fps_n = 25,
                           .fps_d = 1,
                           .par_n = 1,
                           .par_d = 1,
                           .pts_ns = first * FRAME };
}

/* A sync point's headers and its network, full of sync words; its frame unit is still to come. */
static void append_sync(Stream *s, const NervSequence *seq, guint network_bytes)
{
    guint8 *network = g_malloc(network_bytes);
    const gsize at = s->bytes->len;

    for (guint i = 0; i < network_bytes; i++)
        network[i] = (const guint8[]){ 'N', 0xE5, 'V', 0x9C, 3, 2, 0 }[i % 7];
    append_sequence_unit(s->bytes, seq);
    nerv_unit_write(s->bytes, NERV_UNIT_NETWORK, network, network_bytes);
    g_free(network);
    g_array_append_val(s->syncs, at);
}

static void append_segment(Stream *s, guint id, guint first, guint frames, guint network_bytes)
{
    const NervSequence seq = sequence(id, first, frames);
    append_sync(s, &seq, network_bytes);
    for (guint i = 0; i < frames; i++)
        append_frame_unit(s->bytes, &seq, i);
}

static void begin(Stream *s)
{
    s->bytes = g_byte_array_new();
    s->syncs = g_array_new(FALSE, FALSE, sizeof(gsize));
    s->pulled = 0;
}

static void end(Stream *s)
{
    g_byte_array_unref(s->bytes);
    g_array_unref(s->syncs);
}

static GstFlowReturn read_stream(gpointer user, guint64 at, guint size, GstBuffer **buffer)
{
    Stream *s = user;
    if (at >= s->bytes->len)
        return GST_FLOW_EOS;
    size = MIN(size, s->bytes->len - at);
    *buffer = gst_buffer_new_memdup(s->bytes->data + at, size);
    s->pulled += size;
    return GST_FLOW_OK;
}

static void expect_entries(const NervIndex *index, const Stream *s, const guint *segments,
                           const guint *frames, guint n)
{
    fail_unless_equals_int(index->entries->len, n);
    for (guint i = 0; i < n; i++) {
        const NervIndexEntry *e = &g_array_index(index->entries, NervIndexEntry, i);
        fail_unless_equals_uint64(e->offset, g_array_index(s->syncs, gsize, segments[i]));
        fail_unless_equals_uint64(e->time, frames[i] * FRAME);
    }
}

/* Networks from smaller than the window to much larger; most of the large one is never read. */
GST_START_TEST(test_walk)
{
    static const guint segments[] = { 0, 1, 2 }, frames[] = { 0, 5, 45 };
    Stream s;
    NervIndex index;
    guint64 offset;
    GstClockTime time;

    begin(&s);
    append_segment(&s, 0, 0, 5, 100);
    append_segment(&s, 1, 5, 40, 3000000);
    append_segment(&s, 2, 45, 3, 50000);
    nerv_index_init(&index);
    fail_unless_equals_int(gst_nerv_index_walk(&index, s.bytes->len, read_stream, &s), GST_FLOW_OK);
    fail_unless(index.complete);
    fail_unless_equals_uint64(index.end, 48 * FRAME);
    expect_entries(&index, &s, segments, frames, 3);
    fail_unless(s.pulled < 300000, "%u bytes were read", (guint)s.pulled);

    fail_unless(nerv_index_offset(&index, 0, &offset));
    fail_unless_equals_uint64(offset, 0);
    fail_unless(nerv_index_offset(&index, 45 * FRAME - 1, &offset));
    fail_unless_equals_uint64(offset, g_array_index(s.syncs, gsize, 1));
    fail_unless(nerv_index_offset(&index, 45 * FRAME, &offset));
    fail_unless_equals_uint64(offset, g_array_index(s.syncs, gsize, 2));
    fail_unless(nerv_index_offset(&index, 1000 * FRAME, &offset));
    fail_unless_equals_uint64(offset, g_array_index(s.syncs, gsize, 2));

    fail_unless(nerv_index_time(&index, g_array_index(s.syncs, gsize, 1) + 77777, &time));
    fail_unless_equals_uint64(time, 5 * FRAME);
    fail_unless(nerv_index_time(&index, s.bytes->len, &time));
    fail_unless_equals_uint64(time, 48 * FRAME);
    nerv_index_clear(&index);
    end(&s);
}
GST_END_TEST;

/* An access unit begins with its first unit, whatever that is; units in front of a frame without a network are the frame's. */
GST_START_TEST(test_keyframes)
{
    static const guint segments[] = { 0, 1 }, frames[] = { 0, 5 };
    const NervSequence seq = sequence(0, 0, 5);
    Stream s;
    NervIndex index;

    begin(&s);
    append_sync(&s, &seq, 100);
    nerv_unit_write(s.bytes, NERV_UNIT_KEYFRAME, "first", 5);
    for (guint i = 0; i < 5; i++) {
        append_frame_unit(s.bytes, &seq, i);
        nerv_unit_write(s.bytes, NERV_UNIT_KEYFRAME, "next", 4);
    }
    append_segment(&s, 1, 5, 5, 40000);
    g_array_index(s.syncs, gsize, 1) -= 4 + 11;
    nerv_index_init(&index);
    fail_unless_equals_int(gst_nerv_index_walk(&index, s.bytes->len, read_stream, &s), GST_FLOW_OK);
    expect_entries(&index, &s, segments, frames, 2);
    nerv_index_clear(&index);
    end(&s);
}
GST_END_TEST;

/* A sequence header that is damaged hides its segment and nothing else; so does a network whose end is missing. */
GST_START_TEST(test_damage)
{
    static const guint segments[] = { 0, 2, 4 }, frames[] = { 0, 10, 20 };
    Stream s;
    NervIndex index;

    begin(&s);
    append_segment(&s, 0, 0, 5, 40000);
    append_segment(&s, 1, 5, 5, 40000);
    append_segment(&s, 2, 10, 5, 40000);
    append_segment(&s, 3, 15, 5, 40000);
    append_segment(&s, 4, 20, 5, 40000);
    s.bytes->data[g_array_index(s.syncs, gsize, 1) + 9] ^= 1;
    g_byte_array_remove_range(s.bytes, (guint)g_array_index(s.syncs, gsize, 3) + 20000, 100);
    g_array_index(s.syncs, gsize, 4) -= 100;
    nerv_index_init(&index);
    fail_unless_equals_int(gst_nerv_index_walk(&index, s.bytes->len, read_stream, &s), GST_FLOW_OK);
    fail_unless(index.complete);
    fail_unless_equals_uint64(index.end, 25 * FRAME);
    expect_entries(&index, &s, segments, frames, 3);
    nerv_index_clear(&index);
    end(&s);
}
GST_END_TEST;

/* The file is shorter than its size was a moment ago, at every place of its end. */
GST_START_TEST(test_shrinking)
{
    Stream s;
    NervIndex index;
    guint whole;

    begin(&s);
    append_segment(&s, 0, 0, 5, 20000);
    append_segment(&s, 1, 5, 5, 20000);
    whole = s.bytes->len;
    nerv_index_init(&index);
    for (guint cut = 0; cut < 20100; cut += cut < 150 ? 1 : 997) {
        g_byte_array_set_size(s.bytes, whole - cut);
        fail_unless_equals_int(gst_nerv_index_walk(&index, whole, read_stream, &s), GST_FLOW_OK);
        fail_unless(index.entries->len >= 1);
        fail_unless(index.end >= 5 * FRAME && index.end <= 10 * FRAME);
    }
    nerv_index_clear(&index);
    end(&s);
}
GST_END_TEST;

static void walk(NervIndex *index, Stream *s)
{
    nerv_index_init(index);
    fail_unless_equals_int(gst_nerv_index_walk(index, s->bytes->len, read_stream, s), GST_FLOW_OK);
    fail_unless(index->complete);
}

/* Streams behind each other, the last two equal in every header: each begins where the one before it ends. */
GST_START_TEST(test_parts)
{
    static const guint segments[] = { 0, 1, 2, 3, 4 }, frames[] = { 0, 5, 12, 16, 20 };
    Stream s;
    NervIndex index;

    begin(&s);
    append_segment(&s, 0, 0, 5, 20000);
    append_segment(&s, 1, 5, 7, 100);
    append_segment(&s, 0, 0, 4, 20000);
    append_segment(&s, 0, 0, 4, 20001);
    append_segment(&s, 0, 0, 4, 20001);
    walk(&index, &s);
    expect_entries(&index, &s, segments, frames, 5);
    fail_unless_equals_int(index.parts->len, 3);
    fail_unless_equals_uint64(index.end, 24 * FRAME);
    nerv_index_clear(&index);
    end(&s);
}
GST_END_TEST;

/* A sync point that comes again before its segment is over is the same one, and one with another network is not. */
GST_START_TEST(test_repeated_sync_point)
{
    static const guint segments[] = { 0, 1 };
    const NervSequence seq = sequence(0, 0, 6);
    for (guint other = 0; other < 2; other++) {
        const guint frames[] = { 0, 4 };
        Stream s;
        NervIndex index;

        begin(&s);
        append_sync(&s, &seq, 100);
        for (guint i = 0; i < 4; i++)
            append_frame_unit(s.bytes, &seq, i);
        append_sync(&s, &seq, 100 + other);
        append_frame_unit(s.bytes, &seq, 0);
        append_frame_unit(s.bytes, &seq, 4);
        append_frame_unit(s.bytes, &seq, 5);
        walk(&index, &s);
        expect_entries(&index, &s, segments, frames, 1 + other);
        fail_unless_equals_uint64(index.end, (other ? 10 : 6) * FRAME);
        nerv_index_clear(&index);
        end(&s);
    }
}
GST_END_TEST;

/* Numbers go on and leave a gap (segments were lost): the stream's own times stay. */
GST_START_TEST(test_gap_is_no_part)
{
    static const guint segments[] = { 0, 1 }, frames[] = { 0, 50 };
    Stream s;
    NervIndex index;
    begin(&s);
    append_segment(&s, 0, 0, 5, 100);
    append_segment(&s, 7, 50, 5, 100);
    walk(&index, &s);
    expect_entries(&index, &s, segments, frames, 2);
    fail_unless_equals_int(index.parts->len, 0);
    nerv_index_clear(&index);
    end(&s);
}
GST_END_TEST;

/* The largest times that a stream can say, many times over: no overflow, and time never goes back. */
GST_START_TEST(test_absurd_times)
{
    Stream s;
    NervIndex index;
    GstClockTime last = 0;
    begin(&s);
    for (guint i = 0; i < 6; i++) {
        NervSequence seq = sequence(1, 1, 1);
        seq.pts_ns = i % 2 ? (gint64)1 << 62 : 0;
        seq.segment_id = i % 2;
        append_sync(&s, &seq, 100 + i);
        append_frame_unit(s.bytes, &seq, 0);
    }
    walk(&index, &s);
    for (guint i = 0; i < index.entries->len; i++) {
        const GstClockTime time = g_array_index(index.entries, NervIndexEntry, i).time;
        fail_unless(time >= last && time <= G_MAXINT64);
        last = time;
    }
    fail_unless(index.entries->len >= 2);
    nerv_index_clear(&index);
    end(&s);
}
GST_END_TEST;

/* What was noted keeps its time, whatever came after it. */
GST_START_TEST(test_unit_again)
{
    const NervSequence seq = sequence(0, 0, 1);
    const NervFrameHeader frame = { 0, 0, 0 };
    NervIndexUnit unit = { 0, 100, TRUE, 50, &seq, &frame };
    NervIndex index;
    GstClockTime pts, duration;
    bool added;

    nerv_index_init(&index);
    for (guint round = 0; round < 2; round++) {
        for (guint i = 0; i < 3; i++) {
            unit.offset = 100 * i;
            unit.end = 100 * i + 100;
            nerv_index_unit(&index, &unit, &pts, &duration, &added);
            fail_unless_equals_uint64(pts, i * FRAME);
            fail_unless_equals_uint64(duration, FRAME);
            fail_unless_equals_int(added, round == 0);
        }
    }
    nerv_index_clear(&index);
}
GST_END_TEST;

/* What is added by hand stays sorted; behind the last entry nothing is known. */
GST_START_TEST(test_add)
{
    NervIndex index;
    GstClockTime time;
    guint64 offset;

    nerv_index_init(&index);
    fail_if(nerv_index_offset(&index, 5, &offset));
    fail_if(nerv_index_time(&index, 5, &time));
    fail_unless(nerv_index_add(&index, 0, 0));
    fail_unless(nerv_index_add(&index, 1000, 400));
    fail_if(nerv_index_add(&index, 1000, 400), "the same again");
    fail_if(nerv_index_add(&index, 500, 800), "goes back in bytes");
    fail_if(nerv_index_add(&index, 2000, 300), "goes back in time");
    fail_unless(nerv_index_time(&index, 999, &time));
    fail_unless_equals_uint64(time, 0);
    fail_unless(nerv_index_time(&index, 1000, &time));
    fail_unless_equals_uint64(time, 400);
    fail_if(nerv_index_time(&index, 1001, &time));
    nerv_index_clear(&index);
}
GST_END_TEST;

static Suite *index_suite(void)
{
    Suite *s = suite_create("index");
    TCase *tc = tcase_create("index");
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_walk);
    tcase_add_test(tc, test_keyframes);
    tcase_add_test(tc, test_damage);
    tcase_add_test(tc, test_shrinking);
    tcase_add_test(tc, test_parts);
    tcase_add_test(tc, test_repeated_sync_point);
    tcase_add_test(tc, test_gap_is_no_part);
    tcase_add_test(tc, test_absurd_times);
    tcase_add_test(tc, test_unit_again);
    tcase_add_test(tc, test_add);
    return s;
}

GST_CHECK_MAIN(index);

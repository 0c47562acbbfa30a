/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * cat a.nerv b.nerv: files put behind each other are one video. Their times follow each other, whether they are read
 * or pushed; duration and seeks agree; size and format may change where they meet.
 */
#include <gst/pbutils/pbutils.h>
#include <unistd.h>

#include "common.h"

#define MAX_FRAMES 32

/* Files behind each other: which frames they must give, and when. */
typedef struct {
    GByteArray *bytes;
    char *path;
    GPtrArray *pictures; /* each file's, decoded alone */
    GstClockTime pts[MAX_FRAMES], end;
    guint n;
} Chain;

/* 64x48 RGB 25/1; 33x17 I420 10/1; the first one's size and format at 10/1; and one segment only: no header tells two of those apart. */
static GBytes *large, *small, *slow, *whole;

static void setup(void)
{
    GstVideoInfo info;
    large = make_stream(7, 3, NULL);
    whole = make_stream(4, 4, NULL);
    video_info(&info, GST_VIDEO_FORMAT_I420, 33, 17, 10, 1);
    small = make_stream_of(&info, 5, 2, NULL);
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 10, 1);
    slow = make_stream_of(&info, 5, 2, NULL);
}

static void teardown(void)
{
    g_bytes_unref(large);
    g_bytes_unref(whole);
    g_bytes_unref(small);
    g_bytes_unref(slow);
}

static void append(Chain *c, GBytes *stream)
{
    GPtrArray *frames = decode(stream);
    const GstClockTime start = c->end;

    g_byte_array_append(c->bytes, g_bytes_get_data(stream, NULL), (guint)g_bytes_get_size(stream));
    for (guint i = 0; i < frames->len; i++) {
        GstBuffer *frame = g_ptr_array_index(frames, i);
        fail_unless(c->n < MAX_FRAMES);
        c->pts[c->n++] = start + GST_BUFFER_PTS(frame);
        c->end = start + GST_BUFFER_PTS(frame) + GST_BUFFER_DURATION(frame);
        g_ptr_array_add(c->pictures, gst_buffer_ref(frame));
    }
    g_ptr_array_unref(frames);
}

static void begin(Chain *c, const char *which)
{
    *c = (Chain){ .bytes = g_byte_array_new(), .pictures = new_frames() };
    for (; *which; which++)
        append(c, *which == 'l' ? large : *which == 's' ? small : *which == 'r' ? slow : whole);
    GBytes *bytes = g_bytes_new(c->bytes->data, c->bytes->len);
    c->path = write_temp(bytes);
    g_bytes_unref(bytes);
}

static void end(Chain *c)
{
    unlink(c->path);
    g_free(c->path);
    g_byte_array_unref(c->bytes);
    g_ptr_array_unref(c->pictures);
}

/* `frames` are the chain's from `from` to `to`, backwards if to comes before from. */
static void expect(const Chain *c, GPtrArray *frames, guint from, guint to)
{
    const bool forward = from <= to;
    fail_unless_equals_int(frames->len, (forward ? to - from : from - to) + 1);
    for (guint k = 0; k < frames->len; k++) {
        GstBuffer *frame = g_ptr_array_index(frames, k);
        const guint i = forward ? from + k : from - k;
        fail_unless(GST_BUFFER_PTS(frame) == c->pts[i],
                    "frame %u at %" GST_TIME_FORMAT ", not %" GST_TIME_FORMAT, i,
                    GST_TIME_ARGS(GST_BUFFER_PTS(frame)), GST_TIME_ARGS(c->pts[i]));
        fail_unless(same_content(frame, g_ptr_array_index(c->pictures, i)), "frame %u shows another picture",
                    i);
    }
}

static const char *const chains[] = { "ll", "ls", "sl", "ww", "wwww", "wl", "lsw", "lr" };

static const char *const players[] = {
    "filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink",
    "filesrc location=%s blocksize=100 ! queue ! nervparse ! nervdec ! fakesink name=sink",
    "filesrc location=%s ! decodebin ! video/x-raw ! fakesink name=sink",
    "filesrc location=%s ! nervparse ! gdppay ! gdpdepay ! nervdec ! fakesink name=sink",
};

static char *launch(guint player, const Chain *c)
{
    char **parts = g_strsplit(players[player], "%s", 2);
    char *text = g_strconcat(parts[0], c->path, parts[1], NULL);
    g_strfreev(parts);
    return text;
}

GST_START_TEST(test_play)
{
    Chain c;
    begin(&c, chains[__i__]);
    for (guint i = 0; i < G_N_ELEMENTS(players); i++) {
        char *text = launch(i, &c);
        GPtrArray *frames = new_frames();
        RunResult r;
        run_pipeline(text, 60, collect_frames, NULL, frames, &r);
        fail_unless(r.eos && !r.error, "%s: %s", text, r.error ? r.error->message : "no end");
        fail_unless_equals_int(r.warnings, 0);
        expect(&c, frames, 0, c.n - 1);
        g_ptr_array_unref(frames);
        run_result_clear(&r);
        g_free(text);
    }
    end(&c);
}
GST_END_TEST;

GST_START_TEST(test_duration)
{
    GstDiscoverer *discoverer = gst_discoverer_new(20 * GST_SECOND, NULL);
    Chain c;
    begin(&c, chains[__i__]);
    char *uri = gst_filename_to_uri(c.path, NULL);
    GstDiscovererInfo *info = gst_discoverer_discover_uri(discoverer, uri, NULL);
    fail_unless(info != NULL);
    fail_unless_equals_int(gst_discoverer_info_get_result(info), GST_DISCOVERER_OK);
    fail_unless_equals_uint64(gst_discoverer_info_get_duration(info), c.end);
    gst_discoverer_info_unref(info);
    g_object_unref(discoverer);
    g_free(uri);
    end(&c);
}
GST_END_TEST;

/* Wherever a seek lands, a frame has the time that it has when the file is played from its beginning. */
GST_START_TEST(test_seek)
{
    Chain c;
    begin(&c, chains[__i__]);
    for (guint player = 0; player < 2; player++) {
        char *text = launch(player, &c);
        for (guint i = 0; i < c.n; i++) {
            const SeekCall seek = {
                1., GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, (gint64)c.pts[i], GST_SEEK_TYPE_NONE, 0
            };
            GPtrArray *frames = play_from_seek(text, &seek);
            expect(&c, frames, i, c.n - 1);
            g_ptr_array_unref(frames);
        }
        g_free(text);
    }
    end(&c);
}
GST_END_TEST;

/* Key units are found in both files: in "ls" at frames 0, 3, 6 and 7, 9, 11. */
GST_START_TEST(test_seek_key_unit)
{
    static const struct {
        guint to, lands;
        GstSeekFlags snap;
    } cases[] = {
        { 5, 3, 0 },
        { 7, 7, 0 },
        { 8, 7, 0 },
        { 10, 9, GST_SEEK_FLAG_SNAP_BEFORE },
        { 10, 11, GST_SEEK_FLAG_SNAP_AFTER },
        { 6, 6, 0 },
        { 5, 6, GST_SEEK_FLAG_SNAP_AFTER },
    };
    Chain c;
    begin(&c, "ls");
    char *text = launch(0, &c);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const SeekCall seek = { 1.,
                                GST_SEEK_FLAG_KEY_UNIT | cases[i].snap,
                                GST_SEEK_TYPE_SET,
                                (gint64)c.pts[cases[i].to],
                                GST_SEEK_TYPE_NONE,
                                0 };
        GPtrArray *frames = play_from_seek(text, &seek);
        expect(&c, frames, cases[i].lands, c.n - 1);
        g_ptr_array_unref(frames);
    }
    g_free(text);
    end(&c);
}
GST_END_TEST;

GST_START_TEST(test_reverse)
{
    Chain c;
    begin(&c, chains[__i__]);
    const SeekCall seek = { -1., GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET,
                            0,   GST_SEEK_TYPE_SET,      (gint64)c.end };
    char *text = launch(0, &c);
    GPtrArray *frames = play_from_seek(text, &seek);
    expect(&c, frames, c.n - 1, 0);
    g_ptr_array_unref(frames);
    g_free(text);
    end(&c);
}
GST_END_TEST;

/* A file that was cut, and then another: the second follows the first's last whole frame. */
GST_START_TEST(test_cut_first)
{
    gsize offset[7 + 1];
    GBytes *again = make_stream(7, 3, offset), *cut;
    fail_unless(g_bytes_equal(again, large));
    for (guint keep = 1; keep < 7; keep++) {
        Chain c = { .bytes = g_byte_array_new(), .pictures = new_frames() };
        cut = g_bytes_new_from_bytes(large, 0, offset[keep]);
        append(&c, cut);
        append(&c, small);
        GBytes *bytes = g_bytes_new(c.bytes->data, c.bytes->len);
        c.path = write_temp(bytes);
        for (guint i = 0; i < 2; i++) {
            char *text = launch(i, &c);
            RunResult r;
            GPtrArray *frames = new_frames();
            run_pipeline(text, 60, collect_frames, NULL, frames, &r);
            fail_unless(r.eos && !r.error);
            expect(&c, frames, 0, c.n - 1);
            g_ptr_array_unref(frames);
            run_result_clear(&r);
            g_free(text);
        }
        g_bytes_unref(bytes);
        g_bytes_unref(cut);
        end(&c);
    }
    g_bytes_unref(again);
}
GST_END_TEST;

/* Of a variable rate a stream holds times but no durations: none are made up. Behind each other, the first's last frame
 * is taken to last as long as the one before it. */
GST_START_TEST(test_variable_rate)
{
    static const GstClockTime ms[] = { 0, 40, 95, 96, 400 };
    GstHarness *h = gst_harness_new_with_element(tiny_encoder(4), "sink", "src");
    GstVideoInfo info;
    GByteArray *chain = g_byte_array_new();

    video_info(&info, GST_VIDEO_FORMAT_NV12, 64, 48, 0, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    for (guint i = 0; i < 5; i++) {
        GstBuffer *buffer = picture(&info, i);
        GST_BUFFER_PTS(buffer) = ms[i] * GST_MSECOND;
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    GBytes *stream = gst_harness_take_all_data_as_bytes(h);
    gst_harness_teardown(h);

    for (guint copies = 1; copies < 4; copies++) {
        g_byte_array_append(chain, g_bytes_get_data(stream, NULL), (guint)g_bytes_get_size(stream));
        GBytes *bytes = g_bytes_new(chain->data, chain->len);
        GPtrArray *frames = decode(bytes);
        fail_unless_equals_int(frames->len, 5 * copies);
        for (guint i = 0; i < frames->len; i++) {
            GstBuffer *frame = g_ptr_array_index(frames, i);
            fail_unless_equals_uint64(GST_BUFFER_PTS(frame), (i / 5 * 704 + ms[i % 5]) * GST_MSECOND);
            fail_unless_equals_uint64(GST_BUFFER_DURATION(frame), GST_CLOCK_TIME_NONE);
        }
        g_ptr_array_unref(frames);
        g_bytes_unref(bytes);
    }
    g_bytes_unref(stream);
    g_byte_array_unref(chain);
}
GST_END_TEST;

/* --- in containers --- */

static const struct {
    const char *mux, *demux, *chain;
    bool plays; /* else nothing is written that is wrong: the muxer refuses */
} changes[] = {
    { "nervfilemux", "nervparse", "ls", true },
    { "nervfilemux", "nervparse", "lr", true },
    { "nervmp4mux", "qtdemux ! nervparse", "lr", true },
    { "nervmp4mux", NULL, "ls", false },
    { "nervmp4mux fragment-duration=200", NULL, "ls", false },
    { "nervmkvmux", NULL, "ls", false },
    { "nervmkvmux", NULL, "lr", false },
};

/* Size, format and rate change in mid-stream where the container can say so. */
GST_START_TEST(test_containers)
{
    Chain c;
    RunResult r;
    begin(&c, changes[__i__].chain);
    char *file = g_strconcat(c.path, ".muxed", NULL);
    char *text = g_strdup_printf("filesrc location=%s ! nervparse ! %s ! filesink location=%s", c.path,
                                 changes[__i__].mux, file);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos == changes[__i__].plays && !r.error == changes[__i__].plays, "%s: %s", text,
                r.error ? r.error->message : "no error");
    run_result_clear(&r);
    g_free(text);
    if (changes[__i__].plays) {
        GPtrArray *frames = new_frames();
        text = g_strdup_printf("filesrc location=%s ! %s ! nervdec ! fakesink name=sink", file,
                               changes[__i__].demux);
        run_pipeline(text, 60, collect_frames, NULL, frames, &r);
        fail_unless(r.eos && !r.error, "%s: %s", text, r.error ? r.error->message : "no end");
        expect(&c, frames, 0, c.n - 1);
        g_ptr_array_unref(frames);
        run_result_clear(&r);
        g_free(text);
    }
    unlink(file);
    g_free(file);
    end(&c);
}
GST_END_TEST;

static Suite *concat_suite(void)
{
    Suite *s = suite_create("concat");
    TCase *tc = tcase_create("concat");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_play, 0, G_N_ELEMENTS(chains));
    tcase_add_loop_test(tc, test_duration, 0, G_N_ELEMENTS(chains));
    tcase_add_loop_test(tc, test_seek, 0, G_N_ELEMENTS(chains));
    tcase_add_test(tc, test_seek_key_unit);
    tcase_add_loop_test(tc, test_reverse, 0, G_N_ELEMENTS(chains));
    tcase_add_test(tc, test_cut_first);
    tcase_add_test(tc, test_variable_rate);
    tcase_add_loop_test(tc, test_containers, 0, G_N_ELEMENTS(changes));
    return s;
}

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    gst_pb_utils_init();
    return gst_check_run_suite(concat_suite(), "concat", __FILE__);
}

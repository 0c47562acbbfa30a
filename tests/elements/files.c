/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Streams in files, through the pipelines that people write: filesrc, decodebin, playbin, gst-discoverer, seeking
 * forwards and backwards, gdppay; cut files.
 */
#include <glib/gstdio.h>
#include <gst/pbutils/pbutils.h>
#include <string.h>

#include "common.h"

#define N       30
#define SEGMENT 7
#define FRAME   (40 * GST_MSECOND)

static GBytes *stream;       /* N frames in segments of SEGMENT */
static gsize offset[N + 1];  /* of its access units */
static GPtrArray *reference; /* its decoded frames */
static char *path;           /* its file */

static void setup(void)
{
    stream = make_stream(N, SEGMENT, offset);
    reference = decode(stream);
    fail_unless_equals_int(reference->len, N);
    path = write_temp(stream);
}

static void teardown(void)
{
    g_unlink(path);
    g_free(path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}

/* Frame k of `frames` is frame number i of the stream, with its picture. */
static void expect_frame(GPtrArray *frames, guint k, guint i)
{
    GstBuffer *buffer = g_ptr_array_index(frames, k);
    fail_unless(same_content(buffer, g_ptr_array_index(reference, i)),
                "the picture of frame %u is not its own", i);
    fail_unless(GST_BUFFER_PTS(buffer) >= i * FRAME && GST_BUFFER_PTS(buffer) < (i + 1) * FRAME,
                "frame %u at %" GST_TIME_FORMAT, i, GST_TIME_ARGS(GST_BUFFER_PTS(buffer)));
}

/* Runs and expects the stream's frames 0..n-1. */
static void expect_frames(const char *description, guint n)
{
    GPtrArray *frames = new_frames();
    RunResult r;
    run_pipeline(description, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error, "%s: %s", description, r.error ? r.error->message : "no end");
    fail_unless_equals_int(frames->len, n);
    for (guint i = 0; i < n; i++) {
        expect_frame(frames, i, i);
        fail_unless_equals_uint64(GST_BUFFER_PTS(g_ptr_array_index(frames, i)), i * FRAME);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(g_ptr_array_index(frames, i)), FRAME);
    }
    g_ptr_array_unref(frames);
    run_result_clear(&r);
}

static char *launch(const char *format, const char *file)
{
    return g_strdup_printf(format, file);
}

static const char *const players[] = {
    "filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink",
    "filesrc location=%s blocksize=100 ! queue ! nervparse ! nervdec ! fakesink name=sink",
    "filesrc location=%s ! decodebin ! video/x-raw ! fakesink name=sink",
    "filesrc location=%s ! parsebin ! nervdec ! queue ! fakesink name=sink",
    "filesrc location=%s ! nervparse ! gdppay ! gdpdepay ! nervdec ! fakesink name=sink",
};

GST_START_TEST(test_play)
{
    char *text = launch(players[__i__], path);
    expect_frames(text, N);
    g_free(text);
}
GST_END_TEST;

/* Not playbin3: 1.22's stops now and then before the end of so short a file, of any codec. */
GST_START_TEST(test_playbin)
{
    char *uri = gst_filename_to_uri(path, NULL);
    char *text = launch("playbin uri=%s flags=video video-sink=\"fakesink name=sink\"", uri);
    expect_frames(text, N);
    g_free(text);
    g_free(uri);
}
GST_END_TEST;

GST_START_TEST(test_encode_to_file)
{
    char *out = write_temp(stream), *text;
    RunResult r;
    GPtrArray *frames = new_frames();
    text =
        launch("videotestsrc num-buffers=10 ! video/x-raw,width=64,height=48,framerate=30000/1001 ! " TINY_ENC
               " segment-frames=4 ! filesink location=%s",
               out);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error);
    run_result_clear(&r);
    g_free(text);
    text = launch("filesrc location=%s ! decodebin ! fakesink name=sink", out);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error);
    fail_unless_equals_int(frames->len, 10);
    for (guint i = 0; i < 10; i++)
        fail_unless_equals_uint64(GST_BUFFER_PTS(g_ptr_array_index(frames, i)),
                                  gst_util_uint64_scale(i, 1001 * GST_SECOND, 30000));
    run_result_clear(&r);
    g_ptr_array_unref(frames);
    g_unlink(out);
    g_free(text);
    g_free(out);
}
GST_END_TEST;

GST_START_TEST(test_discoverer)
{
    GError *error = NULL;
    GstDiscoverer *discoverer = gst_discoverer_new(20 * GST_SECOND, &error);
    char *uri = gst_filename_to_uri(path, NULL);
    GstDiscovererInfo *info = gst_discoverer_discover_uri(discoverer, uri, &error);
    GList *videos;
    GstDiscovererVideoInfo *video;
    const GstTagList *tags;
    char *codec = NULL;

    fail_unless(info != NULL && !error);
    fail_unless_equals_int(gst_discoverer_info_get_result(info), GST_DISCOVERER_OK);
    fail_unless_equals_uint64(gst_discoverer_info_get_duration(info), N * FRAME);
    fail_unless(gst_discoverer_info_get_seekable(info));
    videos = gst_discoverer_info_get_video_streams(info);
    fail_unless_equals_int(g_list_length(videos), 1);
    video = videos->data;
    fail_unless_equals_int(gst_discoverer_video_info_get_width(video), 64);
    fail_unless_equals_int(gst_discoverer_video_info_get_height(video), 48);
    fail_unless_equals_int(gst_discoverer_video_info_get_framerate_num(video), 25);
    fail_unless_equals_int(gst_discoverer_video_info_get_framerate_denom(video), 1);
    tags = gst_discoverer_stream_info_get_tags(GST_DISCOVERER_STREAM_INFO(video));
    fail_unless(tags && gst_tag_list_get_string(tags, GST_TAG_VIDEO_CODEC, &codec));
    fail_unless(strstr(codec, "NeRV") != NULL);
    g_free(codec);
    gst_discoverer_stream_info_list_free(videos);
    gst_discoverer_info_unref(info);
    g_object_unref(discoverer);
    g_free(uri);
}
GST_END_TEST;

/* --- seeking --- */

typedef struct {
    double rate;
    GstSeekFlags flags;
    GstClockTime start, stop;
    guint first, last; /* frames that must come out, in this order */
} Seek;

static void seek_and_check(const char *format, const Seek *s)
{
    const SeekCall call = { .rate = s->rate,
                            .flags = s->flags,
                            .start_type = GST_SEEK_TYPE_SET,
                            .start = s->start,
                            .stop_type =
                                GST_CLOCK_TIME_IS_VALID(s->stop) ? GST_SEEK_TYPE_SET : GST_SEEK_TYPE_NONE,
                            .stop = s->stop };
    char *text = launch(format, path);
    GPtrArray *frames = play_from_seek(text, &call);
    const bool forward = s->rate > 0.;
    guint n = (forward ? s->last - s->first : s->first - s->last) + 1;

    fail_unless_equals_int(frames->len, n);
    for (guint k = 0; k < n; k++)
        expect_frame(frames, k, forward ? s->first + k : s->first - k);
    g_ptr_array_unref(frames);
    g_free(text);
}

static const Seek seeks[] = {
    { 1., GST_SEEK_FLAG_ACCURATE, 0, GST_CLOCK_TIME_NONE, 0, 29 },
    { 1., GST_SEEK_FLAG_ACCURATE, 10 * FRAME, GST_CLOCK_TIME_NONE, 10, 29 },
    { 1., GST_SEEK_FLAG_ACCURATE, 12 * FRAME + 7 * GST_MSECOND, GST_CLOCK_TIME_NONE, 12, 29 },
    { 1., GST_SEEK_FLAG_ACCURATE, 29 * FRAME, GST_CLOCK_TIME_NONE, 29, 29 },
    { 1., GST_SEEK_FLAG_ACCURATE, 5 * FRAME, 16 * FRAME, 5, 15 },
    { 1., 0, 20 * FRAME, GST_CLOCK_TIME_NONE, 20, 29 },
    { 1., GST_SEEK_FLAG_ACCURATE, 14 * FRAME, GST_CLOCK_TIME_NONE, 14, 29 },
    { 2., GST_SEEK_FLAG_ACCURATE, 10 * FRAME, GST_CLOCK_TIME_NONE, 10, 29 },
};

GST_START_TEST(test_seek_file)
{
    seek_and_check("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", &seeks[__i__]);
}
GST_END_TEST;

/* In push mode the parser finds its way with what it has seen so far. */
GST_START_TEST(test_seek_pushed)
{
    seek_and_check(
        "filesrc location=%s ! queue max-size-buffers=1 ! nervparse ! nervdec ! fakesink name=sink",
        &seeks[__i__]);
}
GST_END_TEST;

/* Seeks to key units start at one. */
static const Seek key_seeks[] = {
    { 1., GST_SEEK_FLAG_KEY_UNIT, 10 * FRAME, GST_CLOCK_TIME_NONE, 7, 29 },
    { 1., GST_SEEK_FLAG_KEY_UNIT, 14 * FRAME, GST_CLOCK_TIME_NONE, 14, 29 },
    { 1., GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_BEFORE, 20 * FRAME, GST_CLOCK_TIME_NONE, 14, 29 },
    { 1., GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_AFTER, 15 * FRAME, GST_CLOCK_TIME_NONE, 21, 29 },
    { 1., GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_NEAREST, 20 * FRAME, GST_CLOCK_TIME_NONE, 21, 29 },
    { 1., GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_NEAREST, 16 * FRAME, GST_CLOCK_TIME_NONE, 14, 29 },
    { 1., GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_AFTER, 29 * FRAME, GST_CLOCK_TIME_NONE, 28, 29 },
    { 1., GST_SEEK_FLAG_KEY_UNIT | GST_SEEK_FLAG_SNAP_AFTER, 15 * FRAME, 18 * FRAME, 14,
      17 }, /* 21 is too late */
};

GST_START_TEST(test_seek_key_unit)
{
    seek_and_check("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", &key_seeks[__i__]);
}
GST_END_TEST;

static const Seek reverse_seeks[] = {
    { -1., GST_SEEK_FLAG_ACCURATE, 0, N *FRAME, 29, 0 },
    { -1., GST_SEEK_FLAG_ACCURATE, 0, 10 * FRAME, 9, 0 },
    { -1., GST_SEEK_FLAG_ACCURATE, 10 * FRAME, 20 * FRAME, 19, 10 },
};

GST_START_TEST(test_reverse)
{
    seek_and_check("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", &reverse_seeks[__i__]);
}
GST_END_TEST;

static const char *const seekers[] = {
    "filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink",
    "filesrc location=%s ! queue max-size-buffers=1 ! nervparse ! nervdec ! fakesink name=sink",
    "filesrc location=%s ! decodebin ! video/x-raw ! fakesink name=sink",
};

/* The end of the file, and far behind it: nothing to show, and no error. */
GST_START_TEST(test_seek_to_end)
{
    static const gint64 targets[] = { N * FRAME, N * FRAME + 1, 1000 * GST_SECOND };
    char *text = launch(seekers[__i__], path);
    for (guint i = 0; i < G_N_ELEMENTS(targets); i++) {
        const SeekCall call = { 1.,         GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET,
                                targets[i], GST_SEEK_TYPE_NONE,     0 };
        GPtrArray *frames = play_from_seek(text, &call);
        fail_unless_equals_int(frames->len, 0);
        g_ptr_array_unref(frames);
    }
    g_free(text);
}
GST_END_TEST;

typedef struct {
    SeekCall call;
    guint first, last;
} AnySeek;

static void expect_seek(const char *format, const AnySeek *s)
{
    char *text = launch(format, path);
    GPtrArray *frames = play_from_seek(text, &s->call);
    const bool forward = s->first <= s->last;
    fail_unless_equals_int(frames->len, (forward ? s->last - s->first : s->first - s->last) + 1);
    for (guint k = 0; k < frames->len; k++)
        expect_frame(frames, k, forward ? s->first + k : s->first - k);
    g_ptr_array_unref(frames);
    g_free(text);
}

/* Positions counted from the end, and those that stay as they are. */
static const AnySeek seek_types[] = {
    { { 1., 0, GST_SEEK_TYPE_END, -5 * (gint64)FRAME, GST_SEEK_TYPE_NONE, 0 }, 25, 29 },
    { { 1., GST_SEEK_FLAG_KEY_UNIT, GST_SEEK_TYPE_END, -5 * (gint64)FRAME, GST_SEEK_TYPE_NONE, 0 }, 21, 29 },
    { { 1., 0, GST_SEEK_TYPE_END, -1000 * (gint64)FRAME, GST_SEEK_TYPE_END, -10 * (gint64)FRAME }, 0, 19 },
    { { 1., 0, GST_SEEK_TYPE_SET, 3 * FRAME, GST_SEEK_TYPE_END, 0 }, 3, 29 },
    { { 1., 0, GST_SEEK_TYPE_NONE, 0, GST_SEEK_TYPE_SET, 10 * FRAME }, 0, 9 },
    { { 2., 0, GST_SEEK_TYPE_NONE, 0, GST_SEEK_TYPE_NONE, 0 }, 0, 29 },
    { { -1., 0, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_END, -10 * (gint64)FRAME }, 19, 0 },
    { { -1., 0, GST_SEEK_TYPE_SET, 20 * FRAME, GST_SEEK_TYPE_SET, -1 }, 29, 20 },
    { { -1., 0, GST_SEEK_TYPE_NONE, 0, GST_SEEK_TYPE_END, 0 }, 29, 0 },
};

GST_START_TEST(test_seek_types)
{
    expect_seek(seekers[0], &seek_types[__i__]);
}
GST_END_TEST;

/* A key-unit trick mode shows the segments' first frames (0, 7, 14, 21, 28). */
static const struct {
    SeekCall call;
    guint n, frames[5];
} trick_seeks[] = {
    { { 8., GST_SEEK_FLAG_KEY_UNIT, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_NONE, 0 }, 5, { 0, 7, 14, 21, 28 } },
    { { 1., 0, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, 20 * FRAME }, 3, { 0, 7, 14 } },
    { { 2., GST_SEEK_FLAG_KEY_UNIT, GST_SEEK_TYPE_SET, 16 * FRAME, GST_SEEK_TYPE_NONE, 0 },
      3,
      { 14, 21, 28 } },
    { { -4., 0, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, N *FRAME }, 5, { 28, 21, 14, 7, 0 } },
    { { -1., 0, GST_SEEK_TYPE_SET, 5 * FRAME, GST_SEEK_TYPE_SET, 23 * FRAME }, 3, { 21, 14, 7 } },
};

GST_START_TEST(test_trick_mode)
{
    for (guint player = 0; player < G_N_ELEMENTS(seekers); player++) {
        SeekCall call = trick_seeks[__i__].call;
        if (player == 1 && (call.rate < 0. || call.start > 0))
            continue; /* what is pushed can't go backwards, and knows no key units before they came by */
        call.flags |= GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_KEY_UNITS;
        char *text = launch(seekers[player], path);
        GPtrArray *frames = play_from_seek(text, &call);
        fail_unless_equals_int(frames->len, trick_seeks[__i__].n);
        for (guint k = 0; k < frames->len; k++)
            expect_frame(frames, k, trick_seeks[__i__].frames[k]);
        g_ptr_array_unref(frames);
        g_free(text);
    }
}
GST_END_TEST;

/* --- damaged and unfinished files --- */

/* Decodes `bytes` of the stream's beginning from a file, expects n frames. */
static void expect_cut(gsize bytes, guint n)
{
    GBytes *cut = g_bytes_new_from_bytes(stream, 0, bytes);
    char *file = write_temp(cut);
    for (guint i = 0; i < 3; i++) {
        char *text = launch(players[i], file);
        expect_frames(text, n);
        g_free(text);
    }
    g_unlink(file);
    g_free(file);
    g_bytes_unref(cut);
}

GST_START_TEST(test_cut_file)
{
    expect_cut(offset[SEGMENT], SEGMENT);
    expect_cut(offset[SEGMENT] + (offset[SEGMENT + 1] - offset[SEGMENT]) / 2, SEGMENT);
    expect_cut(offset[9] + 1, 9);
    expect_cut(offset[9] - 1, 8);
}
GST_END_TEST;

/* Less than a segment: an error for people, not a hang. */
GST_START_TEST(test_hopeless_file)
{
    GBytes *cut = g_bytes_new_from_bytes(stream, 0, offset[1] / 2);
    char *file = write_temp(cut), *text = launch(players[0], file);
    RunResult r;
    run_pipeline(text, 30, NULL, NULL, NULL, &r);
    fail_unless(r.error != NULL && r.error->message[0] && r.debug && r.debug[0]);
    run_result_clear(&r);
    g_unlink(file);
    g_free(text);
    g_free(file);
    g_bytes_unref(cut);
}
GST_END_TEST;

/* The first network is damaged: a warning, and the other segments are all there. */
GST_START_TEST(test_damaged_file)
{
    gsize size;
    guint8 *copy = g_memdup2(g_bytes_get_data(stream, &size), g_bytes_get_size(stream));
    GBytes *bytes;
    GPtrArray *frames = new_frames();
    char *file, *text;
    RunResult r;

    copy[offset[1] / 2] ^= 4;
    bytes = g_bytes_new_take(copy, size);
    file = write_temp(bytes);
    text = launch(players[0], file);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error);
    fail_unless(r.warnings >= 1);
    fail_unless_equals_int(frames->len, N - SEGMENT);
    for (guint k = 0; k < frames->len; k++)
        expect_frame(frames, k, SEGMENT + k);
    run_result_clear(&r);
    g_ptr_array_unref(frames);
    g_unlink(file);
    g_free(text);
    g_free(file);
    g_bytes_unref(bytes);
}
GST_END_TEST;

static Suite *files_suite(void)
{
    Suite *s = suite_create("files");
    TCase *tc = tcase_create("files");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_play, 0, G_N_ELEMENTS(players));
    tcase_add_test(tc, test_playbin);
    tcase_add_test(tc, test_encode_to_file);
    tcase_add_test(tc, test_discoverer);
    tcase_add_loop_test(tc, test_seek_file, 0, G_N_ELEMENTS(seeks));
    tcase_add_loop_test(tc, test_seek_pushed, 0, G_N_ELEMENTS(seeks));
    tcase_add_loop_test(tc, test_seek_key_unit, 0, G_N_ELEMENTS(key_seeks));
    tcase_add_loop_test(tc, test_reverse, 0, G_N_ELEMENTS(reverse_seeks));
    tcase_add_loop_test(tc, test_seek_to_end, 0, G_N_ELEMENTS(seekers));
    tcase_add_loop_test(tc, test_seek_types, 0, G_N_ELEMENTS(seek_types));
    tcase_add_loop_test(tc, test_trick_mode, 0, G_N_ELEMENTS(trick_seeks));
    tcase_add_test(tc, test_cut_file);
    tcase_add_test(tc, test_hopeless_file);
    tcase_add_test(tc, test_damaged_file);
    return s;
}

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    gst_pb_utils_init();
    return gst_check_run_suite(files_suite(), "files", __FILE__);
}

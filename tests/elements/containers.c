/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Neural video beside audio in MP4 and Matroska, with stock demuxers: times, key flags, seeking, what players and gst-discoverer make of
 * it. docs/compatibility.md is the table of what is looked at here.
 */
#include <glib/gstdio.h>
#include <gst/pbutils/pbutils.h>
#include <math.h>
#include <string.h>

#include "common.h"

#define N       30
#define SEGMENT 7
#define FRAME   (40 * GST_MSECOND)
#define AUDIO   60 /* buffers of 20 ms */

/* A seek for a key unit lands on the last one before, on one before, or, as the demuxer has it, where it was sent. */
typedef enum { LAST_KEY, ANY_KEY, FRAME_ITSELF } Land;

typedef struct {
    const char *name, *mux, *demux;
    Land lands; /* where a seek to a key unit does, Land */
} Kind;

static const Kind kinds[] = {
    { "mp4", "nervmp4mux", "qtdemux", LAST_KEY },
    { "mp4-faststart", "nervmp4mux faststart=true", "qtdemux", LAST_KEY },
    { "mp4-fragmented", "nervmp4mux fragment-duration=200", "qtdemux", FRAME_ITSELF },
    { "mkv", "nervmkvmux", "matroskademux", ANY_KEY },
    { "mkv-streamable", "nervmkvmux streamable=true", "matroskademux", ANY_KEY },
};

static GBytes *stream;
static GPtrArray *reference; /* its decoded frames */
static char *raw_path, *path[G_N_ELEMENTS(kinds)], *silent[G_N_ELEMENTS(kinds)];

/* In a process of its own: each test is a fork of this one, to which threads that pipelines have left here would not come along. */
static char *make_file(guint kind, const char *audio)
{
    char *file = write_temp(stream);
    char *line = g_strdup_printf(
        "gst-launch-1.0 -q filesrc location=%s ! nervparse ! queue ! m. %s %s name=m ! filesink location=%s",
        raw_path, audio, kinds[kind].mux, file);
    char *output = NULL, *errors = NULL;
    gint status = -1;
    fail_unless(g_spawn_command_line_sync(line, &output, &errors, &status, NULL) && status == 0, "%s: %s%s",
                kinds[kind].name, output, errors);
    g_free(output);
    g_free(errors);
    g_free(line);
    return file;
}

static void setup(void)
{
    stream = make_stream(N, SEGMENT, NULL);
    reference = decode(stream);
    raw_path = write_temp(stream);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        path[i] = make_file(
            i, "audiotestsrc num-buffers=" G_STRINGIFY(
                   AUDIO) " samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! opusenc ! queue ! m.");
        silent[i] = make_file(i, "");
    }
}

static void teardown(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_unlink(path[i]);
        g_free(path[i]);
        g_unlink(silent[i]);
        g_free(silent[i]);
    }
    g_unlink(raw_path);
    g_free(raw_path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}

/* Frame k is the stream's frame i at its very time. */
static void expect_frame(const char *what, GPtrArray *frames, guint k, guint i)
{
    GstBuffer *buffer = g_ptr_array_index(frames, k);
    fail_unless(same_content(buffer, g_ptr_array_index(reference, i)), "%s: frame %u is another picture",
                what, i);
    fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), i * FRAME);
}

static void expect_frames(const char *what, const char *text)
{
    GPtrArray *frames = new_frames();
    RunResult r;
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error, "%s: %s: %s", what, text, r.error ? r.error->message : "no end");
    fail_unless(frames->len == N, "%s: %u frames", what, frames->len);
    for (guint i = 0; i < N; i++)
        expect_frame(what, frames, i, i);
    g_ptr_array_unref(frames);
    run_result_clear(&r);
}

GST_START_TEST(test_demux)
{
    const Kind *k = &kinds[__i__];
    char *text = g_strdup_printf("filesrc location=%s ! %s name=d d.video_0 ! queue ! nervparse ! nervdec ! "
                                 "fakesink name=sink d.audio_0 ! queue ! fakesink",
                                 path[__i__], k->demux);
    expect_frames(k->name, text);
    g_free(text);
    text = g_strdup_printf(
        "filesrc location=%s ! decodebin name=d ! video/x-raw ! queue ! fakesink name=sink d. ! "
        "audio/x-raw ! queue ! fakesink",
        path[__i__]);
    expect_frames(k->name, text);
    g_free(text);
}
GST_END_TEST;

/* Not playbin3: 1.22's stops now and then before the end of so short a file, of any codec. */
GST_START_TEST(test_playbin)
{
    char *uri = gst_filename_to_uri(path[__i__], NULL);
    char *text = g_strdup_printf("playbin uri=%s flags=video video-sink=\"fakesink name=sink\"", uri);
    expect_frames(kinds[__i__].name, text);
    g_free(text);
    g_free(uri);
}
GST_END_TEST;

/* --- key flags and audio --- */

static GstPadProbeReturn count_keys(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    GString *keys = user;
    g_string_append_c(
        keys,
        GST_BUFFER_FLAG_IS_SET(GST_PAD_PROBE_INFO_BUFFER(info), GST_BUFFER_FLAG_DELTA_UNIT) ? '.' : 'K');
    return GST_PAD_PROBE_OK;
}

static void watch_keys(GstElement *pipeline, gpointer keys)
{
    GstElement *queue = gst_bin_get_by_name(GST_BIN(pipeline), "demuxed");
    GstPad *pad = gst_element_get_static_pad(queue, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, count_keys, keys, NULL);
    gst_object_unref(pad);
    gst_object_unref(queue);
}

/* As the demuxer hands them out, before any parser. */
GST_START_TEST(test_key_flags)
{
    GString *keys = g_string_new(NULL);
    RunResult r;
    char *text = g_strdup_printf("filesrc location=%s ! %s name=d d.video_0 ! queue name=demuxed ! fakesink "
                                 "d.audio_0 ! queue ! fakesink",
                                 path[__i__], kinds[__i__].demux);
    run_pipeline(text, 60, watch_keys, NULL, keys, &r);
    fail_unless(r.eos && !r.error);
    fail_unless_equals_int(keys->len, N);
    for (guint i = 0; i < N; i++)
        fail_unless(keys->str[i] == (i % SEGMENT ? '.' : 'K'), "%s: %s", kinds[__i__].name, keys->str);
    g_string_free(keys, TRUE);
    run_result_clear(&r);
    g_free(text);
}
GST_END_TEST;

GST_START_TEST(test_audio)
{
    GPtrArray *frames = new_frames();
    RunResult r;
    guint64 bytes = 0;
    char *text = g_strdup_printf(
        "filesrc location=%s ! %s name=d d.audio_0 ! queue ! opusdec ! audio/x-raw,format=S16LE ! "
        "fakesink name=sink d.video_0 ! queue ! fakesink",
        path[__i__], kinds[__i__].demux);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error);
    fail_unless(frames->len >= AUDIO - 1);
    fail_unless(GST_BUFFER_PTS(g_ptr_array_index(frames, 0)) < 30 * GST_MSECOND);
    for (guint i = 0; i < frames->len; i++)
        bytes += gst_buffer_get_size(g_ptr_array_index(frames, i));
    fail_unless(fabs((double)bytes / (2 * 960 * AUDIO) - 1.) < .05,
                "%s: %" G_GUINT64_FORMAT " bytes of audio", kinds[__i__].name, bytes);
    g_ptr_array_unref(frames);
    run_result_clear(&r);
    g_free(text);
}
GST_END_TEST;

/* --- gst-discoverer --- */

GST_START_TEST(test_discoverer)
{
    GError *error = NULL;
    GstDiscoverer *discoverer = gst_discoverer_new(20 * GST_SECOND, &error);
    char *uri = gst_filename_to_uri(path[__i__], NULL);
    GstDiscovererInfo *info = gst_discoverer_discover_uri(discoverer, uri, &error);
    fail_unless(info && !error);
    fail_unless_equals_int(gst_discoverer_info_get_result(info), GST_DISCOVERER_OK);
    GList *videos = gst_discoverer_info_get_video_streams(info);
    GList *audios = gst_discoverer_info_get_audio_streams(info);
    /* what the demuxer calls it is listed before what the parser makes of it */
    GstDiscovererVideoInfo *video = NULL;
    for (GList *at = videos; at; at = at->next) {
        GstCaps *caps = gst_discoverer_stream_info_get_caps(at->data);
        if (gst_structure_has_name(gst_caps_get_structure(caps, 0), "video/x-nerv"))
            video = at->data;
        gst_caps_unref(caps);
    }
    fail_unless(video != NULL);
    fail_unless_equals_int(g_list_length(audios), 1);
    fail_unless_equals_int(gst_discoverer_video_info_get_width(video), 64);
    fail_unless_equals_int(gst_discoverer_video_info_get_height(video), 48);
    fail_unless_equals_int(gst_discoverer_video_info_get_framerate_num(video), 25);
    if (strcmp(kinds[__i__].name, "mkv-streamable") != 0)
        fail_unless(ABS(GST_CLOCK_DIFF(gst_discoverer_info_get_duration(info), N * FRAME)) <
                        30 * (gint64)GST_MSECOND,
                    "%s: %" GST_TIME_FORMAT, kinds[__i__].name,
                    GST_TIME_ARGS(gst_discoverer_info_get_duration(info)));
    gst_discoverer_stream_info_list_free(videos);
    gst_discoverer_stream_info_list_free(audios);
    gst_discoverer_info_unref(info);
    g_object_unref(discoverer);
    g_free(uri);
}
GST_END_TEST;

/* --- seeking --- */

static void expect_from(guint kind, const char *file, GstSeekFlags flags, guint from)
{
    const SeekCall call = { 1., flags, GST_SEEK_TYPE_SET, (gint64)(from * FRAME), GST_SEEK_TYPE_NONE, 0 };
    char *text = g_strdup_printf("filesrc location=%s ! decodebin ! video/x-raw ! fakesink name=sink", file);
    GPtrArray *frames = play_from_seek(text, &call);
    const Land lands = flags & GST_SEEK_FLAG_ACCURATE ? FRAME_ITSELF : kinds[kind].lands;
    fail_unless(frames->len > 0 && frames->len <= N);
    const guint first = N - frames->len;
    fail_unless(lands == LAST_KEY  ? first == from / SEGMENT * SEGMENT
                : lands == ANY_KEY ? first <= from && first % SEGMENT == 0
                                   : first == from,
                "%s: sought %u, got %u", kinds[kind].name, from, first);
    for (guint k = 0; k < frames->len; k++)
        expect_frame(kinds[kind].name, frames, k, first + k);
    g_ptr_array_unref(frames);
    g_free(text);
}

GST_START_TEST(test_seek_accurate)
{
    static const guint from[] = { 0, 1, 6, 7, 13, 20, 29 };
    for (guint i = 0; i < G_N_ELEMENTS(from); i++) {
        expect_from(__i__, path[__i__], GST_SEEK_FLAG_ACCURATE, from[i]);
        expect_from(__i__, silent[__i__], GST_SEEK_FLAG_ACCURATE, from[i]);
    }
}
GST_END_TEST;

GST_START_TEST(test_seek_key_unit)
{
    static const guint from[] = { 0, 6, 7, 20, 29 };
    for (guint i = 0; i < G_N_ELEMENTS(from); i++)
        expect_from(__i__, silent[__i__], GST_SEEK_FLAG_KEY_UNIT, from[i]);
}
GST_END_TEST;

int main(int argc, char **argv)
{
    const int n = G_N_ELEMENTS(kinds);
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("containers");
    TCase *tc = tcase_create("containers");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_demux, 0, n);
    tcase_add_loop_test(tc, test_playbin, 0, n);
    tcase_add_loop_test(tc, test_key_flags, 0, n);
    tcase_add_loop_test(tc, test_audio, 0, n);
    tcase_add_loop_test(tc, test_discoverer, 0, n);
    tcase_add_loop_test(tc, test_seek_accurate, 0, n);
    tcase_add_loop_test(tc, test_seek_key_unit, 0, n);
    return gst_check_run_suite(s, "containers", __FILE__);
}

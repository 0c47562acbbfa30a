/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Neural video by GDP and RTP, in files that splitmuxsink cuts and in those that encodebin makes of a profile; and what an
 * application is told where the decoder is missing.
 */
#include <glib/gstdio.h>
#include <gst/pbutils/pbutils.h>
#include <string.h>

#include "common.h"

#define N       30
#define SEGMENT 7
#define FRAME   (40 * GST_MSECOND)

static GBytes *stream;
static GPtrArray *reference; /* its decoded frames */
static char *path, *directory;

static void setup(void)
{
    stream = make_stream(N, SEGMENT, NULL);
    reference = decode(stream);
    path = write_temp(stream);
    directory = g_dir_make_tmp("nerv-transport-XXXXXX", NULL);
    fail_unless(directory != NULL);
}

static void teardown(void)
{
    g_unlink(path);
    g_free(path);
    g_rmdir(directory);
    g_free(directory);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}

/* Runs a pipeline with a sink named "sink": its frames are the stream's from `begin` on, at their very times, of which the first one's is `zero`. */
static void expect_frames(const char *text, PipelineFunc also, guint begin, GstClockTime zero)
{
    GPtrArray *frames = new_frames();
    RunResult r;
    run_pipeline(text, 60, also ? also : collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error, "%s: %s", text, r.error ? r.error->message : "no end");
    fail_unless(frames->len == N - begin, "%s: %u frames", text, frames->len);
    for (guint k = 0; k < frames->len; k++) {
        GstBuffer *buffer = g_ptr_array_index(frames, k);
        fail_unless(same_content(buffer, g_ptr_array_index(reference, begin + k)),
                    "%s: frame %u is another picture", text, begin + k);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), zero + (begin + k) * FRAME);
    }
    g_ptr_array_unref(frames);
    run_result_clear(&r);
}

static void run(const char *text)
{
    RunResult r;
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error, "%s: %s", text, r.error ? r.error->message : "no end");
    run_result_clear(&r);
}

/* --- GDP --- */

/* A file of GDP has all that buffers have: no parser is needed behind it. */
GST_START_TEST(test_gdp)
{
    char *file = g_build_filename(directory, "x.gdp", NULL);
    char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! gdppay ! filesink location=%s", path, file);
    run(text);
    g_free(text);
    text =
        g_strdup_printf("filesrc location=%s blocksize=1000 ! gdpdepay ! nervdec ! fakesink name=sink", file);
    expect_frames(text, NULL, 0, 0);
    g_unlink(file);
    g_free(text);
    g_free(file);
}
GST_END_TEST;

/* --- RTP --- */

#define RTP                                                                                                  \
    "filesrc location=%s ! nervparse ! rtpgstpay config-interval=1 name=pay ! rtpgstdepay ! nervparse ! "    \
    "nervdec ! fakesink name=sink"

GST_START_TEST(test_rtp)
{
    char *text = g_strdup_printf(RTP, path);
    expect_frames(text, NULL, 0, 0);
    g_free(text);
}
GST_END_TEST;

static bool is_before(GstBuffer *packet, GstClockTime time)
{
    return GST_BUFFER_PTS_IS_VALID(packet) && GST_BUFFER_PTS(packet) < time;
}

/* Packets of frames before that time are lost to who joins then. */
static GstPadProbeReturn lose_beginning(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    const GstClockTime time = *(const GstClockTime *)user;
    if (!(info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST))
        return is_before(GST_PAD_PROBE_INFO_BUFFER(info), time) ? GST_PAD_PROBE_DROP : GST_PAD_PROBE_OK;
    GstBufferList *list = GST_PAD_PROBE_INFO_BUFFER_LIST(info);
    for (guint i = 0; i < gst_buffer_list_length(list); i++)
        if (is_before(gst_buffer_list_get(list, i), time))
            return GST_PAD_PROBE_DROP;
    return GST_PAD_PROBE_OK;
}

static GstClockTime joined_at;

static void join_late(GstElement *pipeline, gpointer frames)
{
    GstElement *pay = gst_bin_get_by_name(GST_BIN(pipeline), "pay");
    GstPad *pad = gst_element_get_static_pad(pay, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, lose_beginning,
                      &joined_at, NULL);
    gst_object_unref(pad);
    gst_object_unref(pay);
    collect_frames(pipeline, frames);
}

/* Who joins in mid-stream sees the next segment first, and nothing of what was before it. */
GST_START_TEST(test_rtp_join)
{
    static const guint at[] = { 1, 7, 8, 20, 27 };
    for (guint i = 0; i < G_N_ELEMENTS(at); i++) {
        char *text = g_strdup_printf(RTP, path);
        joined_at = at[i] * FRAME;
        expect_frames(text, join_late, (at[i] + SEGMENT - 1) / SEGMENT * SEGMENT, 0);
        g_free(text);
    }
}
GST_END_TEST;

/* --- splitmuxsink --- */

typedef struct {
    const char *mux, *extension;
} Muxer;

static const Muxer muxers[] = { { "nervmp4mux", "mp4" }, { "nervmkvmux", "mkv" } };

/* splitmuxsrc begins there, whatever the codec, so that times can go below those of the first frame. */
#define SPLITMUX_ZERO (1000 * GST_SECOND)

/* A file for every two segments; each plays by itself, together they are the video. */
GST_START_TEST(test_splitmux)
{
    const Muxer *m = &muxers[__i__];
    const guint per_file = 2 * SEGMENT, n_files = (N + per_file - 1) / per_file;
    char *pattern = g_strdup_printf("%s/part%%02d.%s", directory, m->extension);
    char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! splitmuxsink muxer-factory=%s location=%s "
                        "max-size-time=%" G_GUINT64_FORMAT,
                        path, m->mux, pattern, (guint64)per_file * FRAME);
    run(text);
    g_free(text);
    for (guint i = 0; i < n_files; i++) {
        char *name = g_strdup_printf("%s/part%02u.%s", directory, i, m->extension);
        GPtrArray *frames = new_frames();
        RunResult r;
        text = g_strdup_printf("filesrc location=%s ! decodebin ! fakesink name=sink", name);
        run_pipeline(text, 60, collect_frames, NULL, frames, &r);
        fail_unless(r.eos && !r.error, "%s: %s", name, r.error ? r.error->message : "no end");
        fail_unless_equals_int(frames->len, MIN(per_file, N - i * per_file));
        for (guint k = 0; k < frames->len; k++)
            fail_unless(
                same_content(g_ptr_array_index(frames, k), g_ptr_array_index(reference, i * per_file + k)));
        g_ptr_array_unref(frames);
        run_result_clear(&r);
        g_free(text);
        g_free(name);
    }
    text = g_strdup_printf("splitmuxsrc location=%s/part*.%s ! decodebin ! fakesink name=sink", directory,
                           m->extension);
    expect_frames(text, NULL, 0, SPLITMUX_ZERO);
    for (guint i = 0; i < n_files; i++) {
        char *name = g_strdup_printf("%s/part%02u.%s", directory, i, m->extension);
        fail_unless(g_unlink(name) == 0, "%s is not there", name);
        g_free(name);
    }
    g_free(text);
    g_free(pattern);
}
GST_END_TEST;

/* --- encodebin --- */

typedef struct {
    const char *container, *demux;
} Profile;

static const Profile profiles[] = { { "video/quicktime,variant=iso", "qtdemux" },
                                    { "video/x-matroska", "matroskademux" } };

static void make_tiny(GstBin *bin, GstBin *sub, GstElement *element, gpointer user)
{
    GstElementFactory *factory = gst_element_get_factory(element);
    if (!factory || strcmp(GST_OBJECT_NAME(factory), "nervenc") != 0)
        return;
    gst_util_set_object_arg(G_OBJECT(element), "model", "nerv-mlp");
    gst_util_set_object_arg(G_OBJECT(element), "model-options", TINY_OPTIONS);
    g_object_set(element, "epochs", 1, "segment-frames", SEGMENT, NULL);
    ++*(guint *)user;
}

static void watch_encoder(GstElement *pipeline, gpointer n_encoders)
{
    g_signal_connect(pipeline, "deep-element-added", G_CALLBACK(make_tiny), n_encoders);
    GstElement *e = gst_bin_get_by_name(GST_BIN(pipeline), "e");
    /* what it has made already */
    GstIterator *all = gst_bin_iterate_recurse(GST_BIN(e));
    GValue value = G_VALUE_INIT;
    while (gst_iterator_next(all, &value) == GST_ITERATOR_OK) {
        make_tiny(GST_BIN(pipeline), GST_BIN(e), g_value_get_object(&value), n_encoders);
        g_value_reset(&value);
    }
    gst_iterator_free(all);
    gst_object_unref(e);
}

/* A profile names caps, no elements: encoder and muxer are found by them. */
GST_START_TEST(test_encodebin)
{
    const Profile *p = &profiles[__i__];
    guint n_encoders = 0;
    RunResult r;
    char *file = g_build_filename(directory, "x.bin", NULL);
    char *text = g_strdup_printf(
        "encodebin name=e profile=\"%s:video/x-nerv:audio/x-opus\" ! filesink location=%s "
        "videotestsrc num-buffers=%d ! video/x-raw,width=64,height=48,framerate=25/1 ! queue ! e.video_0 "
        "audiotestsrc num-buffers=60 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! queue ! "
        "e.audio_0",
        p->container, file, N);
    run_pipeline(text, 60, watch_encoder, NULL, &n_encoders, &r);
    fail_unless(r.eos && !r.error, "%s: %s: %s", text, r.error ? r.error->message : "no end", r.debug);
    fail_unless_equals_int(n_encoders, 1);
    run_result_clear(&r);
    g_free(text);

    GPtrArray *frames = new_frames();
    text = g_strdup_printf(
        "filesrc location=%s ! %s name=d d.video_0 ! queue ! nervparse ! nervdec ! fakesink name=sink "
        "d.audio_0 ! queue ! opusdec ! fakesink",
        file, p->demux);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error, "%s: %s", text, r.error ? r.error->message : "no end");
    fail_unless_equals_int(frames->len, N);
    g_ptr_array_unref(frames);
    run_result_clear(&r);
    g_unlink(file);
    g_free(file);
    g_free(text);
}
GST_END_TEST;

/* --- what is missing --- */

typedef struct {
    char *detail, *description;
} Missing;

static GstBusSyncReply note_missing(GstBus *bus, GstMessage *message, gpointer user)
{
    Missing *m = user;
    if (!gst_is_missing_plugin_message(message) || m->detail)
        return GST_BUS_PASS;
    m->detail = gst_missing_plugin_message_get_installer_detail(message);
    m->description = gst_missing_plugin_message_get_description(message);
    return GST_BUS_PASS;
}

static void watch_missing(GstElement *pipeline, gpointer missing)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_bus_set_sync_handler(bus, note_missing, missing, NULL);
    gst_object_unref(bus);
}

/* The message has what an installer of packages looks for, and what a person reads. */
static void expect_missing(const char *feature, const char *text, const char *detail, const char *description)
{
    GstRegistry *registry = gst_registry_get();
    GstPluginFeature *taken = gst_registry_lookup_feature(registry, feature);
    Missing m = { 0 };
    RunResult r;
    fail_unless(taken != NULL);
    gst_registry_remove_feature(registry, taken);
    run_pipeline(text, 60, watch_missing, NULL, &m, &r);
    fail_unless(r.error != NULL && !r.eos);
    fail_unless(g_error_matches(r.error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN) ||
                    g_error_matches(r.error, GST_STREAM_ERROR, GST_STREAM_ERROR_CODEC_NOT_FOUND),
                "%s", r.error->message);
    fail_unless(m.detail && strstr(m.detail, detail), "%s", m.detail);
    fail_unless(m.description && strstr(m.description, description), "%s", m.description);
    gst_registry_add_feature(registry, taken);
    g_free(m.detail);
    g_free(m.description);
    run_result_clear(&r);
}

GST_START_TEST(test_missing_decoder)
{
    char *text = g_strdup_printf("filesrc location=%s ! decodebin ! fakesink", path);
    expect_missing("nervdec", text, "|decoder-video/x-nerv", "x-nerv");
    g_free(text);
}
GST_END_TEST;

GST_START_TEST(test_missing_muxer)
{
    const Muxer *m = &muxers[__i__];
    const char *stock = __i__ == 0 ? "mp4mux" : "matroskamux";
    char *text = g_strdup_printf("filesrc location=%s ! nervparse ! fakesink %s ! fakesink", path, m->mux);
    char *detail = g_strconcat("|element-", stock, NULL);
    expect_missing(stock, text, detail, stock);
    g_free(detail);
    g_free(text);
}
GST_END_TEST;

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("transport");
    TCase *tc = tcase_create("transport");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_gdp);
    tcase_add_test(tc, test_rtp);
    tcase_add_test(tc, test_rtp_join);
    tcase_add_loop_test(tc, test_splitmux, 0, G_N_ELEMENTS(muxers));
    tcase_add_loop_test(tc, test_encodebin, 0, G_N_ELEMENTS(profiles));
    tcase_add_test(tc, test_missing_decoder);
    tcase_add_loop_test(tc, test_missing_muxer, 0, G_N_ELEMENTS(muxers));
    return gst_check_run_suite(s, "transport", __FILE__);
}

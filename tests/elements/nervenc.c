/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Behaviour of nervenc: caps, times, segments, force-key-unit, options, errors. What takes a fit that runs while
 * something else happens is in cancel.c.
 */
#include <unistd.h>

#include <glib/gstdio.h>

#include "codec/init.h"
#include "common.h"

static GstHarness *harness(GstElement *enc, GstVideoFormat format, gint fps_n, gint fps_d, GstVideoInfo *info)
{
    GstHarness *h = gst_harness_new_with_element(enc, "sink", "src");
    gst_object_unref(enc);
    video_info(info, format, 64, 48, fps_n, fps_d);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(info));
    return h;
}

static void push(GstHarness *h, GstBuffer *buffer)
{
    fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
}

/* Pulls all that is there and checks which are sync points. */
static void pull_flags(GstHarness *h, const char *flags)
{
    for (; *flags; flags++) {
        GstBuffer *buffer = gst_harness_try_pull(h);
        fail_unless(buffer != NULL, "a packet is missing");
        fail_unless_equals_int(!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), *flags == 'S');
        gst_buffer_unref(buffer);
    }
    fail_unless(gst_harness_try_pull(h) == NULL, "more packets than frames");
}

GST_START_TEST(test_caps)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(2), GST_VIDEO_FORMAT_I420, 30000, 1001, &info);
    GstCaps *caps, *want;

    push(h, picture(&info, 0));
    gst_harness_push_event(h, gst_event_new_eos());
    caps = gst_pad_get_current_caps(h->sinkpad);
    want = gst_caps_from_string("video/x-nerv, stream-format=byte-stream, alignment=au, profile=main, "
                                "parsed=true, width=64, height=48, framerate=30000/1001, "
                                "pixel-aspect-ratio=1/1, colorimetry=bt601, chroma-site=jpeg");
    fail_unless(gst_caps_is_subset(caps, want), "%s", gst_caps_to_string(caps));
    gst_caps_unref(want);
    gst_caps_unref(caps);
    gst_harness_teardown(h);
}
GST_END_TEST;

GST_START_TEST(test_refused_caps)
{
    static const char *const bad[] = {
        "video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1",
        "video/x-raw,format=RGB,width=15,height=48,framerate=25/1",
        "video/x-raw,format=RGB,width=64,height=8193,framerate=25/1",
        "video/x-raw,format=RGB,width=64,height=48,framerate=25/1,interlace-mode=interleaved",
        "video/x-raw,format=RGB,width=64,height=48,framerate=25/1,interlace-mode=mixed",
    };
    static const char *const good[] = {
        "video/x-raw,format=RGB,width=64,height=48,framerate=25/1,interlace-mode=progressive",
        "video/x-raw,format=RGB,width=64,height=48,framerate=25/1",
        "video/x-raw,format=RGB,width=64,height=48",
    };
    GstElement *enc = tiny_encoder(2);
    GstPad *pad = gst_element_get_static_pad(enc, "sink");
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstCaps *caps = gst_caps_from_string(bad[i]);
        fail_if(gst_pad_query_accept_caps(pad, caps), "%s", bad[i]);
        gst_caps_unref(caps);
    }
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        GstCaps *caps = gst_caps_from_string(good[i]);
        fail_unless(gst_pad_query_accept_caps(pad, caps), "%s", good[i]);
        gst_caps_unref(caps);
    }
    gst_object_unref(pad);
    gst_object_unref(enc);
}
GST_END_TEST;

#define SOURCE "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=64,height=48,framerate=25/1"
/* interlace-mode, and all else that only a GstVideoInfo would say, is not there */
#define BARE                                                                                                 \
    " ! capssetter replace=true caps=video/x-raw,format=I420,width=64,height=48,framerate=(fraction)25/1"

static const struct {
    const char *description; /* %s: a file of interlaced video */
    bool works;
} interlaced[] = {
    { "filesrc location=%s ! y4mdec ! " TINY_ENC " ! fakesink", false },
    { "filesrc location=%s ! y4mdec ! videoconvert ! videoscale ! queue ! " TINY_ENC " ! fakesink", false },
    { "filesrc location=%s ! decodebin ! deinterlace ! " TINY_ENC " ! fakesink", true },
    { "filesrc location=%s ! decodebin ! videoconvert ! deinterlace ! videoscale ! " TINY_ENC " ! fakesink",
      true },
    { SOURCE " ! " TINY_ENC " ! fakesink", true },
    { SOURCE " ! videoconvert ! videoscale ! " TINY_ENC " ! fakesink", true },
    { SOURCE " ! deinterlace ! " TINY_ENC " ! fakesink", true },
    { SOURCE BARE " ! " TINY_ENC " ! fakesink", true },
    { SOURCE BARE " ! queue ! identity ! " TINY_ENC " ! fakesink", true },
    { SOURCE BARE " ! videoconvert ! video/x-raw,format=RGB ! " TINY_ENC " ! fakesink", true },
};

/* Interlaced video is not negotiated; with deinterlace it is, and so is all that does not say what it is. */
GST_START_TEST(test_interlaced)
{
    const char *format = interlaced[__i__].description;
    char *path = NULL, *text;
    RunResult r;
    const int fd = g_file_open_tmp("nerv-test-XXXXXX.y4m", &path, NULL);

    fail_unless(fd >= 0);
    close(fd);
    text = g_strconcat(
        SOURCE " ! capssetter caps=video/x-raw,interlace-mode=interleaved ! y4menc ! filesink location=",
        path, NULL);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error);
    run_result_clear(&r);
    g_free(text);

    char **parts = g_strsplit(format, "%s", 2);
    text = g_strjoinv(path, parts);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    if (interlaced[__i__].works)
        fail_unless(r.eos && !r.error, "%s: %s", text, r.error ? r.error->message : "no end");
    else
        fail_unless(r.error != NULL && r.debug && strstr(r.debug, "not-negotiated"), "%s: %s", text,
                    r.error ? r.debug : "no error");
    run_result_clear(&r);
    g_strfreev(parts);
    g_free(text);
    unlink(path);
    g_free(path);
}
GST_END_TEST;

/* Times go through untouched, DTS equals PTS, the segments' first frames are sync points, the last is short. */
GST_START_TEST(test_segments_and_times)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(3), GST_VIDEO_FORMAT_RGB, 30000, 1001, &info);
    const GstClockTime offset = 10 * GST_SECOND + 7;

    for (guint i = 0; i < 7; i++) {
        GstBuffer *buffer = picture(&info, i);
        GST_BUFFER_PTS(buffer) += offset;
        push(h, buffer);
        fail_unless_equals_int(gst_harness_buffers_received(h), (i + 1) / 3 * 3);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    for (guint i = 0; i < 7; i++) {
        GstBuffer *buffer = gst_harness_try_pull(h), *source = picture(&info, i);
        fail_unless(buffer != NULL);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), GST_BUFFER_PTS(source) + offset);
        fail_unless_equals_uint64(GST_BUFFER_DTS(buffer), GST_BUFFER_PTS(buffer));
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), GST_BUFFER_DURATION(source));
        fail_unless_equals_int(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), i % 3 != 0);
        /* the end of a segment goes to disk */
        fail_unless_equals_int(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_SYNC_AFTER),
                               i % 3 == 2 || i == 6);
        gst_buffer_unref(source);
        gst_buffer_unref(buffer);
    }
    fail_unless(gst_harness_try_pull(h) == NULL);
    gst_harness_teardown(h);
}
GST_END_TEST;

/* Variable rate: times and durations are the input's own. */
GST_START_TEST(test_variable_rate)
{
    static const GstClockTime pts[] = { 0, 40, 95, 96, 400 }, duration[] = { 40, 55, 1, 304, 20 };
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(4), GST_VIDEO_FORMAT_NV12, 0, 1, &info);
    for (guint i = 0; i < 5; i++) {
        GstBuffer *buffer = picture(&info, i);
        GST_BUFFER_PTS(buffer) = pts[i] * GST_MSECOND;
        GST_BUFFER_DURATION(buffer) = duration[i] * GST_MSECOND;
        push(h, buffer);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    for (guint i = 0; i < 5; i++) {
        GstBuffer *buffer = gst_harness_try_pull(h);
        fail_unless(buffer != NULL);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), pts[i] * GST_MSECOND);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), duration[i] * GST_MSECOND);
        gst_buffer_unref(buffer);
    }
    gst_harness_teardown(h);
}
GST_END_TEST;

GST_START_TEST(test_no_frames)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(4), GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    GstBus *bus = gst_bus_new();
    GstMessage *message;

    gst_element_set_bus(h->element, bus);
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    fail_unless_equals_int(gst_harness_buffers_received(h), 0);
    message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
    fail_unless(message == NULL);
    gst_element_set_bus(h->element, NULL);
    gst_object_unref(bus);
    gst_harness_teardown(h);
}
GST_END_TEST;

GST_START_TEST(test_force_key_unit)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(8), GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    for (guint i = 0; i < 6; i++) {
        if (i == 2)
            gst_harness_push_upstream_event(
                h, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 1));
        push(h, picture(&info, i));
        fail_unless_equals_int(gst_harness_buffers_received(h), i < 2 ? 0 : 2);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    pull_flags(h, "SdSddd");
    gst_harness_teardown(h);
}
GST_END_TEST;

/* New caps end the segment; the old frames come out under the old caps. */
GST_START_TEST(test_caps_change)
{
    GstVideoInfo info, small;
    GstHarness *h = harness(tiny_encoder(8), GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    GstCaps *caps;
    gint width;

    push(h, picture(&info, 0));
    push(h, picture(&info, 1));
    video_info(&small, GST_VIDEO_FORMAT_I420, 33, 17, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&small));
    fail_unless_equals_int(gst_harness_buffers_received(h), 2);
    push(h, picture(&small, 2));
    gst_harness_push_event(h, gst_event_new_eos());
    caps = gst_pad_get_current_caps(h->sinkpad);
    fail_unless(gst_structure_get_int(gst_caps_get_structure(caps, 0), "width", &width));
    fail_unless_equals_int(width, 33);
    gst_caps_unref(caps);
    pull_flags(h, "SdS");
    gst_harness_teardown(h);
}
GST_END_TEST;

/* A flush drops the open segment and what comes afterwards is whole. */
GST_START_TEST(test_flush)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(3), GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    GstSegment segment;

    push(h, picture(&info, 0));
    push(h, picture(&info, 1));
    gst_harness_push_event(h, gst_event_new_flush_start());
    gst_harness_push_event(h, gst_event_new_flush_stop(TRUE));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(h, gst_event_new_segment(&segment));
    fail_unless_equals_int(gst_harness_buffers_received(h), 0);
    for (guint i = 0; i < 4; i++)
        push(h, picture(&info, i));
    gst_harness_push_event(h, gst_event_new_eos());
    pull_flags(h, "SddS");
    gst_harness_teardown(h);
}
GST_END_TEST;

/* The encoder copies pixels: an upstream pool of two buffers serves a segment of ten. */
GST_START_TEST(test_input_is_released)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(10), GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    GstBufferPool *pool = gst_buffer_pool_new();
    GstStructure *config = gst_buffer_pool_get_config(pool);
    GstCaps *caps = gst_video_info_to_caps(&info);

    gst_buffer_pool_config_set_params(config, caps, GST_VIDEO_INFO_SIZE(&info), 2, 2);
    gst_caps_unref(caps);
    fail_unless(gst_buffer_pool_set_config(pool, config));
    fail_unless(gst_buffer_pool_set_active(pool, TRUE));
    for (guint i = 0; i < 10; i++) {
        GstBufferPoolAcquireParams params = { .flags = GST_BUFFER_POOL_ACQUIRE_FLAG_DONTWAIT };
        GstBuffer *buffer = NULL;
        fail_unless_equals_int(gst_buffer_pool_acquire_buffer(pool, &buffer, &params), GST_FLOW_OK);
        GST_BUFFER_PTS(buffer) = i * 40 * GST_MSECOND;
        GST_BUFFER_DURATION(buffer) = 40 * GST_MSECOND;
        gst_buffer_memset(buffer, 0, (guint8)(20 * i), GST_VIDEO_INFO_SIZE(&info));
        push(h, buffer);
    }
    pull_flags(h, "Sddddddddd");
    gst_buffer_pool_set_active(pool, FALSE);
    gst_object_unref(pool);
    gst_harness_teardown(h);
}
GST_END_TEST;

/* One seed, the same bytes, whatever the number of threads; another seed, other bytes. */
GST_START_TEST(test_determinism)
{
    GBytes *stream[3];
    for (guint k = 0; k < 3; k++) {
        GstElement *enc = tiny_encoder(4);
        GstVideoInfo info;
        g_object_set(enc, "threads", k + 1, "epochs", 3, "seed", (guint64)(k == 2 ? 8 : 7), NULL);
        GstHarness *h = harness(enc, GST_VIDEO_FORMAT_RGB, 25, 1, &info);
        for (guint i = 0; i < 4; i++)
            push(h, picture(&info, i));
        gst_harness_push_event(h, gst_event_new_eos());
        stream[k] = gst_harness_take_all_data_as_bytes(h);
        gst_harness_teardown(h);
    }
    fail_unless(g_bytes_equal(stream[0], stream[1]), "bytes depend on the number of threads");
    fail_if(g_bytes_equal(stream[0], stream[2]), "the seed has no effect");
    for (guint k = 0; k < 3; k++)
        g_bytes_unref(stream[k]);
}
GST_END_TEST;

GST_START_TEST(test_latency)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(5), GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    GstClockTime min, max;
    gst_video_encoder_get_latency(GST_VIDEO_ENCODER(h->element), &min, &max);
    fail_unless_equals_uint64(min, 200 * GST_MSECOND);
    fail_unless_equals_uint64(max, 200 * GST_MSECOND);
    gst_harness_teardown(h);
}
GST_END_TEST;

GST_START_TEST(test_tags)
{
    GstVideoInfo info;
    GstHarness *h = harness(tiny_encoder(1), GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    GstEvent *event;
    GstTagList *tags;
    char *codec = NULL;

    push(h, picture(&info, 0));
    event = gst_pad_get_sticky_event(h->sinkpad, GST_EVENT_TAG, 0);
    fail_unless(event != NULL);
    gst_event_parse_tag(event, &tags);
    fail_unless(gst_tag_list_get_string(tags, GST_TAG_VIDEO_CODEC, &codec));
    fail_unless(strstr(codec, "NeRV") != NULL);
    g_free(codec);
    gst_event_unref(event);
    gst_harness_teardown(h);
}
GST_END_TEST;

GST_START_TEST(test_stats)
{
    GstVideoInfo info;
    GstElement *enc = tiny_encoder(2);
    GstHarness *h = harness(enc, GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    GstStructure *stats;
    guint frames = 0, step = 0, steps = 0;
    guint64 bytes = 0;
    gint64 parameters = 0;
    double psnr = 0.;

    push(h, picture(&info, 0));
    push(h, picture(&info, 1));
    g_object_get(h->element, "stats", &stats, NULL);
    fail_unless(gst_structure_get(stats, "frames", G_TYPE_UINT, &frames, "step", G_TYPE_UINT, &step, "steps",
                                  G_TYPE_UINT, &steps, "psnr", G_TYPE_DOUBLE, &psnr, "network-bytes",
                                  G_TYPE_UINT64, &bytes, "parameters", G_TYPE_INT64, &parameters, NULL));
    fail_unless_equals_int(frames, 2);
    fail_unless(steps >= 1 && step == steps);
    fail_unless(psnr > 1. && psnr < 60.);
    fail_unless(parameters > 100);
    fail_unless(bytes > 100 && bytes < (guint64)parameters * 2);
    fail_unless(gst_structure_has_field_typed(stats, "device", G_TYPE_STRING));
    fail_unless(gst_structure_has_field_typed(stats, "loss", G_TYPE_DOUBLE));
    fail_unless(gst_structure_has_field_typed(stats, "steps-per-second", G_TYPE_DOUBLE));
    fail_unless(*gst_structure_get_string(stats, "device") != '\0');
    gst_structure_free(stats);
    gst_harness_teardown(h);
}
GST_END_TEST;

/* --- errors --- */

/* Sets caps on an encoder that must refuse to be set up; its error must have `code` and name all words. */
static void expect_error(GstElement *enc, GQuark domain, gint code, const char *const *words)
{
    GstHarness *h = gst_harness_new_with_element(enc, "sink", "src");
    GstBus *bus = gst_bus_new();
    GstVideoInfo info;
    GstMessage *message;
    GError *error;
    char *debug;

    gst_object_unref(enc);
    gst_element_set_bus(h->element, bus);
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    fail_unless_equals_int(gst_harness_push(h, picture(&info, 0)), GST_FLOW_NOT_NEGOTIATED);
    message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    fail_unless(message != NULL, "no error message");
    gst_message_parse_error(message, &error, &debug);
    fail_unless(error->domain == domain && error->code == code, "%s %d: %s", g_quark_to_string(error->domain),
                error->code, error->message);
    for (; *words; words++)
        fail_unless(strstr(error->message, *words) != NULL, "\"%s\" does not name \"%s\"", error->message,
                    *words);
    fail_unless(debug != NULL && *debug);
    g_error_free(error);
    g_free(debug);
    gst_message_unref(message);
    gst_element_set_bus(h->element, NULL);
    gst_object_unref(bus);
    gst_harness_teardown(h);
}

GST_START_TEST(test_unknown_option)
{
    static const char *const words[] = { "colour-of-magic", "stem", "strides", NULL };
    GstElement *enc = tiny_encoder(2);
    gst_util_set_object_arg(G_OBJECT(enc), "model-options", "options,stem=8,colour-of-magic=8");
    expect_error(enc, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, words);
}
GST_END_TEST;

/* The message names the field, what it takes and what came instead. */
GST_START_TEST(test_option_of_wrong_type)
{
    static const struct {
        const char *options, *words[4];
    } cases[] = {
        { "options,widths=(fraction)2/3", { "widths", "2/3", "numbers" } },
        { "options,widths=<4,(fraction)2/3>", { "widths", "2/3", "numbers" } },
        { "options,widths=<4,(string)many>", { "widths", "integers", "many" } },
        { "options,widths=wide", { "widths", "integers", "wide" } },
        { "options,strides=<2.5,2>", { "strides", "integers", "2.5" } },
        { "options,strides=2.5", { "strides", "integers", "2.5" } },
        { "options,stem=2.5", { "stem", "an integer", "2.5" } },
        { "options,activation=3", { "activation", "a string", "3" } },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GstElement *enc = tiny_encoder(2);
        gst_util_set_object_arg(G_OBJECT(enc), "model-options", cases[i].options);
        expect_error(enc, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, cases[i].words);
    }
}
GST_END_TEST;

/* The paper's sizes are what they are; a structure without fields asks for nothing. */
GST_START_TEST(test_options_of_a_fixed_model)
{
    static const char *const words[] = { "nerv-s", "stem", "model=nerv-mlp ", NULL };
    static const char *const no_memory[] = { "max-memory", NULL };
    GstElement *enc = tiny_encoder(2);
    g_object_set(enc, "model", "nerv-s", NULL);
    gst_util_set_object_arg(G_OBJECT(enc), "model-options", "options,stem=16");
    expect_error(enc, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, words);
    /* accepted, which shows in the next thing to go wrong */
    enc = tiny_encoder(2);
    g_object_set(enc, "model", "nerv-s", "max-memory", (guint64)100000, NULL);
    gst_util_set_object_arg(G_OBJECT(enc), "model-options", "options");
    expect_error(enc, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT, no_memory);
}
GST_END_TEST;

/* A batch of more frames than a segment has is one of all its frames. */
GST_START_TEST(test_batch_of_a_whole_segment)
{
    GBytes *stream[2];
    for (guint k = 0; k < 2; k++) {
        GstElement *enc = tiny_encoder(3);
        GstVideoInfo info;
        g_object_set(enc, "batch-size", k ? 60000 : 3, "epochs", 4, NULL);
        GstHarness *h = harness(enc, GST_VIDEO_FORMAT_RGB, 25, 1, &info);
        for (guint i = 0; i < 3; i++)
            push(h, picture(&info, i));
        stream[k] = gst_harness_take_all_data_as_bytes(h);
        gst_harness_teardown(h);
    }
    fail_unless(g_bytes_get_size(stream[0]) > 0);
    fail_unless(g_bytes_equal(stream[0], stream[1]));
    g_bytes_unref(stream[0]);
    g_bytes_unref(stream[1]);
}
GST_END_TEST;

/* A batch that memory can't hold, or that no tensor can: the error names the property and what there is a limit to. */
GST_START_TEST(test_batch_too_large)
{
    static const char *const words[] = { "batch-size of 60000", "max-memory", NULL };
    static const struct {
        guint64 max_memory;
        GQuark (*domain)(void);
        gint code;
    } cases[] = {
        { 20000000, gst_resource_error_quark, GST_RESOURCE_ERROR_NO_SPACE_LEFT },
        { G_GUINT64_CONSTANT(1) << 31, gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GstElement *enc = tiny_encoder(0);
        g_object_set(enc, "batch-size", 60000, "max-memory", cases[i].max_memory, NULL);
        expect_error(enc, cases[i].domain(), cases[i].code, words);
    }
}
GST_END_TEST;

/* What belongs to a fit that quantises while it learns does not go with the paper's pipeline. */
GST_START_TEST(test_paper_pipeline_alone)
{
    static const char *const words[] = { "pruning", "coding=huffman", "rate-weight", "bitrate", NULL };
    static const char *const residual_words[] = { "pruning", "warm-start=residual", NULL };
    static const char *const both[] = { "coding=huffman bitrate=300", "coding=huffman rate-weight=0.002",
                                        "coding=huffman target-size-bytes=5000", "pruning=0.4 target-psnr=30",
                                        "pruning=0.4 rate-weight=0.002" };
    for (gsize i = 0; i < G_N_ELEMENTS(both); i++) {
        g_autofree char *text = g_strdup_printf(TINY_ENC " %s", both[i]);
        GstElement *enc = gst_parse_launch(text, NULL);
        expect_error(enc, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, words);
    }
    expect_error(gst_parse_launch(TINY_ENC " pruning=0.4 warm-start=residual", NULL), GST_LIBRARY_ERROR,
                 GST_LIBRARY_ERROR_SETTINGS, residual_words);
}
GST_END_TEST;

GST_START_TEST(test_unknown_model)
{
    static const char *const words[] = { "nerve", NULL };
    GstElement *enc = tiny_encoder(2);
    g_object_set(enc, "model", "nerve", "model-options", NULL, NULL);
    expect_error(enc, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, words);
}
GST_END_TEST;

GST_START_TEST(test_unknown_device)
{
    static const char *const words[] = { "abacus", NULL };
    GstElement *enc = tiny_encoder(2);
    g_object_set(enc, "device", "abacus", NULL);
    expect_error(enc, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, words);
}
GST_END_TEST;

/* The loader finds no driver: an error that says what is missing, not a crash. */
GST_START_TEST(test_no_vulkan_driver)
{
    static const char *const words[] = { "ulkan", NULL };
    GstElement *enc = tiny_encoder(2);
    g_setenv("VK_ICD_FILENAMES", "/nonexistent/driver.json", TRUE);
    g_setenv("VK_DRIVER_FILES", "/nonexistent/driver.json", TRUE);
    g_object_set(enc, "device", "vulkan", NULL);
    expect_error(enc, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, words);
    g_unsetenv("VK_ICD_FILENAMES");
    g_unsetenv("VK_DRIVER_FILES");
}
GST_END_TEST;

GST_START_TEST(test_memory_bound)
{
    static const char *const words[] = { "max-memory", NULL };
    GstElement *enc = tiny_encoder(60000);
    g_object_set(enc, "max-memory", (guint64)100000, NULL);
    expect_error(enc, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT, words);
}
GST_END_TEST;

/* A single number stands for an array of one; a list works like an array; numbers of other C types too. */
GST_START_TEST(test_option_forms)
{
    static const char *const good[] = {
        "options,stem=8,base-channels=2,widths=4,strides=2",
        "options,stem=8,base-channels=2,widths={4,3},strides={2,2}",
        "options,stem=(uint)8,base-channels=(gint64)2,widths=<(uint)4>,strides=<2>,activation=gelu",
    };
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        GstElement *enc = tiny_encoder(1);
        GstVideoInfo info;
        gst_util_set_object_arg(G_OBJECT(enc), "model-options", good[i]);
        GstHarness *h = harness(enc, GST_VIDEO_FORMAT_RGB, 25, 1, &info);
        push(h, picture(&info, 0));
        fail_unless_equals_int(gst_harness_buffers_received(h), 1);
        gst_harness_teardown(h);
    }
}
GST_END_TEST;

/* A fit that begins with a learned start, and what is said of a file that has none. */
GST_START_TEST(test_init_location)
{
    const char *const words[] = { "a.init", "init file", NULL };
    const NervClip clip = { 64, 48, 8 };
    g_autofree char *folder = g_dir_make_tmp("nerv-init-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "a.init", NULL);
    NervModel *model = nerv_model_new("nerv", NULL, &clip, NULL);
    g_autofree float *start = g_new0(float, (gsize)nerv_start_count(model));
    GByteArray *file = g_byte_array_new();
    GstVideoInfo info;
    GstStructure *stats;

    fail_unless(nerv_init_write(model, start, &(NervInitRates){ .layers_rate = 1. }, "zeros", file, NULL));
    fail_unless(g_file_set_contents(path, (const char *)file->data, file->len, NULL));
    GstElement *enc = tiny_encoder(2);
    g_object_set(enc, "model", "nerv", "model-options", NULL, "init-location", path, NULL);
    GstHarness *h = harness(enc, GST_VIDEO_FORMAT_RGB, 25, 1, &info);
    for (guint i = 0; i < 4; i++)
        push(h, picture(&info, i));
    fail_unless_equals_int(gst_harness_buffers_received(h), 4);
    g_object_get(h->element, "stats", &stats, NULL);
    g_autofree char *widths = nerv_model_describe(model);
    char *from = strstr(widths, "widths"), *to = strstr(from, "; ");
    *to = '\0';
    fail_unless(strstr(gst_structure_get_string(stats, "model"), from) != NULL, "not %s but %s", from,
                gst_structure_get_string(stats, "model"));
    gst_structure_free(stats);
    gst_harness_teardown(h);

    fail_unless(g_file_set_contents(path, "nothing", -1, NULL));
    enc = tiny_encoder(2);
    g_object_set(enc, "model", "nerv", "model-options", NULL, "init-location", path, NULL);
    expect_error(enc, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS, words);
    g_remove(path);
    g_rmdir(folder);
    g_byte_array_unref(file);
    nerv_model_free(model);
}
GST_END_TEST;

static Suite *nervenc_suite(void)
{
    Suite *s = suite_create("nervenc");
    TCase *tc = tcase_create("nervenc");
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_caps);
    tcase_add_test(tc, test_refused_caps);
    tcase_add_loop_test(tc, test_interlaced, 0, G_N_ELEMENTS(interlaced));
    tcase_add_test(tc, test_segments_and_times);
    tcase_add_test(tc, test_variable_rate);
    tcase_add_test(tc, test_no_frames);
    tcase_add_test(tc, test_force_key_unit);
    tcase_add_test(tc, test_caps_change);
    tcase_add_test(tc, test_flush);
    tcase_add_test(tc, test_input_is_released);
    tcase_add_test(tc, test_determinism);
    tcase_add_test(tc, test_latency);
    tcase_add_test(tc, test_tags);
    tcase_add_test(tc, test_stats);
    tcase_add_test(tc, test_unknown_option);
    tcase_add_test(tc, test_option_of_wrong_type);
    tcase_add_test(tc, test_options_of_a_fixed_model);
    tcase_add_test(tc, test_batch_of_a_whole_segment);
    tcase_add_test(tc, test_batch_too_large);
    tcase_add_test(tc, test_paper_pipeline_alone);
    tcase_add_test(tc, test_unknown_model);
    tcase_add_test(tc, test_unknown_device);
    tcase_add_test(tc, test_no_vulkan_driver);
    tcase_add_test(tc, test_memory_bound);
    tcase_add_test(tc, test_option_forms);
    tcase_add_test(tc, test_init_location);
    return s;
}

GST_CHECK_MAIN(nervenc);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A flush that comes while an element agrees with downstream on caps, as a seek across a change of format may: it is
 * GST_FLOW_FLUSHING and no error, and what follows the flush comes out as if nothing had been.
 */
#include <unistd.h>

#include "common.h"

#define SEEKS 300

/* A probe's: pushes FLUSH_START into the harness when the element asks downstream for caps, once. */
typedef struct {
    GstHarness *h;
    bool armed;
} Flusher;

static void flush_now(Flusher *f)
{
    if (!f->armed)
        return;
    f->armed = false;
    fail_unless(gst_harness_push_event(f->h, gst_event_new_flush_start()));
}

static GstPadProbeReturn on_query(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    if (GST_QUERY_TYPE(GST_PAD_PROBE_INFO_QUERY(info)) == GST_QUERY_CAPS)
        flush_now(user);
    return GST_PAD_PROBE_OK;
}

static void begin_bytes(GstHarness *h)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_BYTES);
    fail_unless(gst_harness_push_event(h, gst_event_new_segment(&segment)));
}

static void fail_on_error(GstBus *bus)
{
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
    GError *error = NULL;
    char *debug = NULL;
    if (message)
        gst_message_parse_error(message, &error, &debug);
    fail_unless(message == NULL, "%s: %s", error ? error->message : "", debug ? debug : "");
}

GST_START_TEST(test_decoder)
{
    GstHarness *h = gst_harness_new_parse("nervparse ! nervdec name=dec");
    GstElement *dec = gst_bin_get_by_name(GST_BIN(h->element), "dec");
    GstPad *pad = gst_element_get_static_pad(dec, "src");
    GstBus *bus = gst_bus_new();
    Flusher f = { .h = h };
    GstVideoInfo info;

    GBytes *large = make_stream(3, 3, NULL);
    video_info(&info, GST_VIDEO_FORMAT_I420, 33, 17, 10, 1);
    GBytes *small = make_stream_of(&info, 2, 2, NULL);
    gst_element_set_bus(h->element, bus);
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM | GST_PAD_PROBE_TYPE_PUSH, on_query, &f, NULL);
    gst_harness_set_src_caps_str(h, "video/x-nerv");
    begin_bytes(h);
    fail_unless_equals_int(gst_harness_push(h, slice(large, 0, g_bytes_get_size(large))), GST_FLOW_OK);

    f.armed = true;
    fail_unless_equals_int(gst_harness_push(h, slice(small, 0, g_bytes_get_size(small))), GST_FLOW_FLUSHING);
    fail_unless(!f.armed, "the decoder did not negotiate");
    fail_on_error(bus);

    fail_unless(gst_harness_push_event(h, gst_event_new_flush_stop(TRUE)));
    while (gst_harness_buffers_in_queue(h) > 0)
        gst_buffer_unref(gst_harness_pull(h));
    begin_bytes(h);
    fail_unless_equals_int(gst_harness_push(h, slice(small, 0, g_bytes_get_size(small))), GST_FLOW_OK);
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    fail_on_error(bus);
    GPtrArray *expected = decode(small);
    fail_unless_equals_int(gst_harness_buffers_in_queue(h), expected->len);
    for (guint i = 0; i < expected->len; i++) {
        GstBuffer *frame = gst_harness_pull(h);
        fail_unless(same_content(frame, g_ptr_array_index(expected, i)), "frame %u", i);
        gst_buffer_unref(frame);
    }
    g_ptr_array_unref(expected);
    gst_element_set_bus(h->element, NULL);
    gst_object_unref(bus);
    gst_object_unref(pad);
    gst_object_unref(dec);
    gst_harness_teardown(h);
    g_bytes_unref(small);
    g_bytes_unref(large);
}
GST_END_TEST;

static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer user)
{
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_LATENCY)
        flush_now(user);
    return GST_BUS_PASS;
}

/* An encoder says its latency before it sets its caps. These come with the next buffer, whose push fails if they are refused. */
GST_START_TEST(test_encoder)
{
    GstElement *enc = tiny_encoder(2);
    GstHarness *h = gst_harness_new_with_element(enc, "sink", "src");
    GstBus *bus = gst_bus_new();
    Flusher f = { .h = h };
    GstVideoInfo info;

    gst_element_set_bus(enc, bus);
    gst_bus_set_sync_handler(bus, on_message, &f, NULL);
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    for (guint i = 0; i < 2; i++)
        fail_unless_equals_int(gst_harness_push(h, picture(&info, i)), GST_FLOW_OK);

    f.armed = true;
    video_info(&info, GST_VIDEO_FORMAT_I420, 33, 17, 10, 1);
    GstCaps *caps = gst_video_info_to_caps(&info);
    GstEvent *event = gst_event_new_caps(caps);
    fail_unless_equals_int(gst_pad_store_sticky_event(h->srcpad, event), GST_FLOW_OK);
    fail_unless_equals_int(gst_harness_push(h, picture(&info, 0)), GST_FLOW_FLUSHING);
    gst_event_unref(event);
    gst_caps_unref(caps);
    fail_unless(!f.armed, "the encoder did not say a latency");
    fail_on_error(bus);

    fail_unless(gst_harness_push_event(h, gst_event_new_flush_stop(TRUE)));
    while (gst_harness_buffers_in_queue(h) > 0)
        gst_buffer_unref(gst_harness_pull(h));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    fail_unless(gst_harness_push_event(h, gst_event_new_segment(&segment)));
    for (guint i = 0; i < 2; i++)
        fail_unless_equals_int(gst_harness_push(h, picture(&info, i)), GST_FLOW_OK);
    fail_unless_equals_int(gst_harness_buffers_in_queue(h), 2);
    fail_on_error(bus);
    gst_bus_set_sync_handler(bus, NULL, NULL, NULL);
    gst_element_set_bus(enc, NULL);
    gst_object_unref(bus);
    gst_object_unref(enc);
    gst_harness_teardown(h);
}
GST_END_TEST;

static char *mixed_file(void)
{
    static const struct {
        GstVideoFormat format;
        gint width, height;
    } parts[] = { { GST_VIDEO_FORMAT_I420, 64, 48 },
                  { GST_VIDEO_FORMAT_RGB, 80, 64 },
                  { GST_VIDEO_FORMAT_I420, 33, 17 },
                  { GST_VIDEO_FORMAT_RGB, 64, 48 } };
    GByteArray *all = g_byte_array_new();
    for (guint i = 0; i < 2 * G_N_ELEMENTS(parts); i++) {
        const guint k = i % G_N_ELEMENTS(parts);
        GstVideoInfo info;
        video_info(&info, parts[k].format, parts[k].width, parts[k].height, 25, 1);
        GBytes *stream = make_stream_of(&info, 2, 2, NULL);
        g_byte_array_append(all, g_bytes_get_data(stream, NULL), (guint)g_bytes_get_size(stream));
        g_bytes_unref(stream);
    }
    GBytes *bytes = g_byte_array_free_to_bytes(all);
    char *path = write_temp(bytes);
    g_bytes_unref(bytes);
    return path;
}

/* The queue lets the decoder go on into the next file while the sink holds a picture; when a seek comes, it may be anywhere. */
GST_START_TEST(test_seeks)
{
    char *path = mixed_file();
    char *text = g_strdup_printf("filesrc location=%s ! nervparse ! nervdec threads=%d ! "
                                 "queue max-size-buffers=8 ! fakesink",
                                 path, __i__ + 1);
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    GRand *rand = g_rand_new_with_seed(1);

    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    fail_unless_equals_int(gst_element_get_state(pipeline, NULL, NULL, 30 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
    for (guint i = 0; i < SEEKS; i++) {
        const GstClockTime to = (GstClockTime)g_rand_int_range(rand, 0, 640) * GST_MSECOND;
        fail_unless(gst_element_seek_simple(pipeline, GST_FORMAT_TIME,
                                            GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, (gint64)to),
                    "seek %u", i);
        if (i % 4 == 0)
            fail_unless_equals_int(gst_element_get_state(pipeline, NULL, NULL, 30 * GST_SECOND),
                                   GST_STATE_CHANGE_SUCCESS);
        g_usleep((gulong)g_rand_int_range(rand, 0, 3000));
        fail_on_error(bus);
    }
    fail_unless_equals_int(gst_element_get_state(pipeline, NULL, NULL, 30 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
    fail_on_error(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    g_rand_free(rand);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    unlink(path);
    g_free(text);
    g_free(path);
}
GST_END_TEST;

static Suite *flush_suite(void)
{
    Suite *s = suite_create("flush");
    TCase *tc = tcase_create("flush");
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_decoder);
    tcase_add_test(tc, test_encoder);
    tcase_add_loop_test(tc, test_seeks, 0, 3);
    return s;
}

GST_CHECK_MAIN(flush)

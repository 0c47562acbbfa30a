/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A fit may take hours: what else must happen meanwhile. Progress messages, readable statistics, and an end within
 * 200 ms of PLAYING->NULL, PLAYING->READY or a flush, during a segment and during EOS.
 */
#include "common.h"

/* Work for days. */
#define ENDLESS "model=nerv-mlp epochs=1000000 model-options=\"" TINY_OPTIONS "\""

/* Waits for the second "nerv-progress" message: the fit is under way. */
static void wait_for_progress(GstBus *bus)
{
    guint seen = 0;
    while (seen < 2) {
        GstMessage *message =
            gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);
        fail_unless(message != NULL, "no progress within 30 s");
        fail_unless(GST_MESSAGE_TYPE(message) != GST_MESSAGE_ERROR);
        seen += gst_message_has_name(message, "nerv-progress");
        gst_message_unref(message);
    }
}

static bool has_progress(GstBus *bus, GstProgressType wanted)
{
    GstMessage *message;
    bool found = false;
    while ((message = gst_bus_pop_filtered(bus, GST_MESSAGE_PROGRESS))) {
        GstProgressType type;
        char *code, *text;
        gst_message_parse_progress(message, &type, &code, &text);
        fail_unless_equals_string(code, "fit");
        fail_unless(*text != '\0');
        found |= type == wanted;
        g_free(code);
        g_free(text);
        gst_message_unref(message);
    }
    return found;
}

/* Takes a pipeline in the middle of a fit to a state and measures. */
static void stop_pipeline(const char *source, const char *properties, GstState state)
{
    char *text = g_strdup_printf("%s ! video/x-raw,format=RGB,width=64,height=48 ! nervenc %s " ENDLESS
                                 " ! fakesink sync=false",
                                 source, properties);
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    GstBus *bus;
    gint64 start, ms;

    fail_unless(pipeline != NULL && !error);
    bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    wait_for_progress(bus);

    start = g_get_monotonic_time();
    fail_unless_equals_int(gst_element_set_state(pipeline, state), GST_STATE_CHANGE_SUCCESS);
    ms = (g_get_monotonic_time() - start) / 1000;
    fail_unless(ms < cancel_limit_ms(), "took %d ms: %s", (int)ms, text);
    GST_INFO("stopped within %d ms", (int)ms);
    if (state != GST_STATE_NULL) /* the bus of a pipeline in NULL is flushed */
        fail_unless(has_progress(bus, GST_PROGRESS_TYPE_CANCELED));

    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    g_free(text);
}

GST_START_TEST(test_null_in_segment)
{
    stop_pipeline("videotestsrc", "segment-frames=4", GST_STATE_NULL);
}
GST_END_TEST;

GST_START_TEST(test_ready_in_segment)
{
    stop_pipeline("videotestsrc", "segment-frames=4", GST_STATE_READY);
}
GST_END_TEST;

GST_START_TEST(test_null_at_eos)
{
    stop_pipeline("videotestsrc num-buffers=3", "segment-frames=0", GST_STATE_NULL);
}
GST_END_TEST;

/* One step takes longer here, and the cancel comes inside it. */
GST_START_TEST(test_null_in_large_step)
{
    GstElement *pipeline = gst_parse_launch(
        "videotestsrc ! video/x-raw,format=I420,width=320,height=180 ! nervenc epochs=100000 "
        "segment-frames=2 "
        "batch-size=2 model=nerv-mlp "
        "model-options=\"options,stem=64,base-channels=16,widths=<64,48>,strides=<5,4>\" ! "
        "fakesink",
        NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    gint64 start, ms;

    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    wait_for_progress(bus);
    g_usleep(30000);
    start = g_get_monotonic_time();
    gst_element_set_state(pipeline, GST_STATE_NULL);
    ms = (g_get_monotonic_time() - start) / 1000;
    fail_unless(ms < cancel_limit_ms(), "took %d ms", (int)ms);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
}
GST_END_TEST;

/* The last step's message: what follows is coding. */
static void wait_for_last_step(GstBus *bus)
{
    guint step = 0, steps = 1;
    while (step < steps) {
        GstMessage *message =
            gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);
        fail_unless(message != NULL, "no progress within 60 s");
        fail_unless(GST_MESSAGE_TYPE(message) != GST_MESSAGE_ERROR);
        if (gst_message_has_name(message, "nerv-progress"))
            fail_unless(gst_structure_get(gst_message_get_structure(message), "step", G_TYPE_UINT, &step,
                                          "steps", G_TYPE_UINT, &steps, NULL));
        gst_message_unref(message);
    }
}

/* Few steps of a network that takes seconds to code, and that is coded several times to meet the bitrate. */
GST_START_TEST(test_ready_in_coding)
{
    GstElement *pipeline = gst_parse_launch(
        "videotestsrc num-buffers=2 ! video/x-raw,format=RGB,width=64,height=48,framerate=25/1 ! nervenc "
        "epochs=2 segment-frames=2 bitrate=20000 model=nerv-mlp "
        "model-options=\"options,stem=1024,base-channels=40,widths=<2>,strides=<8>\" ! fakesink",
        NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    gint64 start, ms;

    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    wait_for_last_step(bus);
    g_usleep(200000);
    start = g_get_monotonic_time();
    gst_element_set_state(pipeline, GST_STATE_READY);
    ms = (g_get_monotonic_time() - start) / 1000;
    fail_unless(ms < cancel_limit_ms(), "took %d ms", (int)ms);
    GST_INFO("stopped within %d ms", (int)ms);
    fail_unless(has_progress(bus, GST_PROGRESS_TYPE_CANCELED));
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
}
GST_END_TEST;

/* --- flush --- */

typedef struct {
    GstHarness *h;
    GstVideoInfo info;
    GstFlowReturn ret;
} Pusher;

static gpointer push_frames(gpointer user)
{
    Pusher *p = user;
    for (guint i = 0; i < 2; i++)
        p->ret = gst_harness_push(p->h, picture(&p->info, i));
    return NULL;
}

GST_START_TEST(test_flush_in_segment)
{
    GstElement *enc = tiny_encoder(2);
    GstHarness *h = gst_harness_new_with_element(enc, "sink", "src");
    GstBus *bus = gst_bus_new();
    Pusher p = { .h = h };
    GstSegment segment;
    GThread *thread;
    gint64 start, ms;

    g_object_set(enc, "epochs", 1000000, NULL);
    gst_object_unref(enc);
    gst_element_set_bus(h->element, bus);
    video_info(&p.info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&p.info));
    thread = g_thread_new("pusher", push_frames, &p);
    wait_for_progress(bus);

    start = g_get_monotonic_time();
    gst_harness_push_event(h, gst_event_new_flush_start());
    g_thread_join(thread);
    ms = (g_get_monotonic_time() - start) / 1000;
    fail_unless(ms < cancel_limit_ms(), "took %d ms", (int)ms);
    fail_unless_equals_int(p.ret, GST_FLOW_FLUSHING);
    fail_unless(has_progress(bus, GST_PROGRESS_TYPE_CANCELED));

    /* afterwards the encoder works on */
    gst_harness_push_event(h, gst_event_new_flush_stop(TRUE));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(h, gst_event_new_segment(&segment));
    thread = g_thread_new("pusher", push_frames, &p);
    wait_for_progress(bus);
    gst_harness_push_event(h, gst_event_new_flush_start());
    g_thread_join(thread);
    fail_unless_equals_int(gst_harness_buffers_received(h), 0);

    gst_element_set_bus(h->element, NULL);
    gst_object_unref(bus);
    gst_harness_teardown(h);
}
GST_END_TEST;

/* --- what can be seen meanwhile --- */

GST_START_TEST(test_stats_in_flight)
{
    GstElement *pipeline =
        gst_parse_launch("videotestsrc ! video/x-raw,format=RGB,width=64,height=48 ! nervenc name=e "
                         "segment-frames=4 " ENDLESS " ! fakesink",
                         NULL);
    GstElement *enc = gst_bin_get_by_name(GST_BIN(pipeline), "e");
    GstBus *bus = gst_element_get_bus(pipeline);
    guint step[2] = { 0 }, steps = 0, frames = 0;

    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    wait_for_progress(bus);
    for (guint i = 0; i < 2; i++) {
        GstStructure *stats;
        double eta = 0.;
        g_object_get(enc, "stats", &stats, NULL);
        fail_unless(gst_structure_get(stats, "step", G_TYPE_UINT, &step[i], "steps", G_TYPE_UINT, &steps,
                                      "frames", G_TYPE_UINT, &frames, "eta-seconds", G_TYPE_DOUBLE, &eta,
                                      NULL));
        fail_unless_equals_int(frames, 4);
        fail_unless_equals_int(steps, 4000000);
        fail_unless(eta > 1.);
        gst_structure_free(stats);
        wait_for_progress(bus);
    }
    fail_unless(step[1] > step[0]);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(enc);
    gst_object_unref(pipeline);
}
GST_END_TEST;

/* START, CONTINUE, COMPLETE for each of three segments; the element messages have all their fields. */
GST_START_TEST(test_progress)
{
    RunResult r;
    run_pipeline("videotestsrc num-buffers=5 ! video/x-raw,format=RGB,width=64,height=48 ! " TINY_ENC
                 " segment-frames=2 ! fakesink",
                 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error);
    fail_unless_equals_int(r.progress[GST_PROGRESS_TYPE_START], 3);
    fail_unless_equals_int(r.progress[GST_PROGRESS_TYPE_COMPLETE], 3);
    fail_unless(r.progress[GST_PROGRESS_TYPE_CONTINUE] >= 3);
    fail_unless_equals_int(r.progress[GST_PROGRESS_TYPE_ERROR], 0);
    fail_unless(r.elements >= 3);
    run_result_clear(&r);
}
GST_END_TEST;

GST_START_TEST(test_progress_fields)
{
    static const char *const names[] = { "segment", "frames",           "step",       "steps", "loss",
                                         "psnr",    "steps-per-second", "eta-seconds" };
    GstHarness *h = gst_harness_new_with_element(tiny_encoder(1), "sink", "src");
    GstBus *bus = gst_bus_new();
    GstVideoInfo info;
    GstMessage *message;

    gst_object_unref(h->element);
    gst_element_set_bus(h->element, bus);
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    fail_unless_equals_int(gst_harness_push(h, picture(&info, 0)), GST_FLOW_OK);
    message = gst_bus_pop_filtered(bus, GST_MESSAGE_ELEMENT);
    fail_unless(message != NULL);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        fail_unless(gst_structure_has_field(gst_message_get_structure(message), names[i]), "%s", names[i]);
    gst_message_unref(message);
    gst_element_set_bus(h->element, NULL);
    gst_object_unref(bus);
    gst_harness_teardown(h);
}
GST_END_TEST;

static Suite *cancel_suite(void)
{
    Suite *s = suite_create("cancel");
    TCase *tc = tcase_create("cancel");
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_null_in_segment);
    tcase_add_test(tc, test_ready_in_segment);
    tcase_add_test(tc, test_null_at_eos);
    tcase_add_test(tc, test_null_in_large_step);
    tcase_add_test(tc, test_ready_in_coding);
    tcase_add_test(tc, test_flush_in_segment);
    tcase_add_test(tc, test_stats_in_flight);
    tcase_add_test(tc, test_progress);
    tcase_add_test(tc, test_progress_fields);
    return s;
}

GST_CHECK_MAIN(cancel);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * playbin shows a .nerv file in a window of ximagesink and of glimagesink: the screen is read back and must have the decoded picture on it. Runs under Xvfb
 * (display.sh); skipped (77) without a display or without ximagesink and ximagesrc. The same by vulkansink, which takes the images of a Vulkan device.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "common.h"

static void keep_frame(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer user)
{
    gst_buffer_replace(user, buffer);
}

static void connect(GstElement *pipeline, gpointer screen)
{
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    g_object_set(sink, "signal-handoffs", TRUE, NULL);
    g_signal_connect(sink, "handoff", G_CALLBACK(keep_frame), screen);
    gst_object_unref(sink);
}

static bool have(const char *name)
{
    GstElementFactory *factory = gst_element_factory_find(name);
    const bool found = factory != NULL;
    g_clear_object(&factory);
    return found;
}

/* Sinks that negotiate for themselves. What is drawn by OpenGL may come a little after it was handed over. */
static const char *const sinks[] = {
    "ximagesink",
#ifndef __SANITIZE_ADDRESS__ /* software OpenGL and leak checkers do not go together: it may stand still */
    "glimagesink",
#endif
};
#define TRIES 20

/* The upper left corner of the screen, as large as a picture. */
static GstBuffer *grab(const GstVideoInfo *info)
{
    char *text =
        g_strdup_printf("ximagesrc num-buffers=1 use-damage=false show-pointer=false endx=%d endy=%d ! "
                        "videoconvert ! video/x-raw,format=RGB ! fakesink name=sink",
                        GST_VIDEO_INFO_WIDTH(info) - 1, GST_VIDEO_INFO_HEIGHT(info) - 1);
    GstBuffer *screen = NULL;
    RunResult r;
    run_pipeline(text, 30, connect, NULL, &screen, &r);
    fail_unless(r.eos && !r.error, "%s", r.error ? r.error->message : "");
    fail_unless(screen != NULL);
    run_result_clear(&r);
    g_free(text);
    return screen;
}

GST_START_TEST(test_playbin)
{
    if (!have(sinks[__i__]))
        return;
    GBytes *stream = make_stream(3, 3, NULL);
    GPtrArray *reference = decode(stream);
    char *path = write_temp(stream), *uri = gst_filename_to_uri(path, NULL);
    GstElement *playbin = gst_element_factory_make("playbin", NULL);
    GstElement *sink = gst_element_factory_make(sinks[__i__], NULL);
    GstVideoInfo info;
    GstBuffer *screen;
    double error;

    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    g_object_set(playbin, "uri", uri, "video-sink", sink, NULL);
    gst_element_set_state(playbin, GST_STATE_PAUSED);
    fail_unless_equals_int(gst_element_get_state(playbin, NULL, NULL, 30 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
    error = 1.;
    for (int i = 0; i < TRIES && error >= .02; i++) {
        if (i > 0)
            g_usleep(100000);
        screen = grab(&info);
        error = picture_error(&info, screen, g_ptr_array_index(reference, 0));
        gst_buffer_unref(screen);
    }
    fail_unless(error < .02, "%s: the screen does not show the first frame: error %.3f", sinks[__i__], error);
    gst_element_set_state(playbin, GST_STATE_NULL);
    gst_object_unref(playbin);
    g_unlink(path);
    g_free(uri);
    g_free(path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}
GST_END_TEST;

/* Evaluated and shown on one Vulkan device: nothing is read back, and the first picture is on the screen. */
GST_START_TEST(test_vulkansink)
{
    GstVideoInfo info;
    video_info(&info, GST_VIDEO_FORMAT_RGB, 320, 240, 25,
               1); /* as large as a window of vulkansink at first */
    GBytes *stream = make_stream_of(&info, 2, 2, NULL);
    GPtrArray *reference = decode(stream);
    char *path = write_temp(stream);
    char *text = g_strdup_printf(
        "filesrc location=%s ! nervparse ! nervdec name=dec device=vulkan:0 ! vulkansink", path);
    GstElement *pipeline = gst_parse_launch(text, NULL), *dec = gst_bin_get_by_name(GST_BIN(pipeline), "dec");
    GstStructure *stats;
    GstBuffer *screen;
    guint64 readbacks = 0, frames = 0;
    double error;

    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    if (gst_element_get_state(pipeline, NULL, NULL, 60 * GST_SECOND) != GST_STATE_CHANGE_SUCCESS) {
        GstBus *bus = gst_element_get_bus(pipeline);
        GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
        const GstStructure *s = message ? gst_message_get_structure(message) : NULL;
        fail("no picture: %s", s ? gst_structure_to_string(s) : "no error either");
    }
    screen = grab(&info);
    error = picture_error(&info, screen, g_ptr_array_index(reference, 0));
    fail_unless(error < .02, "the screen does not show the first frame: error %.3f", error);
    g_object_get(dec, "stats", &stats, NULL);
    fail_unless(gst_structure_get(stats, "readbacks", G_TYPE_UINT64, &readbacks, "frames", G_TYPE_UINT64,
                                  &frames, NULL));
    fail_unless(frames > 0 && readbacks == 0,
                "%" G_GUINT64_FORMAT " read-backs for %" G_GUINT64_FORMAT " frames", readbacks, frames);
    gst_structure_free(stats);
    gst_buffer_unref(screen);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(dec);
    gst_object_unref(pipeline);
    g_unlink(path);
    g_free(text);
    g_free(path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}
GST_END_TEST;

/* Whether nervdec knows images, and there is a device: told by a process of its own, which drivers want. */
static bool have_vulkan(void)
{
#ifdef __SANITIZE_ADDRESS__
    return false; /* the software driver's compiler leaves what leak checkers see */
#endif
    const char *argv[] = { "gst-launch-1.0",
                           "-q",
                           "videotestsrc",
                           "num-buffers=1",
                           "!",
                           "video/x-raw,format=BGRA",
                           "!",
                           "vulkanupload",
                           "!",
                           "vulkandownload",
                           "!",
                           "fakesink",
                           NULL };
    GstElementFactory *dec = gst_element_factory_find("nervdec");
    GstCaps *images = gst_caps_from_string("video/x-raw(memory:VulkanImage),format=BGRA");
    gint status = 1;
    const bool known = gst_element_factory_can_src_any_caps(dec, images);
    gst_caps_unref(images);
    gst_object_unref(dec);
    return known && have("vulkansink") &&
           g_spawn_sync(NULL, (gchar **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                        NULL) &&
           g_spawn_check_wait_status(status, NULL);
}

static Suite *display_suite(void)
{
    Suite *s = suite_create("display");
    TCase *tc = tcase_create("display");
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_playbin, 0, G_N_ELEMENTS(sinks));
    if (have_vulkan())
        tcase_add_test(tc, test_vulkansink);
    return s;
}

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    if (!g_getenv("DISPLAY") || !have("ximagesink") || !have("ximagesrc"))
        return 77;
    return gst_check_run_suite(display_suite(), "display", __FILE__);
}

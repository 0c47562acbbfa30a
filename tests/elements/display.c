/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * playbin shows a .nerv file in a window: the screen is read back and must have the decoded picture on it. Runs under Xvfb
 * (display.sh); skipped (77) without a display or without ximagesink and ximagesrc.
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
    GBytes *stream = make_stream(3, 3, NULL);
    GPtrArray *reference = decode(stream);
    char *path = write_temp(stream), *uri = gst_filename_to_uri(path, NULL);
    GstElement *playbin = gst_element_factory_make("playbin", NULL);
    GstElement *sink = gst_element_factory_make("ximagesink", NULL);
    GstVideoInfo info;
    GstBuffer *screen;
    double error;

    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    g_object_set(playbin, "uri", uri, "video-sink", sink, NULL);
    gst_element_set_state(playbin, GST_STATE_PAUSED);
    fail_unless_equals_int(gst_element_get_state(playbin, NULL, NULL, 30 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
    screen = grab(&info);
    error = picture_error(&info, screen, g_ptr_array_index(reference, 0));
    fail_unless(error < .02, "the screen does not show the first frame: error %.3f", error);
    gst_buffer_unref(screen);
    gst_element_set_state(playbin, GST_STATE_NULL);
    gst_object_unref(playbin);
    g_unlink(path);
    g_free(uri);
    g_free(path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}
GST_END_TEST;

static bool have(const char *name)
{
    GstElementFactory *factory = gst_element_factory_find(name);
    const bool found = factory != NULL;
    g_clear_object(&factory);
    return found;
}

static Suite *display_suite(void)
{
    Suite *s = suite_create("display");
    TCase *tc = tcase_create("display");
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_playbin);
    return s;
}

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    if (!g_getenv("DISPLAY") || !have("ximagesink") || !have("ximagesrc"))
        return 77;
    return gst_check_run_suite(display_suite(), "display", __FILE__);
}

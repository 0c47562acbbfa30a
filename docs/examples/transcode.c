/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * transcode IN OUT.mp4|OUT.mkv [PROPERTY=VALUE...]
 *
 * Any file with video to neural video in MP4 or Matroska. Audio is taken as it is where the container has a name for it, and coded as Opus where not. Properties are
 * nervenc's: preset=slow, bitrate=300, max-encode-seconds=20. Shows how far it is; Ctrl-C ends the file in order, a second one at once.
 *
 *     cc transcode.c -o transcode $(pkg-config --cflags --libs gstreamer-video-1.0)
 */
#include <glib-unix.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    GMainLoop *loop;
    GstElement *pipeline, *encoder, *muxer;
    gboolean have_video;
    int interrupts, status;
} App;

/* --- streams --- */

/* A chain of elements behind `pad`, in the pipeline and running; its last source pad. */
static GstPad *add_chain(App *app, GstPad *pad, const char *description)
{
    GError *error = NULL;
    GstElement *bin = gst_parse_bin_from_description(description, TRUE, &error);
    if (!bin) {
        g_printerr("transcode: %s\n", error->message);
        g_clear_error(&error);
        app->status = EXIT_FAILURE;
        g_main_loop_quit(app->loop);
        return NULL;
    }
    gst_bin_add(GST_BIN(app->pipeline), bin);
    gst_element_sync_state_with_parent(bin);
    GstPad *sink = gst_element_get_static_pad(bin, "sink");
    gst_pad_link(pad, sink);
    gst_object_unref(sink);
    return gst_element_get_static_pad(bin, "src");
}

static void link_to_muxer(App *app, GstPad *pad, const char *name)
{
    GstPad *sink = gst_element_request_pad_simple(app->muxer, name);
    if (!sink || gst_pad_link(pad, sink) != GST_PAD_LINK_OK)
        g_printerr("transcode: a stream is left out, the muxer does not take it\n");
    gst_clear_object(&sink);
}

static void add_video(App *app, GstPad *pad)
{
    GstPad *raw = add_chain(app, pad, "queue ! deinterlace ! videoconvert");
    if (!raw)
        return;
    GstPad *sink = gst_element_get_static_pad(app->encoder, "sink"),
           *src = gst_element_get_static_pad(app->encoder, "src");
    gst_pad_link(raw, sink);
    GstPad *coded = add_chain(app, src, "queue");
    if (coded)
        link_to_muxer(app, coded, "video_%u");
    app->have_video = TRUE;
    gst_clear_object(&coded);
    gst_object_unref(src);
    gst_object_unref(sink);
    gst_object_unref(raw);
}

/* The queue holds all audio of a segment while that is fitted: without its limits off, the demuxer would wait for room and the encoder for frames. */
#define WAIT "queue max-size-time=0 max-size-bytes=0 max-size-buffers=0"

static void add_audio(App *app, GstPad *pad, gboolean is_raw)
{
    GstPad *coded = add_chain(app, pad, is_raw ? WAIT " ! audioconvert ! audioresample ! opusenc" : WAIT);
    if (coded)
        link_to_muxer(app, coded, "audio_%u");
    gst_clear_object(&coded);
}

static void pad_added(GstElement *decoder, GstPad *pad, gpointer user)
{
    App *app = user;
    GstCaps *caps = gst_pad_get_current_caps(pad);
    const char *name = caps ? gst_structure_get_name(gst_caps_get_structure(caps, 0)) : "";
    if (g_str_has_prefix(name, "video/") && !app->have_video)
        add_video(app, pad);
    else if (g_str_has_prefix(name, "audio/"))
        add_audio(app, pad, strcmp(name, "audio/x-raw") == 0);
    gst_clear_caps(&caps);
}

static void no_more_pads(GstElement *decoder, gpointer user)
{
    App *app = user;
    if (app->have_video)
        return;
    g_printerr("transcode: there is no video\n");
    app->status = EXIT_FAILURE;
    g_main_loop_quit(app->loop);
}

/* decodebin stops where a stream is raw, or audio that the muxer takes. */
static GstCaps *where_to_stop(GstElement *muxer)
{
    GstPadTemplate *audio = gst_element_class_get_pad_template(GST_ELEMENT_GET_CLASS(muxer), "audio_%u");
    GstCaps *caps = gst_pad_template_get_caps(audio);
    return gst_caps_merge(gst_caps_from_string("video/x-raw; audio/x-raw"), caps);
}

/* --- messages --- */

static void show_progress(App *app, const GstStructure *s)
{
    guint segment, step, steps;
    gdouble db, seconds;
    if (!gst_structure_get(s, "segment", G_TYPE_UINT, &segment, "step", G_TYPE_UINT, &step, "steps",
                           G_TYPE_UINT, &steps, "psnr-frames", G_TYPE_DOUBLE, &db, "eta-seconds",
                           G_TYPE_DOUBLE, &seconds, NULL))
        return;
    g_print("\rsegment %u: step %u of %u, %.1f dB, %.0f s left   ", segment, step, steps, db,
            MAX(seconds, 0.));
}

static gboolean on_message(GstBus *bus, GstMessage *message, gpointer user)
{
    App *app = user;
    GError *error = NULL;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ELEMENT:
        if (gst_message_has_name(message, "nerv-progress"))
            show_progress(app, gst_message_get_structure(message));
        break;
    case GST_MESSAGE_WARNING:
        gst_message_parse_warning(message, &error, NULL);
        g_printerr("\ntranscode: %s\n", error->message);
        break;
    case GST_MESSAGE_ERROR:
        gst_message_parse_error(message, &error, NULL);
        g_printerr("\ntranscode: %s\n", error->message);
        app->status = EXIT_FAILURE;
        g_main_loop_quit(app->loop);
        break;
    case GST_MESSAGE_EOS:
        g_print("\ndone\n");
        g_main_loop_quit(app->loop);
        break;
    default:
        break;
    }
    g_clear_error(&error);
    return G_SOURCE_CONTINUE;
}

static gboolean on_interrupt(gpointer user)
{
    App *app = user;
    if (app->interrupts++ == 0) {
        g_print("\nending the file; once more to stop at once\n");
        gst_element_send_event(app->pipeline, gst_event_new_eos());
        return G_SOURCE_CONTINUE;
    }
    app->status = EXIT_FAILURE;
    g_main_loop_quit(app->loop);
    return G_SOURCE_CONTINUE;
}

/* --- */

static gboolean build(App *app, const char *in, const char *out, char **properties)
{
    const char *muxer = g_str_has_suffix(out, ".mp4")   ? "nervmp4mux"
                        : g_str_has_suffix(out, ".mkv") ? "nervmkvmux"
                                                        : NULL;
    if (!muxer) {
        g_printerr("transcode: %s is neither .mp4 nor .mkv\n", out);
        return FALSE;
    }
    if (!g_file_test(in, G_FILE_TEST_EXISTS)) {
        g_printerr("transcode: %s: there is no such file\n", in);
        return FALSE;
    }
    app->pipeline = gst_pipeline_new("transcode");
    GstElement *source = gst_element_factory_make("uridecodebin", NULL),
               *sink = gst_element_factory_make("filesink", NULL);
    app->encoder = gst_element_factory_make("nervenc", NULL);
    app->muxer = gst_element_factory_make(muxer, NULL);
    if (!source || !sink || !app->encoder || !app->muxer) {
        g_printerr("transcode: %s is missing; is GST_PLUGIN_PATH set?\n",
                   !app->encoder || !app->muxer ? "the plugin nerv" : "a stock plugin");
        return FALSE;
    }
    gst_bin_add_many(GST_BIN(app->pipeline), source, app->encoder, app->muxer, sink, NULL);
    gst_element_link(app->muxer, sink);
    for (; *properties; properties++) {
        char *value = strchr(*properties, '=');
        if (value)
            *value++ = '\0';
        if (!value) {
            g_printerr("transcode: %s: a property is written NAME=VALUE\n", *properties);
            return FALSE;
        }
        if (!g_object_class_find_property(G_OBJECT_GET_CLASS(app->encoder), *properties)) {
            g_printerr("transcode: nervenc has no property \"%s\"\n", *properties);
            return FALSE;
        }
        gst_util_set_object_arg(G_OBJECT(app->encoder), *properties, value);
    }
    char *uri = gst_filename_to_uri(in, NULL);
    GstCaps *caps = where_to_stop(app->muxer);
    g_object_set(source, "uri", uri, "caps", caps, NULL);
    g_object_set(sink, "location", out, NULL);
    g_signal_connect(source, "pad-added", G_CALLBACK(pad_added), app);
    g_signal_connect(source, "no-more-pads", G_CALLBACK(no_more_pads), app);
    gst_caps_unref(caps);
    g_free(uri);
    return TRUE;
}

int main(int argc, char **argv)
{
    App app = { .status = EXIT_SUCCESS };
    gst_init(&argc, &argv);
    if (argc < 3) {
        g_printerr("usage: transcode IN OUT.mp4|OUT.mkv [PROPERTY=VALUE...]\n");
        return EXIT_FAILURE;
    }
    app.loop = g_main_loop_new(NULL, FALSE);
    if (!build(&app, argv[1], argv[2], argv + 3))
        return EXIT_FAILURE;
    GstBus *bus = gst_element_get_bus(app.pipeline);
    gst_bus_add_watch(bus, on_message, &app);
    g_unix_signal_add(SIGINT, on_interrupt, &app);
    gst_element_set_state(app.pipeline, GST_STATE_PLAYING);
    g_main_loop_run(app.loop);
    gst_element_set_state(app.pipeline, GST_STATE_NULL);
    gst_bus_remove_watch(bus);
    gst_object_unref(bus);
    gst_object_unref(app.pipeline);
    g_main_loop_unref(app.loop);
    return app.status;
}

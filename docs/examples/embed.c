/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * embed [FRAMES]
 *
 * Neural video inside an application, without files: pictures that the program draws go into nervenc by appsrc, access units come out of appsink; they go into
 * nervdec the same way, and pictures come back. Prints what each access unit takes and how near the pictures came.
 *
 *     cc embed.c -o embed $(pkg-config --cflags --libs gstreamer-app-1.0 gstreamer-video-1.0) -lm
 */
#include <gst/app/app.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WIDTH  160
#define HEIGHT 90
#define FPS    25

/* A disc that moves over a gradient. */
static GstBuffer *draw(int n)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, WIDTH * HEIGHT * 4, NULL);
    const double x0 = WIDTH * (.5 + .3 * cos(n * .1)), y0 = HEIGHT * (.5 + .3 * sin(n * .1));
    GstMapInfo map;
    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            guint8 *pixel = map.data + 4 * (y * WIDTH + x);
            const double d = CLAMP(hypot(x - x0, y - y0) - 14., 0., 1.); /* 0 inside */
            pixel[0] = (guint8)(230 + d * (x * 200. / WIDTH - 230));
            pixel[1] = (guint8)(80 + d * (y * 200. / HEIGHT - 80));
            pixel[2] = (guint8)(40 + d * 60);
            pixel[3] = 255;
        }
    gst_buffer_unmap(buffer, &map);
    GST_BUFFER_PTS(buffer) = gst_util_uint64_scale(n, GST_SECOND, FPS);
    GST_BUFFER_DURATION(buffer) = gst_util_uint64_scale(1, GST_SECOND, FPS);
    return buffer;
}

/* Starts "appsrc ! description ! appsink". */
static GstElement *start(const char *description, const char *caps, GstAppSrc **in, GstAppSink **out)
{
    g_autofree char *text = g_strdup_printf(
        "appsrc name=in format=time block=true max-buffers=64 ! %s ! appsink name=out sync=false",
        description);
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    if (error) {
        fprintf(stderr, "embed: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
    *in = GST_APP_SRC(gst_bin_get_by_name(GST_BIN(pipeline), "in"));
    *out = GST_APP_SINK(gst_bin_get_by_name(GST_BIN(pipeline), "out"));
    if (caps) {
        GstCaps *c = gst_caps_from_string(caps);
        gst_app_src_set_caps(*in, c);
        gst_caps_unref(c);
    }
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    return pipeline;
}

/* The next sample; NULL at the end, which an error is too: then it is said. */
static GstSample *next(GstElement *pipeline, GstAppSink *out)
{
    GstSample *sample = gst_app_sink_pull_sample(out);
    if (sample)
        return sample;
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    if (message) {
        GError *error;
        gst_message_parse_error(message, &error, NULL);
        fprintf(stderr, "embed: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
    gst_object_unref(bus);
    return NULL;
}

static void stop(GstElement *pipeline, GstAppSrc *in, GstAppSink *out)
{
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(in);
    gst_object_unref(out);
    gst_object_unref(pipeline);
}

/* dB of red, green and blue. */
static double psnr(GstBuffer *a, GstBuffer *b)
{
    GstMapInfo ma, mb;
    double sum = 0;
    gst_buffer_map(a, &ma, GST_MAP_READ);
    gst_buffer_map(b, &mb, GST_MAP_READ);
    for (gsize i = 0; i < ma.size && i < mb.size; i++)
        if (i % 4 != 3)
            sum += (ma.data[i] - mb.data[i]) * (ma.data[i] - mb.data[i]);
    gst_buffer_unmap(a, &ma);
    gst_buffer_unmap(b, &mb);
    return 10 * log10(255. * 255. * WIDTH * HEIGHT * 3 / MAX(sum, 1));
}

int main(int argc, char **argv)
{
    gst_init(&argc, &argv);
    const int n_frames = argc > 1 ? atoi(argv[1]) : 50;
    GstAppSrc *in;
    GstAppSink *out;
    GstSample *sample;
    GQueue units = G_QUEUE_INIT;
    gsize bytes = 0;

    if (n_frames < 1 || n_frames > 1000) {
        fprintf(stderr, "usage: embed [FRAMES], 1 to 1000 of them\n");
        return EXIT_FAILURE;
    }

    /* Nothing comes out before a segment is full or the end is told: all of it can be pushed first. */
    GstElement *encoder = start("nervenc preset=faster segment-frames=32",
                                "video/x-raw,format=RGBx,width=" G_STRINGIFY(WIDTH) ",height=" G_STRINGIFY(
                                    HEIGHT) ",framerate=" G_STRINGIFY(FPS) "/1",
                                &in, &out);
    for (int n = 0; n < n_frames; n++)
        if (gst_app_src_push_buffer(in, draw(n)) != GST_FLOW_OK)
            break; /* next() says why */
    gst_app_src_end_of_stream(in);
    while ((sample = next(encoder, out))) {
        GstBuffer *unit = gst_sample_get_buffer(sample);
        const gsize size = gst_buffer_get_size(unit);
        if (!GST_BUFFER_FLAG_IS_SET(unit, GST_BUFFER_FLAG_DELTA_UNIT))
            printf("segment at frame %u: a network of about %zu bytes\n", units.length, size);
        bytes += size;
        g_queue_push_tail(&units, sample);
    }
    stop(encoder, in, out);
    printf("%u access units, %zu bytes\n", units.length, bytes);

    /* Units keep their caps with them: sample by sample, appsrc needs none of its own. */
    GstElement *decoder = start("nervdec ! video/x-raw,format=RGBx", NULL, &in, &out);
    double sum = 0;
    int n = 0;
    while ((sample = g_queue_pop_head(&units))) {
        gst_app_src_push_sample(in, sample);
        gst_sample_unref(sample);
    }
    gst_app_src_end_of_stream(in);
    while ((sample = next(decoder, out))) {
        GstBuffer *wanted = draw(n++);
        sum += psnr(gst_sample_get_buffer(sample), wanted);
        gst_buffer_unref(wanted);
        gst_sample_unref(sample);
    }
    stop(decoder, in, out);
    printf("%d pictures, %.1f dB\n", n, n ? sum / n : 0.);
    return n == n_frames ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Video that is known in part, by its alpha and by mask-location, a picture and a video; and nervdenoise, in a pipeline and by its properties.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"

#define WIDTH  48
#define HEIGHT 32
#define FRAMES 8

#define ENC "nervenc device=cpu epochs=40 tune=psnr quality=65 "

/* A texture that moves by two samples a frame, and a box that moves as well. */
static guint8 texture(gint x, gint y, guint frame, gint channel)
{
    const double u = x + 2. * frame;
    return (guint8)lrint(120. + 50. * sin(u * .37 + channel) * cos(y * .29) + 40. * sin(u * .11 - y * .07));
}

static gboolean is_hidden(gint x, gint y, guint frame)
{
    const gint left = 6 + 4 * (gint)frame;
    return y >= 12 && y < 20 && x >= left && x < left + 8;
}

/* fill: what stands where is_hidden() says so; alpha: whether that is transparent. */
static GstBuffer *frame_new(guint n, guint8 fill, gboolean alpha)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, 4 * WIDTH * HEIGHT, NULL);
    GstMapInfo map;
    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    for (gint y = 0; y < HEIGHT; y++)
        for (gint x = 0; x < WIDTH; x++) {
            guint8 *p = map.data + 4 * (y * WIDTH + x);
            const gboolean hidden = is_hidden(x, y, n);
            for (gint c = 0; c < 3; c++)
                p[c] = hidden ? fill : texture(x, y, n, c);
            p[3] = hidden && alpha ? 0 : 255;
        }
    gst_buffer_unmap(buffer, &map);
    GST_BUFFER_PTS(buffer) = n * 40 * GST_MSECOND;
    GST_BUFFER_DURATION(buffer) = 40 * GST_MSECOND;
    return buffer;
}

/* What a chain from RGBA or RGBx makes of the frames: its buffers. */
static GPtrArray *run_chain(const char *chain, const char *format, guint8 fill, gboolean alpha)
{
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref);
    GstHarness *h = gst_harness_new_parse(chain);
    char *caps =
        g_strdup_printf("video/x-raw,format=%s,width=%d,height=%d,framerate=25/1", format, WIDTH, HEIGHT);
    GstBuffer *buffer;
    gst_harness_set_src_caps_str(h, caps);
    for (guint i = 0; i < FRAMES; i++)
        fail_unless_equals_int(gst_harness_push(h, frame_new(i, fill, alpha)), GST_FLOW_OK);
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    while ((buffer = gst_harness_try_pull(h)))
        g_ptr_array_add(out, buffer);
    gst_harness_teardown(h);
    g_free(caps);
    fail_unless_equals_int(out->len, FRAMES);
    return out;
}

static gboolean same(const GPtrArray *a, const GPtrArray *b)
{
    for (guint i = 0; i < a->len; i++)
        if (!same_content(g_ptr_array_index(a, i), g_ptr_array_index(b, i)))
            return FALSE;
    return a->len == b->len;
}

/* Mean squared error of RGBx frames where the box is. */
static double error_inside(const GPtrArray *frames)
{
    double sum = 0., n = 0.;
    for (guint i = 0; i < frames->len; i++) {
        GstMapInfo map;
        gst_buffer_map(g_ptr_array_index(frames, i), &map, GST_MAP_READ);
        fail_unless_equals_int(map.size, 4 * WIDTH * HEIGHT);
        for (gint y = 0; y < HEIGHT; y++)
            for (gint x = 0; x < WIDTH; x++)
                for (gint c = 0; c < 3 && is_hidden(x, y, i); c++, n++)
                    sum += pow(map.data[4 * (y * WIDTH + x) + c] - texture(x, y, i, c), 2.);
        gst_buffer_unmap(g_ptr_array_index(frames, i), &map);
    }
    return sum / n;
}

/* Whatever is hidden, the stream is the same; what is shown there is not what was. */
GST_START_TEST(test_alpha)
{
    GPtrArray *white = run_chain(ENC, "RGBA", 255, TRUE), *black = run_chain(ENC, "RGBA", 0, TRUE),
              *seen = run_chain(ENC, "RGBA", 0, FALSE), *plain = run_chain(ENC, "RGBx", 0, FALSE);
    fail_unless(same(white, black));
    fail_if(same(white, seen));
    fail_unless(same(seen, plain), "opaque is not the same as no alpha");
    GPtrArray *shown =
        run_chain(ENC "! nervdec device=cpu ! capsfilter caps=video/x-raw,format=RGBx", "RGBA", 255, TRUE);
    g_print("alpha: %.1f squared\n", error_inside(shown));
    fail_unless(error_inside(shown) < 600.);
    g_ptr_array_unref(white);
    g_ptr_array_unref(black);
    g_ptr_array_unref(seen);
    g_ptr_array_unref(plain);
    g_ptr_array_unref(shown);
}
GST_END_TEST

/* Formats whose chroma is shared, or becomes it. */
GST_START_TEST(test_alpha_formats)
{
    static const char *const formats[] = { "BGRA", "A420", "AYUV" };
    const char *format = formats[__i__];
    char *chain =
        g_strdup_printf("videoconvert ! capsfilter caps=video/x-raw,format=%s ! " ENC
                        "! nervdec device=cpu ! videoconvert ! capsfilter caps=video/x-raw,format=RGBx",
                        format);
    GPtrArray *shown = run_chain(chain, "RGBA", 255, TRUE);
    g_print("%s: %.1f squared\n", format, error_inside(shown));
    fail_unless(error_inside(shown) < 700.);
    g_ptr_array_unref(shown);
    g_free(chain);
}
GST_END_TEST

/* A file of one frame that hides what the first frame's box hides, as a picture that is white where it is not transparent; light: all of it, or none. */
static char *make_picture(const char *format, gint light)
{
    char *path = NULL;
    GstHarness *h = gst_harness_new("pngenc");
    char *caps =
        g_strdup_printf("video/x-raw,format=%s,width=%d,height=%d,framerate=25/1", format, WIDTH, HEIGHT);
    const gsize bytes = g_str_equal(format, "GRAY8") ? 1 : 4;
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, bytes * WIDTH * HEIGHT, NULL), *coded;
    GstMapInfo map;
    g_close(g_file_open_tmp("nerv-mask-XXXXXX.png", &path, NULL), NULL);
    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    for (gint i = 0; i < WIDTH * HEIGHT; i++) {
        memset(map.data + (gsize)i * bytes, light, bytes);
        if (bytes == 4)
            map.data[4 * i + 3] = is_hidden(i % WIDTH, i / WIDTH, 0) ? 255 : 0;
    }
    gst_buffer_unmap(buffer, &map);
    gst_harness_set_src_caps_str(h, caps);
    fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    coded = gst_harness_pull(h);
    gst_buffer_map(coded, &map, GST_MAP_READ);
    fail_unless(g_file_set_contents(path, (const char *)map.data, (gssize)map.size, NULL));
    gst_buffer_unmap(coded, &map);
    gst_buffer_unref(coded);
    gst_harness_teardown(h);
    g_free(caps);
    return path;
}

/* A file of as many frames, light where the box is, of the first frame in all of them or of each. */
static char *make_mask(guint n, const char *encoder, const char *ending)
{
    char *name = g_strdup_printf("nerv-mask-XXXXXX%s", ending), *path = NULL;
    GError *error = NULL;
    const gint file = g_file_open_tmp(name, &path, &error);
    g_assert_no_error(error);
    g_close(file, NULL);
    char *chain = g_strdup_printf("videoconvert ! %s", encoder);
    GstHarness *h = gst_harness_new_parse(chain);
    GByteArray *bytes = g_byte_array_new();
    GstBuffer *coded;
    gst_harness_set_src_caps_str(h, "video/x-raw,format=GRAY8,width=48,height=32,framerate=25/1");
    for (guint i = 0; i < n; i++) {
        GstBuffer *buffer = gst_buffer_new_allocate(NULL, WIDTH * HEIGHT, NULL);
        GstMapInfo map;
        gst_buffer_map(buffer, &map, GST_MAP_WRITE);
        for (gint y = 0; y < HEIGHT; y++)
            for (gint x = 0; x < WIDTH; x++)
                map.data[y * WIDTH + x] = is_hidden(x, y, i) ? 255 : 0;
        gst_buffer_unmap(buffer, &map);
        GST_BUFFER_PTS(buffer) = i * 40 * GST_MSECOND;
        GST_BUFFER_DURATION(buffer) = 40 * GST_MSECOND;
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    while ((coded = gst_harness_try_pull(h))) {
        GstMapInfo map;
        gst_buffer_map(coded, &map, GST_MAP_READ);
        g_byte_array_append(bytes, map.data, (guint)map.size);
        gst_buffer_unmap(coded, &map);
        gst_buffer_unref(coded);
    }
    fail_unless(g_file_set_contents(path, (const char *)bytes->data, bytes->len, NULL));
    gst_harness_teardown(h);
    g_byte_array_unref(bytes);
    g_free(chain);
    g_free(name);
    return path;
}

/* A video of masks hides what the same alpha hides; a picture hides its place in all frames. */
GST_START_TEST(test_location)
{
    char *video = make_mask(FRAMES, "y4menc", ".y4m"), *still = make_mask(1, "pngenc", ".png");
    char *by_video = g_strdup_printf(ENC "mask-location=%s", video),
         *by_still = g_strdup_printf(ENC "mask-location=%s", still);
    GPtrArray *alpha = run_chain(ENC, "RGBA", 9, TRUE), *masked = run_chain(by_video, "RGBx", 77, FALSE),
              *once = run_chain(by_still, "RGBx", 77, FALSE), *other = run_chain(by_still, "RGBx", 78, FALSE);
    fail_unless(same(alpha, masked), "a mask's video is not the same as alpha");
    fail_if(same(once, masked));
    fail_if(same(once, other), "the first frame's place is not hidden in others: their boxes are to be seen");
    g_unlink(video);
    g_unlink(still);
    g_ptr_array_unref(alpha);
    g_ptr_array_unref(masked);
    g_ptr_array_unref(once);
    g_ptr_array_unref(other);
    g_free(by_video);
    g_free(by_still);
    g_free(video);
    g_free(still);
}
GST_END_TEST

/* What is transparent in a mask hides nothing, light or not. */
GST_START_TEST(test_transparent_mask)
{
    char *still = make_mask(1, "pngenc", ".png"), *white = make_picture("RGBA", 255);
    char *by_still = g_strdup_printf(ENC "mask-location=%s", still),
         *by_alpha = g_strdup_printf(ENC "mask-location=%s", white);
    GPtrArray *want = run_chain(by_still, "RGBx", 77, FALSE), *got = run_chain(by_alpha, "RGBx", 77, FALSE);
    fail_unless(same(want, got), "a picture's alpha is not the same as its light");
    g_unlink(still);
    g_unlink(white);
    g_ptr_array_unref(want);
    g_ptr_array_unref(got);
    g_free(by_still);
    g_free(by_alpha);
    g_free(still);
    g_free(white);
}
GST_END_TEST

/* A mask that hides all, or nothing, is one that is meant otherwise: it works, and a warning says so. */
GST_START_TEST(test_odd_mask)
{
    char *mask = make_picture("GRAY8", __i__ ? 255 : 0);
    char *text = g_strdup_printf("videotestsrc num-buffers=8 ! video/x-raw,format=RGB,width=48,height=32 ! "
                                 "nervenc device=cpu epochs=1 segment-frames=4 mask-location=%s ! fakesink",
                                 mask);
    RunResult r;
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && r.warnings == 1, "%u warnings", r.warnings);
    run_result_clear(&r);
    g_unlink(mask);
    g_free(mask);
    g_free(text);
}
GST_END_TEST

static void expect_error(const char *location, const char *size, const char *says)
{
    RunResult r;
    char *text = g_strdup_printf("videotestsrc num-buffers=4 ! video/x-raw,format=I420,%s ! "
                                 "nervenc device=cpu epochs=1 mask-location=%s ! fakesink",
                                 size, location);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.error != NULL, "%s: no error", location);
    char *all = g_strdup_printf("%s %s", r.error->message, r.debug);
    fail_unless(strstr(all, says) != NULL, "\"%s\" does not say \"%s\"", all, says);
    g_free(all);
    run_result_clear(&r);
    g_free(text);
}

GST_START_TEST(test_wrong_location)
{
    char *still = make_mask(1, "pngenc", ".png"), *text = NULL;
    expect_error(still, "width=64,height=48", "48 x 32");
    const gint file = g_file_open_tmp("nerv-mask-XXXXXX", &text, NULL);
    g_close(file, NULL);
    fail_unless(g_file_set_contents(text, "nothing that anyone decodes", -1, NULL));
    expect_error(text, "width=48,height=32", "cannot be read");
    g_unlink(text);
    expect_error(text, "width=48,height=32", "cannot be read");
    fail_unless(mkfifo(text, 0600) == 0);
    expect_error(text, "width=48,height=32", "no regular file");
    g_unlink(text);
    g_unlink(still);
    g_free(still);
    g_free(text);
}
GST_END_TEST

/* --- nervinpaint --- */

/* What is known stays bit by bit, what is hidden is filled in; with times or without. */
GST_START_TEST(test_inpaint)
{
    const gboolean timed = __i__ == 0;
    GstHarness *h = gst_harness_new_parse("nervinpaint device=cpu segment-frames=8 encoder::epochs=40");
    double sum = 0., n = 0.;
    gst_harness_set_src_caps_str(h, "video/x-raw,format=RGBA,width=48,height=32,framerate=25/1");
    for (guint i = 0; i < FRAMES; i++) {
        GstBuffer *buffer = frame_new(i, 255, TRUE);
        if (!timed)
            GST_BUFFER_PTS(buffer) = GST_BUFFER_DURATION(buffer) = GST_CLOCK_TIME_NONE;
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    for (guint i = 0; i < FRAMES; i++) {
        GstBuffer *buffer = gst_harness_pull(h);
        GstMapInfo map;
        gst_buffer_map(buffer, &map, GST_MAP_READ);
        for (gint y = 0; y < HEIGHT; y++)
            for (gint x = 0; x < WIDTH; x++)
                for (gint c = 0; c < 3; c++) {
                    const gint d = map.data[4 * (y * WIDTH + x) + c] - texture(x, y, i, c);
                    if (!is_hidden(x, y, i))
                        fail_unless(d == 0, "frame %u, %d, %d: what is known has changed by %d", i, x, y, d);
                    else
                        sum += d * d, n++;
                }
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
    fail_unless(gst_harness_try_pull(h) == NULL);
    GstCaps *caps = gst_pad_get_current_caps(h->sinkpad);
    fail_unless_equals_string(gst_structure_get_string(gst_caps_get_structure(caps, 0), "format"), "RGBx");
    gst_caps_unref(caps);
    g_print("nervinpaint: %.1f squared\n", sum / n);
    fail_unless(sum / n < 600.);
    gst_harness_teardown(h);
}
GST_END_TEST

/* Frames from..to-1 of a stream that begins at `from`, behind a flush unless it is the first; what is known is as it was. */
static void inpaint_part(GstHarness *h, guint from, guint to, gboolean begins)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = segment.time = segment.position = from * 40 * GST_MSECOND;
    if (!begins) {
        fail_unless(gst_harness_push_event(h, gst_event_new_flush_start()));
        fail_unless(gst_harness_push_event(h, gst_event_new_flush_stop(TRUE)));
        fail_unless(gst_harness_push_event(h, gst_event_new_segment(&segment)));
    }
    for (guint i = from; i < to; i++)
        fail_unless_equals_int(gst_harness_push(h, frame_new(i, 255, FALSE)), GST_FLOW_OK);
    for (guint i = from; i < to; i++) {
        GstBuffer *buffer = gst_harness_pull(h);
        GstMapInfo map;
        gst_buffer_map(buffer, &map, GST_MAP_READ);
        for (gint y = 0; y < HEIGHT; y++)
            for (gint x = 0; x < WIDTH; x++)
                if (!is_hidden(x, y, i))
                    fail_unless_equals_int(map.data[4 * (y * WIDTH + x)], texture(x, y, i, 0));
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
}

/* The n-th frame of a mask's video is the n-th frame's behind seeks, too: onwards, back, and behind its end. */
GST_START_TEST(test_inpaint_seek)
{
    char *video = make_mask(FRAMES, "y4menc", ".y4m");
    char *chain =
        g_strdup_printf("nervinpaint device=cpu segment-frames=2 encoder::epochs=2 mask-location=%s", video);
    GstHarness *h = gst_harness_new_parse(chain);
    gst_harness_set_src_caps_str(h, "video/x-raw,format=RGBx,width=48,height=32,framerate=25/1");
    inpaint_part(h, 0, 2, TRUE);
    inpaint_part(h, 5, 7, FALSE);
    inpaint_part(h, 1, 5, FALSE);
    inpaint_part(h, 6, 8, FALSE);
    inpaint_part(h, 0, 2, FALSE);
    gst_harness_teardown(h);
    g_unlink(video);
    g_free(video);
    g_free(chain);
}
GST_END_TEST

/* What was opened and is not there any more behind a seek backwards is an error, not the mask that was there last. */
GST_START_TEST(test_inpaint_mask_gone)
{
    char *video = make_mask(FRAMES, "y4menc", ".y4m");
    char *chain =
        g_strdup_printf("nervinpaint device=cpu segment-frames=2 encoder::epochs=2 mask-location=%s", video);
    GstHarness *h = gst_harness_new_parse(chain);
    GstSegment segment;
    gst_harness_set_src_caps_str(h, "video/x-raw,format=RGBx,width=48,height=32,framerate=25/1");
    inpaint_part(h, 0, 4, TRUE);
    fail_unless(g_file_set_contents(video, "nothing that anyone decodes", -1, NULL));
    fail_unless(gst_harness_push_event(h, gst_event_new_flush_start()));
    fail_unless(gst_harness_push_event(h, gst_event_new_flush_stop(TRUE)));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    fail_unless(gst_harness_push_event(h, gst_event_new_segment(&segment)));
    fail_unless_equals_int(gst_harness_push(h, frame_new(0, 255, FALSE)), GST_FLOW_ERROR);
    gst_harness_teardown(h);
    g_unlink(video);
    g_free(video);
    g_free(chain);
}
GST_END_TEST

/* Times may go back: each picture has the samples of its own frame. */
GST_START_TEST(test_inpaint_times)
{
    static const guint times[FRAMES] = { 0, 40, 80, 20, 60, 100, 10, 120 };
    GstHarness *h = gst_harness_new_parse("nervinpaint device=cpu segment-frames=4 encoder::epochs=2");
    gst_harness_set_src_caps_str(h, "video/x-raw,format=RGBA,width=48,height=32,framerate=25/1");
    for (guint i = 0; i < FRAMES; i++) {
        GstBuffer *buffer = frame_new(i, 255, TRUE);
        GST_BUFFER_PTS(buffer) = times[i] * GST_MSECOND;
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    for (guint i = 0; i < FRAMES; i++) {
        GstBuffer *buffer = gst_harness_pull(h);
        GstMapInfo map;
        fail_unless(gst_buffer_get_reference_timestamp_meta(buffer, NULL) == NULL);
        gst_buffer_map(buffer, &map, GST_MAP_READ);
        for (gint k = 0; k < WIDTH * HEIGHT; k++)
            if (!is_hidden(k % WIDTH, k / WIDTH, i))
                fail_unless(map.data[4 * k] == texture(k % WIDTH, k / WIDTH, i, 0), "frame %u, %d, %d", i,
                            k % WIDTH, k / WIDTH);
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
    gst_harness_teardown(h);
}
GST_END_TEST

/* What can't be done is said once, by nervinpaint, and then no more comes. */
GST_START_TEST(test_inpaint_errors)
{
    char *still = make_mask(1, "pngenc", ".png");
    const struct {
        const char *format, *location, *behind, *says;
    } wrong[] = { { "I420", still, "video/x-raw,format=RGB", "put a videoconvert" },
                  { "RGB", still, "video/x-raw,framerate=50/1", "put a videoconvert or a videorate" },
                  { "RGB", "/nowhere/mask.png", "video/x-raw", "cannot be read" } };
    char *text = g_strdup_printf(
        "videotestsrc num-buffers=50 ! video/x-raw,format=%s,width=48,height=32,framerate=25/1 ! "
        "nervinpaint device=cpu segment-frames=2 encoder::epochs=1 mask-location=%s ! %s ! fakesink",
        wrong[__i__].format, wrong[__i__].location, wrong[__i__].behind);
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message;
    guint own = 0, all = 0;
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while ((message = gst_bus_timed_pop_filtered(bus, (all ? 1 : 30) * GST_SECOND, GST_MESSAGE_ERROR))) {
        GError *error;
        char *debug;
        gst_message_parse_error(message, &error, &debug);
        char *says = g_strdup_printf("%s %s", error->message, debug);
        if (all++ == 0)
            fail_unless(strstr(says, wrong[__i__].says) != NULL, "\"%s\" does not say \"%s\"", says,
                        wrong[__i__].says);
        own += g_str_has_prefix(GST_OBJECT_NAME(GST_MESSAGE_SRC(message)), "nervinpaint");
        g_free(says);
        g_free(debug);
        g_error_free(error);
        gst_message_unref(message);
    }
    /* and the source's, that its pictures are not taken */
    fail_unless(own == 1 && all <= 2, "%u errors, %u in all", own, all);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    g_unlink(still);
    g_free(still);
    g_free(text);
}
GST_END_TEST

/* Without anything hidden the picture is the input's, and a warning says why. */
GST_START_TEST(test_inpaint_nothing)
{
    const char *text =
        "videotestsrc num-buffers=4 ! video/x-raw,format=RGB,width=48,height=32 ! %s fakesink name=sink";
    char *with = g_strdup_printf(text, "nervinpaint device=cpu encoder::epochs=1 !"),
         *without = g_strdup_printf(text, "");
    GPtrArray *frames = new_frames(), *want = new_frames();
    RunResult r;
    run_pipeline(without, 60, collect_frames, NULL, want, &r);
    run_result_clear(&r);
    run_pipeline(with, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && r.warnings == 1, "%u warnings", r.warnings);
    fail_unless_equals_int(frames->len, want->len);
    for (guint i = 0; i < frames->len; i++)
        fail_unless(same_content(g_ptr_array_index(frames, i), g_ptr_array_index(want, i)));
    run_result_clear(&r);
    g_ptr_array_unref(frames);
    g_ptr_array_unref(want);
    g_free(with);
    g_free(without);
}
GST_END_TEST

/* The same of planes, by a picture of a mask: what is light in it is another picture, what is dark the same. */
GST_START_TEST(test_inpaint_planes)
{
    static const char *const formats[] = { "I420", "NV12" };
    char *still = make_mask(1, "pngenc", ".png");
    char *text = g_strdup_printf(
        "videotestsrc pattern=zone-plate kx2=20 ky2=20 kt=3 num-buffers=6 ! "
        "video/x-raw,format=%s,width=48,height=32,framerate=25/1 ! "
        "tee name=t ! queue ! "
        "nervinpaint device=cpu mask-location=%s encoder::epochs=4 ! fakesink name=sink t. ! queue ! "
        "fakesink name=other signal-handoffs=true",
        formats[__i__], still);
    GPtrArray *frames = new_frames();
    RunResult r;
    GstVideoInfo info;
    guint same = 0, differ = 0;
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos, "%s", r.error ? r.error->message : "");
    run_result_clear(&r);
    g_free(text);
    text = g_strdup_printf("videotestsrc pattern=zone-plate kx2=20 ky2=20 kt=3 num-buffers=6 ! "
                           "video/x-raw,format=%s,width=48,height=32,framerate=25/1 ! fakesink name=sink",
                           formats[__i__]);
    GPtrArray *want = new_frames();
    run_pipeline(text, 60, collect_frames, NULL, want, &r);
    run_result_clear(&r);
    fail_unless_equals_int(frames->len, want->len);
    video_info(&info, gst_video_format_from_string(formats[__i__]), WIDTH, HEIGHT, 25, 1);
    for (guint i = 0; i < frames->len; i++) {
        GstVideoFrame a, b;
        fail_unless(gst_video_frame_map(&a, &info, g_ptr_array_index(frames, i), GST_MAP_READ));
        fail_unless(gst_video_frame_map(&b, &info, g_ptr_array_index(want, i), GST_MAP_READ));
        for (gint y = 0; y < HEIGHT; y++)
            for (gint x = 0; x < WIDTH; x++)
                for (guint c = 0; c < 3; c++) {
                    const gint shift = c > 0, at_x = x >> shift, at_y = y >> shift;
                    const guint8 *p = (const guint8 *)GST_VIDEO_FRAME_COMP_DATA(&a, c) +
                                      at_y * GST_VIDEO_FRAME_COMP_STRIDE(&a, c) +
                                      at_x * GST_VIDEO_FRAME_COMP_PSTRIDE(&a, c);
                    const guint8 *q = (const guint8 *)GST_VIDEO_FRAME_COMP_DATA(&b, c) +
                                      at_y * GST_VIDEO_FRAME_COMP_STRIDE(&b, c) +
                                      at_x * GST_VIDEO_FRAME_COMP_PSTRIDE(&b, c);
                    if (!is_hidden(x, y, 0))
                        fail_unless(*p == *q, "frame %u, component %u, %d, %d: %d in place of %d", i, c, x, y,
                                    *p, *q);
                    else
                        *(*p == *q ? &same : &differ) += 1;
                }
        gst_video_frame_unmap(&a);
        gst_video_frame_unmap(&b);
    }
    fail_unless(differ > same, "what is hidden is to be seen: %u samples are the same", same);
    g_ptr_array_unref(frames);
    g_ptr_array_unref(want);
    g_unlink(still);
    g_free(still);
    g_free(text);
}
GST_END_TEST

/* --- nervdenoise --- */

static double squared(GstBuffer *a, guint n)
{
    GstMapInfo map;
    double sum = 0.;
    gst_buffer_map(a, &map, GST_MAP_READ);
    fail_unless_equals_int(map.size, 4 * WIDTH * HEIGHT);
    for (gint y = 0; y < HEIGHT; y++)
        for (gint x = 0; x < WIDTH; x++)
            for (gint c = 0; c < 3; c++)
                sum += pow(map.data[4 * (y * WIDTH + x) + c] - texture(x, y, n, c), 2.);
    gst_buffer_unmap(a, &map);
    return sum / (3 * WIDTH * HEIGHT);
}

/* Single white pixels, in other places of each frame. */
static void add_noise(GstBuffer *buffer, GRand *rand)
{
    GstMapInfo map;
    gst_buffer_map(buffer, &map, GST_MAP_READWRITE);
    for (gint i = 0; i < WIDTH * HEIGHT; i++)
        if (g_rand_int_range(rand, 0, 50) == 0)
            memset(map.data + 4 * i, 255, 3);
    gst_buffer_unmap(buffer, &map);
}

GST_START_TEST(test_denoise)
{
    GstHarness *h = gst_harness_new_parse(
        "nervdenoise device=cpu strength=0.2 segment-frames=8 ! capsfilter caps=video/x-raw,format=RGBx");
    GRand *rand = g_rand_new_with_seed(5);
    double noisy = 0., shown = 0.;
    gst_harness_set_src_caps_str(h, "video/x-raw,format=RGBx,width=48,height=32,framerate=25/1");
    for (guint i = 0; i < 2 * FRAMES; i++) {
        GstBuffer *buffer = frame_new(i, 0, FALSE);
        GstMapInfo map;
        gst_buffer_map(buffer, &map, GST_MAP_WRITE);
        for (gint k = 0; k < WIDTH * HEIGHT; k++)
            for (gint c = 0; c < 3; c++)
                map.data[4 * k + c] = texture(k % WIDTH, k / WIDTH, i, c);
        gst_buffer_unmap(buffer, &map);
        add_noise(buffer, rand);
        noisy += squared(buffer, i);
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    for (guint i = 0; i < 2 * FRAMES; i++) {
        GstBuffer *buffer = gst_harness_pull(h);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), i * 40 * GST_MSECOND);
        shown += squared(buffer, i);
        gst_buffer_unref(buffer);
    }
    fail_unless(gst_harness_try_pull(h) == NULL);
    g_print("nervdenoise: %.1f squared, %.1f before\n", shown / (2 * FRAMES), noisy / (2 * FRAMES));
    fail_unless(shown < .3 * noisy);
    g_rand_free(rand);
    gst_harness_teardown(h);
}
GST_END_TEST

GST_START_TEST(test_denoise_properties)
{
    GstElement *denoise = gst_element_factory_make("nervdenoise", NULL);
    gdouble weak, strong, seconds, held_out;
    guint frames, threads[2];
    gchar *device[3];
    GstStructure *stats;
    fail_unless(denoise != NULL);
    g_object_set(denoise, "strength", 0., NULL);
    gst_child_proxy_get(GST_CHILD_PROXY(denoise), "encoder::quality", &weak, "encoder::held-out", &held_out,
                        NULL);
    g_object_set(denoise, "strength", 1., "segment-frames", 24, "max-encode-seconds", 3.5, "device", "cpu",
                 "threads", 1, NULL);
    gst_child_proxy_get(GST_CHILD_PROXY(denoise), "encoder::quality", &strong, "encoder::segment-frames",
                        &frames, "encoder::max-encode-seconds", &seconds, "encoder::device", &device[0],
                        "decoder::device", &device[1], "encoder::threads", &threads[0], "decoder::threads",
                        &threads[1], NULL);
    fail_unless(weak > strong && held_out > 0.);
    fail_unless_equals_int(frames, 24);
    fail_unless_equals_float(seconds, 3.5);
    fail_unless_equals_string(device[0], "cpu");
    fail_unless_equals_string(device[1], "cpu");
    fail_unless_equals_int(threads[0], 1);
    fail_unless_equals_int(threads[1], 1);
    g_object_get(denoise, "device", &device[2], "stats", &stats, "strength", &strong, NULL);
    fail_unless_equals_string(device[2], "cpu");
    fail_unless_equals_float(strong, 1.);
    fail_unless(gst_structure_has_field(stats, "held-l1"));
    gst_structure_free(stats);
    for (int i = 0; i < 3; i++)
        g_free(device[i]);
    gst_object_unref(denoise);
}
GST_END_TEST

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("holes");
    TCase *tc = tcase_create("general");
    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_alpha);
    tcase_add_loop_test(tc, test_alpha_formats, 0, 3);
    tcase_add_test(tc, test_location);
    tcase_add_test(tc, test_transparent_mask);
    tcase_add_loop_test(tc, test_odd_mask, 0, 2);
    tcase_add_test(tc, test_wrong_location);
    tcase_add_loop_test(tc, test_inpaint, 0, 2);
    tcase_add_test(tc, test_inpaint_seek);
    tcase_add_test(tc, test_inpaint_mask_gone);
    tcase_add_test(tc, test_inpaint_times);
    tcase_add_loop_test(tc, test_inpaint_errors, 0, 3);
    tcase_add_test(tc, test_inpaint_nothing);
    tcase_add_loop_test(tc, test_inpaint_planes, 0, 2);
    tcase_add_test(tc, test_denoise);
    tcase_add_test(tc, test_denoise_properties);
    return gst_check_run_suite(s, "holes", __FILE__);
}

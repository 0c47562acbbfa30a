/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The elements on a Vulkan device, the one in NERV_CHECKOP_DEVICE, else vulkan:0: they run there, say so, and decode the
 * pictures that the CPU decodes. Skipped (77) where there is no such device.
 */
#include <glib/gstdio.h>
#include <stdlib.h>

#include "common.h"
#include "nerv.h"

static const char *device;

/* n pictures as a stream, encoded on `where`; and decoded on `where`, in `format`. */
static GBytes *encode(const GstVideoInfo *info, guint n, guint epochs, const char *where)
{
    GstElement *enc = tiny_encoder(n);
    GstHarness *h;
    GBytes *bytes;
    GstStructure *stats;
    g_object_set(enc, "device", where, "epochs", epochs, NULL);
    h = gst_harness_new_with_element(enc, "sink", "src");
    gst_object_unref(enc);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(info));
    for (guint i = 0; i < n; i++)
        fail_unless_equals_int(gst_harness_push(h, picture(info, i)), GST_FLOW_OK);
    gst_harness_push_event(h, gst_event_new_eos());
    fail_unless_equals_int(gst_harness_buffers_received(h), n);
    g_object_get(h->element, "stats", &stats, NULL);
    GST_INFO("%" GST_PTR_FORMAT, stats);
    gst_structure_free(stats);
    bytes = gst_harness_take_all_data_as_bytes(h);
    gst_harness_teardown(h);
    return bytes;
}

static GPtrArray *decode_on(GBytes *bytes, const char *format, const char *where)
{
    char *text = g_strdup_printf("nervparse ! nervdec device=%s", where);
    GstHarness *h = gst_harness_new_parse(text);
    GPtrArray *frames = g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref);
    GstSegment segment;
    GstBuffer *buffer;
    gst_harness_set_sink_caps(h, gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, format, NULL));
    gst_harness_set_src_caps_str(h, "video/x-nerv");
    gst_segment_init(&segment, GST_FORMAT_BYTES);
    gst_harness_push_event(h, gst_event_new_segment(&segment));
    fail_unless_equals_int(gst_harness_push(h, slice(bytes, 0, g_bytes_get_size(bytes))), GST_FLOW_OK);
    gst_harness_push_event(h, gst_event_new_eos());
    while ((buffer = gst_harness_try_pull(h)))
        g_ptr_array_add(frames, buffer);
    gst_harness_teardown(h);
    g_free(text);
    return frames;
}

static int largest_difference(GstBuffer *a, GstBuffer *b)
{
    GstMapInfo x, y;
    int worst = 0;
    fail_unless(gst_buffer_map(a, &x, GST_MAP_READ));
    fail_unless(gst_buffer_map(b, &y, GST_MAP_READ));
    fail_unless_equals_int(x.size, y.size);
    for (gsize i = 0; i < x.size; i++)
        worst = MAX(worst, abs(x.data[i] - y.data[i]));
    gst_buffer_unmap(a, &x);
    gst_buffer_unmap(b, &y);
    return worst;
}

/* At most 1 of 255 on any pixel, in every format. */
GST_START_TEST(test_agrees_with_cpu)
{
    static const char *const formats[] = { "RGB", "I420", "NV12", "RGBx", "BGRx" };
    static const gint sizes[][2] = { { 97, 61 }, { 64, 48 } };
    for (guint s = 0; s < G_N_ELEMENTS(sizes); s++) {
        GstVideoInfo info;
        GBytes *bytes;
        video_info(&info, s ? GST_VIDEO_FORMAT_RGB : GST_VIDEO_FORMAT_I420, sizes[s][0], sizes[s][1], 25, 1);
        bytes = encode(&info, 3, 40, "cpu");
        for (guint f = 0; f < G_N_ELEMENTS(formats); f++) {
            GPtrArray *a = decode_on(bytes, formats[f], "cpu"), *b = decode_on(bytes, formats[f], device);
            fail_unless_equals_int(a->len, 3);
            fail_unless_equals_int(b->len, 3);
            for (guint i = 0; i < 3; i++) {
                const int worst = largest_difference(g_ptr_array_index(a, i), g_ptr_array_index(b, i));
                fail_unless(worst <= 1, "%s %dx%d frame %u: differs by %d", formats[f], sizes[s][0],
                            sizes[s][1], i, worst);
            }
            g_ptr_array_unref(a);
            g_ptr_array_unref(b);
        }
        g_bytes_unref(bytes);
    }
}
GST_END_TEST;

/* What the device encodes it decodes, and it learns there. */
GST_START_TEST(test_round_trip)
{
    GstVideoInfo info;
    GBytes *bytes, *again;
    GPtrArray *frames;
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    bytes = encode(&info, 2, 8, device);
    frames = decode_on(bytes, "RGB", device);
    fail_unless_equals_int(frames->len, 2);
    for (guint i = 0; i < 2; i++) {
        GstBuffer *buffer = g_ptr_array_index(frames, i), *source = picture(&info, i);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), GST_BUFFER_PTS(source));
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), GST_BUFFER_DURATION(source));
        gst_buffer_unref(source);
    }
    again = encode(&info, 2, 8, device);
    fail_unless(g_bytes_equal(bytes, again), "the same seed gave other bytes");
    g_bytes_unref(again);
    g_ptr_array_unref(frames);
    g_bytes_unref(bytes);
}
GST_END_TEST;

GST_START_TEST(test_device_is_told)
{
    GstElement *dec = gst_element_factory_make("nervdec", NULL);
    GstStructure *stats;
    g_object_set(dec, "device", device, NULL);
    fail_unless_equals_int(gst_element_set_state(dec, GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
    g_object_get(dec, "stats", &stats, NULL);
    fail_unless(strstr(gst_structure_get_string(stats, "device"), "ulkan") != NULL, "%s",
                gst_structure_get_string(stats, "device"));
    gst_structure_free(stats);
    gst_element_set_state(dec, GST_STATE_NULL);
    gst_object_unref(dec);
}
GST_END_TEST;

/* --- output as images --- */

/* A file of three segments. */
static char *make_file(const char *model)
{
    GBytes *nothing = g_bytes_new(NULL, 0);
    char *path = write_temp(nothing);
    char *text = g_strdup_printf(
        "videotestsrc num-buffers=21 pattern=ball ! video/x-raw,width=80,height=64,"
        "framerate=25/1 ! nervenc device=cpu epochs=2 tune=psnr segment-frames=8 %s ! filesink location=%s",
        model, path);
    RunResult r;
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error, "%s", r.error ? r.error->message : "");
    run_result_clear(&r);
    g_free(text);
    g_bytes_unref(nothing);
    return path;
}

typedef struct {
    GPtrArray *frames;
    double rate; /* 0: no seek */
    guint64 readbacks, rendered;
} Played;

static void start_played(GstElement *pipeline, gpointer user)
{
    Played *p = user;
    p->frames = new_frames();
    if (p->rate != 0) {
        const gint64 from = 170 * GST_MSECOND, to = 610 * GST_MSECOND;
        gst_element_set_state(pipeline, GST_STATE_PAUSED);
        fail_unless(gst_element_get_state(pipeline, NULL, NULL, 60 * GST_SECOND) == GST_STATE_CHANGE_SUCCESS);
        fail_unless(gst_element_seek(pipeline, p->rate, GST_FORMAT_TIME,
                                     GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, from,
                                     GST_SEEK_TYPE_SET, to));
        gst_element_get_state(pipeline, NULL, NULL, 60 * GST_SECOND);
    }
    collect_frames(pipeline, p->frames);
}

static void end_played(GstElement *pipeline, gpointer user)
{
    Played *p = user;
    GstElement *dec = gst_bin_get_by_name(GST_BIN(pipeline), "dec");
    GstStructure *stats;
    g_object_get(dec, "stats", &stats, NULL);
    fail_unless(gst_structure_get(stats, "readbacks", G_TYPE_UINT64, &p->readbacks, "frames", G_TYPE_UINT64,
                                  &p->rendered, NULL));
    gst_structure_free(stats);
    gst_object_unref(dec);
}

static void play(const char *path, const char *where, const char *then, Played *p)
{
    char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec name=dec device=%s ! %s ! fakesink "
                        "name=sink sync=false",
                        path, where, then);
    RunResult r;
    run_pipeline(text, 120, start_played, end_played, p, &r);
    fail_unless(r.eos && !r.error, "%s: %s, %s", text, r.error ? r.error->message : "no end", r.debug);
    run_result_clear(&r);
    g_free(text);
}

#define IMAGES "video/x-raw(memory:VulkanImage),format=%s ! vulkandownload"

static void expect_same(Played *a, Played *b, int most)
{
    fail_unless(a->frames->len > 0);
    fail_unless_equals_int(a->frames->len, b->frames->len);
    for (guint i = 0; i < a->frames->len; i++) {
        GstBuffer *x = g_ptr_array_index(a->frames, i), *y = g_ptr_array_index(b->frames, i);
        fail_unless_equals_uint64(GST_BUFFER_PTS(x), GST_BUFFER_PTS(y));
        fail_unless(largest_difference(x, y) <= most, "frame %u differs by %d", i, largest_difference(x, y));
    }
    g_ptr_array_unref(b->frames);
}

/* The same pictures as through system memory, and nothing but who displays them reads them back. */
GST_START_TEST(test_images)
{
    static const char *const models[] = { "model=nerv-mlp",
                                          "model=dnerv model-options=\"o,clip-frames=4,"
                                          "keyframe-interval=8,widths=<12,8>,strides=<4,2>\"" };
    static const double rates[] = { 0, 1, -1 };
    static const char *const formats[][2] = { { "BGRA", "BGRx" }, { "RGBA", "RGBx" } };
    for (guint m = 0; m < G_N_ELEMENTS(models); m++) {
        char *path = make_file(models[m]);
        for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
            const char *const *format = formats[i % 2];
            char *system = g_strdup_printf("video/x-raw,format=%s", format[1]);
            char *images = g_strdup_printf(IMAGES, format[0]);
            Played a = { .rate = rates[i] }, b = { .rate = rates[i] }, c = { .rate = rates[i] };
            play(path, device, images, &a);
            play(path, device, system, &b);
            play(path, "cpu", system, &c);
            fail_unless_equals_uint64(a.readbacks, 0);
            fail_unless(b.readbacks > 0, "what goes to system memory is not counted");
            fail_unless_equals_uint64(a.rendered, b.rendered);
            expect_same(&a, &b, 0);
            expect_same(&a, &c, 1);
            g_ptr_array_unref(a.frames);
            g_free(images);
            g_free(system);
        }
        g_unlink(path);
        g_free(path);
    }
}
GST_END_TEST;

/* Where the decoder may not compute on the pipeline's device, an uploader serves; where there is none, it is an error. */
GST_START_TEST(test_images_of_another_device)
{
    char *path = make_file("model=nerv-mlp");
    Played a = { 0 }, b = { 0 };
    RunResult r;
    char *text = g_strdup_printf(
        "filesrc location=%s ! nervparse ! nervdec device=cpu ! video/x-raw(memory:VulkanImage) ! fakesink",
        path);
    play(path, "cpu", "vulkanupload ! vulkandownload ! video/x-raw,format=BGRx", &a);
    play(path, "cpu", "video/x-raw,format=BGRx", &b);
    expect_same(&a, &b, 0);
    g_ptr_array_unref(a.frames);
    run_pipeline(text, 30, NULL, NULL, NULL, &r);
    fail_unless(r.error != NULL);
    run_result_clear(&r);
    g_free(text);
    g_unlink(path);
    g_free(path);
}
GST_END_TEST;

/* Linked when it has been started, as decodebin does. */
GST_START_TEST(test_images_linked_late)
{
    char *path = make_file("model=nerv-mlp");
    GstElement *pipeline = gst_pipeline_new(NULL), *sink, *dec;
    char *text = g_strdup_printf("filesrc location=%s ! nervparse ! queue name=queue", path);
    char *images = g_strdup_printf(IMAGES " ! fakesink name=sink", "BGRA");
    GstElement *source = gst_parse_bin_from_description(text, TRUE, NULL);
    GstMessage *message;
    GstBus *bus;
    Played p = { 0 };

    sink = gst_parse_bin_from_description(images, TRUE, NULL);
    dec = gst_element_factory_make("nervdec", "dec");
    g_object_set(dec, "device", device, NULL);
    gst_bin_add_many(GST_BIN(pipeline), source, dec, sink, NULL);
    gst_element_set_state(dec, GST_STATE_PAUSED);
    fail_unless(gst_element_link_many(source, dec, sink, NULL));
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    bus = gst_element_get_bus(pipeline);
    message = gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    gst_object_unref(bus);
    fail_unless(message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS);
    gst_message_unref(message);
    end_played(pipeline, &p);
    fail_unless_equals_uint64(p.readbacks, 0);
    fail_unless_equals_uint64(p.rendered, 21);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    g_free(images);
    g_free(text);
    g_unlink(path);
    g_free(path);
}
GST_END_TEST;

static bool have_images(void)
{
    GstElementFactory *download = gst_element_factory_find("vulkandownload");
    GstElement *dec = gst_element_factory_make("nervdec", NULL);
    GstPad *pad = gst_element_get_static_pad(dec, "src");
    GstCaps *caps = gst_pad_get_pad_template_caps(pad);
    const bool have = download && gst_caps_get_size(caps) > 1;
    gst_caps_unref(caps);
    gst_object_unref(pad);
    gst_object_unref(dec);
    g_clear_object(&download);
    return have;
}

static Suite *vulkan_suite(void)
{
    Suite *s = suite_create("vulkan");
    TCase *tc = tcase_create("vulkan");
    tcase_set_timeout(tc, 240);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_agrees_with_cpu);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_device_is_told);
    if (have_images()) {
        tcase_add_test(tc, test_images);
        tcase_add_test(tc, test_images_of_another_device);
        tcase_add_test(tc, test_images_linked_late);
    }
    return s;
}

int main(int argc, char **argv)
{
    device = vulkan_device(argc, argv);
    if (!device)
        return 77;
    gst_check_init(&argc, &argv);
    return gst_check_run_suite(vulkan_suite(), "vulkan", __FILE__);
}

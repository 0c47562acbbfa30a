/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The elements on a Vulkan device, the one in NERV_CHECKOP_DEVICE, else vulkan:0: they run there, say so, and decode the
 * pictures that the CPU decodes. Skipped (77) where there is no such device.
 */
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

static Suite *vulkan_suite(void)
{
    Suite *s = suite_create("vulkan");
    TCase *tc = tcase_create("vulkan");
    tcase_set_timeout(tc, 240);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_agrees_with_cpu);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_device_is_told);
    return s;
}

/* Tried in a process of its own, since drivers do not survive the fork that each test runs in. */
static bool have_device(const char *self)
{
    const char *argv[] = { self, "--probe", NULL };
    gint status = 1;
    return g_spawn_sync(NULL, (gchar **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, NULL) &&
           g_spawn_check_wait_status(status, NULL);
}

static int probe(void)
{
    NervDecoderSettings settings;
    NervDecoder *dec;
    nerv_decoder_settings_init(&settings);
    g_free(settings.device);
    settings.device = g_strdup(device);
    dec = nerv_decoder_new(&settings, NULL);
    nerv_decoder_settings_clear(&settings);
    nerv_decoder_free(dec);
    return dec ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
#ifdef __SANITIZE_ADDRESS__
    g_printerr("skipped: under the sanitizers a software driver compiles its shaders for minutes\n");
    return 77;
#endif
    device = g_getenv("NERV_CHECKOP_DEVICE");
    if (!device || !g_str_has_prefix(device, "vulkan"))
        device = "vulkan:0";
    if (argc == 2 && g_str_equal(argv[1], "--probe"))
        return probe();
    if (!have_device(argv[0]))
        return 77;
    gst_check_init(&argc, &argv);
    return gst_check_run_suite(vulkan_suite(), "vulkan", __FILE__);
}

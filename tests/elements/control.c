/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What nervenc's users ask for: a time, a PSNR, a bitrate, a preset. What was asked for holds of the file and of the pictures that a
 * decoder makes of it, and where it can't be reached there is a warning and a whole stream.
 */
#include <math.h>

#include "common.h"

#define W 64
#define H 48

typedef struct {
    double seconds; /* from the first state change to the end */
    guint64 bytes;
    GPtrArray *packets; /* GstBuffer */
    GstStructure *stats;
    char *warning; /* its debug text, NULL if there was none */
} Encoded;

static void encoded_clear(Encoded *e)
{
    g_ptr_array_unref(e->packets);
    gst_structure_free(e->stats);
    g_free(e->warning);
}

static GstPadProbeReturn on_packet(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    Encoded *e = user;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    e->bytes += gst_buffer_get_size(buffer);
    g_ptr_array_add(e->packets, gst_buffer_ref(buffer));
    return GST_PAD_PROBE_OK;
}

#define SOURCE                                                                                               \
    "videotestsrc num-buffers=%u pattern=zone-plate kx2=30 ky2=30 kt2=2 ! "                                  \
    "video/x-raw,format=RGB,width=" G_STRINGIFY(W) ",height=" G_STRINGIFY(H) ",framerate=25/1"

static void encode(guint n_frames, const char *properties, Encoded *e)
{
    char *text =
        g_strdup_printf(SOURCE " ! nervenc name=e threads=1 %s ! fakesink name=s", n_frames, properties);
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstElement *enc = gst_bin_get_by_name(GST_BIN(pipeline), "e");
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "s");
    GstPad *pad = gst_element_get_static_pad(sink, "sink");
    GstBus *bus = gst_element_get_bus(pipeline);
    const gint64 start = g_get_monotonic_time();
    bool end = false;

    *e = (Encoded){ .packets = g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref) };
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, on_packet, e, NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (!end) {
        GstMessage *m = gst_bus_timed_pop_filtered(bus, 120 * GST_SECOND,
                                                   GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
        fail_unless(m != NULL, "no end of %s", text);
        fail_unless(GST_MESSAGE_TYPE(m) != GST_MESSAGE_ERROR, "an error of %s", text);
        if (GST_MESSAGE_TYPE(m) == GST_MESSAGE_WARNING) {
            GError *error = NULL;
            g_free(e->warning);
            gst_message_parse_warning(m, &error, &e->warning);
            g_error_free(error);
        }
        end = GST_MESSAGE_TYPE(m) == GST_MESSAGE_EOS;
        gst_message_unref(m);
    }
    e->seconds = (double)(g_get_monotonic_time() - start) * 1e-6;
    g_object_get(enc, "stats", &e->stats, NULL);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    fail_unless_equals_int(e->packets->len, n_frames);
    gst_object_unref(bus);
    gst_object_unref(pad);
    gst_object_unref(sink);
    gst_object_unref(enc);
    gst_object_unref(pipeline);
    g_free(text);
}

static double squares(GstBuffer *a, GstBuffer *b)
{
    GstMapInfo x, y;
    double sum = 0.;
    gst_buffer_map(a, &x, GST_MAP_READ);
    gst_buffer_map(b, &y, GST_MAP_READ);
    fail_unless_equals_uint64(x.size, y.size);
    for (gsize i = 0; i < x.size; i++)
        sum += (double)(x.data[i] - y.data[i]) * (x.data[i] - y.data[i]);
    gst_buffer_unmap(b, &y);
    gst_buffer_unmap(a, &x);
    return sum;
}

/* Mean over the frames of what a decoder shows against the source. */
static double decoded_psnr(const Encoded *e)
{
    GByteArray *stream = g_byte_array_new();
    for (guint i = 0; i < e->packets->len; i++) {
        GstMapInfo map;
        gst_buffer_map(g_ptr_array_index(e->packets, i), &map, GST_MAP_READ);
        g_byte_array_append(stream, map.data, map.size);
        gst_buffer_unmap(g_ptr_array_index(e->packets, i), &map);
    }
    GBytes *bytes = g_byte_array_free_to_bytes(stream);
    GPtrArray *shown = decode(bytes);
    char *text = g_strdup_printf(SOURCE " ! fakesink name=sink", e->packets->len);
    GPtrArray *originals = new_frames();
    RunResult result;
    double decibels = 0.;
    run_pipeline(text, 60, collect_frames, NULL, originals, &result);
    fail_unless_equals_int(shown->len, originals->len);
    for (guint i = 0; i < shown->len; i++) {
        const double mse =
            squares(g_ptr_array_index(shown, i), g_ptr_array_index(originals, i)) / (3. * W * H);
        decibels += 10. * log10(255. * 255. / fmax(mse, 1e-9));
    }
    decibels /= shown->len;
    run_result_clear(&result);
    g_ptr_array_unref(originals);
    g_ptr_array_unref(shown);
    g_bytes_unref(bytes);
    g_free(text);
    return decibels;
}

static double stat(const Encoded *e, const char *name)
{
    double value = 0.;
    fail_unless(gst_structure_get_double(e->stats, name, &value), "no %s", name);
    return value;
}

/* Two segments, whose parts of the time come out of the duration that the source knows. */
GST_START_TEST(test_seconds)
{
    Encoded e;
    encode(24, "max-encode-seconds=3 segment-frames=16", &e);
    GST_INFO("%.2f s, the last segment %.2f s", e.seconds, stat(&e, "fit-seconds"));
    fail_unless(e.seconds > 2.7, "%.2f s of 3", e.seconds);
    fail_unless(e.seconds < 3. + .001 * (double)cancel_limit_ms() + .3, "%.2f s of 3", e.seconds);
    fail_unless(stat(&e, "fit-seconds") < 2.);
    encoded_clear(&e);
}
GST_END_TEST;

GST_START_TEST(test_psnr)
{
    Encoded e;
    encode(16, "target-psnr=28 epochs=60 tune=psnr", &e);
    const double psnr = decoded_psnr(&e);
    GST_INFO("%.2f dB, %.2f dB decoded, %s", stat(&e, "psnr-frames"), psnr, e.warning ? e.warning : "");
    fail_unless(!e.warning && fabs(psnr - 28.) < .12, "%.2f dB decoded, %s", psnr,
                e.warning ? e.warning : "no warning");
    fail_unless(fabs(stat(&e, "psnr-frames") - psnr) < .05);
    encoded_clear(&e);
}
GST_END_TEST;

GST_START_TEST(test_psnr_out_of_reach)
{
    Encoded e;
    encode(4, "target-psnr=70 epochs=3", &e);
    fail_unless(e.warning && strstr(e.warning, "70.00 dB"), "%s", e.warning ? e.warning : "no warning");
    fail_unless(decoded_psnr(&e) > 5.);
    encoded_clear(&e);
}
GST_END_TEST;

GST_START_TEST(test_size_out_of_reach)
{
    Encoded e;
    encode(4, "target-size-bytes=40 epochs=3", &e);
    fail_unless(e.warning && strstr(e.warning, "not the 40 asked for"), "%s",
                e.warning ? e.warning : "no warning");
    encoded_clear(&e);
}
GST_END_TEST;

/* Keyframes take what they take. */
GST_START_TEST(test_keyframes_out_of_reach)
{
    Encoded e;
    encode(4, "model=dnerv target-size-bytes=300 epochs=3", &e);
    fail_unless(e.warning && strstr(e.warning, "not the 300 asked for"), "%s",
                e.warning ? e.warning : "no warning");
    encoded_clear(&e);
}
GST_END_TEST;

/* A rate that would fill max-memory with the network of hours of video is none of this segment's. */
GST_START_TEST(test_bitrate_to_the_end)
{
    Encoded e;
    encode(32, "bitrate=60 epochs=12 segment-frames=0 max-memory=60000000", &e);
    fail_unless(e.warning == NULL, "%s", e.warning);
    fail_unless(fabs((double)e.bytes / (60. * 125. * 32. / 25.) - 1.) < .03, "%u bytes", (guint)e.bytes);
    encoded_clear(&e);
}
GST_END_TEST;

GST_START_TEST(test_bitrate)
{
    Encoded e;
    encode(32, "bitrate=60 epochs=12 segment-frames=16", &e);
    fail_unless(e.warning == NULL, "%s", e.warning);
    fail_unless(fabs((double)e.bytes / (60. * 125. * 32. / 25.) - 1.) < .03, "%u bytes", (guint)e.bytes);
    encoded_clear(&e);
}
GST_END_TEST;

/* A preset says how many epochs, which the property of that name overrides; quality says how large. */
GST_START_TEST(test_preset_and_quality)
{
    Encoded e;
    guint steps = 0;
    encode(90, "preset=ultrafast", &e);
    fail_unless(gst_structure_get_uint(e.stats, "steps", &steps));
    fail_unless_equals_int(steps, 90 * 6);
    encoded_clear(&e);
    /* a segment of few frames takes more epochs */
    encode(4, "preset=ultrafast", &e);
    fail_unless(gst_structure_get_uint(e.stats, "steps", &steps));
    fail_unless_equals_int(steps, 500);
    encoded_clear(&e);
    encode(4, "preset=placebo epochs=2", &e);
    fail_unless(gst_structure_get_uint(e.stats, "steps", &steps));
    fail_unless_equals_int(steps, 4 * 2);
    encoded_clear(&e);

    Encoded low, high;
    encode(12, "quality=20 epochs=20", &low);
    encode(12, "quality=80 epochs=20", &high);
    GST_INFO("quality 20: %u bytes %.2f dB; 80: %u bytes %.2f dB", (guint)low.bytes, stat(&low, "psnr"),
             (guint)high.bytes, stat(&high, "psnr"));
    fail_unless(high.bytes > 2 * low.bytes);
    fail_unless(stat(&high, "psnr") > stat(&low, "psnr") + 1.);
    encoded_clear(&low);
    encoded_clear(&high);
}
GST_END_TEST;

GST_START_TEST(test_tunes)
{
    static const char *const tunes[] = { "psnr", "ssim", "msssim" };
    for (guint i = 0; i < G_N_ELEMENTS(tunes); i++) {
        char *properties = g_strdup_printf("tune=%s epochs=15", tunes[i]);
        Encoded e;
        encode(8, properties, &e);
        fail_unless(decoded_psnr(&e) > 15., "tune=%s: %.2f dB", tunes[i], decoded_psnr(&e));
        encoded_clear(&e);
        g_free(properties);
    }
}
GST_END_TEST;

static Suite *control_suite(void)
{
    Suite *s = suite_create("control");
    TCase *tc = tcase_create("control");
    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_seconds);
    tcase_add_test(tc, test_psnr);
    tcase_add_test(tc, test_psnr_out_of_reach);
    tcase_add_test(tc, test_size_out_of_reach);
    tcase_add_test(tc, test_bitrate);
    tcase_add_test(tc, test_bitrate_to_the_end);
    tcase_add_test(tc, test_keyframes_out_of_reach);
    tcase_add_test(tc, test_preset_and_quality);
    tcase_add_test(tc, test_tunes);
    return s;
}

GST_CHECK_MAIN(control);

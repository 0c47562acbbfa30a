/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A Vulkan device that is lost, that hangs or runs out of memory (faults.c), at every call that can tell of it: nervdec goes on on the CPU
 * where the device was not named, else it and nervenc end with an error, within seconds; then they work again. Decodes as many streams as there are ways in
 * which a network comes to a device. Skipped (77) without a device; the first argument names one.
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "faults.h"
#include "nerv.h"

#define SECONDS 120 /* in which anything has to be over */
#define SOURCE                                                                                               \
    "videotestsrc pattern=gradient num-buffers=6 ! "                                                         \
    "video/x-raw,format=RGB,width=32,height=32,framerate=25/1 ! "
#define N_FRAMES 6
#define TINY     "model=nerv-mlp segment-frames=2 tune=psnr model-options=\"" TINY_OPTIONS "\" "

static const char *device;
static char *folder, *file;

static void setup(void)
{
    folder = g_dir_make_tmp("nerv-loss-XXXXXX", NULL);
    file = g_build_filename(folder, "a.nerv", NULL);
    faults_set(FAULT_NONE, 0);
}

static void teardown(void)
{
    g_unlink(file);
    g_rmdir(folder);
    g_free(file);
    g_free(folder);
}

static void encode_on_cpu(const char *properties)
{
    g_autofree char *encode =
        g_strdup_printf(SOURCE "nervenc device=cpu %s ! filesink location=%s", properties, file);
    RunResult r;
    run_pipeline(encode, SECONDS, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error, "%s", r.error ? r.error->message : "no end");
    run_result_clear(&r);
}

static GPtrArray *decode_file(const char *where, RunResult *r)
{
    g_autofree char *decode = g_strdup_printf(
        "filesrc location=%s ! nervparse ! nervdec device=%s ! fakesink name=sink", file, where);
    GPtrArray *frames = new_frames();
    run_pipeline(decode, SECONDS, collect_frames, NULL, frames, r);
    return frames;
}

static void fail_unless_alike(GPtrArray *a, GPtrArray *b)
{
    fail_unless_equals_int(a->len, b->len);
    for (guint i = 0; i < a->len; i++) {
        GstMapInfo x, y;
        fail_unless(gst_buffer_map(g_ptr_array_index(a, i), &x, GST_MAP_READ));
        fail_unless(gst_buffer_map(g_ptr_array_index(b, i), &y, GST_MAP_READ));
        fail_unless_equals_int(x.size, y.size);
        for (gsize j = 0; j < x.size; j++)
            fail_unless(ABS(x.data[j] - y.data[j]) <= 1, "frame %u: %d, %d", i, x.data[j], y.data[j]);
        gst_buffer_unmap(g_ptr_array_index(a, i), &x);
        gst_buffer_unmap(g_ptr_array_index(b, i), &y);
    }
}

/* What "auto" means here, so that a software device can be lost. Each frame comes out, with one warning if a fault was met; what runs ahead may have met
 * one that concerns nobody. Returns how many calls there were to fail. */
static guint decode_with_faults(FaultKind kind, GPtrArray *wanted)
{
    guint n = 0;
    g_setenv("NERV_DEVICE", device, TRUE);
    for (guint first = 0; first <= n; first++) {
        RunResult r;
        faults_set(kind, first);
        GPtrArray *frames = decode_file("auto", &r);
        fail_unless(r.eos && !r.error, "fault %d at %u: %s", kind, first, r.error ? r.error->message : "");
        fail_unless(r.warnings <= (first > 0), "fault %d at %u: %u warnings", kind, first, r.warnings);
        if (first == 0)
            n = faults_calls();
        fail_unless(r.warnings || first == 0 || first + 4 > n || kind >= FAULT_MEMORY,
                    "no warning of %u in %u", first, n);
        fail_unless_alike(frames, wanted);
        g_ptr_array_unref(frames);
        run_result_clear(&r);
    }
    g_setenv("NERV_DEVICE", "cpu", TRUE);
    fail_unless(n > 0, "no calls");
    GST_INFO("fault %d: %u calls", kind, n);
    return n;
}

static void check_decoding(const char *properties)
{
    RunResult r;
    encode_on_cpu(properties);
    GPtrArray *wanted = decode_file("cpu", &r);
    run_result_clear(&r);
    fail_unless_equals_int(wanted->len, N_FRAMES);
    decode_with_faults(FAULT_LOST, wanted);
    g_ptr_array_unref(wanted);
}

GST_START_TEST(test_decoder_goes_on)
{
    check_decoding("epochs=2 " TINY);
}
GST_END_TEST;

/* Of residuals, which need the network before. */
GST_START_TEST(test_decoder_goes_on_with_residuals)
{
    check_decoding("epochs=10 warm-start=residual " TINY);
}
GST_END_TEST;

GST_START_TEST(test_decoder_goes_on_with_keyframes)
{
    check_decoding("model=dnerv epochs=2 segment-frames=3 tune=psnr "
                   "model-options=\"o,weights=2000,keyframe-interval=2\"");
}
GST_END_TEST;

GST_START_TEST(test_decoder_goes_on_without)
{
    static const FaultKind kinds[] = { FAULT_TIMEOUT, FAULT_MEMORY, FAULT_MAP };
    RunResult r;
    encode_on_cpu("epochs=2 " TINY);
    GPtrArray *wanted = decode_file("cpu", &r);
    run_result_clear(&r);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        decode_with_faults(kinds[i], wanted);
    g_ptr_array_unref(wanted);
}
GST_END_TEST;

static gboolean is_over(GstBus *bus, GError **error)
{
    GstMessage *message =
        gst_bus_timed_pop_filtered(bus, SECONDS * GST_SECOND, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    fail_unless(message != NULL, "neither end nor error");
    const gboolean is_error = GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR;
    if (is_error)
        gst_message_parse_error(message, error, NULL);
    gst_message_unref(message);
    return !is_error;
}

/* Plays a pipeline with each call failing in its turn; after an error it has to play to its end once the device is well. Calls `check` in
 * between. Every `step`-th call behind the first 30. */
static void play_with_faults(const char *description, FaultKind kind, guint step, void (*check)(void))
{
    guint n = 0;
    for (guint first = 0; first <= n; first += first < 30 ? 1 : step) {
        GstElement *pipeline = gst_parse_launch(description, NULL);
        GstBus *bus = gst_element_get_bus(pipeline);
        GError *error = NULL;
        fail_unless(pipeline != NULL);
        faults_set(kind, first);
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        const gboolean ended = is_over(bus, &error);
        if (first == 0)
            n = faults_calls();
        /* at the end work may be left that nobody waits for; no memory for work ahead is no error */
        fail_unless(ended == (first == 0) || first + 4 > n || kind == FAULT_MEMORY, "fault %d at %u of %u",
                    kind, first, n);
        if (error)
            fail_unless(error->domain == GST_RESOURCE_ERROR && strstr(error->message, "Vulkan"), "%s",
                        error->message);
        g_clear_error(&error);
        gst_element_set_state(pipeline, GST_STATE_NULL);
        if (check)
            check();
        faults_set(FAULT_NONE, 0);
        gst_bus_set_flushing(bus, TRUE);
        gst_bus_set_flushing(bus, FALSE);
        gst_element_set_state(pipeline, GST_STATE_PLAYING);
        fail_unless(is_over(bus, &error), "fault %d at %u, afterwards: %s", kind, first,
                    error ? error->message : "");
        gst_element_set_state(pipeline, GST_STATE_NULL);
        gst_object_unref(bus);
        gst_object_unref(pipeline);
    }
    GST_INFO("fault %d: %u calls", kind, n);
    fail_unless(n > 0, "no calls");
}

GST_START_TEST(test_named_decoder_ends)
{
    encode_on_cpu("epochs=2 " TINY);
    g_autofree char *decode =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec device=%s ! fakesink", file, device);
    play_with_faults(decode, FAULT_LOST, 1, NULL);
    play_with_faults(decode, FAULT_TIMEOUT, 1, NULL);
    play_with_faults(decode, FAULT_MEMORY, 3, NULL);
}
GST_END_TEST;

/* What the encoder wrote before it failed are whole segments. */
static void check_segments(void)
{
    GStatBuf info;
    RunResult r;
    fail_unless(g_stat(file, &info) == 0);
    if (info.st_size == 0)
        return;
    GPtrArray *frames = decode_file("cpu", &r);
    fail_unless(r.eos && !r.error && r.warnings == 0, "%s", r.error ? r.error->message : "");
    fail_unless(frames->len % 2 == 0 && frames->len > 0, "%u frames", frames->len);
    run_result_clear(&r);
    g_ptr_array_unref(frames);
}

GST_START_TEST(test_encoder_ends)
{
    g_autofree char *encode =
        g_strdup_printf(SOURCE "nervenc epochs=1 device=%s " TINY "! filesink location=%s", device, file);
    play_with_faults(encode, FAULT_LOST, 61, check_segments);
    play_with_faults(encode, FAULT_MEMORY, 139, check_segments);
}
GST_END_TEST;

static Suite *loss_suite(void)
{
    Suite *s = suite_create("loss");
    TCase *tc = tcase_create("loss");
    tcase_set_timeout(tc, 900);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_decoder_goes_on);
    tcase_add_test(tc, test_decoder_goes_on_with_residuals);
    tcase_add_test(tc, test_decoder_goes_on_with_keyframes);
    tcase_add_test(tc, test_decoder_goes_on_without);
    tcase_add_test(tc, test_named_decoder_ends);
    tcase_add_test(tc, test_encoder_ends);
    return s;
}

int main(int argc, char **argv)
{
    device = vulkan_device(argc, argv);
    if (!device)
        return 77;
    gst_check_init(&argc, &argv);
    return gst_check_run_suite(loss_suite(), "loss", __FILE__);
}

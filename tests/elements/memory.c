/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory that runs out while a pipeline plays: each large allocation that may fail does so in its turn, once and with all behind it. The
 * pipeline ends with an error that says so, or plays to its end, and plays again when there is memory. The program defines the functions
 * that may fail in front of GLib's and the C library's; what g_malloc() and so GStreamer ask for, the process ends without, and is left alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>

#include "../short.h"
#include "common.h"

static gint is_on, fails_all, fails_from, calls; /* atomic */

static gboolean fails(gsize bytes)
{
    if (bytes < SHORT_LEAST_BYTES || !g_atomic_int_get(&is_on))
        return FALSE;
    const gint n = g_atomic_int_add(&calls, 1) + 1, from = g_atomic_int_get(&fails_from);
    return from > 0 && (n == from || (n > from && g_atomic_int_get(&fails_all)));
}

#undef g_try_malloc
#undef g_try_malloc0
#undef g_try_malloc_n
#undef g_try_malloc0_n

gpointer g_try_malloc(gsize bytes)
{
    return fails(bytes) ? NULL : malloc(bytes);
}

gpointer g_try_malloc0(gsize bytes)
{
    return fails(bytes) ? NULL : calloc(1, bytes);
}

gpointer g_try_malloc_n(gsize n, gsize bytes)
{
    gsize total;
    return g_size_checked_mul(&total, n, bytes) ? g_try_malloc(total) : NULL;
}

gpointer g_try_malloc0_n(gsize n, gsize bytes)
{
    gsize total;
    return g_size_checked_mul(&total, n, bytes) ? g_try_malloc0(total) : NULL;
}

int posix_memalign(void **p, size_t align, size_t bytes)
{
    static int (*real)(void **, size_t, size_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "posix_memalign");
    return fails(bytes) ? ENOMEM : real(p, align, bytes);
}

/* Returns how many allocations there were. */
static gint end_shortage(void)
{
    g_atomic_int_set(&is_on, 0);
    return g_atomic_int_get(&calls);
}

static void begin_shortage(gint from, gboolean all)
{
    g_atomic_int_set(&fails_from, from);
    g_atomic_int_set(&fails_all, all);
    g_atomic_int_set(&calls, 0);
    g_atomic_int_set(&is_on, 1);
}

/* True at the end of the stream; else there was an error that is about memory. */
static gboolean plays(GstElement *pipeline, GstBus *bus)
{
    GError *error = NULL;
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage *message =
        gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    fail_unless(message != NULL, "neither end nor error");
    const gboolean ended = GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
    if (!ended) {
        gst_message_parse_error(message, &error, NULL);
        fail_unless(g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT), "%s",
                    error->message);
        g_error_free(error);
    }
    gst_message_unref(message);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_bus_set_flushing(bus, TRUE);
    gst_bus_set_flushing(bus, FALSE);
    return ended;
}

/* The frames of a stream are asked for again and again. */
static void check_stream(const char *encoder, guint n_frames)
{
    g_autofree char *folder = g_dir_make_tmp("nerv-memory-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "a.nerv", NULL);
    g_autofree char *write =
        g_strdup_printf("videotestsrc num-buffers=%u ! "
                        "video/x-raw,format=RGB,width=64,height=48,framerate=25/1 ! nervenc %s ! "
                        "filesink location=%s",
                        n_frames, encoder, file);
    g_autofree char *play =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec threads=2 ! fakesink name=sink", file);
    RunResult r;
    gint n = 0, errors = 0;
    run_pipeline(write, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error);
    run_result_clear(&r);
    for (gint all = 0; all < 2; all++)
        for (gint from = 0; from <= n; from++) {
            GstElement *pipeline = gst_parse_launch(play, NULL);
            GstBus *bus = gst_element_get_bus(pipeline);
            GPtrArray *frames = new_frames();
            begin_shortage(from, all);
            const gboolean ended = plays(pipeline, bus);
            n = MAX(n, from == 0 ? end_shortage() : n);
            end_shortage();
            fail_unless(ended || from > 0);
            errors += !ended;
            collect_frames(pipeline, frames);
            fail_unless(plays(pipeline, bus), "allocation %d: still an error with memory", from);
            fail_unless_equals_int(frames->len, n_frames);
            g_ptr_array_unref(frames);
            gst_object_unref(bus);
            gst_object_unref(pipeline);
        }
    GST_INFO("%d allocations, %d errors", n, errors);
    fail_unless(n > 10 && errors > n, "%d allocations, %d errors", n, errors);
    g_unlink(file);
    g_rmdir(folder);
}

GST_START_TEST(test_networks)
{
    check_stream("model=nerv-grid epochs=1 segment-frames=3 model-options=\"o,grids=(string)3x4/2x2/"
                 "1x2,strides=<4,2>,widths=<24,16>,kernels=<3,3>\"",
                 6);
}
GST_END_TEST;

GST_START_TEST(test_keyframes)
{
    check_stream("model=dnerv epochs=1 segment-frames=8 "
                 "model-options=\"o,weights=4000,clip-frames=2,keyframe-interval=4\"",
                 8);
}
GST_END_TEST;

static Suite *memory_suite(void)
{
    Suite *s = suite_create("memory");
    TCase *tc = tcase_create("memory");
    tcase_set_timeout(tc, 600);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_networks);
    tcase_add_test(tc, test_keyframes);
    return s;
}

GST_CHECK_MAIN(memory);

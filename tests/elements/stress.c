/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What long sessions and busy processes do: a thousand starts and stops, hundreds of seeks that nobody waits for, encoders and decoders beside each
 * other, a disk that is full. Nothing hangs, and nothing grows.
 */
#include <dirent.h>
#include <glib/gstdio.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

#define N       30
#define SEGMENT 7
#define FRAME   (40 * GST_MSECOND)
#define CYCLES  1000
#define SEEKS   200

static GBytes *stream;
static GPtrArray *reference; /* its decoded frames */
static char *path, *mp4_path, *mkv_path;

/* In a process of its own: each test is a fork of this one, to which threads would not come along. */
static char *make_file(const char *mux)
{
    char *file = write_temp(stream), *errors = NULL;
    char *line = g_strdup_printf(
        "gst-launch-1.0 -q filesrc location=%s ! nervparse ! %s ! filesink location=%s", path, mux, file);
    gint status = -1;
    fail_unless(g_spawn_command_line_sync(line, NULL, &errors, &status, NULL) && status == 0, "%s: %s", line,
                errors);
    g_free(errors);
    g_free(line);
    return file;
}

static void setup(void)
{
    stream = make_stream(N, SEGMENT, NULL);
    reference = decode(stream);
    path = write_temp(stream);
    mp4_path = make_file("nervmp4mux");
    mkv_path = make_file("nervmkvmux");
}

static void teardown(void)
{
    g_unlink(path);
    g_unlink(mp4_path);
    g_unlink(mkv_path);
    g_free(path);
    g_free(mp4_path);
    g_free(mkv_path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}

/* --- what a process has --- */

typedef struct {
    guint files, threads;
    gsize bytes; /* resident, but for what libraries' files are mapped to */
} Usage;

static guint count_entries(const char *directory)
{
    guint n = 0;
    DIR *d = opendir(directory);
    while (d && readdir(d))
        n++;
    closedir(d);
    return n;
}

static Usage usage(void)
{
    unsigned long all = 0, resident = 0, of_files = 0;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    FILE *f = fopen("/proc/self/statm", "r");
    fail_unless(f && fscanf(f, "%lu %lu %lu", &all, &resident, &of_files) == 3);
    fclose(f);
    return (Usage){ count_entries("/proc/self/fd"), count_entries("/proc/self/task"),
                    (resident - of_files) * (gsize)sysconf(_SC_PAGESIZE) };
}

/* Files exactly; threads end a moment after they are done; memory by what an allocator keeps. */
static void expect_no_growth(const char *what, const Usage *before, gsize bytes)
{
    Usage after = usage();
    for (int i = 0; i < 100 && after.threads > before->threads + 2; i++) {
        g_usleep(20000);
        after = usage();
    }
    fail_unless(after.files <= before->files, "%s: %u files were open, now %u", what, before->files,
                after.files);
    fail_unless(after.threads <= before->threads + 2, "%s: %u threads, now %u", what, before->threads,
                after.threads);
    fail_unless(after.bytes <= before->bytes + bytes, "%s: %zu bytes, now %zu", what, before->bytes,
                after.bytes);
}

/* --- starts and stops --- */

static void wait_for_state(GstElement *pipeline, GstState state)
{
    fail_unless(gst_element_set_state(pipeline, state) != GST_STATE_CHANGE_FAILURE);
    fail_unless(gst_element_get_state(pipeline, NULL, NULL, 20 * GST_SECOND) != GST_STATE_CHANGE_ASYNC,
                "%s takes more than 20 s", gst_element_state_get_name(state));
}

static const char *const readers[] = {
    "filesrc location=%s ! nervparse ! nervdec ! fakesink",
    "filesrc location=%s ! qtdemux ! nervparse ! nervdec ! fakesink",
    "filesrc location=%s ! matroskademux ! nervparse ! nervdec ! fakesink"
};

/* A link that gst_parse_launch() makes when the demuxer's pad comes is made once: playbin links anew each time. */
static const char *const players[] = { "filesrc location=%s ! nervparse ! nervdec ! fakesink",
                                       "playbin uri=file://%s video-sink=fakesink",
                                       "playbin uri=file://%s video-sink=fakesink" };

static const char *path_of(guint reader)
{
    return reader == 0 ? path : reader == 1 ? mp4_path : mkv_path;
}

/* One pipeline, up and down; what it has after half of the cycles it has after all. */
GST_START_TEST(test_cycles)
{
    char *text = g_strdup_printf(players[__i__], path_of((guint)__i__));
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GRand *random = g_rand_new_with_seed(1);
    const int cycles = __i__ == 0 ? CYCLES : CYCLES / 5;
    Usage before = { 0 };
    for (int i = 0; i < cycles; i++) {
        if (i == cycles / 2) /* what is loaded once is there */
            before = usage();
        /* not all the way, now and then, and without waiting for it */
        wait_for_state(pipeline, GST_STATE_PAUSED);
        if (g_rand_int_range(random, 0, 4) > 0)
            gst_element_set_state(pipeline, GST_STATE_PLAYING);
        if (g_rand_int_range(random, 0, 4) == 0)
            wait_for_state(pipeline, GST_STATE_PAUSED);
        wait_for_state(pipeline, g_rand_boolean(random) ? GST_STATE_NULL : GST_STATE_READY);
    }
    wait_for_state(pipeline, GST_STATE_NULL);
    expect_no_growth(text, &before, 4 << 20);
    gst_object_unref(pipeline);
    g_rand_free(random);
    g_free(text);
}
GST_END_TEST;

/* New pipelines each time, an encoder's among them, which is stopped in the middle of its fit. */
GST_START_TEST(test_new_pipelines)
{
    char *reader = g_strdup_printf(readers[0], path);
    const char *writer = "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48 ! nervenc "
                         "model=nerv-mlp epochs=100000 segment-frames=20 ! fakesink async=false";
    Usage before = { 0 };
    for (int i = 0; i < 100; i++) {
        if (i == 20)
            before = usage();
        GstElement *a = gst_parse_launch(reader, NULL), *b = gst_parse_launch(writer, NULL);
        gst_element_set_state(b, GST_STATE_PLAYING);
        wait_for_state(a, GST_STATE_PLAYING);
        g_usleep((gulong)(i % 10) * 2000);
        wait_for_state(b, GST_STATE_NULL);
        wait_for_state(a, GST_STATE_NULL);
        gst_object_unref(a);
        gst_object_unref(b);
    }
    expect_no_growth("new pipelines", &before, 8 << 20);
    g_free(reader);
}
GST_END_TEST;

/* --- seeks --- */

/* Many seeks while it plays, forward and back at any rate, none of them waited for; then one that is, and it is exact. */
GST_START_TEST(test_seeks)
{
    static const double rates[] = { 1., 1., 1., 2., 16., -1., -4. };
    char *text = g_strdup_printf(readers[__i__], path_of((guint)__i__));
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GRand *random = g_rand_new_with_seed(2);
    Usage before = { 0 };
    wait_for_state(pipeline, GST_STATE_PAUSED);
    for (int i = 0; i < SEEKS; i++) {
        const double rate = rates[g_rand_int_range(random, 0, G_N_ELEMENTS(rates))];
        const gint64 at = (gint64)(g_rand_double(random) * N * FRAME);
        GstSeekFlags flags =
            GST_SEEK_FLAG_FLUSH | (g_rand_boolean(random) ? GST_SEEK_FLAG_ACCURATE : GST_SEEK_FLAG_KEY_UNIT);
        if (i == SEEKS / 10)
            before = usage();
        if (g_rand_int_range(random, 0, 5) == 0)
            flags |= GST_SEEK_FLAG_TRICKMODE;
        gst_element_set_state(pipeline, g_rand_boolean(random) ? GST_STATE_PLAYING : GST_STATE_PAUSED);
        fail_unless(gst_element_seek(pipeline, rate, GST_FORMAT_TIME, flags, GST_SEEK_TYPE_SET,
                                     rate > 0 ? at : 0, GST_SEEK_TYPE_SET,
                                     rate > 0 ? (gint64)(N * FRAME) : MAX(at, 1)),
                    "seek %d: rate %g, %" G_GINT64_FORMAT, i, rate, at);
        g_usleep((gulong)g_rand_int_range(random, 0, 3) * 1000);
    }
    expect_no_growth("seeks", &before, 4 << 20);
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    fail_unless(gst_element_seek_simple(pipeline, GST_FORMAT_TIME,
                                        GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, 20 * (gint64)FRAME));
    wait_for_state(pipeline, GST_STATE_PAUSED);
    GstSample *sample = NULL;
    GstIterator *sinks = gst_bin_iterate_sinks(GST_BIN(pipeline));
    GValue value = G_VALUE_INIT;
    fail_unless(gst_iterator_next(sinks, &value) == GST_ITERATOR_OK);
    g_object_get(g_value_get_object(&value), "last-sample", &sample, NULL);
    fail_unless(sample && same_content(gst_sample_get_buffer(sample), g_ptr_array_index(reference, 20)));
    gst_sample_unref(sample);
    g_value_unset(&value);
    gst_iterator_free(sinks);
    wait_for_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    g_rand_free(random);
    g_free(text);
}
GST_END_TEST;

/* --- beside each other --- */

#define DECODERS 8
#define ENCODERS 2

static gpointer decode_file(gpointer unused)
{
    GPtrArray *frames = new_frames();
    RunResult r;
    char *text = g_strdup_printf("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", path);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    bool ok = r.eos && !r.error && frames->len == N;
    for (guint i = 0; ok && i < N; i++)
        ok = same_content(g_ptr_array_index(frames, i), g_ptr_array_index(reference, i));
    g_ptr_array_unref(frames);
    run_result_clear(&r);
    g_free(text);
    return GINT_TO_POINTER(ok);
}

static gpointer encode_again(gpointer unused)
{
    GBytes *made = make_stream(N, SEGMENT, NULL);
    const bool ok = g_bytes_equal(made, stream);
    g_bytes_unref(made);
    return GINT_TO_POINTER(ok);
}

/* Each makes what it makes alone. */
GST_START_TEST(test_beside_each_other)
{
    GThread *threads[ENCODERS + DECODERS];
    for (guint round = 0; round < 3; round++) {
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
            threads[i] = g_thread_new("job", i < ENCODERS ? encode_again : decode_file, NULL);
        for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
            fail_unless(g_thread_join(threads[i]), "%s %u made something else",
                        i < ENCODERS ? "encoder" : "decoder", i);
    }
}
GST_END_TEST;

/* --- a full disk --- */

GST_START_TEST(test_disk_full)
{
    static const char *const muxers[] = { "identity", "nervfilemux", "nervmp4mux",
                                          "nervmp4mux fragment-duration=100", "nervmkvmux" };
    for (guint i = 0; i < G_N_ELEMENTS(muxers); i++) {
        RunResult r;
        char *text = g_strdup_printf(
            "filesrc location=%s ! nervparse ! %s ! filesink location=/dev/full buffer-mode=unbuffered", path,
            muxers[i]);
        run_pipeline(text, 20, NULL, NULL, NULL, &r);
        fail_unless(r.error && !r.eos, "%s: no error", muxers[i]);
        fail_unless(g_error_matches(r.error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT) ||
                        g_error_matches(r.error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE),
                    "%s: %s", muxers[i], r.error->message);
        run_result_clear(&r);
        g_free(text);
    }
}
GST_END_TEST;

int main(int argc, char **argv)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1); /* how many there are is a matter of luck, and each keeps what it had */
#endif
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("stress");
    TCase *tc = tcase_create("stress");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_cycles, 0, G_N_ELEMENTS(readers));
    tcase_add_test(tc, test_new_pipelines);
    tcase_add_loop_test(tc, test_seeks, 0, G_N_ELEMENTS(readers));
    tcase_add_test(tc, test_beside_each_other);
    tcase_add_test(tc, test_disk_full);
    return gst_check_run_suite(s, "stress", __FILE__);
}

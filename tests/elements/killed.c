/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Processes that record a live source and are killed (SIGKILL) at random moments: what they have written plays, and every segment that was whole by then is in it.
 * docs/compatibility.md, "What a crash leaves".
 */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "common.h"

#define SEGMENT 5
#define FRAME   (20 * GST_MSECOND)
#define N       200 /* frames of the reference; a child that lives for half as long as these take is slow */
#define KILLS   5   /* of each kind */

#define SOURCE "videotestsrc pattern=ball animation-mode=frames num-buffers=" G_STRINGIFY(N)
#define ENCODER                                                                                              \
    " ! video/x-raw,format=RGB,width=64,height=48,framerate=50/1 ! " TINY_ENC                                \
    " segment-frames=" G_STRINGIFY(SEGMENT)

#define ALL G_MAXUINT

typedef struct {
    const char *name, *mux;
    guint held; /* the muxer's: so many whole segments may not have left it yet */
} Kind;

static const Kind kinds[] = {
    { "nerv", "identity", 0 },
    { "nervfilemux", "nervfilemux", 0 },
    { "mkv", "nervmkvmux", 0 },
    { "mkv-streamable", "nervmkvmux streamable=true", 0 },
    { "mp4-fragmented", "nervmp4mux fragment-duration=100", 1 },
    { "mp4-finalised", "nervmp4mux fragment-duration=100 muxer::fragment-mode=first-moov-then-finalise", 2 },
    { "mp4", "nervmp4mux", ALL },
};
#define N_KINDS G_N_ELEMENTS(kinds)

static GPtrArray *reference; /* what an encoding that is not interrupted shows */

static guint32 base_seed;

static GBytes *read_file(const char *file)
{
    char *data;
    gsize size;
    fail_unless(g_file_get_contents(file, &data, &size, NULL));
    return g_bytes_new_take(data, size);
}

/* Encoded in a process of its own: each test is a fork of this one, to which threads that a pipeline has left here would not come along. */
static void setup(void)
{
    GBytes *nothing = g_bytes_new(NULL, 0), *stream;
    char *file = write_temp(nothing), *errors = NULL;
    char *line = g_strdup_printf("gst-launch-1.0 -q " SOURCE ENCODER " ! filesink location=%s", file);
    gint status = -1;

    base_seed = g_random_int();
    fail_unless(g_spawn_command_line_sync(line, NULL, &errors, &status, NULL) && status == 0, "%s: %s", line,
                errors);
    stream = read_file(file);
    reference = decode(stream);
    fail_unless_equals_int(reference->len, N);
    g_bytes_unref(stream);
    g_unlink(file);
    g_free(file);
    g_free(line);
    g_free(errors);
    g_bytes_unref(nothing);
}

static void teardown(void)
{
    g_ptr_array_unref(reference);
}

/* --- the process to be killed: this program called as "killed --record FILE MUXER" --- */

static int record(const char *file, const char *mux)
{
    char *text = g_strdup_printf(SOURCE " is-live=true" ENCODER " ! %s ! filesink location=%s", mux, file);
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message;
    bool end = false;

    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (!end && (message = gst_bus_timed_pop(bus, GST_CLOCK_TIME_NONE))) {
        char *progress;
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_PROGRESS) {
            gst_message_parse_progress(message, NULL, NULL, &progress);
            g_print("%s\n", progress);
            fflush(stdout);
            g_free(progress);
        }
        end = GST_MESSAGE_TYPE(message) & (GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
        gst_message_unref(message);
    }
    return 0;
}

typedef struct {
    GSubprocess *process;
    GDataInputStream *lines;
    char *file;
    guint begun; /* segments whose fit had begun; all before the last one were pushed */
} Child;

static void read_until(Child *child, guint begun)
{
    char *line;
    while (child->begun < begun && (line = g_data_input_stream_read_line(child->lines, NULL, NULL, NULL))) {
        const char *at = strstr(line, "segment ");
        if (at && strstr(at, ": fitting"))
            child->begun = (guint)g_ascii_strtoull(at + 8, NULL, 10) + 1;
        g_free(line);
    }
}

static void start(Child *child, const Kind *kind)
{
    char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *argv[] = { self, "--record", NULL, kind->mux, NULL };
    GBytes *nothing = g_bytes_new(NULL, 0);
    GError *error = NULL;

    argv[2] = child->file = write_temp(nothing);
    child->process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
    fail_unless(child->process != NULL, "%s", error ? error->message : "");
    child->lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(child->process));
    child->begun = 0;
    g_bytes_unref(nothing);
    g_free(self);
}

/* A file without a "moov" box, as docs/compatibility.md says of it. (qtdemux itself now and then neither ends there nor posts an error.) */
static void check_unreadable(const Child *child)
{
    GBytes *file = read_file(child->file);
    gsize size;
    const char *data = g_bytes_get_data(file, &size);
    gsize at = 0;
    while (at + 4 <= size && memcmp(data + at, "moov", 4) != 0)
        at++;
    fail_unless(at + 4 > size, "there is a table of contents");
    g_bytes_unref(file);
}

static void check_file(const Kind *kind, const Child *child)
{
    char *text =
        g_strdup_printf("filesrc location=%s ! decodebin ! video/x-raw ! fakesink name=sink", child->file);
    GPtrArray *frames = new_frames();
    guint whole = child->begun - 1;
    RunResult r;

    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    g_print("# %s: killed in segment %u, %u frames of %u\n", kind->name, child->begun - 1, frames->len,
            whole * SEGMENT);
    fail_unless(r.eos && !r.error, "%s: %s", kind->name, r.error ? r.error->message : "no end");
    fail_unless(frames->len + kind->held * SEGMENT >= whole * SEGMENT, "%s: %u frames of %u whole segments",
                kind->name, frames->len, whole);
    fail_unless(frames->len <= reference->len);
    for (guint i = 0; i < frames->len; i++) {
        GstBuffer *buffer = g_ptr_array_index(frames, i);
        fail_unless(same_content(buffer, g_ptr_array_index(reference, i)), "%s: frame %u is another picture",
                    kind->name, i);
        gint64 late = GST_CLOCK_DIFF(
            i * FRAME, GST_BUFFER_PTS(buffer) - GST_BUFFER_PTS((GstBuffer *)g_ptr_array_index(frames, 0)));
        fail_unless(ABS(late) < FRAME / 2, "%s: frame %u is %" G_GINT64_FORMAT " ns late", kind->name, i,
                    late);
    }
    run_result_clear(&r);
    g_ptr_array_unref(frames);
    g_free(text);
}

/* All kinds at once, each after its third segment was begun and a random while. */
GST_START_TEST(test_killed)
{
    guint32 seed = base_seed + (guint)__i__;
    GRand *random = g_rand_new_with_seed(seed);
    Child children[N_KINDS];

    g_print("# seed %u\n", seed);
    for (guint k = 0; k < N_KINDS; k++)
        start(&children[k], &kinds[k]);
    for (guint k = 0; k < N_KINDS; k++) {
        read_until(&children[k], 4);
        fail_unless(children[k].begun >= 4, "%s: the fourth segment was never begun", kinds[k].name);
    }
    for (guint k = 0; k < N_KINDS; k++) {
        g_usleep((gulong)g_rand_int_range(random, 0, 100000));
        g_subprocess_send_signal(children[k].process, SIGKILL);
        g_subprocess_wait(children[k].process, NULL, NULL);
        read_until(&children[k], G_MAXUINT);
    }
    for (guint k = 0; k < N_KINDS; k++) {
        if (kinds[k].held == ALL)
            check_unreadable(&children[k]);
        else
            check_file(&kinds[k], &children[k]);
        g_object_unref(children[k].lines);
        g_object_unref(children[k].process);
        g_unlink(children[k].file);
        g_free(children[k].file);
    }
    g_rand_free(random);
}
GST_END_TEST;

static Suite *killed_suite(void)
{
    Suite *s = suite_create("killed");
    TCase *tc = tcase_create("killed");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_killed, 0, KILLS);
    return s;
}

int main(int argc, char **argv)
{
    if (argc == 4 && g_str_equal(argv[1], "--record")) {
        gst_init(NULL, NULL);
        return record(argv[2], argv[3]);
    }
    gst_check_init(&argc, &argv);
    return gst_check_run_suite(killed_suite(), "killed", __FILE__);
}

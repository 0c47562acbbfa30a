/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-seek [OPTION...] FILE...
 *
 * Seeks to random times in files of any kind that GStreamer plays, exactly, as an application does in a paused pipeline, and compares what is shown
 * with what was shown in sequence: every seek must show the frame that is on screen at that time. How long it takes from the seek to the picture; with several
 * files, beside the first one.
 * Exit status: 0 measured, 1 not, 2 wrong arguments, 3 a frame is another one.
 */
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <locale.h>
#include <string.h>

#include "base/rng.h"
#include "bench/arguments.h"
#include "bench/digest.h"
#include "bench/json.h"
#include "bench/machine.h"
#include "bench/rounds.h"
#include "nerv.h"

#define MAX_COUNT    10000
#define PATIENCE     (60 * GST_SECOND)
#define POLL         (50 * GST_MSECOND)
#define WRONG_TO_SAY 5 /* frames that are another one, which are told of one by one */

static char *opt_json, **opt_files;
static int opt_count = 200;
static gint64 opt_seed = 1;

static const GOptionEntry options[] = {
    { "count", 'n', 0, G_OPTION_ARG_INT, &opt_count, "Seeks in each file, 1 to 10000 (default 200)", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Which times (default 1)", "N" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write sums and the machine there", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_files, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS, DIFFERENT };

typedef struct {
    GstClockTime pts, end; /* stream time */
    uint8_t digest[DIGEST];
} Shown;

/* A file and what came of it. */
typedef struct {
    const char *path;
    char *name;
    GArray *frames;             /* Shown, in sequence */
    double sequential;          /* seconds a frame */
    double mean, median, worst; /* seconds from a seek to the picture */
    int n_different;
} File;

typedef struct {
    GstElement *pipeline;
    GstAppSink *sink;
    GstBus *bus;
} Player;

static double now(void)
{
    return (double)g_get_monotonic_time() * 1e-6;
}

/* --- playing --- */

static void player_clear(Player *p)
{
    if (p->pipeline)
        gst_element_set_state(p->pipeline, GST_STATE_NULL);
    gst_clear_object(&p->bus);
    gst_clear_object(&p->sink);
    gst_clear_object(&p->pipeline);
}

static bool player_init(Player *p, const char *path, GError **error)
{
    g_autofree char *escaped = g_strescape(path, NULL);
    g_autofree char *text = g_strdup_printf("filesrc location=\"%s\" ! decodebin ! video/x-raw ! "
                                            "appsink name=sink sync=false max-buffers=1",
                                            escaped);
    *p = (Player){ NULL };
    p->pipeline = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    if (!p->pipeline)
        return false;
    p->sink = GST_APP_SINK(gst_bin_get_by_name(GST_BIN(p->pipeline), "sink"));
    p->bus = gst_element_get_bus(p->pipeline);
    gst_element_set_state(p->pipeline, GST_STATE_PAUSED);
    return true;
}

/* The next sample, or the one that a pause waits with; NULL at the end. False with an error. */
static bool pull(Player *p, bool preroll, GstSample **sample, GError **error)
{
    const double end = now() + (double)PATIENCE / GST_SECOND;
    for (*sample = NULL; !*sample && now() < end;) {
        *sample = preroll ? gst_app_sink_try_pull_preroll(p->sink, POLL)
                          : gst_app_sink_try_pull_sample(p->sink, POLL);
        if (*sample || gst_app_sink_is_eos(p->sink))
            return true;
        g_autoptr(GstMessage) message = gst_bus_pop_filtered(p->bus, GST_MESSAGE_ERROR);
        if (message) {
            gst_message_parse_error(message, error, NULL);
            return false;
        }
    }
    g_set_error_literal(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "no picture came for a minute");
    return false;
}

/* What is seen of a picture, and when. */
static bool look(GstSample *sample, Shown *shown, GError **error)
{
    const GstSegment *segment = gst_sample_get_segment(sample);
    const GstBuffer *buffer = gst_sample_get_buffer(sample);
    if (!digest_sample(sample, shown->digest, error))
        return false;
    shown->pts = gst_segment_to_stream_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    shown->end =
        GST_BUFFER_DURATION_IS_VALID(buffer) ? shown->pts + GST_BUFFER_DURATION(buffer) : GST_CLOCK_TIME_NONE;
    return true;
}

/* --- a file --- */

static bool play(File *f, Player *p, GError **error)
{
    GstSample *sample;
    gst_element_set_state(p->pipeline, GST_STATE_PLAYING);
    const double start = now();
    for (;;) {
        Shown shown;
        if (!pull(p, false, &sample, error))
            return false;
        if (!sample)
            break;
        const bool ok = look(sample, &shown, error);
        gst_sample_unref(sample);
        if (!ok)
            return false;
        g_array_append_val(f->frames, shown);
    }
    if (f->frames->len < 2) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "%s has fewer than two pictures",
                    f->path);
        return false;
    }
    f->sequential = (now() - start) / f->frames->len;
    /* containers round times: a frame lasts until the next */
    for (guint i = 0; i + 1 < f->frames->len; i++)
        g_array_index(f->frames, Shown, i).end = g_array_index(f->frames, Shown, i + 1).pts;
    Shown *last = &g_array_index(f->frames, Shown, f->frames->len - 1);
    if (!GST_CLOCK_TIME_IS_VALID(last->end))
        last->end = last->pts + 1;
    return true;
}

/* To a time somewhere in the frame. */
static bool seek(File *f, Player *p, guint i, GstClockTime time, double *seconds, GError **error)
{
    const Shown *want = &g_array_index(f->frames, Shown, i);
    GstSample *sample;
    Shown got;
    const double start = now();
    if (!gst_element_seek_simple(p->pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                                 (gint64)time)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "%s can't be sought in", f->path);
        return false;
    }
    if (!pull(p, true, &sample, error))
        return false;
    *seconds = now() - start;
    bool ok = true, is_equal = false;
    if (sample) {
        ok = look(sample, &got, error);
        is_equal = ok && memcmp(got.digest, want->digest, DIGEST) == 0 && got.pts >= want->pts &&
                   got.pts < want->end;
        gst_sample_unref(sample);
    }
    if (ok && !is_equal && f->n_different++ < WRONG_TO_SAY) {
        g_autofree char *at =
            sample ? g_strdup_printf("a picture of %.6f s", (double)got.pts * 1e-9) : g_strdup("nothing");
        g_printerr("%s: frame %u, %.6f to %.6f s, sought at %.6f s: %s\n", f->name, i,
                   (double)want->pts * 1e-9, (double)want->end * 1e-9, (double)time * 1e-9, at);
    }
    return ok;
}

static bool seek_about(File *f, Player *p, GError **error)
{
    g_autofree double *seconds = g_new0(double, opt_count);
    NervRng rng;
    nerv_rng_init(&rng, (uint64_t)opt_seed);
    gst_element_set_state(p->pipeline, GST_STATE_PAUSED);
    f->mean = f->worst = 0.;
    for (int k = 0; k < opt_count; k++) {
        const guint i = nerv_rng_below(&rng, f->frames->len);
        const Shown *frame = &g_array_index(f->frames, Shown, i);
        /* its beginning every other time: there two frames meet */
        const GstClockTime inside = (frame->end - frame->pts) * nerv_rng_below(&rng, 1000) / 1000;
        if (!seek(f, p, i, frame->pts + (k % 2 ? inside : 0), &seconds[k], error))
            return false;
        f->mean += seconds[k] / opt_count;
        f->worst = MAX(f->worst, seconds[k]);
    }
    f->median = rounds_median(seconds, (uint32_t)opt_count);
    return true;
}

static bool measure(File *f, GError **error)
{
    Player p;
    const bool ok = player_init(&p, f->path, error) && play(f, &p, error) && seek_about(f, &p, error);
    player_clear(&p);
    if (!ok)
        g_prefix_error(error, "%s: ", f->name);
    return ok;
}

/* --- results --- */

static void print(const File *f, const File *first)
{
    g_print("%-32s %6u %9.2f %8d %9.2f %9.2f %9.2f", f->name, f->frames->len, f->sequential * 1e3,
            opt_count - f->n_different, f->mean * 1e3, f->median * 1e3, f->worst * 1e3);
    if (f != first)
        g_print(" %9.2f", f->mean / first->mean);
    g_print("\n");
}

static bool write_json(const GArray *files, GError **error)
{
    const File *first = &g_array_index(files, File, 0);
    Json j;
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_integer(&j, "seeks", opt_count);
    json_integer(&j, "seed", opt_seed);
    json_open(&j, "files", '[');
    for (guint i = 0; i < files->len; i++) {
        const File *f = &g_array_index(files, File, i);
        json_open(&j, NULL, '{');
        json_string(&j, "file", f->name);
        json_integer(&j, "frames", f->frames->len);
        json_number(&j, "sequential_seconds", f->sequential);
        json_integer(&j, "different", f->n_different);
        json_number(&j, "mean_seconds", f->mean);
        json_number(&j, "median_seconds", f->median);
        json_number(&j, "worst_seconds", f->worst);
        json_number(&j, "mean_of_first", f->mean / first->mean);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    return g_file_set_contents(opt_json, text, -1, error);
}

static void file_clear(gpointer data)
{
    File *f = data;
    g_free(f->name);
    g_array_unref(f->frames);
}

static int measure_all(GError **error)
{
    g_autoptr(GArray) files = g_array_new(FALSE, TRUE, sizeof(File));
    int n_different = 0;
    g_array_set_clear_func(files, file_clear);
    /* no array that grows while its files are pointed to */
    g_array_set_size(files, g_strv_length(opt_files));
    for (guint i = 0; i < files->len; i++) {
        File *f = &g_array_index(files, File, i);
        f->path = opt_files[i];
        f->name = g_filename_display_basename(opt_files[i]);
        f->frames = g_array_new(FALSE, FALSE, sizeof(Shown));
    }
    g_print("%-32s %6s %9s %8s %9s %9s %9s %9s\n", "", "frames", "ms/frame", "exact", "mean ms", "median",
            "worst", "of first");
    for (guint i = 0; i < files->len; i++) {
        File *f = &g_array_index(files, File, i);
        if (!measure(f, error))
            return FAILED;
        print(f, &g_array_index(files, File, 0));
        n_different += f->n_different;
    }
    if (opt_json && !write_json(files, error))
        return FAILED;
    if (n_different)
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "%d of %u seeks showed another frame",
                    n_different, files->len * (guint)opt_count);
    return n_different ? DIFFERENT : DONE;
}

static bool check_arguments(GError **error)
{
    if (!opt_files)
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, "there is no file");
    return opt_files && bench_check_int("count", opt_count, 1, MAX_COUNT, error) &&
           (!opt_json || bench_check_output("json", opt_json, error));
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context =
        g_option_context_new("FILE... - random seeks, and whether they are exact");
    g_autoptr(GError) error = NULL;
    int status = WRONG_ARGUMENTS;
    g_option_context_set_summary(context, "Seeks to random times in files of any kind that GStreamer plays, "
                                          "exactly, as an application does in a paused pipeline, and "
                                          "compares what is shown with what was shown in sequence. Prints "
                                          "how long it takes from a seek to its picture, on average and at "
                                          "worst, for each file, and beside the first one.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&error))
        status = measure_all(&error);
    if (status != DONE)
        g_printerr("nerv-seek: %s\n", error ? error->message : "failed");
    return status;
}

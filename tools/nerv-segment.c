/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-segment --plan=PLAN IN
 * nerv-segment --plan=PLAN --frames=N --segment=K --out=FILE IN [PROPERTY=VALUE...]
 *
 * One segment of a file by itself, as one nervenc would make it of the whole: what nerv-encode hands to several machines. The first form goes through the file and writes
 * the times of its frames; the second encodes frames K*N to K*N+N-1. FILE is there once it is whole.
 * Exit status: 0 done, 1 not, 2 wrong arguments.
 */
#include <glib/gstdio.h>
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <locale.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/digest.h"
#include "nerv.h"

#define PATIENCE (60 * GST_SECOND)
#define POLL     (50 * GST_MSECOND)
#define MOST     (1 << 24) /* frames of a file */

static char *opt_plan, *opt_out, *opt_filter, **opt_rest;
static int opt_frames = 32, opt_segment = -1;

static const GOptionEntry options[] = {
    { "plan", 0, 0, G_OPTION_ARG_FILENAME, &opt_plan,
      "The file of frames' times: written from IN, or with --segment read", "PLAN" },
    { "segment", 'k', 0, G_OPTION_ARG_INT, &opt_segment, "Encode this one, counted from 0", "K" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames,
      "Frames of a segment, of all but the last (default 32; nerv-encode has 64)", "N" },
    { "out", 'o', 0, G_OPTION_ARG_FILENAME, &opt_out, "Where the segment goes; it is there once it is whole",
      "FILE" },
    { "filter", 'f', 0, G_OPTION_ARG_STRING, &opt_filter,
      "What frames go through before the encoder, one by one (default videoconvert)", "ELEMENTS" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_rest, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS };

/* A frame of the file: its time as decoders give it, on a pipeline's clock, and what is seen. */
typedef struct {
    GstClockTime pts, running;
    uint8_t digest[DIGEST];
} Time;

static char *source_of(const char *path)
{
    g_autofree char *escaped = g_strescape(path, NULL);
    return g_strdup_printf("filesrc location=\"%s\" ! decodebin ! video/x-raw", escaped);
}

/* --- plan --- */

static bool add_time(GArray *times, GstSample *sample, GstCaps **caps, GError **error)
{
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    const Time *last = times->len ? &g_array_index(times, Time, times->len - 1) : NULL;
    Time t = { .pts = GST_BUFFER_PTS(buffer) };
    t.running = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, t.pts);
    if (*caps && !gst_caps_is_equal(*caps, gst_sample_get_caps(sample)))
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "size or format change behind frame %u",
                    times->len);
    else if (!GST_CLOCK_TIME_IS_VALID(t.pts) || !GST_CLOCK_TIME_IS_VALID(t.running) ||
             (last && t.pts <= last->pts))
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "frame %u has no time behind the one before",
                    times->len);
    else if (times->len == MOST)
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "there are more than %d frames", MOST);
    else if (digest_sample(sample, t.digest, error)) {
        gst_caps_replace(caps, gst_sample_get_caps(sample));
        g_array_append_val(times, t);
        return true;
    }
    return false;
}

static GArray *read_times(const char *path, GError **error)
{
    g_autofree char *head = source_of(path);
    g_autofree char *text = g_strconcat(head, " ! appsink name=sink sync=false max-buffers=2", NULL);
    GstElement *pipeline = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    GArray *times = g_array_new(FALSE, FALSE, sizeof(Time));
    GstCaps *caps = NULL;
    if (!pipeline) {
        g_array_unref(times);
        return NULL;
    }
    GstAppSink *sink = GST_APP_SINK(gst_bin_get_by_name(GST_BIN(pipeline), "sink"));
    GstBus *bus = gst_element_get_bus(pipeline);
    bool ok = true;
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (ok && !gst_app_sink_is_eos(sink)) {
        g_autoptr(GstSample) sample = gst_app_sink_try_pull_sample(sink, POLL);
        g_autoptr(GstMessage) message = sample ? NULL : gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
        if (message)
            gst_message_parse_error(message, error, NULL);
        ok = !message && (!sample || add_time(times, sample, &caps, error));
    }
    if (ok && times->len == 0) {
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_DATA, "there is no picture");
        ok = false;
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_clear_caps(&caps);
    gst_object_unref(bus);
    gst_object_unref(sink);
    gst_object_unref(pipeline);
    if (ok)
        return times;
    g_array_unref(times);
    return NULL;
}

static bool plan(GError **error)
{
    g_autoptr(GArray) times = read_times(opt_rest[0], error);
    g_autoptr(GString) text = g_string_new(NULL);
    if (!times) {
        g_prefix_error(error, "%s: ", opt_rest[0]);
        return false;
    }
    for (guint i = 0; i < times->len; i++) {
        const Time *t = &g_array_index(times, Time, i);
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " ", t->pts, t->running);
        for (int k = 0; k < DIGEST; k++)
            g_string_append_printf(text, "%02x", t->digest[k]);
        g_string_append_c(text, '\n');
    }
    if (!g_file_set_contents(opt_plan, text->str, (gssize)text->len, error))
        return false;
    g_print("%u\n", times->len);
    return true;
}

/* "PTS RUNNING DIGEST" */
static bool parse_time(const char *line, Time *t)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 4);
    if (g_strv_length(words) != 3 || strlen(words[2]) != 2 * (size_t)DIGEST)
        return false;
    for (int k = 0; k < DIGEST; k++) {
        const int high = g_ascii_xdigit_value(words[2][2 * k]),
                  low = g_ascii_xdigit_value(words[2][2 * k + 1]);
        if (high < 0 || low < 0)
            return false;
        t->digest[k] = (uint8_t)(high << 4 | low);
    }
    return g_ascii_string_to_unsigned(words[0], 10, 0, G_MAXINT64, &t->pts, NULL) &&
           g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXINT64, &t->running, NULL);
}

static GArray *load_plan(GError **error)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(opt_plan, &text, NULL, error))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GArray *times = g_array_new(FALSE, FALSE, sizeof(Time));
    Time t;
    char **line = lines;
    for (; *line && times->len < MOST && parse_time(*line, &t); line++)
        g_array_append_val(times, t);
    if (times->len && *line && !**line && !line[1])
        return times;
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s is no plan of nerv-segment", opt_plan);
    g_array_unref(times);
    return NULL;
}

/* --- a segment --- */

static bool set_properties(GstElement *encoder, GError **error)
{
    for (char **p = opt_rest + 1; *p; p++) {
        g_auto(GStrv) parts = g_strsplit(*p, "=", 2);
        if (!parts[1] || !g_object_class_find_property(G_OBJECT_GET_CLASS(encoder), parts[0])) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "nervenc has no property \"%s\"", parts[0]);
            return false;
        }
        gst_util_set_object_arg(G_OBJECT(encoder), parts[0], parts[1]);
    }
    return true;
}

/* What makes a segment another one than in one go. */
static bool check_settings(GstElement *encoder, GError **error)
{
    gdouble seconds, psnr;
    guint frames;
    g_autofree char *warm = NULL, *init = NULL;
    GValue value = G_VALUE_INIT;
    g_object_get(encoder, "max-encode-seconds", &seconds, "target-psnr", &psnr, "segment-frames", &frames,
                 NULL);
    g_object_get_property(G_OBJECT(encoder), "init", &value);
    init = gst_value_serialize(&value);
    g_value_unset(&value);
    g_object_get_property(G_OBJECT(encoder), "warm-start", &value);
    warm = gst_value_serialize(&value);
    g_value_unset(&value);
    const char *why = seconds > 0. ? "max-encode-seconds goes by the clock"
                      : psnr > 0.  ? "target-psnr goes by the segments before"
                      : strcmp(init, "none") != 0 && strcmp(warm, "none") != 0
                          ? "fits begin with the segment before: init=none or warm-start=none"
                          : NULL;
    if (why)
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
    return !why;
}

/* Access units: one segment, with its number. */
static bool check_segment(const char *path, guint n_frames, GError **error)
{
    g_autofree char *data = NULL;
    gsize size, at = 0, need;
    guint n = 0, n_segments = 0;
    NervAccessUnit au;
    NervSequence s = { .segment_id = 0 };
    if (!g_file_get_contents(path, &data, &size, error))
        return false;
    for (; at < size &&
           nerv_access_unit_scan((const uint8_t *)data + at, size - at, &au, &need) == NERV_SCAN_OK;
         n++) {
        n_segments += au.begins;
        if (au.begins && !nerv_sequence_read(au.sequence.payload, au.sequence.payload_bytes, &s, error))
            return false;
        at += au.bytes;
    }
    if (at == size && n == n_frames && n_segments == 1 && s.segment_id == (uint32_t)opt_segment)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                "%u frames became %u segments: max-memory holds no more than fewer frames", n_frames,
                n_segments);
    return false;
}

/* One pipeline reads, another one encodes: an encoder's has nothing to wait with in a pause, and could not be sought in. */
typedef struct {
    GstElement *reader, *writer;
    GstAppSink *frames;
    GstAppSrc *source;
    GstBus *reader_bus, *writer_bus;
} Job;

static void close_reader(Job *job)
{
    if (job->reader)
        gst_element_set_state(job->reader, GST_STATE_NULL);
    gst_clear_object(&job->reader_bus);
    gst_clear_object(&job->frames);
    gst_clear_object(&job->reader);
}

static void job_clear(Job *job)
{
    close_reader(job);
    if (job->writer)
        gst_element_set_state(job->writer, GST_STATE_NULL);
    gst_clear_object(&job->writer_bus);
    gst_clear_object(&job->source);
    gst_clear_object(&job->writer);
}

/* False with the pipeline's error, if it has one. */
static bool is_well(GstBus *bus, GError **error)
{
    g_autoptr(GstMessage) message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    if (message)
        gst_message_parse_error(message, error, NULL);
    return !message;
}

static bool open_reader(Job *job, const char *path, GstClockTime start, GError **error)
{
    g_autofree char *head = source_of(path);
    g_autofree char *text = g_strconcat(head, " ! appsink name=frames sync=false max-buffers=4", NULL);
    job->reader = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    if (!job->reader)
        return false;
    job->frames = GST_APP_SINK(gst_bin_get_by_name(GST_BIN(job->reader), "frames"));
    job->reader_bus = gst_element_get_bus(job->reader);
    gst_element_set_state(job->reader, GST_STATE_PAUSED);
    if (gst_element_get_state(job->reader, NULL, NULL, PATIENCE) != GST_STATE_CHANGE_SUCCESS) {
        if (is_well(job->reader_bus, error))
            g_set_error_literal(error, NERV_ERROR, NERV_ERROR_DATA, "it does not play");
        return false;
    }
    if (start > 0 && !gst_element_seek_simple(job->reader, GST_FORMAT_TIME,
                                              GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, (gint64)start)) {
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "it can't be sought in");
        return false;
    }
    gst_element_set_state(job->reader, GST_STATE_PLAYING);
    return true;
}

static bool hand_over(Job *job, GstSample *sample, GstClockTime running, GError **error)
{
    GstBuffer *buffer = gst_buffer_copy(gst_sample_get_buffer(sample));
    GST_BUFFER_PTS(buffer) = running;
    GST_BUFFER_DTS(buffer) = GST_CLOCK_TIME_NONE;
    gst_app_src_set_caps(job->source, gst_sample_get_caps(sample));
    if (gst_app_src_push_buffer(job->source, buffer) == GST_FLOW_OK)
        return is_well(job->writer_bus, error);
    if (is_well(job->writer_bus, error))
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_DATA, "the encoder takes no more frames");
    return false;
}

/* The pipeline that encodes, with the properties that were given. */
static bool make_writer(Job *job, GError **error)
{
    g_autofree char *text = g_strdup_printf(
        "appsrc name=source format=time block=true max-buffers=8 ! %s ! nervenc name=encoder ! "
        "filesink name=out",
        opt_filter ? opt_filter : "videoconvert");
    job->writer = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    if (!job->writer)
        return false;
    job->source = GST_APP_SRC(gst_bin_get_by_name(GST_BIN(job->writer), "source"));
    job->writer_bus = gst_element_get_bus(job->writer);
    GstElement *encoder = gst_bin_get_by_name(GST_BIN(job->writer), "encoder");
    const bool ok = set_properties(encoder, error) && check_settings(encoder, error);
    gst_object_unref(encoder);
    return ok;
}

static bool check_properties(GError **error)
{
    Job job = { NULL };
    const bool ok = make_writer(&job, error);
    job_clear(&job);
    return ok;
}

static bool open_writer(Job *job, const char *out, guint64 first_frame, GError **error)
{
    if (!make_writer(job, error))
        return false;
    GstElement *encoder = gst_bin_get_by_name(GST_BIN(job->writer), "encoder");
    GstElement *sink = gst_bin_get_by_name(GST_BIN(job->writer), "out");
    g_object_set(encoder, "segment-frames", (guint)opt_frames, "first-segment", (guint)opt_segment,
                 "first-frame", first_frame, NULL);
    g_object_set(sink, "location", out, NULL);
    gst_object_unref(sink);
    gst_object_unref(encoder);
    gst_element_set_state(job->writer, GST_STATE_PLAYING);
    return true;
}

/* Goes through the frames with those times; others, what a decoder shows of the frame before a seek's time for instance, are left out. With a writer they are handed to it.
 * *same: whether all are there, and the pictures that they were. */
static bool read_frames(Job *job, const Time *times, guint n, bool *same, GError **error)
{
    guint n_seen = 0;
    *same = true;
    while (*same && n_seen < n && !gst_app_sink_is_eos(job->frames)) {
        g_autoptr(GstSample) sample = gst_app_sink_try_pull_sample(job->frames, POLL);
        uint8_t digest[DIGEST];
        if (!sample && !is_well(job->reader_bus, error))
            return false;
        if (!sample || GST_BUFFER_PTS(gst_sample_get_buffer(sample)) != times[n_seen].pts)
            continue;
        if (!digest_sample(sample, digest, error))
            return false;
        *same = memcmp(digest, times[n_seen].digest, DIGEST) == 0;
        if (*same && job->writer && !hand_over(job, sample, times[n_seen].running, error))
            return false;
        n_seen++;
    }
    *same = *same && n_seen == n;
    return true;
}

/* Some files show other pictures after a seek than in sequence (H.264 with open groups of pictures does): those are read from their beginning. */
static bool can_seek(const char *path, const Time *from, guint n)
{
    Job job = { NULL };
    GError *why = NULL;
    bool same = false;
    if (!open_reader(&job, path, from->pts, &why) || !read_frames(&job, from, n, &same, &why))
        g_debug("%s", why->message);
    g_clear_error(&why);
    job_clear(&job);
    return same;
}

static bool encode(Job *job, const Time *times, guint n, GError **error)
{
    bool same;
    if (!read_frames(job, times, n, &same, error))
        return false;
    if (!same) {
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_DATA, "its frames are not those of the plan");
        return false;
    }
    gst_app_src_end_of_stream(job->source);
    g_autoptr(GstMessage) message =
        gst_bus_timed_pop_filtered(job->writer_bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS)
        return true;
    gst_message_parse_error(message, error, NULL);
    return false;
}

static bool segment(GError **error)
{
    g_autoptr(GArray) times = load_plan(error);
    const guint64 first = (guint64)opt_segment * (guint64)opt_frames;
    g_autofree char *part = g_strconcat(opt_out, ".part", NULL);
    Job job = { NULL };
    if (!times)
        return false;
    if (first >= times->len) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "there is no segment %d: %u frames", opt_segment,
                    times->len);
        return false;
    }
    const guint n = MIN((guint)opt_frames, times->len - (guint)first);
    const Time *from = &g_array_index(times, Time, first);
    const GstClockTime start = first && can_seek(opt_rest[0], from, n) ? from->pts : 0;
    bool ok = open_writer(&job, part, first, error) && open_reader(&job, opt_rest[0], start, error) &&
              encode(&job, from, n, error);
    job_clear(&job);
    ok = ok && check_segment(part, n, error);
    if (ok && g_rename(part, opt_out) != 0) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s could not be written", opt_out);
        ok = false;
    }
    if (!ok)
        g_unlink(part);
    return ok;
}

static bool check_arguments(GError **error)
{
    const char *why = !opt_plan                      ? "--plan is missing"
                      : !opt_rest || !opt_rest[0]    ? "there is no file"
                      : opt_segment < 0 && opt_out   ? "--segment is missing"
                      : opt_segment >= 0 && !opt_out ? "--out is missing"
                                                     : NULL;
    if (why)
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
    return !why && bench_check_int("frames", opt_frames, 1, 65536, error) &&
           bench_check_int("segment", opt_segment, -1, MOST, error) &&
           (opt_segment >= 0 || check_properties(error));
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context =
        g_option_context_new("IN [PROPERTY=VALUE...] - a segment of a file by itself");
    g_autoptr(GError) error = NULL;
    int status = WRONG_ARGUMENTS;
    g_option_context_set_summary(
        context,
        "One segment of a file by itself, byte by byte as one nervenc would make it "
        "of the whole: what nerv-encode hands to several "
        "machines. With --plan alone it goes through IN and writes the times of its "
        "frames into PLAN, once properties and filter are found to be right; with --segment=K and --out it "
        "reads PLAN and encodes frames K*N to K*N+N-1. Properties are nervenc's.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&error))
        status = (opt_segment < 0 ? plan(&error) : segment(&error)) ? DONE : FAILED;
    if (status != DONE)
        g_printerr("nerv-segment: %s\n", error ? error->message : "failed");
    return status;
}

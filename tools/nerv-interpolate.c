/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-interpolate [OPTION...] CLIP...
 *
 * Every other frame of a clip is held out, networks are fitted to the rest by nervenc, and their pictures half-way between two frames are
 * compared with the ones that were held out; beside them the blend of the two neighbours, the clip's own and the network's.
 * Exit status: 0 measured, 1 not, 2 wrong arguments.
 */
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <locale.h>

#include "bench/arguments.h"
#include "bench/between.h"
#include "bench/json.h"
#include "bench/machine.h"
#include "bench/rd_codec.h"

typedef struct {
    char *label, *properties;
} Point;

static char *opt_device = "cpu", *opt_size, *opt_json, *opt_ffmpeg = "ffmpeg", **opt_clips;
static int opt_frames, opt_threads;
static GArray *opt_nerv;  /* of Point */
static const char *label; /* NULL: the model's */

static gboolean set_label(const char *option, const char *value, void *user, GError **error)
{
    label = g_intern_string(value);
    return TRUE;
}

/* What properties name as the model. */
static char *name_model(const char *properties)
{
    static const char key[] = "model=";
    g_auto(GStrv) words = g_strsplit(properties, " ", -1);
    for (char **word = words; *word; word++)
        if (g_str_has_prefix(*word, key))
            return g_strdup(*word + strlen(key));
    return g_strdup("nerv");
}

static gboolean add_nerv(const char *option, const char *value, void *user, GError **error)
{
    const Point point = { label ? g_strdup(label) : name_model(value), g_strdup(value) };
    g_array_append_val(opt_nerv, point);
    return TRUE;
}

static const GOptionEntry options[] = {
    { "nerv", 0, 0, G_OPTION_ARG_CALLBACK, add_nerv, "A network: nervenc's properties; may be repeated",
      "PROPERTIES" },
    { "label", 'l', 0, G_OPTION_ARG_CALLBACK, set_label, "Name of each --nerv after it (default: its model)",
      "NAME" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames,
      "The first N of each clip, 3 to 100000 (default: 0, all)", "N" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Scale clips to it (default: as they are)", "WxH" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "Of fits and evaluation (default cpu)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads, "0 (default): one per core", "N" },
    { "ffmpeg", 0, 0, G_OPTION_ARG_FILENAME, &opt_ffmpeg,
      "The program, for its minterpolate (default: ffmpeg, left out if it is not there)", "FILE" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the results and the machine there", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_clips, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS };

typedef struct {
    int32_t width, height; /* 0: the clip's */
    NervBackend *be;
    char *file, *directory;
    Json json;
} Run;

static bool check_arguments(Run *run, GError **error)
{
    const char *why = !opt_clips || !opt_clips[0] ? "there is no clip"
                      : !*opt_device              ? "--device has an empty name"
                                                  : NULL;
    if (why) {
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
        return false;
    }
    return (opt_frames == 0 || bench_check_int("frames", opt_frames, 3, 100000, error)) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           (!opt_size || bench_parse_size(opt_size, &run->width, &run->height, error)) &&
           (!opt_json || bench_check_output("json", opt_json, error));
}

static void json_quality(Json *j, const char *key, const BetweenQuality *q)
{
    json_open(j, key, '{');
    json_number(j, "psnr_rgb", q->psnr);
    json_number(j, "psnr_rgb_frames", q->psnr_frames);
    json_close(j, '}');
}

static bool encode(const Run *run, const Between *b, const Point *point, double *seconds, GError **error)
{
    const RdSettings settings = { .device = opt_device, .threads = opt_threads };
    g_autofree char *escaped = g_strescape(run->file, NULL);
    RdCodec codec;
    rd_nerv_codec(&codec, point->properties, NULL, &settings);
    g_autofree char *line = g_strdup_printf("%s ! filesink location=\"%s\"", codec.encode, escaped);
    rd_codec_clear(&codec);
    const gint64 start = g_get_monotonic_time();
    const bool ok = rd_feed(line, b->caps, (GstBuffer *const *)b->frames->pdata, b->frames->len, error);
    *seconds = (double)(g_get_monotonic_time() - start) * 1e-6;
    return ok;
}

static bool measure_point(Run *run, const Between *b, const Point *point, GError **error)
{
    NervFile file;
    BetweenResult r;
    double seconds;
    if (!encode(run, b, point, &seconds, error) || !nerv_file_read(&file, run->file, error))
        return false;
    const bool ok = between_measure(b, run->be, &file, &r, error);
    if (ok) {
        const NervFileSegment *first = &g_array_index(file.segments, NervFileSegment, 0);
        g_autofree char *model = nerv_model_describe(first->model);
        Json *j = &run->json;
        g_print("%-16s %10" G_GSIZE_FORMAT " %9.1f %9.2f %9.2f %9.2f\n", point->label, file.bytes, seconds,
                r.fitted.psnr, r.between.psnr, r.blend.psnr);
        json_open(j, NULL, '{');
        json_string(j, "codec", point->label);
        json_string(j, "properties", point->properties);
        json_string(j, "model", model);
        json_integer(j, "bytes", (int64_t)file.bytes);
        json_number(j, "encode_seconds", seconds);
        json_quality(j, "fitted", &r.fitted);
        json_quality(j, "between", &r.between);
        json_quality(j, "blend_of_its_own", &r.blend);
        json_close(j, '}');
    }
    nerv_file_clear(&file);
    return ok;
}

static bool measure_clip(Run *run, const Between *b, GError **error)
{
    g_autofree char *program = g_find_program_in_path(opt_ffmpeg);
    BetweenQuality blend, moved;
    if (!between_blend(b, &blend, error))
        return false;
    Json *j = &run->json;
    json_string(j, "clip", b->clip->name);
    json_integer(j, "width", GST_VIDEO_INFO_WIDTH(&b->clip->rgb.info));
    json_integer(j, "height", GST_VIDEO_INFO_HEIGHT(&b->clip->rgb.info));
    json_integer(j, "fitted_frames", b->frames->len);
    json_integer(j, "held_out_frames", b->n_asked);
    json_quality(j, "blend_of_neighbours", &blend);
    if (program && !between_minterpolate(b, program, run->directory, &moved, error))
        return false;
    if (program)
        json_quality(j, "minterpolate", &moved);
    json_open(j, "networks", '[');
    g_print("%s: %u frames fitted, %u held out\n%-16s %10s %9s %9s %9s %9s\n", b->clip->name, b->frames->len,
            b->n_asked, "", "bytes", "encode s", "fitted", "half-way", "blended");
    g_print("%-16s %10s %9s %9s %9s %9.2f\n", "the clip's own", "", "", "", "", blend.psnr);
    if (program)
        g_print("%-16s %10s %9s %9s %9.2f\n", "ffmpeg's", "", "", "", moved.psnr);
    bool ok = true;
    for (guint i = 0; ok && i < opt_nerv->len; i++)
        ok = measure_point(run, b, &g_array_index(opt_nerv, Point, i), error);
    json_close(j, ']');
    return ok;
}

static bool measure(Run *run, const char *what, GError **error)
{
    RdClip clip;
    Between b;
    if (!rd_clip_load(&clip, what, (uint32_t)opt_frames, run->width, run->height, error))
        return false;
    bool ok = between_init(&b, &clip, error);
    if (ok) {
        json_open(&run->json, NULL, '{');
        ok = measure_clip(run, &b, error);
        json_close(&run->json, '}');
        between_clear(&b);
    }
    rd_clip_clear(&clip);
    return ok;
}

static bool measure_all(Run *run, GError **error)
{
    g_autofree char *gstreamer = gst_version_string();
    Json *j = &run->json;
    json_init(j);
    json_open(j, NULL, '{');
    bench_describe_machine(j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(j, "gstreamer", gstreamer);
    json_string(j, "device", run->be->description);
    json_integer(j, "threads", opt_threads);
    json_open(j, "clips", '[');
    bool ok = true;
    for (char **what = opt_clips; ok && *what; what++)
        ok = measure(run, *what, error);
    json_close(j, ']');
    json_boolean(j, "complete", ok);
    json_close(j, '}');
    g_autofree char *text = json_finish(j);
    /* Fits take long: what was measured before a failure is written too. */
    return (!opt_json || g_file_set_contents(opt_json, text, -1, ok ? error : NULL)) && ok;
}

static bool run_all(Run *run, GError **error)
{
    g_autofree char *directory = g_dir_make_tmp("nerv-interpolate-XXXXXX", error);
    if (!directory)
        return false;
    g_autofree char *file = g_build_filename(directory, "point.nerv", NULL);
    run->file = file;
    run->directory = directory;
    run->be = nerv_backend_open(opt_device, (uint32_t)opt_threads, error);
    const bool ok = run->be && measure_all(run, error);
    nerv_backend_free(run->be);
    g_unlink(file);
    g_rmdir(directory);
    return ok;
}

static void point_clear(Point *point)
{
    g_free(point->label);
    g_free(point->properties);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("CLIP... - frames between frames");
    g_autoptr(GError) error = NULL;
    Run run = { .width = 0 };
    int status = WRONG_ARGUMENTS;
    opt_nerv = g_array_new(FALSE, FALSE, sizeof(Point));
    g_array_set_clear_func(opt_nerv, (GDestroyNotify)point_clear);
    g_option_context_set_summary(context,
                                 "A clip is a file, or the beginning of a pipeline that ends in raw video.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&run, &error))
        status = run_all(&run, &error) ? DONE : FAILED;
    if (status != DONE)
        g_printerr("nerv-interpolate: %s\n", error ? error->message : "failed");
    g_array_unref(opt_nerv);
    return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-interpolate [OPTION...] CLIP...
 *
 * Every other frame of a clip is held out, networks are fitted to the rest by nervenc, and their pictures half-way between two frames are
 * compared with the ones that were held out; beside them the blend of the two neighbours, the clip's own and the network's.
 * Exit status: 0 measured, 1 not, 2 wrong arguments.
 */
#include <gst/gst.h>
#include <string.h>

#include "bench/between.h"
#include "bench/clip_tool.h"
#include "bench/rd_codec.h"

typedef struct {
    char *label, *properties;
} Point;

static char *opt_ffmpeg = "ffmpeg";
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
    { "ffmpeg", 0, 0, G_OPTION_ARG_FILENAME, &opt_ffmpeg,
      "The program, for its minterpolate (default: ffmpeg, left out if it is not there)", "FILE" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

typedef struct {
    ClipRun *clips;
    NervBackend *be;
    char *file;
} Run;

static void json_quality(Json *j, const char *key, const BetweenQuality *q)
{
    json_open(j, key, '{');
    json_number(j, "psnr_rgb", q->psnr);
    json_number(j, "psnr_rgb_frames", q->psnr_frames);
    json_close(j, '}');
}

static bool encode(const Run *run, const Between *b, const Point *point, double *seconds, GError **error)
{
    const RdSettings settings = { .device = run->clips->device, .threads = run->clips->threads };
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
        Json *j = &run->clips->json;
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
    Json *j = &run->clips->json;
    json_string(j, "clip", b->clip->name);
    json_integer(j, "width", GST_VIDEO_INFO_WIDTH(&b->clip->rgb.info));
    json_integer(j, "height", GST_VIDEO_INFO_HEIGHT(&b->clip->rgb.info));
    json_integer(j, "fitted_frames", b->frames->len);
    json_integer(j, "held_out_frames", b->n_asked);
    json_quality(j, "blend_of_neighbours", &blend);
    if (program && !between_minterpolate(b, program, run->clips->directory, &moved, error))
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

static bool measure(void *user, ClipRun *clips, const RdClip *clip, GError **error)
{
    Between b;
    if (!between_init(&b, clip, error))
        return false;
    json_open(&clips->json, NULL, '{');
    const bool ok = measure_clip(user, &b, error);
    json_close(&clips->json, '}');
    between_clear(&b);
    return ok;
}

static bool begin(void *user, ClipRun *clips, GError **error)
{
    Run *run = user;
    run->clips = clips;
    run->file = g_build_filename(clips->directory, "point.nerv", NULL);
    run->be = nerv_backend_open(clips->device, (uint32_t)clips->threads, error);
    if (run->be)
        json_string(&clips->json, "backend", run->be->description);
    return run->be != NULL;
}

static void point_clear(Point *point)
{
    g_free(point->label);
    g_free(point->properties);
}

int main(int argc, char **argv)
{
    const ClipTool tool = { .name = "nerv-interpolate",
                            .purpose = "frames between frames",
                            .options = options,
                            .frames_help = "The first N of each clip, 3 to 100000 (default: 0, all)",
                            .least_frames = 3,
                            .frames = 0,
                            .begin = begin,
                            .measure = measure };
    Run run = { .be = NULL };
    opt_nerv = g_array_new(FALSE, FALSE, sizeof(Point));
    g_array_set_clear_func(opt_nerv, (GDestroyNotify)point_clear);
    const int status = clip_tool_main(&tool, &run, argc, argv);
    nerv_backend_free(run.be);
    g_free(run.file);
    g_array_unref(opt_nerv);
    return status;
}

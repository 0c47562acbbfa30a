/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-rd [OPTION...] CLIP...
 *
 * Rate-distortion curves of nervenc's settings beside H.264, H.265 and AV1 by x264enc, x265enc and svtav1enc or av1enc, whichever are
 * installed: real bytes of real files, quality of what GStreamer's decoders make of them, encoding and decoding times, BD-rates. Seconds
 * are taken once each and mean little on a busy machine. Each --nerv is a point. --joint makes one clip of all of them, for what one network
 * of many videos is worth beside one for each (--apart). Exit status: 0 measured, 1 not, 2 wrong arguments.
 */
#include <locale.h>
#include <math.h>
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/json.h"
#include "bench/machine.h"
#include "bench/play.h"
#include "bench/rd_clip.h"
#include "bench/rd_codec.h"
#include "bench/rd_report.h"
#include "nerv.h"

/* Of AV1's points. */
#define LEAST_BPP  .0001
#define MOST_BPP   24.
#define MOST_KBITS 1e6

/* One --nerv or --stream, and the --label that was last before it. */
typedef struct {
    char *label, *properties; /* nervenc's, or what people should read of a stream's */
    char *stream;             /* a file that is there, or NULL */
    bool is_apart;            /* each of the joined clips by itself */
} NervPoint;

static char *opt_peers = "x264,x265,av1", *opt_crf = "23,28,33,38", *opt_av1_bpp = ".01,.02,.04,.08",
            *opt_preset = "medium", *opt_tune = "psnr", *opt_device = "auto", *opt_size, *opt_csv, *opt_json,
            *opt_png, *opt_base, **opt_clips;
static gboolean opt_joint;
static int opt_av1_speed = 6, opt_frames, opt_threads;
static GArray *opt_nerv; /* of NervPoint */
static const char *label = "nerv";

static gboolean set_label(const char *option, const char *value, void *user, GError **error)
{
    label = g_intern_string(value);
    return TRUE;
}

static gboolean add_nerv(const char *option, const char *value, void *user, GError **error)
{
    const NervPoint point = { g_strdup(label), g_strdup(value), NULL, g_str_equal(option, "--apart") };
    g_array_append_val(opt_nerv, point);
    return TRUE;
}

/* "FILE,TEXT": the text may be left out, with the comma. */
static gboolean add_stream(const char *option, const char *value, void *user, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", 2);
    const NervPoint point = { g_strdup(label), g_strdup(parts[0] && parts[1] ? parts[1] : ""),
                              g_strdup(parts[0] ? parts[0] : ""), false };
    g_array_append_val(opt_nerv, point);
    return TRUE;
}

static const GOptionEntry options[] = {
    { "nerv", 0, 0, G_OPTION_ARG_CALLBACK, add_nerv, "A point: nervenc's properties; may be repeated",
      "PROPERTIES" },
    { "joint", 0, 0, G_OPTION_ARG_NONE, &opt_joint,
      "One clip of all, in their order; each one's PSNR and their mean are reported", NULL },
    { "apart", 0, 0, G_OPTION_ARG_CALLBACK, add_nerv,
      "With --joint, a point as --nerv, but each clip is encoded by itself and gets its frames' share of "
      "target-size-bytes and max-encode-seconds",
      "PROPERTIES" },
    { "base", 0, 0, G_OPTION_ARG_STRING, &opt_base,
      "A curve: how many dB the points of the other nerv curves lose against its", "NAME" },
    { "stream", 0, 0, G_OPTION_ARG_CALLBACK, add_stream,
      "A point that nervenc has written before, of the clip's frames, and with which settings", "FILE,TEXT" },
    { "label", 'l', 0, G_OPTION_ARG_CALLBACK, set_label,
      "Name of the curve of each --nerv and --stream after it (default nerv)", "NAME" },
    { "peers", 0, 0, G_OPTION_ARG_STRING, &opt_peers, "Of x264,x265,av1 (default: all); empty: none",
      "LIST" },
    { "crf", 0, 0, G_OPTION_ARG_STRING, &opt_crf, "x264's and x265's points, 0 to 50 (default 23,28,33,38)",
      "LIST" },
    { "av1-bpp", 0, 0, G_OPTION_ARG_STRING, &opt_av1_bpp,
      "AV1's points, bits per pixel that it is asked for (default .01,.02,.04,.08)", "LIST" },
    { "preset", 0, 0, G_OPTION_ARG_STRING, &opt_preset,
      "x264's and x265's, ultrafast to veryslow (default medium)", "NAME" },
    { "av1-speed", 0, 0, G_OPTION_ARG_INT, &opt_av1_speed,
      "svtav1enc's preset or av1enc's cpu-used, 0 to 10 (default 6)", "N" },
    { "tune", 0, 0, G_OPTION_ARG_STRING, &opt_tune, "x264's and x265's: none, psnr (default), ssim", "NAME" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames,
      "The first N of each clip, 2 to 100000 (default: 0, all)", "N" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Scale clips to it (default: as they are)", "WxH" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "nervenc's and nervdec's device (default auto)",
      "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads,
      "Threads of encoders and decoders that can be told, at most 256 (default: 0, theirs)", "N" },
    { "csv", 0, 0, G_OPTION_ARG_FILENAME, &opt_csv, "Write the points there", "FILE" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write points, BD-rates and the machine there",
      "FILE" },
    { "png", 0, 0, G_OPTION_ARG_FILENAME, &opt_png, "Draw the curves there", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_clips, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS };

/* What all points need. */
typedef struct {
    RdSettings settings;
    int32_t width, height; /* 0: the clip's */
    bool peer[RD_N_PEERS];
    GArray *crf;     /* of int32_t */
    GArray *av1_bpp; /* of double */
    char *file;      /* that each point is encoded to */
} Plan;

/* --- arguments --- */

static bool parse_list(const char *option, const char *text, int most, GArray **out, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    *out = g_array_new(FALSE, FALSE, sizeof(int32_t));
    for (char **part = parts; *part; part++) {
        gint64 value;
        if (!g_ascii_string_to_signed(*part, 10, 0, most, &value, NULL)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "--%s is a list of numbers from 0 to %d, not \"%s\"", option, most, text);
            return false;
        }
        const int32_t crf = (int32_t)value;
        g_array_append_val(*out, crf);
    }
    return true;
}

static bool parse_rates(const char *option, const char *text, GArray **out, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    *out = g_array_new(FALSE, FALSE, sizeof(double));
    for (char **part = parts; *part; part++) {
        char *end;
        const double rate = g_ascii_strtod(*part, &end);
        if (end == *part || *end || !(rate >= LEAST_BPP && rate <= MOST_BPP)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "--%s is a list of numbers from %g to %g, not \"%s\"", option, LEAST_BPP, MOST_BPP,
                        text);
            return false;
        }
        g_array_append_val(*out, rate);
    }
    return true;
}

static bool parse_peers(Plan *plan, GError **error)
{
    g_auto(GStrv) names = g_strsplit(opt_peers, ",", -1); /* of an empty list: none */
    for (char **name = names; *name; name++) {
        const int peer = rd_peer_index(*name);
        if (peer < 0) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "--peers knows x264, x265 and av1, not \"%s\"",
                        *name);
            return false;
        }
        plan->peer[peer] = true;
    }
    return true;
}

static bool check_names(GError **error)
{
    static const char *const tunes[] = { "none", "psnr", "ssim", NULL };
    bool is_apart = false, is_base = !opt_base;
    for (guint i = 0; i < opt_nerv->len; i++) {
        const NervPoint *p = &g_array_index(opt_nerv, NervPoint, i);
        is_apart = is_apart || p->is_apart;
        is_base = is_base || g_str_equal(p->label, opt_base);
    }
    const guint n_clips = opt_clips ? g_strv_length(opt_clips) : 0;
    const char *why = !n_clips ? "there is no clip"
                      : opt_joint && (n_clips < 2 || n_clips > RD_MAX_PARTS)
                          ? "--joint takes two clips to sixteen"
                      : is_apart && !opt_joint ? "--apart needs --joint"
                      : !is_base               ? "--base is the --label of a --nerv, --apart or --stream"
                      : !*opt_device           ? "--device has an empty name"
                      : !rd_preset_is_known(opt_preset)   ? "--preset is one of ultrafast to veryslow"
                      : !g_strv_contains(tunes, opt_tune) ? "--tune is none, psnr or ssim"
                                                          : NULL;
    if (why)
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
    return !why;
}

static bool plan_init(Plan *plan, GError **error)
{
    plan->settings = (RdSettings){ opt_preset, opt_tune, opt_device, opt_av1_speed, opt_threads };
    return check_names(error) && parse_peers(plan, error) &&
           parse_list("crf", opt_crf, RD_MAX_CRF, &plan->crf, error) &&
           parse_rates("av1-bpp", opt_av1_bpp, &plan->av1_bpp, error) &&
           bench_check_int("av1-speed", opt_av1_speed, 0, 10, error) &&
           (opt_frames == 0 || bench_check_int("frames", opt_frames, 2, 100000, error)) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           (!opt_size || bench_parse_size(opt_size, &plan->width, &plan->height, error)) &&
           (!opt_csv || bench_check_output("csv", opt_csv, error)) &&
           (!opt_json || bench_check_output("json", opt_json, error)) &&
           (!opt_png || bench_check_output("png", opt_png, error));
}

static void plan_clear(Plan *plan)
{
    g_clear_pointer(&plan->crf, g_array_unref);
    g_clear_pointer(&plan->av1_bpp, g_array_unref);
}

/* --- measuring --- */

static bool encode(const RdClip *clip, const RdCodec *codec, const char *file, double *seconds,
                   GError **error)
{
    g_autofree char *escaped = g_strescape(file, NULL);
    g_autofree char *line = g_strdup_printf("%s ! filesink location=\"%s\"", codec->encode, escaped);
    return rd_clip_feed(codec->is_nerv ? &clip->rgb : &clip->yuv, line, seconds, error);
}

static bool append_file(const char *to, const char *from, GError **error)
{
    g_autofree char *data = NULL;
    gsize bytes;
    if (!g_file_get_contents(from, &data, &bytes, error))
        return false;
    FILE *f = g_fopen(to, "ab");
    const bool ok = f && fwrite(data, 1, bytes, f) == bytes;
    if ((f && fclose(f) != 0) || !ok) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s cannot be written", to);
        return false;
    }
    return true;
}

/* One stream for each of the joined clips, one behind the other: a stream of as many segments. */
static bool encode_apart(const Plan *plan, const RdClip *clip, const char *properties, double *seconds,
                         GError **error)
{
    g_autofree char *file = g_strconcat(plan->file, ".part", NULL);
    bool ok = true;
    g_unlink(plan->file);
    *seconds = 0.;
    for (guint i = 0; ok && i < clip->parts->len; i++) {
        const RdPart *part = &g_array_index(clip->parts, RdPart, i);
        g_autofree char *own = rd_nerv_share(properties, (double)part->n / clip->rgb.frames->len);
        double own_seconds = 0.;
        RdClip alone;
        RdCodec codec;
        rd_nerv_codec(&codec, own, NULL, &plan->settings);
        rd_clip_part(clip, part, &alone);
        ok = encode(&alone, &codec, file, &own_seconds, error) && append_file(plan->file, file, error);
        *seconds += own_seconds;
        rd_clip_part_clear(&alone);
        rd_codec_clear(&codec);
        g_unlink(file);
    }
    return ok;
}

/* apart: nervenc's properties for a point of clips by themselves, or NULL. */
static bool measure(const Plan *plan, const RdClip *clip, const RdCodec *codec, const char *apart,
                    RdPoint *point, GError **error)
{
    const char *file = codec->stream ? codec->stream : plan->file;
    GStatBuf status;
    BenchPlay play;
    point->encode_seconds = NAN;
    if (apart ? !encode_apart(plan, clip, apart, &point->encode_seconds, error)
              : !codec->stream && !encode(clip, codec, file, &point->encode_seconds, error))
        return false;
    if (g_stat(file, &status) != 0 || status.st_size == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "there is no file");
        return false;
    }
    if (!rd_clip_compare(clip, file, codec->decode, &point->quality, error) ||
        !bench_play(file, codec->decode, &play, error))
        return false;
    point->bytes = status.st_size;
    point->bpp = (double)status.st_size * 8 / clip->rgb.frames->len / GST_VIDEO_INFO_WIDTH(&clip->rgb.info) /
                 GST_VIDEO_INFO_HEIGHT(&clip->rgb.info);
    point->decode_fps = 1 / play.frame_seconds;
    return true;
}

/* Takes what the codec holds. */
static bool add_point(const Plan *plan, const RdClip *clip, const RdResult *result, RdCurve *curve,
                      RdCodec *codec, const char *apart, GError **error)
{
    RdPoint point = { .encoder = apart ? g_strconcat("each by itself: ", codec->encoder, NULL)
                                       : g_strdup(codec->encoder) };
    const bool ok = measure(plan, clip, codec, apart, &point, error);
    curve->file_kind = codec->file_kind;
    if (ok) {
        g_array_append_val(curve->points, point);
        rd_print_point(result, curve, &point);
    } else {
        g_prefix_error(error, "%s: ", point.encoder);
        g_free(point.encoder);
    }
    rd_codec_clear(codec);
    return ok;
}

static RdCurve *curve_of_label(RdResult *result, const char *name)
{
    for (guint i = 0; i < result->curves->len; i++)
        if (g_str_equal(g_array_index(result->curves, RdCurve, i).name, name))
            return &g_array_index(result->curves, RdCurve, i);
    return rd_result_add_curve(result, name, true);
}

/* kbit/s of a clip at so many bits per pixel; a clip without a frame rate counts as one of 25 frames a second, as its frames are told to be. */
static int32_t kbits(const RdClip *clip, double bpp)
{
    const GstVideoInfo *info = &clip->yuv.info;
    const double fps = GST_VIDEO_INFO_FPS_N(info) > 0
                           ? (double)GST_VIDEO_INFO_FPS_N(info) / GST_VIDEO_INFO_FPS_D(info)
                           : 25.;
    const double rate = bpp * GST_VIDEO_INFO_WIDTH(info) * GST_VIDEO_INFO_HEIGHT(info) * fps / 1000.;
    return (int32_t)CLAMP(lrint(rate), 1, MOST_KBITS);
}

static bool measure_clip(const Plan *plan, const RdClip *clip, RdResult *result, GError **error)
{
    rd_print_head(result);
    for (guint i = 0; i < opt_nerv->len; i++) {
        const NervPoint *p = &g_array_index(opt_nerv, NervPoint, i);
        RdCodec codec;
        rd_nerv_codec(&codec, p->properties, p->stream, &plan->settings);
        if (!add_point(plan, clip, result, curve_of_label(result, p->label), &codec,
                       p->is_apart ? p->properties : NULL, error))
            return false;
    }
    for (int peer = 0; peer < RD_N_PEERS; peer++) {
        if (!plan->peer[peer] || rd_peer_missing(peer))
            continue;
        const bool is_av1 = rd_peer_is_av1(peer);
        RdCurve *curve = rd_result_add_curve(result, rd_peer_name(peer), false);
        for (guint i = 0; i < (is_av1 ? plan->av1_bpp : plan->crf)->len; i++) {
            RdCodec codec;
            rd_peer_codec(&codec, peer,
                          is_av1 ? kbits(clip, g_array_index(plan->av1_bpp, double, i))
                                 : g_array_index(plan->crf, int32_t, i),
                          &plan->settings);
            if (!add_point(plan, clip, result, curve, &codec, NULL, error))
                return false;
        }
    }
    return true;
}

static bool load(const Plan *plan, const char *what, RdClip *clip, GError **error)
{
    return rd_clip_load(clip, what, (uint32_t)opt_frames, plan->width, plan->height, error);
}

static bool measure_result(const Plan *plan, const RdClip *clip, GPtrArray *results, GError **error)
{
    RdResult *result = rd_result_new(clip);
    g_ptr_array_add(results, result);
    return measure_clip(plan, clip, result, error);
}

static bool measure_joint(const Plan *plan, GPtrArray *results, GError **error)
{
    RdClip clips[RD_MAX_PARTS] = { { NULL } }, joint;
    uint32_t n = 0;
    while (opt_clips[n] && load(plan, opt_clips[n], &clips[n], error))
        n++;
    const bool is_joint = !opt_clips[n] && rd_clip_join(&joint, clips, n, error);
    while (n > 0)
        rd_clip_clear(&clips[--n]);
    const bool ok = is_joint && measure_result(plan, &joint, results, error);
    if (is_joint)
        rd_clip_clear(&joint);
    return ok;
}

static bool measure_all(const Plan *plan, GPtrArray *results, GError **error)
{
    for (int peer = 0; peer < RD_N_PEERS; peer++)
        if (plan->peer[peer] && rd_peer_missing(peer))
            g_print("%s: left out, no %s is installed\n", rd_peer_name(peer), rd_peer_missing(peer));
    if (opt_joint)
        return measure_joint(plan, results, error);
    for (char **what = opt_clips; *what; what++) {
        RdClip clip;
        if (!load(plan, *what, &clip, error))
            return false;
        const bool ok = measure_result(plan, &clip, results, error);
        rd_clip_clear(&clip);
        if (!ok)
            return false;
    }
    return true;
}

/* --- results --- */

static bool write_json(const GPtrArray *results, bool is_complete, GError **error)
{
    g_autofree char *gstreamer = gst_version_string();
    Json j;
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(&j, "gstreamer", gstreamer);
    json_boolean(&j, "complete", is_complete);
    json_string(&j, "device", opt_device);
    json_integer(&j, "threads", opt_threads);
    rd_json(&j, results, opt_base);
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    return g_file_set_contents(opt_json, text, -1, error);
}

static bool write_results(const GPtrArray *results, bool is_complete, GError **error)
{
    g_autofree char *csv = rd_csv(results);
    rd_print_bd_rates(results);
    if (opt_base)
        rd_print_losses(results, opt_base);
    return (!opt_csv || g_file_set_contents(opt_csv, csv, -1, error)) &&
           (!opt_json || write_json(results, is_complete, error)) &&
           (!opt_png || rd_plot(opt_png, results, error));
}

static bool run(Plan *plan, GError **error)
{
    g_autofree char *directory = g_dir_make_tmp("nerv-rd-XXXXXX", error);
    if (!directory)
        return false;
    g_autofree char *file = g_build_filename(directory, "point", NULL);
    g_autoptr(GPtrArray) results = g_ptr_array_new_with_free_func((GDestroyNotify)rd_result_free);
    plan->file = file;
    /* Fits take hours: what was measured before a failure is written too. */
    const bool is_complete = measure_all(plan, results, error);
    const bool ok =
        (results->len == 0 || write_results(results, is_complete, is_complete ? error : NULL)) && is_complete;
    g_unlink(file);
    g_rmdir(directory);
    return ok;
}

static void point_clear(NervPoint *point)
{
    g_free(point->label);
    g_free(point->stream);
    g_free(point->properties);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("CLIP... - rate-distortion curves");
    g_autoptr(GError) error = NULL;
    Plan plan = { .width = 0 };
    int status = WRONG_ARGUMENTS;
    opt_nerv = g_array_new(FALSE, FALSE, sizeof(NervPoint));
    g_array_set_clear_func(opt_nerv, (GDestroyNotify)point_clear);
    g_option_context_set_summary(context,
                                 "A clip is a file, or the beginning of a pipeline that ends in raw video.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && plan_init(&plan, &error))
        status = run(&plan, &error) ? DONE : FAILED;
    if (status != DONE)
        g_printerr("nerv-rd: %s\n", error ? error->message : "failed");
    plan_clear(&plan);
    g_array_unref(opt_nerv);
    return status;
}

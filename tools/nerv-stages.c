/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-stages [OPTION...] CLIP
 *
 * What each step of the NeRV paper's pipeline is worth (its figure 6): one network fitted to a clip, pruned, quantised and Huffman coded,
 * beside the range coder on the same weights and fits of as many steps that quantise while they learn. Exit status: 0 measured,
 * 1 not, 2 wrong arguments.
 */
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <locale.h>
#include <math.h>

#include "bench/arguments.h"
#include "bench/json.h"
#include "bench/machine.h"
#include "bench/preset.h"
#include "bench/rd_codec.h"
#include "bench/stages.h"
#include "codec/settings.h"

#define MAX_LIST   16
#define MOST_BITS  8
#define LEAST_RATE 1e-9 /* a weight of the rate that changes nothing */

static char *opt_net = "small", *opt_model, *opt_options, *opt_bits = "8,6,4",
            *opt_rate_weights = "0.0005,0.001,0.002,0.004", *opt_learned_bits = "", *opt_tune = "psnr",
            *opt_device = "cpu", *opt_size, *opt_json, **opt_clips;
static int opt_epochs = 150, opt_frames, opt_threads, opt_batch = 1;
static double opt_pruning = .4, opt_prune_at = -1., opt_learning_rate;
static gint64 opt_seed = 1;

static const GOptionEntry options[] = {
    { "net", 0, 0, G_OPTION_ARG_STRING, &opt_net, "Network: small (default) or wide", "NAME" },
    { "model", 0, 0, G_OPTION_ARG_STRING, &opt_model, "Another one, as nervenc's model", "NAME" },
    { "model-options", 0, 0, G_OPTION_ARG_STRING, &opt_options, "Its options, as nervenc's model-options",
      "LIST" },
    { "epochs", 0, 0, G_OPTION_ARG_INT, &opt_epochs,
      "Passes over the clip of each fit, pruned ones included (default 150)", "N" },
    { "batch-size", 0, 0, G_OPTION_ARG_INT, &opt_batch, "Frames a step (default 1)", "N" },
    { "learning-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_learning_rate, "Peak (default: the model's)", "X" },
    { "tune", 0, 0, G_OPTION_ARG_STRING, &opt_tune, "As nervenc's: psnr (default) or ssim", "NAME" },
    { "pruning", 0, 0, G_OPTION_ARG_DOUBLE, &opt_pruning, "Share of the weights, 0.01 to 0.99 (default 0.4)",
      "X" },
    { "prune-at", 0, 0, G_OPTION_ARG_DOUBLE, &opt_prune_at,
      "Part of the fit after which they go (default: nervenc's)", "X" },
    { "bits", 0, 0, G_OPTION_ARG_STRING, &opt_bits, "Of weights quantised after the fit (default 8,6,4)",
      "LIST" },
    { "rate-weights", 0, 0, G_OPTION_ARG_STRING, &opt_rate_weights,
      "Of fits that quantise while they learn (default 0.0005,0.001,0.002,0.004); empty: none", "LIST" },
    { "learned-bits", 0, 0, G_OPTION_ARG_STRING, &opt_learned_bits,
      "Of fits that quantise while they learn to so many bits, with the first of --rate-weights (default: "
      "none)",
      "LIST" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Of all fits (default 1)", "N" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames,
      "The first N of the clip, 2 to 65536 (default: 0, all)", "N" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Scale the clip to it (default: as it is)", "WxH" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "Of fits and decoding (default cpu)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads, "0 (default): one per core", "N" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the stages and the machine there", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_clips, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS };

typedef struct {
    double bits[MAX_LIST], rate_weights[MAX_LIST], learned_bits[MAX_LIST];
    guint n_bits, n_rate_weights, n_learned_bits;
    int32_t width, height; /* 0: the clip's */
    RdClip clip;
    StageBench bench;
    GArray *stages; /* of Stage */
    double fit_seconds;
} Run;

/* --- arguments --- */

static bool parse_list(const char *option, const char *text, double least, double most, double *out, guint *n,
                       GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1); /* of an empty list: none */
    for (*n = 0; parts[*n]; ++*n) {
        char *end;
        const double x = g_ascii_strtod(parts[*n], &end);
        if (*n == MAX_LIST || end == parts[*n] || *end || !(x >= least && x <= most)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "--%s is a list of at most %d numbers from %g to %g, not \"%s\"", option, MAX_LIST,
                        least, most, text);
            return false;
        }
        out[*n] = x;
    }
    return true;
}

static bool check_names(GError **error)
{
    const char *why = !opt_clips || !opt_clips[0] || opt_clips[1] ? "there is not one clip"
                      : !*opt_device                              ? "--device has an empty name"
                      : !g_str_equal(opt_tune, "psnr") && !g_str_equal(opt_tune, "ssim")
                          ? "--tune is psnr or ssim"
                          : NULL;
    if (why)
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
    return !why;
}

static bool check_arguments(Run *run, GError **error)
{
    return check_names(error) && parse_list("bits", opt_bits, 2, 8, run->bits, &run->n_bits, error) &&
           parse_list("rate-weights", opt_rate_weights, 1e-9, 1e6, run->rate_weights, &run->n_rate_weights,
                      error) &&
           parse_list("learned-bits", opt_learned_bits, 2, 8, run->learned_bits, &run->n_learned_bits,
                      error) &&
           bench_check_int("epochs", opt_epochs, 1, 1000000, error) &&
           bench_check_int("batch-size", opt_batch, 1, 65536, error) &&
           bench_check_double("learning-rate", opt_learning_rate, 0, 10, error) &&
           bench_check_double("pruning", opt_pruning, .01, .99, error) &&
           (opt_prune_at == -1. || bench_check_double("prune-at", opt_prune_at, 0, 1, error)) &&
           (opt_frames == 0 || bench_check_int("frames", opt_frames, 2, 65536, error)) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           (!opt_size || bench_parse_size(opt_size, &run->width, &run->height, error)) &&
           (!opt_json || bench_check_output("json", opt_json, error));
}

/* --- measuring --- */

/* As nervenc has them with the same properties. */
static NervTrainSettings train_settings(const NervModel *model, double pruning, double rate_weight,
                                        uint32_t bits)
{
    NervEncoderSettings s;
    NervTrainSettings t;
    nerv_encoder_settings_init(&s);
    s.epochs = (uint32_t)opt_epochs;
    s.batch_size = (uint32_t)opt_batch;
    s.learning_rate = opt_learning_rate;
    s.tune = g_str_equal(opt_tune, "psnr") ? NERV_TUNE_PSNR : NERV_TUNE_SSIM;
    s.seed = (uint64_t)opt_seed;
    s.pruning = pruning;
    s.rate_weight = rate_weight;
    s.bits = bits;
    nerv_settings_train(&s, model, 0, false, &t);
    nerv_encoder_settings_clear(&s);
    return t;
}

static double bpp_of(const Run *run, const Stage *s)
{
    return (double)s->bytes * 8 / run->clip.rgb.frames->len / run->bench.pixels.width /
           run->bench.pixels.height;
}

static bool add_stage(Run *run, const StageFit *fit, Stage stage, GError **error)
{
    if (!stage_measure(&run->bench, fit, &stage, error))
        return false;
    g_array_append_val(run->stages, stage);
    g_print("%-10s %-8s %4u %10" G_GINT64_FORMAT " %8.4f %8.2f %9.2f %6.1f%%  %s", stage.fit,
            stage_coding_name(stage.coding), stage.bits, stage.bytes, bpp_of(run, &stage), stage.psnr_rgb,
            stage.psnr_rgb_frames, 100 * stage.zeros, stage.is_file ? "file" : "counted");
    if (stage.bits)
        g_print("\n");
    else
        g_print(", rate-weight=%g\n", stage.rate_weight);
    return true;
}

/* Floats, then each number of bits in each coding. */
static bool add_stages(Run *run, const char *name, const NervTrainSettings *settings, GError **error)
{
    static const StageCoding codings[] = { STAGE_PUBLISHED, STAGE_FIXED, STAGE_HUFFMAN, STAGE_RANGE };
    StageFit fit;
    if (!stage_fit(&run->bench, settings, &fit, error))
        return false;
    run->fit_seconds += fit.seconds;
    bool ok = add_stage(run, &fit, (Stage){ .fit = name, .coding = STAGE_FLOAT, .bits = 32 }, error);
    for (guint i = 0; i < run->n_bits; i++)
        for (gsize k = 0; ok && k < G_N_ELEMENTS(codings); k++)
            ok = add_stage(run, &fit,
                           (Stage){ .fit = name, .coding = codings[k], .bits = (uint32_t)run->bits[i] },
                           error);
    stage_fit_clear(&fit);
    return ok;
}

/* bits 0: as many as the rate's weight leaves. */
static bool add_quantised(Run *run, double rate_weight, uint32_t bits, GError **error)
{
    const NervTrainSettings t = train_settings(run->bench.model, 0., rate_weight, bits ? bits : MOST_BITS);
    StageFit fit;
    if (!stage_fit(&run->bench, &t, &fit, error))
        return false;
    run->fit_seconds += fit.seconds;
    const Stage stage = {
        .fit = "quantised", .coding = STAGE_CONTEXT, .rate_weight = bits ? 0. : rate_weight, .bits = bits
    };
    const bool ok = add_stage(run, &fit, stage, error);
    stage_fit_clear(&fit);
    return ok;
}

static bool measure_all(Run *run, GError **error)
{
    const NervTrainSettings plain = train_settings(run->bench.model, 0., 0., MOST_BITS);
    NervTrainSettings pruned = train_settings(run->bench.model, opt_pruning, 0., MOST_BITS);
    g_print("%-10s %-8s %4s %10s %8s %8s %9s %7s\n", "fit", "coding", "bits", "bytes", "bpp", "RGB dB",
            "of frames", "zeros");
    if (opt_prune_at >= 0.)
        pruned.prune_at = opt_prune_at;
    if (!add_stages(run, "plain", &plain, error) || !add_stages(run, "pruned", &pruned, error))
        return false;
    for (guint i = 0; i < run->n_rate_weights; i++)
        if (!add_quantised(run, run->rate_weights[i], 0, error))
            return false;
    const double rate_weight = run->n_rate_weights ? run->rate_weights[0] : LEAST_RATE;
    for (guint i = 0; i < run->n_learned_bits; i++)
        if (!add_quantised(run, rate_weight, (uint32_t)run->learned_bits[i], error))
            return false;
    return true;
}

/* --- results --- */

static void json_stages(Json *j, const Run *run)
{
    json_open(j, "stages", '[');
    for (guint i = 0; i < run->stages->len; i++) {
        const Stage *s = &g_array_index(run->stages, Stage, i);
        json_open(j, NULL, '{');
        json_string(j, "fit", s->fit);
        json_string(j, "coding", stage_coding_name(s->coding));
        if (s->bits)
            json_integer(j, "bits", s->bits);
        else
            json_number(j, "rate_weight", s->rate_weight);
        json_boolean(j, "file", s->is_file);
        json_integer(j, "bytes", s->bytes);
        json_number(j, "bpp", bpp_of(run, s));
        json_number(j, "zeros", s->zeros);
        json_number(j, "psnr_rgb", s->psnr_rgb);
        json_number(j, "psnr_rgb_frames", s->psnr_rgb_frames);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static bool write_json(const Run *run, bool is_complete, GError **error)
{
    g_autofree char *gstreamer = gst_version_string();
    g_autofree char *model = nerv_model_describe(run->bench.model);
    Json j;
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(&j, "gstreamer", gstreamer);
    json_boolean(&j, "complete", is_complete);
    json_string(&j, "device", run->bench.be->description);
    json_string(&j, "clip", run->clip.name);
    json_integer(&j, "frames", run->clip.rgb.frames->len);
    json_string(&j, "model", model);
    json_integer(&j, "parameters", run->bench.model->n_weights);
    json_integer(&j, "epochs", opt_epochs);
    json_integer(&j, "batch_size", opt_batch);
    json_string(&j, "tune", opt_tune);
    json_number(&j, "pruning", opt_pruning);
    json_number(&j, "fit_seconds", run->fit_seconds);
    json_stages(&j, run);
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    return g_file_set_contents(opt_json, text, -1, error);
}

static NervModel *make_model(const RdClip *clip, GError **error)
{
    const NervClip shape = { GST_VIDEO_INFO_WIDTH(&clip->rgb.info), GST_VIDEO_INFO_HEIGHT(&clip->rgb.info),
                             (int32_t)clip->rgb.frames->len };
    BenchPreset preset;
    NervModel *model = NULL;
    if (bench_preset_init(&preset, opt_net, opt_model, opt_options, NULL, error)) {
        g_autoptr(GVariant) dictionary = bench_preset_options(&preset);
        model = nerv_model_new(preset.model, dictionary, &shape, error);
    }
    bench_preset_clear(&preset);
    if (model) {
        g_autofree char *text = nerv_model_describe(model);
        g_print("%s, %u frames; %s\n", clip->name, clip->rgb.frames->len, text);
    }
    return model;
}

static bool run_bench(Run *run, GError **error)
{
    StageBench *b = &run->bench;
    const RdSettings settings = { .device = opt_device, .threads = opt_threads };
    RdCodec codec;
    b->directory = g_dir_make_tmp("nerv-stages-XXXXXX", error);
    if (!b->directory)
        return false;
    rd_nerv_codec(&codec, "", NULL, &settings);
    b->clip = &run->clip;
    b->decode = codec.decode;
    b->model = make_model(&run->clip, error);
    b->be = b->model ? nerv_backend_open(opt_device, (uint32_t)opt_threads, error) : NULL;
    const bool begun = b->be && stage_bench_init(b, error);
    bool ok = begun && measure_all(run, error);
    /* Fits take long: what was measured before a failure is written too. */
    if (begun && opt_json)
        ok = write_json(run, ok, ok ? error : NULL) && ok;
    stage_bench_clear(b);
    nerv_backend_free(b->be);
    nerv_model_free(b->model);
    rd_codec_clear(&codec);
    g_rmdir(b->directory);
    g_free(b->directory);
    return ok;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("CLIP - the paper's pipeline, stage by stage");
    g_autoptr(GError) error = NULL;
    Run run = { .stages = g_array_new(FALSE, TRUE, sizeof(Stage)) };
    int status = WRONG_ARGUMENTS;
    g_option_context_set_summary(context, "The clip is a file, or the beginning of a pipeline that ends in "
                                          "raw video. Fits have as many steps each.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&run, &error)) {
        status = FAILED;
        if (rd_clip_load(&run.clip, opt_clips[0], (uint32_t)opt_frames, run.width, run.height, &error)) {
            status = run_bench(&run, &error) ? DONE : FAILED;
            rd_clip_clear(&run.clip);
        }
    }
    if (status != DONE)
        g_printerr("nerv-stages: %s\n", error ? error->message : "failed");
    g_array_unref(run.stages);
    return status;
}

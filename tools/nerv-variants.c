/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-variants [OPTION...] CLIP
 *
 * NeRV's tables 3 and 6 to 10: networks of several sizes after so many epochs, and one network with another input, another way of enlarging, with
 * normalisation, other activations and other losses, each fitted anew. Weights are as they were learned, nothing is quantised. Exit status: 0
 * measured, 1 not, 2 wrong arguments.
 */
#include <gst/gst.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/machine.h"
#include "bench/plot.h"
#include "bench/short_fit.h"
#include "bench/variant.h"
#include "bench/window_footage.h"

#define MOST_COUNTS 8
#define MOST_EPOCHS 100000

static char *opt_size = "320x180", *opt_tables, *opt_counts = "10,20,40,60,80", *opt_device = "cpu",
            *opt_json, *opt_png, **opt_clips;
static int opt_frames = 132, opt_epochs = 50, opt_threads;
static double opt_rate;
static gint64 opt_seed = 1;

static const GOptionEntry options[] = {
    { "tables", 0, 0, G_OPTION_ARG_STRING, &opt_tables,
      "Of input, upscaling, norm, activation, loss, epochs (default: all)", "LIST" },
    { "epochs", 'e', 0, G_OPTION_ARG_INT, &opt_epochs, "Of fits, but for the table epochs (default 50)",
      "N" },
    { "counts", 0, 0, G_OPTION_ARG_STRING, &opt_counts,
      "Epochs of that table, ascending (default 10,20,40,60,80)", "LIST" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Scale the clip to it, multiples of 20 (default 320x180)",
      "WxH" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames, "The clip's first ones (default 132)", "N" },
    { "learning-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_rate, "Peak (default 0.005)", "X" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Of drawn weights and shuffling (default 1)", "N" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "As nervenc's (default cpu)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads, "0 (default): one per core", "N" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the results and the machine there", "FILE" },
    { "png", 0, 0, G_OPTION_ARG_FILENAME, &opt_png, "Draw the table epochs there", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_clips, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS };

typedef struct {
    double l1, mse, ssim;
} Loss;

/* Channels of the three blocks, and what goes in. */
typedef struct {
    const char *name;
    int32_t base_channels, width[3];
} Size;

/* Weights grow about as the paper's sizes do. The first one's are those of all other tables. */
static const Size sizes[] = {
    { "small", 8, { 24, 16, 12 } },
    { "medium", 16, { 34, 23, 17 } },
    { "large", 32, { 48, 32, 24 } },
};

#define PAPER_LOSS .loss = { .7, 0., .3 }

/* What differs from the paper's network, which has zeros here. */
typedef struct {
    const char *table, *name;
    Loss loss;
    bool plain_time, norm;
    VariantUpscale upscale;
    VariantAct act;
} Variant;

static const Variant variants[] = {
    { "input", "t", PAPER_LOSS, .plain_time = true },
    { "input", "positional encoding", PAPER_LOSS },
    { "upscaling", "bilinear", PAPER_LOSS, .upscale = VARIANT_BILINEAR },
    { "upscaling", "transposed convolution", PAPER_LOSS, .upscale = VARIANT_TRANSPOSED },
    { "upscaling", "pixel shuffle", PAPER_LOSS },
    { "norm", "instance", PAPER_LOSS, .norm = true },
    { "norm", "none", PAPER_LOSS },
    { "activation", "relu", PAPER_LOSS, .act = VARIANT_RELU },
    { "activation", "leaky relu", PAPER_LOSS, .act = VARIANT_LEAKY_RELU },
    { "activation", "silu", PAPER_LOSS, .act = VARIANT_SILU },
    { "activation", "gelu", PAPER_LOSS },
    { "loss", "L2", .loss = { 0., 1., 0. } },
    { "loss", "L1", .loss = { 1., 0., 0. } },
    { "loss", "SSIM", .loss = { 0., 0., 1. } },
    { "loss", "0.7 L1 + 0.3 L2", .loss = { .7, .3, 0. } },
    { "loss", "0.7 L2 + 0.3 SSIM", .loss = { 0., .7, .3 } },
    { "loss", "0.7 L1 + 0.3 SSIM", PAPER_LOSS },
};

typedef struct {
    int64_t weights;
    double psnr, seconds;
} Fit;

typedef struct {
    int32_t width, height;
    char **tables; /* NULL: all */
    double counts[MOST_COUNTS];
    uint32_t n_counts;
    Windows windows;
    Window window;
    NervBackend *be;
    Fit paper; /* of the paper's network, once it was fitted */
    Json json;
} Run;

/* --- arguments --- */

static bool is_wanted(const Run *run, const char *table)
{
    return !run->tables || g_strv_contains((const char *const *)run->tables, table);
}

static bool check_tables(Run *run, GError **error)
{
    run->tables = opt_tables ? g_strsplit(opt_tables, ",", -1) : NULL;
    for (char **name = run->tables; name && *name; name++) {
        bool known = g_str_equal(*name, "epochs");
        for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
            known |= g_str_equal(*name, variants[i].table);
        if (!known) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "--tables: there is none of \"%s\"", *name);
            return false;
        }
    }
    return true;
}

static bool check_arguments(Run *run, GError **error)
{
    if (!opt_clips || !opt_clips[0] || opt_clips[1]) {
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, "there is not one clip");
        return false;
    }
    return check_tables(run, error) &&
           bench_parse_counts("counts", opt_counts, MOST_COUNTS, run->counts, &run->n_counts, error) &&
           bench_parse_size(opt_size, &run->width, &run->height, error) &&
           bench_check_int("frames", opt_frames, 1, 1024, error) &&
           bench_check_int("epochs", opt_epochs, 1, MOST_EPOCHS, error) &&
           bench_check_double("learning-rate", opt_rate, 0., 10., error) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           (!opt_json || bench_check_output("json", opt_json, error)) &&
           (!opt_png || bench_check_output("png", opt_png, error));
}

/* --- fits --- */

static NervTrainSettings settings_of(const NervModel *model, const Variant *v, double epochs)
{
    NervTrainSettings t;
    nerv_train_settings_default(&t);
    t.l1_weight = v->loss.l1;
    t.mse_weight = v->loss.mse;
    t.ssim_weight = v->loss.ssim;
    t.beta1 = model->beta1;
    t.beta2 = model->beta2;
    t.warmup = model->warmup;
    t.learning_rate = opt_rate > 0. ? opt_rate : model->learning_rate;
    t.epochs = (uint32_t)epochs;
    t.seed = (uint64_t)opt_seed;
    return t;
}

static bool fit(Run *run, const Size *size, const Variant *v, double epochs, Fit *result, GError **error)
{
    const NervClip clip = { run->width, run->height, opt_frames };
    VariantConfig config = { .plain_time = v->plain_time,
                             .upscale = v->upscale,
                             .norm = v->norm,
                             .act = v->act,
                             .stem = 64,
                             .base_channels = size->base_channels,
                             .n_blocks = 3,
                             .stride = { 5, 2, 2 } };
    memcpy(config.width, size->width, sizeof(size->width));
    NervModel *model = variant_model_new(&config, &clip, error);
    if (!model)
        return false;
    const gint64 start = g_get_monotonic_time();
    const NervTrainSettings t = settings_of(model, v, epochs);
    WindowFootage footage = { 0 };
    NervScore score = { 0 };
    const bool ok = window_footage_init(&footage, run->be, model, (uint32_t)opt_threads, error) &&
                    window_footage_load(&footage, &run->windows, &run->window, error) &&
                    short_fit(run->be, model, &footage.footage, &t, NULL, &score, error);
    window_footage_clear(&footage);
    *result = (Fit){ model->n_weights, score.psnr_frames, (double)(g_get_monotonic_time() - start) * 1e-6 };
    nerv_model_free(model);
    return ok;
}

/* The paper's network is in each table, and fitted once. */
static bool is_paper(const Variant *v)
{
    return !v->plain_time && !v->norm && v->upscale == VARIANT_SHUFFLE && v->act == VARIANT_GELU &&
           v->loss.l1 > 0. && v->loss.ssim > 0.;
}

static bool measure_variant(Run *run, const Variant *v, GError **error)
{
    Json *j = &run->json;
    Fit result = run->paper;
    if ((!is_paper(v) || result.weights == 0) && !fit(run, &sizes[0], v, opt_epochs, &result, error))
        return false;
    if (is_paper(v))
        run->paper = result;
    g_print("%-12s %-24s %8.2f dB %8.1f s\n", v->table, v->name, result.psnr, result.seconds);
    json_open(j, NULL, '{');
    json_string(j, "table", v->table);
    json_string(j, "variant", v->name);
    json_integer(j, "parameters", result.weights);
    json_number(j, "psnr", result.psnr);
    json_number(j, "seconds", result.seconds);
    json_close(j, '}');
    return true;
}

static bool measure_variants(Run *run, GError **error)
{
    json_open(&run->json, "variants", '[');
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        if (is_wanted(run, variants[i].table) && !measure_variant(run, &variants[i], error))
            return false;
    json_close(&run->json, ']');
    return true;
}

static bool measure_size(Run *run, const Size *size, double *psnr, GError **error)
{
    const Variant paper = { "epochs", size->name, PAPER_LOSS };
    Json *j = &run->json;
    Fit result = { 0 };
    json_open(j, NULL, '{');
    json_string(j, "size", size->name);
    json_open(j, "psnr", '[');
    g_print("%-12s %-24s", paper.table, size->name);
    for (uint32_t i = 0; i < run->n_counts; i++) {
        if (!fit(run, size, &paper, run->counts[i], &result, error))
            return false;
        psnr[i] = result.psnr;
        json_number(j, NULL, psnr[i]);
        g_print(" %8.2f", psnr[i]);
    }
    g_print(" dB, %" G_GINT64_FORMAT " parameters\n", result.weights);
    json_close(j, ']');
    json_integer(j, "parameters", result.weights);
    json_close(j, '}');
    return true;
}

static bool measure_epochs(Run *run, GError **error)
{
    double psnr[G_N_ELEMENTS(sizes)][MOST_COUNTS];
    PlotCurve curves[G_N_ELEMENTS(sizes)];
    Json *j = &run->json;
    if (!is_wanted(run, "epochs"))
        return true;
    json_open(j, "counts", '[');
    for (uint32_t i = 0; i < run->n_counts; i++)
        json_integer(j, NULL, (int64_t)run->counts[i]);
    json_close(j, ']');
    json_open(j, "sizes", '[');
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (!measure_size(run, &sizes[i], psnr[i], error))
            return false;
        curves[i] = (PlotCurve){ sizes[i].name, run->counts, psnr[i], run->n_counts };
    }
    json_close(j, ']');
    g_autofree char *title = g_strdup_printf("%s, %d frames of %d x %d", run->window.clip->name, opt_frames,
                                             run->width, run->height);
    const PlotPanel panel = { title, curves, G_N_ELEMENTS(curves), "epochs", NULL };
    return !opt_png || plot_write(opt_png, &panel, 1, error);
}

static bool measure_all(Run *run, GError **error)
{
    Json *j = &run->json;
    json_init(j);
    json_open(j, NULL, '{');
    bench_describe_machine(j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(j, "device", run->be->description);
    json_string(j, "clip", run->window.clip->name);
    json_integer(j, "width", run->width);
    json_integer(j, "height", run->height);
    json_integer(j, "frames", opt_frames);
    json_integer(j, "epochs", opt_epochs);
    json_integer(j, "seed", opt_seed);
    if (!measure_variants(run, error) || !measure_epochs(run, error)) {
        g_free(json_finish(j));
        return false;
    }
    json_close(j, '}');
    g_autofree char *text = json_finish(j);
    return !opt_json || g_file_set_contents(opt_json, text, -1, error);
}

static bool run_all(Run *run, GError **error)
{
    const double scale[] = { 1. };
    windows_init(&run->windows, run->width, run->height, opt_frames);
    if (!(run->be = nerv_backend_open(opt_device, (uint32_t)opt_threads, error)) ||
        !windows_add(&run->windows, opt_clips[0], (uint32_t)opt_frames, scale, 1, error))
        return false;
    run->window = windows_middle(&run->windows, 0, 0.);
    return measure_all(run, error);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("CLIP - NeRV and what it is not");
    g_autoptr(GError) error = NULL;
    Run run = { .n_counts = 0 };
    int status = WRONG_ARGUMENTS;
    g_option_context_set_summary(context,
                                 "A clip is a file, or the beginning of a pipeline that ends in raw video.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&run, &error))
        status = run_all(&run, &error) ? DONE : FAILED;
    if (status != DONE)
        g_printerr("nerv-variants: %s\n", error ? error->message : "failed");
    nerv_backend_free(run.be);
    windows_clear(&run.windows);
    g_strfreev(run.tables);
    return status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-steps [OPTION...] --init=FILE... CLIP...
 *
 * What starts are worth: a window of each clip is fitted in so many steps, from drawn weights and from each init file (docs/bitstream.md), the
 * same network each time, and the PSNR compared. Each number of steps is a fit of its own, with a schedule that ends there. Exit status: 0 done,
 * 1 not, 2 wrong arguments.
 */
#include <gst/gst.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/machine.h"
#include "bench/plot.h"
#include "bench/short_fit.h"
#include "bench/window_footage.h"
#include "codec/init.h"

#define MOST_COUNTS 16
#define MOST_STARTS 12
#define MOST_STEPS  1000000

static char *opt_size = "320x180", *opt_steps = "10,32,100,320,1000,3000", *opt_device = "cpu", *opt_json,
            *opt_png, **opt_clips;
static int opt_frames = 32, opt_batch = 1, opt_threads, opt_full_steps = -1;
static double opt_drawn_rate, opt_learned_rate, opt_layers_rate;
static gint64 opt_seed = 1;
static gboolean opt_motion;
static const char *label;    /* of the next --init; NULL: the file's name */
static GPtrArray *opt_inits; /* of file names, and of labels */
static GPtrArray *opt_labels;

static gboolean set_label(const char *option, const char *value, void *user, GError **error)
{
    label = g_intern_string(value);
    return TRUE;
}

static gboolean add_init(const char *option, const char *value, void *user, GError **error)
{
    g_ptr_array_add(opt_inits, g_strdup(value));
    g_ptr_array_add(opt_labels, label ? g_strdup(label) : g_path_get_basename(value));
    label = NULL;
    return TRUE;
}

static const GOptionEntry options[] = {
    { "init", 'i', 0, G_OPTION_ARG_CALLBACK, add_init,
      "An init file, as nerv-meta writes them; may be repeated", "FILE" },
    { "label", 'l', 0, G_OPTION_ARG_CALLBACK, set_label, "Name of the --init after it (default: the file's)",
      "NAME" },
    { "steps", 0, 0, G_OPTION_ARG_STRING, &opt_steps,
      "Of the fits, ascending (default 10,32,100,320,1000,3000)", "LIST" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Scale clips to it (default 320x180)", "WxH" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames, "Of a window, a clip's first ones (default 32)", "N" },
    { "batch-size", 0, 0, G_OPTION_ARG_INT, &opt_batch, "Frames a step (default 1)", "N" },
    { "drawn-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_drawn_rate,
      "Learning rate from drawn weights (default: the model's)", "X" },
    { "learned-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_learned_rate,
      "Learning rate from learned ones (default: as their files say)", "X" },
    { "layers-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_layers_rate,
      "That of what is no grid, in units of it (default: as their files say)", "X" },
    { "full-steps", 0, 0, G_OPTION_ARG_INT, &opt_full_steps,
      "Fits of fewer steps from them have as much lower a rate, 0: not (default: as their files say)", "N" },
    { "motion", 0, 0, G_OPTION_ARG_NONE, &opt_motion,
      "Fit from drawn weights with flows that a search found as well, as from init files", NULL },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Of drawn weights and shuffling (default 1)", "N" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "As nervenc's (default cpu)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads, "0 (default): one per core", "N" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the results and the machine there", "FILE" },
    { "png", 0, 0, G_OPTION_ARG_FILENAME, &opt_png, "Draw the means over the clips there", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_clips, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS };

typedef struct {
    const char *name;
    NervInit *init; /* NULL: drawn */
    bool motion;    /* flows are those that a search found, not drawn ones */
    double sum[MOST_COUNTS];
} Start;

typedef struct {
    int32_t width, height;
    double counts[MOST_COUNTS]; /* of steps */
    uint32_t n_counts;
    Start start[MOST_STARTS];
    uint32_t n_starts;
    Windows windows;
    NervBackend *be;
    NervModel *model;
    WindowFootage window;
    Json json;
} Run;

static bool check_arguments(Run *run, GError **error)
{
    const char *why = !opt_clips || !opt_clips[0]        ? "there is no clip"
                      : opt_inits->len == 0              ? "there is no --init"
                      : opt_inits->len > MOST_STARTS - 2 ? "there are too many --init"
                      : !*opt_device                     ? "--device has an empty name"
                                                         : NULL;
    if (why) {
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
        return false;
    }
    return bench_parse_counts("steps", opt_steps, MOST_COUNTS, run->counts, &run->n_counts, error) &&
           bench_parse_size(opt_size, &run->width, &run->height, error) &&
           bench_check_int("frames", opt_frames, 1, 1024, error) &&
           bench_check_int("batch-size", opt_batch, 1, opt_frames, error) &&
           bench_check_double("drawn-rate", opt_drawn_rate, 0., 10., error) &&
           bench_check_double("learned-rate", opt_learned_rate, 0., 10., error) &&
           bench_check_double("layers-rate", opt_layers_rate, 0., 100., error) &&
           bench_check_int("full-steps", opt_full_steps, -1, MOST_STEPS, error) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           (!opt_json || bench_check_output("json", opt_json, error)) &&
           (!opt_png || bench_check_output("png", opt_png, error));
}

/* What the arguments say in place of the file. */
static void take_rates(NervInitRates *r)
{
    if (opt_learned_rate > 0.)
        r->learning_rate = opt_learned_rate;
    if (opt_layers_rate > 0.)
        r->layers_rate = opt_layers_rate;
    if (opt_full_steps >= 0)
        r->full_steps = (uint32_t)opt_full_steps;
}

/* The network is the first init's, for windows of this size. */
static bool load_starts(Run *run, GError **error)
{
    const NervClip clip = { run->width, run->height, opt_frames };
    run->start[run->n_starts++].name = "drawn";
    if (opt_motion)
        run->start[run->n_starts++] = (Start){ .name = "drawn, motion found", .motion = true };
    for (guint i = 0; i < opt_inits->len; i++) {
        Start *s = &run->start[run->n_starts];
        s->name = g_ptr_array_index(opt_labels, i);
        s->motion = true;
        if (!(s->init = nerv_init_load(g_ptr_array_index(opt_inits, i), error)))
            return false;
        run->n_starts++;
        take_rates(&s->init->rates);
        const NervModelSize size = { .like = s->init->model };
        if (!run->model &&
            !(run->model = nerv_model_new_sized(s->init->model->klass->name, NULL, &clip, &size, error)))
            return false;
        if (!nerv_init_suits(s->init, run->model)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s is of another network than %s",
                        (char *)g_ptr_array_index(opt_inits, i), (char *)g_ptr_array_index(opt_inits, 0));
            return false;
        }
    }
    return true;
}

static NervTrainSettings settings_of(const Run *run, const Start *start, double steps)
{
    NervTrainSettings t;
    nerv_train_settings_default(&t);
    t.l1_weight = t.ssim_weight = 0.;
    t.mse_weight = 1.;
    t.beta1 = run->model->beta1;
    t.beta2 = run->model->beta2;
    t.warmup = run->model->warmup;
    t.batch_size = (uint32_t)opt_batch;
    t.seed = (uint64_t)opt_seed;
    t.steps = (uint32_t)steps;
    t.learning_rate = run->model->learning_rate;
    if (!start->init && opt_drawn_rate > 0.)
        t.learning_rate = opt_drawn_rate;
    if (start->init)
        nerv_init_tune(&start->init->rates, t.steps, &t);
    return t;
}

static bool measure_start(Run *run, Start *start, double *psnr, GError **error)
{
    g_autofree float *weights = g_new(float, (gsize)run->model->n_weights);
    g_autofree float *begin = g_new(float, (gsize)run->model->n_weights);
    if (!window_footage_begin(&run->window, start->init ? start->init->start : NULL, true, start->motion,
                              (uint64_t)opt_seed, weights, error))
        return false;
    json_open(&run->json, NULL, '{');
    json_string(&run->json, "start", start->name);
    json_open(&run->json, "psnr", '[');
    g_print("%-24s", start->name);
    for (uint32_t i = 0; i < run->n_counts; i++) {
        const NervTrainSettings t = settings_of(run, start, run->counts[i]);
        NervScore score;
        memcpy(begin, weights, (gsize)run->model->n_weights * sizeof(*begin));
        if ((start->init && !nerv_init_loosen(run->model, t.steps, t.seed, begin, error)) ||
            !short_fit(run->be, run->model, &run->window.footage, &t, begin, &score, error))
            return false;
        psnr[i] = score.psnr_frames;
        start->sum[i] += psnr[i];
        json_number(&run->json, NULL, psnr[i]);
        g_print(" %8.2f", psnr[i]);
    }
    g_print("\n");
    json_close(&run->json, ']');
    json_close(&run->json, '}');
    return true;
}

static bool measure_clip(Run *run, guint number, GError **error)
{
    const Window window = windows_middle(&run->windows, number, 0.);
    double psnr[MOST_COUNTS];
    if (!window_footage_load(&run->window, &run->windows, &window, error))
        return false;
    g_print("%s\n", window.clip->name);
    json_open(&run->json, NULL, '{');
    json_string(&run->json, "clip", window.clip->name);
    json_open(&run->json, "starts", '[');
    for (uint32_t i = 0; i < run->n_starts; i++)
        if (!measure_start(run, &run->start[i], psnr, error))
            return false;
    json_close(&run->json, ']');
    json_close(&run->json, '}');
    return true;
}

/* --- what came of it --- */

/* Steps in which y reaches `wanted`, on straight lines over the steps' logarithm; not a number where it does not. */
static double steps_to(const Run *run, const double *y, double wanted)
{
    if (y[0] >= wanted)
        return run->counts[0];
    for (uint32_t i = 1; i < run->n_counts; i++)
        if (y[i] >= wanted) {
            const double part = (wanted - y[i - 1]) / (y[i] - y[i - 1]);
            return exp(log(run->counts[i - 1]) + part * log(run->counts[i] / run->counts[i - 1]));
        }
    return NAN;
}

static bool report(Run *run, GError **error)
{
    PlotCurve curves[MOST_STARTS];
    const guint n = run->windows.clips->len;
    Json *j = &run->json;
    g_print("mean of %u clips\n%-24s", n, "steps");
    for (uint32_t i = 0; i < run->n_counts; i++)
        g_print(" %8.0f", run->counts[i]);
    g_print("   to what %s has at last\n", run->start[0].name);
    json_open(j, "mean", '[');
    for (uint32_t i = 0; i < run->n_starts; i++) {
        Start *s = &run->start[i];
        json_open(j, NULL, '{');
        json_string(j, "start", s->name);
        json_open(j, "psnr", '[');
        g_print("%-24s", s->name);
        for (uint32_t k = 0; k < run->n_counts; k++) {
            s->sum[k] /= n;
            json_number(j, NULL, s->sum[k]);
            g_print(" %8.2f", s->sum[k]);
        }
        json_close(j, ']');
        const double to = steps_to(run, s->sum, run->start[0].sum[run->n_counts - 1]);
        json_number(j, "steps_to_what_drawn_has_at_last", to);
        json_close(j, '}');
        if (isfinite(to))
            g_print(" %8.0f", to);
        g_print("\n");
        curves[i] = (PlotCurve){ s->name, run->counts, s->sum, run->n_counts };
    }
    json_close(j, ']');
    g_autofree char *title =
        g_strdup_printf("mean of %u clips, %d frames of %d x %d", n, opt_frames, run->width, run->height);
    const PlotPanel panel = { title, curves, run->n_starts, "steps", NULL };
    return !opt_png || plot_write(opt_png, &panel, 1, error);
}

static void describe(Run *run)
{
    Json *j = &run->json;
    g_autofree char *model = nerv_model_describe(run->model);
    bench_describe_machine(j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(j, "device", run->be->description);
    json_string(j, "model", model);
    json_integer(j, "width", run->width);
    json_integer(j, "height", run->height);
    json_integer(j, "frames", opt_frames);
    json_integer(j, "batch_size", opt_batch);
    json_open(j, "starts", '[');
    for (uint32_t i = 0; i < run->n_starts; i++) {
        const NervInit *init = run->start[i].init;
        json_open(j, NULL, '{');
        json_string(j, "start", run->start[i].name);
        json_number(j, "learning_rate", settings_of(run, &run->start[i], MOST_STEPS).learning_rate);
        json_number(j, "layers_rate", init ? init->rates.layers_rate : 1.);
        json_integer(j, "full_steps", init ? init->rates.full_steps : 0);
        json_string(j, "provenance", init ? init->provenance : NULL);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_open(j, "steps", '[');
    for (uint32_t i = 0; i < run->n_counts; i++)
        json_integer(j, NULL, (int64_t)run->counts[i]);
    json_close(j, ']');
    g_print("%s\n", model);
}

static bool measure_all(Run *run, GError **error)
{
    if (!window_footage_init(&run->window, run->be, run->model, (uint32_t)opt_threads, error))
        return false;
    json_init(&run->json);
    json_open(&run->json, NULL, '{');
    describe(run);
    json_open(&run->json, "clips", '[');
    for (guint i = 0; i < run->windows.clips->len; i++)
        if (!measure_clip(run, i, error)) {
            g_free(json_finish(&run->json));
            return false;
        }
    json_close(&run->json, ']');
    const bool ok = report(run, error);
    json_close(&run->json, '}');
    g_autofree char *text = json_finish(&run->json);
    return ok && (!opt_json || g_file_set_contents(opt_json, text, -1, error));
}

static bool run_all(Run *run, GError **error)
{
    const double scale[] = { 1. };
    windows_init(&run->windows, run->width, run->height, opt_frames);
    if (!load_starts(run, error) || !(run->be = nerv_backend_open(opt_device, (uint32_t)opt_threads, error)))
        return false;
    for (char **name = opt_clips; *name; name++)
        if (!windows_add(&run->windows, *name, (uint32_t)opt_frames, scale, 1, error))
            return false;
    return measure_all(run, error);
}

static void run_clear(Run *run)
{
    for (uint32_t i = 0; i < run->n_starts; i++)
        nerv_init_free(run->start[i].init);
    window_footage_clear(&run->window);
    nerv_backend_free(run->be);
    nerv_model_free(run->model);
    windows_clear(&run->windows);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("CLIP... - fits from learned and drawn weights");
    g_autoptr(GError) error = NULL;
    Run run = { .n_counts = 0 };
    int status = WRONG_ARGUMENTS;
    opt_inits = g_ptr_array_new_with_free_func(g_free);
    opt_labels = g_ptr_array_new_with_free_func(g_free);
    g_option_context_set_summary(context,
                                 "Clips are files, or beginnings of pipelines that end in raw video.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&run, &error))
        status = run_all(&run, &error) ? DONE : FAILED;
    if (status != DONE)
        g_printerr("nerv-steps: %s\n", error ? error->message : "failed");
    run_clear(&run);
    g_ptr_array_unref(opt_inits);
    g_ptr_array_unref(opt_labels);
    return status;
}

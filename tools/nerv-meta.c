/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-meta [OPTION...] --out=FILE.init CLIP...
 *
 * Learns initial weights on many clips, from which a fit of a new one takes few steps (src/train/meta.h), and writes them as an init file
 * (docs/bitstream.md, "Init files"). With --state it goes on where it was stopped. Exit status: 0 done, 1 not, 2 wrong arguments, 3 stopped before the
 * end (by a signal or --seconds), with the state kept.
 */
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/machine.h"
#include "bench/meta_log.h"
#include "bench/short_fit.h"
#include "bench/window_footage.h"
#include "codec/init.h"
#include "codec/settings.h"
#include "train/meta.h"

#define MOST_SCALES  WINDOWS_MAX_SCALES
#define LEAST_PART   .02 /* of the outer rate, at the end */
#define PROGRESS_US  2000000
#define VALID_PLACES 2  /* windows of a clip that is held out */
#define GUIDED_PART  .5 /* of the updates, in which the frames become all */
#define MOST_UPDATES 10000000

static char *opt_model = "nerv", *opt_learner = "maml", *opt_size = "320x180", *opt_scales = "1,1.5",
            *opt_device = "cpu", *opt_from, *opt_out, *opt_state, *opt_json, *opt_png, *opt_provenance = "",
            **opt_held_out, **opt_clips;
static int opt_frames = 32, opt_clip_frames = 160, opt_updates = 2000, opt_windows = 2, opt_inner_steps = 4,
           opt_batch = 4, opt_every = 100, opt_valid_steps = 96, opt_full_steps, opt_threads;
static double opt_inner_rate = .05, opt_outer_rate, opt_layers_rate = 1., opt_spatial = 1., opt_learning_rate,
              opt_seconds, opt_weights;
static gboolean opt_no_temporal, opt_no_maps, opt_no_relative, opt_fixed_rates;
static gint64 opt_seed = 1;

static const GOptionEntry options[] = {
    { "out", 'o', 0, G_OPTION_ARG_FILENAME, &opt_out, "The init file that is written", "FILE" },
    { "state", 0, 0, G_OPTION_ARG_FILENAME, &opt_state, "Go on from there, and keep the state there",
      "FILE" },
    { "held-out", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_held_out,
      "A clip that is fitted now and then and not learned from", "CLIP" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the log there", "FILE" },
    { "png", 0, 0, G_OPTION_ARG_FILENAME, &opt_png, "Draw the curve of the clips held out there", "FILE" },
    { "provenance", 0, 0, G_OPTION_ARG_STRING, &opt_provenance, "What the file says of the clips' origin",
      "TEXT" },
    { "model", 0, 0, G_OPTION_ARG_STRING, &opt_model, "As nervenc's (default nerv)", "NAME" },
    { "weights", 0, 0, G_OPTION_ARG_DOUBLE, &opt_weights,
      "Of the network for a window, about (default: the model's)", "N" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Of windows (default 320x180)", "WxH" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames, "Of a window (default 32)", "N" },
    { "clip-frames", 0, 0, G_OPTION_ARG_INT, &opt_clip_frames, "Of a clip, at most (default 160)", "N" },
    { "scales", 0, 0, G_OPTION_ARG_STRING, &opt_scales, "Of clips, in the windows' size (default 1,1.5)",
      "LIST" },
    { "learner", 0, 0, G_OPTION_ARG_STRING, &opt_learner, "maml (default), fomaml or reptile", "NAME" },
    { "updates", 0, 0, G_OPTION_ARG_INT, &opt_updates, "In all (default 2000)", "N" },
    { "windows", 0, 0, G_OPTION_ARG_INT, &opt_windows, "An update (default 2)", "N" },
    { "inner-steps", 0, 0, G_OPTION_ARG_INT, &opt_inner_steps, "Of each window's fit (default 4)", "N" },
    { "batch-size", 0, 0, G_OPTION_ARG_INT, &opt_batch, "Frames an inner step (default 4)", "N" },
    { "inner-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_inner_rate, "Of maml's descent (default 0.05)", "X" },
    { "fixed-rates", 0, 0, G_OPTION_ARG_NONE, &opt_fixed_rates, "Do not learn maml's inner rates", NULL },
    { "learning-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_learning_rate,
      "Of other learners' inner steps, of fits of clips held out, and said in the file (default: the "
      "model's)",
      "X" },
    { "full-steps", 0, 0, G_OPTION_ARG_INT, &opt_full_steps,
      "Said in the file: fits of fewer steps have as much lower a rate (default: 0, they have not)", "N" },
    { "outer-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_outer_rate,
      "Of the start (default 0.001); of reptile the part of the way (default 1)", "X" },
    { "layers-rate", 0, 0, G_OPTION_ARG_DOUBLE, &opt_layers_rate,
      "Of all that is no grid, in units of the learning rate: of other learners' inner steps, and said in "
      "the file (default 1)",
      "X" },
    { "spatial", 0, 0, G_OPTION_ARG_DOUBLE, &opt_spatial,
      "Weight of the blocks' own losses; 0: no spatial guidance (default 1)", "X" },
    { "no-temporal", 0, 0, G_OPTION_ARG_NONE, &opt_no_temporal,
      "All frames from the beginning: no temporal guidance", NULL },
    { "no-maps", 0, 0, G_OPTION_ARG_NONE, &opt_no_maps,
      "Let grids begin alike everywhere, and not as maps of the clip's pictures", NULL },
    { "from", 0, 0, G_OPTION_ARG_FILENAME, &opt_from,
      "Go on from this init file's start, with another learner for instance (default: drawn weights)",
      "FILE" },
    { "no-relative", 0, 0, G_OPTION_ARG_NONE, &opt_no_relative,
      "Take clips' gradients as they are, and not over their losses", NULL },
    { "every", 0, 0, G_OPTION_ARG_INT, &opt_every, "Updates between entries of the log (default 100)", "N" },
    { "held-out-steps", 0, 0, G_OPTION_ARG_INT, &opt_valid_steps, "Of fits of clips held out (default 96)",
      "N" },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &opt_seconds,
      "Stop after so many, with the state kept (default: 0, no bound)", "X" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Of everything (default 1)", "N" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "As nervenc's (default cpu)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads, "0 (default): one per core", "N" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_clips, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS, STOPPED };

static gint stop_signal; /* atomic */

typedef struct {
    int32_t width, height;
    double scales[MOST_SCALES];
    uint32_t n_scales;
    NervMetaSettings settings;
    NervInitRates rates;
    Windows learned, held_out;
    NervBackend *be;
    NervModel *model;
    WindowFootage window;
    NervMeta *meta;
    MetaLog log;
    char *task, *from; /* from: name of the init */
    double drawn;      /* dB of clips held out from a drawn start */
    double before, after;
    uint32_t n_losses;
    gint64 begun_us, shown_us;
    double begun_seconds; /* of earlier sittings */
    bool stopped;
} Run;

/* --- arguments --- */

static bool parse_scales(Run *run, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(opt_scales, ",", -1);
    for (run->n_scales = 0; parts[run->n_scales]; run->n_scales++) {
        char *end;
        const double x = g_ascii_strtod(parts[run->n_scales], &end);
        if (run->n_scales == MOST_SCALES || end == parts[run->n_scales] || *end || !(x >= 1. && x <= 8.)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "--scales is a list of at most %d numbers from 1 to 8, not \"%s\"", MOST_SCALES,
                        opt_scales);
            return false;
        }
        run->scales[run->n_scales] = x;
    }
    return run->n_scales > 0 || bench_check_int("scales' numbers", 0, 1, MOST_SCALES, error);
}

/* Names of one file, or what gst-launch would be given twice. */
static bool is_same_clip(const char *a, const char *b)
{
    GStatBuf at, bt;
    if (g_str_equal(a, b))
        return true;
    return g_stat(a, &at) == 0 && g_stat(b, &bt) == 0 && at.st_dev == bt.st_dev && at.st_ino == bt.st_ino;
}

static bool check_held_out(GError **error)
{
    for (char **held = opt_held_out; held && *held; held++)
        for (char **learned = opt_clips; *learned; learned++)
            if (is_same_clip(*held, *learned)) {
                g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s is learned from and held out as well",
                            *held);
                return false;
            }
    return true;
}

static bool check_names(GError **error)
{
    const char *why = !opt_clips || !opt_clips[0] ? "there is no clip"
                      : !opt_out                  ? "--out is missing"
                      : !*opt_device              ? "--device has an empty name"
                                                  : NULL;
    if (why)
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
    return !why && check_held_out(error);
}

static bool check_arguments(Run *run, GError **error)
{
    NervMetaSettings *s = &run->settings;
    nerv_meta_settings_default(s);
    if (!nerv_meta_learner_parse(opt_learner, &s->learner)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "--learner is maml, fomaml or reptile, not \"%s\"",
                    opt_learner);
        return false;
    }
    return check_names(error) && parse_scales(run, error) &&
           bench_parse_size(opt_size, &run->width, &run->height, error) &&
           bench_check_int("frames", opt_frames, 2, 1024, error) &&
           bench_check_int("clip-frames", opt_clip_frames, opt_frames, 65536, error) &&
           bench_check_int("updates", opt_updates, 1, MOST_UPDATES, error) &&
           bench_check_int("windows", opt_windows, 1, 256, error) &&
           bench_check_int("inner-steps", opt_inner_steps, 1,
                           s->learner == NERV_META_MAML ? NERV_META_MAX_UNROLLED : NERV_META_MAX_STEPS,
                           error) &&
           bench_check_int("batch-size", opt_batch, 1, opt_frames, error) &&
           bench_check_double("inner-rate", opt_inner_rate, 1e-9, 1e3, error) &&
           bench_check_double("outer-rate", opt_outer_rate, 0., 1., error) &&
           bench_check_double("layers-rate", opt_layers_rate, 1e-6, 100., error) &&
           bench_check_double("spatial", opt_spatial, 0., 1e3, error) &&
           bench_check_int("full-steps", opt_full_steps, 0, 1000000, error) &&
           bench_check_double("learning-rate", opt_learning_rate, 0., 10., error) &&
           bench_check_double("seconds", opt_seconds, 0., 1e9, error) &&
           bench_check_double("weights", opt_weights, 0., (double)NERV_INIT_MAX_WEIGHTS, error) &&
           bench_check_int("every", opt_every, 1, MOST_UPDATES, error) &&
           bench_check_int("held-out-steps", opt_valid_steps, 1, 1000000, error) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           bench_check_output("out", opt_out, error) &&
           (!opt_state || bench_check_output("state", opt_state, error)) &&
           (!opt_json || bench_check_output("json", opt_json, error)) &&
           (!opt_png || bench_check_output("png", opt_png, error));
}

/* --- making --- */

static bool load_clips(Windows *w, char **names, const Run *run, uint32_t n_scales, GError **error)
{
    for (; names && *names; names++) {
        if (!windows_add(w, *names, (uint32_t)opt_clip_frames, run->scales, n_scales, error))
            return false;
        const WindowClip *clip = g_ptr_array_index(w->clips, w->clips->len - 1);
        g_print("%s: %d frames\n", clip->name, clip->n_frames);
        if (g_atomic_int_get(&stop_signal)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_CANCELLED, "stopped");
            return false;
        }
    }
    return true;
}

static bool make_model(Run *run, GError **error)
{
    const NervClip clip = { run->width, run->height, opt_frames };
    NervEncoderSettings s;
    nerv_encoder_settings_init(&s);
    s.preset = NERV_PRESET_PLACEBO; /* as wide as the weights make it */
    NervModelSize size = nerv_settings_model_size(&s, &clip, 0., 1., 0.);
    nerv_encoder_settings_clear(&s);
    size.weights = opt_weights;
    run->model = nerv_model_new_sized(opt_model, NULL, &clip, &size, error);
    if (!run->model)
        return false;
    return true;
}

static void names_of(const Windows *w, GString *to)
{
    for (guint i = 0; i < w->clips->len; i++)
        g_string_append_printf(to, "%s%s", i ? ", " : "",
                               ((WindowClip *)g_ptr_array_index(w->clips, i))->name);
}

/* All that must be the same for a state to be gone on from. */
static char *describe_task(const Run *run)
{
    g_autofree char *model = nerv_model_describe(run->model);
    GString *s = g_string_new(NULL);
    g_string_printf(
        s,
        "%s, %d updates of %d windows of %d frames (clips of at most %d at %s), %d inner steps of %d frames, "
        "rates %g, %g (layers %g) and %g, spatial %g, %s, %s, %s gradients, %s inner rates, seed "
        "%" G_GINT64_FORMAT "; %s; from %s; learned from ",
        opt_learner, opt_updates, opt_windows, opt_frames, opt_clip_frames, opt_scales, opt_inner_steps,
        opt_batch, opt_inner_rate, run->settings.train.learning_rate, opt_layers_rate, opt_outer_rate,
        opt_spatial, opt_no_temporal ? "all frames" : "more and more frames",
        opt_no_maps ? "grids alike everywhere" : "grids that are maps",
        opt_no_relative ? "plain" : "relative", opt_fixed_rates ? "fixed" : "learned", opt_seed, model,
        run->from ? run->from : "drawn weights");
    names_of(&run->learned, s);
    return g_string_free(s, FALSE);
}

static bool load_from(Run *run, GError **error)
{
    g_autoptr(NervInit) init = nerv_init_load(opt_from, error);
    if (!init)
        return false;
    if (!nerv_init_suits(init, run->model)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s is of another network", opt_from);
        return false;
    }
    nerv_meta_set_start(run->meta, init->start);
    run->from = nerv_init_name(init->hash);
    return true;
}

static bool make_learner(Run *run, GError **error)
{
    NervMetaSettings *s = &run->settings;
    if (opt_outer_rate == 0.)
        opt_outer_rate = s->learner == NERV_META_REPTILE ? 1. : s->outer_rate;
    s->inner_steps = (uint32_t)opt_inner_steps;
    s->batch = (uint32_t)opt_batch;
    s->inner_rate = opt_inner_rate;
    s->outer_rate = opt_outer_rate;
    s->train.layers_rate = opt_layers_rate;
    run->rates = (NervInitRates){ opt_learning_rate, opt_layers_rate, (uint32_t)opt_full_steps };
    s->spatial = opt_spatial;
    s->maps = !opt_no_maps;
    s->relative = !opt_no_relative;
    s->learn_rates = !opt_fixed_rates;
    s->train.learning_rate = opt_learning_rate > 0. ? opt_learning_rate : run->model->learning_rate;
    s->train.beta1 = run->model->beta1;
    s->train.beta2 = run->model->beta2;
    s->train.seed = (uint64_t)opt_seed;
    if (!window_footage_init(&run->window, run->be, run->model, (uint32_t)opt_threads, error))
        return false;
    run->meta = nerv_meta_new(run->be, run->model, &run->window.pixels, &run->window.key_pixels, s, error);
    if (!run->meta)
        return false;
    if (opt_from && !load_from(run, error))
        return false;
    run->task = describe_task(run);
    if (opt_state && !meta_log_load(&run->log, opt_state, run->task, error))
        return false;
    run->begun_seconds = run->log.seconds;
    return !run->log.state || nerv_meta_set_state(run->meta, run->log.state, run->log.n_state, error);
}

/* --- clips held out --- */

static double seconds(const Run *run)
{
    return run->begun_seconds + (double)(g_get_monotonic_time() - run->begun_us) * 1e-6;
}

static bool should_stop(Run *run)
{
    run->stopped = run->stopped || g_atomic_int_get(&stop_signal) ||
                   (opt_seconds > 0. && seconds(run) - run->begun_seconds >= opt_seconds);
    return run->stopped;
}

/* dB after a short fit of the window that is loaded, from what was learned or from drawn weights. */
static bool fit_window(Run *run, bool learned, double *psnr, GError **error)
{
    const float *start = learned ? nerv_meta_start(run->meta) : NULL;
    g_autofree float *weights = g_new(float, (gsize)run->model->n_weights);
    NervTrainSettings t = run->settings.train;
    NervScore score = { 0 };
    t.steps = (uint32_t)opt_valid_steps;
    t.warmup = run->model->warmup;
    t.learning_rate = run->model->learning_rate;
    t.layers_rate = 1.;
    if (learned)
        nerv_init_tune(&run->rates, t.steps, &t);
    const bool ok = window_footage_begin(&run->window, start, !opt_no_maps, true, t.seed, weights, error) &&
                    short_fit(run->be, run->model, &run->window.footage, &t, weights, &score, error);
    *psnr = score.psnr_frames;
    return ok;
}

/* The mean of all windows; not a number where no clip is held out. */
static bool fit_held_out(Run *run, bool learned, double *mean, GError **error)
{
    const guint n = run->held_out.clips->len;
    double sum = 0., psnr;
    for (guint i = 0; i < n; i++)
        for (int place = 0; place < VALID_PLACES; place++) {
            const Window w =
                windows_middle(&run->held_out, i, VALID_PLACES > 1 ? (double)place / (VALID_PLACES - 1) : 0.);
            if (!window_footage_load(&run->window, &run->held_out, &w, error) ||
                !fit_window(run, learned, &psnr, error))
                return false;
            sum += psnr;
        }
    *mean = n ? sum / (n * VALID_PLACES) : NAN;
    return true;
}

/* --- what is kept --- */

static char *provenance_of(const Run *run)
{
    GString *s = g_string_new(opt_provenance);
    g_string_append_printf(s, "%snerv-meta " NERV_VERSION ": %s, %u updates done",
                           *opt_provenance ? "; " : "", run->task, run->log.update);
    return g_string_free(s, FALSE);
}

static bool write_init(const Run *run, GError **error)
{
    GByteArray *file = g_byte_array_new();
    g_autofree char *provenance = provenance_of(run);
    g_autofree char *fitting = strlen(provenance) > NERV_INIT_MAX_PROVENANCE
                                   ? g_utf8_make_valid(provenance, NERV_INIT_MAX_PROVENANCE - 3)
                                   : g_strdup(provenance);
    /* a state begins with the start, whose first values are the model's */
    const bool ok = nerv_init_write(run->model, run->log.state, &run->rates, fitting, file, error) &&
                    g_file_set_contents(opt_out, (const char *)file->data, file->len, error);
    g_byte_array_unref(file);
    return ok;
}

static bool write_json(const Run *run, GError **error)
{
    Json j;
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(&j, "device", run->be->description);
    json_string(&j, "task", run->task);
    json_boolean(&j, "complete", run->log.update == (uint32_t)opt_updates);
    json_integer(&j, "updates", run->log.update);
    json_number(&j, "seconds", run->log.seconds);
    json_open(&j, "held_out", '[');
    for (guint i = 0; i < run->held_out.clips->len; i++)
        json_string(&j, NULL, ((WindowClip *)g_ptr_array_index(run->held_out.clips, i))->name);
    json_close(&j, ']');
    json_integer(&j, "held_out_steps", opt_valid_steps);
    json_number(&j, "psnr_drawn", run->drawn);
    meta_log_json(&run->log, &j);
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    return g_file_set_contents(opt_json, text, -1, error);
}

/* State, init, log and curve as they are now. */
static bool keep(Run *run, GError **error)
{
    MetaLog *log = &run->log;
    g_autofree char *title = g_strdup_printf("%s, after %d steps", opt_learner, opt_valid_steps);
    log->n_state = nerv_meta_state_count(run->meta);
    log->state = g_renew(float, log->state, log->n_state);
    nerv_meta_get_state(run->meta, log->state);
    log->seconds = seconds(run);
    return write_init(run, error) && (!opt_state || meta_log_save(log, opt_state, run->task, error)) &&
           (!opt_json || write_json(run, error)) &&
           (!opt_png || !run->held_out.clips->len || meta_log_plot(log, opt_png, title, run->drawn, error));
}

/* An entry of the log; losses since the last one. */
static bool add_entry(Run *run, GError **error)
{
    MetaEntry e = { .update = run->log.update };
    if (!fit_held_out(run, true, &e.psnr, error))
        return false;
    e.seconds = seconds(run);
    e.loss_before = run->n_losses ? run->before / run->n_losses : NAN;
    e.loss_after = run->n_losses ? run->after / run->n_losses : NAN;
    run->before = run->after = 0.;
    run->n_losses = 0;
    g_array_append_val(run->log.entries, e);
    g_print("update %u: %.0f s", e.update, e.seconds);
    if (isfinite(e.loss_before))
        g_print(", loss %.5f, %.5f behind the inner steps", e.loss_before, e.loss_after);
    if (isfinite(e.psnr))
        g_print(", held out %.2f dB after %d steps (drawn: %.2f)", e.psnr, opt_valid_steps, run->drawn);
    g_print("\n");
    return true;
}

/* --- learning --- */

/* Temporal guidance: a window's frames become all in the first half. */
static int32_t guided_runs(const Run *run)
{
    const double done = run->log.update / (GUIDED_PART * opt_updates);
    const int32_t least = MIN(opt_batch, run->model->n_runs);
    if (opt_no_temporal || done >= 1.)
        return run->model->n_runs;
    return least + (int32_t)((run->model->n_runs - least) * done);
}

/* What is drawn follows from seed and update alone, so that a stopped learner goes on with the same. */
static bool learn_once(Run *run, GError **error)
{
    const double position = (double)run->log.update / opt_updates;
    NervRng rng;
    nerv_rng_init(&rng, ((uint64_t)opt_seed << 32) + run->log.update);
    for (int i = 0; i < opt_windows; i++) {
        const Window w = windows_draw(&run->learned, &rng);
        NervMetaLoss loss;
        if (!window_footage_load(&run->window, &run->learned, &w, error) ||
            !nerv_meta_learn(run->meta, &run->window.footage, guided_runs(run),
                             window_footage_flows(&run->window), &loss, error))
            return false;
        run->before += loss.before;
        run->after += loss.after;
        run->n_losses++;
    }
    if (!nerv_meta_update(run->meta, fmax(.5 * (1. + cos(G_PI * position)), LEAST_PART), error))
        return false;
    run->log.update++;
    return true;
}

static void show_progress(Run *run)
{
    const gint64 now = g_get_monotonic_time();
    if (now - run->shown_us < PROGRESS_US || !run->n_losses)
        return;
    run->shown_us = now;
    g_printerr("\rupdate %u of %d, loss %.5f, %.5f ", run->log.update, opt_updates,
               run->before / run->n_losses, run->after / run->n_losses);
}

static bool learn(Run *run, GError **error)
{
    const uint32_t n = (uint32_t)opt_updates, every = (uint32_t)opt_every;
    if (!fit_held_out(run, false, &run->drawn, error))
        return false;
    if (run->log.entries->len == 0 && !add_entry(run, error))
        return false;
    while (run->log.update < n && !should_stop(run)) {
        if (!learn_once(run, error))
            return false;
        show_progress(run);
        if ((run->log.update % every == 0 || run->log.update == n) &&
            (!add_entry(run, error) || !keep(run, error)))
            return false;
    }
    return keep(run, error);
}

static bool run_all(Run *run, GError **error)
{
    windows_init(&run->learned, run->width, run->height, opt_frames);
    windows_init(&run->held_out, run->width, run->height, opt_frames);
    if (!make_model(run, error) || !(run->be = nerv_backend_open(opt_device, (uint32_t)opt_threads, error)) ||
        !load_clips(&run->learned, opt_clips, run, run->n_scales, error) ||
        !load_clips(&run->held_out, opt_held_out, run, 1, error))
        return false;
    run->begun_us = g_get_monotonic_time();
    if (!make_learner(run, error))
        return false;
    g_print("%s\n", run->task);
    if (run->log.update)
        g_print("goes on behind update %u\n", run->log.update);
    return learn(run, error);
}

static void run_clear(Run *run)
{
    nerv_meta_free(run->meta);
    window_footage_clear(&run->window);
    nerv_backend_free(run->be);
    nerv_model_free(run->model);
    windows_clear(&run->learned);
    windows_clear(&run->held_out);
    meta_log_clear(&run->log);
    g_free(run->task);
    g_free(run->from);
}

static void on_signal(int number)
{
    (void)number;
    g_atomic_int_set(&stop_signal, 1);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("CLIP... - learn initial weights");
    g_autoptr(GError) error = NULL;
    Run run = { .drawn = NAN };
    int status = WRONG_ARGUMENTS;
    g_option_context_set_summary(context,
                                 "Clips are files, or beginnings of pipelines that end in raw video.");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    meta_log_init(&run.log);
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&run, &error)) {
        const struct sigaction action = { .sa_handler = on_signal };
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        status = !run_all(&run, &error)                                  ? FAILED
                 : run.stopped && run.log.update < (uint32_t)opt_updates ? STOPPED
                                                                         : DONE;
    }
    if (error)
        g_printerr("nerv-meta: %s\n", error->message);
    run_clear(&run);
    return status;
}

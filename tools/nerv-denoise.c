/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-denoise [OPTION...] CLIP...
 *
 * NeRV's table 5: noise of several kinds is added to a clip, and what nervdenoise, filters of 3 x 3 samples and, where there is the program, ffmpeg's denoisers make of
 * it is compared with the clip as it was. Exit status: 0 measured, 1 not, 2 wrong arguments.
 */
#include <math.h>
#include <string.h>

#include "bench/clip_tool.h"
#include "bench/noise.h"
#include "bench/pictures.h"
#include "nerv.h"

/* Of what --keep leaves: errors times so much, samples of a column. */
#define ERROR_GAIN   4.
#define COLUMN_WIDTH 160

static char *opt_noises, *opt_ffmpeg = "ffmpeg", *opt_keep;
static int opt_seed = 1;
static double opt_density = .005, opt_sigma = 10.;
static GPtrArray *opt_nerv; /* of char *: nervdenoise's properties */

static gboolean add_nerv(const char *option, const char *value, void *user, GError **error)
{
    clip_tool_collect(&opt_nerv, value);
    return TRUE;
}

static const GOptionEntry options[] = {
    { "nerv", 0, 0, G_OPTION_ARG_CALLBACK, add_nerv,
      "nervdenoise with these properties; may be repeated (default: none)", "PROPERTIES" },
    { "noises", 0, 0, G_OPTION_ARG_STRING, &opt_noises,
      "Of white, black, salt-pepper, random, gaussian (default: all)", "LIST" },
    { "density", 0, 0, G_OPTION_ARG_DOUBLE, &opt_density, "Share of pixels that are hit (default 0.005)",
      "P" },
    { "sigma", 0, 0, G_OPTION_ARG_DOUBLE, &opt_sigma, "Of Gaussian noise, in codes (default 10)", "S" },
    { "seed", 0, 0, G_OPTION_ARG_INT, &opt_seed, "Of the noise (default 1)", "N" },
    { "ffmpeg", 0, 0, G_OPTION_ARG_FILENAME, &opt_ffmpeg,
      "The program (default: ffmpeg, left out if it is not there)", "FILE" },
    { "keep", 0, 0, G_OPTION_ARG_FILENAME, &opt_keep,
      "For each noise leave a picture there: the middle frame by each method, and what is wrong with it",
      "FOLDER" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* What takes noise out: filters, then ffmpeg's, then nervdenoise's. */
typedef struct {
    char *name, *properties; /* properties: ffmpeg's filter or nervdenoise's; NULL of filters */
    FilterKind filter;
    bool is_ffmpeg;
    double sum; /* of the noises' dB */
} Method;

typedef struct {
    NoiseKind noises[NOISE_N];
    int n_noises;
    GArray *methods; /* of Method */
    ClipRun *clips;
    char *raw[2]; /* files: noisy, and what is shown */
} Run;

typedef struct {
    Pictures clean;
    uint8_t *noisy, *shown; /* as its pictures */
} Trial;

static bool check_arguments(void *user, GError **error)
{
    Run *run = user;
    const char *why = !(opt_density > 0. && opt_density < 1.)  ? "--density goes from 0 to 1"
                      : !(opt_sigma > 0. && opt_sigma <= 255.) ? "--sigma goes from 0 to 255"
                                                               : NULL;
    g_auto(GStrv) names =
        g_strsplit(opt_noises ? opt_noises : "white,black,salt-pepper,random,gaussian", ",", -1);
    for (char **name = names; !why && *name; name++)
        if (run->n_noises == NOISE_N || !noise_parse(*name, &run->noises[run->n_noises++]))
            why = "--noises is a list of white, black, salt-pepper, random and gaussian, each once";
    if (why)
        g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
    return !why;
}

/* --- methods --- */

static void method_clear(Method *m)
{
    g_free(m->name);
    g_free(m->properties);
}

static void add_method(Run *run, const char *name, const char *properties, FilterKind filter, bool is_ffmpeg)
{
    const Method m = { g_strdup(name), g_strdup(properties), filter, is_ffmpeg, 0. };
    g_array_append_val(run->methods, m);
}

static void make_methods(Run *run)
{
    /* as they come, and stronger */
    static const char *const ffmpeg[] = { "hqdn3d", "hqdn3d=16:12:24:18", "nlmeans", "nlmeans=s=8" };
    g_autofree char *program = g_find_program_in_path(opt_ffmpeg);
    for (int i = 0; i < FILTER_N; i++)
        add_method(run, filter_name(i), NULL, i, false);
    for (size_t i = 0; program && i < G_N_ELEMENTS(ffmpeg); i++)
        add_method(run, ffmpeg[i], ffmpeg[i], 0, true);
    for (guint i = 0; i < opt_nerv->len; i++) {
        const char *properties = g_ptr_array_index(opt_nerv, i);
        g_autofree char *name =
            *properties ? g_strdup_printf("nervdenoise %s", properties) : g_strdup("nervdenoise");
        add_method(run, name, properties, 0, false);
    }
}

static bool run_ffmpeg(const Run *run, const Trial *t, const Method *m, GError **error)
{
    const Pictures *p = &t->clean;
    g_autofree char *size = g_strdup_printf("%dx%d", p->width, p->height);
    const char *argv[] = { opt_ffmpeg,  "-nostdin",  "-v",          "error", "-y",       "-f",
                           "rawvideo",  "-pix_fmt",  "rgb24",       "-s",    size,       "-i",
                           run->raw[0], "-vf",       m->properties, "-f",    "rawvideo", "-pix_fmt",
                           "rgb24",     run->raw[1], NULL };
    int status;
    return g_file_set_contents(run->raw[0], (const char *)t->noisy, (gssize)(p->bytes * p->n), error) &&
           g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                        error) &&
           g_spawn_check_wait_status(status, error) && pictures_read(p, run->raw[1], t->shown, error);
}

static bool run_nerv(const Run *run, const Trial *t, const Method *m, GError **error)
{
    g_autofree char *chain = g_strdup_printf("nervdenoise segment-frames=0 device=%s threads=%d %s",
                                             run->clips->device, run->clips->threads, m->properties);
    return pictures_run(&t->clean, t->noisy, NULL, chain, run->raw[1], t->shown, error);
}

static bool run_method(const Run *run, const Trial *t, const Method *m, GError **error)
{
    const Pictures *p = &t->clean;
    if (m->is_ffmpeg)
        return run_ffmpeg(run, t, m, error);
    if (m->properties)
        return run_nerv(run, t, m, error);
    for (uint32_t i = 0; i < p->n; i++)
        filter_apply(m->filter, t->noisy + i * p->bytes, t->shown + i * p->bytes, p->width, p->height);
    return true;
}

/* --- one clip --- */

static bool measure_method(Run *run, const Trial *t, Method *m, PicturesSheet *sheet, GError **error)
{
    Json *j = &run->clips->json;
    const gint64 start = g_get_monotonic_time();
    if (!run_method(run, t, m, error))
        return false;
    const double seconds = (double)(g_get_monotonic_time() - start) * 1e-6,
                 psnr = pictures_psnr(&t->clean, t->shown);
    m->sum += psnr;
    g_print("  %-40s %8.2f dB %8.1f s\n", m->name, psnr, seconds);
    json_open(j, NULL, '{');
    json_string(j, "method", m->name);
    json_number(j, "psnr", psnr);
    json_number(j, "seconds", seconds);
    json_close(j, '}');
    pictures_sheet_add(sheet, t->shown);
    return true;
}

static bool measure_noise(Run *run, const Trial *t, NoiseKind noise, double *noisy, GError **error)
{
    const Pictures *p = &t->clean;
    Json *j = &run->clips->json;
    NervRng rng;
    nerv_rng_init(&rng, (uint64_t)opt_seed);
    for (uint32_t i = 0; i < p->n; i++)
        noise_add(noise, opt_density, opt_sigma, &rng, p->rgb + i * p->bytes, t->noisy + i * p->bytes,
                  p->width, p->height);
    const double psnr = pictures_psnr(p, t->noisy);
    *noisy += psnr;
    g_print("%s\n  %-40s %8.2f dB\n", noise_name(noise), "noisy", psnr);
    json_open(j, NULL, '{');
    json_string(j, "noise", noise_name(noise));
    json_number(j, "noisy", psnr);
    json_open(j, "methods", '[');
    PicturesSheet sheet;
    pictures_sheet_init(&sheet, p, p->n / 2);
    pictures_sheet_add(&sheet, t->noisy);
    bool ok = true;
    for (guint i = 0; ok && i < run->methods->len; i++)
        ok = measure_method(run, t, &g_array_index(run->methods, Method, i), &sheet, error);
    ok = ok && (!opt_keep ||
                pictures_sheet_write(&sheet, opt_keep, noise_name(noise), ERROR_GAIN, COLUMN_WIDTH, error));
    pictures_sheet_clear(&sheet);
    json_close(j, ']');
    json_close(j, '}');
    return ok;
}

static void print_means(Run *run, double noisy)
{
    Json *j = &run->clips->json;
    g_print("mean of %d\n  %-40s %8.2f dB\n", run->n_noises, "noisy", noisy / run->n_noises);
    json_open(j, "mean", '{');
    json_number(j, "noisy", noisy / run->n_noises);
    for (guint i = 0; i < run->methods->len; i++) {
        const Method *m = &g_array_index(run->methods, Method, i);
        g_print("  %-40s %8.2f dB\n", m->name, m->sum / run->n_noises);
        json_number(j, m->name, m->sum / run->n_noises);
    }
    json_close(j, '}');
}

static bool measure_clip(void *user, ClipRun *clips, const RdClip *clip, GError **error)
{
    Run *run = user;
    Json *j = &clips->json;
    Trial t = { 0 };
    const Pictures *p = &t.clean;
    double noisy = 0.;
    bool ok = pictures_init(&t.clean, clip, error);
    t.noisy = pictures_room(p);
    t.shown = pictures_room(p);
    for (guint i = 0; i < run->methods->len; i++)
        g_array_index(run->methods, Method, i).sum = 0.;
    pictures_describe(p, j);
    json_open(j, "noises", '[');
    for (int i = 0; ok && i < run->n_noises; i++)
        ok = measure_noise(run, &t, run->noises[i], &noisy, error);
    json_close(j, ']');
    if (ok)
        print_means(run, noisy);
    json_close(j, '}');
    pictures_clear(&t.clean);
    g_free(t.noisy);
    g_free(t.shown);
    return ok;
}

static bool begin(void *user, ClipRun *clips, GError **error)
{
    Run *run = user;
    run->clips = clips;
    run->raw[0] = g_build_filename(clips->directory, "noisy.rgb", NULL);
    run->raw[1] = g_build_filename(clips->directory, "shown.rgb", NULL);
    if (!opt_nerv)
        clip_tool_collect(&opt_nerv, "");
    make_methods(run);
    json_number(&clips->json, "density", opt_density);
    json_number(&clips->json, "sigma", opt_sigma);
    json_integer(&clips->json, "seed", opt_seed);
    return true;
}

int main(int argc, char **argv)
{
    const ClipTool tool = { .name = "nerv-denoise",
                            .purpose = "noise on video, and off it again",
                            .options = options,
                            .frames_help = "The first N of each clip, 1 to 100000 (default 32)",
                            .least_frames = 1,
                            .frames = 32,
                            .check = check_arguments,
                            .begin = begin,
                            .measure = measure_clip };
    Run run = { .methods = g_array_new(FALSE, FALSE, sizeof(Method)) };
    g_array_set_clear_func(run.methods, (GDestroyNotify)method_clear);
    const int status = clip_tool_main(&tool, &run, argc, argv);
    for (int i = 0; i < 2; i++)
        g_free(run.raw[i]);
    g_array_unref(run.methods);
    g_clear_pointer(&opt_nerv, g_ptr_array_unref);
    return status;
}

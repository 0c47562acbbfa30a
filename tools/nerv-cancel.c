/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-cancel [OPTION...]
 *
 * Stops encoding at random moments of everything that it goes through, in turns by NULL, READY and a flushing seek,
 * and says how long each took. What threads had to wait for a core, because of other work on the machine, is told
 * and taken off: the longest wait of any one thread.
 * Exit status: 0 measured, 1 not, 2 wrong arguments, 3 more than one in a hundred took longer than the limit.
 */
#include <gst/gst.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bench/arguments.h"
#include "bench/json.h"
#include "bench/machine.h"
#include "nerv.h"

#define MAX_MOMENTS 10000
#define PATIENCE_US (60 * G_USEC_PER_SEC)
#define LOOK_US     (2 * G_USEC_PER_SEC) /* of a phase that may take minutes */

static char *opt_json, *opt_size = "320x180";
static int opt_moments = 100, opt_limit = 200;
static gint64 opt_seed = 1;
static gboolean opt_verbose;

static const GOptionEntry options[] = {
    { "moments", 'n', 0, G_OPTION_ARG_INT, &opt_moments, "How many, 1 to 10000 (default 100)", "N" },
    { "limit", 0, 0, G_OPTION_ARG_INT, &opt_limit, "Milliseconds that it may take (default 200)", "MS" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Of the video (default 320x180)", "WxH" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Which moments (default 1)", "N" },
    { "verbose", 'v', 0, G_OPTION_ARG_NONE, &opt_verbose, "Print each moment", NULL },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write moments, sums and the machine there", "FILE" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS, LATE };

/* --- what encoding goes through --- */

/* A segment's: frames come in; the network is chosen, motion looked for, keyframes coded, steps timed; steps; weights are coded. */
typedef enum { COLLECTING, PLANNING, FITTING, CODING, N_PHASES } Phase;
static const char *const phase_names[] = { "collecting", "planning", "fitting", "coding" };

typedef enum { TO_NULL, TO_READY, SEEK, N_WAYS } Way;
static const char *const way_names[] = { "null", "ready", "flush" };

/* Before the encoder: the stream ends in its first segment, and the end is what the fit begins with. */
#define END "<end>"

/* Segments of seconds, so that all phases come by. The first has the defaults, and is in its first segment for minutes. */
static const char *const encoders[] = {
    "",
    "segment-frames=12 epochs=3",
    "model=dnerv",
    "model=dnerv segment-frames=16 preset=ultrafast epochs=2",
    "segment-frames=12 max-encode-seconds=4",
    "segment-frames=12 epochs=3 bitrate=1500",
    "segment-frames=6 epochs=3 target-psnr=32",
    "segment-frames=8 epochs=2 warm-start=residual init=previous tune=msssim",
    "model=nerv-s segment-frames=8 epochs=2 pruning=0.3 coding=huffman",
    "model=dnerv-net segment-frames=16 epochs=2",
    END "segment-frames=0 epochs=20",
};

/* Where the pipeline is, as its messages say. */
typedef struct {
    GMutex lock;
    GCond cond;
    guint segment;
    Phase phase;
    gint64 entered[2][N_PHASES]; /* monotonic time, of the first two segments' phases; 0: not yet */
    bool ended;                  /* or failed */
    GError *error;
} Watch;

static void enter(Watch *w, Phase phase)
{
    if (w->phase == phase)
        return;
    w->phase = phase;
    if (w->segment < 2 && !w->entered[w->segment][phase])
        w->entered[w->segment][phase] = g_get_monotonic_time();
    g_cond_broadcast(&w->cond);
}

static void on_progress(Watch *w, GstMessage *message)
{
    GstProgressType type;
    gst_message_parse_progress(message, &type, NULL, NULL);
    if (type == GST_PROGRESS_TYPE_START)
        enter(w, PLANNING);
    if (type != GST_PROGRESS_TYPE_COMPLETE)
        return;
    w->segment++;
    enter(w, COLLECTING);
}

static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer user)
{
    Watch *w = user;
    guint step, steps;
    g_mutex_lock(&w->lock);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_PROGRESS)
        on_progress(w, message);
    else if (gst_message_has_name(message, "nerv-progress") &&
             gst_structure_get(gst_message_get_structure(message), "step", G_TYPE_UINT, &step, "steps",
                               G_TYPE_UINT, &steps, NULL))
        enter(w, step < steps ? FITTING : CODING);
    else if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR && !w->error)
        gst_message_parse_error(message, &w->error, NULL);
    w->ended |= w->error || GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
    g_cond_broadcast(&w->cond);
    g_mutex_unlock(&w->lock);
    gst_message_unref(message);
    return GST_BUS_DROP;
}

/* Until that phase, or a later one, or a time. */
static void wait_for(Watch *w, guint segment, Phase phase, gint64 until)
{
    g_mutex_lock(&w->lock);
    while (!w->ended && !w->entered[segment][phase] && w->segment <= segment)
        if (!g_cond_wait_until(&w->cond, &w->lock, until))
            break;
    g_mutex_unlock(&w->lock);
}

static GstElement *start(const char *properties, Watch *w, GError **error)
{
    int width, height;
    *w = (Watch){ .entered = { { g_get_monotonic_time() } } };
    g_mutex_init(&w->lock);
    g_cond_init(&w->cond);
    if (!bench_parse_size(opt_size, &width, &height, error))
        return NULL;
    const bool ends = g_str_has_prefix(properties, END);
    g_autofree char *text =
        g_strdup_printf("videotestsrc num-buffers=%d pattern=ball ! "
                        "video/x-raw,format=I420,width=%d,height=%d,framerate=25/1 ! "
                        "queue max-size-buffers=2 ! nervenc device=cpu %s ! fakesink async=false",
                        ends ? 12 : -1, width, height, properties + (ends ? strlen(END) : 0));
    GstElement *pipeline = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    if (!pipeline)
        return NULL;
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    gst_bus_set_sync_handler(bus, on_message, w, NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    return pipeline;
}

/* False with the error that the pipeline had, if any. */
static bool stop(GstElement *pipeline, Watch *w, GError **error)
{
    if (pipeline)
        gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_clear_object(&pipeline);
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->cond);
    if (w->error)
        g_propagate_error(error, g_steal_pointer(&w->error));
    return !*error;
}

/* How long each phase takes when nobody disturbs; 0: it does not come. */
typedef struct {
    gint64 us[2][N_PHASES];
} Times;

static bool time_phases(const char *properties, Times *t, GError **error)
{
    Watch w;
    GstElement *pipeline = start(properties, &w, error);
    if (!pipeline)
        return stop(pipeline, &w, error);
    const gint64 end = g_get_monotonic_time() + 2 * LOOK_US;
    wait_for(&w, 1, CODING, end);
    g_mutex_lock(&w.lock);
    gint64 last = g_get_monotonic_time();
    for (int i = 2 * N_PHASES - 1; i >= 0; i--) {
        const gint64 at = w.entered[i / N_PHASES][i % N_PHASES];
        t->us[i / N_PHASES][i % N_PHASES] = at ? MIN(MAX(last - at, 1), LOOK_US) : 0;
        last = at ? at : last;
    }
    g_mutex_unlock(&w.lock);
    return stop(pipeline, &w, error);
}

/* --- moments --- */

typedef struct {
    guint encoder, segment; /* the segment as it was */
    Phase phase;
    Way way;
    double ms, waited_ms; /* all; of it, what the thread that waited longest for a core did */
} Moment;

/* Nanoseconds that each thread has waited for a core so far, by its number. */
static GHashTable *waits(void)
{
    GHashTable *all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%s/schedstat", name);
        FILE *f = fopen(path, "r");
        gint64 ran, waited;
        if (f && fscanf(f, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT, &ran, &waited) == 2)
            g_hash_table_insert(all, g_strdup(name), g_memdup2(&waited, sizeof(waited)));
        if (f)
            fclose(f);
    }
    g_clear_pointer(&dir, g_dir_close);
    return all;
}

static double longest_wait_ms(GHashTable *before, GHashTable *after)
{
    GHashTableIter iter;
    gpointer name, waited;
    gint64 longest = 0;
    g_hash_table_iter_init(&iter, after);
    while (g_hash_table_iter_next(&iter, &name, &waited)) {
        const gint64 *old = g_hash_table_lookup(before, name);
        longest = MAX(longest, *(gint64 *)waited - (old ? *old : 0));
    }
    return (double)longest * 1e-6;
}

static void act(GstElement *pipeline, Way way)
{
    if (way == SEEK)
        gst_element_seek_simple(pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, 0);
    else
        gst_element_set_state(pipeline, way == TO_READY ? GST_STATE_READY : GST_STATE_NULL);
}

/* At a fraction of a phase's time after it began. */
static bool stop_in(Moment *m, const Times *t, Phase phase, double fraction, GError **error)
{
    Watch w;
    GstElement *pipeline = start(encoders[m->encoder], &w, error);
    if (!pipeline)
        return stop(pipeline, &w, error);
    wait_for(&w, m->segment, phase, g_get_monotonic_time() + PATIENCE_US);
    g_usleep((gulong)(fraction * (double)t->us[m->segment][phase]));
    g_autoptr(GHashTable) before = waits();
    g_mutex_lock(&w.lock);
    m->phase = w.phase;
    m->segment = w.segment;
    g_mutex_unlock(&w.lock);
    const gint64 begin = g_get_monotonic_time();
    act(pipeline, m->way);
    m->ms = (double)(g_get_monotonic_time() - begin) * 1e-3;
    g_autoptr(GHashTable) after = waits();
    m->waited_ms = MIN(longest_wait_ms(before, after), m->ms);
    return stop(pipeline, &w, error);
}

/* One of those that come, each as likely as the next. */
static void choose_phase(const Times *t, NervRng *rng, guint *segment, Phase *phase)
{
    guint k;
    do
        k = nerv_rng_below(rng, 2 * N_PHASES);
    while (!t->us[k / N_PHASES][k % N_PHASES]);
    *segment = k / N_PHASES;
    *phase = k % N_PHASES;
}

static GArray *measure(GError **error)
{
    GArray *moments = g_array_new(FALSE, TRUE, sizeof(Moment));
    Times times[G_N_ELEMENTS(encoders)];
    NervRng rng;
    nerv_rng_init(&rng, (uint64_t)opt_seed);
    const guint n_encoders = MIN(G_N_ELEMENTS(encoders), (guint)opt_moments);
    for (guint i = 0; i < n_encoders; i++)
        if (!time_phases(encoders[i], &times[i], error))
            goto error;
    for (guint i = 0; i < (guint)opt_moments; i++) {
        Moment m = { .encoder = i % n_encoders, .way = (i / n_encoders + i) % N_WAYS };
        Phase phase;
        choose_phase(&times[m.encoder], &rng, &m.segment, &phase);
        if (!stop_in(&m, &times[m.encoder], phase, nerv_rng_below(&rng, 1000) * 1e-3, error))
            goto error;
        g_array_append_val(moments, m);
        if (opt_verbose)
            g_print("%-9s %-10s segment %u  %7.1f ms, waited %6.1f  nervenc %s\n", way_names[m.way],
                    phase_names[m.phase], m.segment, m.ms, m.waited_ms, encoders[m.encoder]);
    }
    return moments;

error:
    g_array_unref(moments);
    return NULL;
}

/* --- results --- */

typedef struct {
    guint n;
    double median, p99, worst;
} Sums;

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of moments in a phase and of a way (N_PHASES, N_WAYS: any), less their waits if asked for. */
static Sums sum(const GArray *moments, Phase phase, Way way, bool without_waits)
{
    g_autofree double *ms = g_new(double, moments->len);
    Sums s = { 0 };
    for (guint i = 0; i < moments->len; i++) {
        const Moment *m = &g_array_index(moments, Moment, i);
        if ((phase == N_PHASES || m->phase == phase) && (way == N_WAYS || m->way == way))
            ms[s.n++] = m->ms - (without_waits ? m->waited_ms : 0.);
    }
    if (s.n == 0)
        return s;
    qsort(ms, s.n, sizeof(*ms), compare);
    s.median = ms[s.n / 2];
    s.worst = ms[s.n - 1];
    s.p99 = ms[(s.n * 99 + 99) / 100 - 1];
    return s;
}

static guint count_late(const GArray *moments)
{
    guint n = 0;
    for (guint i = 0; i < moments->len; i++) {
        const Moment *m = &g_array_index(moments, Moment, i);
        n += m->ms - m->waited_ms > opt_limit;
    }
    return n;
}

static void print_sums(const char *name, Sums s)
{
    if (s.n)
        g_print("%-22s %5u %9.1f %9.1f %9.1f\n", name, s.n, s.median, s.p99, s.worst);
}

static void print(const GArray *moments)
{
    g_print("%-22s %5s %9s %9s %9s\n", "milliseconds", "", "median", "99 %", "worst");
    for (int i = 0; i < N_PHASES; i++)
        print_sums(phase_names[i], sum(moments, i, N_WAYS, false));
    for (int i = 0; i < N_WAYS; i++)
        print_sums(way_names[i], sum(moments, N_PHASES, i, false));
    print_sums("all", sum(moments, N_PHASES, N_WAYS, false));
    print_sums("without waits", sum(moments, N_PHASES, N_WAYS, true));
}

static void json_sums(Json *j, const char *key, Sums s)
{
    json_open(j, key, '{');
    json_integer(j, "moments", s.n);
    json_number(j, "median_ms", s.median);
    json_number(j, "p99_ms", s.p99);
    json_number(j, "worst_ms", s.worst);
    json_close(j, '}');
}

static void json_moments(Json *j, const GArray *moments)
{
    json_open(j, "each", '[');
    for (guint i = 0; i < moments->len; i++) {
        const Moment *m = &g_array_index(moments, Moment, i);
        json_open(j, NULL, '{');
        json_string(j, "nervenc", encoders[m->encoder]);
        json_string(j, "phase", phase_names[m->phase]);
        json_integer(j, "segment", m->segment);
        json_string(j, "way", way_names[m->way]);
        json_number(j, "ms", m->ms);
        json_number(j, "waited_ms", m->waited_ms);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static bool write_json(const GArray *moments, GError **error)
{
    Json j;
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(&j, "size", opt_size);
    json_integer(&j, "seed", opt_seed);
    json_integer(&j, "limit_ms", opt_limit);
    json_integer(&j, "late", count_late(moments));
    json_sums(&j, "all", sum(moments, N_PHASES, N_WAYS, false));
    json_sums(&j, "without_waits", sum(moments, N_PHASES, N_WAYS, true));
    json_open(&j, "phases", '{');
    for (int i = 0; i < N_PHASES; i++)
        json_sums(&j, phase_names[i], sum(moments, i, N_WAYS, false));
    json_close(&j, '}');
    json_open(&j, "ways", '{');
    for (int i = 0; i < N_WAYS; i++)
        json_sums(&j, way_names[i], sum(moments, N_PHASES, i, false));
    json_close(&j, '}');
    json_moments(&j, moments);
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    return g_file_set_contents(opt_json, text, -1, error);
}

static int run(GError **error)
{
    g_autoptr(GArray) moments = measure(error);
    if (!moments)
        return FAILED;
    print(moments);
    if (opt_json && !write_json(moments, error))
        return FAILED;
    const guint n_late = count_late(moments), allowed = MAX(1, moments->len / 100);
    if (n_late <= allowed)
        return DONE;
    g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "%u of %u moments took more than %d ms",
                n_late, moments->len, opt_limit);
    return LATE;
}

static bool check_arguments(GError **error)
{
    int width, height;
    return bench_check_int("moments", opt_moments, 1, MAX_MOMENTS, error) &&
           bench_check_int("limit", opt_limit, 1, 60000, error) &&
           bench_parse_size(opt_size, &width, &height, error) &&
           (!opt_json || bench_check_output("json", opt_json, error));
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    g_autoptr(GOptionContext) context = g_option_context_new("- how long it takes to stop encoding");
    g_autoptr(GError) error = NULL;
    int status = WRONG_ARGUMENTS;
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&error))
        status = run(&error);
    if (status != DONE)
        g_printerr("nerv-cancel: %s\n", error ? error->message : "failed");
    return status;
}

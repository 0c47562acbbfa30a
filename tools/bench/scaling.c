/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cost against size, see scaling.h. In each group one thing varies; a row's times are also given as multiples of the row
 * marked with a star, which is the network as it was asked for, beside the multiples of its arithmetic.
 */
#include "net.h"
#include "preset.h"
#include "rounds.h"
#include "scaling.h"

#define MAX_ROWS 4

/* One row: the factors that differ from the network as it was asked for. */
typedef struct {
    double scale, channels;
    uint32_t batch, threads; /* threads 0: all */
} Variant;

typedef struct {
    const char *what;
    Variant rows[MAX_ROWS];
    uint32_t n_rows, star;
    bool decodes; /* a decoder has no batch */
} Group;

typedef struct {
    char *label;
    NervModel *model;
    NervBackend *be;
    BenchNet *net;
    Rounds train, decode;
} Row;

static const Group groups[] = {
    { "frame size", { { .5, 1, 1, 0 }, { 1, 1, 1, 0 }, { 2, 1, 1, 0 } }, 3, 1, true },
    { "channels", { { 1, .5, 1, 0 }, { 1, 1, 1, 0 }, { 1, 2, 1, 0 } }, 3, 1, true },
    { "batch", { { 1, 1, 1, 0 }, { 1, 1, 2, 0 }, { 1, 1, 4, 0 } }, 3, 0, false },
    { "threads", { { 1, 1, 1, 1 }, { 1, 1, 1, 0 } }, 2, 0, true },
};

static char *row_label(const Group *g, const Row *row, const Variant *v, guint threads)
{
    switch (g - groups) {
    case 0:
        return g_strdup_printf("%dx%d", row->model->clip.width, row->model->clip.height);
    case 1:
        return g_strdup_printf("x%g", v->channels);
    case 2:
        return g_strdup_printf("%u", v->batch);
    default:
        return g_strdup_printf("%u", v->threads ? v->threads : threads);
    }
}

static void row_clear(Row *row)
{
    bench_net_free(row->net);
    nerv_backend_free(row->be);
    nerv_model_free(row->model);
    g_free(row->label);
}

static bool row_open(Row *row, const Group *g, const Variant *v, const char *device, guint threads,
                     const NervModel *model, GError **error)
{
    row->model = bench_model_scaled(model, v->channels, v->scale, error);
    row->be = row->model ? nerv_backend_open(device, v->threads ? v->threads : threads, error) : NULL;
    if (!row->be)
        return false;
    row->label = row_label(g, row, v, threads);
    row->net =
        bench_net_new(row->be, row->model, BENCH_TRAIN | (g->decodes ? BENCH_DECODE : 0), v->batch, error);
    return row->net != NULL;
}

static bool measure(Row *rows, const Group *g, uint32_t rounds, double seconds, GError **error)
{
    for (uint32_t i = 0; i < rounds; i++) {
        for (uint32_t k = 0; k < g->n_rows; k++) {
            Row *row = &rows[k];
            row->train.n = row->decode.n = i + 1;
            if ((row->train.ours[i] = bench_net_run(row->net, BENCH_TRAIN, seconds, error)) < 0 ||
                (g->decodes &&
                 (row->decode.ours[i] = bench_net_run(row->net, BENCH_DECODE, seconds, error)) < 0))
                return false;
        }
    }
    return true;
}

/* A time as a multiple of the starred row's, the median over the rounds. */
static double multiple(const Rounds *r, const Rounds *star)
{
    Rounds both = { .n = r->n };
    for (uint32_t i = 0; i < r->n; i++) {
        both.ours[i] = star->ours[i];
        both.peer[i] = r->ours[i];
    }
    return rounds_median_ratio(&both);
}

static void report_part(Json *j, Row *row, Row *star, BenchPart part)
{
    const bool train = part == BENCH_TRAIN;
    const Rounds *r = train ? &row->train : &row->decode, *s = train ? &star->train : &star->decode;
    const double seconds = rounds_median(r->ours, r->n), macs = (double)bench_net_macs(row->net, part);
    const double times = multiple(r, s), work = macs / (double)bench_net_macs(star->net, part);
    json_open(j, train ? "train" : "decode", '{');
    json_number(j, "seconds", seconds);
    json_number(j, "gmacs_per_s", macs / seconds * 1e-9);
    json_number(j, "times_seconds", times);
    json_number(j, "times_macs", work);
    json_integer(j, "bytes", (int64_t)bench_net_bytes(row->net, part));
    json_close(j, '}');
    g_print(" | %9.3f %8.2f %6.2fx %6.2fx %8.1f", seconds * 1e3, macs / seconds * 1e-9, times, work,
            bench_net_bytes(row->net, part) / 1048576.);
}

static void report_group(Json *j, const Group *g, Row *rows)
{
    for (uint32_t k = 0; k < g->n_rows; k++) {
        Row *row = &rows[k], *star = &rows[g->star];
        json_open(j, NULL, '{');
        json_string(j, "what", g->what);
        json_string(j, "value", row->label);
        json_integer(j, "parameters", row->model->n_weights);
        g_print("  %-10s %9s%c %9" G_GINT64_FORMAT, g->what, row->label, k == g->star ? '*' : ' ',
                row->model->n_weights);
        report_part(j, row, star, BENCH_TRAIN);
        if (g->decodes)
            report_part(j, row, star, BENCH_DECODE);
        g_print("\n");
        json_close(j, '}');
    }
}

static bool bench_group(Json *j, const Group *g, const char *device, guint threads, const NervModel *model,
                        uint32_t rounds, double seconds, GError **error)
{
    Row rows[MAX_ROWS] = { { .label = NULL } };
    bool ok = true;
    for (uint32_t k = 0; ok && k < g->n_rows; k++)
        ok = row_open(&rows[k], g, &g->rows[k], device, threads, model, error);
    ok = ok && measure(rows, g, rounds, seconds, error);
    if (ok)
        report_group(j, g, rows);
    for (uint32_t k = 0; k < g->n_rows; k++)
        row_clear(&rows[k]);
    return ok;
}

bool bench_scaling(Json *j, const char *device, guint threads, const NervModel *model, uint32_t rounds,
                   double seconds, GError **error)
{
    g_print("How cost grows; x: multiples of the row with the star, of its time and of its arithmetic\n");
    g_print("  %-10s %9s  %9s | %9s %8s %7s %7s %8s | %9s %8s %7s %7s %8s\n", "", "", "weights", "step ms",
            "GMAC/s", "time", "MACs", "MiB", "frame ms", "GMAC/s", "time", "MACs", "MiB");
    json_open(j, "scaling", '[');
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
        if (!bench_group(j, &groups[i], device, threads, model, rounds, seconds, error))
            return false;
    json_close(j, ']');
    return true;
}

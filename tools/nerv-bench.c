/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-bench: speed of one network on one or more devices, beside the same network in PyTorch. Prints a table and, with
 * --json, writes everything to a file that names machine, devices, drivers and commit. With --peers each round lets us
 * and the peer take turns, so that both see the same machine; medians of the rounds and their ratio are reported.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/json.h"
#include "bench/machine.h"
#include "bench/net.h"
#include "bench/peak.h"
#include "bench/peer.h"
#include "cpu/cpu.h"

#define MIN_ROUNDS 5
#define MAX_ROUNDS 99

static char *opt_devices = "auto", *opt_size, *opt_net = "small", *opt_model, *opt_options, *opt_json;
static char *opt_python = "/usr/bin/python3", *opt_script = NERV_SOURCE_DIR "/tools/peers/bench_torch.py";
static int opt_threads, opt_rounds = MIN_ROUNDS;
static double opt_seconds = 2;
static gboolean opt_peers, opt_ops;

static const GOptionEntry options[] = {
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_devices, "Devices, separated by commas (default auto)",
      "D,D..." },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads,
      "CPU threads, ours and the peer's (default one per core)", "N" },
    { "net", 0, 0, G_OPTION_ARG_STRING, &opt_net, "Preset: small (default) or wide", "NAME" },
    { "model", 0, 0, G_OPTION_ARG_STRING, &opt_model, "Model instead of a preset: nerv, nerv-s, ...",
      "NAME" },
    { "model-options", 0, 0, G_OPTION_ARG_STRING, &opt_options,
      "Options of the model, e.g. stem=64,widths=<24,16,12>,strides=<5,2,2>", "OPTIONS" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Frame size (default 320x180)", "WxH" },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &opt_seconds, "Of each measurement in each round (default 2)",
      "S" },
    { "rounds", 0, 0, G_OPTION_ARG_INT, &opt_rounds, "Rounds, at least 5 (default)", "N" },
    { "ops", 0, 0, G_OPTION_ARG_NONE, &opt_ops, "Measure each op of the training step by itself", NULL },
    { "peers", 0, 0, G_OPTION_ARG_NONE, &opt_peers, "Let PyTorch take turns", NULL },
    { "python", 0, 0, G_OPTION_ARG_STRING, &opt_python,
      "Interpreter that has PyTorch (default /usr/bin/python3)", "PATH" },
    { "peer-script", 0, 0, G_OPTION_ARG_STRING, &opt_script, "The peer's program", "PATH" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the results there", "FILE" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* The convolutions that --peers --ops compares: n, cin, cout, h, w, k. */
static const int conv_shapes[][6] = {
    { 1, 96, 96, 180, 320, 3 }, { 1, 24, 96, 180, 320, 3 }, { 1, 24, 24, 180, 320, 3 },
    { 1, 48, 192, 90, 160, 3 }, { 1, 16, 64, 180, 320, 3 }, { 1, 128, 512, 45, 80, 3 },
};

static const struct {
    const char *name, *options;
} presets[] = {
    { "small", "stem=64,base-channels=8,widths=<24,16,12>,strides=<5,2,2>" },
    { "wide", "stem=512,base-channels=26,widths=<26,96,96>,strides=<5,2,2>" },
};

/* --- the network --- */

/* "<1,2>" -> [1, 2]; digits -> an integer; with a point -> a number; anything else a string. */
static GVariant *parse_value(const char *text)
{
    char *end = NULL;
    if (text[0] == '<') {
        GVariantBuilder list;
        g_autofree char *inner = g_strndup(text + 1, strcspn(text + 1, ">"));
        g_auto(GStrv) words = g_strsplit(inner, ",", -1);
        g_variant_builder_init(&list, G_VARIANT_TYPE("ai"));
        for (char **w = words; *w; w++)
            g_variant_builder_add(&list, "i", atoi(*w));
        return g_variant_builder_end(&list);
    }
    const gint64 i = g_ascii_strtoll(text, &end, 10);
    if (*text && !*end)
        return g_variant_new_int32((gint32)CLAMP(i, G_MININT32, G_MAXINT32));
    const double d = g_ascii_strtod(text, &end);
    return *text && !*end ? g_variant_new_double(d) : g_variant_new_string(text);
}

/* Splits at the commas outside <...>. */
static GVariant *parse_options(const char *text)
{
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    while (*text) {
        size_t n = 0;
        for (int depth = 0; text[n] && (depth || text[n] != ','); n++)
            depth += (text[n] == '<') - (text[n] == '>');
        g_autofree char *field = g_strndup(text, n);
        char *equals = strchr(field, '=');
        if (equals)
            *equals = '\0';
        g_variant_dict_insert_value(&dict, g_strstrip(field), parse_value(equals ? equals + 1 : ""));
        text += n + (text[n] == ',');
    }
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

static NervModel *make_model(GError **error)
{
    NervClip clip = { 320, 180, 16 };
    const char *text = opt_options;
    for (size_t i = 0; !text && !opt_model && i < G_N_ELEMENTS(presets); i++)
        if (strcmp(opt_net, presets[i].name) == 0)
            text = presets[i].options;
    if (!text && !opt_model) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "no preset \"%s\"; there are small and wide",
                    opt_net);
        return NULL;
    }
    if (opt_size && sscanf(opt_size, "%dx%d", &clip.width, &clip.height) != 2) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "\"%s\" is no size; write e.g. 320x180", opt_size);
        return NULL;
    }
    g_autoptr(GVariant) parsed = parse_options(text ? text : "");
    return nerv_model_new(opt_model ? opt_model : "nerv", parsed, &clip, error);
}

/* --- measuring in rounds --- */

typedef struct {
    double ours[MAX_ROUNDS], peer[MAX_ROUNDS]; /* seconds of one step or frame */
    uint32_t n;
} Rounds;

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *v, uint32_t n)
{
    double sorted[MAX_ROUNDS];
    memcpy(sorted, v, n * sizeof(*v));
    qsort(sorted, n, sizeof(*v), compare_doubles);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* The median of the rounds' ratios: each compares two measurements that were made one after the other. */
static double median_ratio(const Rounds *r)
{
    double ratio[MAX_ROUNDS];
    for (uint32_t i = 0; i < r->n; i++)
        ratio[i] = r->peer[i] / r->ours[i];
    return median(ratio, r->n);
}

static double ask_peer(BenchPeer *peer, const char *what, double seconds, GError **error)
{
    g_autofree char *line = g_strdup_printf("%s %g", what, seconds);
    return bench_peer_ask(peer, line, "seconds", error);
}

static bool run_rounds(BenchNet *net, BenchPeer *peer, Rounds *train, Rounds *decode, GError **error)
{
    train->n = decode->n = (uint32_t)opt_rounds;
    for (uint32_t i = 0; i < train->n; i++) {
        if ((train->ours[i] = bench_net_train(net, opt_seconds, error)) < 0 ||
            (peer && (train->peer[i] = ask_peer(peer, "train", opt_seconds, error)) < 0) ||
            (decode->ours[i] = bench_net_decode(net, opt_seconds, error)) < 0 ||
            (peer && (decode->peer[i] = ask_peer(peer, "decode", opt_seconds, error)) < 0))
            return false;
        g_print("  round %u of %u: step %.2f ms", i + 1, train->n, train->ours[i] * 1e3);
        if (peer)
            g_print(" (PyTorch %.2f)", train->peer[i] * 1e3);
        g_print(", frame %.2f ms", decode->ours[i] * 1e3);
        if (peer)
            g_print(" (PyTorch %.2f)", decode->peer[i] * 1e3);
        g_print("\n");
    }
    return true;
}

static void report_rounds(Json *j, const char *key, const char *rate, const Rounds *r, bool with_peer,
                          int64_t macs, double peak)
{
    const double s = median(r->ours, r->n), gmacs = (double)macs / s * 1e-9;
    json_open(j, key, '{');
    json_number(j, "seconds", s);
    json_number(j, rate, 1 / s);
    json_number(j, "gmacs_per_s", gmacs);
    json_number(j, "share_of_peak", peak > 0 ? gmacs / peak : NAN);
    json_open(j, "rounds_s", '[');
    for (uint32_t i = 0; i < r->n; i++)
        json_number(j, NULL, r->ours[i]);
    json_close(j, ']');
    g_print("  %-8s %9.3f ms  %9.2f %s  %8.2f GMAC/s", key, s * 1e3, 1 / s, rate, gmacs);
    if (peak > 0)
        g_print("  %5.1f %% of peak", 100 * gmacs / peak);
    if (with_peer) {
        json_number(j, "peer_seconds", median(r->peer, r->n));
        json_number(j, "ratio", median_ratio(r));
        json_open(j, "peer_rounds_s", '[');
        for (uint32_t i = 0; i < r->n; i++)
            json_number(j, NULL, r->peer[i]);
        json_close(j, ']');
        g_print("  %.2fx PyTorch (%.3f ms)", median_ratio(r), median(r->peer, r->n) * 1e3);
    }
    g_print("\n");
    json_close(j, '}');
}

/* --- ops --- */

static void report_ops(Json *j, BenchNet *net, double step_seconds, double peak)
{
    g_autoptr(GArray) ops = bench_net_ops(net, opt_seconds / 20);
    double sum = 0;
    json_open(j, "ops", '[');
    g_print("  %-14s %4s %9s %6s %8s %6s %8s  %s\n", "op", "n", "ms each", "step%", "GMAC/s", "peak%", "GB/s",
            "operands");
    for (guint i = 0; i < ops->len; i++) {
        const BenchOp *op = &g_array_index(ops, BenchOp, i);
        const double gmacs = op->macs > 0 ? (double)op->macs / op->seconds * 1e-9 : NAN;
        const double gbytes = (double)op->bytes / op->seconds * 1e-9,
                     share = op->count * op->seconds / step_seconds;
        if (op->seconds < 0)
            continue;
        sum += op->count * op->seconds;
        json_open(j, NULL, '{');
        json_string(j, "op", op->op);
        json_string(j, "operands", op->shapes);
        json_integer(j, "count", op->count);
        json_number(j, "seconds", op->seconds);
        json_number(j, "share_of_step", share);
        json_number(j, "gmacs_per_s", gmacs);
        json_number(j, "share_of_peak", peak > 0 ? gmacs / peak : NAN);
        json_number(j, "gbytes_per_s", gbytes);
        json_close(j, '}');
        g_print("  %-14s %4u %9.3f %5.1f%%", op->op, op->count, op->seconds * 1e3, 100 * share);
        if (op->macs > 0)
            g_print(" %8.2f %5.1f%%", gmacs, peak > 0 ? 100 * gmacs / peak : 0.);
        else
            g_print(" %8s %6s", "", "");
        g_print(" %8.2f  %s\n", gbytes, op->shapes);
    }
    json_close(j, ']');
    json_number(j, "ops_seconds", sum);
    g_print("  all ops by themselves: %.2f ms of a step's %.2f\n", sum * 1e3, step_seconds * 1e3);
}

static bool report_convs(Json *j, NervBackend *be, BenchPeer *peer, double peak, GError **error)
{
    json_open(j, "conv2d", '[');
    for (size_t i = 0; i < G_N_ELEMENTS(conv_shapes); i++) {
        const int *s = conv_shapes[i];
        g_autofree char *shape =
            g_strdup_printf("%dx%dx%dx%d to %d, %dx%d", s[0], s[1], s[3], s[4], s[2], s[5], s[5]);
        g_autofree char *line = g_strdup_printf("conv %d %d %d %d %d %d %g", s[0], s[1], s[2], s[3], s[4],
                                                s[5], opt_seconds / 10);
        double ours[MAX_ROUNDS], theirs[MAX_ROUNDS] = { 0 };
        const uint32_t n = (uint32_t)opt_rounds;
        for (uint32_t r = 0; r < n; r++)
            if ((ours[r] = bench_conv_gmacs(be, s, opt_seconds / 10, error)) < 0 ||
                (peer && (theirs[r] = bench_peer_ask(peer, line, "gmacs", error)) < 0))
                return false;
        const double gmacs = median(ours, n);
        json_open(j, NULL, '{');
        json_string(j, "shape", shape);
        json_number(j, "gmacs_per_s", gmacs);
        json_number(j, "share_of_peak", peak > 0 ? gmacs / peak : NAN);
        g_print("  conv2d %-28s %8.2f GMAC/s", shape, gmacs);
        if (peer) {
            json_number(j, "peer_gmacs_per_s", median(theirs, n));
            json_number(j, "ratio", gmacs / median(theirs, n));
            g_print("  %.2fx PyTorch (%.2f)", gmacs / median(theirs, n), median(theirs, n));
        }
        g_print("\n");
        json_close(j, '}');
    }
    json_close(j, ']');
    return true;
}

/* --- devices --- */

/* Measures every level and both one thread and all; returns the peak of the level and threads in use. */
static double report_peaks(Json *j, guint threads)
{
    double used = 0;
    NervPool *one = nerv_pool_new(1), *all = nerv_pool_new(threads);
    json_open(j, "fma_peak_gmacs_per_s", '{');
    g_print("Multiply-add peak in GMAC/s, 1 thread and %u:", nerv_pool_threads(all));
    for (uint32_t level = NERV_CPU_BASELINE; level <= nerv_cpu_level_hardware(); level++) {
        const double p1 = bench_peak_gmacs(level, one), pn = bench_peak_gmacs(level, all);
        json_open(j, nerv_cpu_level_name(level), '{');
        json_number(j, "one_thread", p1);
        json_number(j, "all_threads", pn);
        json_close(j, '}');
        g_print("  %s %.1f %.1f", nerv_cpu_level_name(level), p1, pn);
        if (level == nerv_cpu_level())
            used = pn;
    }
    g_print("\n");
    json_integer(j, "threads", nerv_pool_threads(all));
    json_close(j, '}');
    nerv_pool_free(one);
    nerv_pool_free(all);
    return used;
}

static bool bench_device(Json *j, const char *device, const NervModel *model, BenchPeer *peer,
                         double cpu_peak, GError **error)
{
    Rounds train = { .n = 0 }, decode = { .n = 0 };
    bool ok = false;
    BenchNet *net = NULL;
    bench_rss_reset();
    NervBackend *be = nerv_backend_open(device, (uint32_t)opt_threads, error);
    if (!be)
        return false;
    /* A software Vulkan driver runs on the same cores; a GPU's peak is not measured. */
    const double peak = be->is_software ? cpu_peak : 0;
    g_print("%s\n", be->description);
    net = bench_net_new(be, model, error);
    if (!net || !run_rounds(net, peer, &train, &decode, error))
        goto done;
    json_open(j, NULL, '{');
    json_string(j, "device", device);
    json_string(j, "description", be->description);
    report_rounds(j, "train", "steps_per_s", &train, peer != NULL, bench_net_training_macs(net), peak);
    report_rounds(j, "decode", "frames_per_s", &decode, peer != NULL, bench_net_forward_macs(net), peak);
    json_integer(j, "training_bytes", (int64_t)bench_net_training_bytes(net));
    json_integer(j, "decoding_bytes", (int64_t)bench_net_decoding_bytes(net));
    json_integer(j, "device_peak_bytes", (int64_t)be->peak_bytes);
    json_integer(j, "rss_peak_bytes", bench_rss_peak_bytes());
    g_print("  memory   training %.1f MiB, decoding %.1f MiB, process at most %.1f MiB\n",
            bench_net_training_bytes(net) / 1048576., bench_net_decoding_bytes(net) / 1048576.,
            bench_rss_peak_bytes() / 1048576.);
    ok = true;
    if (opt_ops) {
        report_ops(j, net, median(train.ours, train.n), peak);
        ok = report_convs(j, be, peer, peak, error);
    }
    json_close(j, '}');

done:
    bench_net_free(net);
    nerv_backend_free(be);
    return ok;
}

/* Others' work on the machine spoils a measurement; PyTorch's spinning threads suffer most. */
static void report_load(Json *j)
{
    double load = NAN;
    if (getloadavg(&load, 1) != 1)
        load = NAN;
    json_number(j, "load_average", load);
    if (load > 0.5 * g_get_num_processors())
        g_print("The machine is busy (load %.1f on %u cores): these numbers will not mean much.\n", load,
                g_get_num_processors());
}

static bool bench_all(Json *j, const NervModel *model, BenchPeer *peer, guint threads, GError **error)
{
    g_auto(GStrv) devices = g_strsplit(opt_devices, ",", -1);
    g_autofree char *description = nerv_model_describe(model);
    json_open(j, NULL, '{');
    bench_describe_machine(j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(j, "network", description);
    json_integer(j, "parameters", model->n_weights);
    json_number(j, "seconds_per_measurement", opt_seconds);
    json_integer(j, "threads", threads);
    json_string(j, "peer", peer ? bench_peer_about(peer) : NULL);
    report_load(j);
    g_print("%s\n", description);
    const double peak = report_peaks(j, threads);
    json_open(j, "devices", '[');
    for (char **d = devices; *d; d++)
        if (!bench_device(j, *d, model, peer, peak, error))
            return false;
    json_close(j, ']');
    json_close(j, '}');
    return true;
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("- measure a network's speed");
    g_autoptr(GError) error = NULL;
    NervModel *model = NULL;
    BenchPeer *peer = NULL;
    Json j;
    bool ok = false;

    json_init(&j);
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        goto done;
    opt_rounds = CLAMP(opt_rounds, MIN_ROUNDS, MAX_ROUNDS);
    const guint threads = opt_threads > 0 ? (guint)opt_threads : g_get_num_processors();
    model = make_model(&error);
    if (!model || (opt_peers && !(peer = bench_peer_new(opt_python, opt_script, model, threads, &error))))
        goto done;
    ok = bench_all(&j, model, peer, threads, &error);

done:
    bench_peer_free(peer);
    nerv_model_free(model);
    g_autofree char *text = json_finish(&j);
    if (ok && opt_json)
        ok = g_file_set_contents(opt_json, text, -1, &error);
    if (!ok)
        g_printerr("nerv-bench: %s\n", error->message);
    return ok ? 0 : 1;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-bench: speed of one network on one or more devices, beside the same network in PyTorch and beside what the machine can
 * do at best. Prints tables and, with --json, writes everything to a file that names machine, devices, drivers and commit;
 * --against compares shares of the machine's roofs with those in such a file. With --peers each round lets us and the peer take turns, so that both see
 * the same machine; medians of the rounds and of their ratios are reported. docs/testing.md, "Measuring".
 * Exit status: 0 measured, 1 not, 2 wrong arguments, 3 worse than --against, 4 not comparable with it.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/against.h"
#include "bench/ahead.h"
#include "bench/arguments.h"
#include "bench/convs.h"
#include "bench/json_read.h"
#include "bench/machine.h"
#include "bench/memory.h"
#include "bench/report.h"
#include "bench/scaling.h"

static char *opt_devices = "auto", *opt_size, *opt_net = "small", *opt_model, *opt_options, *opt_json;
static char *opt_python = "/usr/bin/python3", *opt_script = NERV_SOURCE_DIR "/tools/peers/bench_torch.py";
static char *opt_peer_device = "cpu", *opt_convs, *opt_against, *opt_result, *opt_memory_child, *opt_roof;
static int opt_threads, opt_rounds = BENCH_MIN_ROUNDS, opt_batch = 1;
static double opt_seconds = 2, opt_tolerance = 0.15;
static gboolean opt_peers, opt_ops, opt_scaling, opt_memory, opt_skip_net;

static const GOptionEntry options[] = {
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_devices, "Devices, separated by commas (default auto)",
      "D,D..." },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads,
      "CPU threads, ours and the peer's, at most 256 (default: 0, one per core)", "N" },
    { "net", 0, 0, G_OPTION_ARG_STRING, &opt_net, "Preset: small (default) or wide", "NAME" },
    { "model", 0, 0, G_OPTION_ARG_STRING, &opt_model,
      "Model instead of a preset: nerv, nerv-mlp, nerv-s, ...", "NAME" },
    { "model-options", 0, 0, G_OPTION_ARG_STRING, &opt_options,
      "Options of the model, e.g. stem=64,widths=<24,16,12>,strides=<5,2,2>", "OPTIONS" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Frame size (default 320x180)", "WxH" },
    { "batch", 0, 0, G_OPTION_ARG_INT, &opt_batch, "Frames of a training step, 1 (default) to 16", "N" },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &opt_seconds, "Of each measurement in each round (default 2)",
      "S" },
    { "rounds", 0, 0, G_OPTION_ARG_INT, &opt_rounds, "Rounds, 5 (default) to 99", "N" },
    { "skip-net", 0, 0, G_OPTION_ARG_NONE, &opt_skip_net, "Leave out the training step and the decoded frame",
      NULL },
    { "ops", 0, 0, G_OPTION_ARG_NONE, &opt_ops, "Time each op inside the training step and the decoded frame",
      NULL },
    { "convs", 0, 0, G_OPTION_ARG_STRING, &opt_convs,
      "Convolutions by themselves, forward, dx and dw: nerv (six shapes) or tiny", "SHAPES" },
    { "scaling", 0, 0, G_OPTION_ARG_NONE, &opt_scaling,
      "How cost grows with frame size, channels, batch and threads", NULL },
    { "memory", 0, 0, G_OPTION_ARG_NONE, &opt_memory,
      "Memory of training and of decoding, each in a process of its own", NULL },
    { "roof", 0, 0, G_OPTION_ARG_STRING, &opt_roof,
      "Peaks of a GPU, from its data sheet: GMAC/s and GB/s. A CPU's are measured", "GMACS,GBYTES" },
    { "peers", 0, 0, G_OPTION_ARG_NONE, &opt_peers, "Let PyTorch take turns", NULL },
    { "peer-device", 0, 0, G_OPTION_ARG_STRING, &opt_peer_device, "PyTorch's: cpu (default) or cuda", "D" },
    { "python", 0, 0, G_OPTION_ARG_STRING, &opt_python,
      "Interpreter that has PyTorch (default /usr/bin/python3)", "PATH" },
    { "peer-script", 0, 0, G_OPTION_ARG_STRING, &opt_script, "The peer's program", "PATH" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the results there", "FILE" },
    { "against", 0, 0, G_OPTION_ARG_FILENAME, &opt_against,
      "Compare shares of the machine and ratios with an older result's; exit status 3 if one is worse, 4 if "
      "they cannot be compared",
      "FILE" },
    { "tolerance", 0, 0, G_OPTION_ARG_DOUBLE, &opt_tolerance,
      "By which part a share or ratio may be worse (default 0.15)", "R" },
    { "result", 0, 0, G_OPTION_ARG_FILENAME, &opt_result, "Measure nothing, compare this result", "FILE" },
    { "memory-child", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING, &opt_memory_child, "", "WHAT" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS, WORSE, NOT_ALIKE };

/* What a run is about, beside the options. */
typedef struct {
    const char *program;
    BenchPreset preset;
    NervModel *model;
    BenchPeer *peer;
    guint threads;
    double roof[2]; /* --roof's GMAC/s and GB/s, 0: not given */
    char *before;   /* the text of --against */
} Bench;

static double ask_peer(BenchPeer *peer, const char *what, double seconds, GError **error)
{
    g_autofree char *line = g_strdup_printf("%s %g", what, seconds);
    return bench_peer_ask(peer, line, "seconds", error);
}

/* What a device does with the network, in rounds. */
typedef struct {
    Rounds train, decode, ahead;
    uint32_t n_lanes;
} NetRounds;

/* A decoder of keyframes needs coded ones: there are none here. */
static bool plays(const Bench *b)
{
    return b->model->n_keys == 0;
}

static bool run_rounds(const Bench *b, NervBackend *be, BenchNet *net, const BenchRoof *roof, NetRounds *r,
                       GError **error)
{
    Rounds *train = &r->train, *decode = &r->decode, *ahead = &r->ahead;
    BenchPeer *peer = b->peer;
    train->n = decode->n = ahead->n = (uint32_t)opt_rounds;
    for (uint32_t i = 0; i < train->n; i++) {
        train->peak[i] = decode->peak[i] = ahead->peak[i] = bench_roof_gmacs_now(roof);
        if ((train->ours[i] = bench_net_run(net, BENCH_TRAIN, opt_seconds, error)) < 0 ||
            (peer && (train->peer[i] = ask_peer(peer, "train", opt_seconds, error)) < 0) ||
            (decode->ours[i] = bench_net_run(net, BENCH_DECODE, opt_seconds, error)) < 0 ||
            (peer && (decode->peer[i] = ask_peer(peer, "decode", opt_seconds, error)) < 0) ||
            (plays(b) &&
             (ahead->ours[i] = bench_ahead_run(be, b->model, opt_seconds, &r->n_lanes, error)) < 0))
            return false;
        g_print("  round %u of %u: step %.2f ms", i + 1, train->n, train->ours[i] * 1e3);
        if (peer)
            g_print(" (PyTorch %.2f)", train->peer[i] * 1e3);
        g_print(", frame %.2f ms", decode->ours[i] * 1e3);
        if (peer)
            g_print(" (PyTorch %.2f)", decode->peer[i] * 1e3);
        if (plays(b))
            g_print(", played %.2f ms", ahead->ours[i] * 1e3);
        g_print("\n");
    }
    return true;
}

static bool profile_part(Json *j, BenchNet *net, BenchPart part, const BenchRoof *roof, const Rounds *r,
                         GError **error)
{
    const double share = rounds_median_share(r, (double)bench_net_macs(net, part));
    BenchProfile profile;
    const bool ok = bench_profile(net, part, opt_seconds, roof, share, &profile, error);
    if (ok)
        bench_report_ops(j, part == BENCH_TRAIN ? "ops" : "decode_ops", &profile);
    bench_profile_clear(&profile);
    return ok;
}

/* A training step, a decoded frame and frames played in order, in rounds, and the ops in them. */
static bool bench_net(Json *j, const Bench *b, NervBackend *be, const BenchRoof *roof, GError **error)
{
    NetRounds r = { .n_lanes = 0 };
    bench_rss_reset();
    BenchNet *net = bench_net_new(be, b->model, BENCH_TRAIN | BENCH_DECODE, (uint32_t)opt_batch, error);
    bool ok = net && run_rounds(b, be, net, roof, &r, error);
    if (ok) {
        const int64_t macs = bench_net_macs(net, BENCH_DECODE);
        bench_report_rounds(j, "train", "steps_per_s", &r.train, b->peer != NULL,
                            bench_net_macs(net, BENCH_TRAIN));
        bench_report_rounds(j, "decode", "frames_per_s", &r.decode, b->peer != NULL, macs);
        if (plays(b)) {
            bench_report_rounds(j, "decode_ahead", "frames_per_s", &r.ahead, false, macs);
            json_integer(j, "decode_ahead_lanes", r.n_lanes);
        }
        json_integer(j, "training_bytes", (int64_t)bench_net_bytes(net, BENCH_TRAIN));
        json_integer(j, "decoding_bytes", (int64_t)bench_net_bytes(net, BENCH_DECODE));
        json_integer(j, "device_peak_bytes", (int64_t)be->peak_bytes);
        json_integer(j, "rss_peak_bytes", bench_rss_peak_bytes());
        g_print("  memory   training %.1f MiB, decoding %.1f MiB, process at most %.1f MiB\n",
                bench_net_bytes(net, BENCH_TRAIN) / 1048576., bench_net_bytes(net, BENCH_DECODE) / 1048576.,
                bench_rss_peak_bytes() / 1048576.);
    }
    if (ok && opt_ops)
        ok = profile_part(j, net, BENCH_TRAIN, roof, &r.train, error) &&
             profile_part(j, net, BENCH_DECODE, roof, &r.decode, error);
    bench_net_free(net);
    return ok;
}

/* A software Vulkan driver runs on the same cores; a GPU's roofs are what --roof says. */
static BenchRoof device_roof(const Bench *b, const NervBackend *be, const BenchRoof *cpu)
{
    if (be->is_software)
        return *cpu;
    return (BenchRoof){ .gmacs = b->roof[0], .gbytes = b->roof[1] };
}

static bool bench_device(Json *j, const Bench *b, const char *device, const BenchRoof *cpu, GError **error)
{
    NervBackend *be = nerv_backend_open(device, (uint32_t)opt_threads, error);
    const uint32_t rounds = (uint32_t)opt_rounds;
    if (!be)
        return false;
    const BenchRoof roof = device_roof(b, be, cpu);
    g_print("%s\n", be->description);
    json_open(j, NULL, '{');
    json_string(j, "device", device);
    json_string(j, "description", be->description);
    const bool ok = (opt_skip_net || bench_net(j, b, be, &roof, error)) &&
                    (!opt_convs || bench_convs(j, be, b->peer, &roof, rounds, opt_seconds / 10,
                                               strcmp(opt_convs, "tiny") == 0, error));
    nerv_backend_free(be);
    if (!ok ||
        (opt_scaling && !bench_scaling(j, device, b->threads, b->model, rounds, opt_seconds / 2, error)) ||
        (opt_memory &&
         !bench_memory(j, b->program, device, b->threads, &b->preset, (uint32_t)opt_batch, error)))
        return false;
    json_close(j, '}');
    return true;
}

/* Others' work on the machine spoils a measurement; PyTorch's spinning threads suffer most. */
static void report_load(Json *j)
{
    double load = NAN;
    if (getloadavg(&load, 1) != 1)
        load = NAN;
    json_number(j, "load_average", load);
    if (load > 0.5 * g_get_num_processors())
        g_print("The machine is busy (load %.1f on %u cores): seconds will not mean much, shares less than "
                "usual.\n",
                load, g_get_num_processors());
}

/* So that --against knows a figure that is missing from one that nobody asked for. */
static void report_asked(Json *j, char **devices)
{
    json_open(j, "measured", '{');
    json_open(j, "devices", '[');
    for (char **d = devices; *d; d++)
        json_string(j, NULL, *d);
    json_close(j, ']');
    json_boolean(j, "net", !opt_skip_net);
    json_boolean(j, "ops", opt_ops && !opt_skip_net);
    json_string(j, "convs", opt_convs);
    json_boolean(j, "scaling", opt_scaling);
    json_boolean(j, "memory", opt_memory);
    json_close(j, '}');
}

static bool bench_all(Json *j, const Bench *b, GError **error)
{
    g_auto(GStrv) devices = g_strsplit(opt_devices, ",", -1);
    g_autofree char *description = nerv_model_describe(b->model);
    json_open(j, NULL, '{');
    bench_describe_machine(j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(j, "network", description);
    json_integer(j, "parameters", b->model->n_weights);
    json_number(j, "seconds_per_measurement", opt_seconds);
    json_integer(j, "threads", b->threads);
    json_integer(j, "batch", opt_batch);
    json_string(j, "peer", b->peer ? bench_peer_about(b->peer) : NULL);
    report_asked(j, devices);
    report_load(j);
    g_print("%s\n", description);
    BenchRoof roof = bench_report_machine(j, b->threads);
    json_open(j, "devices", '[');
    bool ok = true;
    for (char **d = devices; ok && *d; d++)
        ok = bench_device(j, b, *d, &roof, error);
    json_close(j, ']');
    json_close(j, '}');
    bench_roof_clear(&roof);
    return ok;
}

/* The result's text, or NULL. */
static char *measure(Bench *b, GError **error)
{
    Json j;
    bool ok;
    json_init(&j);
    b->model = bench_preset_model(&b->preset, error);
    ok = b->model &&
         (!opt_peers || (b->peer = bench_peer_new(opt_python, opt_script, opt_peer_device, b->model,
                                                  b->threads, (uint32_t)opt_batch, error)));
    ok = ok && bench_all(&j, b, error);
    bench_peer_free(b->peer);
    nerv_model_free(b->model);
    g_autofree char *text = json_finish(&j);
    if (!ok || (opt_json && !g_file_set_contents(opt_json, text, -1, error)))
        return NULL;
    return g_steal_pointer(&text);
}

static int compare(const Bench *b, const char *text, GError **error)
{
    switch (bench_against(text, b->before, opt_tolerance, error)) {
    case BENCH_AGAINST_OK:
        return DONE;
    case BENCH_AGAINST_WORSE:
        return WORSE;
    default:
        return NOT_ALIKE;
    }
}

/* --- arguments --- */

static bool wrong(GError **error, const char *what)
{
    g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, what);
    return false;
}

static bool check_roof(Bench *b, GError **error)
{
    char rest;
    if (!opt_roof || (sscanf(opt_roof, "%lf,%lf%c", &b->roof[0], &b->roof[1], &rest) == 2 && b->roof[0] > 0 &&
                      b->roof[1] > 0 && isfinite(b->roof[0]) && isfinite(b->roof[1])))
        return true;
    return wrong(error, "--roof is two positive numbers, GMAC/s and GB/s");
}

static bool check_devices(GError **error)
{
    g_auto(GStrv) devices = g_strsplit(opt_devices, ",", -1);
    for (char **d = devices; *d; d++)
        if (!**d)
            return wrong(error, "--device has an empty name");
    return *devices || wrong(error, "--device has an empty name");
}

static bool check_arguments(Bench *b, GError **error)
{
    if (opt_convs && strcmp(opt_convs, "nerv") != 0 && strcmp(opt_convs, "tiny") != 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "no shapes \"%s\"; there are nerv and tiny",
                    opt_convs);
        return false;
    }
    if (!(opt_tolerance > 0 && opt_tolerance < 1))
        return wrong(error, "a tolerance lies between 0 and 1");
    if (opt_result && !opt_against)
        return wrong(error, "--result needs --against");
    b->threads = opt_threads > 0 ? (guint)opt_threads : g_get_num_processors();
    return bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           bench_check_int("rounds", opt_rounds, BENCH_MIN_ROUNDS, BENCH_MAX_ROUNDS, error) &&
           bench_check_int("batch", opt_batch, 1, BENCH_FRAMES, error) &&
           bench_check_double("seconds", opt_seconds, 0.001, 3600, error) && check_roof(b, error) &&
           check_devices(error) && (!opt_json || bench_check_output("json", opt_json, error)) &&
           bench_preset_init(&b->preset, opt_net, opt_model, opt_options, opt_size, error);
}

/* Before anything is measured: whether there will be something to compare with. */
static int read_before(Bench *b, GError **error)
{
    if (!g_file_get_contents(opt_against, &b->before, NULL, error))
        return FAILED;
    JsonValue *parsed = json_parse(b->before, error);
    json_value_free(parsed);
    if (!parsed)
        g_prefix_error(error, "%s: ", opt_against);
    return parsed ? DONE : NOT_ALIKE;
}

static int run(Bench *b, GError **error)
{
    g_autofree char *text = NULL;
    if (opt_against) {
        const int status = read_before(b, error);
        if (status != DONE)
            return status;
    }
    if (opt_result)
        return g_file_get_contents(opt_result, &text, NULL, error) ? compare(b, text, error) : FAILED;
    if (opt_memory_child)
        return bench_memory_child(opt_memory_child, opt_devices, b->threads, &b->preset, (uint32_t)opt_batch,
                                  error)
                   ? DONE
                   : FAILED;
    text = measure(b, error);
    return !text ? FAILED : opt_against ? compare(b, text, error) : DONE;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("- measure a network's speed");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, options, NULL);
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    Bench b = { .program = program ? program : argv[0] };
    int status = WRONG_ARGUMENTS;
    if (g_option_context_parse(context, &argc, &argv, &error)) {
        if (argc > 1)
            g_set_error(&error, NERV_ERROR, NERV_ERROR_INVALID, "what is \"%s\"? There are only options",
                        argv[1]);
        else if (check_arguments(&b, &error))
            status = run(&b, &error);
    }
    if (error)
        g_printerr("nerv-bench: %s\n", error->message);
    bench_preset_clear(&b.preset);
    g_free(b.before);
    return status;
}

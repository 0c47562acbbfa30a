/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-pipeline-bench [OPTION...] [FILE.nerv]
 *
 * Decoding as an application sees it: `filesrc ! nervparse ! nervdec ! fakesink sync=false` beside the same frames in H.264 and
 * AV1 through GStreamer's decoders, in turns: rate, start-up, seeks. Without a file one is made on the spot of a test
 * picture, fitted for one epoch, because speed does not depend on how good a fit is. A tool of its own, so that nerv-bench
 * needs GLib alone, as libnerv does. Exit status: 0 measured, 1 not, 2 wrong arguments, 3 measured, but a
 * seek ended on another picture than the one asked for.
 */
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <locale.h>
#include <math.h>
#include <unistd.h>

#include "bench/arguments.h"
#include "bench/json.h"
#include "bench/machine.h"
#include "bench/play.h"
#include "bench/rounds.h"
#include "nerv.h"

static char *opt_source, *opt_size = "320x180", *opt_model = "nerv", *opt_options, *opt_device = "auto",
                         *opt_json;
static int opt_frames = 128, opt_segment = 32, opt_rounds = BENCH_MIN_ROUNDS, opt_seeks = 8, opt_threads;
static gboolean opt_no_peers;
static char **opt_files;

static const GOptionEntry options[] = {
    { "source", 0, 0, G_OPTION_ARG_STRING, &opt_source,
      "Beginning of a pipeline that makes the frames (default: a test picture, or FILE.nerv decoded)",
      "PIPELINE" },
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames,
      "Frames of the test picture, 2 to 100000 (default 128)", "N" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Of the test picture (default 320x180)", "WxH" },
    { "segment-frames", 0, 0, G_OPTION_ARG_INT, &opt_segment,
      "Frames per network of a file made here, 0 (all) to 65536 (default 32)", "N" },
    { "model", 0, 0, G_OPTION_ARG_STRING, &opt_model, "Model of a file made here (default nerv)", "NAME" },
    { "model-options", 0, 0, G_OPTION_ARG_STRING, &opt_options, "Its options, as nervenc's model-options",
      "STRUCTURE" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "nervdec's device (default auto)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads,
      "nervdec's threads, at most 256 (default: 0, one per core)", "N" },
    { "rounds", 0, 0, G_OPTION_ARG_INT, &opt_rounds, "Rounds, 5 (default) to 99", "N" },
    { "seeks", 0, 0, G_OPTION_ARG_INT, &opt_seeks, "Seeks in each round, 1 to 16 (default 8)", "N" },
    { "no-peers", 0, 0, G_OPTION_ARG_NONE, &opt_no_peers, "Leave H.264 and AV1 out", NULL },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write the results there", "FILE" },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_files, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* The first encoder and the first decoder that are installed are taken. Speed settings are chosen for a short run, the rest
 * is the encoders' default: what a decoder takes depends little on them. */
static const struct {
    const char *name, *encoders[3], *settings[3], *decoders[4], *parser;
} peers[] = {
    { "h264",
      { "x264enc", "openh264enc" },
      { "speed-preset=medium", "" },
      { "avdec_h264", "openh264dec" },
      "h264parse" },
    { "av1",
      { "svtav1enc", "av1enc" },
      { "preset=8", "cpu-used=6" },
      { "dav1ddec", "avdec_av1", "av1dec" },
      "av1parse" },
};
#define MAX_CODECS (1 + G_N_ELEMENTS(peers))

typedef struct {
    const char *name;
    char *file, *encoder, *chain; /* chain: what stands between filesrc and fakesink */
    double startup[BENCH_MAX_ROUNDS], frame[BENCH_MAX_ROUNDS], fps[BENCH_MAX_ROUNDS], seek[BENCH_MAX_ROUNDS];
    /* the network's parsing, beside the seeks, and what a seek takes without it, in times of a frame; nerv only */
    double parse[BENCH_MAX_ROUNDS], without_parse[BENCH_MAX_ROUNDS];
    double slowest_seek;
    uint32_t n_frames, n_wrong;
} Codec;

/* Networks that are parsed beside the seeks: the first two sync points of the file, in turns, as a network that is there
 * already costs nothing; that is also what a file of one segment is measured to pay. */
typedef struct {
    char *data;
    const uint8_t *unit[2];
    gsize bytes[2];
    uint32_t n, next;
    NervDecoder *dec;
} Parser;

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS, WRONG_PICTURES };

static void codec_clear(Codec *c)
{
    g_free(c->file);
    g_free(c->encoder);
    g_free(c->chain);
}

/* Index of the first that is installed, -1: none. */
static int first_installed(const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        g_autoptr(GstElementFactory) factory = gst_element_factory_find(names[i]);
        if (factory)
            return i;
    }
    return -1;
}

/* --- making the files --- */

static bool make_nerv(const char *file, const char *source, GError **error)
{
    g_autofree char *model_options =
        opt_options ? g_strdup_printf("model-options=\"%s\"", opt_options) : g_strdup("");
    g_autofree char *line = g_strdup_printf(
        "%s ! queue ! nervenc epochs=1 segment-frames=%d max-memory=17179869184 device=%s model=%s %s "
        "! filesink location=\"%s\"",
        source, opt_segment, opt_device, opt_model, model_options, file);
    g_print("nerv: fitting a file for one epoch\n");
    return bench_run_to_end(line, error);
}

/* False without an error: not installed, which has been said. */
static bool make_peer(Codec *c, size_t which, const char *source, const char *file, GError **error)
{
    const int enc = first_installed(peers[which].encoders), dec = first_installed(peers[which].decoders);
    if (enc < 0 || dec < 0) {
        g_print("%s: left out, no %s is installed\n", peers[which].name, enc < 0 ? "encoder" : "decoder");
        return false;
    }
    c->name = peers[which].name;
    c->file = g_strdup(file);
    c->encoder = g_strdup_printf("%s %s", peers[which].encoders[enc], peers[which].settings[enc]);
    c->chain = g_strdup_printf("matroskademux ! %s ! %s", peers[which].parser, peers[which].decoders[dec]);
    g_autofree char *line = g_strdup_printf(
        "%s ! videoconvert ! video/x-raw,format=I420 ! %s ! %s ! matroskamux ! filesink location=\"%s\"",
        source, c->encoder, peers[which].parser, file);
    g_print("%s: encoding by %s\n", c->name, c->encoder);
    return bench_run_to_end(line, error);
}

static char *test_source(GError **error)
{
    int32_t w, h;
    if (!bench_parse_size(opt_size, &w, &h, error))
        return NULL;
    return g_strdup_printf(
        "videotestsrc num-buffers=%d pattern=ball ! video/x-raw,format=I420,width=%d,height=%d,"
        "framerate=25/1",
        opt_frames, w, h);
}

/* The nerv file and the peers' files in `directory`; returns how many codecs there are, 0 with an error. */
static uint32_t make_files(Codec *codecs, const char *directory, GError **error)
{
    uint32_t n = 1;
    const char *given = opt_files ? opt_files[0] : NULL;
    Codec *nerv = &codecs[0];
    g_autofree char *made = g_build_filename(directory, "nerv.nerv", NULL);
    g_autofree char *source = opt_source ? g_strdup(opt_source)
                              : given
                                  ? g_strdup_printf("filesrc location=\"%s\" ! nervparse ! nervdec", given)
                                  : test_source(error);
    nerv->name = "nerv";
    nerv->file = g_strdup(given ? given : made);
    nerv->encoder = g_strdup(given ? "(given)" : "nervenc epochs=1");
    nerv->chain = g_strdup_printf("nervparse ! nervdec device=%s threads=%d", opt_device, opt_threads);
    if (!source || (!given && !make_nerv(made, source, error)))
        return 0;
    for (size_t i = 0; !opt_no_peers && i < G_N_ELEMENTS(peers); i++) {
        g_autoptr(GError) why = NULL;
        g_autofree char *base = g_strconcat(peers[i].name, ".mkv", NULL);
        g_autofree char *file = g_build_filename(directory, base, NULL);
        if (make_peer(&codecs[n], i, source, file, &why)) {
            n++;
        } else {
            if (why)
                g_print("%s: left out: %s\n", peers[i].name, why->message);
            codec_clear(&codecs[n]);
            codecs[n] = (Codec){ NULL };
        }
    }
    return n;
}

static void remove_directory(const char *directory)
{
    GDir *dir = g_dir_open(directory, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_unlink(path);
    }
    if (dir)
        g_dir_close(dir);
    g_rmdir(directory);
}

/* --- parsing networks --- */

/* The first two sync points of a file, or as many as there are. */
static void find_sync_points(Parser *p, gsize bytes)
{
    const uint8_t *data = (const uint8_t *)p->data;
    NervAccessUnit au;
    size_t need;
    for (gsize pos = 0;
         p->n < 2 && nerv_access_unit_scan(data + pos, bytes - pos, &au, &need) == NERV_SCAN_OK;
         pos += au.bytes) {
        if (!au.is_sync)
            continue;
        p->unit[p->n] = data + pos;
        p->bytes[p->n++] = au.bytes;
    }
}

/* Seconds that libnerv takes to make a network of a sync point's bytes ready: what a seek into another segment pays before it can
 * render. A BenchBeside. */
static double parse_next(void *user, GError **error)
{
    Parser *p = user;
    NervDecodedInfo info;
    const uint32_t i = p->next++ % p->n;
    nerv_decoder_reset(p->dec);
    const gint64 start = g_get_monotonic_time();
    if (!nerv_decoder_send(p->dec, p->unit[i], p->bytes[i], &info, error))
        return -1;
    return (double)(g_get_monotonic_time() - start) * 1e-6;
}

static bool parser_init(Parser *p, const char *file, GError **error)
{
    NervDecoderSettings settings;
    gsize bytes;
    *p = (Parser){ .n = 0 };
    if (!g_file_get_contents(file, &p->data, &bytes, error))
        return false;
    find_sync_points(p, bytes);
    if (p->n == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s does not begin with a sync point", file);
        return false;
    }
    nerv_decoder_settings_init(&settings);
    g_free(settings.device);
    settings.device = g_strdup(opt_device);
    settings.threads = (uint32_t)opt_threads;
    p->dec = nerv_decoder_new(&settings, error);
    nerv_decoder_settings_clear(&settings);
    /* each once: later ones find memory and plan */
    for (uint32_t i = 0; p->dec && i < p->n; i++)
        if (parse_next(p, error) < 0)
            return false;
    return p->dec != NULL;
}

static void parser_clear(Parser *p)
{
    nerv_decoder_free(p->dec);
    g_free(p->data);
}

/* --- measuring --- */

/* `parser`: NULL for other codecs. */
static bool measure_round(Codec *c, Parser *parser, uint32_t round, GError **error)
{
    BenchPlay play;
    BenchSeeks seeks;
    double without[BENCH_MAX_SEEKS];
    if (!bench_play(c->file, c->chain, &play, error) ||
        !bench_seeks(c->file, c->chain, (uint32_t)opt_seeks, parser ? parse_next : NULL, parser, &seeks,
                     error)) {
        g_prefix_error(error, "%s: ", c->file);
        return false;
    }
    c->n_frames = play.n_frames;
    c->startup[round] = play.startup_seconds;
    c->frame[round] = play.frame_seconds;
    c->fps[round] = play.n_frames / play.total_seconds;
    c->seek[round] = rounds_median(seeks.seconds, seeks.n);
    for (uint32_t i = 0; i < seeks.n; i++) {
        c->slowest_seek = MAX(c->slowest_seek, seeks.seconds[i]);
        without[i] = (seeks.seconds[i] - seeks.beside[i]) / play.frame_seconds;
    }
    c->parse[round] = rounds_median(seeks.beside, seeks.n);
    c->without_parse[round] = rounds_median(without, seeks.n);
    c->n_wrong += seeks.n_wrong;
    return true;
}

/* --- reporting --- */

static gint64 file_bytes(const char *file)
{
    GStatBuf s;
    return g_stat(file, &s) == 0 ? (gint64)s.st_size : 0;
}

static void report_parse(Json *j, const Codec *c, uint32_t rounds)
{
    const double parse = rounds_median(c->parse, rounds), without = rounds_median(c->without_parse, rounds);
    json_number(j, "network_parse_seconds", parse);
    json_number(j, "seek_frame_times_without_parse", without);
    json_open(j, "rounds_seek_frame_times_without_parse", '[');
    for (uint32_t i = 0; i < rounds; i++)
        json_number(j, NULL, c->without_parse[i]);
    json_close(j, ']');
    g_print("  network parse %.2f ms, without it %.2f frame times", parse * 1e3, without);
}

static void report(Json *j, const Codec *c, uint32_t rounds, bool is_nerv)
{
    const double startup = rounds_median(c->startup, rounds), frame = rounds_median(c->frame, rounds);
    const double fps = rounds_median(c->fps, rounds), seek = rounds_median(c->seek, rounds);
    json_open(j, NULL, '{');
    json_string(j, "codec", c->name);
    json_string(j, "encoder", c->encoder);
    json_string(j, "decoder", c->chain);
    json_integer(j, "frames", c->n_frames);
    json_integer(j, "file_bytes", file_bytes(c->file));
    json_number(j, "frames_per_s", fps);
    json_number(j, "frame_seconds", frame);
    json_number(j, "startup_seconds", startup);
    json_number(j, "seek_seconds", seek);
    json_number(j, "slowest_seek_seconds", c->slowest_seek);
    json_number(j, "seek_frame_times", seek / frame);
    json_integer(j, "seeks_to_the_wrong_picture", c->n_wrong);
    g_print("%-6s %8u %10" G_GINT64_FORMAT " %9.1f %9.3f %9.1f %9.2f %9.2f %8.2f", c->name, c->n_frames,
            file_bytes(c->file), fps, frame * 1e3, startup * 1e3, seek * 1e3, c->slowest_seek * 1e3,
            seek / frame);
    if (is_nerv)
        report_parse(j, c, rounds);
    g_print("  %s%s\n", c->chain, c->n_wrong ? "  SEEKS END ON WRONG PICTURES" : "");
    json_close(j, '}');
}

static void report_all(Json *j, const Codec *codecs, uint32_t n, uint32_t rounds)
{
    json_open(j, NULL, '{');
    bench_describe_machine(j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(j, "network", opt_files ? opt_files[0] : opt_options ? opt_options : opt_model);
    json_string(j, "size", opt_files ? NULL : opt_size);
    json_string(j, "device", opt_device);
    json_integer(j, "rounds", rounds);
    json_open(j, "codecs", '[');
    g_print("%-6s %8s %10s %9s %9s %9s %9s %9s %8s\n", "", "frames", "bytes", "fps", "ms/frame", "start ms",
            "seek ms", "slowest", "frames");
    for (uint32_t i = 0; i < n; i++)
        report(j, &codecs[i], rounds, i == 0);
    json_close(j, ']');
    json_close(j, '}');
}

static int bench(const char *directory, GError **error)
{
    Codec codecs[MAX_CODECS] = { { NULL } };
    Parser parser = { .n = 0 };
    const uint32_t rounds = (uint32_t)opt_rounds, n = make_files(codecs, directory, error);
    bool ok = n > 0 && parser_init(&parser, codecs[0].file, error);
    uint32_t n_wrong = 0;
    for (uint32_t round = 0; ok && round < rounds; round++)
        for (uint32_t i = 0; ok && i < n; i++)
            ok = measure_round(&codecs[i], i == 0 ? &parser : NULL, round, error);
    if (ok) {
        Json j;
        json_init(&j);
        report_all(&j, codecs, n, rounds);
        g_autofree char *text = json_finish(&j);
        ok = !opt_json || g_file_set_contents(opt_json, text, -1, error);
    }
    parser_clear(&parser);
    for (size_t i = 0; i < MAX_CODECS; i++) {
        n_wrong += codecs[i].n_wrong;
        codec_clear(&codecs[i]);
    }
    if (ok && n_wrong)
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%u seeks ended on wrong pictures", n_wrong);
    return !ok ? FAILED : n_wrong ? WRONG_PICTURES : DONE;
}

static bool check_arguments(GError **error)
{
    int32_t w, h;
    if (opt_files && opt_files[1]) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "one file at a time");
        return false;
    }
    if (!*opt_device) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "--device has an empty name");
        return false;
    }
    return bench_check_int("frames", opt_frames, 2, 100000, error) &&
           bench_check_int("segment-frames", opt_segment, 0, 65536, error) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           bench_check_int("rounds", opt_rounds, BENCH_MIN_ROUNDS, BENCH_MAX_ROUNDS, error) &&
           bench_check_int("seeks", opt_seeks, 1, BENCH_MAX_SEEKS, error) &&
           bench_parse_size(opt_size, &w, &h, error) &&
           (!opt_json || bench_check_output("json", opt_json, error));
}

static int run(GError **error)
{
    g_autofree char *directory = g_dir_make_tmp("nerv-pipeline-bench-XXXXXX", error);
    if (!directory)
        return FAILED;
    const int status = bench(directory, error);
    remove_directory(directory);
    return status;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new("[FILE.nerv] - measure decoding end to end");
    g_autoptr(GError) error = NULL;
    int status = WRONG_ARGUMENTS;
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&error))
        status = run(&error);
    if (status != DONE)
        g_printerr("nerv-pipeline-bench: %s\n", error ? error->message : "failed");
    return status;
}

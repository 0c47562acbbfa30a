/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-pipeline-bench [OPTION...] [FILE.nerv]
 *
 * Decoding as an application sees it: `filesrc ! nervparse ! nervdec ! fakesink sync=false` beside the same frames in H.264 and
 * AV1 through GStreamer's decoders, in turns: rate, start-up, seeks. Without a file one is made on the spot of a test
 * picture, fitted for one epoch, because speed does not depend on how good a fit is. A tool of its own, so that nerv-bench
 * needs GLib alone, as libnerv does. Exit status: 0 measured, 1 not, 2 wrong arguments.
 */
#include <glib/gstdio.h>
#include <gst/gst.h>
#include <math.h>
#include <unistd.h>

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
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames, "Frames of the test picture (default 128)", "N" },
    { "size", 0, 0, G_OPTION_ARG_STRING, &opt_size, "Of the test picture (default 320x180)", "WxH" },
    { "segment-frames", 0, 0, G_OPTION_ARG_INT, &opt_segment,
      "Frames per network of a file made here (default 32)", "N" },
    { "model", 0, 0, G_OPTION_ARG_STRING, &opt_model, "Model of a file made here (default nerv)", "NAME" },
    { "model-options", 0, 0, G_OPTION_ARG_STRING, &opt_options, "Its options, as nervenc's model-options",
      "STRUCTURE" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "nervdec's device (default auto)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads, "nervdec's threads (default one per core)", "N" },
    { "rounds", 0, 0, G_OPTION_ARG_INT, &opt_rounds, "Rounds, at least 5 (default)", "N" },
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
    double slowest_seek;
    uint32_t n_frames, n_wrong;
} Codec;

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
    int w, h;
    if (sscanf(opt_size, "%dx%d", &w, &h) != 2) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "\"%s\" is no size; write e.g. 320x180", opt_size);
        return NULL;
    }
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

/* --- measuring --- */

static bool measure_round(Codec *c, uint32_t round, GError **error)
{
    BenchPlay play;
    BenchSeeks seeks;
    if (!bench_play(c->file, c->chain, &play, error) ||
        !bench_seeks(c->file, c->chain, (uint32_t)opt_seeks, &seeks, error)) {
        g_prefix_error(error, "%s: ", c->file);
        return false;
    }
    c->n_frames = play.n_frames;
    c->startup[round] = play.startup_seconds;
    c->frame[round] = play.frame_seconds;
    c->fps[round] = play.n_frames / play.total_seconds;
    c->seek[round] = rounds_median(seeks.seconds, seeks.n);
    for (uint32_t i = 0; i < seeks.n; i++)
        c->slowest_seek = MAX(c->slowest_seek, seeks.seconds[i]);
    c->n_wrong += seeks.n_wrong;
    return true;
}

/* The first two sync points of a file, or as many as there are. */
static uint32_t find_sync_points(const uint8_t *data, gsize bytes, const uint8_t *at[2], gsize size[2])
{
    NervAccessUnit au;
    size_t need;
    uint32_t n = 0;
    for (gsize pos = 0; n < 2 && nerv_access_unit_scan(data + pos, bytes - pos, &au, &need) == NERV_SCAN_OK;
         pos += au.bytes) {
        if (!au.is_sync)
            continue;
        at[n] = data + pos;
        size[n++] = au.bytes;
    }
    return n;
}

/* Seconds that libnerv takes to make a network of a sync point's bytes ready: what a seek into another segment pays before it can
 * render. In turns, as a network that is there already costs nothing; that is also what a file of one segment is
 * measured to pay. */
static double network_parse(const Codec *nerv, uint32_t rounds, GError **error)
{
    double seconds[BENCH_MAX_ROUNDS], result = -1;
    const uint8_t *unit[2];
    gsize bytes[2], file_size;
    g_autofree char *data = NULL;
    NervDecoderSettings settings;
    NervDecodedInfo info;
    if (!g_file_get_contents(nerv->file, &data, &file_size, error))
        return -1;
    const uint32_t n = find_sync_points((const uint8_t *)data, file_size, unit, bytes);
    if (n == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s does not begin with a sync point", nerv->file);
        return -1;
    }
    nerv_decoder_settings_init(&settings);
    g_free(settings.device);
    settings.device = g_strdup(opt_device);
    settings.threads = (uint32_t)opt_threads;
    NervDecoder *dec = nerv_decoder_new(&settings, error);
    bool ok = dec && nerv_decoder_send(dec, unit[n - 1], bytes[n - 1], &info, error);
    for (uint32_t i = 0; ok && i < rounds; i++) {
        nerv_decoder_reset(dec);
        const gint64 start = g_get_monotonic_time();
        ok = nerv_decoder_send(dec, unit[i % n], bytes[i % n], &info, error);
        seconds[i] = (double)(g_get_monotonic_time() - start) * 1e-6;
    }
    if (ok)
        result = rounds_median(seconds, rounds);
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&settings);
    return result;
}

/* --- reporting --- */

static gint64 file_bytes(const char *file)
{
    GStatBuf s;
    return g_stat(file, &s) == 0 ? (gint64)s.st_size : 0;
}

static void report(Json *j, const Codec *c, uint32_t rounds, double parse)
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
    if (parse >= 0) {
        json_number(j, "network_parse_seconds", parse);
        json_number(j, "seek_frame_times_without_parse", (seek - parse) / frame);
        g_print("  network parse %.2f ms, without it %.2f frame times", parse * 1e3, (seek - parse) / frame);
    }
    g_print("  %s%s\n", c->chain, c->n_wrong ? "  SEEKS END ON WRONG PICTURES" : "");
    json_close(j, '}');
}

static void report_all(Json *j, const Codec *codecs, uint32_t n, uint32_t rounds, double parse)
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
        report(j, &codecs[i], rounds, i == 0 ? parse : -1);
    json_close(j, ']');
    json_close(j, '}');
}

static bool bench(const char *directory, GError **error)
{
    Codec codecs[MAX_CODECS] = { { NULL } };
    const uint32_t rounds = (uint32_t)CLAMP(opt_rounds, BENCH_MIN_ROUNDS, BENCH_MAX_ROUNDS);
    const uint32_t n = make_files(codecs, directory, error);
    bool ok = n > 0;
    double parse = -1;
    for (uint32_t round = 0; ok && round < rounds; round++)
        for (uint32_t i = 0; ok && i < n; i++)
            ok = measure_round(&codecs[i], round, error);
    ok = ok && (parse = network_parse(&codecs[0], rounds, error)) >= 0;
    if (ok) {
        Json j;
        json_init(&j);
        report_all(&j, codecs, n, rounds, parse);
        g_autofree char *text = json_finish(&j);
        ok = !opt_json || g_file_set_contents(opt_json, text, -1, error);
    }
    for (size_t i = 0; i < MAX_CODECS; i++)
        codec_clear(&codecs[i]);
    return ok;
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("[FILE.nerv] - measure decoding end to end");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    if (!g_option_context_parse(context, &argc, &argv, &error) || (opt_files && opt_files[1])) {
        g_printerr("nerv-pipeline-bench: %s\n", error ? error->message : "one file at a time");
        return 2;
    }
    opt_seeks = CLAMP(opt_seeks, 1, BENCH_MAX_SEEKS);
    g_autofree char *directory = g_dir_make_tmp("nerv-pipeline-bench-XXXXXX", &error);
    const bool ok = directory && bench(directory, &error);
    if (directory)
        remove_directory(directory);
    if (!ok)
        g_printerr("nerv-pipeline-bench: %s\n", error ? error->message : "failed");
    return ok ? 0 : 1;
}

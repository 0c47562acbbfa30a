/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-access [OPTION...] FILE.nerv
 * nerv-access --inits [FILE.init...]
 *
 * Random access: frames in any order, each by a decoder that was given nothing but what that frame needs (sequence, network, two keyframes,
 * frame), compared byte by byte with those decoded in sequence; what each costs in bytes and time beside that. Or what inits there are: each one's hash, by
 * which streams name it, its network and where it comes from.
 * Exit status: 0 measured, 1 not, 2 wrong arguments, 3 a frame is another one.
 */
#include <locale.h>
#include <string.h>

#include "base/rng.h"
#include "bench/arguments.h"
#include "bench/json.h"
#include "bench/machine.h"
#include "bench/nerv_file.h"
#include "bench/rounds.h"
#include "codec/builtin.h"

#define MAX_COUNT BENCH_MAX_ROUNDS
#define DIGEST    32 /* bytes of SHA-256 */

static char *opt_device = "cpu", *opt_json, **opt_files;
static int opt_count = 50, opt_threads;
static gint64 opt_seed = 1;
static gboolean opt_inits;

static const GOptionEntry options[] = {
    { "count", 'n', 0, G_OPTION_ARG_INT, &opt_count, "Random frames, 1 to 99 (default 50)", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "Which ones (default 1)", "N" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &opt_device, "As nervdec's (default cpu)", "D" },
    { "threads", 't', 0, G_OPTION_ARG_INT, &opt_threads, "0 (default): one per core", "N" },
    { "json", 0, 0, G_OPTION_ARG_FILENAME, &opt_json, "Write frames, sums and the machine there", "FILE" },
    { "inits", 0, 0, G_OPTION_ARG_NONE, &opt_inits,
      "Show the built-in inits, or the files', in place of all that: hash, network, origin", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &opt_files, NULL, NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* Exit statuses. */
enum { DONE, FAILED, WRONG_ARGUMENTS, DIFFERENT };

/* One random access. */
typedef struct {
    guint frame;
    size_t bytes, network_bytes,
        keyframe_bytes; /* that it needs, and the network's and keyframes' among them */
    size_t from_sync;   /* from the sync point to the frame: what a demuxer reads that knows no keyframes */
    double cold, warm;  /* seconds: from nothing, and with the network there */
    bool is_equal;
} Access;

typedef struct {
    NervFile file;
    uint8_t *digests;  /* of the frames in sequence */
    double sequential; /* seconds a frame */
    Access access[MAX_COUNT];
} Run;

static double now(void)
{
    return (double)g_get_monotonic_time() * 1e-6;
}

static NervDecoder *decoder_new(GError **error)
{
    NervDecoderSettings s;
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup(opt_device);
    s.threads = (uint32_t)opt_threads;
    NervDecoder *dec = nerv_decoder_new(&s, error);
    nerv_decoder_settings_clear(&s);
    return dec;
}

/* Sends an access unit and writes the digest of its picture as RGB. */
static bool show(NervDecoder *dec, const uint8_t *data, size_t bytes, uint8_t digest[DIGEST], GError **error)
{
    NervDecodedInfo info;
    NervVideoInfo video;
    NervPlane plane[3];
    if (!nerv_decoder_send(dec, data, bytes, &info, error))
        return false;
    nerv_decoder_get_info(dec, &video);
    const NervPixels rgb = { .format = NERV_PIXELS_RGB,
                             .width = video.pixels.width,
                             .height = video.pixels.height };
    const size_t size = nerv_pixels_bytes(&rgb);
    g_autofree uint8_t *picture = g_malloc(size);
    nerv_pixels_planes(&rgb, plane);
    const NervFrame frame = { { picture }, { (int32_t)plane[0].stride } };
    if (!nerv_decoder_set_output(dec, &rgb, error) || !nerv_decoder_render(dec, &frame, error))
        return false;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize n = DIGEST;
    g_checksum_update(sum, picture, (gssize)size);
    g_checksum_get_digest(sum, digest, &n);
    return true;
}

static bool play(Run *run, GError **error)
{
    const GArray *frames = run->file.frames;
    NervDecoder *dec = decoder_new(error);
    bool ok = dec != NULL;
    const double start = now();
    size_t at = 0;
    for (guint i = 0; ok && i < frames->len; i++) {
        const size_t end = g_array_index(frames, NervFileFrame, i).end;
        ok = show(dec, run->file.data + at, end - at, run->digests + (size_t)i * DIGEST, error);
        at = end;
    }
    run->sequential = (now() - start) / frames->len;
    nerv_decoder_free(dec);
    return ok;
}

/* warm: a decoder that keeps the network, and nothing computed ahead. */
static bool jump(Run *run, Access *a, NervDecoder *warm, GError **error)
{
    const NervFileFrame *f = &g_array_index(run->file.frames, NervFileFrame, a->frame);
    const uint8_t *want = run->digests + (size_t)a->frame * DIGEST;
    GByteArray *alone = nerv_file_alone(&run->file, a->frame, &a->keyframe_bytes);
    uint8_t digest[2][DIGEST];
    double start = now();
    NervDecoder *dec = decoder_new(error);
    bool ok = dec && show(dec, alone->data, alone->len, digest[0], error);
    a->cold = now() - start;
    nerv_decoder_free(dec);
    nerv_decoder_reset(warm);
    start = now();
    ok = ok && show(warm, alone->data, alone->len, digest[1], error);
    a->warm = now() - start;
    a->bytes = alone->len;
    a->network_bytes =
        nerv_unit_bytes(g_array_index(run->file.segments, NervFileSegment, f->segment).network.payload_bytes);
    a->from_sync = f->end - g_array_index(run->file.segments, NervFileSegment, f->segment).at;
    a->is_equal = ok && !memcmp(digest[0], want, DIGEST) && !memcmp(digest[1], want, DIGEST);
    g_byte_array_unref(alone);
    return ok;
}

static bool jump_about(Run *run, GError **error)
{
    NervDecoder *warm = decoder_new(error);
    NervRng rng;
    nerv_rng_init(&rng, (uint64_t)opt_seed);
    /* the first makes the plan that the others find there */
    Access first = { .frame = 0 };
    bool ok = warm && jump(run, &first, warm, error);
    const guint n = run->file.frames->len;
    g_autofree guint *order = g_new(guint, n);
    for (guint i = 0; i < n; i++)
        order[i] = i;
    /* each frame once before one comes again */
    for (guint i = 0; ok && i < (guint)opt_count; i++) {
        const guint at = i % n, other = at + nerv_rng_below(&rng, n - at), frame = order[other];
        order[other] = order[at];
        order[at] = run->access[i].frame = frame;
        ok = jump(run, &run->access[i], warm, error);
    }
    nerv_decoder_free(warm);
    return ok;
}

/* --- results --- */

static int count_different(const Run *run)
{
    int n = 0;
    for (int i = 0; i < opt_count; i++)
        n += !run->access[i].is_equal;
    return n;
}

/* What is summed up of all accesses. */
typedef struct {
    double bytes, network_bytes, keyframe_bytes, from_sync; /* means */
    double cold, warm;                                      /* medians, seconds */
} Summary;

static Summary sum_up(const Run *run)
{
    double cold[MAX_COUNT], warm[MAX_COUNT];
    Summary s = { 0 };
    for (int i = 0; i < opt_count; i++) {
        const Access *a = &run->access[i];
        s.bytes += (double)a->bytes / opt_count;
        s.network_bytes += (double)a->network_bytes / opt_count;
        s.keyframe_bytes += (double)a->keyframe_bytes / opt_count;
        s.from_sync += (double)a->from_sync / opt_count;
        cold[i] = a->cold;
        warm[i] = a->warm;
    }
    s.cold = rounds_median(cold, (uint32_t)opt_count);
    s.warm = rounds_median(warm, (uint32_t)opt_count);
    return s;
}

static void print(const Run *run)
{
    const NervFileSegment *first = &g_array_index(run->file.segments, NervFileSegment, 0);
    g_autofree char *text = nerv_model_describe(first->model);
    const Summary s = sum_up(run);
    const double file = (double)run->file.bytes, frames = run->file.frames->len;
    g_print("%s\n%u segments, %.0f frames, %.0f bytes\n", text, run->file.segments->len, frames, file);
    g_print("in sequence    %10.0f bytes a frame              %8.2f ms a frame\n", file / frames,
            run->sequential * 1e3);
    g_print("alone, cold    %10.0f bytes, %.0f of keyframes    %8.2f ms, network and plan included: %.1f "
            "frames\n",
            s.bytes, s.keyframe_bytes, s.cold * 1e3, s.cold / run->sequential);
    g_print("alone, warm    %10.0f bytes beside the network    %8.2f ms: %.1f frames\n",
            s.bytes - s.network_bytes, s.warm * 1e3, s.warm / run->sequential);
    g_print("from the sync point on it would be %.0f bytes, %.1f %% of the file\n", s.from_sync,
            100. * s.from_sync / file);
    g_print("%d of %d frames are what they are in sequence\n", opt_count - count_different(run), opt_count);
}

static void json_accesses(Json *j, const Run *run)
{
    json_open(j, "frames", '[');
    for (int i = 0; i < opt_count; i++) {
        const Access *a = &run->access[i];
        json_open(j, NULL, '{');
        json_integer(j, "frame", a->frame);
        json_boolean(j, "equal", a->is_equal);
        json_integer(j, "bytes", (int64_t)a->bytes);
        json_integer(j, "network_bytes", (int64_t)a->network_bytes);
        json_integer(j, "keyframe_bytes", (int64_t)a->keyframe_bytes);
        json_integer(j, "bytes_from_sync", (int64_t)a->from_sync);
        json_number(j, "cold_seconds", a->cold);
        json_number(j, "warm_seconds", a->warm);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static bool write_json(const Run *run, GError **error)
{
    const NervFileSegment *first = &g_array_index(run->file.segments, NervFileSegment, 0);
    g_autofree char *model = nerv_model_describe(first->model);
    const Summary s = sum_up(run);
    Json j;
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(&j, "device", opt_device);
    json_integer(&j, "threads", opt_threads);
    json_string(&j, "model", model);
    json_integer(&j, "stream_bytes", (int64_t)run->file.bytes);
    json_integer(&j, "stream_frames", run->file.frames->len);
    json_integer(&j, "segments", run->file.segments->len);
    json_number(&j, "sequential_seconds", run->sequential);
    json_number(&j, "mean_bytes", s.bytes);
    json_number(&j, "mean_network_bytes", s.network_bytes);
    json_number(&j, "mean_keyframe_bytes", s.keyframe_bytes);
    json_number(&j, "mean_bytes_from_sync", s.from_sync);
    json_number(&j, "median_cold_seconds", s.cold);
    json_number(&j, "median_warm_seconds", s.warm);
    json_integer(&j, "different", count_different(run));
    json_accesses(&j, run);
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    return g_file_set_contents(opt_json, text, -1, error);
}

static int measure(GError **error)
{
    Run run = { .digests = NULL };
    if (!nerv_file_read(&run.file, opt_files[0], error))
        return FAILED;
    run.digests = g_malloc0((size_t)run.file.frames->len * DIGEST);
    bool ok = play(&run, error) && jump_about(&run, error);
    if (ok)
        print(&run);
    ok = ok && (!opt_json || write_json(&run, error));
    const int status = !ok ? FAILED : count_different(&run) ? DIFFERENT : DONE;
    if (status == DIFFERENT)
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%d frames differ", count_different(&run));
    g_free(run.digests);
    nerv_file_clear(&run.file);
    return status;
}

/* --- inits --- */

static void show_init(const char *name, const NervInit *init)
{
    const NervClip *clip = &init->model->clip;
    g_autofree char *hash = nerv_init_name(init->hash), *model = nerv_model_describe(init->model);
    g_print("%s\n  hash     %s\n  network  %s\n  frames   %d of %d x %d\n  origin   %s\n", name, hash, model,
            clip->n_frames, clip->width, clip->height, init->provenance);
}

static int show_inits(GError **error)
{
    for (uint32_t i = 0; !opt_files && i < nerv_n_builtin_files; i++) {
        const NervInit *init = nerv_builtin_init(i);
        if (init)
            show_init(nerv_builtin_files[i].name, init);
    }
    for (char **name = opt_files; name && *name; name++) {
        g_autoptr(NervInit) init = nerv_init_load(*name, error);
        if (!init)
            return FAILED;
        show_init(*name, init);
    }
    return DONE;
}

static bool check_arguments(GError **error)
{
    if (opt_inits)
        return true;
    if (!opt_files || g_strv_length(opt_files) != 1 || !*opt_device) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    !*opt_device && opt_files ? "--device has an empty name" : "there is not one file");
        return false;
    }
    return bench_check_int("count", opt_count, 1, MAX_COUNT, error) &&
           bench_check_int("threads", opt_threads, 0, BENCH_MAX_THREADS, error) &&
           (!opt_json || bench_check_output("json", opt_json, error));
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    g_autoptr(GOptionContext) context = g_option_context_new(
        "FILE.nerv | --inits [FILE.init...] - random access and what it costs, or what inits there are");
    g_autoptr(GError) error = NULL;
    int status = WRONG_ARGUMENTS;
    g_option_context_add_main_entries(context, options, NULL);
    if (g_option_context_parse(context, &argc, &argv, &error) && check_arguments(&error))
        status = opt_inits ? show_inits(&error) : measure(&error);
    if (status != DONE)
        g_printerr("nerv-access: %s\n", error ? error->message : "failed");
    return status;
}

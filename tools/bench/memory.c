/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Memory, see memory.h. A process's peak includes all that ever was in it, hence a new process for each line. The decoder is
 * libnerv's own on a stream of a few frames, which takes an epoch of training to make and is made in this process: on the first frame
 * alone, and on all in order, where frames ahead and lanes take memory of their own.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "machine.h"
#include "memory.h"
#include "nerv.h"
#include "net.h"

#define PLAYED   12 /* frames: more than are ever ahead */
#define FRAME_NS INT64_C(40000000)

/* --- in the child --- */

static void say(uint64_t planned)
{
    g_print("planned %" G_GUINT64_FORMAT " resident %" G_GINT64_FORMAT "\n", planned, bench_rss_peak_bytes());
}

static bool train(const char *device, guint threads, const BenchPreset *preset, uint32_t batch,
                  GError **error)
{
    NervModel *model = bench_preset_model(preset, error);
    NervBackend *be = model ? nerv_backend_open(device, threads, error) : NULL;
    BenchNet *net = be ? bench_net_new(be, model, BENCH_TRAIN, batch, error) : NULL;
    const bool ok = net && bench_net_run(net, BENCH_TRAIN, 0, error) >= 0;
    if (ok)
        say(bench_net_bytes(net, BENCH_TRAIN));
    bench_net_free(net);
    nerv_backend_free(be);
    nerv_model_free(model);
    return ok;
}

/* A picture in memory of its own, in the format of `pixels`. */
static uint8_t *frame_new(const NervPixels *pixels, NervFrame *frame)
{
    NervPlane planes[3];
    uint8_t *memory = g_malloc0(nerv_pixels_bytes(pixels));
    const int n = nerv_pixels_planes(pixels, planes);
    *frame = (NervFrame){ { NULL }, { 0 } };
    for (int i = 0; i < n; i++) {
        frame->data[i] = memory + planes[i].offset;
        frame->stride[i] = planes[i].stride;
    }
    return memory;
}

/* The first frame, which has been sent, and those that follow in order, as nervdec plays them. */
static bool decode_all(NervDecoder *dec, const uint8_t *data, gsize bytes, const NervFrame *frame,
                       GError **error)
{
    NervAccessUnit au;
    NervDecodedInfo info;
    size_t need;
    bool ok = true;
    for (gsize pos = 0;
         ok && pos < bytes && nerv_access_unit_scan(data + pos, bytes - pos, &au, &need) == NERV_SCAN_OK;
         pos += au.bytes)
        ok = (pos == 0 || nerv_decoder_send(dec, data + pos, au.bytes, &info, error)) &&
             nerv_decoder_render(dec, frame, error);
    return ok;
}

/* The bytes of the first access unit; 0 with an error. */
static gsize first_unit(const uint8_t *data, gsize bytes, GError **error)
{
    NervAccessUnit au;
    size_t need;
    if (nerv_access_unit_scan(data, bytes, &au, &need) == NERV_SCAN_OK)
        return au.bytes;
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the stream does not begin with an access unit");
    return 0;
}

static bool decode(const char *file, bool all, const char *device, guint threads, GError **error)
{
    g_autofree char *text = NULL;
    gsize bytes, first;
    NervDecoderSettings settings;
    NervDecodedInfo info;
    NervVideoInfo video;
    NervFrame frame;
    NervDecoderStats stats;
    bool ok = false;
    if (!g_file_get_contents(file, &text, &bytes, error))
        return false;
    const uint8_t *data = (const uint8_t *)text;
    nerv_decoder_settings_init(&settings);
    g_free(settings.device);
    settings.device = g_strdup(device);
    settings.threads = threads;
    NervDecoder *dec = nerv_decoder_new(&settings, error);
    if (dec && (first = first_unit(data, bytes, error)) &&
        nerv_decoder_send(dec, data, first, &info, error)) {
        nerv_decoder_get_info(dec, &video);
        g_autofree uint8_t *picture = frame_new(&video.pixels, &frame);
        ok = all ? decode_all(dec, data, bytes, &frame, error) : nerv_decoder_render(dec, &frame, error);
        nerv_decoder_get_stats(dec, &stats);
        if (ok)
            say(stats.peak_bytes);
    }
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&settings);
    return ok;
}

bool bench_memory_child(const char *what, const char *device, guint threads, const BenchPreset *preset,
                        uint32_t batch, GError **error)
{
    if (g_str_has_prefix(what, "decode:"))
        return decode(what + strlen("decode:"), false, device, threads, error);
    if (g_str_has_prefix(what, "play:"))
        return decode(what + strlen("play:"), true, device, threads, error);
    return train(device, threads, preset, batch, error);
}

/* --- in the parent --- */

/* A stream of grey frames, fitted for one epoch. */
static GByteArray *make_stream(const char *device, guint threads, const BenchPreset *preset, GError **error)
{
    const NervVideoInfo info = {
        .pixels = { .format = NERV_PIXELS_I420,
                    .width = preset->width,
                    .height = preset->height,
                    .matrix = NERV_MATRIX_BT709 },
        .primaries = 2,
        .transfer = 2,
        .fps_n = 25,
        .fps_d = 1,
        .par_n = 1,
        .par_d = 1,
    };
    NervEncoderSettings settings;
    NervPacket packet;
    NervFrame frame;
    nerv_encoder_settings_init(&settings);
    g_free(settings.model);
    g_free(settings.device);
    settings.model = g_strdup(preset->model);
    settings.device = g_strdup(device);
    g_clear_pointer(&settings.model_options, g_variant_unref);
    settings.model_options = bench_preset_options(preset);
    settings.max_memory_bytes = UINT64_C(64) << 30;
    settings.epochs = 1;
    settings.threads = threads;
    NervEncoder *enc = nerv_encoder_new(&info, &settings, error);
    g_autofree uint8_t *picture = frame_new(&info.pixels, &frame);
    GByteArray *stream = g_byte_array_new();
    bool ok = enc != NULL;
    for (int i = 0; ok && i < PLAYED; i++)
        ok = nerv_encoder_send(enc, &frame, i * FRAME_NS, error);
    ok = ok && nerv_encoder_fit(enc, error);
    while (ok && nerv_encoder_get(enc, &packet)) {
        gsize bytes;
        const void *data = g_bytes_get_data(packet.data, &bytes);
        g_byte_array_append(stream, data, (guint)bytes);
        g_bytes_unref(packet.data);
    }
    nerv_encoder_free(enc);
    nerv_encoder_settings_clear(&settings);
    if (ok)
        return stream;
    g_byte_array_unref(stream);
    return NULL;
}

static bool run_child(const char *program, const char *what, const char *device, guint threads,
                      const BenchPreset *p, uint32_t batch, uint64_t bytes[2], GError **error)
{
    g_autofree char *child = g_strdup_printf("--memory-child=%s", what);
    g_autofree char *dev = g_strdup_printf("--device=%s", device);
    g_autofree char *n = g_strdup_printf("--threads=%u", threads);
    g_autofree char *b = g_strdup_printf("--batch=%u", batch);
    g_autofree char *model = g_strdup_printf("--model=%s", p->model);
    g_autofree char *opts = g_strdup_printf("--model-options=%s", p->options);
    g_autofree char *size = g_strdup_printf("--size=%dx%d", p->width, p->height);
    char *argv[] = { (char *)program, child, dev, n, b, model, opts, size, NULL };
    g_autofree char *out = NULL, *err = NULL;
    int status = 1;
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &err, &status, error))
        return false;
    if (status == 0 &&
        sscanf(out, "planned %" G_GUINT64_FORMAT " resident %" G_GUINT64_FORMAT, &bytes[0], &bytes[1]) == 2)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "measuring the memory of \"%s\" failed: %s", what,
                g_strchomp(err));
    return false;
}

static void report(Json *j, const char *what, const uint64_t bytes[2])
{
    json_open(j, what, '{');
    json_integer(j, "planned_bytes", (int64_t)bytes[0]);
    json_integer(j, "resident_bytes", (int64_t)bytes[1]);
    json_close(j, '}');
    g_print("  memory   %-12s planned %9.1f MiB, resident in its own process at most %9.1f MiB\n", what,
            (double)bytes[0] / 0x1p20, (double)bytes[1] / 0x1p20);
}

bool bench_memory(Json *j, const char *program, const char *device, guint threads, const BenchPreset *preset,
                  uint32_t batch, GError **error)
{
    uint64_t training[2], decoding[2], playing[2];
    g_autofree char *file = NULL;
    const int fd = g_file_open_tmp("nerv-bench-XXXXXX.nerv", &file, error);
    if (fd < 0)
        return false;
    close(fd);
    g_autofree char *one = g_strconcat("decode:", file, NULL);
    g_autofree char *all = g_strconcat("play:", file, NULL);
    g_autoptr(GByteArray) stream = make_stream(device, threads, preset, error);
    bool ok = stream && g_file_set_contents(file, (const char *)stream->data, (gssize)stream->len, error);
    ok = ok && run_child(program, "train", device, threads, preset, batch, training, error) &&
         run_child(program, one, device, threads, preset, batch, decoding, error) &&
         run_child(program, all, device, threads, preset, batch, playing, error);
    g_unlink(file);
    if (!ok)
        return false;
    json_open(j, "memory", '{');
    report(j, "train", training);
    report(j, "decode", decoding);
    report(j, "decode_ahead", playing);
    json_close(j, '}');
    return true;
}

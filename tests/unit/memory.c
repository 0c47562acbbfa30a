/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoding where memory runs out, at every large allocation in its turn (../short.h), once and for good: each access unit is decoded as it should be or
 * refused with NERV_ERROR_MEMORY, the decoder goes on at the next sync point when there is memory again, and nothing is left at the end. Each trial is a process,
 * so that one that is ended by a failure is told from the others. Skipped (77) where allocations can't be made to fail.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../short.h"
#include "layers.h"
#include "nerv_pack.h"

#define W     64
#define H     48
#define BYTES (W * H * 3)

/* A process costs more there. */
#ifdef __SANITIZE_ADDRESS__
#define EVERY 5
#else
#define EVERY 1
#endif

typedef struct {
    const char *name, *model, *options;
    uint32_t segment_frames, n_frames;
    void (*set)(NervEncoderSettings *s);
} Stream;

static const NervVideoInfo video = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                     .primaries = 2,
                                     .transfer = 2,
                                     .fps_n = 25,
                                     .fps_d = 1,
                                     .par_n = 1,
                                     .par_d = 1 };
static char *init; /* a file */

static void paint(uint8_t *rgb, uint32_t frame)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = (uint8_t)(128 + 100 * sin(.2 * x + .02 * frame + .3 * y + c));
}

/* A segment whose weights are stored as codes, with a minimum and a scale for each channel and place, or in all. */
static void pack(const Stream *stream, GPtrArray *packets)
{
    GError *error = NULL;
    NervPacket packet;
    NervPack *p =
        nerv_pack_new(&video, stream->segment_frames, stream->model, stream->options, NULL, 0, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < nerv_pack_n_tensors(p); i++) {
        NervPackTensor t;
        nerv_pack_describe(p, i, &t);
        const int32_t n = t.shape[0] * t.shape[1] * t.shape[2] * t.shape[3];
        g_autofree uint8_t *codes = g_malloc(n);
        g_autofree float *minimum = g_new(float, n), *scale = g_new(float, n);
        for (int32_t j = 0; j < n; j++) {
            codes[j] = (uint8_t)(j * 7919 >> 3);
            minimum[j] = -.25f;
            scale[j] = .5f / 255.f;
        }
        t.bits = 8;
        t.mask = t.shape[0] > 1 && t.shape[2] > 1 ? 2 | 4 | 8 : 0;
        t.codes = codes;
        t.minimum = minimum;
        t.scale = scale;
        nerv_pack_set_tensor(p, &t, &error);
        g_assert_no_error(error);
    }
    nerv_pack_finish(p, 20, 6, &error);
    g_assert_no_error(error);
    while (nerv_pack_get(p, &packet))
        g_ptr_array_add(packets, packet.data);
    nerv_pack_free(p);
}

/* In place of settings: there is nothing to fit. */
static void stored(NervEncoderSettings *s)
{
}

static GPtrArray *encode(const Stream *stream)
{
    GPtrArray *packets = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    uint8_t rgb[BYTES];
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    NervEncoderSettings s;
    NervPacket packet;
    GError *error = NULL;
    if (stream->set == stored) {
        for (uint32_t i = 0; i < stream->n_frames; i += stream->segment_frames)
            pack(stream, packets);
        return packets;
    }
    nerv_encoder_settings_init(&s);
    g_free(s.model);
    s.model = g_strdup(stream->model);
    s.model_options = g_variant_ref_sink(g_variant_new_parsed(stream->options));
    s.segment_frames = stream->segment_frames;
    s.epochs = 8;
    s.threads = 2;
    s.tune = NERV_TUNE_PSNR;
    s.init = NERV_INIT_NONE;
    s.warm_start = NERV_WARM_START_NONE;
    g_free(s.device);
    s.device = g_strdup("cpu");
    if (stream->set)
        stream->set(&s);
    NervEncoder *enc = nerv_encoder_new(&video, &s, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < stream->n_frames; i++) {
        paint(rgb, i);
        nerv_encoder_send(enc, &frame, i * INT64_C(40000000), &error);
        g_assert_no_error(error);
        if (nerv_encoder_is_full(enc) || i == stream->n_frames - 1)
            nerv_encoder_fit(enc, &error);
        g_assert_no_error(error);
        while (nerv_encoder_get(enc, &packet))
            g_ptr_array_add(packets, packet.data);
    }
    nerv_encoder_free(enc);
    nerv_encoder_settings_clear(&s);
    return packets;
}

/* Whether the error is one that a shortage explains. What a segment's loss leaves is NEED_SYNC. */
static void check_error(const GError *error, const char *what, uint32_t i)
{
    if (error && !g_error_matches(error, NERV_ERROR, NERV_ERROR_MEMORY) &&
        !g_error_matches(error, NERV_ERROR, NERV_ERROR_NEED_SYNC))
        g_error("%s %u: %s", what, i, error->message);
}

/* One pass over the stream; what is decoded is compared with `pictures`, or written there. Returns the number of frames. */
static uint32_t play(NervDecoder *dec, GPtrArray *packets, uint8_t *pictures, bool compare)
{
    uint8_t rgb[BYTES];
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    uint32_t n = 0;
    for (uint32_t i = 0; i < packets->len; i++) {
        GError *error = NULL;
        NervDecodedInfo info;
        gsize bytes;
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(packets, i), &bytes);
        const bool sent = nerv_decoder_send(dec, data, bytes, &info, &error);
        check_error(error, "unit", i);
        const bool shown = sent && nerv_decoder_render(dec, &frame, &error);
        check_error(error, "frame", i);
        g_assert_true(shown == !error);
        g_clear_error(&error);
        if (!shown)
            continue;
        n++;
        if (!compare)
            memcpy(pictures + (size_t)i * BYTES, rgb, BYTES);
        else if (memcmp(pictures + (size_t)i * BYTES, rgb, BYTES))
            g_error("frame %u is another", i);
    }
    return n;
}

static NervDecoder *decoder_new(GError **error)
{
    NervDecoderSettings s;
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup("cpu");
    s.threads = 2;
    s.init_location = g_strdup(init);
    NervDecoder *dec = nerv_decoder_new(&s, error);
    nerv_decoder_settings_clear(&s);
    return dec;
}

/* In a process of its own. What is compared is whole: a failure must not cost other frames than those that it met. */
static void try_once(GPtrArray *packets, uint8_t *pictures, unsigned first, bool all)
{
    GError *error = NULL;
    short_begin(first, all);
    NervDecoder *dec = decoder_new(&error);
    check_error(error, "decoder", 0);
    g_assert_true(dec || error);
    g_clear_error(&error);
    if (dec)
        play(dec, packets, pictures, true);
    short_end();
    if (dec && play(dec, packets, pictures, true) != packets->len)
        g_error("there is memory again, and frames are missing");
    nerv_decoder_free(dec);
}

/* What libraries keep for ever, of a failure or of a thread, is there behind the first few; what leaks becomes more each time. */
static void try_often(GPtrArray *packets, uint8_t *pictures, unsigned first, bool all)
{
    long more = 1;
    for (int i = 0; i < 6 && more > 0; i++) {
        const long before = short_live();
        try_once(packets, pictures, first, all);
        more = short_live() - before;
    }
    if (more > 0)
        g_error("%ld blocks are left", more);
}

static bool passes(GPtrArray *packets, uint8_t *pictures, unsigned first, bool all)
{
    int status = 0;
    const pid_t child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        alarm(100);
        try_often(packets, pictures, first, all);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return status == 0;
}

/* Counts in a process of its own, too: threads must not run when it is cloned. */
static void test_stream(gconstpointer data)
{
    const Stream *stream = data;
    GPtrArray *packets = encode(stream);
    g_autofree uint8_t *pictures = g_malloc0((gsize)packets->len * BYTES);
    unsigned n_failed = 0;
    g_assert_cmpuint(packets->len, ==, stream->n_frames);
    for (int i = 0; i < 2; i++) { /* the second one finds what the libraries keep */
        short_begin(0, false);
        NervDecoder *dec = decoder_new(NULL);
        g_assert_cmpuint(play(dec, packets, pictures, i > 0), ==, packets->len);
        nerv_decoder_free(dec);
    }
    const unsigned n = short_end();
    g_assert_cmpuint(n, >, 10);
    for (int all = 0; all < 2; all++)
        for (unsigned first = 1; first <= n; first += EVERY)
            if (!passes(packets, pictures, first, all)) {
                g_printerr("%s: allocation %u of %u%s\n", stream->name, first, n,
                           all ? " and all behind it" : "");
                n_failed++;
            }
    g_test_message("%u allocations", n);
    g_assert_cmpuint(n_failed, ==, 0);
    g_ptr_array_unref(packets);
}

static void residual(NervEncoderSettings *s)
{
    s->init = NERV_INIT_PREVIOUS;
    s->warm_start = NERV_WARM_START_RESIDUAL;
}

static void huffman(NervEncoderSettings *s)
{
    s->rate_weight = 0.;
    s->coding = NERV_CODING_HUFFMAN;
}

static void delta(NervEncoderSettings *s)
{
    s->init = NERV_INIT_BUILTIN;
    s->weight_deltas = true;
    s->init_location = g_strdup(init);
}

#define GRIDS "{'grids': <'3x4/2x2/1x2'>, 'strides': <[4, 2]>, 'widths': <[24, 16]>, 'kernels': <[3, 3]>}"
static const Stream streams[] = {
    { "grids", "nerv-grid", GRIDS, 4, 10, NULL },
    { "mlp", "nerv-mlp", "{'stem': <32>, 'base-channels': <4>, 'widths': <[12, 8]>, 'strides': <[4, 2]>}", 3,
      6, huffman },
    { "residual", "nerv-grid", GRIDS, 2, 6, residual },
    { "keyframes", "dnerv", "{'weights': <4000>, 'clip-frames': <2>, 'keyframe-interval': <4>}", 8, 16,
      NULL },
    { "delta", "nerv-grid", GRIDS, 4, 4, delta },
    { "stored", "nerv-grid", GRIDS, 3, 6, stored },
};

static void make_init(void)
{
    const NervClip clip = { W, H, 4 };
    g_autofree char *folder = g_dir_make_tmp("nerv-memory-XXXXXX", NULL);
    GPtrArray *packets = encode(&streams[0]);
    gsize bytes;
    const uint8_t *data = g_bytes_get_data(g_ptr_array_index(packets, 0), &bytes);
    init = g_build_filename(folder, "a.init", NULL);
    layers_to_init(data, bytes, &clip, init);
    g_ptr_array_unref(packets);
}

int main(int argc, char **argv)
{
    /* GLib's own lists of free blocks would look like leaks. */
    if (!g_getenv("G_SLICE")) {
        g_setenv("G_SLICE", "always-malloc", TRUE);
        execv("/proc/self/exe", argv);
    }
    g_test_init(&argc, &argv, NULL);
#ifdef __SANITIZE_THREAD__
    return 77; /* hundreds of clones of a process take it minutes, and say nothing about threads */
#endif
    if (!short_works())
        return 77;
    make_init();
    for (guint i = 0; i < G_N_ELEMENTS(streams); i++) {
        g_autofree char *path = g_strconcat("/memory/", streams[i].name, NULL);
        g_test_add_data_func(path, &streams[i], test_stream);
    }
    const int status = g_test_run();
    g_autofree char *folder = g_path_get_dirname(init);
    g_unlink(init);
    g_rmdir(folder);
    g_free(init);
    return status;
}

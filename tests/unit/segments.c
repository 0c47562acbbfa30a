/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A decoder keeps plan, memory and threads from segment to segment where only the weights differ, and everything where the
 * network is the same once more. Whatever came before, at whatever moment it was left, a frame is that of a decoder that has
 * seen nothing else; and what is kept is counted. The argument names the device; skipped (77) without one.
 */
#include <string.h>

#include "codec/renderer.h"
#include "codec/units.h"
#include "codec/weights.h"
#include "device.h"

#define W        64
#define H        36
#define BYTES    (W * H * 4)
#define MAX_LEN  9
#define N_ORDERS 40

static const char *device;
static bool has_lanes;

/* Of these networks the first is most of the stream. The second has the first's shapes and another encoding of the frame's number. */
static const char *const configs[] = {
    "{'stem': <16>, 'base-channels': <6>, 'widths': <[8, 6]>, 'strides': <[3, 2]>}",
    "{'stem': <16>, 'base-channels': <6>, 'widths': <[8, 6]>, 'strides': <[3, 2]>, 'pe-base': <1.5>}",
    "{'stem': <12>, 'base-channels': <4>, 'widths': <[6, 4]>, 'strides': <[2, 2]>}",
};

typedef struct {
    int config;
    uint64_t seed;
    uint32_t n_frames;
} Kind;

static const Kind kinds[] = {
    { 0, 1, 9 }, { 0, 2, 9 }, { 2, 3, 7 }, { 0, 4, 5 }, /* another length */
    { 0, 1, 6 },                                        /* the first's weights, another length */
    { 1, 1, 9 }, { 0, 5, 9 }, { 2, 6, 7 }, { 0, 7, 9 },
};
#define N_SEGMENTS G_N_ELEMENTS(kinds)

static const int formats[] = { NERV_PIXELS_RGBX, NERV_PIXELS_BGRX };

typedef struct {
    GBytes *unit[MAX_LEN];
    uint8_t *want[G_N_ELEMENTS(formats)][MAX_LEN];
} Segment;

static Segment segments[N_SEGMENTS];

/* --- making --- */

static NervModel *model_new(const Kind *kind)
{
    const NervClip clip = { W, H, (int32_t)kind->n_frames };
    GError *error = NULL;
    g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed(configs[kind->config]));
    NervModel *model = nerv_model_new("nerv-mlp", options, &clip, &error);
    g_assert_no_error(error);
    return model;
}

static float *weights_new(const NervModel *model, uint64_t seed)
{
    float *weights = g_new(float, model->n_weights);
    nerv_model_init_params(model, seed, weights);
    for (int64_t i = 0; i < model->n_weights; i++)
        weights[i] *= 3.f; /* so that frames differ much */
    return weights;
}

static void add_unit(GByteArray *out, NervUnitType type, NervBitWriter *w)
{
    nerv_unit_write(out, type, w->bytes->data, w->bytes->len);
    nerv_writer_clear(w);
}

static void add_sync_units(GByteArray *out, const Kind *kind, uint32_t id)
{
    const NervSequence s = { .version = NERV_STREAM_VERSION,
                             .segment_id = id,
                             .n_frames = kind->n_frames,
                             .width = W,
                             .height = H,
                             .fps_n = 25,
                             .fps_d = 1,
                             .par_n = 1,
                             .par_d = 1 };
    GError *error = NULL;
    NervBitWriter w;
    NervModel *model = model_new(kind);
    g_autofree float *weights = weights_new(model, kind->seed);
    nerv_writer_init(&w);
    nerv_sequence_write(&s, &w);
    add_unit(out, NERV_UNIT_SEQUENCE, &w);
    nerv_writer_init(&w);
    nerv_network_write(model, weights, 8, &w, &error);
    g_assert_no_error(error);
    add_unit(out, NERV_UNIT_NETWORK, &w);
    nerv_model_free(model);
}

static NervDecoder *decoder_new(uint32_t threads, uint64_t max_memory)
{
    NervDecoderSettings ds;
    GError *error = NULL;
    nerv_decoder_settings_init(&ds);
    g_free(ds.device);
    ds.device = g_strdup(device);
    ds.threads = threads;
    ds.max_memory_bytes = max_memory;
    NervDecoder *dec = nerv_decoder_new(&ds, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_clear(&ds);
    return dec;
}

static void send(NervDecoder *dec, const Segment *s, uint32_t frame)
{
    GError *error = NULL;
    NervDecodedInfo info;
    gsize size;
    const uint8_t *data = g_bytes_get_data(s->unit[frame], &size);
    nerv_decoder_send(dec, data, size, &info, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(info.index, ==, frame);
}

static void render(NervDecoder *dec, int format, uint8_t *dst)
{
    GError *error = NULL;
    NervVideoInfo info;
    const NervFrame planes = { .data = { dst }, .stride = { W * 4 } };
    nerv_decoder_get_info(dec, &info);
    info.pixels.format = format;
    memset(dst, 0x55, BYTES);
    nerv_decoder_set_output(dec, &info.pixels, &error);
    g_assert_no_error(error);
    nerv_decoder_render(dec, &planes, &error);
    g_assert_no_error(error);
}

static void render_and_check(NervDecoder *dec, const Segment *s, uint32_t frame, int f)
{
    uint8_t got[BYTES];
    render(dec, formats[f], got);
    g_assert_cmpint(memcmp(got, s->want[f][frame], BYTES), ==, 0);
}

static NervDecoderStats stats_of(NervDecoder *dec)
{
    NervDecoderStats stats;
    nerv_decoder_get_stats(dec, &stats);
    return stats;
}

static void make_segment(Segment *s, const Kind *kind, uint32_t id)
{
    for (uint32_t i = 0; i < kind->n_frames; i++) {
        const NervFrameHeader header = { id & 0xff, i, 0 };
        GByteArray *out = g_byte_array_new();
        NervBitWriter w;
        if (i == 0)
            add_sync_units(out, kind, id);
        nerv_writer_init(&w);
        nerv_frame_write(&header, &w);
        add_unit(out, NERV_UNIT_FRAME, &w);
        s->unit[i] = g_byte_array_free_to_bytes(out);
    }
    for (size_t f = 0; f < G_N_ELEMENTS(formats); f++) {
        NervDecoder *fresh = decoder_new(1, 0);
        for (uint32_t i = 0; i < kind->n_frames; i++) {
            send(fresh, s, i);
            render(fresh, formats[f], s->want[f][i] = g_malloc(BYTES));
        }
        nerv_decoder_free(fresh);
    }
}

static void make_segments(void)
{
    for (uint32_t i = 0; i < N_SEGMENTS; i++) {
        make_segment(&segments[i], &kinds[i], i);
        for (uint32_t j = 0; j < i; j++)
            g_assert_cmpint(memcmp(segments[i].want[0][3], segments[j].want[0][3], BYTES), !=, 0);
    }
}

static void free_segments(void)
{
    for (uint32_t i = 0; i < N_SEGMENTS; i++) {
        for (uint32_t j = 0; j < kinds[i].n_frames; j++) {
            g_bytes_unref(segments[i].unit[j]);
            for (size_t f = 0; f < G_N_ELEMENTS(formats); f++)
                g_free(segments[i].want[f][j]);
        }
    }
}

/* --- tests --- */

/* All segments from front to back and back to front, each frame of each. */
static void test_play(void)
{
    for (uint32_t threads = 1; threads <= (has_lanes ? 4 : 1); threads++) {
        NervDecoder *dec = decoder_new(threads, 0);
        for (uint32_t k = 0; k < 2 * N_SEGMENTS; k++) {
            const bool back = k >= N_SEGMENTS;
            const uint32_t at = back ? 2 * N_SEGMENTS - 1 - k : k, n = kinds[at].n_frames;
            send(dec, &segments[at], 0);
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t frame = back ? n - 1 - i : i;
                send(dec, &segments[at], frame);
                render_and_check(dec, &segments[at], frame, 0);
            }
        }
        nerv_decoder_free(dec);
    }
}

/* Left at any moment, with frames under way, by a seek or without one, for a network that may be alike, another or the same. */
static void test_jumps(void)
{
    for (uint32_t threads = 1; threads <= (has_lanes ? 5 : 1); threads++) {
        NervDecoder *dec = decoder_new(threads, 0);
        for (int k = 0; k < N_ORDERS; k++) {
            const uint32_t at = (uint32_t)g_test_rand_int_range(0, N_SEGMENTS);
            const uint32_t n = kinds[at].n_frames, length = (uint32_t)g_test_rand_int_range(0, MAX_LEN);
            const int f = g_test_rand_int_range(0, 8) == 0;
            uint32_t frame = (uint32_t)g_test_rand_int_range(0, (gint32)n);
            if (g_test_rand_bit())
                nerv_decoder_reset(dec);
            send(dec, &segments[at], 0);
            for (uint32_t i = 0; i < length; i++, frame = (frame + 1) % n) {
                send(dec, &segments[at], frame);
                render_and_check(dec, &segments[at], frame, f);
            }
            if (g_test_rand_bit())
                g_usleep((gulong)g_test_rand_int_range(0, 500));
        }
        nerv_decoder_free(dec);
    }
}

/* One plan for networks that are alike, none read that is there already. */
static void test_kept(void)
{
    static const uint32_t order[] = { 0, 1, 3, 4, 6, 8, 8, 0, 2, 7, 7, 2, 5, 0 };
    static const uint32_t plans[] = { 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4 };
    static const uint32_t networks[] = { 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12 };
    NervDecoder *dec = decoder_new(2, 0);
    for (size_t k = 0; k < G_N_ELEMENTS(order); k++) {
        nerv_decoder_reset(dec);
        send(dec, &segments[order[k]], 0);
        for (uint32_t i = 0; i < 3; i++) {
            send(dec, &segments[order[k]], i);
            render_and_check(dec, &segments[order[k]], i, 0);
        }
        g_assert_cmpuint(stats_of(dec).plans, ==, plans[k]);
        g_assert_cmpuint(stats_of(dec).networks, ==, networks[k]);
        g_assert_cmpuint(stats_of(dec).segment_id, ==, order[k]);
    }
    nerv_decoder_free(dec);
}

/* A reset forgets the network as far as anyone can see; so does damage, after which nothing is kept. */
static void test_forgotten(void)
{
    NervDecoder *dec = decoder_new(2, 0);
    NervDecodedInfo info;
    GError *error = NULL;
    gsize size;
    uint8_t got[BYTES];
    const NervFrame planes = { .data = { got }, .stride = { W * 4 } };
    const uint8_t *frame = g_bytes_get_data(segments[0].unit[1], &size);
    send(dec, &segments[0], 0);
    render_and_check(dec, &segments[0], 0, 0);
    nerv_decoder_reset(dec);
    g_assert_false(nerv_decoder_render(dec, &planes, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    g_clear_error(&error);
    g_assert_false(nerv_decoder_send(dec, frame, size, &info, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC);
    g_clear_error(&error);

    /* the network unit of a segment with its model cut off, checks made right */
    GByteArray *out = g_byte_array_new();
    NervAccessUnit au;
    size_t need;
    const uint8_t *sync = g_bytes_get_data(segments[0].unit[0], &size);
    g_assert_cmpint(nerv_access_unit_scan(sync, size, &au, &need), ==, NERV_SCAN_OK);
    nerv_unit_write(out, NERV_UNIT_SEQUENCE, au.sequence.payload, au.sequence.payload_bytes);
    nerv_unit_write(out, NERV_UNIT_NETWORK, au.network.payload, au.network.payload_bytes - 9);
    nerv_unit_write(out, NERV_UNIT_FRAME, au.frame.payload, au.frame.payload_bytes);
    g_assert_false(nerv_decoder_send(dec, out->data, out->len, &info, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    g_clear_error(&error);
    g_byte_array_unref(out);
    g_assert_false(nerv_decoder_send(dec, frame, size, &info, NULL));
    send(dec, &segments[0], 0);
    render_and_check(dec, &segments[0], 0, 0);
    nerv_decoder_free(dec);
}

/* Where memory is too short for anything but one network and its plan, it is always enough for the next. */
static void test_short_memory(void)
{
    uint64_t need = 0;
    for (uint32_t i = 0; i < N_SEGMENTS; i++) {
        NervDecoder *one = decoder_new(2, 0);
        send(one, &segments[i], 0);
        render_and_check(one, &segments[i], 0, 0);
        need = MAX(need, stats_of(one).peak_bytes - stats_of(one).network_bytes);
        nerv_decoder_free(one);
    }
    NervDecoder *dec = decoder_new(2, need);
    for (uint32_t k = 0; k < 3 * N_SEGMENTS; k++) {
        const Segment *s = &segments[k % N_SEGMENTS];
        send(dec, s, 0);
        for (uint32_t i = 0; i < 3; i++) {
            send(dec, s, i);
            render_and_check(dec, s, i, 0);
        }
    }
    g_assert_cmpuint(stats_of(dec).peak_bytes, <=, need);
    nerv_decoder_free(dec);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    NervBackend *be = nerv_backend_open(device, 1, NULL);
    if (!be)
        return 77;
    has_lanes = nerv_backend_has_lanes(be);
    nerv_backend_free(be);
    make_segments();
    g_test_add_func("/segments/play", test_play);
    g_test_add_func("/segments/jumps", test_jumps);
    g_test_add_func("/segments/kept", test_kept);
    g_test_add_func("/segments/forgotten", test_forgotten);
    g_test_add_func("/segments/short-memory", test_short_memory);
    const int result = g_test_run();
    free_segments();
    return result;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Small streams of every kind for the reader's tests, their frames as a decoder shows them in sequence, and what is expected of readers of them.
 */
#pragma once

#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "codec/trailer.h"
#include "codec/walk.h"
#include "device.h"
#include "nerv_reader.h"

/* What streams are decoded on; they are made on the CPU. */
static const char *device = "cpu";

typedef struct {
    int32_t w, h;
    GByteArray *bytes;
    GArray *units;     /* size_t: where each access unit begins */
    GPtrArray *frames; /* R G B, w * h * 3 bytes each, as shown in sequence */
    GArray *pts;       /* int64_t */
} Stream;

typedef struct {
    const char *model, *options;
    int32_t w, h;
    uint32_t n_frames, segment_frames, epochs;
    NervWarmStart warm_start;
    double speed; /* of what moves in it */
} Recipe;

static inline void stream_free(Stream *s)
{
    g_byte_array_unref(s->bytes);
    g_array_unref(s->units);
    g_ptr_array_unref(s->frames);
    g_array_unref(s->pts);
    g_free(s);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stream, stream_free)

static inline Stream *stream_empty(int32_t w, int32_t h)
{
    Stream *s = g_new0(Stream, 1);
    s->w = w;
    s->h = h;
    s->bytes = g_byte_array_new();
    s->units = g_array_new(FALSE, FALSE, sizeof(size_t));
    s->frames = g_ptr_array_new_with_free_func(g_free);
    s->pts = g_array_new(FALSE, FALSE, sizeof(int64_t));
    return s;
}

static inline size_t unit_at(const Stream *s, guint i)
{
    return i < s->units->len ? g_array_index(s->units, size_t, i) : s->bytes->len;
}

static inline const uint8_t *shown(const Stream *s, guint i)
{
    return g_ptr_array_index(s->frames, i);
}

/* Waves that move; others from each eleventh frame on. */
static inline void paint(const Recipe *r, uint32_t f, uint8_t *rgb)
{
    const double t = r->speed * f, scene = f / 11;
    for (int y = 0; y < r->h; y++)
        for (int x = 0; x < r->w; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = (uint8_t)(128 + 50 * sin(.2 * x + t + scene + c) +
                                   50 * sin(.15 * y - 2 * t + .1 * x * (c + scene)));
}

static inline NervEncoder *encoder_of(const Recipe *r)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = r->w, .height = r->h },
                                 .primaries = 2,
                                 .transfer = 2,
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    NervEncoderSettings s;
    GError *error = NULL;
    nerv_encoder_settings_init(&s);
    g_free(s.model);
    g_free(s.device);
    s.model = g_strdup(r->model);
    s.device = g_strdup("cpu");
    s.model_options = r->options ? g_variant_ref_sink(g_variant_new_parsed(r->options)) : NULL;
    s.epochs = r->epochs;
    s.segment_frames = r->segment_frames;
    s.threads = 2;
    s.tune = NERV_TUNE_PSNR;
    s.init = r->warm_start == NERV_WARM_START_RESIDUAL ? NERV_INIT_BUILTIN : NERV_INIT_NONE;
    s.warm_start = r->warm_start;
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

static inline void take_packets(NervEncoder *enc, Stream *s)
{
    NervPacket packet;
    while (nerv_encoder_get(enc, &packet)) {
        gsize size;
        const size_t at = s->bytes->len;
        const uint8_t *data = g_bytes_get_data(packet.data, &size);
        g_array_append_val(s->units, at);
        g_byte_array_append(s->bytes, data, (guint)size);
        g_bytes_unref(packet.data);
    }
}

/* What a decoder shows of the bytes as they are; frames that it refuses are NULL. */
static inline void play(Stream *s)
{
    NervDecoderSettings ds;
    GError *error = NULL;
    nerv_decoder_settings_init(&ds);
    g_free(ds.device);
    ds.device = g_strdup(device);
    ds.threads = 2;
    NervDecoder *dec = nerv_decoder_new(&ds, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_clear(&ds);
    g_ptr_array_set_size(s->frames, 0);
    g_array_set_size(s->pts, 0);
    for (guint i = 0; i < s->units->len; i++) {
        uint8_t *rgb = g_malloc((gsize)s->w * s->h * 3);
        const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = s->w, .height = s->h };
        const NervFrame frame = { .data = { rgb }, .stride = { s->w * 3 } };
        NervDecodedInfo info;
        if (!nerv_decoder_send(dec, s->bytes->data + unit_at(s, i), unit_at(s, i + 1) - unit_at(s, i), &info,
                               NULL) ||
            !nerv_decoder_set_output(dec, &pixels, NULL) || !nerv_decoder_render(dec, &frame, NULL))
            g_clear_pointer(&rgb, g_free);
        g_ptr_array_add(s->frames, rgb);
        g_array_append_val(s->pts, info.pts_ns);
    }
    nerv_decoder_free(dec);
}

static inline Stream *stream_new(const Recipe *r)
{
    Stream *s = stream_empty(r->w, r->h);
    NervEncoder *enc = encoder_of(r);
    g_autofree uint8_t *rgb = g_malloc((gsize)r->w * r->h * 3);
    const NervFrame frame = { .data = { rgb }, .stride = { r->w * 3 } };
    GError *error = NULL;
    for (uint32_t f = 0; f < r->n_frames; f++) {
        paint(r, f, rgb);
        nerv_encoder_send(enc, &frame, f * INT64_C(40000000), &error);
        g_assert_no_error(error);
        if (!nerv_encoder_is_full(enc) && f + 1 < r->n_frames)
            continue;
        nerv_encoder_fit(enc, &error);
        g_assert_no_error(error);
    }
    take_packets(enc, s);
    nerv_encoder_free(enc);
    g_assert_cmpuint(s->units->len, ==, r->n_frames);
    play(s);
    return s;
}

/* --- bytes --- */

/* Puts the index of all bytes behind them. */
static inline void append_index(GByteArray *bytes)
{
    NervMemory memory = { bytes->data, bytes->len };
    NervIndex index;
    nerv_index_init(&index);
    g_assert_true(nerv_walk(&index, bytes->len, nerv_memory_read, &memory));
    g_autoptr(GBytes) unit = nerv_trailer_write(&index);
    gsize size;
    const uint8_t *data = g_bytes_get_data(unit, &size);
    g_byte_array_append(bytes, data, (guint)size);
    nerv_index_clear(&index);
}

static inline GByteArray *copy_of(const GByteArray *bytes, bool with_index)
{
    GByteArray *copy = g_byte_array_new();
    g_byte_array_append(copy, bytes->data, bytes->len);
    if (with_index)
        append_index(copy);
    return copy;
}

/* Where in the stream, from a place on, the next unit of a type stands; its size. */
static inline size_t find_unit(const GByteArray *bytes, size_t from, uint32_t type, size_t *size)
{
    while (from < bytes->len) {
        NervUnit unit;
        size_t need;
        g_assert_cmpint(nerv_unit_scan(bytes->data + from, bytes->len - from, &unit, &need), ==,
                        NERV_SCAN_OK);
        *size = unit.unit_bytes;
        if (unit.type == type)
            return from;
        from += unit.unit_bytes;
    }
    g_assert_not_reached();
}

/* --- the streams --- */

#define DNERV "{'clip-frames': <4>, 'keyframe-interval': <8>, 'widths': <[12, 8]>, 'strides': <[4, 2]>}"
#define GRID  "{'grids': <'3x4/2x2/1x2'>, 'strides': <[4, 2]>, 'widths': <[10, 8]>, 'kernels': <[1, 3]>}"

static const Recipe recipes[] = {
    { "nerv", GRID, 40, 24, 29, 8, 2, NERV_WARM_START_NONE, .1 },
    { "dnerv", DNERV, 64, 40, 27, 14, 2, NERV_WARM_START_NONE, .1 },
    { "nerv", NULL, 40, 24, 24, 6, 25, NERV_WARM_START_RESIDUAL, .002 },
};
enum { NERV, CLIPS, RESIDUAL, N_STREAMS };

static Stream *streams[N_STREAMS];

static inline void make_streams(void)
{
    for (int k = 0; k < N_STREAMS; k++)
        streams[k] = stream_new(&recipes[k]);
}

static inline void free_streams(void)
{
    for (int k = 0; k < N_STREAMS; k++)
        stream_free(streams[k]);
}

/* --- readers --- */

static inline NervReader *try_reader(const GByteArray *bytes, uint32_t threads, uint64_t max_memory,
                                     GError **error)
{
    NervReaderSettings s;
    nerv_reader_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup(device);
    s.threads = threads;
    s.max_memory_bytes = max_memory;
    g_autoptr(GBytes) copy = g_bytes_new(bytes->data, bytes->len);
    NervReader *r = nerv_reader_open_bytes(copy, &s, error);
    nerv_reader_settings_clear(&s);
    return r;
}

static inline NervReader *reader_new(const GByteArray *bytes, uint32_t threads)
{
    GError *error = NULL;
    NervReader *r = try_reader(bytes, threads, 0, &error);
    g_assert_no_error(error);
    return r;
}

static inline NervReaderInfo info_of(NervReader *r)
{
    NervReaderInfo info;
    nerv_reader_get_info(r, &info);
    return info;
}

static inline NervReaderStats stats_of(NervReader *r)
{
    NervReaderStats stats;
    nerv_reader_get_stats(r, &stats);
    return stats;
}

/* Packed codes. */
static inline NervTensorView packed(void *data, size_t n, size_t w, size_t h)
{
    return (NervTensorView){ .data = data,
                             .bytes = n * w * h * 3,
                             .element = NERV_ELEMENT_U8,
                             .strides = { n * w * h * 3, w * h * 3, w * 3, 3, 1 } };
}

/* Frame `frame` of the reader is frame `want` of the stream. */
static inline void expect_frame(NervReader *r, uint64_t frame, const Stream *s, guint want)
{
    const size_t bytes = (size_t)s->w * s->h * 3;
    g_autofree uint8_t *got = g_malloc(bytes);
    const NervTensorView view = packed(got, 1, (size_t)s->w, (size_t)s->h);
    GError *error = NULL;
    nerv_reader_read_frames(r, &frame, 1, &view, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(got, bytes, shown(s, want), bytes);
}

static inline void expect_failure(NervReader *r, uint64_t frame, const Stream *s, NervErrorCode code)
{
    g_autofree uint8_t *got = g_malloc((gsize)s->w * s->h * 3);
    const NervTensorView view = packed(got, 1, (size_t)s->w, (size_t)s->h);
    GError *error = NULL;
    g_assert_false(nerv_reader_read_frames(r, &frame, 1, &view, &error));
    g_assert_error(error, NERV_ERROR, (int)code);
    g_clear_error(&error);
}

/* Frames in random order, some several times, in one call. */
static inline void expect_random(NervReader *r, const Stream *s, size_t n)
{
    const size_t bytes = (size_t)s->w * s->h * 3;
    g_autofree uint64_t *frames = g_new(uint64_t, n);
    g_autofree uint8_t *got = g_malloc(n * bytes);
    const NervTensorView view = packed(got, n, (size_t)s->w, (size_t)s->h);
    GError *error = NULL;
    for (size_t i = 0; i < n; i++)
        frames[i] = (uint64_t)g_test_rand_int_range(0, (gint32)s->frames->len);
    nerv_reader_read_frames(r, frames, n, &view, &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < n; i++)
        g_assert_cmpmem(got + i * bytes, bytes, shown(s, (guint)frames[i]), bytes);
}

static inline void expect_all(NervReader *r, const Stream *s)
{
    g_assert_cmpuint(info_of(r).n_frames, ==, s->frames->len);
    for (guint i = 0; i < s->frames->len; i++)
        expect_frame(r, i, s, i);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writes the fuzz targets' seeds: fuzz-make-seeds DIR. Run it again whenever the bitstream changes, and commit the result
 * (tests/fuzz/seeds). Everything is drawn from fixed seeds: the same program writes the same files, keyframes with the same libaom.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "codec/builtin.h"
#include "codec/delta.h"
#include "codec/init.h"
#include "codec/keyframe.h"
#include "codec/quant.h"
#include "codec/tensors.h"
#include "codec/trailer.h"
#include "codec/units.h"
#include "codec/walk.h"
#include "codec/weights.h"
#include "seed-pieces.h"

static const char *directory;

static void save(const char *target, const char *name, const GByteArray *data)
{
    GError *error = NULL;
    g_autofree char *dir = g_build_filename(directory, target, NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_mkdir_with_parents(dir, 0755);
    if (!g_file_set_contents(path, (const char *)data->data, data->len, &error))
        g_error("%s", error->message);
}

/* --- seeds --- */

/* Size, then a keyframe unit's payload: smooth pictures and rough ones, of many and of few colours. */
static void keyframe_seeds(void)
{
    static const struct {
        const char *name;
        uint8_t w, h; /* plus 16 */
        uint32_t quant, speed, noise;
    } seeds[] = { { "ok-16x16", 0, 0, 50, 4, 4 },    { "ok-odd", 17, 30, 30, 2, 10 },
                  { "ok-lossless", 4, 9, 0, 6, 3 },  { "ok-coarse", 63, 63, 63, 3, 20 },
                  { "ok-fast", 48, 32, 40, 9, 5 },   { "ok-flat", 63, 20, 35, 4, 0 },
                  { "ok-rough", 50, 60, 45, 2, 200 } };
    for (size_t i = 0; i < G_N_ELEMENTS(seeds); i++) {
        const NervPixels p = { .format = NERV_PIXELS_I420,
                               .width = 16 + seeds[i].w,
                               .height = 16 + seeds[i].h };
        const size_t bytes = nerv_pixels_bytes(&p);
        const uint8_t head[2] = { seeds[i].w, seeds[i].h };
        g_autofree uint8_t *frame = g_malloc(bytes);
        GByteArray *coded = g_byte_array_new(), *out = g_byte_array_new();
        NervBitWriter w = { .bytes = out };
        GError *error = NULL;
        NervRng rng;
        nerv_rng_init(&rng, i);
        for (size_t j = 0; j < bytes; j++)
            frame[j] = (uint8_t)(20 + j % (size_t)p.width + j / (size_t)p.width / 2 +
                                 (seeds[i].noise ? nerv_rng_below(&rng, seeds[i].noise) : 0));
        if (!nerv_keyframe_encode(&p, frame, seeds[i].quant, seeds[i].speed, NULL, coded, &error))
            g_error("%s", error->message);
        const NervKeyframeHeader k = {
            .index = (uint32_t)i, .codec = NERV_KEYFRAME_AV1, .data = coded->data, .bytes = coded->len
        };
        g_byte_array_append(out, head, sizeof head);
        nerv_keyframe_header_write(&k, &w);
        save("keyframe", seeds[i].name, out);
        if (i == 1) {
            g_byte_array_set_size(out, out->len / 2);
            save("keyframe", "truncated", out);
        }
        g_byte_array_unref(coded);
        g_byte_array_unref(out);
    }
}

static void weights_seeds(void)
{
    static const uint8_t head[3] = { 1, 0, 1 }; /* 17 x 16, 2 frames */
    const NervClip clip = { 17, 16, 2 };
    static const struct {
        const char *name, *options;
        uint32_t bits;
        float keep;
    } seeds[] = { { "ok-tiny-8", TINY, 8, 1 },
                  { "ok-tiny-2", TINY, 2, 1 },
                  { "ok-pruned-6", TINY, 6, .2f },
                  { "ok-zero", TINY, 8, 0 },
                  { "ok-steps", TINY, STEPS, 1 },
                  { "ok-steps-pruned", WIDE, STEPS, .2f },
                  { "ok-steps-zero", TINY, STEPS, 0 },
                  { "ok-grids", GRIDS, STEPS, 1 },
                  { "ok-grids-8", GRIDS, 8, 1 },
                  { "ok-clips", CLIPS, STEPS, 1 },
                  { "ok-clips-moved", CLIPS_MOVED, STEPS, 1 },
                  { "ok-clips-stem", CLIPS_STEM, 8, 1 },
                  { "ok-clips-several", CLIPS_SEVERAL, STEPS, 1 },
                  { "ok-siren", SIREN, STEPS, 1 },
                  { "ok-nerf", NERF, 8, 1 },
                  { "ok-wide-3", WIDE, 3, 1 },
                  { "ok-huffman-8", TINY, HUFFMAN + 8, 1 },
                  { "ok-huffman-2", TINY, HUFFMAN + 2, 1 },
                  { "ok-huffman-pruned-4", WIDE, HUFFMAN + 4, .2f },
                  { "ok-huffman-zero", TINY, HUFFMAN + 3, 0 },
                  { "ok-stored", TINY, STORED, 1 },
                  { "ok-stored-grids", GRIDS, STORED, 1 },
                  { "ok-stored-clips", CLIPS_MOVED, STORED, 1 },
                  { "ok-stored-floats", TINY, STORED + 1, .5f } };
    for (size_t i = 0; i < G_N_ELEMENTS(seeds); i++) {
        GByteArray *a = g_byte_array_new();
        g_byte_array_append(a, head, sizeof head);
        append_network(a, seeds[i].options, &clip, seeds[i].bits, seeds[i].keep);
        save("weights", seeds[i].name, a);
        if (i == 0) {
            g_byte_array_set_size(a, a->len / 2);
            save("weights", "truncated", a);
        }
        g_byte_array_unref(a);
    }
}

static void init_seeds(void)
{
    static const struct {
        const char *name, *options, *provenance;
        float bound;
    } seeds[] = { { "ok-tiny", TINY, "", .3f },
                  { "ok-grids", GRIDS, "a clip, CC0", .3f },
                  { "ok-clips-moved", CLIPS_MOVED, "two clips", 1e9f },
                  { "ok-clips-several", CLIPS_SEVERAL, "two clips", .3f },
                  { "ok-zero", GRIDS, "none", 0.f } };
    const NervClip clip = { 17, 16, 2 };
    for (size_t i = 0; i < G_N_ELEMENTS(seeds); i++) {
        GError *error = NULL;
        GByteArray *a = g_byte_array_new();
        NervModel *model = make_model(seeds[i].options, &clip);
        g_autofree float *start = g_new(float, nerv_start_count(model));
        NervRng rng;
        nerv_rng_init(&rng, i);
        for (int64_t j = 0; j < nerv_start_count(model); j++)
            start[j] = nerv_rng_uniform(&rng, -seeds[i].bound, seeds[i].bound);
        if (!nerv_init_write(model, start, &(NervInitRates){ i ? 1e-3 : 0., 1., 40 * (uint32_t)i },
                             seeds[i].provenance, a, &error))
            g_error("%s", error->message);
        save("init", seeds[i].name, a);
        if (i == 1) {
            g_byte_array_set_size(a, a->len / 2);
            save("init", "truncated", a);
        }
        nerv_model_free(model);
        g_byte_array_unref(a);
    }
}

/* Grids and the rest in the shapes that the target gives them. */
static void tensor_seeds(void)
{
    static const uint8_t shapes[][3] = { { 199, 195, 198 }, { 192, 199, 193 }, { 195, 192, 192 } };
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        const int32_t a = 1 + (shapes[i][0] & 7), b = 1 + (shapes[i][1] & 7), c = 1 + (shapes[i][2] & 7);
        NervParam params[] = { { .name = "grid", .shape = { a, b, c, 5 }, .role = NERV_PARAM_GRID },
                               { .name = "weight", .shape = { b, c, 3, 3 }, .role = NERV_PARAM_WEIGHT },
                               { .name = "bias", .shape = { 1, b, 1, 1 }, .role = NERV_PARAM_BIAS },
                               { .name = "linear", .shape = { c, a, 1, 1 }, .role = NERV_PARAM_WEIGHT } };
        NervModel model = { .params = params, .n_params = G_N_ELEMENTS(params) };
        for (size_t j = 0; j < G_N_ELEMENTS(params); j++)
            model.n_weights += nerv_shape_count(params[j].shape);
        g_autofree uint16_t *steps = make_steps(&model);
        g_autofree float *x = g_new(float, model.n_weights);
        g_autofree char *name = g_strdup_printf("ok-tensors-%zu", i);
        const int64_t slab = (int64_t)b * c * 5;
        NervRng rng;
        NervRangeEncoder e;
        nerv_rng_init(&rng, i);
        for (int64_t j = 0; j < model.n_weights; j++)
            x[j] = nerv_rng_uniform(&rng, -.1f, .1f) + (j >= slab ? x[j - slab] : 0);
        GByteArray *out = g_byte_array_new();
        g_byte_array_append(out, shapes[i], 3);
        nerv_range_encode_begin(&e, out);
        if (!nerv_tensors_write(&model, x, steps, NULL, NULL, &e, NULL))
            g_error("no memory");
        nerv_range_encode_end(&e);
        save("weights", name, out);
        g_byte_array_unref(out);
    }
}

/* Configurations at the ends of their ranges: products that leave 32 bits, networks that few bytes announce. */
static void config_seeds(void)
{
    static const struct {
        const char *name;
        uint32_t levels, stem, channels, n_blocks, width;
        uint8_t stride, kernel;
    } seeds[] = { { "strides-16", 3, 2, 1, 8, 1, 16, 1 },
                  { "all-largest", 256, 4096, 4096, 8, 4096, 16, 5 },
                  { "no-strides", 1, 4096, 4096, 1, 1, 1, 1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(seeds); i++) {
        static const uint8_t head[4] = { 255, 255, 255, 1 }; /* 271 x 271, 256 frames, model nerv */
        GByteArray *a = g_byte_array_new();
        NervBitWriter w = { .bytes = a };
        nerv_write_bytes(&w, head, sizeof head);
        nerv_write_f32(&w, 1.25f);
        nerv_write_varint(&w, seeds[i].levels);
        nerv_write_varint(&w, seeds[i].stem);
        nerv_write_varint(&w, seeds[i].channels);
        nerv_write_u8(&w, NERV_ACT_GELU);
        nerv_write_u8(&w, NERV_ACT_TANH01);
        nerv_write_u8(&w, (uint8_t)seeds[i].n_blocks);
        for (uint32_t block = 0; block < seeds[i].n_blocks; block++) {
            nerv_write_varint(&w, seeds[i].width);
            nerv_write_u8(&w, seeds[i].stride);
            nerv_write_u8(&w, seeds[i].kernel);
        }
        nerv_write_bytes(&w, "\0\10\0some coded weights", 21);
        save("weights", seeds[i].name, a);
        g_byte_array_unref(a);
    }
}

/* A segment whose network is differences from an init; it decodes where `like`, a model for the clip, has the layers of a built-in one and the hash is that one's. */
static void append_delta(GByteArray *out, NervModel *like, const uint8_t *hash, uint32_t n_frames)
{
    GError *error = NULL;
    NervRng rng;
    NervBitWriter network, w;
    g_autofree float *params = g_new(float, like->n_weights);
    g_autofree uint16_t *steps = make_steps(like);
    GByteArray *sync = g_byte_array_new();
    NervUnit sequence;
    size_t need;
    nerv_rng_init(&rng, 5);
    for (int64_t i = 0; i < like->n_weights; i++)
        params[i] = nerv_rng_uniform(&rng, 0, 1) < .01f ? nerv_rng_uniform(&rng, -.1f, .1f) : 0;
    nerv_writer_init(&network);
    nerv_writer_init(&w);
    if (!nerv_network_write_steps(like, params, steps, NULL, &network, &error))
        g_error("%s", error->message);
    nerv_delta_write(hash, &network, &w);
    append_sync(sync, TINY, 4, 0, n_frames, 25);
    if (nerv_unit_scan(sync->data, sync->len, &sequence, &need) != NERV_SCAN_OK)
        g_error("no sequence");
    g_byte_array_append(out, sync->data, (guint)sequence.unit_bytes);
    nerv_unit_write(out, NERV_UNIT_DELTA, w.bytes->data, w.bytes->len);
    append_frame(out, 0, 0, 0);
    append_frame(out, 0, 1, 0);
    nerv_writer_clear(&network);
    nerv_writer_clear(&w);
    g_byte_array_unref(sync);
}

/* The same of a built-in init, of one that nobody has, and of a network that is not the init's. */
static void delta_seeds(void)
{
    const NervInit *init = nerv_builtin_init(0);
    const NervClip clip = { 17, 16, 2 };
    const uint8_t nobody[NERV_INIT_HASH_BYTES] = { 1, 2, 3 };
    GError *error = NULL;
    NervBitWriter w;
    NervBitReader r;
    nerv_writer_init(&w);
    nerv_model_write(init->model, &w);
    nerv_reader_init(&r, w.bytes->data, w.bytes->len);
    NervModel *like = nerv_model_read(&r, &clip, &error), *other = make_model(GRIDS, &clip);
    if (!like)
        g_error("%s", error->message);
    const struct {
        const char *name;
        NervModel *model;
        const uint8_t *hash;
    } seeds[] = { { "ok-delta", like, init->hash },
                  { "delta-without-init", like, nobody },
                  { "delta-of-another", other, init->hash } };
    for (size_t i = 0; i < G_N_ELEMENTS(seeds); i++) {
        GByteArray *a = g_byte_array_new();
        append_delta(a, seeds[i].model, seeds[i].hash, 2);
        save("decoder", seeds[i].name, a);
        save("units", seeds[i].name, a);
        g_byte_array_unref(a);
    }
    nerv_writer_clear(&w);
    nerv_model_free(like);
    nerv_model_free(other);
}

/* --- for the element --- */

#define PUSH_BYTES 8 /* tests/fuzz/parse-push.c */
#define PULL_BYTES 14

static void save_behind(const char *target, const char *name, const uint8_t *control, guint n,
                        const GByteArray *data)
{
    GByteArray *a = g_byte_array_new();
    g_byte_array_append(a, control, n);
    g_byte_array_append(a, data->data, data->len);
    save(target, name, a);
    g_byte_array_unref(a);
}

static void save_parse(const char *name, const GByteArray *data)
{
    static const uint8_t push[PUSH_BYTES] = { 1, 7 }, pull[PULL_BYTES] = { 1 | 1 << 2 };
    save_behind("parse-push", name, push, PUSH_BYTES, data);
    save_behind("parse-pull", name, pull, PULL_BYTES, data);
}

/* Two networks that go on from the one before, and one whose base is not there. */
static void residual_seeds(void)
{
    GByteArray *a = g_byte_array_new();
    uint32_t crc = append_segment(a, GRIDS, STEPS, 0, 2, 25, 0);
    append_frame(a, 0, 0, 0);
    append_frame(a, 0, 1, 0);
    for (uint32_t i = 1; i < 3; i++) {
        crc = append_segment(a, GRIDS, i == 1 ? STEPS : 6, i, 2, 25, crc);
        append_frame(a, i, 0, 0);
        append_frame(a, i, 1, 0);
    }
    save("decoder", "ok-residual", a);
    save("units", "ok-residual", a);
    save_parse("ok-residual", a);
    append_segment(a, GRIDS, STEPS, 3, 2, 25, crc + 1);
    append_frame(a, 3, 0, 0);
    save("decoder", "residual-without-base", a);
    g_byte_array_unref(a);
}

/* Four segments in the ways that the targets know: see their read_plan(). */
/* A file's index behind its bytes. */
static void append_index(GByteArray *a)
{
    NervMemory memory = { a->data, a->len };
    NervIndex index;
    nerv_index_init(&index);
    if (!nerv_walk(&index, a->len, nerv_memory_read, &memory))
        g_error("no index");
    GBytes *unit = nerv_trailer_write(&index);
    gsize size;
    const uint8_t *data = g_bytes_get_data(unit, &size);
    g_byte_array_append(a, data, (guint)size);
    g_bytes_unref(unit);
    nerv_index_clear(&index);
}

/* Files with an index: of several segments, of two streams, of residuals, and of clips with keyframes. */
static void reader_seeds(void)
{
    static const char *const networks[] = { TINY, CLIPS, GRIDS };
    GByteArray *a = g_byte_array_new();
    for (uint32_t k = 0; k < G_N_ELEMENTS(networks); k++) {
        g_byte_array_set_size(a, 0);
        uint32_t crc = 0;
        for (uint32_t i = 0; i < 3; i++) {
            crc = append_segment(a, networks[k], k == 0 ? 4 : STEPS, i, 2, 25, k == 2 ? crc : 0);
            for (uint32_t f = 0; k == 1 && f < 2; f++) {
                GByteArray *picture = code_picture(2 * i + f);
                append_picture_unit(a, i, f, picture->data, picture->len);
                g_byte_array_unref(picture);
            }
            append_frame(a, i, 0, 0);
            append_frame(a, i, 1, 0);
        }
        save("reader", k == 0 ? "ok-plain" : k == 1 ? "ok-clips-plain" : "ok-residual", a);
        append_index(a);
        save("reader", k == 0 ? "ok-index" : k == 1 ? "ok-clips" : "ok-residual-index", a);
        if (k > 0)
            continue;
        const guint len = a->len;
        g_autofree uint8_t *once = g_memdup2(a->data, len);
        g_byte_array_append(a, once, len);
        save("reader", "ok-two", a);
        a->data[60] ^= 0xff;
        save("reader", "damaged", a);
        g_byte_array_set_size(a, len - 30);
        save("reader", "cut", a);
    }
    g_byte_array_unref(a);
}

static void parse_seeds(void)
{
    static const struct {
        const char *name;
        uint8_t control[PUSH_BYTES];
    } pushed[] = { { "ok-whole", { 0x45 } },
                   { "ok-by-bytes", { 0x40, 3, 5 } },
                   { "ok-in-time", { 0x02, 9, 2, 0, 4 } },
                   { "ok-without-times", { 0x02, 15, 0, 0, 32 } },
                   { "flush", { 0x48, 6, 1, 9 } },
                   { "seek-accurate", { 0x74, 6, 1, 20, 0, 90, 3 } },
                   { "seek-key-unit", { 0x70, 7, 1, 18, 0, 90, 5 } },
                   { "seek-snap-after", { 0x70, 7, 1, 18, 0, 90, 0x85, 0x10 } },
                   { "seek-snap-nearest", { 0x70, 7, 1, 18, 0, 130, 0xc5 } },
                   { "seek-from-end", { 0x70, 7, 1, 9, 0, 90, 1, 0x08 } },
                   { "seek-without-flush", { 0x70, 7, 1, 9, 0, 90, 2 } } };
    static const struct {
        const char *name;
        uint8_t control[PULL_BYTES];
    } pulled[] = { { "ok-again", { 0x06 } },
                   { "ok-length-unknown", { 0x00 } },
                   { "ok-large-network", { 0x45 } },
                   { "large-network-length-half", { 0x49 } },
                   { "length-half", { 0x08 } },
                   { "read-error", { 0x04, 3 } },
                   { "seek-accurate", { 0x14, 0, 3, 0, 90, 0, 0, 2 } },
                   { "seek-key-unit", { 0x14, 0, 5, 0, 170, 0, 0, 3 } },
                   { "seek-snap-after", { 0x14, 0, 0x85, 0x10, 100, 0, 10, 0 } },
                   { "seek-backwards", { 0x14, 0, 3, 2, 0, 0, 0, 1 } },
                   { "seek-segment-backwards", { 0x14, 0, 0x23, 0x12, 50, 0, 20, 0 } },
                   { "seek-without-flush", { 0x24, 0, 2, 0, 170, 0, 0, 2, 0x12, 0x14, 90, 0, 20, 1 } },
                   { "seek-twice", { 0x24, 0, 1, 8, 90, 0, 0, 0, 9, 3, 0, 0, 0, 2 } } };
    GByteArray *a = g_byte_array_new();
    for (uint32_t i = 0; i < 4; i++) {
        append_sync(a, TINY, 4, i, 2, 30000);
        append_frame(a, i, 0, 0);
        append_frame(a, i, 1, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pushed); i++)
        save_behind("parse-push", pushed[i].name, pushed[i].control, PUSH_BYTES, a);
    for (size_t i = 0; i < G_N_ELEMENTS(pulled); i++)
        save_behind("parse-pull", pulled[i].name, pulled[i].control, PULL_BYTES, a);
    g_byte_array_unref(a);
}

/* --- streams --- */

static void stream_seeds(void)
{
    GByteArray *a = g_byte_array_new();
    append_sync(a, TINY, 4, 0, 2, 30000);
    append_frame(a, 0, 0, 0);
    append_frame(a, 0, 1, 0);
    append_sync(a, TINY, 5, 1, 2, 30000);
    append_frame(a, 1, 0, 0);
    append_frame(a, 1, 1, 0);
    save("decoder", "ok-two-segments", a);
    save("units", "ok-two-segments", a);
    save_parse("ok-two-segments", a);
    a->data[60] ^= 0xff;
    save("decoder", "damaged", a);
    save("units", "damaged", a);
    save_parse("damaged", a);
    g_byte_array_set_size(a, 0);
    append_sync(a, WIDE, 4, 0, 2, 0);
    append_frame(a, 0, 1, -5);
    append_frame(a, 0, 0, 12345678);
    save("decoder", "ok-variable-rate", a);
    save_parse("ok-variable-rate", a);
    g_byte_array_set_size(a, 0);
    append_sync(a, WIDE, STEPS, 0, 2, 25);
    append_frame(a, 0, 0, 0);
    append_frame(a, 0, 1, 0);
    save("decoder", "ok-steps", a);
    g_byte_array_set_size(a, 0);
    append_sync(a, WIDE, HUFFMAN + 5, 0, 2, 25);
    append_frame(a, 0, 0, 0);
    append_frame(a, 0, 1, 0);
    save("decoder", "ok-huffman", a);
    g_byte_array_set_size(a, 0);
    append_sync(a, GRIDS, STEPS, 0, 3, 25);
    append_frame(a, 0, 0, 0);
    append_frame(a, 0, 1, 0);
    append_frame(a, 0, 2, 0);
    save("decoder", "ok-grids", a);
    for (uint32_t coding = 0; coding < 2; coding++) {
        g_byte_array_set_size(a, 0);
        append_sync(a, GRIDS, coding ? HUFFMAN + 6 : 7, 0, 2, 25);
        append_frame(a, 0, 0, 0);
        append_frame(a, 0, 1, 0);
        save("decoder", coding ? "ok-grids-huffman" : "ok-grids-7", a);
    }
    g_byte_array_set_size(a, 0);
    for (uint32_t i = 0; i < 2; i++) { /* with codes, then of floats alone */
        append_sync(a, GRIDS, STORED + i, i, 2, 25);
        append_frame(a, i, 0, 0);
        append_frame(a, i, 1, 0);
    }
    save("decoder", "ok-stored", a);
    g_byte_array_set_size(a, 0);
    append_keyframe_unit(a, 0, 0, "of a network that needs none");
    append_sync(a, TINY, 4, 0, 2, 25);
    append_keyframe_unit(a, 0, 8, "another");
    append_frame(a, 0, 0, 0);
    append_keyframe_unit(a, 0, 16, "a third");
    append_frame(a, 0, 1, 0);
    save("decoder", "ok-keyframes", a);
    save("reader", "ok-keyframes", a);
    save("units", "ok-keyframes", a);
    save_parse("ok-keyframes", a);
    g_byte_array_set_size(a, 0);
    append_sync(a, CLIPS, STEPS, 0, 5, 25);
    for (uint32_t i = 0; i < 5; i++) {
        GByteArray *picture = code_picture(i);
        if (i % 2 == 0)
            append_picture_unit(a, 0, i, picture->data, picture->len);
        append_frame(a, 0, i, 0);
        g_byte_array_unref(picture);
    }
    save("decoder", "clips", a);
    g_byte_array_set_size(a, 0);
    append_frame(a, 200, 65535, INT64_C(-1000000000000));
    save("units", "ok-frame", a);
    append_frame(a, 200, 1, 0);
    nerv_unit_write(a, 64, "skip me", 7);
    append_frame(a, 200, 2, 0);
    save("units", "ok-skippable", a);
    save("decoder", "no-sync-point", a);
    save_parse("no-sync-point", a);
    nerv_unit_write(a, 7, "must understand", 15);
    append_frame(a, 200, 3, 0);
    save("units", "reserved", a);
    save_parse("reserved", a);
    g_byte_array_unref(a);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        g_printerr("usage: fuzz-make-seeds DIR\n");
        return 2;
    }
    directory = argv[1];
    weights_seeds();
    init_seeds();
    tensor_seeds();
    config_seeds();
    stream_seeds();
    parse_seeds();
    reader_seeds();
    residual_seeds();
    delta_seeds();
    keyframe_seeds();
    return 0;
}

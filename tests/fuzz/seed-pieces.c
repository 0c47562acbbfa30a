/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See seed-pieces.h.
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

uint16_t *make_steps(const NervModel *model)
{
    size_t n = 0;
    uint16_t *steps = g_new(uint16_t, model->n_weights);
    for (uint32_t i = 0; i < model->n_params; i++)
        for (int64_t r = nerv_param_steps(&model->params[i]); r > 0; r--, n++)
            steps[n] = (uint16_t)(nerv_quant_code(.02f) + 4 * (n & 1));
    return steps;
}

/* Tensors with codes of 1 to 8 bits or none, and minima and scales along some of their dimensions; or floats alone. */
static bool write_stored(const NervModel *model, const float *params, bool plain, NervBitWriter *w,
                         GError **error)
{
    NervStoredTensor *tensors = g_new0(NervStoredTensor, model->n_params);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervShape s = model->params[i].shape;
        const int64_t n = nerv_shape_count(s);
        NervStoredTensor *t = &tensors[i];
        t->bits = plain ? 0 : (i + 8) % 9;
        t->half = !plain && i % 2 == 0;
        t->values = g_new0(float, n);
        for (int64_t j = 0; j < n && !t->half; j++)
            t->values[j] = params[j];
        if (t->bits) {
            t->mask = i % 3 == 0 && s.n > 1 && n > s.n ? 1 : i % 3 == 1 && s.c > 1 && n > s.c ? 2 : 0;
            const int64_t n_numbers = nerv_stored_numbers(s, t->mask);
            t->codes = g_malloc(n);
            t->minimum = g_new(float, n_numbers);
            t->scale = g_new(float, n_numbers);
            for (int64_t j = 0; j < n_numbers; j++) {
                t->minimum[j] = -(float)(3 + j % 5) * 0x1p-4f;
                t->scale[j] = (float)(1 + j % 7) * 0x1p-4f / (float)(1u << t->bits);
            }
            for (int64_t j = 0; j < n; j++)
                t->codes[j] = (uint8_t)lrintf((params[j] + .3f) / .6f * (float)((1u << t->bits) - 1));
        }
        params += n;
    }
    const bool ok = nerv_network_write_stored(model, tensors, w, error);
    for (uint32_t i = 0; i < model->n_params; i++)
        nerv_stored_clear(&tensors[i]);
    g_free(tensors);
    return ok;
}

NervModel *make_model(const char *options, const NervClip *clip)
{
    static const int32_t videos[] = { 1, 1 };
    GError *error = NULL;
    const NervModelSize size = { .videos = videos, .n_videos = g_str_equal(options, CLIPS_SEVERAL) ? 2 : 0 };
    g_autoptr(GVariant) v = g_variant_ref_sink(g_variant_new_parsed(options));
    NervModel *model = nerv_model_new_sized(strstr(options, "'omega'")         ? "siren"
                                            : strstr(options, "'levels'")      ? "nerf"
                                            : strstr(options, "'grids'")       ? "nerv"
                                            : strstr(options, "'flow-frames'") ? "dnerv"
                                            : strstr(options, "'clip-frames'") ? "dnerv-net"
                                                                               : "nerv-mlp",
                                            v, clip, &size, &error);
    if (!model)
        g_error("%s", error->message);
    return model;
}

void append_network(GByteArray *out, const char *options, const NervClip *clip, uint32_t bits, float keep)
{
    GError *error = NULL;
    NervBitWriter w = { .bytes = out };
    NervRng rng;
    NervModel *model = make_model(options, clip);
    g_autofree float *params = g_new(float, model->n_weights);
    nerv_rng_init(&rng, bits);
    for (int64_t i = 0; i < model->n_weights; i++)
        params[i] = nerv_rng_uniform(&rng, 0, 1) < keep ? nerv_rng_uniform(&rng, -.3f, .3f) : 0;
    g_autofree uint16_t *steps = make_steps(model);
    if (!(bits == STEPS     ? nerv_network_write_steps(model, params, steps, NULL, &w, &error)
          : bits >= STORED  ? write_stored(model, params, bits > STORED, &w, &error)
          : bits >= HUFFMAN ? nerv_network_write_huffman(model, params, bits - HUFFMAN, &w, &error)
                            : nerv_network_write(model, params, bits, &w, &error)))
        g_error("%s", error->message);
    nerv_model_free(model);
}

uint32_t append_segment(GByteArray *out, const char *options, uint32_t bits, uint32_t segment,
                        uint32_t n_frames, uint32_t rate, uint32_t base)
{
    const NervUnitType type = base ? NERV_UNIT_RESIDUAL : NERV_UNIT_NETWORK;
    const NervSequence s = { .version = NERV_STREAM_VERSION,
                             .segment_id = segment,
                             .first_frame = segment * 2,
                             .n_frames = n_frames,
                             .width = 17,
                             .height = 16,
                             .fps_n = rate,
                             .fps_d = rate ? 1001 : 1,
                             .par_n = 1,
                             .par_d = 1,
                             .matrix = NERV_MATRIX_BT601,
                             .primaries = 1,
                             .transfer = 1,
                             .format = NERV_PIXELS_I420,
                             .h_cosited = 1,
                             .pts_ns = segment * 1000000 };
    const NervClip clip = { 17, 16, (int32_t)n_frames };
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_sequence_write(&s, &w);
    nerv_unit_write(out, NERV_UNIT_SEQUENCE, w.bytes->data, w.bytes->len);
    g_byte_array_set_size(w.bytes, 0);
    if (base)
        nerv_write_u32(&w, base);
    append_network(w.bytes, options, &clip, bits, 1);
    nerv_unit_write(out, type, w.bytes->data, w.bytes->len);
    const uint32_t crc = nerv_unit_crc(type, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
    return crc;
}

void append_sync(GByteArray *out, const char *options, uint32_t bits, uint32_t segment, uint32_t n_frames,
                 uint32_t rate)
{
    append_segment(out, options, bits, segment, n_frames, rate, 0);
}

void append_frame(GByteArray *out, uint32_t segment, uint32_t index, int64_t delta)
{
    const NervFrameHeader f = { .segment_id = segment & 255, .index = index, .pts_delta_ns = delta };
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_frame_write(&f, &w);
    nerv_unit_write(out, NERV_UNIT_FRAME, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
}

void append_picture_unit(GByteArray *out, uint32_t segment, uint32_t index, const uint8_t *data, size_t bytes)
{
    const NervKeyframeHeader k = {
        .segment_id = segment & 255, .index = index, .codec = NERV_KEYFRAME_AV1, .data = data, .bytes = bytes
    };
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_keyframe_header_write(&k, &w);
    nerv_unit_write(out, NERV_UNIT_KEYFRAME, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
}

void append_keyframe_unit(GByteArray *out, uint32_t segment, uint32_t index, const char *data)
{
    append_picture_unit(out, segment, index, (const uint8_t *)data, strlen(data));
}

GByteArray *code_picture(uint32_t n)
{
    const NervPixels p = { .format = NERV_PIXELS_I420, .width = 17, .height = 16 };
    g_autofree uint8_t *frame = g_malloc(nerv_pixels_bytes(&p));
    GByteArray *coded = g_byte_array_new();
    GError *error = NULL;
    for (size_t i = 0; i < nerv_pixels_bytes(&p); i++)
        frame[i] = (uint8_t)(n * 20 + i % 17 * 5 + i / 17);
    if (!nerv_keyframe_encode(&p, frame, 40, 6, NULL, coded, &error))
        g_error("%s", error->message);
    return coded;
}

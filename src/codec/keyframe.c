/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * AV1 still pictures, see keyframe.h and docs/bitstream.md, "Keyframe unit". What libdav1d gets is looked through first (the two OBUs and
 * the sequence header's sizes), so that no hidden frames, other sizes or depths reach it.
 */
#include "codec/keyframe.h"

#include <aom/aom_encoder.h>
#include <aom/aomcx.h>
#include <dav1d/dav1d.h>
#include <errno.h>
#include <string.h>

#define OBU_SEQUENCE 1
#define OBU_TEMPORAL 2
#define OBU_FRAME    6
#define MAX_THREADS  64 /* libaom's */
#define REDUCED_STILL                                                                                        \
    3 /* still_picture, reduced_still_picture_header; before them three bits of profile, 0 */

static bool pixels_ok(const NervPixels *p, GError **error)
{
    if (p->format == NERV_PIXELS_I420 && p->width >= NERV_KEYFRAME_MIN_SIDE &&
        p->width <= NERV_KEYFRAME_MAX_SIDE && p->height >= NERV_KEYFRAME_MIN_SIDE &&
        p->height <= NERV_KEYFRAME_MAX_SIDE)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "keyframe: cannot code pixel format %d, %d x %d",
                p->format, p->width, p->height);
    return false;
}

void nerv_keyframe_pixels(const NervPixels *source, NervPixels *pixels)
{
    double kr, kb;
    const bool is_yuv = source->format == NERV_PIXELS_I420 || source->format == NERV_PIXELS_NV12;
    if (is_yuv && nerv_matrix_coefficients(source->matrix, &kr, &kb)) {
        *pixels = *source;
        pixels->format = NERV_PIXELS_I420;
        return;
    }
    *pixels = (NervPixels){ .format = NERV_PIXELS_I420,
                            .width = source->width,
                            .height = source->height,
                            .matrix = NERV_MATRIX_BT601,
                            .full_range = 1 };
}

/* --- what a picture's bytes must look like --- */

typedef struct {
    const uint8_t *data;
    size_t bytes, bit;
} Bits;

/* The next n bits, most significant first; zeros beyond the end. */
static uint32_t take(Bits *b, unsigned n)
{
    uint32_t v = 0;
    for (; n > 0; n--, b->bit++) {
        const uint32_t byte = b->bit / 8 < b->bytes ? b->data[b->bit / 8] : 0;
        v = v << 1 | (byte >> (7 - b->bit % 8) & 1);
    }
    return v;
}

/* One OBU at the start of `data`: its type, where its payload begins and how long it is. False if it is not whole or has no size. */
static bool obu_at(const uint8_t *data, size_t bytes, uint32_t *type, size_t *begin, size_t *size)
{
    *size = 0;
    if (bytes < 2 || (data[0] & 0x87) != 0x02) /* forbidden bit, extension, has_size, reserved bit */
        return false;
    *type = data[0] >> 3;
    for (size_t i = 1; i < MIN(bytes, 5); i++) {
        *size |= (size_t)(data[i] & 0x7f) << (7 * (i - 1));
        if (data[i] & 0x80)
            continue;
        *begin = i + 1;
        return *size <= bytes - *begin;
    }
    return false;
}

/* Whether the sequence header is that of one picture of 8 bits, 4:2:0, of that size. */
static bool sequence_ok(const uint8_t *payload, size_t bytes, const NervPixels *p)
{
    Bits b = { payload, bytes, 0 };
    if (take(&b, 5) != REDUCED_STILL)
        return false;
    take(&b, 5); /* level */
    const unsigned w_bits = 1 + take(&b, 4), h_bits = 1 + take(&b, 4);
    const int64_t w = 1 + (int64_t)take(&b, w_bits), h = 1 + (int64_t)take(&b, h_bits);
    take(&b, 6); /* tools */
    const uint32_t high_bitdepth = take(&b, 1), monochrome = take(&b, 1);
    return b.bit <= 8 * bytes && w == p->width && h == p->height && !high_bitdepth && !monochrome;
}

static bool picture_ok(const uint8_t *data, size_t bytes, const NervPixels *p)
{
    uint32_t type;
    size_t begin, size;
    if (!obu_at(data, bytes, &type, &begin, &size) || type != OBU_SEQUENCE ||
        !sequence_ok(data + begin, size, p))
        return false;
    const size_t second = begin + size;
    return obu_at(data + second, bytes - second, &type, &begin, &size) && type == OBU_FRAME &&
           second + begin + size == bytes;
}

/* --- encoder --- */

/* Appends what libaom has ready, without temporal delimiters. */
static bool collect(aom_codec_ctx_t *codec, GByteArray *out)
{
    const aom_codec_cx_pkt_t *packet;
    aom_codec_iter_t iter = NULL;
    bool any = false;
    while ((packet = aom_codec_get_cx_data(codec, &iter))) {
        const uint8_t *data = packet->data.frame.buf;
        size_t left = packet->data.frame.sz, begin, size;
        uint32_t type;
        if (packet->kind != AOM_CODEC_CX_FRAME_PKT)
            continue;
        for (; obu_at(data, left, &type, &begin, &size); data += begin + size, left -= begin + size)
            if (type != OBU_TEMPORAL)
                g_byte_array_append(out, data, (guint)(begin + size));
        any |= left == 0;
    }
    return any;
}

static aom_codec_err_t configure(aom_codec_ctx_t *codec, const NervPixels *p, uint32_t quant, uint32_t speed)
{
    aom_codec_enc_cfg_t cfg;
    aom_codec_err_t e = aom_codec_enc_config_default(aom_codec_av1_cx(), &cfg, AOM_USAGE_ALL_INTRA);
    if (e != AOM_CODEC_OK)
        return e;
    cfg.g_w = (unsigned)p->width;
    cfg.g_h = (unsigned)p->height;
    cfg.g_limit = 1; /* a still picture, and with the line after the next its short header */
    cfg.g_lag_in_frames = 0;
    cfg.full_still_picture_hdr = 0;
    cfg.g_threads = 1;
    cfg.rc_end_usage = AOM_Q;
    cfg.rc_min_quantizer = quant;
    cfg.rc_max_quantizer = quant;
    e = aom_codec_enc_init(codec, aom_codec_av1_cx(), &cfg, 0);
    if (e == AOM_CODEC_OK)
        e = aom_codec_control(codec, AOME_SET_CPUUSED, (int)speed);
    if (e == AOM_CODEC_OK)
        e = aom_codec_control(codec, AOME_SET_CQ_LEVEL, quant);
    return e;
}

static aom_codec_err_t encode(aom_codec_ctx_t *codec, const NervPixels *p, const uint8_t *frame)
{
    aom_image_t image;
    NervPlane planes[3];
    const int n = nerv_pixels_planes(p, planes);
    uint8_t *data = (uint8_t *)frame; /* libaom's interface is not const, but it copies */
    if (!aom_img_wrap(&image, AOM_IMG_FMT_I420, (unsigned)p->width, (unsigned)p->height, 1, data))
        return AOM_CODEC_MEM_ERROR;
    for (int i = 0; i < n; i++) {
        image.planes[i] = data + planes[i].offset;
        image.stride[i] = planes[i].stride;
    }
    return aom_codec_encode(codec, &image, 0, 1, 0);
}

/* What libaom takes for one picture, measured with speeds 2 to 8 and rounded up. */
#define ENCODER_BYTES       (UINT64_C(8) << 20)
#define ENCODER_PIXEL_BYTES 44

static uint64_t whole_superblocks(const NervPixels *p)
{
    return (((uint64_t)p->width + 127) & ~UINT64_C(127)) * (((uint64_t)p->height + 127) & ~UINT64_C(127));
}

uint64_t nerv_keyframe_encode_bytes(const NervPixels *pixels)
{
    return ENCODER_BYTES + whole_superblocks(pixels) * ENCODER_PIXEL_BYTES;
}

bool nerv_keyframe_encode(const NervPixels *pixels, const uint8_t *frame, uint32_t quant, uint32_t speed,
                          const gint *cancel, GByteArray *out, GError **error)
{
    aom_codec_ctx_t codec = { 0 };
    const guint start = out->len;
    bool ok = false;
    if (!pixels_ok(pixels, error))
        return false;
    if (quant > NERV_KEYFRAME_QUANT_MAX || speed > NERV_KEYFRAME_SPEED_MAX) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "keyframe: quantiser %u, speed %u", quant, speed);
        return false;
    }
    if (cancel && g_atomic_int_get(cancel)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_CANCELLED, "keyframe: cancelled");
        return false;
    }
    aom_codec_err_t e = configure(&codec, pixels, quant, speed);
    if (e == AOM_CODEC_OK)
        e = encode(&codec, pixels, frame);
    if (e == AOM_CODEC_OK && !collect(&codec, out))
        e = aom_codec_encode(&codec, NULL, 0, 1, 0);
    if (e == AOM_CODEC_OK && out->len == start)
        collect(&codec, out);
    if (e != AOM_CODEC_OK)
        g_set_error(error, NERV_ERROR, e == AOM_CODEC_MEM_ERROR ? NERV_ERROR_MEMORY : NERV_ERROR_UNSUPPORTED,
                    "keyframe: libaom: %s", aom_codec_err_to_string(e));
    else if (!picture_ok(out->data + start, out->len - start, pixels))
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "keyframe: this libaom does not write still pictures with the short header");
    else
        ok = true;
    if (!ok)
        g_byte_array_set_size(out, start);
    aom_codec_destroy(&codec);
    return ok;
}

/* --- decoder --- */

/* What libdav1d takes for one picture on one thread, measured and rounded up: its tables and tile states, and per pixel of
 * whole superblocks the picture, its lines for filters, and what blocks leave to be known. */
#define DECODER_BYTES       (UINT64_C(4) << 20)
#define DECODER_PIXEL_BYTES 12

static void log_message(void *cookie, const char *format, va_list args)
{
    g_logv(G_LOG_DOMAIN, G_LOG_LEVEL_DEBUG, format, args);
}

/* The picture's bytes belong to the caller and outlive the decoder. */
static void keep(const uint8_t *data, void *cookie)
{
}

static void set_error(GError **error, int e)
{
    if (e == DAV1D_ERR(ENOMEM))
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "keyframe: no memory to decode it");
    else
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "keyframe: damaged");
}

static bool copy_out(const Dav1dPicture *picture, const NervPixels *p, uint8_t *frame)
{
    NervPlane planes[3];
    if (picture->p.w != p->width || picture->p.h != p->height || picture->p.bpc != 8 ||
        picture->p.layout != DAV1D_PIXEL_LAYOUT_I420)
        return false;
    const int n = nerv_pixels_planes(p, planes);
    for (int i = 0; i < n; i++)
        for (int32_t y = 0; y < planes[i].rows; y++)
            memcpy(frame + planes[i].offset + (size_t)y * planes[i].stride,
                   (const uint8_t *)picture->data[i] + y * picture->stride[i > 0],
                   (size_t)planes[i].row_bytes);
    return true;
}

static int decode(Dav1dContext *dav1d, const uint8_t *data, size_t bytes, Dav1dPicture *picture)
{
    Dav1dData input = { 0 };
    int e = dav1d_data_wrap(&input, data, bytes, keep, NULL);
    if (e == 0)
        e = dav1d_send_data(dav1d, &input);
    if (e == 0)
        e = dav1d_get_picture(dav1d, picture);
    dav1d_data_unref(&input);
    return e;
}

bool nerv_keyframe_decode(const uint8_t *data, size_t bytes, const NervPixels *pixels, uint8_t *frame,
                          GError **error)
{
    Dav1dContext *dav1d = NULL;
    Dav1dPicture picture = { 0 };
    Dav1dSettings settings;
    if (!pixels_ok(pixels, error))
        return false;
    if (!picture_ok(data, bytes, pixels)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "keyframe: not an AV1 still picture of 8 bits, 4:2:0, %d x %d", pixels->width,
                    pixels->height);
        return false;
    }
    dav1d_default_settings(&settings);
    settings.n_threads = 1;
    settings.max_frame_delay = 1;
    settings.apply_grain = 0;
    settings.all_layers = 0;
    settings.frame_size_limit = (unsigned)(pixels->width * pixels->height);
    settings.logger = (Dav1dLogger){ NULL, log_message };
    int e = dav1d_open(&dav1d, &settings);
    if (e == 0)
        e = decode(dav1d, data, bytes, &picture);
    const bool ok = e == 0 && copy_out(&picture, pixels, frame);
    if (!ok)
        set_error(error, e);
    dav1d_picture_unref(&picture);
    dav1d_close(&dav1d);
    return ok;
}

uint64_t nerv_keyframe_decode_bytes(const NervPixels *pixels)
{
    return DECODER_BYTES + whole_superblocks(pixels) * DECODER_PIXEL_BYTES;
}

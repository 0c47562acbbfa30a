/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The library's half of reader.py's comparison, on the CPU backend. "decode STREAM" decodes a small stream to R G B on the standard
 * output; "decode --make MODEL OPTIONS STREAM" writes one, fitted to two scenes; "decode --picture WIDTH HEIGHT" decodes a keyframe's
 * picture from the standard input.
 */
#include <stdio.h>
#include <stdlib.h>

#include <math.h>

#include "codec/keyframe.h"
#include "nerv.h"

static void fail(const char *what, const GError *error)
{
    g_printerr("%s: %s\n", what, error ? error->message : "failed");
    exit(1);
}

static void render(NervDecoder *dec)
{
    NervVideoInfo info;
    GError *error = NULL;
    nerv_decoder_get_info(dec, &info);
    info.pixels.format = NERV_PIXELS_RGB;
    const size_t bytes = (size_t)info.pixels.width * info.pixels.height * 3;
    g_autofree uint8_t *rgb = g_malloc(bytes);
    const NervFrame frame = { .data = { rgb }, .stride = { info.pixels.width * 3 } };
    if (!nerv_decoder_set_output(dec, &info.pixels, &error) || !nerv_decoder_render(dec, &frame, &error))
        fail("render", error);
    fwrite(rgb, 1, bytes, stdout);
}

/* --- a stream to compare --- */

#define W   22
#define H   17
#define N   11
#define CUT 7

/* Waves that move, others behind the cut. */
static void paint(int f, uint8_t *rgb)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = (uint8_t)(f < CUT ? 90 + 60 * sin(.4 * (x + f) + .2 * y * (c + 1))
                                           : 180 + 60 * sin(.3 * (y - 2 * f) + .2 * x * (c + 1)));
}

static NervEncoder *encoder_new(const char *model, const char *options)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
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
    s.model = g_strdup(model);
    s.device = g_strdup("cpu");
    s.epochs = 12;
    /* so that no part stays as it began; a SIREN would learn to amplify rounding */
    s.learning_rate = g_str_equal(model, "siren") ? .001 : .02;
    s.tune = NERV_TUNE_PSNR;
    s.quality = 70;
    s.model_options = g_variant_parse(G_VARIANT_TYPE_VARDICT, options, NULL, NULL, &error);
    NervEncoder *enc = s.model_options ? nerv_encoder_new(&info, &s, &error) : NULL;
    if (!enc)
        fail("encoder", error);
    nerv_encoder_settings_clear(&s);
    return enc;
}

static int make(const char *model, const char *options, const char *path)
{
    NervEncoder *enc = encoder_new(model, options);
    GByteArray *out = g_byte_array_new();
    GError *error = NULL;
    NervPacket packet;
    uint8_t rgb[W * H * 3];
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    for (int f = 0; f < N; f++) {
        paint(f, rgb);
        if (!nerv_encoder_send(enc, &frame, f * 40000000ll, &error))
            fail("send", error);
    }
    if (!nerv_encoder_fit(enc, &error))
        fail("fit", error);
    while (nerv_encoder_get(enc, &packet)) {
        g_byte_array_append(out, g_bytes_get_data(packet.data, NULL), (guint)g_bytes_get_size(packet.data));
        g_bytes_unref(packet.data);
    }
    if (!g_file_set_contents(path, (const char *)out->data, out->len, &error))
        fail(path, error);
    g_byte_array_unref(out);
    nerv_encoder_free(enc);
    return 0;
}

static int picture(int width, int height)
{
    const NervPixels p = { .format = NERV_PIXELS_I420, .width = width, .height = height };
    uint8_t coded[1 << 16];
    GError *error = NULL;
    const size_t bytes = fread(coded, 1, sizeof(coded), stdin);
    g_autofree uint8_t *frame = g_malloc(nerv_pixels_bytes(&p));
    if (!nerv_keyframe_decode(coded, bytes, &p, frame, &error))
        fail("picture", error);
    fwrite(frame, 1, nerv_pixels_bytes(&p), stdout);
    return 0;
}

int main(int argc, char **argv)
{
    NervDecoderSettings settings;
    GError *error = NULL;
    char *data;
    gsize size, pos = 0;
    if (argc == 5 && g_str_equal(argv[1], "--make"))
        return make(argv[2], argv[3], argv[4]);
    if (argc == 4 && g_str_equal(argv[1], "--picture"))
        return picture(atoi(argv[2]), atoi(argv[3]));
    if (argc != 2 || !g_file_get_contents(argv[1], &data, &size, &error))
        fail("usage: decode STREAM", error);
    nerv_decoder_settings_init(&settings);
    g_free(settings.device);
    settings.device = g_strdup("cpu");
    NervDecoder *dec = nerv_decoder_new(&settings, &error);
    if (!dec)
        fail("decoder", error);
    while (pos < size) {
        NervAccessUnit au;
        NervDecodedInfo info;
        size_t need;
        const uint8_t *at = (const uint8_t *)data + pos;
        if (nerv_access_unit_scan(at, size - pos, &au, &need) != NERV_SCAN_OK ||
            !nerv_decoder_send(dec, at, au.bytes, &info, &error))
            fail("access unit", error);
        render(dec);
        pos += au.bytes;
    }
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&settings);
    g_free(data);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decodes a small stream to R G B on the standard output with the CPU backend: the library's half of reader.py's comparison.
 */
#include <stdio.h>
#include <stdlib.h>

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

int main(int argc, char **argv)
{
    NervDecoderSettings settings;
    GError *error = NULL;
    char *data;
    gsize size, pos = 0;
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

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the decoder on whole streams, as they are and with their checks made right. Walks the stream as a parser
 * does, sends every access unit and renders the frames of networks that are small enough to be quick.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "nerv.h"

#define MAX_RENDERS        4
#define MAX_RENDER_WEIGHTS 4000
#define MAX_RENDER_PIXELS  (64 * 64)

static NervDecoder *decoder_new(void)
{
    NervDecoderSettings s;
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup("cpu");
    s.threads = 1;
    s.max_memory_bytes = 16 << 20;
    NervDecoder *dec = nerv_decoder_new(&s, NULL);
    if (!dec)
        abort();
    nerv_decoder_settings_clear(&s);
    return dec;
}

static bool render(NervDecoder *dec)
{
    NervVideoInfo info;
    NervDecoderStats stats;
    nerv_decoder_get_info(dec, &info);
    nerv_decoder_get_stats(dec, &stats);
    if (stats.parameters > MAX_RENDER_WEIGHTS || info.pixels.width * info.pixels.height > MAX_RENDER_PIXELS)
        return true;
    info.pixels.format = NERV_PIXELS_RGB;
    if (!nerv_decoder_set_output(dec, &info.pixels, NULL))
        abort(); /* what a stream announces must be possible */
    uint8_t *rgb = g_malloc((gsize)info.pixels.width * info.pixels.height * 3);
    const NervFrame frame = { .data = { rgb }, .stride = { info.pixels.width * 3 } };
    const bool ok = nerv_decoder_render(dec, &frame, NULL);
    g_free(rgb);
    return ok;
}

static void decode(NervDecoder *dec, const uint8_t *data, size_t size)
{
    size_t pos = 0;
    bool all = true;
    int rendered = 0;
    nerv_decoder_reset(dec);
    while (pos < size) {
        NervAccessUnit au;
        NervDecodedInfo info;
        GError *error = NULL;
        size_t need;
        if (nerv_access_unit_scan(data + pos, size - pos, &au, &need) != NERV_SCAN_OK) {
            pos += nerv_unit_find_sync(data + pos, size - pos, 1);
            all = false;
            continue;
        }
        uint8_t *exact = g_memdup2(data + pos, au.bytes);
        const bool ok = nerv_decoder_send(dec, exact, au.bytes, &info, &error);
        if (ok == (error != NULL))
            abort();
        g_clear_error(&error);
        g_free(exact);
        pos += au.bytes;
        all &= ok;
        if (ok && rendered++ < MAX_RENDERS)
            all &= render(dec);
    }
    fuzz_n_accepted += all && rendered > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static NervDecoder *dec;
    if (!dec)
        dec = decoder_new();
    decode(dec, data, size);
    GByteArray *repaired = fuzz_repair(data, size);
    decode(dec, repaired->data, repaired->len);
    g_byte_array_unref(repaired);
    return 0;
}

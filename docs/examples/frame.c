/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * frame FILE.nerv N OUT.ppm
 *
 * Writes frame N of a neural video as a picture, by libnerv alone, without GStreamer.
 *
 *     cc frame.c -o frame $(pkg-config --cflags --libs libnerv)
 */
#include <nerv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The picture that the last access unit was. */
static bool write_picture(NervDecoder *dec, const char *path, GError **error)
{
    NervVideoInfo info;
    NervPlane plane[3];
    nerv_decoder_get_info(dec, &info);
    const NervPixels rgb = { .format = NERV_PIXELS_RGB,
                             .width = info.pixels.width,
                             .height = info.pixels.height };
    nerv_pixels_planes(&rgb, plane);
    g_autofree uint8_t *picture = g_malloc(nerv_pixels_bytes(&rgb));
    const NervFrame frame = { { picture }, { (int32_t)plane[0].stride } };
    if (!nerv_decoder_set_output(dec, &rgb, error) || !nerv_decoder_render(dec, &frame, error))
        return false;
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree char *head = g_strdup_printf("P6\n%d %d\n255\n", (int)rgb.width, (int)rgb.height);
    g_byte_array_append(out, (const guint8 *)head, (guint)strlen(head));
    for (guint y = 0; y < (guint)rgb.height; y++)
        g_byte_array_append(out, picture + (size_t)y * plane[0].stride, 3 * (guint)rgb.width);
    return g_file_set_contents(path, (const char *)out->data, out->len, error);
}

/* Sends access units until the n-th came. Networks are taken over as they come by; nothing is evaluated. */
static bool send_until(NervDecoder *dec, const uint8_t *data, size_t size, unsigned long n, GError **error)
{
    NervDecodedInfo info;
    NervAccessUnit au;
    size_t need;
    NervScan scan = NERV_SCAN_OK;
    while (size > 0 && (scan = nerv_access_unit_scan(data, size, &au, &need)) == NERV_SCAN_OK) {
        if (!nerv_decoder_send(dec, data, au.bytes, &info, error))
            return false;
        if (n-- == 0)
            return true;
        data += au.bytes;
        size -= au.bytes;
    }
    g_set_error_literal(error, NERV_ERROR, NERV_ERROR_DATA,
                        scan == NERV_SCAN_OK     ? "the file has no such frame"
                        : scan == NERV_SCAN_MORE ? "the file ends within an access unit"
                                                 : "this is no neural video, or it is damaged");
    return false;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = NULL;
    gsize size;
    if (argc != 4) {
        fprintf(stderr, "usage: frame FILE.nerv N OUT.ppm\n");
        return EXIT_FAILURE;
    }
    NervDecoderSettings settings;
    nerv_decoder_settings_init(&settings);
    NervDecoder *dec = nerv_decoder_new(&settings, &error);
    const bool ok = dec && g_file_get_contents(argv[1], &data, &size, &error) &&
                    send_until(dec, (const uint8_t *)data, size, strtoul(argv[2], NULL, 10), &error) &&
                    write_picture(dec, argv[3], &error);
    if (!ok)
        fprintf(stderr, "frame: %s\n", error->message);
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&settings);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See pictures.h.
 */
#include "pictures.h"

#include <string.h>

#include "../contact-sheet.h"
#include "nerv.h"
#include "quality.h"

bool pictures_init(Pictures *p, const RdClip *clip, GError **error)
{
    const GstVideoInfo *info = &clip->rgb.info;
    *p = (Pictures){ .clip = clip,
                     .width = GST_VIDEO_INFO_WIDTH(info),
                     .height = GST_VIDEO_INFO_HEIGHT(info),
                     .n = clip->rgb.frames->len };
    const size_t row = 3 * (size_t)p->width, stride = (size_t)GST_VIDEO_INFO_PLANE_STRIDE(info, 0);
    p->bytes = row * (size_t)p->height;
    p->rgb = pictures_room(p);
    for (uint32_t i = 0; i < p->n; i++)
        for (int32_t y = 0; y < p->height; y++)
            if (gst_buffer_extract(g_ptr_array_index(clip->rgb.frames, i), (gsize)y * stride,
                                   p->rgb + i * p->bytes + (size_t)y * row, row) != row) {
                g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "frame %u of %s is short", i, clip->name);
                return false;
            }
    return true;
}

void pictures_clear(Pictures *p)
{
    g_clear_pointer(&p->rgb, g_free);
}

void pictures_describe(const Pictures *p, Json *j)
{
    g_print("%s, %dx%d, %u frames\n", p->clip->name, p->width, p->height, p->n);
    json_open(j, NULL, '{');
    json_string(j, "clip", p->clip->name);
    json_integer(j, "width", p->width);
    json_integer(j, "height", p->height);
    json_integer(j, "frames", p->n);
}

uint8_t *pictures_room(const Pictures *p)
{
    return g_malloc(p->bytes * p->n);
}

static GstBuffer *make_buffer(const Pictures *p, uint32_t i, const uint8_t *rgb, const uint8_t *alpha)
{
    const GstBuffer *own = g_ptr_array_index(p->clip->rgb.frames, i);
    const size_t row = 3 * (size_t)p->width, area = (size_t)p->width * (size_t)p->height,
                 stride = alpha ? 4 * (size_t)p->width : GST_ROUND_UP_4(row);
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, stride * (size_t)p->height, NULL);
    g_autofree uint8_t *line = g_malloc0(stride);
    for (int32_t y = 0; y < p->height; y++) {
        const uint8_t *src = rgb + i * p->bytes + (size_t)y * row;
        if (!alpha)
            memcpy(line, src, row);
        for (int32_t x = 0; alpha && x < p->width; x++) {
            memcpy(line + 4 * x, src + 3 * x, 3);
            line[4 * x + 3] = alpha[i * area + (size_t)y * p->width + x];
        }
        gst_buffer_fill(buffer, (gsize)y * stride, line, stride);
    }
    GST_BUFFER_PTS(buffer) = GST_BUFFER_PTS(own);
    GST_BUFFER_DURATION(buffer) = GST_BUFFER_DURATION(own);
    return buffer;
}

bool pictures_run(const Pictures *p, const uint8_t *rgb, const uint8_t *alpha, const char *chain,
                  const char *file, uint8_t *out, GError **error)
{
    g_autofree char *escaped = g_strescape(file, NULL);
    g_autofree char *line =
        g_strdup_printf("%s ! video/x-raw,format=RGB ! filesink location=\"%s\"", chain, escaped);
    g_autoptr(GPtrArray) buffers = g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref);
    g_autoptr(GstCaps) caps = gst_caps_copy(p->clip->rgb.caps);
    if (alpha)
        gst_caps_set_simple(caps, "format", G_TYPE_STRING, "RGBA", NULL);
    for (uint32_t i = 0; i < p->n; i++)
        g_ptr_array_add(buffers, make_buffer(p, i, rgb, alpha));
    return rd_feed(line, caps, (GstBuffer *const *)buffers->pdata, p->n, error) &&
           pictures_read(p, file, out, error);
}

bool pictures_read(const Pictures *p, const char *file, uint8_t *out, GError **error)
{
    g_autoptr(GMappedFile) map = g_mapped_file_new(file, FALSE, error);
    if (!map)
        return false;
    const size_t row = 3 * (size_t)p->width, rows = (size_t)p->height * p->n,
                 length = g_mapped_file_get_length(map),
                 pitch = length == GST_ROUND_UP_4(row) * rows ? GST_ROUND_UP_4(row) : row;
    if (length != pitch * rows) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "%" G_GSIZE_FORMAT " bytes of pictures came back, not %" G_GSIZE_FORMAT, length,
                    pitch * rows);
        return false;
    }
    const uint8_t *src = (const uint8_t *)g_mapped_file_get_contents(map);
    for (size_t y = 0; y < rows; y++)
        memcpy(out + y * row, src + y * pitch, row);
    return true;
}

double pictures_psnr(const Pictures *p, const uint8_t *rgb)
{
    const uint32_t width = 3 * (uint32_t)p->width, height = (uint32_t)p->height * p->n;
    const QualityPlane a = { p->rgb, width, height, width }, b = { rgb, width, height, width };
    return quality_psnr(quality_mse(&a, &b));
}

void pictures_sheet_init(PicturesSheet *s, const Pictures *p, uint32_t frame)
{
    *s = (PicturesSheet){ p, frame, g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref) };
}

void pictures_sheet_clear(PicturesSheet *s)
{
    g_clear_pointer(&s->columns, g_ptr_array_unref);
}

void pictures_sheet_add(PicturesSheet *s, const uint8_t *rgb)
{
    g_ptr_array_add(s->columns, g_bytes_new(rgb + s->frame * s->p->bytes, s->p->bytes));
}

bool pictures_sheet_write(const PicturesSheet *s, const char *folder, const char *what, double gain,
                          uint32_t width, GError **error)
{
    const Pictures *p = s->p;
    const size_t stride = 3 * (size_t)p->width;
    g_autofree char *name = g_strdup_printf("%s-%s.png", p->clip->name, what);
    g_strdelimit(name, " /=:", '_');
    g_autofree char *path = g_build_filename(folder, name, NULL);
    ContactSheet *sheet = contact_sheet_new(s->columns->len, (uint32_t)p->width, (uint32_t)p->height, gain);
    for (guint i = 0; i < s->columns->len; i++)
        contact_sheet_set(sheet, i, p->rgb + s->frame * p->bytes, stride,
                          g_bytes_get_data(g_ptr_array_index(s->columns, i), NULL), stride);
    const bool ok = contact_sheet_write(sheet, path, s->columns->len * width, error);
    contact_sheet_free(sheet);
    return ok;
}

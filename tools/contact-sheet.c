/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Contact sheets, see contact-sheet.h. GStreamer's own elements scale the sheet and write the PNG.
 */
#include "contact-sheet.h"

#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GAP 4 /* pixels between pictures */

struct ContactSheet {
    uint32_t n_columns, width, height; /* of one picture */
    uint32_t sheet_width, sheet_height;
    double gain; /* of the maps of differences; 0: there are none */
    size_t stride;
    uint8_t *rgb;
};

ContactSheet *contact_sheet_new(uint32_t n_columns, uint32_t width, uint32_t height, double gain)
{
    ContactSheet *sheet = g_new0(ContactSheet, 1);
    sheet->n_columns = n_columns;
    sheet->width = width;
    sheet->height = height;
    sheet->sheet_width = n_columns * (width + GAP) - GAP;
    sheet->gain = gain;
    sheet->sheet_height = (gain > 0. ? 3 : 2) * (height + GAP) - GAP;
    /* GStreamer's rows of RGB are padded to four bytes. */
    sheet->stride = ((size_t)sheet->sheet_width * 3 + 3) & ~(size_t)3;
    sheet->rgb = g_malloc0(sheet->stride * sheet->sheet_height);
    return sheet;
}

void contact_sheet_free(ContactSheet *sheet)
{
    if (!sheet)
        return;
    g_free(sheet->rgb);
    g_free(sheet);
}

static void paste(ContactSheet *sheet, uint32_t x, uint32_t y, const uint8_t *rgb, size_t stride)
{
    for (uint32_t row = 0; row < sheet->height; row++)
        memcpy(sheet->rgb + (y + row) * sheet->stride + (size_t)x * 3, rgb + row * stride,
               (size_t)sheet->width * 3);
}

static void paste_differences(ContactSheet *sheet, uint32_t x, uint32_t y, const uint8_t *a, size_t a_stride,
                              const uint8_t *b, size_t b_stride)
{
    for (uint32_t row = 0; row < sheet->height; row++) {
        uint8_t *dst = sheet->rgb + (y + row) * sheet->stride + (size_t)x * 3;
        for (uint32_t i = 0; i < sheet->width * 3; i++)
            dst[i] =
                (uint8_t)lrint(fmin(sheet->gain * abs(a[row * a_stride + i] - b[row * b_stride + i]), 255.));
    }
}

void contact_sheet_set(ContactSheet *sheet, uint32_t column, const uint8_t *above, size_t above_stride,
                       const uint8_t *below, size_t below_stride)
{
    const uint32_t x = column * (sheet->width + GAP);
    paste(sheet, x, 0, above, above_stride);
    paste(sheet, x, sheet->height + GAP, below, below_stride);
    if (sheet->gain > 0.)
        paste_differences(sheet, x, 2 * (sheet->height + GAP), above, above_stride, below, below_stride);
}

gboolean contact_sheet_write(const ContactSheet *sheet, const char *path, uint32_t png_width, GError **error)
{
    const uint32_t out_width = png_width ? png_width : sheet->sheet_width;
    const uint32_t out_height =
        MAX(1, (uint32_t)((uint64_t)sheet->sheet_height * out_width / sheet->sheet_width));
    char *description = g_strdup_printf(
        "appsrc name=sheet format=time caps=video/x-raw,format=RGB,width=%u,height=%u,framerate=1/1 ! "
        "videoscale method=lanczos ! video/x-raw,width=%u,height=%u ! pngenc compression-level=9 ! filesink "
        "name=file",
        sheet->sheet_width, sheet->sheet_height, out_width, out_height);
    GstElement *pipeline = gst_parse_launch(description, error);
    g_free(description);
    if (!pipeline)
        return FALSE;

    GstElement *source = gst_bin_get_by_name(GST_BIN(pipeline), "sheet");
    GstElement *file = gst_bin_get_by_name(GST_BIN(pipeline), "file");
    g_object_set(file, "location", path, NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBuffer *buffer = gst_buffer_new_memdup(sheet->rgb, sheet->stride * sheet->sheet_height);
    GST_BUFFER_PTS(buffer) = 0;
    gst_app_src_push_buffer(GST_APP_SRC(source), buffer);
    gst_app_src_end_of_stream(GST_APP_SRC(source));

    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message =
        gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    const gboolean ok = GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
    if (!ok)
        gst_message_parse_error(message, error, NULL);
    gst_message_unref(message);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(file);
    gst_object_unref(source);
    gst_object_unref(pipeline);
    return ok;
}

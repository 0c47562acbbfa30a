/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See digest.h.
 */
#include "digest.h"

#include <gst/video/video.h>

static void add_plane(GChecksum *sum, const GstVideoFrame *frame, guint plane)
{
    gint comps[GST_VIDEO_MAX_COMPONENTS];
    gst_video_format_info_component(frame->info.finfo, plane, comps);
    const gint bytes =
        GST_VIDEO_FRAME_COMP_WIDTH(frame, comps[0]) * GST_VIDEO_FRAME_COMP_PSTRIDE(frame, comps[0]);
    const guint8 *row = GST_VIDEO_FRAME_PLANE_DATA(frame, plane);
    for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT(frame, comps[0]); y++) {
        g_checksum_update(sum, row, bytes);
        row += GST_VIDEO_FRAME_PLANE_STRIDE(frame, plane);
    }
}

bool digest_sample(GstSample *sample, uint8_t digest[DIGEST], GError **error)
{
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstVideoInfo info;
    GstVideoFrame frame;
    gsize n = DIGEST;
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) || !GST_BUFFER_PTS_IS_VALID(buffer) ||
        !gst_video_frame_map(&frame, &info, buffer, GST_MAP_READ)) {
        g_set_error_literal(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED,
                            "a picture without time or size");
        return false;
    }
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(&frame); plane++)
        add_plane(sum, &frame, plane);
    g_checksum_get_digest(sum, digest, &n);
    gst_video_frame_unmap(&frame);
    return true;
}

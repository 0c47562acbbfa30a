/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which samples of nervenc's input are known: by its alpha, and by a picture or a
 * video beside it (mask-location).
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "nerv.h"

/* Formats with alpha, beside those of GST_NERV_RAW_CAPS: what libnerv takes, and a
 * plane or a byte of alpha. */
#define GST_NERV_ALPHA_FORMATS "{ RGBA, BGRA, A420, AYUV }"

typedef struct _GstNervMask GstNervMask;

/* For frames of `info` from now on. location: a file that GStreamer decodes, whose light samples are hidden unless they are
 * transparent, or NULL.
 * *mask becomes NULL if all of every frame is known; where there was one of the same
 * location and size it goes on with the frame that it is at. FALSE, with
 * NERV_ERROR_INVALID or NERV_ERROR_DATA, if the file cannot be opened; what is wrong with its
 * pictures its first frame says. */
gboolean gst_nerv_mask_update (GstNervMask ** mask, const GstVideoInfo * info,
    const gchar * location, GError ** error);
void gst_nerv_mask_free (GstNervMask * mask);

/* Frames were thrown away, and others may follow than would have: from now on a frame of the location is chosen by time. NULL is none. */
void gst_nerv_mask_flush (GstNervMask * mask);

/* The planes of the frame, whose time in the segment is pts, as libnerv takes them, and which samples are known: a byte each, 255
 * for what is known, *stride bytes from row to row, valid until the next call; *known is
 * NULL if all are. Goes on to the next frame of the location; behind a flush, or where the segment does not begin at the stream's
 * beginning, to the one with the number that the frame rate gives the frame. */
gboolean gst_nerv_mask_next (GstNervMask * mask, const GstSegment * segment,
    GstClockTime pts, GstVideoFrame * frame, NervFrame * out,
    const guint8 ** known, gint * stride, GError ** error);

/* Something that is odd about the mask, for a warning, or NULL: a frame of which nothing is known, once; at the end that a location
 * has hidden nothing. mask: may be NULL. */
const gchar *gst_nerv_mask_remark (GstNervMask * mask, gboolean at_end);

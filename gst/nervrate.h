/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames at another rate than the stream's: where downstream takes only another one,
 * networks that can are evaluated at its times. Streaming thread.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "nerv.h"

typedef struct
{
  gint fps_n, fps_d;            /* what goes out */
  gint own_n, own_d;            /* the stream's */
  guint64 out, in;              /* so many frames go out for so many that come in; 0: the stream's own */
} GstNervRate;

/* The rate of the pad: the stream's own if the peer takes it in `format`, else the nearest that it
 * takes. FALSE, with NERV_ERROR_UNSUPPORTED, if it takes none that the stream can be
 * shown at: its own rate is variable, or `between`, whether its network knows times between
 * frames, is FALSE and the rate is no whole part of its own. */
gboolean gst_nerv_rate_choose (GstNervRate * rate, GstPad * pad,
    GstVideoFormat format, const NervVideoInfo * info, gboolean between,
    GError ** error);

static inline gboolean
gst_nerv_rate_is_own (const GstNervRate * rate)
{
  return rate->out == 0;
}

/* Fills a buffer with what the decoder shows so much after its present frame; where it
 * could not the frame, unless that is NULL, ended here, and the flow says what becomes of the
 * stream. */
typedef GstFlowReturn (*GstNervRateFunc) (GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame, gdouble later, GstBuffer * buffer,
    gboolean * filled);

/* Ends a frame, number `number` of the stream, and pushes what is to be seen from its
 * time up to the next one's: nothing, itself, or several pictures. */
GstFlowReturn gst_nerv_rate_push (const GstNervRate * rate,
    GstVideoDecoder * decoder, GstVideoCodecFrame * frame, guint64 number,
    GstNervRateFunc fill);

/* Sink caps that downstream's leave: its frame rate is none of them. */
GstCaps *gst_nerv_rate_any (GstCaps * caps);

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
  guint64 next;                 /* number of the frame behind the last one that came in; the largest: none did */
} GstNervRate;

static inline void
gst_nerv_rate_init (GstNervRate * rate)
{
  *rate = (GstNervRate) {
  .next = G_MAXUINT64};
}

/* What comes next does not follow what came last. */
static inline void
gst_nerv_rate_flush (GstNervRate * rate)
{
  rate->next = G_MAXUINT64;
}

/* The rate of the pad: the stream's own if the peer takes it in `format`, else the nearest that it
 * takes. FALSE, with NERV_ERROR_UNSUPPORTED, if it takes none that the stream can be
 * shown at: its own rate is variable, or `between`, whether its network knows times between
 * frames, is FALSE and the rate is no whole part of its own. */
gboolean gst_nerv_rate_choose (GstNervRate * rate, GstPad * pad,
    GstVideoFormat format, const NervVideoInfo * info, gboolean between,
    GError ** error);

/* Whether the frame goes out at its own time; one without a time does. */
static inline gboolean
gst_nerv_rate_is_own (const GstNervRate * rate,
    const GstVideoCodecFrame * frame)
{
  return rate->out == 0 || !GST_CLOCK_TIME_IS_VALID (frame->pts);
}

/* Whether anything is to be seen in the segment of what goes out from the frame's time up to the
 * next one's; the frame is number `number` of the stream. To be asked once for each frame that
 * comes in. */
gboolean gst_nerv_rate_wants (GstNervRate * rate, const GstSegment * segment,
    GstVideoCodecFrame * frame, guint64 number);

/* Fills a buffer with what the decoder shows so much after its present frame; where it
 * could not the frame, unless that is NULL, ended here, and the flow says what becomes of the
 * stream. */
typedef GstFlowReturn (*GstNervRateFunc) (GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame, gdouble later, GstBuffer * buffer,
    gboolean * filled);

/* Ends a frame that is wanted and pushes what is to be seen from its time up to the next one's:
 * itself, or one or several pictures. */
GstFlowReturn gst_nerv_rate_push (const GstNervRate * rate,
    GstVideoDecoder * decoder, GstVideoCodecFrame * frame, guint64 number,
    GstNervRateFunc fill);
/* The same backwards, last picture first; `is_last`: as of GstNervReverseFuncs' show. */
GstFlowReturn gst_nerv_rate_push_back (const GstNervRate * rate,
    GstVideoDecoder * decoder, GstVideoCodecFrame * frame, guint64 number,
    gboolean is_last, GstNervRateFunc fill);

/* Sink caps that downstream's leave, of the filter's if it is not NULL: its frame rate is none of
 * them. Takes the caps. */
GstCaps *gst_nerv_rate_any (GstCaps * caps, GstCaps * filter);

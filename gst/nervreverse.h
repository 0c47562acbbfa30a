/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Playing backwards without a segment of pictures in memory. The base class hands
 * over a segment's access units in their order, with a drain at the end, and turns
 * round what pictures it gets meanwhile. A network gives its frames in any order: so
 * units are kept, and at the drain each frame is computed and pushed, last first.
 */
#pragma once

#include <gst/video/gstvideodecoder.h>

G_BEGIN_DECLS typedef struct _GstNervReverse GstNervReverse;

typedef struct
{
  /* Hands a unit to the decoder, once more. FALSE: it can't be taken. */
  gboolean (*feed) (GstVideoDecoder * decoder, GstBuffer * unit);
  /* Computes the picture of the unit that was fed last and pushes it; takes the
   * frame. The base class must get one of a segment, the last that is shown, by
   * gst_video_decoder_finish_frame(), the others go by gst_nerv_reverse_push(). */
  GstFlowReturn (*show) (GstVideoDecoder * decoder, GstVideoCodecFrame * frame,
      gboolean is_last);
} GstNervReverseFuncs;

GstNervReverse *gst_nerv_reverse_new (void);
void gst_nerv_reverse_free (GstNervReverse * reverse);

/* A unit that the decoder has taken. `network` tells units of one network from those
 * of others. */
void gst_nerv_reverse_keep (GstNervReverse * reverse, GstBuffer * unit,
    guint64 network);
/* The frame of the unit that was kept last will be seen; takes it. */
void gst_nerv_reverse_want (GstNervReverse * reverse,
    GstVideoCodecFrame * frame);

/* Shows what is wanted and keeps nothing. */
GstFlowReturn gst_nerv_reverse_play (GstNervReverse * reverse,
    GstVideoDecoder * decoder, const GstNervReverseFuncs * funcs);
/* Keeps nothing and shows nothing. */
void gst_nerv_reverse_clear (GstNervReverse * reverse,
    GstVideoDecoder * decoder);

/* Pushes a frame's output buffer at once, in whatever order; takes the frame. */
GstFlowReturn gst_nerv_reverse_push (GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame);

G_END_DECLS

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Units that are kept until a segment is complete, see nervreverse.h. Where a
 * segment's network is a residual of the one before, the base class's segment is
 * several of the stream's; their networks are read again for each of them.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervreverse.h"

typedef struct
{
  GstBuffer *unit;
  guint64 network;
  GstVideoCodecFrame *frame;    /* NULL: not to be seen */
} Held;

struct _GstNervReverse
{
  GArray *held;                 /* Held, in the stream's order */
};

GstNervReverse *
gst_nerv_reverse_new (void)
{
  GstNervReverse *reverse = g_new0 (GstNervReverse, 1);

  reverse->held = g_array_new (FALSE, FALSE, sizeof (Held));
  return reverse;
}

void
gst_nerv_reverse_free (GstNervReverse * reverse)
{
  gst_nerv_reverse_clear (reverse, NULL);
  g_array_unref (reverse->held);
  g_free (reverse);
}

static Held *
held_at (GstNervReverse * reverse, guint i)
{
  return &g_array_index (reverse->held, Held, i);
}

void
gst_nerv_reverse_keep (GstNervReverse * reverse, GstBuffer * unit,
    guint64 network)
{
  Held held = { gst_buffer_ref (unit), network, NULL };

  g_array_append_val (reverse->held, held);
}

void
gst_nerv_reverse_want (GstNervReverse * reverse, GstVideoCodecFrame * frame)
{
  held_at (reverse, reverse->held->len - 1)->frame = frame;
}

void
gst_nerv_reverse_clear (GstNervReverse * reverse, GstVideoDecoder * decoder)
{
  guint i;

  for (i = 0; i < reverse->held->len; i++) {
    Held *held = held_at (reverse, i);

    gst_buffer_unref (held->unit);
    if (held->frame && decoder)
      gst_video_decoder_release_frame (decoder, held->frame);
    else if (held->frame)
      gst_video_codec_frame_unref (held->frame);
  }
  g_array_set_size (reverse->held, 0);
}

static gboolean
begins_network (GstNervReverse * reverse, guint i)
{
  return i == 0
      || held_at (reverse, i)->network != held_at (reverse, i - 1)->network;
}

/* Takes the decoder back to the network of units [begin, end): those that it goes on
 * from, then all that is its own, its keyframes among it. */
static gboolean
go_back (GstNervReverse * reverse, GstVideoDecoder * decoder,
    const GstNervReverseFuncs * funcs, guint begin, guint end)
{
  gboolean ok = TRUE;
  guint i;

  for (i = 0; i < end && ok; i++)
    if (i >= begin || begins_network (reverse, i))
      ok = funcs->feed (decoder, held_at (reverse, i)->unit);
  return ok;
}

GstFlowReturn
gst_nerv_reverse_play (GstNervReverse * reverse, GstVideoDecoder * decoder,
    const GstNervReverseFuncs * funcs)
{
  const guint n = reverse->held->len;
  GstFlowReturn ret = GST_FLOW_OK;
  guint begin, end, i, first = n;

  for (i = n; i > 0; i--)
    if (held_at (reverse, i - 1)->frame)
      first = i - 1;
  for (end = n; end > first && ret == GST_FLOW_OK; end = begin) {
    for (begin = end - 1; !begins_network (reverse, begin);)
      begin--;
    if (end < n && !go_back (reverse, decoder, funcs, begin, end))
      continue;
    for (i = end; i-- > begin && ret == GST_FLOW_OK;) {
      Held *held = held_at (reverse, i);

      if (held->frame && funcs->feed (decoder, held->unit))
        ret = funcs->show (decoder, g_steal_pointer (&held->frame), i == first);
    }
  }
  gst_nerv_reverse_clear (reverse, decoder);
  return ret;
}

/* By a frame without a picture the base class negotiates, sends events, counts. It
 * would take times that go back for an error. */
GstFlowReturn
gst_nerv_reverse_push (GstVideoDecoder * decoder, GstVideoCodecFrame * frame)
{
  GstBuffer *buffer = gst_buffer_ref (frame->output_buffer);
  guint64 start = frame->pts, stop = GST_CLOCK_TIME_NONE;
  GstFlowReturn ret;

  if (GST_CLOCK_TIME_IS_VALID (frame->duration))
    stop = start + frame->duration;
  GST_VIDEO_CODEC_FRAME_SET_DECODE_ONLY (frame);
  ret = gst_video_decoder_finish_frame (decoder, frame);
  if (ret != GST_FLOW_OK || !gst_segment_clip (&decoder->output_segment,
          GST_FORMAT_TIME, start, stop, &start, &stop)) {
    gst_buffer_unref (buffer);
    return ret;
  }
  buffer = gst_buffer_make_writable (buffer);
  GST_BUFFER_PTS (buffer) = start;
  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE;
  GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_IS_VALID (stop) ? stop - start
      : GST_CLOCK_TIME_NONE;
  /* as the base class does it, so that flushes and queries need not wait */
  GST_VIDEO_DECODER_STREAM_UNLOCK (decoder);
  ret = gst_pad_push (GST_VIDEO_DECODER_SRC_PAD (decoder), buffer);
  GST_VIDEO_DECODER_STREAM_LOCK (decoder);
  return ret;
}

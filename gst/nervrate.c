/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervrate.h. Frame k of what goes out is due k out-frames after the time of the
 * stream's frame 0, wherever decoding begins, so that a seek shows the frames
 * that playing shows. One that is due before a frame where decoding begins, and seen beside it, has
 * no network: the frame is shown in its place.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervrate.h"

#include "nervreverse.h"
#include "nervvideo.h"

#define GST_CAT_DEFAULT gst_nerv_debug
GST_DEBUG_CATEGORY_EXTERN (gst_nerv_debug);

/* The frame rate nearest to the stream's that the peer has for the format; FALSE: it
 * takes the stream's own, or says nothing. */
static gboolean
find_other_rate (GstPad * pad, GstVideoFormat format, gint * fps_n,
    gint * fps_d)
{
  GstCaps *raw = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING,
      gst_video_format_to_string (format), NULL);
  GstCaps *peer = gst_pad_peer_query_caps (pad, raw);
  GValue own = G_VALUE_INIT;
  gboolean takes_own = FALSE, found = FALSE;
  const gint own_n = *fps_n, own_d = *fps_d;
  gdouble least = G_MAXDOUBLE;
  guint i;

  g_value_init (&own, GST_TYPE_FRACTION);
  gst_value_set_fraction (&own, own_n, own_d);
  for (i = 0; i < gst_caps_get_size (peer) && !takes_own; i++) {
    GstStructure *s = gst_structure_copy (gst_caps_get_structure (peer, i));
    const GValue *value = gst_structure_get_value (s, "framerate");
    gdouble away;
    gint n, d;

    takes_own = !value || gst_value_intersect (NULL, value, &own);
    if (!takes_own) {
      gst_structure_fixate_field_nearest_fraction (s, "framerate", own_n,
          own_d);
      gst_structure_get_fraction (s, "framerate", &n, &d);
      away = ABS ((gdouble) n / d - (gdouble) own_n / own_d);
      if (n > 0 && away < least) {
        least = away;
        found = TRUE;
        *fps_n = n;
        *fps_d = d;
      }
    }
    gst_structure_free (s);
  }
  g_value_unset (&own);
  gst_caps_unref (peer);
  gst_caps_unref (raw);
  return found && !takes_own;
}

gboolean
gst_nerv_rate_choose (GstNervRate * rate, GstPad * pad, GstVideoFormat format,
    const NervVideoInfo * info, gboolean between, GError ** error)
{
  gint own_n = (gint) info->fps_n, own_d = (gint) MAX (info->fps_d, 1);
  gint n = own_n, d = own_d, out, in;

  *rate = (GstNervRate) {
  own_n, own_d, own_n, own_d, 0, 0, rate->next};
  if (!find_other_rate (pad, format, &n, &d))
    return TRUE;
  if (own_n > 0 && gst_util_fraction_multiply (n, d, own_d, own_n, &out, &in)
      && (between || out == 1)) {
    *rate = (GstNervRate) {
    n, d, own_n, own_d, (guint64) out, (guint64) in, rate->next};
    return TRUE;
  }
  g_set_error (error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
      own_n == 0 ? "%d/%d frames a second are asked for, and the stream has no "
      "constant rate (%d/%d)" : "%d/%d frames a second are asked for; the "
      "stream has %d/%d, and its network knows nothing of times between "
      "its frames: put a videorate behind nervdec", n, d, own_n, own_d);
  return FALSE;
}

GstCaps *
gst_nerv_rate_any (GstCaps * caps, GstCaps * filter)
{
  GstCaps *filtered;
  guint i;

  caps = gst_caps_make_writable (caps);
  for (i = 0; i < gst_caps_get_size (caps); i++)
    gst_structure_remove_field (gst_caps_get_structure (caps, i), "framerate");
  if (!filter)
    return caps;
  filtered = gst_caps_intersect_full (filter, caps, GST_CAPS_INTERSECT_FIRST);
  gst_caps_unref (caps);
  return filtered;
}

/* --- pictures ------------------------------------------------------------- */

/* Of a frame: those due from its time up to the next one's. */
typedef struct
{
  guint64 zero;                 /* time stamp of the stream's frame 0 */
  guint64 number;               /* the frame's */
  guint64 due;                  /* the first of them */
  guint64 first, end;           /* those that the segment shows; `due` - 1 is shown for one without a network */
} Pictures;

/* Of a frame behind none: it is shown in place of what is due before it. */
#define FLAG_ALONE GINT_TO_POINTER (1)

static guint64
time_of (const GstNervRate * rate, const Pictures * p, guint64 k)
{
  return p->zero + gst_util_uint64_scale (k, GST_SECOND * rate->fps_d,
      rate->fps_n);
}

static gboolean
is_seen (const GstNervRate * rate, const Pictures * p,
    const GstSegment * segment, guint64 k)
{
  return gst_segment_clip (segment, GST_FORMAT_TIME, time_of (rate, p, k),
      time_of (rate, p, k + 1), NULL, NULL);
}

static Pictures
find_pictures (const GstNervRate * rate, const GstSegment * segment,
    const GstVideoCodecFrame * frame, guint64 number)
{
  Pictures p;

  p.number = number;
  p.zero = frame->pts - gst_util_uint64_scale (number,
      GST_SECOND * rate->own_d, rate->own_n);
  p.due = gst_util_uint64_scale_ceil (number, rate->out, rate->in);
  p.end = gst_util_uint64_scale_ceil (number + 1, rate->out, rate->in);
  p.first = p.due;
  if (gst_video_codec_frame_get_user_data ((GstVideoCodecFrame *) frame)
      == FLAG_ALONE && p.due > 0 && frame->pts <= segment->start)
    p.first--;
  while (p.first < p.end && !is_seen (rate, &p, segment, p.first))
    p.first++;
  while (p.first < p.end && !is_seen (rate, &p, segment, p.end - 1))
    p.end--;
  return p;
}

gboolean
gst_nerv_rate_wants (GstNervRate * rate, const GstSegment * segment,
    GstVideoCodecFrame * frame, guint64 number)
{
  const gboolean alone = number != rate->next;
  Pictures p;

  rate->next = number + 1;
  if (gst_nerv_rate_is_own (rate, frame)
      || segment->format != GST_FORMAT_TIME)
    return gst_nerv_in_segment (segment, frame);
  if (alone)
    gst_video_codec_frame_set_user_data (frame, FLAG_ALONE, NULL);
  p = find_pictures (rate, segment, frame, number);
  return p.first < p.end;
}

/* How much later than the frame picture k is. */
static gdouble
later_of (const GstNervRate * rate, const Pictures * p, guint64 k)
{
  /* less than 1: what products leave of it beyond 64 bits is none of it */
  return k < p->due ? 0.0 : (gdouble) (k * rate->in - p->number * rate->out)
      / (gdouble) rate->out;
}

static GstFlowReturn
push_one (const GstNervRate * rate, GstVideoDecoder * decoder,
    const Pictures * p, guint64 k, GstNervRateFunc fill)
{
  guint64 start = time_of (rate, p, k), stop = time_of (rate, p, k + 1);
  GstBuffer *buffer;
  gboolean filled;
  GstFlowReturn ret;

  if (!gst_segment_clip (&decoder->input_segment, GST_FORMAT_TIME, start, stop,
          &start, &stop))
    return GST_FLOW_OK;
  buffer = gst_video_decoder_allocate_output_buffer (decoder);
  if (!buffer)
    return GST_PAD_IS_FLUSHING (GST_VIDEO_DECODER_SRC_PAD (decoder))
        ? GST_FLOW_FLUSHING : GST_FLOW_ERROR;
  ret = fill (decoder, NULL, later_of (rate, p, k), buffer, &filled);
  if (!filled) {
    gst_buffer_unref (buffer);
    return ret;
  }
  GST_BUFFER_PTS (buffer) = start;
  GST_BUFFER_DTS (buffer) = GST_CLOCK_TIME_NONE;
  GST_BUFFER_DURATION (buffer) = stop - start;
  /* as the base class does it, so that flushes and queries need not wait */
  GST_VIDEO_DECODER_STREAM_UNLOCK (decoder);
  ret = gst_pad_push (GST_VIDEO_DECODER_SRC_PAD (decoder), buffer);
  GST_VIDEO_DECODER_STREAM_LOCK (decoder);
  return ret;
}

/* One picture is the frame's, by which the base class negotiates, sends events,
 * counts. FALSE: the frame ended here. */
static gboolean
fill_frame (const GstNervRate * rate, GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame, const Pictures * p, guint64 k,
    GstNervRateFunc fill, GstFlowReturn * flow)
{
  gboolean filled;

  *flow = gst_video_decoder_allocate_output_frame (decoder, frame);
  if (*flow != GST_FLOW_OK) {
    gst_video_decoder_release_frame (decoder, frame);
    return FALSE;
  }
  *flow = fill (decoder, frame, later_of (rate, p, k), frame->output_buffer,
      &filled);
  if (!filled)
    return FALSE;
  frame->pts = time_of (rate, p, k);
  frame->duration = time_of (rate, p, k + 1) - frame->pts;
  return TRUE;
}

GstFlowReturn
gst_nerv_rate_push (const GstNervRate * rate, GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame, guint64 number, GstNervRateFunc fill)
{
  const Pictures p = find_pictures (rate, &decoder->input_segment, frame,
      number);
  GstFlowReturn ret;
  guint64 k;

  if (p.first >= p.end) {
    GST_VIDEO_CODEC_FRAME_SET_DECODE_ONLY (frame);
    return gst_video_decoder_finish_frame (decoder, frame);
  }
  if (!fill_frame (rate, decoder, frame, &p, p.first, fill, &ret))
    return ret;
  ret = gst_video_decoder_finish_frame (decoder, frame);
  for (k = p.first + 1; k < p.end && ret == GST_FLOW_OK; k++)
    ret = push_one (rate, decoder, &p, k, fill);
  return ret;
}

/* --- backwards ------------------------------------------------------------ */

/* The base class sends a segment with the first frame that ends in it, and pictures
 * may go before. To send it twice does no harm. */
static void
send_segment (GstVideoDecoder * decoder)
{
  GstPad *pad = GST_VIDEO_DECODER_SRC_PAD (decoder);
  GstEvent *in = gst_pad_get_sticky_event (GST_VIDEO_DECODER_SINK_PAD (decoder),
      GST_EVENT_SEGMENT, 0);
  GstEvent *out = gst_pad_get_sticky_event (pad, GST_EVENT_SEGMENT, 0);

  if (in && (!out || gst_event_get_seqnum (in) != gst_event_get_seqnum (out)))
    gst_pad_push_event (pad, gst_event_ref (in));
  g_clear_pointer (&in, gst_event_unref);
  g_clear_pointer (&out, gst_event_unref);
}

GstFlowReturn
gst_nerv_rate_push_back (const GstNervRate * rate, GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame, guint64 number, gboolean is_last,
    GstNervRateFunc fill)
{
  const Pictures p = find_pictures (rate, &decoder->input_segment, frame,
      number);
  GstFlowReturn ret = GST_FLOW_OK;
  guint64 k;

  if (p.end - p.first > 1)
    send_segment (decoder);
  for (k = p.end; k > p.first + 1 && ret == GST_FLOW_OK; k--)
    ret = push_one (rate, decoder, &p, k - 1, fill);
  if (ret != GST_FLOW_OK || p.first >= p.end) {
    gst_video_decoder_release_frame (decoder, frame);
    return ret;
  }
  if (!fill_frame (rate, decoder, frame, &p, p.first, fill, &ret))
    return ret;
  return is_last ? gst_video_decoder_finish_frame (decoder, frame)
      : gst_nerv_reverse_push (decoder, frame);
}

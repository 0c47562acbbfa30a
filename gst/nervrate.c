/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervrate.h. Frame k of what goes out is due k out-frames after the time of the
 * stream's frame 0, wherever decoding begins, so that a seek shows the frames
 * that playing shows.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervrate.h"

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
  own_n, own_d, own_n, own_d, 0, 0};
  if (!find_other_rate (pad, format, &n, &d))
    return TRUE;
  if (own_n > 0 && gst_util_fraction_multiply (n, d, own_d, own_n, &out, &in)
      && (between || out == 1)) {
    *rate = (GstNervRate) {
    n, d, own_n, own_d, (guint64) out, (guint64) in};
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
gst_nerv_rate_any (GstCaps * caps)
{
  guint i;

  caps = gst_caps_make_writable (caps);
  for (i = 0; i < gst_caps_get_size (caps); i++)
    gst_structure_remove_field (gst_caps_get_structure (caps, i), "framerate");
  return caps;
}

/* A time span of the decoder's output segment that is to be seen, or nothing. */
static gboolean
clip (GstVideoDecoder * decoder, guint64 * start, guint64 * stop)
{
  return gst_segment_clip (&decoder->output_segment, GST_FORMAT_TIME, *start,
      *stop, start, stop);
}

static GstFlowReturn
push_one (GstVideoDecoder * decoder, guint64 start, guint64 stop,
    gdouble later, GstNervRateFunc fill)
{
  GstBuffer *buffer;
  gboolean filled;
  GstFlowReturn ret;

  if (!clip (decoder, &start, &stop))
    return GST_FLOW_OK;
  buffer = gst_video_decoder_allocate_output_buffer (decoder);
  if (!buffer)
    return GST_PAD_IS_FLUSHING (GST_VIDEO_DECODER_SRC_PAD (decoder))
        ? GST_FLOW_FLUSHING : GST_FLOW_ERROR;
  ret = fill (decoder, NULL, later, buffer, &filled);
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

/* The first picture is the frame's, by which the base class negotiates, sends events,
 * counts. */
static GstFlowReturn
finish_first (GstVideoDecoder * decoder, GstVideoCodecFrame * frame,
    guint64 start, guint64 stop, gdouble later, GstNervRateFunc fill)
{
  GstFlowReturn ret = gst_video_decoder_allocate_output_frame (decoder, frame);
  gboolean filled;

  if (ret != GST_FLOW_OK) {
    gst_video_decoder_release_frame (decoder, frame);
    return ret;
  }
  ret = fill (decoder, frame, later, frame->output_buffer, &filled);
  if (!filled)
    return ret;
  frame->pts = start;
  frame->duration = stop - start;
  return gst_video_decoder_finish_frame (decoder, frame);
}

GstFlowReturn
gst_nerv_rate_push (const GstNervRate * rate, GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame, guint64 number, GstNervRateFunc fill)
{
  const guint64 first =
      gst_util_uint64_scale_ceil (number, rate->out, rate->in);
  const guint64 end =
      gst_util_uint64_scale_ceil (number + 1, rate->out, rate->in);
  const guint64 pts = frame->pts;
  /* of the frame itself, in the time that k counts */
  const guint64 at = gst_util_uint64_scale (number, GST_SECOND * rate->own_d,
      rate->own_n);
  GstFlowReturn ret = GST_FLOW_OK;
  guint64 k;

  if (first == end) {
    GST_VIDEO_CODEC_FRAME_SET_DECODE_ONLY (frame);
    return gst_video_decoder_finish_frame (decoder, frame);
  }
  for (k = first; k < end && ret == GST_FLOW_OK; k++) {
    const guint64 start = pts - at + gst_util_uint64_scale (k,
        GST_SECOND * rate->fps_d, rate->fps_n);
    const guint64 stop = pts - at + gst_util_uint64_scale (k + 1,
        GST_SECOND * rate->fps_d, rate->fps_n);
    /* less than 1: what products leave of it beyond 64 bits is none of it */
    const gdouble later = (gdouble) (k * rate->in - number * rate->out)
        / (gdouble) rate->out;

    ret = k == first ? finish_first (decoder, frame, start, stop, later, fill)
        : push_one (decoder, start, stop, later, fill);
  }
  return ret;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Translation between GStreamer's description of video and libnerv's. Where
 * GStreamer says "unknown", the value that its own converters assume is chosen
 * here once and written into the stream, so that a decoder need not guess.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervvideo.h"

static const struct
{
  NervPixelFormat nerv;
  GstVideoFormat gst;
} formats[] = {
  {NERV_PIXELS_RGB, GST_VIDEO_FORMAT_RGB},
  {NERV_PIXELS_RGBX, GST_VIDEO_FORMAT_RGBx},
  {NERV_PIXELS_BGRX, GST_VIDEO_FORMAT_BGRx},
  {NERV_PIXELS_I420, GST_VIDEO_FORMAT_I420},
  {NERV_PIXELS_NV12, GST_VIDEO_FORMAT_NV12},
};

static gboolean
is_yuv (gint32 format)
{
  return format == NERV_PIXELS_I420 || format == NERV_PIXELS_NV12;
}

GstVideoFormat
gst_nerv_format_to_gst (gint32 format)
{
  guint i;

  for (i = 0; i < G_N_ELEMENTS (formats); i++)
    if ((gint32) formats[i].nerv == format)
      return formats[i].gst;
  return GST_VIDEO_FORMAT_UNKNOWN;
}

static GstVideoFormat
opaque (GstVideoFormat format)
{
  switch (format) {
    case GST_VIDEO_FORMAT_RGBA:
      return GST_VIDEO_FORMAT_RGBx;
    case GST_VIDEO_FORMAT_BGRA:
      return GST_VIDEO_FORMAT_BGRx;
    case GST_VIDEO_FORMAT_A420:
    case GST_VIDEO_FORMAT_AYUV:
      return GST_VIDEO_FORMAT_I420;
    default:
      return format;
  }
}

gboolean
gst_nerv_pixels_from_info (const GstVideoInfo * info, NervPixels * pixels)
{
  GstVideoChromaSite site = info->chroma_site;
  double kr, kb;
  guint i;

  memset (pixels, 0, sizeof (*pixels));
  for (i = 0; i < G_N_ELEMENTS (formats); i++)
    if (formats[i].gst == opaque (GST_VIDEO_INFO_FORMAT (info)))
      break;
  if (i == G_N_ELEMENTS (formats))
    return FALSE;

  pixels->format = formats[i].nerv;
  pixels->width = GST_VIDEO_INFO_WIDTH (info);
  pixels->height = GST_VIDEO_INFO_HEIGHT (info);
  if (!is_yuv (pixels->format)) {
    pixels->matrix = NERV_MATRIX_RGB;
    pixels->full_range = 1;
    return TRUE;
  }

  pixels->matrix = gst_video_color_matrix_to_iso (info->colorimetry.matrix);
  /* H.273 has two code points for BT.601's matrix */
  if (pixels->matrix == 5)
    pixels->matrix = NERV_MATRIX_BT601;
  if (pixels->matrix == NERV_MATRIX_RGB
      || !nerv_matrix_coefficients (pixels->matrix, &kr, &kb))
    pixels->matrix =
        pixels->height > 576 ? NERV_MATRIX_BT709 : NERV_MATRIX_BT601;
  pixels->full_range = info->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
  if (site == GST_VIDEO_CHROMA_SITE_UNKNOWN)
    site = GST_VIDEO_CHROMA_SITE_MPEG2;
  pixels->h_cosited = (site & GST_VIDEO_CHROMA_SITE_H_COSITED) != 0;
  pixels->v_cosited = (site & GST_VIDEO_CHROMA_SITE_V_COSITED) != 0;
  return TRUE;
}

gboolean
gst_nerv_video_info_from_gst (const GstVideoInfo * info, NervVideoInfo * nerv)
{
  memset (nerv, 0, sizeof (*nerv));
  if (!gst_nerv_pixels_from_info (info, &nerv->pixels))
    return FALSE;

  nerv->primaries =
      gst_video_color_primaries_to_iso (info->colorimetry.primaries);
  nerv->transfer =
      gst_video_transfer_function_to_iso (info->colorimetry.transfer);
  if (GST_VIDEO_INFO_FPS_N (info) > 0 && GST_VIDEO_INFO_FPS_D (info) > 0
      && !GST_VIDEO_INFO_FLAG_IS_SET (info, GST_VIDEO_FLAG_VARIABLE_FPS)) {
    nerv->fps_n = GST_VIDEO_INFO_FPS_N (info);
    nerv->fps_d = GST_VIDEO_INFO_FPS_D (info);
  } else {
    nerv->fps_n = 0;
    nerv->fps_d = 1;
  }
  nerv->par_n = MAX (1, GST_VIDEO_INFO_PAR_N (info));
  nerv->par_d = MAX (1, GST_VIDEO_INFO_PAR_D (info));
  return TRUE;
}

void
gst_nerv_video_info_from_sequence (const NervSequence * seq,
    NervVideoInfo * nerv)
{
  memset (nerv, 0, sizeof (*nerv));
  nerv->pixels.format = seq->format;
  nerv->pixels.width = seq->width;
  nerv->pixels.height = seq->height;
  nerv->pixels.matrix = seq->matrix;
  nerv->pixels.full_range = seq->full_range;
  nerv->pixels.h_cosited = seq->h_cosited;
  nerv->pixels.v_cosited = seq->v_cosited;
  nerv->primaries = seq->primaries;
  nerv->transfer = seq->transfer;
  nerv->fps_n = seq->fps_n;
  nerv->fps_d = seq->fps_d;
  nerv->par_n = seq->par_n;
  nerv->par_d = seq->par_d;
}

static GstVideoFormat
nearest_format (GstCaps * allowed, GstVideoFormat source)
{
  const GstVideoFormatInfo *own = gst_video_format_get_info (source);
  GstVideoFormat first = GST_VIDEO_FORMAT_UNKNOWN;
  guint i;

  allowed = gst_caps_normalize (gst_caps_ref (allowed));
  for (i = 0; i < gst_caps_get_size (allowed); i++) {
    const gchar *name =
        gst_structure_get_string (gst_caps_get_structure (allowed, i),
        "format");
    GstVideoFormat format = name ? gst_video_format_from_string (name)
        : GST_VIDEO_FORMAT_UNKNOWN;
    const GstVideoFormatInfo *info = gst_video_format_get_info (format);

    if (format == GST_VIDEO_FORMAT_UNKNOWN)
      continue;
    if (first == GST_VIDEO_FORMAT_UNKNOWN)
      first = format;
    if (GST_VIDEO_FORMAT_INFO_IS_YUV (info)
        == GST_VIDEO_FORMAT_INFO_IS_YUV (own)) {
      first = format;
      break;
    }
  }
  gst_caps_unref (allowed);
  return first;
}

void
gst_nerv_video_info_apply (const NervVideoInfo * nerv, GstVideoInfo * info)
{
  GstVideoColorimetry *c = &info->colorimetry;

  info->fps_n = nerv->fps_n;
  info->fps_d = nerv->fps_d;
  info->par_n = nerv->par_n;
  info->par_d = nerv->par_d;
  c->primaries = gst_video_color_primaries_from_iso (nerv->primaries);
  c->transfer = gst_video_transfer_function_from_iso (nerv->transfer);

  if (!is_yuv (nerv->pixels.format)) {
    if (!GST_VIDEO_INFO_IS_YUV (info)) {
      c->matrix = GST_VIDEO_COLOR_MATRIX_RGB;
      c->range = GST_VIDEO_COLOR_RANGE_0_255;
    }
    return;
  }
  if (!GST_VIDEO_INFO_IS_YUV (info)) {
    c->matrix = GST_VIDEO_COLOR_MATRIX_RGB;
    c->range = GST_VIDEO_COLOR_RANGE_0_255;
    return;
  }
  c->matrix = gst_video_color_matrix_from_iso (nerv->pixels.matrix);
  c->range = nerv->pixels.full_range ? GST_VIDEO_COLOR_RANGE_0_255
      : GST_VIDEO_COLOR_RANGE_16_235;
  info->chroma_site =
      (nerv->pixels.h_cosited ? GST_VIDEO_CHROMA_SITE_H_COSITED : 0)
      | (nerv->pixels.v_cosited ? GST_VIDEO_CHROMA_SITE_V_COSITED : 0);
  if (info->chroma_site == GST_VIDEO_CHROMA_SITE_UNKNOWN)
    info->chroma_site = GST_VIDEO_CHROMA_SITE_NONE;
}

void
gst_nerv_frame_from_gst (const GstVideoFrame * frame, NervFrame * nerv)
{
  guint i;

  memset (nerv, 0, sizeof (*nerv));
  for (i = 0; i < GST_VIDEO_FRAME_N_PLANES (frame) && i < 3; i++) {
    nerv->data[i] = GST_VIDEO_FRAME_PLANE_DATA (frame, i);
    nerv->stride[i] = GST_VIDEO_FRAME_PLANE_STRIDE (frame, i);
  }
}

GstCaps *
gst_nerv_caps_from_sequence (const NervSequence * seq)
{
  NervVideoInfo nerv;
  GstVideoInfo info;
  GstVideoFormat format = gst_nerv_format_to_gst (seq->format);
  GstCaps *caps;
  gchar *text;

  gst_nerv_video_info_from_sequence (seq, &nerv);
  gst_video_info_set_format (&info,
      format == GST_VIDEO_FORMAT_UNKNOWN ? GST_VIDEO_FORMAT_RGB : format,
      seq->width, seq->height);
  gst_nerv_video_info_apply (&nerv, &info);

  caps = gst_caps_new_simple ("video/x-nerv",
      "stream-format", G_TYPE_STRING, "byte-stream",
      "alignment", G_TYPE_STRING, "au",
      "profile", G_TYPE_STRING, "main",
      "parsed", G_TYPE_BOOLEAN, TRUE,
      "width", G_TYPE_INT, (gint) seq->width,
      "height", G_TYPE_INT, (gint) seq->height,
      "framerate", GST_TYPE_FRACTION, (gint) seq->fps_n, (gint) seq->fps_d,
      "pixel-aspect-ratio", GST_TYPE_FRACTION, (gint) seq->par_n,
      (gint) seq->par_d, NULL);
  text = gst_video_colorimetry_to_string (&info.colorimetry);
  if (text)
    gst_caps_set_simple (caps, "colorimetry", G_TYPE_STRING, text, NULL);
  g_free (text);
  if (is_yuv (seq->format)) {
    text = gst_video_chroma_site_to_string (info.chroma_site);
    if (text)
      gst_caps_set_simple (caps, "chroma-site", G_TYPE_STRING, text, NULL);
    g_free (text);
  }
  return caps;
}

/* libnerv's messages are clauses ("unknown model option ..."), element errors are
 * sentences. Names of files and properties stay as they are. */
static gchar *
make_sentence (const gchar * message)
{
  gchar *text = g_strdup (message), *sentence;
  const gsize word = strcspn (text, " ,");

  if (strcspn (text, "-=./:_0123456789") >= word)
    *text = g_ascii_toupper (*text);
  sentence = g_str_has_suffix (text, ".") ? g_strdup (text)
      : g_strconcat (text, ".", NULL);
  g_free (text);
  return sentence;
}

static GstPadProbeReturn
note_reconfigure (GstPad * pad, GstPadProbeInfo * info, gpointer flag)
{
  if (GST_EVENT_TYPE (GST_PAD_PROBE_INFO_EVENT (info))
      == GST_EVENT_RECONFIGURE)
    g_atomic_int_set ((gint *) flag, TRUE);
  return GST_PAD_PROBE_OK;
}

void
gst_nerv_watch_reconfigure (GstPad * pad, gint * flag)
{
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_EVENT_UPSTREAM, note_reconfigure,
      flag, NULL);
}

gboolean
gst_nerv_is_skipped (const GstSegment * segment,
    const GstVideoCodecFrame * frame)
{
  return (segment->flags & GST_SEGMENT_FLAG_TRICKMODE_KEY_UNITS)
      && !GST_VIDEO_CODEC_FRAME_IS_SYNC_POINT (frame);
}

/* Tested against the input's segment, as there is none of the output before the
 * first frame is out. */
GstFlowReturn
gst_nerv_skip_frame (GstVideoDecoder * decoder, GstVideoCodecFrame * frame)
{
  const GstSegment *segment = &decoder->input_segment;

  if (GST_CLOCK_TIME_IS_VALID (frame->pts) && frame->pts < segment->start) {
    /* backwards the picture of a frame before it may be due before its own time, and times must not fall */
    if (segment->rate < 0.0)
      frame->pts = 0;
    /* it must end there too */
    frame->duration = MIN (frame->duration, segment->start - frame->pts - 1);
    frame->output_buffer = gst_buffer_new ();
  } else {
    GST_VIDEO_CODEC_FRAME_SET_DECODE_ONLY (frame);
  }
  return gst_video_decoder_finish_frame (decoder, frame);
}

gboolean
gst_nerv_in_segment (const GstSegment * segment,
    const GstVideoCodecFrame * frame)
{
  if (segment->format != GST_FORMAT_TIME
      || !GST_CLOCK_TIME_IS_VALID (frame->pts))
    return TRUE;
  /* Without a duration it would be cut to the segment's start and shown */
  if (!GST_CLOCK_TIME_IS_VALID (frame->duration))
    return frame->pts >= segment->start;
  return gst_segment_clip (segment, GST_FORMAT_TIME, frame->pts,
      frame->pts + frame->duration, NULL, NULL);
}

GstStructure *
gst_nerv_decoder_stats (const NervDecoderStats * s)
{
  return gst_structure_new ("nervdec-stats",
      "segment", G_TYPE_UINT, s->segment_id,
      "frames", G_TYPE_UINT64, (guint64) s->frames,
      "render-seconds", G_TYPE_DOUBLE, s->render_seconds,
      "fps", G_TYPE_DOUBLE,
      s->render_seconds > 0 ? s->frames / s->render_seconds : 0.0,
      "device", G_TYPE_STRING, s->device,
      "model", G_TYPE_STRING, s->model,
      "parameters", G_TYPE_INT64, (gint64) s->parameters,
      "network-bytes", G_TYPE_UINT64, (guint64) s->network_bytes,
      "concealed", G_TYPE_UINT64, (guint64) s->concealed,
      "peak-bytes", G_TYPE_UINT64, (guint64) s->peak_bytes,
      "readbacks", G_TYPE_UINT64, (guint64) s->readbacks, NULL);
}

GstVideoFormat
gst_nerv_choose_format (GstPad * pad, GstVideoFormat source)
{
  /* without a filter, as that would impose this element's order */
  GstCaps *peer = gst_pad_peer_query_caps (pad, NULL);
  GstCaps *template = gst_pad_get_pad_template_caps (pad);
  GstCaps *allowed =
      gst_caps_intersect_full (peer, template, GST_CAPS_INTERSECT_FIRST);
  GstCaps *own = gst_caps_new_simple ("video/x-raw", "format", G_TYPE_STRING,
      gst_video_format_to_string (source), NULL);
  GstVideoFormat format;

  if (gst_caps_is_any (peer) || gst_caps_can_intersect (allowed, own))
    format = source;
  else
    format = nearest_format (allowed, source);
  gst_caps_unref (own);
  gst_caps_unref (allowed);
  gst_caps_unref (template);
  gst_caps_unref (peer);
  return format;
}

void
gst_nerv_refused (GstElement * element, GstPad * pad)
{
  GstCaps *wanted = gst_pad_peer_query_caps (pad, NULL);
  GstCaps *offered = gst_pad_get_current_caps (pad);

  if (!offered)
    offered = gst_pad_get_pad_template_caps (pad);
  GST_ELEMENT_ERROR (element, CORE, NEGOTIATION,
      ("What comes out is not what is wanted behind: put a videoconvert or a "
          "videoscale there."),
      ("there is %" GST_PTR_FORMAT "; wanted is %" GST_PTR_FORMAT, offered,
          wanted));
  gst_caps_unref (offered);
  gst_caps_unref (wanted);
}

/* For who debugs: what was done, and which kind of error libnerv or GLib call it. */
static gchar *
describe_failure (const GError * error, const gchar * doing)
{
  static const gchar *const kinds[] = {
    [NERV_ERROR_INVALID] = "invalid",
    [NERV_ERROR_UNSUPPORTED] = "not supported",
    [NERV_ERROR_MEMORY] = "memory",
    [NERV_ERROR_DEVICE] = "device",
    [NERV_ERROR_DATA] = "data",
    [NERV_ERROR_NEED_SYNC] = "no sync point yet",
    [NERV_ERROR_LIMIT] = "limit",
    [NERV_ERROR_CANCELLED] = "cancelled",
  };

  if (!error)
    return g_strdup_printf ("%s failed", doing);
  if (error->domain == NERV_ERROR && (gsize) error->code < G_N_ELEMENTS (kinds))
    return g_strdup_printf ("%s failed (libnerv: %s)", doing,
        kinds[error->code]);
  return g_strdup_printf ("%s failed (%s %d)", doing,
      g_quark_to_string (error->domain), error->code);
}

void
gst_nerv_element_error (gpointer element, const GError * error,
    const gchar * doing, const gchar * file, const gchar * function, gint line)
{
  GQuark domain = GST_LIBRARY_ERROR;
  gint code = GST_LIBRARY_ERROR_FAILED;

  if (error && error->domain == NERV_ERROR) {
    switch ((NervErrorCode) error->code) {
      case NERV_ERROR_INVALID:
        code = GST_LIBRARY_ERROR_SETTINGS;
        break;
      case NERV_ERROR_UNSUPPORTED:
        domain = GST_STREAM_ERROR;
        code = GST_STREAM_ERROR_NOT_IMPLEMENTED;
        break;
      case NERV_ERROR_MEMORY:
        domain = GST_RESOURCE_ERROR;
        code = GST_RESOURCE_ERROR_NO_SPACE_LEFT;
        break;
      case NERV_ERROR_DEVICE:
        domain = GST_RESOURCE_ERROR;
        code = GST_RESOURCE_ERROR_NOT_FOUND;
        break;
      case NERV_ERROR_DATA:
      case NERV_ERROR_NEED_SYNC:
        domain = GST_STREAM_ERROR;
        code = GST_STREAM_ERROR_DECODE;
        break;
      case NERV_ERROR_LIMIT:
        domain = GST_RESOURCE_ERROR;
        code = GST_RESOURCE_ERROR_FAILED;
        break;
      case NERV_ERROR_CANCELLED:
        break;
    }
  }
  gst_element_message_full (GST_ELEMENT (element), GST_MESSAGE_ERROR, domain,
      code, make_sentence (error ? error->message : "out of memory"),
      describe_failure (error, doing), file, function, line);
}

void
gst_nerv_report_device (gpointer element, const NervDecoder * dec)
{
  const gchar *warning = nerv_decoder_warning (dec);

  if (warning)
    GST_ELEMENT_WARNING (element, RESOURCE, FAILED,
        ("The GPU failed; the CPU decodes the rest."), ("%s", warning));
}

void
gst_nerv_strip_buffer (GstBuffer ** buffer)
{
  GstBuffer *shell = gst_buffer_new ();
  GstMeta *meta;
  gpointer state = NULL;
  GQuark memory = g_quark_from_static_string ("memory");
  GQuark reference = g_quark_from_static_string ("memory-reference");

  gst_buffer_copy_into (shell, *buffer,
      GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
  while ((meta = gst_buffer_iterate_meta (*buffer, &state))) {
    GstMetaTransformCopy copy = { FALSE, 0, -1 };

    if (!meta->info->transform_func
        || gst_meta_api_type_has_tag (meta->info->api, memory)
        || gst_meta_api_type_has_tag (meta->info->api, reference))
      continue;
    meta->info->transform_func (shell, meta, *buffer,
        _gst_meta_transform_copy, &copy);
  }
  gst_buffer_replace (buffer, shell);
  gst_buffer_unref (shell);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervdec takes one access unit per buffer and evaluates the network for each
 * frame that will be seen: frames outside the segment or too late for the clock
 * are parsed (their network is taken over) but never computed. It converts to
 * the negotiated format inside libnerv; it does not parse byte streams, which is
 * nervparse's work.
 */

/**
 * SECTION:element-nervdec
 * @title: nervdec
 *
 * Decodes neural video.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=test.nerv ! nervparse ! nervdec ! videoconvert ! autovideosink
 * ]|
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervdec.h"
#include "nervdecoptions.h"
#include "nervlosses.h"
#include "nervpool.h"
#include "nervrate.h"
#include "nervreverse.h"
#include "nervvideo.h"
#include "nervvulkan.h"

GST_DEBUG_CATEGORY_STATIC (gst_nerv_dec_debug);
#define GST_CAT_DEFAULT gst_nerv_dec_debug

struct _GstNervDec
{
  GstVideoDecoder parent;

  NervDecoderSettings settings; /* properties, guarded by the object lock */

  /* Guards `dec` as a pointer and `last_stats` against readers of the stats
   * property; only start() and stop() change the pointer. */
  GMutex lock;
  NervDecoder *dec;
  NervDecoderStats last_stats;

  /* streaming thread */
  GstVideoCodecState *input_state, *output_state;
  gint reconfigure;             /* atomic: downstream wants to be asked again */
  gsize pixel_bytes;            /* of an output frame, without padding */
  GstNervVulkan *vulkan;
  gboolean asked;               /* for a device to share, in vain */
  gboolean images;              /* frames are Vulkan images */
  GstNervRate rate;             /* of what goes out */
  GstNervReverse *reverse;      /* what was sent of a segment played backwards */
  guint64 number;               /* of the frame that was sent last */
  GstNervLosses losses;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/x-nerv, parsed = (boolean) true, "
        "alignment = (string) au"));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS (GST_NERV_RAW_CAPS GST_NERV_IMAGE_CAPS));

#define gst_nerv_dec_parent_class parent_class
G_DEFINE_TYPE_WITH_CODE (GstNervDec, gst_nerv_dec, GST_TYPE_VIDEO_DECODER,
    GST_DEBUG_CATEGORY_INIT (gst_nerv_dec_debug, "nervdec", 0,
        "neural video decoder"));
GST_ELEMENT_REGISTER_DEFINE (nervdec, "nervdec", GST_RANK_PRIMARY,
    GST_TYPE_NERV_DEC);

/* --- output format -------------------------------------------------------- */

/* Frames that stay on a device have the stream's times. */
static gboolean
choose_rate (GstNervDec * self, GstVideoFormat format,
    const NervVideoInfo * info)
{
  GError *error = NULL;

  if (gst_nerv_rate_choose (&self->rate, GST_VIDEO_DECODER_SRC_PAD (self),
          format, info, !self->images && nerv_decoder_has_between (self->dec),
          &error))
    return TRUE;
  GST_NERV_ELEMENT_ERROR (self, error, "choosing a frame rate");
  g_clear_error (&error);
  return FALSE;
}

/* Chooses what goes out by what downstream takes, and offers it. */
static GstFlowReturn
offer_output (GstNervDec * self)
{
  GstVideoDecoder *decoder = GST_VIDEO_DECODER (self);
  NervVideoInfo info;
  NervPixels pixels;
  GstVideoFormat format;
  GError *error = NULL;
  gboolean only;

  nerv_decoder_get_info (self->dec, &info);
  format = gst_nerv_vulkan_is_open (self->vulkan)
      ? gst_nerv_vulkan_peer_format (GST_VIDEO_DECODER_SRC_PAD (decoder), &only)
      : GST_VIDEO_FORMAT_UNKNOWN;
  self->images = format != GST_VIDEO_FORMAT_UNKNOWN;
  if (!self->images)
    format = gst_nerv_choose_format (GST_VIDEO_DECODER_SRC_PAD (decoder),
        gst_nerv_format_to_gst (info.pixels.format));
  if (format == GST_VIDEO_FORMAT_UNKNOWN)
    return GST_FLOW_NOT_NEGOTIATED;
  if (!choose_rate (self, format, &info))
    return GST_FLOW_ERROR;

  g_clear_pointer (&self->output_state, gst_video_codec_state_unref);
  self->output_state = gst_video_decoder_set_output_state (decoder, format,
      info.pixels.width, info.pixels.height, self->input_state);
  gst_nerv_video_info_apply (&info, &self->output_state->info);
  GST_VIDEO_INFO_FPS_N (&self->output_state->info) = self->rate.fps_n;
  GST_VIDEO_INFO_FPS_D (&self->output_state->info) = self->rate.fps_d;
  if (self->images)
    self->output_state->caps = gst_nerv_vulkan_caps (&self->output_state->info);
  if (!gst_nerv_pixels_from_info (&self->output_state->info, &pixels))
    return GST_FLOW_NOT_NEGOTIATED;

  GST_DEBUG_OBJECT (self, "%dx%d, %s%s", pixels.width, pixels.height,
      gst_video_format_to_string (format), self->images ? " images" : "");
  if (!nerv_decoder_set_output (self->dec, &pixels, &error)) {
    GST_NERV_ELEMENT_ERROR (self, error, "setting the output format");
    g_clear_error (&error);
    return GST_FLOW_ERROR;
  }
  self->pixel_bytes = nerv_pixels_bytes (&pixels);
  if (gst_video_decoder_negotiate (decoder))
    return GST_FLOW_OK;
  /* A pad that flushes takes no caps: what follows the flush tries again. */
  g_clear_pointer (&self->output_state, gst_video_codec_state_unref);
  return GST_PAD_IS_FLUSHING (GST_VIDEO_DECODER_SRC_PAD (decoder))
      ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
}

/* Who links a pad when it has caps, as decodebin does, can be asked behind an offer only. */
static GstFlowReturn
update_output (GstNervDec * self)
{
  GstFlowReturn ret;

  g_atomic_int_set (&self->reconfigure, FALSE);
  ret = offer_output (self);
  return ret != GST_FLOW_FLUSHING
      && g_atomic_int_exchange (&self->reconfigure, FALSE)
      ? offer_output (self) : ret;
}

/* --- frames --------------------------------------------------------------- */

/* Takes the access unit's headers and network. `handled` tells that the frame
 * ended here. */
static GstFlowReturn
send_unit (GstNervDec * self, GstVideoCodecFrame * frame,
    NervDecodedInfo * info, gboolean * handled)
{
  GstVideoDecoder *decoder = GST_VIDEO_DECODER (self);
  GstFlowReturn ret = GST_FLOW_OK;
  GError *error = NULL;
  GstMapInfo map;
  gboolean ok;

  *handled = TRUE;
  if (!gst_buffer_map (frame->input_buffer, &map, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self, RESOURCE, READ, ("The stream could not be read."),
        ("gst_buffer_map() failed on %" GST_PTR_FORMAT, frame->input_buffer));
    gst_video_decoder_release_frame (decoder, frame);
    return GST_FLOW_ERROR;
  }
  ok = nerv_decoder_send (self->dec, map.data, map.size, info, &error);
  gst_buffer_unmap (frame->input_buffer, &map);
  gst_nerv_report_device (self, self->dec);
  if (ok) {
    gst_nerv_losses_note (&self->losses, GST_ELEMENT (self), self->dec, FALSE);
    *handled = FALSE;
    return GST_FLOW_OK;
  }

  if (g_error_matches (error, NERV_ERROR, NERV_ERROR_NEED_SYNC)) {
    GST_DEBUG_OBJECT (self, "waiting for a sync point");
    gst_video_decoder_request_sync_point (decoder, frame,
        GST_VIDEO_DECODER_REQUEST_SYNC_POINT_DISCARD_INPUT);
  } else if (g_error_matches (error, NERV_ERROR, NERV_ERROR_DATA)) {
    /* without another frame the segment can do, without its network not */
    if (GST_VIDEO_CODEC_FRAME_IS_SYNC_POINT (frame))
      gst_video_decoder_request_sync_point (decoder, frame,
          GST_VIDEO_DECODER_REQUEST_SYNC_POINT_DISCARD_INPUT);
    GST_ELEMENT_WARNING (self, STREAM, DECODE,
        ("The stream is damaged; frames are lost."), ("%s", error->message));
    GST_VIDEO_DECODER_ERROR (decoder, 1, STREAM, DECODE,
        ("The stream is damaged."), ("%s", error->message), ret);
  } else {
    GST_NERV_ELEMENT_ERROR (self, error, "reading an access unit");
    ret = GST_FLOW_ERROR;
  }
  g_clear_error (&error);
  gst_video_decoder_release_frame (decoder, frame);
  return ret;
}

/* What becomes of a picture that could not be computed, and of its frame, unless
 * that is NULL. Takes the error. */
static GstFlowReturn
lose_picture (GstNervDec * self, GstVideoCodecFrame * frame, GError * error)
{
  GstVideoDecoder *decoder = GST_VIDEO_DECODER (self);
  GstFlowReturn ret = GST_FLOW_OK;

  if (g_error_matches (error, NERV_ERROR, NERV_ERROR_DATA)) {
    self->losses.lost++;
    GST_DEBUG_OBJECT (self, "%s", error->message);
    GST_VIDEO_DECODER_ERROR (decoder, 1, STREAM, DECODE,
        ("The stream is damaged."), ("%s", error->message), ret);
  } else if (g_error_matches (error, NERV_ERROR, NERV_ERROR_NEED_SYNC)) {
    gst_video_decoder_request_sync_point (decoder, frame,
        GST_VIDEO_DECODER_REQUEST_SYNC_POINT_DISCARD_INPUT);
  } else {
    GST_NERV_ELEMENT_ERROR (self, error, "evaluating the network");
    ret = GST_FLOW_ERROR;
  }
  g_clear_error (&error);
  if (frame)
    gst_video_decoder_release_frame (decoder, frame);
  return ret;
}

/* The picture so much after the frame of the last send. */
static gboolean
fill (GstNervDec * self, gdouble later, GstBuffer * buffer, GError ** error)
{
  gboolean ok;

  if (self->images)
    ok = gst_nerv_vulkan_render (self->vulkan, self->dec, buffer,
        &self->output_state->info, error);
  else
    ok = gst_nerv_pool_fill (self->dec, later, &self->output_state->info,
        self->pixel_bytes, buffer, error);
  gst_nerv_losses_note (&self->losses, GST_ELEMENT (self), self->dec, TRUE);
  gst_nerv_report_device (self, self->dec);
  return ok;
}

/* Computes a frame's picture. FALSE: there is none, and the frame ended here. */
static gboolean
render (GstNervDec * self, GstVideoCodecFrame * frame, GstFlowReturn * flow)
{
  GstVideoDecoder *decoder = GST_VIDEO_DECODER (self);
  GError *error = NULL;

  *flow = gst_video_decoder_allocate_output_frame (decoder, frame);
  if (*flow != GST_FLOW_OK) {
    gst_video_decoder_release_frame (decoder, frame);
    return FALSE;
  }
  if (fill (self, 0.0, frame->output_buffer, &error))
    return TRUE;
  *flow = lose_picture (self, frame, error);
  return FALSE;
}

/* The same between frames; `frame` is NULL of a picture that the base class knows
 * nothing of. */
static GstFlowReturn
fill_between (GstVideoDecoder * decoder, GstVideoCodecFrame * frame,
    gdouble later, GstBuffer * buffer, gboolean * filled)
{
  GError *error = NULL;

  *filled = fill (GST_NERV_DEC (decoder), later, buffer, &error);
  return *filled ? GST_FLOW_OK
      : lose_picture (GST_NERV_DEC (decoder), frame, error);
}

/* --- backwards ------------------------------------------------------------ */

static gboolean
feed_again (GstVideoDecoder * decoder, GstBuffer * unit)
{
  GstNervDec *self = GST_NERV_DEC (decoder);
  NervDecodedInfo info;
  GstMapInfo map;
  gboolean ok;

  if (!gst_buffer_map (unit, &map, GST_MAP_READ))
    return FALSE;
  ok = nerv_decoder_send (self->dec, map.data, map.size, &info, NULL);
  gst_buffer_unmap (unit, &map);
  self->number = info.frame;
  gst_nerv_losses_note (&self->losses, GST_ELEMENT (self), self->dec, FALSE);
  return ok;
}

static GstFlowReturn
show_backwards (GstVideoDecoder * decoder, GstVideoCodecFrame * frame,
    gboolean is_last)
{
  GstNervDec *self = GST_NERV_DEC (decoder);
  GstFlowReturn ret;

  if (gst_nerv_is_late (decoder, frame)) {
    /* which the base class need not put in order */
    GST_VIDEO_CODEC_FRAME_SET_DECODE_ONLY (frame);
    return gst_video_decoder_drop_frame (decoder, frame);
  }
  if (!gst_nerv_rate_is_own (&self->rate, frame))
    return gst_nerv_rate_push_back (&self->rate, decoder, frame, self->number,
        is_last, fill_between);
  if (!render (self, frame, &ret))
    return ret;
  return is_last ? gst_video_decoder_finish_frame (decoder, frame)
      : gst_nerv_reverse_push (decoder, frame);
}

static GstFlowReturn
gst_nerv_dec_finish (GstVideoDecoder * decoder)
{
  gst_nerv_losses_report (&GST_NERV_DEC (decoder)->losses,
      GST_ELEMENT (decoder));
  return GST_FLOW_OK;
}

/* All of a segment is here if it is played backwards. */
static GstFlowReturn
gst_nerv_dec_drain (GstVideoDecoder * decoder)
{
  static const GstNervReverseFuncs funcs = { feed_again, show_backwards };
  GstNervDec *self = GST_NERV_DEC (decoder);
  GstFlowReturn ret = gst_nerv_reverse_play (self->reverse, decoder, &funcs);

  if (decoder->input_segment.rate < 0.0)
    gst_nerv_losses_report (&self->losses, GST_ELEMENT (self));
  return ret;
}

static NervDecoder *
open_decoder (GstNervDec * self, gboolean share_only)
{
  GstPad *pad = GST_VIDEO_DECODER_SRC_PAD (self);
  NervDecoderSettings settings;
  NervDecoder *dec = NULL;
  GError *error = NULL;
  gboolean only;

  GST_OBJECT_LOCK (self);
  settings = self->settings;
  settings.device = g_strdup (settings.device);
  settings.init_location = g_strdup (settings.init_location);
  GST_OBJECT_UNLOCK (self);

  if (gst_nerv_vulkan_peer_format (pad, &only) != GST_VIDEO_FORMAT_UNKNOWN) {
    dec = gst_nerv_vulkan_open (self->vulkan, &settings, only);
    self->asked = TRUE;
  }
  if (!dec && !share_only)
    dec = nerv_decoder_new (&settings, &error);
  if (error)
    GST_NERV_ELEMENT_ERROR (self, error, "starting the decoder");
  g_clear_error (&error);
  nerv_decoder_settings_clear (&settings);
  return dec;
}

static void
use_decoder (GstNervDec * self, NervDecoder * dec)
{
  NervDecoder *old;

  g_mutex_lock (&self->lock);
  old = self->dec;
  if (old)
    nerv_decoder_get_stats (old, &self->last_stats);
  self->dec = dec;
  g_mutex_unlock (&self->lock);
  nerv_decoder_free (old);
  memset (&self->losses, 0, sizeof (self->losses));
}

/* Who takes images may have come after start(). A decoder on its device takes over
 * where a network begins. */
static void
look_for_device (GstNervDec * self, const GstVideoCodecFrame * frame)
{
  NervDecoder *dec;

  if (self->asked || !GST_VIDEO_CODEC_FRAME_IS_SYNC_POINT (frame))
    return;
  dec = open_decoder (self, TRUE);
  if (!dec)
    return;
  use_decoder (self, dec);
  g_clear_pointer (&self->output_state, gst_video_codec_state_unref);
}

/* Takes the frame. */
static GstFlowReturn
decode (GstNervDec * self, GstVideoCodecFrame * frame)
{
  GstVideoDecoder *decoder = GST_VIDEO_DECODER (self);
  NervDecodedInfo info;
  const gboolean backwards = decoder->input_segment.rate < 0.0;
  GstFlowReturn ret;
  gboolean handled;

  look_for_device (self, frame);
  ret = send_unit (self, frame, &info, &handled);
  if (handled)
    return ret;
  if (backwards)
    gst_nerv_reverse_keep (self->reverse, frame->input_buffer,
        self->losses.networks);
  if (gst_nerv_is_skipped (&decoder->input_segment, frame)) {
    GST_VIDEO_CODEC_FRAME_SET_DECODE_ONLY (frame);
    return gst_video_decoder_finish_frame (decoder, frame);
  }

  if (info.info_changed || !self->output_state
      || g_atomic_int_exchange (&self->reconfigure, FALSE)) {
    ret = update_output (self);
    if (ret != GST_FLOW_OK) {
      gst_video_decoder_release_frame (decoder, frame);
      return ret;
    }
  }

  /* transports without time stamps */
  if (!GST_CLOCK_TIME_IS_VALID (frame->pts) && info.pts_ns >= 0)
    frame->pts = info.pts_ns;
  if (!GST_CLOCK_TIME_IS_VALID (frame->duration) && info.duration_ns > 0)
    frame->duration = info.duration_ns;

  if (!gst_nerv_rate_wants (&self->rate, &decoder->input_segment, frame,
          info.frame)) {
    GST_LOG_OBJECT (self, "frame %" G_GUINT64_FORMAT " is outside the segment",
        (guint64) info.frame);
    return gst_nerv_skip_frame (decoder, frame);
  }
  if (backwards) {
    gst_nerv_reverse_want (self->reverse, frame);
    return GST_FLOW_OK;
  }
  if (gst_nerv_is_late (decoder, frame)) {
    GST_DEBUG_OBJECT (self, "frame %" G_GUINT64_FORMAT " is too late",
        (guint64) info.frame);
    return gst_video_decoder_drop_frame (decoder, frame);
  }
  if (!gst_nerv_rate_is_own (&self->rate, frame))
    return gst_nerv_rate_push (&self->rate, decoder, frame, info.frame,
        fill_between);
  return render (self, frame, &ret) ?
      gst_video_decoder_finish_frame (decoder, frame) : ret;
}

static GstFlowReturn
gst_nerv_dec_handle_frame (GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame)
{
  const GstFlowReturn ret = decode (GST_NERV_DEC (decoder), frame);

  if (ret == GST_FLOW_NOT_NEGOTIATED)
    gst_nerv_refused (GST_ELEMENT (decoder), decoder->srcpad);
  return ret;
}

/* --- GstVideoDecoder ------------------------------------------------------ */

static gboolean
gst_nerv_dec_start (GstVideoDecoder * decoder)
{
  GstNervDec *self = GST_NERV_DEC (decoder);
  NervDecoder *dec;

  self->asked = FALSE;
  dec = open_decoder (self, FALSE);
  if (dec)
    use_decoder (self, dec);
  return dec != NULL;
}

static gboolean
gst_nerv_dec_stop (GstVideoDecoder * decoder)
{
  GstNervDec *self = GST_NERV_DEC (decoder);

  use_decoder (self, NULL);
  gst_nerv_vulkan_close (self->vulkan);
  gst_nerv_reverse_clear (self->reverse, decoder);
  g_clear_pointer (&self->input_state, gst_video_codec_state_unref);
  g_clear_pointer (&self->output_state, gst_video_codec_state_unref);
  return TRUE;
}

/* Everything about the video is in the stream's own headers; the caps only serve
 * as a reference for what those do not say. */
static gboolean
gst_nerv_dec_set_format (GstVideoDecoder * decoder, GstVideoCodecState * state)
{
  GstNervDec *self = GST_NERV_DEC (decoder);

  g_clear_pointer (&self->input_state, gst_video_codec_state_unref);
  self->input_state = gst_video_codec_state_ref (state);
  /* renegotiate at the next frame */
  g_clear_pointer (&self->output_state, gst_video_codec_state_unref);
  return TRUE;
}

/* What comes after a flush may belong to any segment, and a segment's id in a
 * frame unit is only its low bits. */
static gboolean
gst_nerv_dec_flush (GstVideoDecoder * decoder)
{
  GstNervDec *self = GST_NERV_DEC (decoder);

  gst_nerv_reverse_clear (self->reverse, decoder);
  gst_nerv_rate_flush (&self->rate);
  if (self->dec)
    nerv_decoder_reset (self->dec);
  return TRUE;
}

static GstCaps *
gst_nerv_dec_getcaps (GstVideoDecoder * decoder, GstCaps * filter)
{
  return gst_nerv_rate_any (gst_video_decoder_proxy_getcaps (decoder, NULL,
          NULL), filter);
}

static gboolean
gst_nerv_dec_src_query (GstVideoDecoder * decoder, GstQuery * query)
{
  return gst_nerv_vulkan_handle_query (GST_NERV_DEC (decoder)->vulkan, query)
      || GST_VIDEO_DECODER_CLASS (parent_class)->src_query (decoder, query);
}

static gboolean
gst_nerv_dec_sink_query (GstVideoDecoder * decoder, GstQuery * query)
{
  return gst_nerv_vulkan_handle_query (GST_NERV_DEC (decoder)->vulkan, query)
      || GST_VIDEO_DECODER_CLASS (parent_class)->sink_query (decoder, query);
}

static void
gst_nerv_dec_set_context (GstElement * element, GstContext * context)
{
  gst_nerv_vulkan_set_context (GST_NERV_DEC (element)->vulkan, context);
  GST_ELEMENT_CLASS (parent_class)->set_context (element, context);
}

static gboolean
gst_nerv_dec_decide_allocation (GstVideoDecoder * decoder, GstQuery * query)
{
  GstNervDec *self = GST_NERV_DEC (decoder);

  if (self->images)
    return gst_nerv_vulkan_decide_allocation (self->vulkan, query);
  return GST_VIDEO_DECODER_CLASS (parent_class)->decide_allocation (decoder,
      query) && gst_nerv_pool_request_video_meta (query);
}

/* --- properties ----------------------------------------------------------- */

static GstStructure *
create_stats (GstNervDec * self)
{
  NervDecoderStats s;

  g_mutex_lock (&self->lock);
  if (self->dec)
    nerv_decoder_get_stats (self->dec, &s);
  else
    s = self->last_stats;
  g_mutex_unlock (&self->lock);

  return gst_nerv_decoder_stats (&s);
}

static void
gst_nerv_dec_set_property (GObject * object, guint id, const GValue * value,
    GParamSpec * pspec)
{
  GstNervDec *self = GST_NERV_DEC (object);
  gboolean known;

  GST_OBJECT_LOCK (self);
  known = gst_nerv_decoder_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_nerv_dec_get_property (GObject * object, guint id, GValue * value,
    GParamSpec * pspec)
{
  GstNervDec *self = GST_NERV_DEC (object);
  gboolean known;

  if (id == GST_NERV_DEC_PROP_STATS) {
    g_value_take_boxed (value, create_stats (self));
    return;
  }

  GST_OBJECT_LOCK (self);
  known = gst_nerv_decoder_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_nerv_dec_finalize (GObject * object)
{
  GstNervDec *self = GST_NERV_DEC (object);

  nerv_decoder_free (self->dec);
  gst_nerv_vulkan_free (self->vulkan);
  gst_nerv_reverse_free (self->reverse);
  nerv_decoder_settings_clear (&self->settings);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_nerv_dec_init (GstNervDec * self)
{
  GstVideoDecoder *decoder = GST_VIDEO_DECODER (self);

  g_mutex_init (&self->lock);
  self->vulkan = gst_nerv_vulkan_new (GST_ELEMENT (self));
  self->reverse = gst_nerv_reverse_new ();
  gst_nerv_rate_init (&self->rate);
  nerv_decoder_settings_init (&self->settings);
  gst_video_decoder_set_packetized (decoder, TRUE);
  gst_video_decoder_set_needs_format (decoder, TRUE);
  gst_video_decoder_set_use_default_pad_acceptcaps (decoder, TRUE);
  GST_PAD_SET_ACCEPT_TEMPLATE (GST_VIDEO_DECODER_SINK_PAD (self));
  gst_nerv_watch_reconfigure (GST_VIDEO_DECODER_SRC_PAD (self),
      &self->reconfigure);
}

static void
gst_nerv_dec_class_init (GstNervDecClass * klass)
{
  GObjectClass *gobject_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstVideoDecoderClass *decoder_class = GST_VIDEO_DECODER_CLASS (klass);

  gobject_class->set_property = gst_nerv_dec_set_property;
  gobject_class->get_property = gst_nerv_dec_get_property;
  gobject_class->finalize = gst_nerv_dec_finalize;
  element_class->set_context = GST_DEBUG_FUNCPTR (gst_nerv_dec_set_context);

  gst_nerv_decoder_install_properties (gobject_class);

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Neural video decoder",
      "Codec/Decoder/Video",
      "Evaluates the neural networks that a video/x-nerv stream is made of",
      "The nerv project");

  decoder_class->start = GST_DEBUG_FUNCPTR (gst_nerv_dec_start);
  decoder_class->stop = GST_DEBUG_FUNCPTR (gst_nerv_dec_stop);
  decoder_class->set_format = GST_DEBUG_FUNCPTR (gst_nerv_dec_set_format);
  decoder_class->handle_frame = GST_DEBUG_FUNCPTR (gst_nerv_dec_handle_frame);
  decoder_class->finish = GST_DEBUG_FUNCPTR (gst_nerv_dec_finish);
  decoder_class->drain = GST_DEBUG_FUNCPTR (gst_nerv_dec_drain);
  decoder_class->flush = GST_DEBUG_FUNCPTR (gst_nerv_dec_flush);
  decoder_class->getcaps = GST_DEBUG_FUNCPTR (gst_nerv_dec_getcaps);
  decoder_class->src_query = GST_DEBUG_FUNCPTR (gst_nerv_dec_src_query);
  decoder_class->sink_query = GST_DEBUG_FUNCPTR (gst_nerv_dec_sink_query);
  decoder_class->decide_allocation =
      GST_DEBUG_FUNCPTR (gst_nerv_dec_decide_allocation);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervenc collects frames until a segment is full, fits a network to them on the
 * streaming thread (minutes of work) and pushes one access unit per frame. This
 * file deals with caps, frames, time stamps and cancelling; its properties are in
 * nervoptions.c.
 *
 * Cancelling has to reach a fit that holds the stream lock, so the flags and the
 * encoder's pointer are guarded by a lock of their own, which is never held
 * during work: change_state() and FLUSH_START set a flag and call
 * nerv_encoder_cancel() before they chain up.
 */

/**
 * SECTION:element-nervenc
 * @title: nervenc
 *
 * Encodes raw video as neural video: a small network per segment of frames,
 * fitted to them, is the stream.
 *
 * ## Example
 * |[
 * gst-launch-1.0 videotestsrc num-buffers=64 ! video/x-raw,width=320,height=180 ! nervenc epochs=40 ! filesink location=test.nerv
 * ]|
 * In a pipeline with audio the audio branch needs a queue without limits, as it
 * waits while a segment is fitted.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervenc.h"
#include "nervmask.h"
#include "nervoptions.h"
#include "nervvideo.h"

GST_DEBUG_CATEGORY_STATIC (gst_nerv_enc_debug);
#define GST_CAT_DEFAULT gst_nerv_enc_debug

/* gst-launch prints a line for each progress message */
#define PROGRESS_INTERVAL (G_USEC_PER_SEC / 2)

struct _GstNervEnc
{
  GstVideoEncoder parent;

  /* properties, guarded by the object lock */
  NervEncoderSettings settings; /* model_options stays NULL */
  GstStructure *model_options;
  gchar *mask_location;

  /* Guards what other threads touch: the two flags, `enc` as a pointer (only
   * the streaming thread changes it) and `last_stats`. */
  GMutex lock;
  gboolean stopping, flushing;
  NervEncoder *enc;
  NervEncoderStats last_stats;

  /* streaming thread */
  GstVideoInfo input;
  GstNervMask *mask;            /* NULL where all of every frame is known */
  NervVideoInfo info;
  GstClockTime next_pts;        /* for input without time stamps */
  GstClockTime frame_duration;
  guint segment;                /* number of the segment being fitted */
  gint64 last_progress;         /* monotonic time */
  GstCaps *refused;             /* last caps that no encoder could be set up for */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_NERV_RAW_CAPS ", "
        "interlace-mode = (string) progressive; "
        /* behind those without, which upstream takes where it has a choice */
        "video/x-raw, format = (string) " GST_NERV_ALPHA_FORMATS ", "
        "width = (int) [ 16, 8192 ], height = (int) [ 16, 8192 ], "
        "framerate = (fraction) [ 0/1, 2147483647/1 ], "
        "interlace-mode = (string) progressive"));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/x-nerv, stream-format = (string) byte-stream, "
        "alignment = (string) au, profile = (string) main, "
        "parsed = (boolean) true, "
        "width = (int) [ 16, 8192 ], height = (int) [ 16, 8192 ], "
        "framerate = (fraction) [ 0/1, 2147483647/1 ]"));

#define gst_nerv_enc_parent_class parent_class
G_DEFINE_TYPE_WITH_CODE (GstNervEnc, gst_nerv_enc, GST_TYPE_VIDEO_ENCODER,
    G_IMPLEMENT_INTERFACE (GST_TYPE_PRESET, NULL);
    GST_DEBUG_CATEGORY_INIT (gst_nerv_enc_debug, "nervenc", 0,
        "neural video encoder"));
GST_ELEMENT_REGISTER_DEFINE (nervenc, "nervenc", GST_RANK_PRIMARY,
    GST_TYPE_NERV_ENC);

/* --- cancelling ----------------------------------------------------------- */

static void
set_cancel (GstNervEnc * self, gboolean * flag)
{
  g_mutex_lock (&self->lock);
  *flag = TRUE;
  if (self->enc)
    nerv_encoder_cancel (self->enc);
  g_mutex_unlock (&self->lock);
}

static gboolean
is_cancelled (GstNervEnc * self)
{
  gboolean cancelled;

  g_mutex_lock (&self->lock);
  cancelled = self->stopping || self->flushing;
  g_mutex_unlock (&self->lock);
  return cancelled;
}

/* Streaming thread, or no streaming thread running. */
static void
replace_encoder (GstNervEnc * self, NervEncoder * enc)
{
  NervEncoder *old;

  g_mutex_lock (&self->lock);
  old = self->enc;
  if (old)
    nerv_encoder_get_stats (old, &self->last_stats);
  self->enc = enc;
  if (enc && (self->stopping || self->flushing))
    nerv_encoder_cancel (enc);
  g_mutex_unlock (&self->lock);
  nerv_encoder_free (old);
}

/* --- progress ------------------------------------------------------------- */

static void
post_progress (GstNervEnc * self, GstProgressType type, const gchar * text)
{
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_progress (GST_OBJECT (self), type, "fit", text));
}

static void
on_progress (void *user, const NervEncoderStats * stats)
{
  GstNervEnc *self = user;
  gint64 now = g_get_monotonic_time ();
  gchar *text;

  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self),
          gst_nerv_progress_to_structure (stats, self->segment)));

  if (now - self->last_progress < PROGRESS_INTERVAL
      && stats->step < stats->n_steps)
    return;
  self->last_progress = now;
  text =
      g_strdup_printf ("segment %u: step %u/%u, %.2f dB, %.1f steps/s, "
      "%.0f s left", self->segment, stats->step, stats->n_steps,
      stats->psnr_frames, stats->steps_per_second, stats->eta_seconds);
  post_progress (self, GST_PROGRESS_TYPE_CONTINUE, text);
  g_free (text);
}

/* --- fitting and pushing -------------------------------------------------- */

static GstFlowReturn
push_packets (GstNervEnc * self)
{
  GstVideoEncoder *encoder = GST_VIDEO_ENCODER (self);
  GstFlowReturn ret = GST_FLOW_OK;
  NervPacket packet, next;
  gboolean have_next;

  if (!nerv_encoder_get (self->enc, &packet))
    return GST_FLOW_OK;
  do {
    GstVideoCodecFrame *frame = gst_video_encoder_get_oldest_frame (encoder);

    have_next = nerv_encoder_get (self->enc, &next);
    if (!frame) {
      g_bytes_unref (packet.data);
      GST_ELEMENT_ERROR (self, STREAM, ENCODE,
          ("The encoder gave more packets than it took frames."),
          ("no pending frame for a packet of segment %u", self->segment));
      ret = GST_FLOW_ERROR;
    } else if (ret == GST_FLOW_OK) {
      frame->output_buffer = gst_buffer_new_wrapped_bytes (packet.data);
      g_bytes_unref (packet.data);
      frame->dts = frame->pts;
      if (packet.is_sync)
        GST_VIDEO_CODEC_FRAME_SET_SYNC_POINT (frame);
      /* A segment took minutes: a file sink must not keep its end in a buffer
       * that dies with the process. */
      if (!have_next)
        GST_BUFFER_FLAG_SET (frame->output_buffer, GST_BUFFER_FLAG_SYNC_AFTER);
      ret = gst_video_encoder_finish_frame (encoder, frame);
    } else {
      /* without an output buffer the base class drops it */
      g_bytes_unref (packet.data);
      gst_video_encoder_finish_frame (encoder, frame);
    }
    packet = next;
  } while (have_next);
  return ret;
}

/* How many frames there will be, by the duration that upstream knows. */
static void
update_expected (GstNervEnc * self)
{
  gint64 duration;

  nerv_encoder_expect (self->enc, 0);
  if (!self->frame_duration
      || !gst_pad_peer_query_duration (GST_VIDEO_ENCODER_SINK_PAD (self),
          GST_FORMAT_TIME, &duration) || duration <= 0)
    return;
  nerv_encoder_expect (self->enc, gst_util_uint64_scale_round (duration,
          self->info.fps_n, GST_SECOND * self->info.fps_d));
}

/* Fits a network to the frames so far and pushes their packets. */
static GstFlowReturn
end_segment (GstNervEnc * self)
{
  GError *error = NULL;
  NervEncoderStats stats;
  gchar *text;

  if (!self->enc || nerv_encoder_pending (self->enc) == 0)
    return GST_FLOW_OK;
  if (is_cancelled (self))
    return GST_FLOW_FLUSHING;

  text = g_strdup_printf ("segment %u: fitting a network to %u frames",
      self->segment, nerv_encoder_pending (self->enc));
  GST_INFO_OBJECT (self, "%s", text);
  post_progress (self, GST_PROGRESS_TYPE_START, text);
  g_free (text);
  self->last_progress = g_get_monotonic_time ();

  if (!nerv_encoder_fit (self->enc, &error)) {
    if (g_error_matches (error, NERV_ERROR, NERV_ERROR_CANCELLED)) {
      GST_DEBUG_OBJECT (self, "fit cancelled");
      post_progress (self, GST_PROGRESS_TYPE_CANCELED, "fit cancelled");
      g_clear_error (&error);
      return GST_FLOW_FLUSHING;
    }
    post_progress (self, GST_PROGRESS_TYPE_ERROR,
        error ? error->message : "fit failed");
    GST_NERV_ELEMENT_ERROR (self, error, "fitting a network");
    g_clear_error (&error);
    return GST_FLOW_ERROR;
  }

  if (nerv_encoder_warning (self->enc))
    GST_ELEMENT_WARNING (self, STREAM, ENCODE,
        ("What was asked for was not reached."), ("%s",
            nerv_encoder_warning (self->enc)));
  nerv_encoder_get_stats (self->enc, &stats);
  text = g_strdup_printf ("segment %u: %u frames, %" G_GUINT64_FORMAT
      " network bytes%s, %" G_GUINT64_FORMAT " keyframe bytes, %.2f dB, "
      "%.1f s on %s", self->segment, stats.frames,
      (guint64) stats.network_bytes, stats.is_residual ? " (a residual)" :
      stats.is_delta ? " (a delta)" : "",
      (guint64) stats.keyframe_bytes, stats.psnr_frames, stats.fit_seconds,
      stats.device);
  GST_INFO_OBJECT (self, "%s", text);
  post_progress (self, GST_PROGRESS_TYPE_COMPLETE, text);
  g_free (text);
  self->segment++;
  return push_packets (self);
}

static void
warn_of_mask (GstNervEnc * self, gboolean at_end)
{
  const gchar *text = gst_nerv_mask_remark (self->mask, at_end);

  if (text)
    GST_ELEMENT_WARNING (self, STREAM, ENCODE, ("%s", text), (NULL));
}

/* Stores a frame that is mapped, or the part of it that is known. */
static gboolean
store_frame (GstNervEnc * self, GstVideoFrame * vframe, GstClockTime pts,
    GstClockTime time, GError ** error)
{
  const GstSegment *segment = &GST_VIDEO_ENCODER (self)->input_segment;
  NervFrame nframe;
  const guint8 *known = NULL;
  gint stride = 0;

  if (!self->mask)
    gst_nerv_frame_from_gst (vframe, &nframe);
  else if (!gst_nerv_mask_next (self->mask, segment, pts, vframe, &nframe,
          &known, &stride, error))
    return FALSE;
  warn_of_mask (self, FALSE);
  return nerv_encoder_send_masked (self->enc, &nframe, known, stride, time,
      error);
}

static gboolean
send_frame (GstNervEnc * self, GstVideoCodecFrame * frame)
{
  GstVideoEncoder *encoder = GST_VIDEO_ENCODER (self);
  GstVideoFrame vframe;
  GError *error = NULL;
  GstClockTime time;
  gboolean ok;

  if (!GST_CLOCK_TIME_IS_VALID (frame->pts))
    frame->pts = GST_CLOCK_TIME_IS_VALID (self->next_pts) ? self->next_pts
        : encoder->input_segment.start;
  if (GST_CLOCK_TIME_IS_VALID (frame->duration))
    self->next_pts = frame->pts + frame->duration;
  else
    self->next_pts = frame->pts + self->frame_duration;

  /* The stream has a time line of its own that starts where a pipeline's running
   * time does; muxers do the same. */
  time = gst_segment_to_running_time (&encoder->input_segment,
      GST_FORMAT_TIME, frame->pts);
  if (!GST_CLOCK_TIME_IS_VALID (time))
    time = frame->pts;

  if (!gst_video_frame_map (&vframe, &self->input, frame->input_buffer,
          GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self, STREAM, ENCODE,
        ("A video frame could not be read."),
        ("gst_video_frame_map() failed on %" GST_PTR_FORMAT,
            frame->input_buffer));
    return FALSE;
  }
  ok = store_frame (self, &vframe, frame->pts, time, &error);
  gst_video_frame_unmap (&vframe);
  if (!ok) {
    GST_NERV_ELEMENT_ERROR (self, error, "storing a frame");
    g_clear_error (&error);
  }
  return ok;
}

/* --- GstVideoEncoder ------------------------------------------------------ */

static gboolean
gst_nerv_enc_start (GstVideoEncoder * encoder)
{
  GstNervEnc *self = GST_NERV_ENC (encoder);

  g_mutex_lock (&self->lock);
  self->stopping = self->flushing = FALSE;
  memset (&self->last_stats, 0, sizeof (self->last_stats));
  g_mutex_unlock (&self->lock);
  self->next_pts = GST_CLOCK_TIME_NONE;
  self->segment = 0;
  return TRUE;
}

static gboolean
gst_nerv_enc_stop (GstVideoEncoder * encoder)
{
  GstNervEnc *self = GST_NERV_ENC (encoder);

  replace_encoder (self, NULL);
  g_clear_pointer (&self->mask, gst_nerv_mask_free);
  gst_caps_replace (&self->refused, NULL);
  return TRUE;
}

static void
update_latency (GstNervEnc * self, guint segment_frames)
{
  GstClockTime latency = 0;

  /* One segment; the time that its fit takes comes on top and is not known.
   * Without a limit of frames or a frame rate nobody can say. */
  if (segment_frames > 0 && self->info.fps_n > 0)
    latency = gst_util_uint64_scale (segment_frames,
        GST_SECOND * self->info.fps_d, self->info.fps_n);
  gst_video_encoder_set_latency (GST_VIDEO_ENCODER (self), latency,
      latency ? latency : GST_CLOCK_TIME_NONE);
}

static void
update_tags (GstNervEnc * self)
{
  GstTagList *tags = gst_tag_list_new (GST_TAG_VIDEO_CODEC,
      "Neural Video (NeRV)", GST_TAG_ENCODER, "nervenc", NULL);

  gst_video_encoder_merge_tags (GST_VIDEO_ENCODER (self), tags,
      GST_TAG_MERGE_REPLACE);
  gst_tag_list_unref (tags);
}

static gboolean
gst_nerv_enc_set_format (GstVideoEncoder * encoder, GstVideoCodecState * state)
{
  GstNervEnc *self = GST_NERV_ENC (encoder);
  NervEncoderSettings settings;
  NervEncoder *enc = NULL;
  GstStructure *options = NULL;
  GstVideoCodecState *output;
  GstVideoInfo described;
  GError *error = NULL;
  gchar *mask_location;
  guint segment_frames;

  /* Sticky caps come again with every buffer; say only once what is wrong. */
  if (self->refused && gst_caps_is_equal (self->refused, state->caps))
    return FALSE;

  /* A flush drops the old frames anyway; refusing the caps would turn it into an
   * error. */
  if (end_segment (self) == GST_FLOW_ERROR)
    return FALSE;

  self->input = state->info;
  if (!gst_nerv_video_info_from_gst (&self->input, &self->info))
    return FALSE;
  self->frame_duration = self->info.fps_n ? gst_util_uint64_scale (GST_SECOND,
      self->info.fps_d, self->info.fps_n) : 0;

  GST_OBJECT_LOCK (self);
  gst_nerv_settings_copy (&self->settings, &settings);
  if (self->model_options)
    options = gst_structure_copy (self->model_options);
  mask_location = g_strdup (self->mask_location);
  GST_OBJECT_UNLOCK (self);
  segment_frames = settings.segment_frames;

  if (gst_nerv_options_to_variant (options, &settings.model_options, &error)
      && gst_nerv_mask_update (&self->mask, &self->input, mask_location,
          &error)) {
    settings.masked = self->mask != NULL;
    enc = nerv_encoder_new (&self->info, &settings, &error);
  }
  if (enc)
    update_tags (self);
  nerv_encoder_settings_clear (&settings);
  g_clear_pointer (&options, gst_structure_free);
  g_free (mask_location);
  if (!enc) {
    GST_NERV_ELEMENT_ERROR (self, error, "setting up the encoder");
    g_clear_error (&error);
    gst_caps_replace (&self->refused, state->caps);
    return FALSE;
  }
  if (self->enc)
    nerv_encoder_continue (enc, self->enc);
  if (segment_frames > 0)
    segment_frames = nerv_encoder_max_frames (enc);
  nerv_encoder_set_progress (enc, on_progress, self);
  replace_encoder (self, enc);

  output = gst_video_encoder_set_output_state (encoder,
      gst_caps_new_simple ("video/x-nerv",
          "stream-format", G_TYPE_STRING, "byte-stream",
          "alignment", G_TYPE_STRING, "au", "profile", G_TYPE_STRING, "main",
          "parsed", G_TYPE_BOOLEAN, TRUE, NULL), state);
  output->info.interlace_mode = GST_VIDEO_INTERLACE_MODE_PROGRESSIVE;
  /* as the stream's header will say it; the output's own format is "encoded" */
  described = self->input;
  gst_nerv_video_info_apply (&self->info, &described);
  output->info.colorimetry = described.colorimetry;
  output->info.chroma_site = described.chroma_site;
  gst_video_codec_state_unref (output);

  update_latency (self, segment_frames);
  /* A pad that flushes takes no caps: the first frame after the flush tries again. */
  return gst_video_encoder_negotiate (encoder)
      || GST_PAD_IS_FLUSHING (GST_VIDEO_ENCODER_SRC_PAD (encoder));
}

static GstFlowReturn
gst_nerv_enc_handle_frame (GstVideoEncoder * encoder,
    GstVideoCodecFrame * frame)
{
  GstNervEnc *self = GST_NERV_ENC (encoder);
  GstFlowReturn ret = GST_FLOW_OK;

  if (!self->enc) {
    ret = GST_FLOW_NOT_NEGOTIATED;
    goto done;
  }

  if (GST_VIDEO_CODEC_FRAME_IS_FORCE_KEYFRAME (frame)
      && nerv_encoder_pending (self->enc) > 0) {
    GST_DEBUG_OBJECT (self, "a key unit is asked for: segment ends after %u "
        "frames", nerv_encoder_pending (self->enc));
    update_expected (self);
    ret = end_segment (self);
    if (ret != GST_FLOW_OK)
      goto done;
  }
  if (GST_VIDEO_CODEC_FRAME_IS_FORCE_KEYFRAME (frame))
    nerv_encoder_force_sync (self->enc);

  if (!send_frame (self, frame)) {
    ret = GST_FLOW_ERROR;
    goto done;
  }
  /* the pixels are in the encoder now */
  gst_nerv_strip_buffer (&frame->input_buffer);

  if (nerv_encoder_is_full (self->enc)) {
    update_expected (self);
    ret = end_segment (self);
  }

done:
  gst_video_codec_frame_unref (frame);
  return ret;
}

static GstFlowReturn
gst_nerv_enc_finish (GstVideoEncoder * encoder)
{
  GstNervEnc *self = GST_NERV_ENC (encoder);

  warn_of_mask (self, TRUE);
  /* whatever upstream said, no more is to come */
  if (self->enc)
    nerv_encoder_expect (self->enc, NERV_EXPECT_END);
  return end_segment (self);
}

static gboolean
gst_nerv_enc_flush (GstVideoEncoder * encoder)
{
  GstNervEnc *self = GST_NERV_ENC (encoder);

  g_mutex_lock (&self->lock);
  self->flushing = FALSE;
  if (self->enc) {
    nerv_encoder_reset (self->enc);
    if (self->stopping)
      nerv_encoder_cancel (self->enc);
  }
  g_mutex_unlock (&self->lock);
  gst_nerv_mask_flush (self->mask);
  self->next_pts = GST_CLOCK_TIME_NONE;
  return TRUE;
}

static gboolean
gst_nerv_enc_sink_event (GstVideoEncoder * encoder, GstEvent * event)
{
  GstNervEnc *self = GST_NERV_ENC (encoder);

  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_START)
    set_cancel (self, &self->flushing);
  return GST_VIDEO_ENCODER_CLASS (parent_class)->sink_event (encoder, event);
}

static gboolean
gst_nerv_enc_propose_allocation (GstVideoEncoder * encoder, GstQuery * query)
{
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return GST_VIDEO_ENCODER_CLASS (parent_class)->propose_allocation (encoder,
      query);
}

static GstCaps *
gst_nerv_enc_getcaps (GstVideoEncoder * encoder, GstCaps * filter)
{
  return gst_video_encoder_proxy_getcaps (encoder, NULL, filter);
}

static GstStateChangeReturn
gst_nerv_enc_change_state (GstElement * element, GstStateChange transition)
{
  GstNervEnc *self = GST_NERV_ENC (element);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    set_cancel (self, &self->stopping);
  return GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);
}

/* --- properties ----------------------------------------------------------- */

static void
gst_nerv_enc_set_property (GObject * object, guint id, const GValue * value,
    GParamSpec * pspec)
{
  GstNervEnc *self = GST_NERV_ENC (object);
  gboolean known;

  GST_OBJECT_LOCK (self);
  known = id == GST_NERV_PROP_MASK_LOCATION;
  if (known)
    gst_nerv_set_string (&self->mask_location, value, NULL);
  else
    known = gst_nerv_settings_set (&self->settings, &self->model_options, id,
        value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_nerv_enc_get_property (GObject * object, guint id, GValue * value,
    GParamSpec * pspec)
{
  GstNervEnc *self = GST_NERV_ENC (object);
  NervEncoderStats stats;
  gboolean known;

  if (id == GST_NERV_PROP_STATS) {
    g_mutex_lock (&self->lock);
    if (self->enc)
      nerv_encoder_get_stats (self->enc, &stats);
    else
      stats = self->last_stats;
    g_mutex_unlock (&self->lock);
    g_value_take_boxed (value, gst_nerv_stats_to_structure (&stats));
    return;
  }

  GST_OBJECT_LOCK (self);
  known = id == GST_NERV_PROP_MASK_LOCATION;
  if (known)
    g_value_set_string (value, self->mask_location);
  else
    known = gst_nerv_settings_get (&self->settings, self->model_options, id,
        value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_nerv_enc_finalize (GObject * object)
{
  GstNervEnc *self = GST_NERV_ENC (object);

  nerv_encoder_free (self->enc);
  nerv_encoder_settings_clear (&self->settings);
  g_clear_pointer (&self->model_options, gst_structure_free);
  gst_nerv_mask_free (self->mask);
  g_free (self->mask_location);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_nerv_enc_init (GstNervEnc * self)
{
  g_mutex_init (&self->lock);
  nerv_encoder_settings_init (&self->settings);
  self->next_pts = GST_CLOCK_TIME_NONE;
  GST_PAD_SET_ACCEPT_TEMPLATE (GST_VIDEO_ENCODER_SINK_PAD (self));
  /* caps that do not say interlace-mode mean progressive */
  GST_PAD_SET_ACCEPT_INTERSECT (GST_VIDEO_ENCODER_SINK_PAD (self));
}

static void
gst_nerv_enc_class_init (GstNervEncClass * klass)
{
  GObjectClass *gobject_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstVideoEncoderClass *encoder_class = GST_VIDEO_ENCODER_CLASS (klass);

  gobject_class->set_property = gst_nerv_enc_set_property;
  gobject_class->get_property = gst_nerv_enc_get_property;
  gobject_class->finalize = gst_nerv_enc_finalize;
  gst_nerv_settings_install_properties (gobject_class);

  element_class->change_state = GST_DEBUG_FUNCPTR (gst_nerv_enc_change_state);
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Neural video encoder",
      "Codec/Encoder/Video",
      "Fits a neural network to each segment of a video; the network is the "
      "stream", "The nerv project");

  encoder_class->start = GST_DEBUG_FUNCPTR (gst_nerv_enc_start);
  encoder_class->stop = GST_DEBUG_FUNCPTR (gst_nerv_enc_stop);
  encoder_class->set_format = GST_DEBUG_FUNCPTR (gst_nerv_enc_set_format);
  encoder_class->handle_frame = GST_DEBUG_FUNCPTR (gst_nerv_enc_handle_frame);
  encoder_class->finish = GST_DEBUG_FUNCPTR (gst_nerv_enc_finish);
  encoder_class->flush = GST_DEBUG_FUNCPTR (gst_nerv_enc_flush);
  encoder_class->sink_event = GST_DEBUG_FUNCPTR (gst_nerv_enc_sink_event);
  encoder_class->propose_allocation =
      GST_DEBUG_FUNCPTR (gst_nerv_enc_propose_allocation);
  encoder_class->getcaps = GST_DEBUG_FUNCPTR (gst_nerv_enc_getcaps);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervmask.h. A mask's file is decoded by a pipeline of its own, a frame at a
 * time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervmask.h"

#include <gst/app/gstappsink.h>

#include "nervvideo.h"

/* A file that does not even give its first frame by then never will; and how often it is asked
 * whether it has failed. */
#define WAIT (30 * GST_SECOND)
#define POLL (20 * GST_MSECOND)

struct _GstNervMask
{
  GstVideoInfo info;            /* of the frames */
  GstVideoInfo planar;          /* what AYUV becomes */
  GstVideoConverter *converter; /* NULL for other formats */
  GstBuffer *converted;
  GstVideoFrame converted_frame;
  gboolean mapped;

  gchar *location;
  GstElement *pipeline;         /* NULL without a location, and after its last frame */
  GstElement *sink;
  GError *failure;              /* the pipeline's */
  guint64 at;                   /* frames of the location that were taken */
  GstClockTime origin;          /* stream time of the input's frame 0 */
  gboolean by_time;             /* frames have numbers by their times: somebody has sought */
  guint8 *hidden;               /* the location's last frame, width bytes a row; NULL without */
  guint8 *known;                /* what the two together leave */
  gboolean all_known;           /* of every frame till now */
  gboolean blank;               /* nothing is of one of them */
  gboolean warned;              /* of that */
};

/* --- the location --------------------------------------------------------- */

static void
stop_pipeline (GstNervMask * self)
{
  if (!self->pipeline)
    return;
  gst_element_set_state (self->pipeline, GST_STATE_NULL);
  g_clear_pointer (&self->sink, gst_object_unref);
  g_clear_pointer (&self->pipeline, gst_object_unref);
}

/* Whether the pipeline has said that something went wrong. */
static gboolean
has_failed (GstNervMask * self)
{
  GstBus *bus = gst_element_get_bus (self->pipeline);
  GstMessage *message = gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);

  if (message && !self->failure)
    gst_message_parse_error (message, &self->failure, NULL);
  g_clear_pointer (&message, gst_message_unref);
  gst_object_unref (bus);
  return self->failure != NULL;
}

/* What it said, or that it gave nothing. */
static void
set_pipeline_error (GstNervMask * self, GError ** error)
{
  g_set_error (error, NERV_ERROR, NERV_ERROR_DATA,
      "the mask %s cannot be read: %s", self->location, has_failed (self)
      ? self->failure->message : "there is no picture in it");
}

static gboolean
start_pipeline (GstNervMask * self, GError ** error)
{
  GstElement *source;
  GstCaps *caps;
  GError *why = NULL;

  /* to open a pipe waits for somebody who writes */
  if (g_file_test (self->location, G_FILE_TEST_EXISTS)
      && !g_file_test (self->location, G_FILE_TEST_IS_REGULAR)) {
    g_set_error (error, NERV_ERROR, NERV_ERROR_INVALID,
        "the mask %s is no regular file", self->location);
    return FALSE;
  }
  self->pipeline =
      gst_parse_launch ("filesrc name=source ! decodebin ! videoconvert ! "
      "appsink name=sink sync=false max-buffers=2", &why);
  if (!self->pipeline || why) {
    g_set_error (error, NERV_ERROR, NERV_ERROR_INVALID,
        "a mask cannot be read: %s", why ? why->message : "no pipeline");
    g_clear_error (&why);
    g_clear_pointer (&self->pipeline, gst_object_unref);
    return FALSE;
  }
  source = gst_bin_get_by_name (GST_BIN (self->pipeline), "source");
  g_object_set (source, "location", self->location, NULL);
  gst_object_unref (source);
  self->sink = gst_bin_get_by_name (GST_BIN (self->pipeline), "sink");
  /* light is 255, whatever the file calls it; what has alpha keeps it */
  caps = gst_caps_from_string ("video/x-raw, format = { GRAY8, RGBA }");
  gst_app_sink_set_caps (GST_APP_SINK (self->sink), caps);
  gst_caps_unref (caps);
  if (gst_element_set_state (self->pipeline, GST_STATE_PLAYING)
      != GST_STATE_CHANGE_FAILURE)
    return TRUE;
  set_pipeline_error (self, error);
  return FALSE;
}

/* How much each sample of a row is hidden: by its light, 0 to 255; what is transparent is
 * none. */
static void
read_row (const GstVideoFrame * frame, gint y, guint8 * hidden)
{
  const gint width = GST_VIDEO_FRAME_WIDTH (frame);
  const guint8 *p = (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (frame, 0)
      + (gsize) y * GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0);
  gint x;

  if (GST_VIDEO_FRAME_FORMAT (frame) == GST_VIDEO_FORMAT_GRAY8) {
    memcpy (hidden, p, width);
    return;
  }
  for (x = 0; x < width; x++, p += 4) {
    /* luma of ITU-R BT.601, in 256ths */
    const guint light = (77u * p[0] + 150u * p[1] + 29u * p[2]) >> 8;

    hidden[x] = (guint8) ((light * p[3] + 127) / 255);
  }
}

static gboolean
take_sample (GstNervMask * self, GstSample * sample, GError ** error)
{
  const gint width = GST_VIDEO_INFO_WIDTH (&self->info);
  const gint height = GST_VIDEO_INFO_HEIGHT (&self->info);
  GstVideoInfo info;
  GstVideoFrame frame;
  gint y;

  if (!gst_video_info_from_caps (&info, gst_sample_get_caps (sample))
      || !gst_video_frame_map (&frame, &info, gst_sample_get_buffer (sample),
          GST_MAP_READ)) {
    g_set_error (error, NERV_ERROR, NERV_ERROR_DATA,
        "the mask %s cannot be read", self->location);
    return FALSE;
  }
  if (GST_VIDEO_FRAME_WIDTH (&frame) != width
      || GST_VIDEO_FRAME_HEIGHT (&frame) != height) {
    g_set_error (error, NERV_ERROR, NERV_ERROR_INVALID,
        "the mask %s is of %d x %d samples, the video of %d x %d",
        self->location, GST_VIDEO_FRAME_WIDTH (&frame),
        GST_VIDEO_FRAME_HEIGHT (&frame), width, height);
    gst_video_frame_unmap (&frame);
    return FALSE;
  }
  if (!self->hidden)
    self->hidden = g_malloc ((gsize) width * height);
  for (y = 0; y < height; y++)
    read_row (&frame, y, self->hidden + (gsize) y * width);
  gst_video_frame_unmap (&frame);
  return TRUE;
}

/* NULL: there is none, or not by then. */
static GstSample *
pull_sample (GstNervMask * self)
{
  GstAppSink *sink = GST_APP_SINK (self->sink);
  GstSample *sample = NULL;
  guint i;

  for (i = 0; i < WAIT / POLL && !sample && !gst_app_sink_is_eos (sink)
      && !has_failed (self); i++)
    sample = gst_app_sink_try_pull_sample (sink, POLL);
  return sample;
}

/* The next frame of the location into `hidden`; behind its last one that stays. */
static gboolean
next_hidden (GstNervMask * self, GError ** error)
{
  GstSample *sample;
  gboolean ok;

  if (!self->pipeline)
    return TRUE;
  sample = pull_sample (self);
  if (sample) {
    ok = take_sample (self, sample, error);
    gst_sample_unref (sample);
    self->at++;
    return ok;
  }
  if (self->at == 0 || !gst_app_sink_is_eos (GST_APP_SINK (self->sink))) {
    set_pipeline_error (self, error);
    return FALSE;
  }
  stop_pipeline (self);
  return TRUE;
}

/* The number of the input's frame with that time stamp; FALSE if it can't be told, or if frames just follow each other. */
static gboolean
number_frame (GstNervMask * self, const GstSegment * segment, GstClockTime pts,
    guint64 * number)
{
  GstClockTime time = gst_segment_to_stream_time (segment, GST_FORMAT_TIME,
      pts);

  if (!GST_CLOCK_TIME_IS_VALID (self->origin)) {
    /* a stream that begins elsewhere than at its beginning has been sought in */
    self->by_time |= segment->time > 0;
    self->origin = self->by_time || !GST_CLOCK_TIME_IS_VALID (time) ? 0 : time;
  }
  if (!self->by_time || !GST_CLOCK_TIME_IS_VALID (time)
      || GST_VIDEO_INFO_FPS_N (&self->info) <= 0)
    return FALSE;
  *number = gst_util_uint64_scale_round (MAX (time, self->origin)
      - self->origin, GST_VIDEO_INFO_FPS_N (&self->info),
      GST_SECOND * GST_VIDEO_INFO_FPS_D (&self->info));
  return TRUE;
}

/* `hidden` of the frame with that number. What lies before has to be read anew. */
static gboolean
go_to (GstNervMask * self, guint64 number, GError ** error)
{
  if (number + 1 < self->at) {
    stop_pipeline (self);
    self->at = 0;
    if (!start_pipeline (self, error))
      return FALSE;
  }
  while (self->at <= number && self->pipeline)
    if (!next_hidden (self, error))
      return FALSE;
  return TRUE;
}

/* --- alpha ---------------------------------------------------------------- */

static gboolean
make_converter (GstNervMask * self, GError ** error)
{
  GstVideoInfo to;

  if (GST_VIDEO_INFO_FORMAT (&self->info) != GST_VIDEO_FORMAT_AYUV)
    return TRUE;
  gst_video_info_set_format (&to, GST_VIDEO_FORMAT_A420,
      GST_VIDEO_INFO_WIDTH (&self->info), GST_VIDEO_INFO_HEIGHT (&self->info));
  to.colorimetry = self->info.colorimetry;
  to.chroma_site = self->info.chroma_site;
  to.fps_n = self->info.fps_n;
  to.fps_d = self->info.fps_d;
  to.par_n = self->info.par_n;
  to.par_d = self->info.par_d;
  self->converter = gst_video_converter_new (&self->info, &to, NULL);
  self->converted = gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (&to),
      NULL);
  self->planar = to;
  self->mapped = self->converter && self->converted
      && gst_video_frame_map (&self->converted_frame, &to, self->converted,
      GST_MAP_READWRITE);
  if (self->mapped)
    return TRUE;
  g_set_error (error, NERV_ERROR, NERV_ERROR_MEMORY,
      "no memory to convert frames with alpha");
  return FALSE;
}

/* Where a frame has its alpha: the first byte, and bytes from sample to sample. */
static const guint8 *
find_alpha (const GstVideoFrame * frame, gint * step, gint * stride)
{
  *step = GST_VIDEO_FRAME_COMP_PSTRIDE (frame, 3);
  *stride = GST_VIDEO_FRAME_COMP_STRIDE (frame, 3);
  return GST_VIDEO_FRAME_COMP_DATA (frame, 3);
}

/* What is known of a frame. FALSE: nothing. */
static gboolean
combine (GstNervMask * self, const GstVideoFrame * frame)
{
  const gint width = GST_VIDEO_INFO_WIDTH (&self->info);
  const gint height = GST_VIDEO_INFO_HEIGHT (&self->info);
  const gboolean has_alpha = GST_VIDEO_INFO_HAS_ALPHA (&frame->info);
  const guint8 *alpha = NULL, *hidden = self->hidden;
  gsize n_known = 0;
  gint x, y, step = 0, stride = 0;

  if (has_alpha)
    alpha = find_alpha (frame, &step, &stride);
  for (y = 0; y < height; y++)
    for (x = 0; x < width; x++) {
      gsize at = (gsize) y * width + x;
      guint8 a = has_alpha ? alpha[(gssize) y * stride + (gssize) x * step]
          : 255, b = hidden ? 255 - hidden[at] : 255;

      self->known[at] = MIN (a, b);
      n_known += self->known[at] >= 128;
    }
  self->all_known &= n_known == (gsize) width *height;
  return n_known > 0;
}

/* --- the whole ------------------------------------------------------------ */

static void
clear_converter (GstNervMask * self)
{
  if (self->mapped)
    gst_video_frame_unmap (&self->converted_frame);
  self->mapped = FALSE;
  g_clear_pointer (&self->converted, gst_buffer_unref);
  g_clear_pointer (&self->converter, gst_video_converter_free);
}

void
gst_nerv_mask_free (GstNervMask * self)
{
  if (!self)
    return;
  stop_pipeline (self);
  g_clear_error (&self->failure);
  clear_converter (self);
  g_free (self->location);
  g_free (self->hidden);
  g_free (self->known);
  g_free (self);
}

static gboolean
goes_on (const GstNervMask * self, const GstVideoInfo * info,
    const gchar * location)
{
  return self && !g_strcmp0 (self->location, location)
      && GST_VIDEO_INFO_WIDTH (&self->info) == GST_VIDEO_INFO_WIDTH (info)
      && GST_VIDEO_INFO_HEIGHT (&self->info) == GST_VIDEO_INFO_HEIGHT (info);
}

gboolean
gst_nerv_mask_update (GstNervMask ** mask, const GstVideoInfo * info,
    const gchar * location, GError ** error)
{
  GstNervMask *self = *mask;
  gboolean begins = FALSE;

  if (!goes_on (self, info, location))
    g_clear_pointer (mask, gst_nerv_mask_free);
  if (!location && !GST_VIDEO_INFO_HAS_ALPHA (info)) {
    g_clear_pointer (mask, gst_nerv_mask_free);
    return TRUE;
  }
  if (!*mask) {
    begins = TRUE;
    *mask = g_new0 (GstNervMask, 1);
    (*mask)->location = g_strdup (location);
    (*mask)->origin = GST_CLOCK_TIME_NONE;
    (*mask)->all_known = TRUE;
    (*mask)->known = g_malloc ((gsize) GST_VIDEO_INFO_WIDTH (info)
        * GST_VIDEO_INFO_HEIGHT (info));
  }
  self = *mask;
  self->info = *info;
  clear_converter (self);
  if (make_converter (self, error) && (!begins || !location
          || start_pipeline (self, error)))
    return TRUE;
  g_clear_pointer (mask, gst_nerv_mask_free);
  return FALSE;
}

void
gst_nerv_mask_flush (GstNervMask * self)
{
  if (self)
    self->by_time = TRUE;
}

gboolean
gst_nerv_mask_next (GstNervMask * self, const GstSegment * segment,
    GstClockTime pts, GstVideoFrame * frame, NervFrame * out,
    const guint8 ** known, gint * stride, GError ** error)
{
  guint64 number;

  if (number_frame (self, segment, pts, &number) ? !go_to (self, number, error)
      : !next_hidden (self, error))
    return FALSE;
  if (self->converter) {
    gst_video_converter_frame (self->converter, frame, &self->converted_frame);
    frame = &self->converted_frame;
  }
  gst_nerv_frame_from_gst (frame, out);
  self->blank |= !combine (self, frame);
  *known = self->known;
  *stride = GST_VIDEO_INFO_WIDTH (&self->info);
  return TRUE;
}

const gchar *
gst_nerv_mask_remark (GstNervMask * self, gboolean at_end)
{
  if (self && at_end && self->at > 0 && self->all_known) {
    self->all_known = FALSE;
    return "The mask hides nothing: there is nothing light in it.";
  }
  if (!self || !self->blank || self->warned)
    return NULL;
  self->warned = TRUE;
  return "A frame is hidden altogether: white is hidden, black is known.";
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervinpaint fits a network to what is known of a video, and shows what it makes of the
 * rest: nervenc and nervdec, and the input's known samples in front of what comes out.
 * Frames are kept, each with its mask, from when they come in until their pictures go out.
 */

/**
 * SECTION:element-nervinpaint
 * @title: nervinpaint
 *
 * Fills in what is hidden in a video: a logo, a scratch, an object. What is hidden a
 * picture or a video says (mask-location, light is hidden), or the input's alpha. All other
 * samples stay as they are; where nothing is hidden that is all, and a warning says so.
 *
 * The two elements inside are children, so that gst-launch-1.0 sets their
 * properties as `encoder::model=dnerv` and `decoder::max-memory=...`.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=in.mp4 ! decodebin ! videoconvert ! nervinpaint mask-location=logo.png ! videoconvert ! autovideosink
 * ]|
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervinpaint.h"
#include "nervmask.h"
#include "nervoptions.h"
#include "nervvideo.h"

GST_DEBUG_CATEGORY_STATIC (gst_nerv_inpaint_debug);
#define GST_CAT_DEFAULT gst_nerv_inpaint_debug

enum
{
  PROP_MASK_LOCATION = 1,
};

/* A frame that is on its way through the network. */
typedef struct
{
  guint64 number;
  NervPixels layout;
  guint8 *pixels;               /* in libnerv's canonical layout */
  guint8 *known;                /* a byte for each pixel; NULL: all are */
} Kept;

struct _GstNervInpaint
{
  GstNervPair parent;

  gchar *mask_location;         /* object lock */
  GstCaps *reference;           /* of the metas that number frames */

  GMutex lock;                  /* what follows: of two streaming threads, if there is a queue */
  GQueue kept;                  /* of Kept, in the order of frames */
  guint64 number;               /* of the next one */
  GstNervMask *mask;            /* NULL: nothing is hidden */
  GstSegment segment;
  GstVideoInfo input;
  NervPixels layout;
  GstCaps *refused;             /* what the error was about; input thread */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_NERV_RAW_CAPS ", "
        "interlace-mode = (string) progressive; "
        "video/x-raw, format = (string) " GST_NERV_ALPHA_FORMATS ", "
        "width = (int) [ 16, 8192 ], height = (int) [ 16, 8192 ], "
        "framerate = (fraction) [ 0/1, 2147483647/1 ], "
        "interlace-mode = (string) progressive"));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_NERV_RAW_CAPS));

#define gst_nerv_inpaint_parent_class parent_class
G_DEFINE_TYPE_WITH_CODE (GstNervInpaint, gst_nerv_inpaint, GST_TYPE_NERV_PAIR,
    GST_DEBUG_CATEGORY_INIT (gst_nerv_inpaint_debug, "nervinpaint", 0,
        "what is hidden in video by neural networks"));
GST_ELEMENT_REGISTER_DEFINE (nervinpaint, "nervinpaint", GST_RANK_NONE,
    GST_TYPE_NERV_INPAINT);

/* --- frames on their way -------------------------------------------------- */

static void
kept_free (gpointer data)
{
  Kept *kept = data;

  g_free (kept->pixels);
  g_free (kept->known);
  g_free (kept);
}

static void
forget (GstNervInpaint * self)
{
  g_mutex_lock (&self->lock);
  g_queue_clear_full (&self->kept, kept_free);
  gst_nerv_mask_flush (self->mask);
  g_mutex_unlock (&self->lock);
}

/* Rows of planes between a frame in libnerv's layout and one elsewhere. */
static void
copy_rows (const Kept * kept, const NervFrame * frame)
{
  NervPlane planes[3];
  gint i, y, n = nerv_pixels_planes (&kept->layout, planes);

  for (i = 0; i < n; i++)
    for (y = 0; y < planes[i].rows; y++)
      memcpy (kept->pixels + planes[i].offset + (gsize) y * planes[i].stride,
          frame->data[i] + (gssize) y * frame->stride[i], planes[i].row_bytes);
}

/* The buffer gets a number by which its picture is known when it comes out: times may be put
 * right on the way. lock is held. */
static gboolean
keep_frame (GstNervInpaint * self, GstBuffer * buffer, GError ** error)
{
  const gint width = GST_VIDEO_INFO_WIDTH (&self->input);
  const gint height = GST_VIDEO_INFO_HEIGHT (&self->input);
  GstVideoFrame vframe;
  NervFrame frame;
  const guint8 *known = NULL;
  gint y, stride;
  Kept *kept;

  if (!gst_video_frame_map (&vframe, &self->input, buffer, GST_MAP_READ)) {
    g_set_error (error, NERV_ERROR, NERV_ERROR_DATA, "a frame cannot be read");
    return FALSE;
  }
  if (!self->mask) {
    gst_nerv_frame_from_gst (&vframe, &frame);
  } else if (!gst_nerv_mask_next (self->mask, &self->segment,
          GST_BUFFER_PTS (buffer), &vframe, &frame, &known, &stride, error)) {
    gst_video_frame_unmap (&vframe);
    return FALSE;
  }
  kept = g_new0 (Kept, 1);
  kept->number = self->number;
  kept->layout = self->layout;
  kept->pixels = g_try_malloc (nerv_pixels_bytes (&self->layout));
  if (known)
    kept->known = g_try_malloc ((gsize) width * height);
  if (kept->pixels && (kept->known || !known)) {
    copy_rows (kept, &frame);
    for (y = 0; known && y < height; y++)
      memcpy (kept->known + (gsize) y * width, known + (gsize) y * stride,
          width);
    g_queue_push_tail (&self->kept, kept);
  } else {
    g_set_error (error, NERV_ERROR, NERV_ERROR_MEMORY,
        "no memory for another frame");
    kept_free (kept);
    kept = NULL;
  }
  gst_video_frame_unmap (&vframe);
  if (kept)
    gst_buffer_add_reference_timestamp_meta (buffer, self->reference,
        self->number++, GST_CLOCK_TIME_NONE);
  return kept != NULL;
}

/* The frame that the buffer's picture is of, NULL if it is of none. Those before it have gone:
 * their pictures never came. lock is held. */
static Kept *
take_kept (GstNervInpaint * self, GstBuffer * buffer)
{
  GstReferenceTimestampMeta *meta =
      gst_buffer_get_reference_timestamp_meta (buffer, self->reference);
  guint64 number;
  Kept *kept;

  if (!meta)
    return NULL;
  number = meta->timestamp;
  gst_buffer_remove_meta (buffer, (GstMeta *) meta);
  while ((kept = g_queue_peek_head (&self->kept)) && kept->number < number)
    kept_free (g_queue_pop_head (&self->kept));
  return kept && kept->number == number ? g_queue_pop_head (&self->kept) : NULL;
}

/* Whether all luma samples of a sample of a plane are known. */
static gboolean
is_known (const Kept * kept, gint x, gint y, gboolean shared)
{
  const gint width = kept->layout.width, height = kept->layout.height;
  gint i, j;

  if (!kept->known)
    return TRUE;
  if (!shared)
    return kept->known[(gsize) y * width + x] >= 128;
  for (j = 2 * y; j < MIN (2 * y + 2, height); j++)
    for (i = 2 * x; i < MIN (2 * x + 2, width); i++)
      if (kept->known[(gsize) j * width + i] < 128)
        return FALSE;
  return TRUE;
}

/* The frame's known samples into its picture. */
static void
put_known (const Kept * kept, const NervFrame * frame)
{
  NervPlane planes[3];
  gint i, x, y, n = nerv_pixels_planes (&kept->layout, planes);

  for (i = 0; i < n; i++) {
    const gint width = i ? (kept->layout.width + 1) / 2 : kept->layout.width;
    const gint step = planes[i].row_bytes / width;

    for (y = 0; y < planes[i].rows; y++) {
      const guint8 *src = kept->pixels + planes[i].offset
          + (gsize) y * planes[i].stride;
      guint8 *dst = frame->data[i] + (gssize) y * frame->stride[i];

      for (x = 0; x < width; x++)
        if (is_known (kept, x, y, i > 0))
          memcpy (dst + x * step, src + x * step, step);
    }
  }
}

/* --- pads ----------------------------------------------------------------- */

/* What comes out, as far as it is what goes in. lock is held. */
static GstCaps *
output_caps (GstNervInpaint * self)
{
  const GstVideoFormat format = gst_nerv_format_to_gst (self->layout.format);

  return gst_caps_new_simple ("video/x-raw",
      "format", G_TYPE_STRING, gst_video_format_to_string (format),
      "framerate", GST_TYPE_FRACTION, GST_VIDEO_INFO_FPS_N (&self->input),
      GST_VIDEO_INFO_FPS_D (&self->input), NULL);
}

/* Whether downstream takes what comes out, which has the format and the rate of what goes
 * in. */
static gboolean
fits_downstream (GstNervInpaint * self, GError ** error)
{
  GstPad *pad = gst_element_get_static_pad (GST_ELEMENT (self), "src");
  GstCaps *caps = gst_pad_peer_query_caps (pad, NULL), *own, *both;
  gboolean fits;

  g_mutex_lock (&self->lock);
  own = output_caps (self);
  g_mutex_unlock (&self->lock);
  both = gst_caps_intersect (caps, own);
  fits = !gst_caps_is_empty (both);
  if (!fits)
    g_set_error (error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
        "pictures go out in the format and at the rate that come in, %s at "
        "%d/%d a second, which is not what is wanted behind: put a videoconvert or a "
        "videorate there",
        gst_structure_get_string (gst_caps_get_structure (own, 0), "format"),
        GST_VIDEO_INFO_FPS_N (&self->input),
        GST_VIDEO_INFO_FPS_D (&self->input));
  gst_caps_unref (both);
  gst_caps_unref (own);
  gst_caps_unref (caps);
  gst_object_unref (pad);
  return fits;
}

static gboolean
set_input (GstNervInpaint * self, const GstCaps * caps, GError ** error)
{
  gchar *location;
  gboolean ok, hidden;

  GST_OBJECT_LOCK (self);
  location = g_strdup (self->mask_location);
  GST_OBJECT_UNLOCK (self);
  g_mutex_lock (&self->lock);
  ok = gst_video_info_from_caps (&self->input, caps)
      && gst_nerv_pixels_from_info (&self->input, &self->layout);
  if (!ok)
    g_set_error (error, NERV_ERROR, NERV_ERROR_INVALID,
        "the video's format is not supported");
  ok = ok && gst_nerv_mask_update (&self->mask, &self->input, location, error);
  hidden = self->mask != NULL;
  g_mutex_unlock (&self->lock);
  ok = ok && fits_downstream (self, error);
  if (ok && !hidden)
    GST_ELEMENT_WARNING (self, STREAM, FORMAT,
        ("Nothing of the video is hidden: it stays as it is."),
        ("there is neither alpha nor mask-location"));
  g_free (location);
  return ok;
}

/* FALSE without an error: it is the one of before. */
static gboolean
take_caps (GstNervInpaint * self, GstEvent * event, GError ** error)
{
  GstCaps *caps;

  gst_event_parse_caps (event, &caps);
  /* sticky caps come again with every buffer */
  if (self->refused && gst_caps_is_equal (self->refused, caps))
    return FALSE;
  gst_clear_caps (&self->refused);
  if (set_input (self, caps, error))
    return TRUE;
  self->refused = gst_caps_ref (caps);
  return FALSE;
}

static gboolean
take_event (GstNervInpaint * self, GstEvent * event, GError ** error)
{
  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_STOP:
      forget (self);
      return TRUE;
    case GST_EVENT_SEGMENT:
      g_mutex_lock (&self->lock);
      gst_event_copy_segment (event, &self->segment);
      g_mutex_unlock (&self->lock);
      return TRUE;
    case GST_EVENT_CAPS:
      return take_caps (self, event, error);
    default:
      return TRUE;
  }
}

static GstPadProbeReturn
on_input (GstPad * pad, GstPadProbeInfo * info, gpointer user)
{
  GstNervInpaint *self = user;
  GError *error = NULL;
  gboolean ok;

  if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_BUFFER) {
    GstBuffer *buffer =
        gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));

    GST_PAD_PROBE_INFO_DATA (info) = buffer;
    g_mutex_lock (&self->lock);
    ok = !self->refused && keep_frame (self, buffer, &error);
    g_mutex_unlock (&self->lock);
  } else {
    ok = take_event (self, GST_PAD_PROBE_INFO_EVENT (info), &error);
  }
  if (ok)
    return GST_PAD_PROBE_OK;
  if (error)
    GST_NERV_ELEMENT_ERROR (self, error, "looking at what is known");
  g_clear_error (&error);
  gst_mini_object_unref (GST_PAD_PROBE_INFO_DATA (info));
  GST_PAD_PROBE_INFO_FLOW_RETURN (info) = GST_FLOW_ERROR;
  return GST_PAD_PROBE_HANDLED;
}

/* What comes out has the layout of what goes in, so that samples can be taken over as
 * they are, and its rate, as there are no samples for pictures in between: downstream's caps are
 * those of it. (A capsfilter whose caps change would have all that is upstream negotiate
 * once more.) */
static GstPadProbeReturn
on_query (GstPad * pad, GstPadProbeInfo * info, gpointer user)
{
  GstNervInpaint *self = user;
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);
  GstCaps *answer, *own = NULL;

  if (GST_QUERY_TYPE (query) != GST_QUERY_CAPS
      || !(GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_PULL))
    return GST_PAD_PROBE_OK;
  gst_query_parse_caps_result (query, &answer);
  g_mutex_lock (&self->lock);
  if (self->layout.width > 0)
    own = output_caps (self);
  g_mutex_unlock (&self->lock);
  if (!own || !answer) {
    gst_clear_caps (&own);
    return GST_PAD_PROBE_OK;
  }
  answer = gst_caps_intersect (answer, own);
  gst_query_set_caps_result (query, answer);
  gst_caps_unref (answer);
  gst_caps_unref (own);
  return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn
on_output (GstPad * pad, GstPadProbeInfo * info, gpointer user)
{
  GstNervInpaint *self = user;
  GstBuffer *buffer =
      gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  GstCaps *caps = gst_pad_get_current_caps (pad);
  GstVideoInfo output;
  GstVideoFrame vframe;
  NervFrame frame;
  Kept *kept;

  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  g_mutex_lock (&self->lock);
  kept = take_kept (self, buffer);
  g_mutex_unlock (&self->lock);
  if (kept && caps && gst_video_info_from_caps (&output, caps)
      && GST_VIDEO_INFO_WIDTH (&output) == kept->layout.width
      && GST_VIDEO_INFO_HEIGHT (&output) == kept->layout.height
      && GST_VIDEO_INFO_FORMAT (&output)
      == gst_nerv_format_to_gst (kept->layout.format)
      && gst_video_frame_map (&vframe, &output, buffer, GST_MAP_READWRITE)) {
    gst_nerv_frame_from_gst (&vframe, &frame);
    put_known (kept, &frame);
    gst_video_frame_unmap (&vframe);
  }
  gst_clear_caps (&caps);
  if (kept)
    kept_free (kept);
  return GST_PAD_PROBE_OK;
}

static GstStateChangeReturn
gst_nerv_inpaint_change_state (GstElement * element, GstStateChange transition)
{
  GstNervInpaint *self = GST_NERV_INPAINT (element);
  GstStateChangeReturn ret =
      GST_ELEMENT_CLASS (parent_class)->change_state (element, transition);

  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    forget (self);
    g_mutex_lock (&self->lock);
    g_clear_pointer (&self->mask, gst_nerv_mask_free);
    memset (&self->layout, 0, sizeof (self->layout));
    g_mutex_unlock (&self->lock);
    gst_clear_caps (&self->refused);
  }
  return ret;
}

/* --- properties ----------------------------------------------------------- */

static void
gst_nerv_inpaint_set_property (GObject * object, guint id,
    const GValue * value, GParamSpec * pspec)
{
  GstNervInpaint *self = GST_NERV_INPAINT (object);
  GstElement *encoder = gst_nerv_pair_encoder (GST_NERV_PAIR (self));

  switch (id) {
    case PROP_MASK_LOCATION:
      GST_OBJECT_LOCK (self);
      gst_nerv_set_string (&self->mask_location, value, NULL);
      GST_OBJECT_UNLOCK (self);
      if (encoder)
        g_object_set_property (G_OBJECT (encoder), pspec->name, value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_nerv_inpaint_get_property (GObject * object, guint id, GValue * value,
    GParamSpec * pspec)
{
  GstNervInpaint *self = GST_NERV_INPAINT (object);

  switch (id) {
    case PROP_MASK_LOCATION:
      GST_OBJECT_LOCK (self);
      g_value_set_string (value, self->mask_location);
      GST_OBJECT_UNLOCK (self);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_nerv_inpaint_finalize (GObject * object)
{
  GstNervInpaint *self = GST_NERV_INPAINT (object);

  g_queue_clear_full (&self->kept, kept_free);
  gst_nerv_mask_free (self->mask);
  gst_clear_caps (&self->refused);
  gst_caps_unref (self->reference);
  g_free (self->mask_location);
  g_mutex_clear (&self->lock);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
add_probe (GstElement * element, const gchar * name, GstPadProbeType what,
    GstPadProbeCallback probe, GstNervInpaint * self)
{
  GstPad *pad = gst_element_get_static_pad (element, name);

  gst_pad_add_probe (pad, what, probe, self, NULL);
  gst_object_unref (pad);
}

static void
gst_nerv_inpaint_init (GstNervInpaint * self)
{
  GstElement *encoder = gst_nerv_pair_encoder (GST_NERV_PAIR (self));
  GstElement *decoder = gst_nerv_pair_decoder (GST_NERV_PAIR (self));

  g_mutex_init (&self->lock);
  g_queue_init (&self->kept);
  gst_segment_init (&self->segment, GST_FORMAT_TIME);
  self->reference = gst_caps_new_empty_simple ("timestamp/x-nerv-inpaint");
  if (!encoder)
    return;
  gst_util_set_object_arg (G_OBJECT (encoder), "tune", "psnr");
  g_object_set (encoder, "quality", 70.0, NULL);
  add_probe (encoder, "sink", GST_PAD_PROBE_TYPE_BUFFER
      | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
      on_input, self);
  add_probe (decoder, "src", GST_PAD_PROBE_TYPE_BUFFER, on_output, self);
  add_probe (decoder, "src", GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, on_query,
      self);
}

static void
gst_nerv_inpaint_class_init (GstNervInpaintClass * klass)
{
  GObjectClass *gobject_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
      | GST_PARAM_MUTABLE_READY;

  gobject_class->set_property = gst_nerv_inpaint_set_property;
  gobject_class->get_property = gst_nerv_inpaint_get_property;
  gobject_class->finalize = gst_nerv_inpaint_finalize;
  g_object_class_install_property (gobject_class, PROP_MASK_LOCATION,
      g_param_spec_string ("mask-location", "Mask location",
          "Picture or video of the frames' size whose light parts are to be "
          "filled in; nervenc's", NULL, flags));

  element_class->change_state =
      GST_DEBUG_FUNCPTR (gst_nerv_inpaint_change_state);
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Neural inpainter",
      "Filter/Effect/Video",
      "Fits a neural network to what is known of each segment of a video and "
      "fills in the rest", "The nerv project");
}

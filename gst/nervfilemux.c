/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Access units go through as they are, tags in front of the first one, and the index
 * notes each as nervparse would on a walk through the file (nervindex.c). At the
 * end it is written behind them. What is cut off, by a crash for instance, is a file
 * without an index, which nervparse walks through.
 */

/**
 * SECTION:element-nervfilemux
 * @title: nervfilemux
 *
 * Makes .nerv files that need no reading through before one can seek in them, and that
 * keep tags.
 *
 * ## Example
 * |[
 * gst-launch-1.0 -e videotestsrc num-buffers=100 ! nervenc ! nervfilemux ! filesink location=test.nerv
 * ]|
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "codec/trailer.h"
#include "nervfilemux.h"
#include "nervtags.h"
#include "nervvideo.h"

GST_DEBUG_CATEGORY_STATIC (gst_nerv_file_mux_debug);
#define GST_CAT_DEFAULT gst_nerv_file_mux_debug

struct _GstNervFileMux
{
  GstElement parent;
  GstPad *sink, *src;

  /* streaming thread */
  NervIndex index;
  NervSequence sequence;
  GstTagList *tags;             /* that came before the first unit */
  guint64 bytes;                /* pushed */
  gboolean begun;
  gboolean whole;               /* the index knows all that was pushed */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_NERV_UNIT_CAPS));

/* not cut into access units any more: the index is none */
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/x-nerv, stream-format = (string) byte-stream"));

G_DEFINE_TYPE_WITH_CODE (GstNervFileMux, gst_nerv_file_mux, GST_TYPE_ELEMENT,
    G_IMPLEMENT_INTERFACE (GST_TYPE_TAG_SETTER, NULL);
    GST_DEBUG_CATEGORY_INIT (gst_nerv_file_mux_debug, "nervfilemux", 0,
        "neural video file muxer"));
GST_ELEMENT_REGISTER_DEFINE (nervfilemux, "nervfilemux", GST_RANK_NONE,
    GST_TYPE_NERV_FILE_MUX);

/* --- bytes ---------------------------------------------------------------- */

static GstFlowReturn
push_bytes (GstNervFileMux * self, GBytes * bytes)
{
  GstBuffer *buffer = gst_buffer_new_wrapped_bytes (bytes);

  self->bytes += g_bytes_get_size (bytes);
  g_bytes_unref (bytes);
  return gst_pad_push (self->src, buffer);
}

/* The application's tags and the stream's, as the application has said. Codec and
 * bitrate say nothing of the file that it does not say itself. */
static GstTagList *
all_tags (GstNervFileMux * self)
{
  static const gchar *const of_stream[] = { GST_TAG_CODEC, GST_TAG_VIDEO_CODEC,
    GST_TAG_CONTAINER_FORMAT, GST_TAG_BITRATE, GST_TAG_NOMINAL_BITRATE,
    GST_TAG_MINIMUM_BITRATE, GST_TAG_MAXIMUM_BITRATE
  };
  const GstTagList *set = gst_tag_setter_get_tag_list (GST_TAG_SETTER (self));
  GstTagList *tags = gst_tag_list_merge (self->tags, set,
      gst_tag_setter_get_tag_merge_mode (GST_TAG_SETTER (self)));
  guint i;

  for (i = 0; tags && i < G_N_ELEMENTS (of_stream); i++)
    gst_tag_list_remove_tag (tags, of_stream[i]);
  return tags;
}

static GstFlowReturn
push_tags (GstNervFileMux * self)
{
  GstTagList *tags = all_tags (self);
  GBytes *unit = tags && !gst_tag_list_is_empty (tags) ?
      gst_nerv_tags_write (tags) : NULL;

  g_clear_pointer (&tags, gst_tag_list_unref);
  return unit ? push_bytes (self, unit) : GST_FLOW_OK;
}

/* As nervparse's walk would; FALSE if it is no access unit that goes on from what
 * was before. */
static gboolean
note_unit (GstNervFileMux * self, const guint8 * data, gsize size,
    guint64 offset)
{
  NervAccessUnit au;
  NervFrameHeader frame;
  NervIndexUnit unit;
  GstClockTime pts, duration;
  gsize need;

  if (nerv_access_unit_scan (data, size, &au, &need) != NERV_SCAN_OK
      || au.bytes != size
      || !nerv_frame_read (au.frame.payload, au.frame.payload_bytes, &frame,
          NULL)
      || (au.begins && !nerv_sequence_read (au.sequence.payload,
              au.sequence.payload_bytes, &self->sequence, NULL))
      || frame.segment_id != (self->sequence.segment_id & 0xff)
      || frame.index >= self->sequence.n_frames)
    return FALSE;
  unit = (NervIndexUnit) {
  .offset = offset,.end = self->bytes + size,.is_sync =
        au.is_sync,.network_bytes =
        au.begins ? au.network.unit_bytes : 0,.sequence =
        &self->sequence,.frame = &frame};
  nerv_index_unit (&self->index, &unit, &pts, &duration, NULL);
  return TRUE;
}

static GstFlowReturn
gst_nerv_file_mux_chain (GstPad * pad, GstObject * parent, GstBuffer * buffer)
{
  GstNervFileMux *self = GST_NERV_FILE_MUX (parent);
  const guint64 offset = self->bytes;
  GstFlowReturn ret = GST_FLOW_OK;
  GstMapInfo map;

  if (!self->begun && (ret = push_tags (self)) != GST_FLOW_OK) {
    gst_buffer_unref (buffer);
    return ret;
  }
  if (!gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    gst_buffer_unref (buffer);
    GST_ELEMENT_ERROR (self, RESOURCE, READ, ("The stream could not be read."),
        ("gst_buffer_map() failed"));
    return GST_FLOW_ERROR;
  }
  /* tags are the first access unit's beginning */
  if (self->whole && !note_unit (self, map.data, map.size,
          self->begun ? offset : 0)) {
    GST_WARNING_OBJECT (self, "no whole access unit that goes on from the last "
        "one: there will be no index");
    self->whole = FALSE;
  }
  self->begun = TRUE;
  self->bytes += map.size;
  gst_buffer_unmap (buffer, &map);
  return gst_pad_push (self->src, buffer);
}

static void
push_index (GstNervFileMux * self)
{
  GBytes *unit = self->whole && self->begun ?
      nerv_trailer_write (&self->index) : NULL;

  if (unit && push_bytes (self, unit) == GST_FLOW_OK)
    GST_DEBUG_OBJECT (self, "index of %u segments", self->index.entries->len);
}

/* --- events --------------------------------------------------------------- */

static void
begin_file (GstNervFileMux * self)
{
  nerv_index_reset (&self->index);
  memset (&self->sequence, 0, sizeof (self->sequence));
  self->bytes = 0;
  self->begun = FALSE;
  self->whole = TRUE;
}

static gboolean
set_caps (GstNervFileMux * self, GstEvent * event)
{
  GstCaps *caps;
  gboolean ok;

  gst_event_parse_caps (event, &caps);
  caps = gst_caps_copy (caps);
  gst_structure_remove_fields (gst_caps_get_structure (caps, 0), "alignment",
      "parsed", NULL);
  ok = gst_pad_set_caps (self->src, caps);
  gst_caps_unref (caps);
  gst_event_unref (event);
  return ok;
}

static gboolean
gst_nerv_file_mux_event (GstPad * pad, GstObject * parent, GstEvent * event)
{
  GstNervFileMux *self = GST_NERV_FILE_MUX (parent);
  GstTagList *tags;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CAPS:
      return set_caps (self, event);
    case GST_EVENT_TAG:
      gst_event_parse_tag (event, &tags);
      tags = gst_tag_list_merge (self->tags, tags, GST_TAG_MERGE_REPLACE);
      g_clear_pointer (&self->tags, gst_tag_list_unref);
      self->tags = tags;
      break;
    case GST_EVENT_SEGMENT:{
      GstSegment bytes;

      /* what comes out is a file's bytes, whatever times units had */
      if (self->begun)
        break;
      gst_segment_init (&bytes, GST_FORMAT_BYTES);
      gst_event_unref (event);
      return gst_pad_push_event (self->src, gst_event_new_segment (&bytes));
    }
    case GST_EVENT_FLUSH_STOP:
      self->whole = self->whole && !self->begun;
      break;
    case GST_EVENT_EOS:
      push_index (self);
      break;
    default:
      break;
  }
  return gst_pad_event_default (pad, parent, event);
}

/* A file is written from its beginning to its end. */
static gboolean
gst_nerv_file_mux_src_event (GstPad * pad, GstObject * parent, GstEvent * event)
{
  if (GST_EVENT_TYPE (event) == GST_EVENT_SEEK) {
    gst_event_unref (event);
    return FALSE;
  }
  return gst_pad_event_default (pad, parent, event);
}

/* --- GstElement ----------------------------------------------------------- */

static GstStateChangeReturn
gst_nerv_file_mux_change_state (GstElement * element, GstStateChange transition)
{
  GstNervFileMux *self = GST_NERV_FILE_MUX (element);
  GstStateChangeReturn ret;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED)
    begin_file (self);
  ret = GST_ELEMENT_CLASS (gst_nerv_file_mux_parent_class)->change_state
      (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    g_clear_pointer (&self->tags, gst_tag_list_unref);
    gst_tag_setter_reset_tags (GST_TAG_SETTER (self));
  }
  return ret;
}

static void
gst_nerv_file_mux_finalize (GObject * object)
{
  GstNervFileMux *self = GST_NERV_FILE_MUX (object);

  nerv_index_clear (&self->index);
  g_clear_pointer (&self->tags, gst_tag_list_unref);
  G_OBJECT_CLASS (gst_nerv_file_mux_parent_class)->finalize (object);
}

static void
gst_nerv_file_mux_init (GstNervFileMux * self)
{
  nerv_index_init (&self->index);
  self->sink = gst_pad_new_from_static_template (&sink_template, "sink");
  gst_pad_set_chain_function (self->sink,
      GST_DEBUG_FUNCPTR (gst_nerv_file_mux_chain));
  gst_pad_set_event_function (self->sink,
      GST_DEBUG_FUNCPTR (gst_nerv_file_mux_event));
  gst_element_add_pad (GST_ELEMENT (self), self->sink);
  self->src = gst_pad_new_from_static_template (&src_template, "src");
  gst_pad_set_event_function (self->src,
      GST_DEBUG_FUNCPTR (gst_nerv_file_mux_src_event));
  gst_pad_use_fixed_caps (self->src);
  gst_element_add_pad (GST_ELEMENT (self), self->src);
}

static void
gst_nerv_file_mux_class_init (GstNervFileMuxClass * klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = gst_nerv_file_mux_finalize;
  element_class->change_state =
      GST_DEBUG_FUNCPTR (gst_nerv_file_mux_change_state);
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class,
      "Neural video file muxer", "Formatter/Metadata",
      "Writes neural video to a file with an index and tags",
      "The nerv project");
}

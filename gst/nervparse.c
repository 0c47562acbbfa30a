/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervparse splits a byte stream into access units (docs/bitstream.md), reads caps
 * and time stamps from its headers, skips damage up to the next unit that makes
 * sense, and keeps an index of segments so that every seek lands on a sync point.
 *
 * Time comes from the stream, never from interpolation. Where a container gives
 * times too, its time line counts, but its times are rounded (Matroska: to
 * milliseconds): the stream's own time, shifted onto the container's time line,
 * replaces them as long as both agree within the rounding. Without a container,
 * streams behind each other (cat a.nerv b.nerv) make one time line: nervindex.c
 * knows how, for files and for what was pushed.
 */

/**
 * SECTION:element-nervparse
 * @title: nervparse
 *
 * Parses neural video.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=test.nerv ! nervparse ! nervdec ! videoconvert ! autovideosink
 * ]|
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "codec/trailer.h"
#include "nervindex.h"
#include "nervparse.h"
#include "nervseek.h"
#include "nervtags.h"
#include "nervvideo.h"

GST_DEBUG_CATEGORY_STATIC (gst_nerv_parse_debug);
#define GST_CAT_DEFAULT gst_nerv_parse_debug

/* How far a container's rounded time may be from the stream's own */
#define TIME_TOLERANCE GST_MSECOND

struct _GstNervParse
{
  GstBaseParse parent;

  NervIndex index;              /* guarded by the object lock */
  gint pushed_key_units;        /* atomic: see src_event() */

  /* streaming thread */
  gboolean upstream_time;       /* a container sets the time line */
  gboolean walked;
  NervSequence sequence;        /* of the segment that frames belong to */
  gboolean have_sequence;
  guint last_index;             /* in that segment */
  gboolean damaged, waiting;    /* said so already */
  gboolean discont;
  GstTagList *codec_tags;
  gboolean have_tags;           /* the base class has a file's beside them */
  gsize probed;                 /* bytes of an unfinished unit searched already */
  guint64 next_offset;          /* behind what was taken or left out */

  GstClockTime unit_pts;        /* of the unit on its way out */
  GstClockTime unit_duration;
  gboolean have_shift;
  gint64 shift;                 /* container's time minus the stream's */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS,
    /* "V_NERV" and "nerv" are private identifiers: stock demuxers hand out
     * what they do not know in these ways */
    GST_STATIC_CAPS ("video/x-nerv; "
        "video/x-unknown, codec-id = (string) V_NERV; "
        "video/x-gst-fourcc-nerv"));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/x-nerv, stream-format = (string) byte-stream, "
        "alignment = (string) au, parsed = (boolean) true"));

#define gst_nerv_parse_parent_class parent_class
G_DEFINE_TYPE_WITH_CODE (GstNervParse, gst_nerv_parse, GST_TYPE_BASE_PARSE,
    GST_DEBUG_CATEGORY_INIT (gst_nerv_parse_debug, "nervparse", 0,
        "neural video parser"));
GST_ELEMENT_REGISTER_DEFINE (nervparse, "nervparse", GST_RANK_PRIMARY + 1,
    GST_TYPE_NERV_PARSE);

static gboolean
is_pull (GstNervParse * self)
{
  return GST_PAD_MODE (GST_BASE_PARSE_SINK_PAD (self)) == GST_PAD_MODE_PULL;
}

/* --- index ---------------------------------------------------------------- */

static GstFlowReturn
read_upstream (gpointer user, guint64 offset, guint size, GstBuffer ** buffer)
{
  *buffer = NULL;
  return gst_pad_pull_range (GST_BASE_PARSE_SINK_PAD (user), offset, size,
      buffer);
}

/* A file tells its duration and all its sync points at once. Nothing reads the
 * index at this time but queries, which find it empty. */
static GstFlowReturn
walk_file (GstNervParse * self)
{
  GstBaseParse *parse = GST_BASE_PARSE (self);
  NervIndex index;
  GstFlowReturn ret;
  gboolean from_file;
  gint64 bytes;
  guint i;

  if (!gst_pad_peer_query_duration (GST_BASE_PARSE_SINK_PAD (self),
          GST_FORMAT_BYTES, &bytes) || bytes <= 0)
    return GST_FLOW_OK;

  nerv_index_init (&index);
  from_file = gst_nerv_index_read (&index, bytes, read_upstream, self, &ret);
  if (!from_file && (ret == GST_FLOW_OK || ret == GST_FLOW_EOS))
    ret = gst_nerv_index_walk (&index, bytes, read_upstream, self);
  GST_DEBUG_OBJECT (self, "%u segments, %s%s, ends at %" GST_TIME_FORMAT,
      index.entries->len, from_file ? "from the file's index, " : "",
      index.complete ? "complete" : "incomplete", GST_TIME_ARGS (index.end));
  if (ret != GST_FLOW_OK) {
    nerv_index_clear (&index);
    return ret == GST_FLOW_FLUSHING ? ret : GST_FLOW_OK;
  }

  for (i = 0; i < index.entries->len; i++) {
    NervIndexEntry *e = &g_array_index (index.entries, NervIndexEntry, i);
    gst_base_parse_add_index_entry (parse, e->offset, e->time, TRUE, TRUE);
  }
  if (index.complete && GST_CLOCK_TIME_IS_VALID (index.end))
    gst_base_parse_set_duration (parse, GST_FORMAT_TIME, index.end, 0);

  GST_OBJECT_LOCK (self);
  nerv_index_clear (&self->index);
  self->index = index;
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

/* A unit's times on the time line of the whole byte stream. */
static void
place_unit (GstNervParse * self, guint64 offset, const NervAccessUnit * au,
    const NervFrameHeader * header)
{
  const NervIndexUnit unit = { offset, offset + au->bytes, au->is_sync,
    au->begins ? au->network.unit_bytes : 0, &self->sequence, header
  };
  bool added;

  GST_OBJECT_LOCK (self);
  nerv_index_unit (&self->index, &unit, &self->unit_pts,
      &self->unit_duration, &added);
  GST_OBJECT_UNLOCK (self);
  if (added)
    gst_base_parse_add_index_entry (GST_BASE_PARSE (self), offset,
        self->unit_pts, TRUE, TRUE);
}

static gboolean
gst_nerv_parse_convert (GstBaseParse * parse, GstFormat src_format,
    gint64 src_value, GstFormat dest_format, gint64 * dest_value)
{
  GstNervParse *self = GST_NERV_PARSE (parse);
  gboolean done = FALSE;

  if (src_value > 0 && !self->upstream_time) {
    GST_OBJECT_LOCK (self);
    if (src_format == GST_FORMAT_TIME && dest_format == GST_FORMAT_BYTES) {
      guint64 offset;
      if ((done = nerv_index_offset (&self->index, src_value, &offset)))
        *dest_value = offset;
    } else if (src_format == GST_FORMAT_BYTES && dest_format == GST_FORMAT_TIME) {
      GstClockTime time;
      if ((done = nerv_index_time (&self->index, src_value, &time)))
        *dest_value = time;
    }
    GST_OBJECT_UNLOCK (self);
  }
  return done || gst_base_parse_convert_default (parse, src_format, src_value,
      dest_format, dest_value);
}

/* --- seeking -------------------------------------------------------------- */

static gboolean
gst_nerv_parse_src_event (GstBaseParse * parse, GstEvent * event)
{
  GstNervParse *self = GST_NERV_PARSE (parse);
  GstSeekFlags flags;
  gint before;
  gboolean ret;

  if (GST_EVENT_TYPE (event) != GST_EVENT_SEEK || self->upstream_time)
    return GST_BASE_PARSE_CLASS (parent_class)->src_event (parse, event);

  /* Where upstream pushes, the base class forgets a seek's flags: the segment that
   * upstream answers with, in bytes, does not have them. */
  gst_event_parse_seek (event, NULL, NULL, &flags, NULL, NULL, NULL, NULL);
  before = g_atomic_int_get (&self->pushed_key_units);
  g_atomic_int_set (&self->pushed_key_units, !is_pull (self)
      && (flags & GST_SEEK_FLAG_TRICKMODE_KEY_UNITS));
  event = gst_nerv_seek_exact (parse, &self->index, event);
  ret = event && GST_BASE_PARSE_CLASS (parent_class)->src_event (parse, event);
  if (!ret)
    g_atomic_int_set (&self->pushed_key_units, before);
  return ret;
}

/* --- units ---------------------------------------------------------------- */

/* What comes now need not go on from what was. */
static void
forget_position (GstNervParse * self)
{
  self->have_sequence = FALSE;
  self->waiting = FALSE;
  self->probed = 0;
  self->have_shift = FALSE;
  gst_base_parse_set_min_frame_size (GST_BASE_PARSE (self),
      NERV_UNIT_MIN_BYTES);
}

/* Leaves bytes out. Forward this goes without the base class's skipping, which
 * gives up after 2 MiB: less than a damaged network may have. */
static GstFlowReturn
leave_out (GstNervParse * self, GstBaseParseFrame * frame, gsize bytes,
    gint * skip)
{
  GstBaseParse *parse = GST_BASE_PARSE (self);

  self->next_offset = frame->offset + bytes;
  self->probed = 0;
  gst_base_parse_set_min_frame_size (parse, NERV_UNIT_MIN_BYTES);
  if (parse->segment.rate < 0.0) {
    *skip = bytes;
    return GST_FLOW_OK;
  }
  frame->flags |= GST_BASE_PARSE_FRAME_FLAG_DROP;
  return gst_base_parse_finish_frame (parse, frame, bytes);
}

static GstFlowReturn
drop (GstNervParse * self, GstBaseParseFrame * frame, gsize bytes, gint * skip)
{
  self->discont = TRUE;
  return leave_out (self, frame, bytes, skip);
}

static GstFlowReturn
drop_damaged (GstNervParse * self, GstBaseParseFrame * frame, gsize bytes,
    gint * skip, const gchar * why)
{
  if (!self->damaged)
    GST_ELEMENT_WARNING (self, STREAM, DECODE,
        ("The stream is damaged; frames are lost."),
        ("%s at byte %" G_GUINT64_FORMAT, why, frame->offset));
  self->damaged = TRUE;
  return drop (self, frame, bytes, skip);
}

/* A frame whose segment's network has not come by. */
static GstFlowReturn
drop_orphan (GstNervParse * self, GstBaseParseFrame * frame, gsize bytes,
    gint * skip)
{
  if (!self->waiting) {
    GST_INFO_OBJECT (self, "waiting for a sync point");
    if (self->upstream_time)
      gst_pad_push_event (GST_BASE_PARSE_SINK_PAD (self),
          gst_video_event_new_upstream_force_key_unit (GST_CLOCK_TIME_NONE,
              TRUE, 0));
  }
  self->waiting = TRUE;
  return drop (self, frame, bytes, skip);
}

/* An unfinished unit: is there another one inside what it claims? Then its end
 * never came (a cut file, a lost packet). Returns the inner unit's position, 0
 * if there is none. */
static gsize
find_inner_unit (GstNervParse * self, const guint8 * data, gsize size)
{
  NervUnit unit;
  gsize need, pos = 0;

  while (nerv_unit_scan (data + pos, size - pos, &unit, &need) == NERV_SCAN_OK)
    pos += unit.unit_bytes;

  pos = MAX (pos + 1, self->probed);
  while ((pos = nerv_unit_find_sync (data, size, pos)) < size) {
    NervScan scan = nerv_unit_scan (data + pos, size - pos, &unit, &need);

    if (scan == NERV_SCAN_OK)
      return pos;
    if (scan == NERV_SCAN_MORE)
      break;
    pos++;
  }
  self->probed = MIN (pos, size);
  return 0;
}

/* Whether `need` bytes will ever be there. */
static gboolean
will_come (GstNervParse * self, GstBaseParseFrame * frame, gsize need)
{
  gint64 bytes;

  if (GST_BASE_PARSE_DRAINING (self))
    return FALSE;
  if (self->upstream_time)
    return TRUE;
  return !gst_pad_peer_query_duration (GST_BASE_PARSE_SINK_PAD (self),
      GST_FORMAT_BYTES, &bytes) || bytes <= 0
      || frame->offset + need <= (guint64) bytes;
}

/* A file's, or with an access unit that has none those that were there. */
static void
take_tags (GstNervParse * self, const guint8 * data, gsize size)
{
  GstTagList *tags = gst_nerv_tags_read (data, size);

  if (!tags)
    return;
  gst_tag_list_insert (tags, self->codec_tags, GST_TAG_MERGE_REPLACE);
  gst_base_parse_merge_tags (GST_BASE_PARSE (self), tags,
      GST_TAG_MERGE_REPLACE);
  gst_tag_list_unref (tags);
  self->have_tags = TRUE;
}

static void
use_sequence (GstNervParse * self, const NervSequence * seq)
{
  GstPad *pad = GST_BASE_PARSE_SRC_PAD (self);
  GstCaps *caps = gst_nerv_caps_from_sequence (seq);
  GstCaps *old = gst_pad_get_current_caps (pad);

  if (!old || !gst_caps_is_equal (old, caps)) {
    GST_DEBUG_OBJECT (self, "caps %" GST_PTR_FORMAT, caps);
    gst_pad_set_caps (pad, caps);
    gst_base_parse_set_frame_rate (GST_BASE_PARSE (self), seq->fps_n,
        seq->fps_d, 0, 0);
    if (!self->have_tags)
      gst_base_parse_merge_tags (GST_BASE_PARSE (self), self->codec_tags,
          GST_TAG_MERGE_REPLACE);
  }
  g_clear_pointer (&old, gst_caps_unref);
  gst_caps_unref (caps);
  self->sequence = *seq;
  self->have_sequence = TRUE;
}

static GstFlowReturn
push_unit (GstNervParse * self, GstBaseParseFrame * frame,
    const NervAccessUnit * au, const NervFrameHeader * header)
{
  GstBaseParse *parse = GST_BASE_PARSE (self);

  if (self->upstream_time)
    nerv_frame_times (&self->sequence, header, &self->unit_pts,
        &self->unit_duration);
  else
    place_unit (self, frame->offset, au, header);
  self->last_index = header->index;
  self->damaged = self->waiting = FALSE;
  self->next_offset = frame->offset + au->bytes;
  self->probed = 0;
  gst_base_parse_set_min_frame_size (parse, NERV_UNIT_MIN_BYTES);

  GST_BUFFER_PTS (frame->buffer) = self->unit_pts;
  GST_BUFFER_DTS (frame->buffer) = self->unit_pts;
  GST_BUFFER_DURATION (frame->buffer) = self->unit_duration;
  if (au->is_sync)
    GST_BUFFER_FLAG_UNSET (frame->buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  else
    GST_BUFFER_FLAG_SET (frame->buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  return gst_base_parse_finish_frame (parse, frame, au->bytes);
}

static GstFlowReturn
handle_unit (GstNervParse * self, GstBaseParseFrame * frame,
    const NervAccessUnit * au, gint * skip)
{
  NervSequence seq;
  NervFrameHeader header;
  GError *error = NULL;

  if (au->begins && !nerv_sequence_read (au->sequence.payload,
          au->sequence.payload_bytes, &seq, &error)) {
    if (g_error_matches (error, NERV_ERROR, NERV_ERROR_UNSUPPORTED)) {
      GST_NERV_ELEMENT_ERROR (self, error, "reading a sequence header");
      g_clear_error (&error);
      return GST_FLOW_ERROR;
    }
    GST_DEBUG_OBJECT (self, "%s", error->message);
    g_clear_error (&error);
    return drop_damaged (self, frame, au->bytes, skip, "bad sequence header");
  }
  if (!nerv_frame_read (au->frame.payload, au->frame.payload_bytes, &header,
          NULL))
    return drop_damaged (self, frame, au->bytes, skip, "bad frame header");

  if (!au->begins) {
    /* Frames are stored in order: one that goes back after a gap belongs to
     * another segment, of which the id's low bits are the same by chance. */
    if (!self->have_sequence
        || header.segment_id != (self->sequence.segment_id & 0xff)
        || (self->discont && header.index <= self->last_index))
      return drop_orphan (self, frame, au->bytes, skip);
    seq = self->sequence;
  } else if (header.segment_id != (seq.segment_id & 0xff)) {
    return drop_damaged (self, frame, au->bytes, skip, "strange frame");
  }
  if (header.index >= seq.n_frames)
    return drop_damaged (self, frame, au->bytes, skip, "strange frame number");

  if (au->begins)
    use_sequence (self, &seq);
  return push_unit (self, frame, au, &header);
}

static GstFlowReturn
gst_nerv_parse_handle_frame (GstBaseParse * parse, GstBaseParseFrame * frame,
    gint * skip)
{
  GstNervParse *self = GST_NERV_PARSE (parse);
  GstFlowReturn ret = GST_FLOW_OK;
  NervAccessUnit au;
  GstMapInfo map;
  gsize need, index_bytes, inner = 0;

  /* a seek, which nothing else tells of where the element pulls */
  if (is_pull (self) && frame->offset != self->next_offset) {
    forget_position (self);
    self->next_offset = frame->offset;
  }
  if (!self->walked) {
    self->walked = TRUE;
    if (is_pull (self) && (ret = walk_file (self)) != GST_FLOW_OK)
      return ret;
  }
  if (!gst_buffer_map (frame->buffer, &map, GST_MAP_READ)) {
    GST_ELEMENT_ERROR (self, RESOURCE, READ, ("The stream could not be read."),
        ("gst_buffer_map() failed on %" GST_PTR_FORMAT, frame->buffer));
    return GST_FLOW_ERROR;
  }

  index_bytes = nerv_trailer_bytes (map.data, map.size);
  if (index_bytes > 0) {        /* a file's end */
    gst_buffer_unmap (frame->buffer, &map);
    return leave_out (self, frame, index_bytes, skip);
  }
  switch (nerv_access_unit_scan (map.data, map.size, &au, &need)) {
    case NERV_SCAN_OK:
    {
      /* the base class takes the data out of its adapter while `au` points into
       * this buffer's memory */
      GstBuffer *keep = gst_buffer_ref (frame->buffer);

      frame->buffer = gst_buffer_make_writable (frame->buffer);
      if (au.begins && !self->upstream_time)
        take_tags (self, map.data, au.bytes);
      ret = handle_unit (self, frame, &au, skip);
      gst_buffer_unmap (keep, &map);
      gst_buffer_unref (keep);
      return ret;
    }
    case NERV_SCAN_MORE:
      inner = find_inner_unit (self, map.data, map.size);
      if (!inner && will_come (self, frame, need)) {
        /* in doubling steps: a unit of 200 MB must not be scanned 3000 times */
        gst_base_parse_set_min_frame_size (parse,
            MIN (need, 2 * MAX (map.size, 4096)));
        break;
      }
      /* fall through */
    case NERV_SCAN_DAMAGED:
      if (!inner)
        inner = nerv_unit_find_sync (map.data, map.size, 1);
      gst_buffer_unmap (frame->buffer, &map);
      return drop_damaged (self, frame, MAX (inner, 1), skip,
          "no whole access unit");
  }
  gst_buffer_unmap (frame->buffer, &map);
  return ret;
}

/* --- GstBaseParse --------------------------------------------------------- */

/* The stream's time on the container's time line, see the file's head. */
static GstClockTime
container_time (GstNervParse * self, GstClockTime theirs)
{
  gint64 own = self->unit_pts, offset;

  if (GST_CLOCK_TIME_IS_VALID (theirs)) {
    offset = (gint64) theirs - own;
    if (!self->have_shift)
      self->shift = 0;
    if (ABS (offset - self->shift) > TIME_TOLERANCE) {
      GST_DEBUG_OBJECT (self, "time line shifted by %" GST_STIME_FORMAT,
          GST_STIME_ARGS (offset));
      self->shift = offset;
    }
    self->have_shift = TRUE;
  }
  own += self->have_shift ? self->shift : 0;
  return MAX (0, own);
}

static GstFlowReturn
gst_nerv_parse_pre_push_frame (GstBaseParse * parse, GstBaseParseFrame * frame)
{
  GstNervParse *self = GST_NERV_PARSE (parse);
  GstClockTime time = self->unit_pts;
  GstBuffer *buffer;

  if (((parse->segment.flags & GST_SEGMENT_FLAG_TRICKMODE_KEY_UNITS)
          || g_atomic_int_get (&self->pushed_key_units))
      && GST_BUFFER_FLAG_IS_SET (frame->buffer, GST_BUFFER_FLAG_DELTA_UNIT))
    return GST_BASE_PARSE_FLOW_DROPPED;

  frame->flags |= GST_BASE_PARSE_FRAME_FLAG_CLIP;
  buffer = frame->buffer = gst_buffer_make_writable (frame->buffer);
  if (self->upstream_time)
    time = container_time (self, GST_BUFFER_PTS_IS_VALID (buffer)
        ? GST_BUFFER_PTS (buffer) : GST_BUFFER_DTS (buffer));

  /* no reordering */
  GST_BUFFER_PTS (buffer) = GST_BUFFER_DTS (buffer) = time;
  GST_BUFFER_DURATION (buffer) = self->unit_duration;
  if (self->discont)
    GST_BUFFER_FLAG_SET (buffer, GST_BUFFER_FLAG_DISCONT);
  self->discont = FALSE;
  return GST_FLOW_OK;
}

static gboolean
gst_nerv_parse_sink_event (GstBaseParse * parse, GstEvent * event)
{
  GstNervParse *self = GST_NERV_PARSE (parse);
  const GstSegment *segment;
  gboolean ret, is_segment = GST_EVENT_TYPE (event) == GST_EVENT_SEGMENT;
  gboolean is_flush = GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP;
  gboolean time = FALSE;

  if (is_segment) {
    gst_event_parse_segment (event, &segment);
    time = segment->format == GST_FORMAT_TIME;
  }
  /* the base class drains what came before a segment */
  ret = GST_BASE_PARSE_CLASS (parent_class)->sink_event (parse, event);
  if (is_segment)
    self->upstream_time = time;
  /* A time segment may continue the stream; bytes begin somewhere else */
  if (is_flush || (is_segment && !time))
    forget_position (self);
  return ret;
}

static gboolean
gst_nerv_parse_start (GstBaseParse * parse)
{
  GstNervParse *self = GST_NERV_PARSE (parse);

  GST_OBJECT_LOCK (self);
  nerv_index_reset (&self->index);
  GST_OBJECT_UNLOCK (self);
  self->upstream_time = FALSE;
  g_atomic_int_set (&self->pushed_key_units, FALSE);
  self->walked = FALSE;
  self->have_tags = FALSE;
  self->damaged = FALSE;
  self->discont = FALSE;
  self->next_offset = 0;
  forget_position (self);
  gst_base_parse_set_pts_interpolation (parse, FALSE);
  gst_base_parse_set_infer_ts (parse, FALSE);
  return TRUE;
}

static void
gst_nerv_parse_finalize (GObject * object)
{
  nerv_index_clear (&GST_NERV_PARSE (object)->index);
  gst_tag_list_unref (GST_NERV_PARSE (object)->codec_tags);
  G_OBJECT_CLASS (parent_class)->finalize (object);
}

static void
gst_nerv_parse_init (GstNervParse * self)
{
  nerv_index_init (&self->index);
  self->codec_tags = gst_tag_list_new (GST_TAG_VIDEO_CODEC,
      "Neural Video (NeRV)", NULL);
  GST_PAD_SET_ACCEPT_TEMPLATE (GST_BASE_PARSE_SINK_PAD (self));
}

static void
gst_nerv_parse_class_init (GstNervParseClass * klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstBaseParseClass *parse_class = GST_BASE_PARSE_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = gst_nerv_parse_finalize;

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Neural video parser",
      "Codec/Parser/Video",
      "Cuts neural video streams into access units", "The nerv project");

  parse_class->start = GST_DEBUG_FUNCPTR (gst_nerv_parse_start);
  parse_class->handle_frame = GST_DEBUG_FUNCPTR (gst_nerv_parse_handle_frame);
  parse_class->pre_push_frame =
      GST_DEBUG_FUNCPTR (gst_nerv_parse_pre_push_frame);
  parse_class->convert = GST_DEBUG_FUNCPTR (gst_nerv_parse_convert);
  parse_class->sink_event = GST_DEBUG_FUNCPTR (gst_nerv_parse_sink_event);
  parse_class->src_event = GST_DEBUG_FUNCPTR (gst_nerv_parse_src_event);
}

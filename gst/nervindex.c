/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The walk reads 16 KiB windows. Sequence and frame units lie inside a window and
 * are checked as the parser will check them; of a network only the header is
 * read, and the sync word behind it must be in place. A damaged network therefore
 * stays in the index: a seek to it finds the damage and goes on at the next one.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervindex.h"
#include "nervvideo.h"

#define WINDOW_BYTES (16 * 1024)
#define MAX_READ_BYTES (G_GUINT64_CONSTANT (512) << 20)
#define MAX_ENTRIES (1 << 20)
#define MAX_PARTS (1 << 20)
#define SYNC_BYTES 4

/* How long a single frame lasts in a stream that does not say it */
#define GUESSED_DURATION (40 * GST_MSECOND)

void
gst_nerv_index_init (GstNervIndex * index)
{
  index->entries = g_array_new (FALSE, FALSE, sizeof (GstNervIndexEntry));
  index->parts = g_array_new (FALSE, FALSE, sizeof (GstNervIndexPart));
  gst_nerv_index_reset (index);
}

void
gst_nerv_index_clear (GstNervIndex * index)
{
  g_clear_pointer (&index->entries, g_array_unref);
  g_clear_pointer (&index->parts, g_array_unref);
}

void
gst_nerv_index_reset (GstNervIndex * index)
{
  g_array_set_size (index->entries, 0);
  g_array_set_size (index->parts, 0);
  index->complete = FALSE;
  index->bytes = 0;
  index->end = GST_CLOCK_TIME_NONE;
  index->noted = 0;
  index->sequence.n_frames = 0;
  index->last_pts = 0;
  index->last_step = GUESSED_DURATION;
}

static GstNervIndexEntry *
nth (const GstNervIndex * index, guint i)
{
  return &g_array_index (index->entries, GstNervIndexEntry, i);
}

gboolean
gst_nerv_index_add (GstNervIndex * index, guint64 offset, GstClockTime time)
{
  GstNervIndexEntry entry = { offset, time };
  guint n = index->entries->len;

  if (index->complete || n >= MAX_ENTRIES)
    return FALSE;
  if (n > 0 && (nth (index, n - 1)->offset >= offset
          || nth (index, n - 1)->time >= time))
    return FALSE;
  g_array_append_val (index->entries, entry);
  return TRUE;
}

/* --- look-up -------------------------------------------------------------- */

/* The last entry whose field is <= value; -1 if there is none. */
static gint
find (const GstNervIndex * index, guint64 value, gboolean by_time)
{
  gint lo = 0, hi = index->entries->len;

  while (lo < hi) {
    gint mid = (lo + hi) / 2;
    const GstNervIndexEntry *e = nth (index, mid);

    if ((by_time ? e->time : e->offset) <= value)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo - 1;
}

gboolean
gst_nerv_index_offset (const GstNervIndex * index, GstClockTime time,
    guint64 * offset)
{
  if (index->entries->len == 0)
    return FALSE;
  *offset = nth (index, MAX (0, find (index, time, TRUE)))->offset;
  return TRUE;
}

gboolean
gst_nerv_index_time (const GstNervIndex * index, guint64 offset,
    GstClockTime * time)
{
  gint i = find (index, offset, FALSE);

  if (index->entries->len == 0)
    return FALSE;
  if (index->complete && offset >= index->bytes) {
    *time = index->end;
    return GST_CLOCK_TIME_IS_VALID (index->end);
  }
  if (i == (gint) index->entries->len - 1 && !index->complete
      && offset > nth (index, i)->offset)
    return FALSE;
  *time = nth (index, MAX (0, i))->time;
  return TRUE;
}

void
gst_nerv_index_around (const GstNervIndex * index, GstClockTime time,
    GstClockTime * before, GstClockTime * after)
{
  gint i = find (index, time, TRUE), n = index->entries->len;

  *before = i >= 0 ? nth (index, i)->time : GST_CLOCK_TIME_NONE;
  if (i < 0 || nth (index, i)->time < time)
    i++;
  *after = i < n ? nth (index, i)->time : GST_CLOCK_TIME_NONE;
}

/* --- parts ---------------------------------------------------------------- */

/* The shift at a place in the stream: that of the last part that begins before. */
static gint64
shift_at (const GstNervIndex * index, guint64 offset)
{
  guint lo = 0, hi = index->parts->len;

  while (lo < hi) {
    guint mid = (lo + hi) / 2;

    if (g_array_index (index->parts, GstNervIndexPart, mid).offset <= offset)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo ? g_array_index (index->parts, GstNervIndexPart, lo - 1).shift : 0;
}

/* Streams say any time below 2^63; many of them behind each other stop there. */
static GstClockTime
add_shift (GstClockTime time, gint64 shift)
{
  if (shift < 0)
    return time > (guint64) - shift ? time - (guint64) - shift : 0;
  return MIN (time, (guint64) G_MAXINT64 - shift) + shift;
}

static gboolean
is_same_segment (const GstNervIndex * index, const GstNervIndexUnit * unit)
{
  const NervSequence *a = &index->sequence, *b = unit->sequence;

  return a->segment_id == b->segment_id && a->first_frame == b->first_frame
      && a->n_frames == b->n_frames && a->pts_ns == b->pts_ns
      && a->width == b->width && a->height == b->height
      && index->network_bytes == unit->network_bytes;
}

/* Whether another stream begins with this sync point, which would be shown at
 * `pts`: neither its numbers nor its time go on from the last unit's. A sync point
 * may also come again within its segment (docs/bitstream.md, section "Access
 * units"). */
static gboolean
begins_part (const GstNervIndex * index, const GstNervIndexUnit * unit,
    GstClockTime pts)
{
  const NervSequence *last = &index->sequence, *seq = unit->sequence;

  if (last->n_frames == 0)
    return FALSE;
  if (is_same_segment (index, unit))
    return index->last_index + 1 == last->n_frames;
  return (gint32) (seq->segment_id - last->segment_id) <= 0
      || seq->first_frame < last->first_frame + last->n_frames
      || pts <= index->last_pts;
}

static void
begin_part (GstNervIndex * index, guint64 offset, GstClockTime own_pts)
{
  const GstClockTime at = index->last_pts + index->last_step;
  const GstNervIndexPart part = { offset,
    (gint64) MIN (at, (guint64) G_MAXINT64) - (gint64) own_pts
  };

  if (index->parts->len < MAX_PARTS)
    g_array_append_val (index->parts, part);
}

static void
note_unit (GstNervIndex * index, const GstNervIndexUnit * unit,
    GstClockTime pts, GstClockTime duration)
{
  GstClockTime end = pts;

  if (GST_CLOCK_TIME_IS_VALID (duration)) {
    index->last_step = duration;
    end += duration;
  } else if (index->sequence.n_frames && pts > index->last_pts) {
    index->last_step = pts - index->last_pts;
  }
  if (!GST_CLOCK_TIME_IS_VALID (index->end) || end > index->end)
    index->end = end;

  index->noted = unit->end;
  index->last_pts = pts;
  index->last_index = unit->frame->index;
  index->sequence = *unit->sequence;
  if (unit->network_bytes)
    index->network_bytes = unit->network_bytes;
}

void
gst_nerv_index_unit (GstNervIndex * index, const GstNervIndexUnit * unit,
    GstClockTime * pts, GstClockTime * duration, gboolean * added)
{
  const gboolean is_new = unit->end > index->noted;
  GstClockTime own;

  gst_nerv_frame_times (unit->sequence, unit->frame, &own, duration);
  /* by the last byte: where the first is, is not certain after damage */
  *pts = add_shift (own, shift_at (index, unit->end - 1));
  if (is_new && unit->is_sync && begins_part (index, unit, *pts)) {
    begin_part (index, unit->offset, own);
    *pts = add_shift (own, shift_at (index, unit->end - 1));
  }
  if (is_new)
    note_unit (index, unit, *pts, *duration);
  if (added)
    *added = FALSE;
  if (is_new && unit->is_sync && gst_nerv_index_add (index, unit->offset, *pts)
      && added)
    *added = TRUE;
}

/* --- the walk ------------------------------------------------------------- */

typedef struct
{
  GstNervReadFunc read;
  gpointer user;
  guint64 bytes, total_read;
  GstBuffer *buffer;            /* the window, mapped */
  GstMapInfo map;
  guint64 start;                /* its offset */

  gboolean have_units, have_sequence, have_network;     /* of an access unit
                                                         * being read */
  gboolean is_residual;         /* the network of that */
  gboolean in_segment;          /* `current` is the segment of frames now */
  guint64 unit_offset, network_bytes;
  NervSequence next, current;
} Walk;

static void
walk_release (Walk * w)
{
  if (w->buffer) {
    gst_buffer_unmap (w->buffer, &w->map);
    gst_buffer_unref (w->buffer);
  }
  w->buffer = NULL;
}

/* Points at the bytes at `pos`: at least `want`, or all there are. */
static GstFlowReturn
walk_peek (Walk * w, guint64 pos, guint want, const guint8 ** data,
    gsize * size)
{
  GstFlowReturn ret;

  want = MIN (want, w->bytes - pos);
  if (!w->buffer || pos < w->start || pos + want > w->start + w->map.size) {
    walk_release (w);
    ret = w->read (w->user, pos, MIN (MAX (want, WINDOW_BYTES),
            w->bytes - pos), &w->buffer);
    if (ret != GST_FLOW_OK) {
      w->buffer = NULL;
      return ret;
    }
    if (!gst_buffer_map (w->buffer, &w->map, GST_MAP_READ)) {
      g_clear_pointer (&w->buffer, gst_buffer_unref);
      return GST_FLOW_ERROR;
    }
    w->start = pos;
    w->total_read += w->map.size;
    if (w->map.size < want)     /* the stream became shorter */
      w->bytes = pos + w->map.size;
  }
  *data = w->map.data + (pos - w->start);
  *size = w->map.size - (pos - w->start);
  return GST_FLOW_OK;
}

static void
walk_frame (Walk * w, GstNervIndex * index, guint64 pos, const NervUnit * unit)
{
  const gboolean begins = w->have_sequence && w->have_network;
  NervFrameHeader frame;
  GstClockTime pts, duration;
  GstNervIndexUnit au = {.offset = w->unit_offset,
    .end = pos + unit->unit_bytes,.is_sync = begins && !w->is_residual,
    .network_bytes = begins ? w->network_bytes : 0,.sequence = &w->current,
    .frame = &frame
  };

  if (begins) {
    w->current = w->next;
    w->in_segment = TRUE;
  }
  if (w->in_segment
      && nerv_frame_read (unit->payload, unit->payload_bytes, &frame, NULL)
      && frame.segment_id == (w->current.segment_id & 0xff)
      && frame.index < w->current.n_frames)
    gst_nerv_index_unit (index, &au, &pts, &duration, NULL);
  w->have_units = w->have_sequence = w->have_network = FALSE;
}

/* A unit at `pos` begins an access unit unless it goes on with one. */
static void
walk_begin (Walk * w, guint64 pos, gboolean anew)
{
  if (!w->have_units || anew)
    w->unit_offset = pos;
  w->have_units = TRUE;
}

/* Without a sequence it is no part of an access unit. */
static void
walk_network (Walk * w, guint8 type, guint64 bytes)
{
  w->have_units = w->have_sequence;
  w->have_network = TRUE;
  w->is_residual = type == NERV_UNIT_RESIDUAL;
  w->network_bytes = bytes;
}

/* A whole unit in the window. */
static void
walk_unit (Walk * w, GstNervIndex * index, guint64 pos, const NervUnit * unit)
{
  walk_begin (w, pos, unit->type == NERV_UNIT_SEQUENCE && w->have_sequence);
  switch (unit->type) {
    case NERV_UNIT_SEQUENCE:
      w->have_network = FALSE;
      w->have_sequence =
          nerv_sequence_read (unit->payload, unit->payload_bytes, &w->next,
          NULL);
      break;
    case NERV_UNIT_NETWORK:
    case NERV_UNIT_RESIDUAL:
    case NERV_UNIT_DELTA:
      walk_network (w, unit->type, unit->unit_bytes);
      break;
    case NERV_UNIT_FRAME:
      walk_frame (w, index, pos, unit);
      break;
    case NERV_UNIT_INDEX:      /* a file's end */
      w->have_units = w->have_sequence = w->have_network = FALSE;
      break;
    default:
      break;
  }
}

/* The next sync word at or after `pos`, or the end. */
static GstFlowReturn
walk_resync (Walk * w, guint64 * pos)
{
  w->have_units = w->have_sequence = w->have_network = FALSE;
  while (*pos < w->bytes) {
    const guint8 *data;
    gsize size, skip;
    GstFlowReturn ret = walk_peek (w, *pos, SYNC_BYTES, &data, &size);

    if (ret != GST_FLOW_OK)
      return ret;
    skip = nerv_unit_find_sync (data, size, 0);
    *pos += skip;
    if (skip + SYNC_BYTES <= size)
      return GST_FLOW_OK;
    if (w->bytes - *pos < SYNC_BYTES)
      *pos = w->bytes;
  }
  return GST_FLOW_OK;
}

/* One unit, or a step towards the next sync word. */
static GstFlowReturn
walk_step (Walk * w, GstNervIndex * index, guint64 * pos)
{
  const guint8 *data;
  gsize size, need = 0;
  NervUnit unit;
  NervScan scan;
  guint8 type;
  GstFlowReturn ret = walk_peek (w, *pos, 16, &data, &size);

  if (ret != GST_FLOW_OK)
    return ret;
  scan = nerv_unit_scan (data, size, &unit, &need);
  type = size > SYNC_BYTES ? data[SYNC_BYTES] : 0;

  if (scan == NERV_SCAN_MORE && need <= w->bytes - *pos) {
    if (need <= WINDOW_BYTES) {
      ret = walk_peek (w, *pos, need, &data, &size);
      if (ret != GST_FLOW_OK)
        return ret;
      scan = nerv_unit_scan (data, size, &unit, &need);
    } else if (need == w->bytes - *pos) {
      *pos = w->bytes;
      return GST_FLOW_OK;
    } else {
      ret = walk_peek (w, *pos + need, SYNC_BYTES, &data, &size);
      if (ret != GST_FLOW_OK)
        return ret;
      if (size >= SYNC_BYTES && nerv_unit_find_sync (data, SYNC_BYTES, 0) == 0) {
        walk_begin (w, *pos, FALSE);
        if (type == NERV_UNIT_INDEX)
          w->have_units = w->have_sequence = w->have_network = FALSE;
        if (type == NERV_UNIT_NETWORK || type == NERV_UNIT_RESIDUAL
            || type == NERV_UNIT_DELTA)
          walk_network (w, type, need);
        *pos += need;
        return GST_FLOW_OK;
      }
    }
  }
  if (scan == NERV_SCAN_OK) {
    walk_unit (w, index, *pos, &unit);
    *pos += unit.unit_bytes;
    return GST_FLOW_OK;
  }
  *pos += 1;
  return walk_resync (w, pos);
}

GstFlowReturn
gst_nerv_index_walk (GstNervIndex * index, guint64 bytes,
    GstNervReadFunc read, gpointer user)
{
  Walk w = {.read = read,.user = user,.bytes = bytes };
  GstFlowReturn ret = GST_FLOW_OK;
  guint64 pos = 0;

  gst_nerv_index_reset (index);
  while (ret == GST_FLOW_OK && pos < w.bytes && w.total_read < MAX_READ_BYTES)
    ret = walk_step (&w, index, &pos);
  if (ret == GST_FLOW_EOS) {    /* shorter than it said */
    ret = GST_FLOW_OK;
    w.bytes = pos;
  }
  walk_release (&w);
  if (ret == GST_FLOW_OK && pos >= w.bytes) {
    index->complete = TRUE;
    index->bytes = bytes;
  }
  return ret;
}

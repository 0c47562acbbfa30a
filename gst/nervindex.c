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
#define SYNC_BYTES 4

void
gst_nerv_index_init (GstNervIndex * index)
{
  index->entries = g_array_new (FALSE, FALSE, sizeof (GstNervIndexEntry));
  gst_nerv_index_reset (index);
}

void
gst_nerv_index_clear (GstNervIndex * index)
{
  g_clear_pointer (&index->entries, g_array_unref);
}

void
gst_nerv_index_reset (GstNervIndex * index)
{
  g_array_set_size (index->entries, 0);
  index->complete = FALSE;
  index->bytes = 0;
  index->end = GST_CLOCK_TIME_NONE;
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

/* --- the walk ------------------------------------------------------------- */

typedef struct
{
  GstNervReadFunc read;
  gpointer user;
  guint64 bytes, total_read;
  GstBuffer *buffer;            /* the window, mapped */
  GstMapInfo map;
  guint64 start;                /* its offset */

  gboolean have_sequence, have_network; /* of an access unit being read */
  gboolean in_segment;          /* `current` is the segment of frames now */
  guint64 sync_offset;
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
walk_frame (Walk * w, GstNervIndex * index, const NervUnit * unit)
{
  NervFrameHeader frame;
  GstClockTime pts, duration;

  if (w->have_sequence && w->have_network) {
    w->current = w->next;
    w->in_segment = TRUE;
  }
  if (w->in_segment
      && nerv_frame_read (unit->payload, unit->payload_bytes, &frame, NULL)
      && frame.segment_id == (w->current.segment_id & 0xff)
      && frame.index < w->current.n_frames) {
    gst_nerv_frame_times (&w->current, &frame, &pts, &duration);
    if (w->have_sequence)
      gst_nerv_index_add (index, w->sync_offset, pts);
    if (GST_CLOCK_TIME_IS_VALID (duration))
      pts += duration;
    if (!GST_CLOCK_TIME_IS_VALID (index->end) || pts > index->end)
      index->end = pts;
  }
  w->have_sequence = w->have_network = FALSE;
}

/* A whole unit in the window. */
static void
walk_unit (Walk * w, GstNervIndex * index, guint64 pos, const NervUnit * unit)
{
  switch (unit->type) {
    case NERV_UNIT_SEQUENCE:
      w->have_network = FALSE;
      w->have_sequence =
          nerv_sequence_read (unit->payload, unit->payload_bytes, &w->next,
          NULL);
      w->sync_offset = pos;
      break;
    case NERV_UNIT_NETWORK:
      w->have_network = TRUE;
      break;
    case NERV_UNIT_FRAME:
      walk_frame (w, index, unit);
      break;
    default:
      break;
  }
}

/* The next sync word at or after `pos`, or the end. */
static GstFlowReturn
walk_resync (Walk * w, guint64 * pos)
{
  w->have_sequence = w->have_network = FALSE;
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
        if (type == NERV_UNIT_NETWORK)
          w->have_network = TRUE;
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

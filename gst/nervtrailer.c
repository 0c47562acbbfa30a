/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervtrailer.h. A file that was put together out of several has an index unit
 * behind each: they are read from the end, each one says how many bytes before it are
 * its own. Their times follow each other as the index has it for parts.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <gst/tag/tag.h>
#include <string.h>

#include "nervtrailer.h"

#define LAYOUT 0                /* of the payload */
#define SIZE_BYTES 4            /* the payload's last field: the unit's size */
#define CRC_BYTES 4
#define MAX_UNIT_BYTES (16 << 20)
#define MAX_FILES 4096          /* put behind each other */
#define CHECKED 16              /* entries that are looked at in the file */
#define HEAD_BYTES 256          /* in which a sync point's sequence unit lies, tags apart */
#define MAX_TAG_BYTES (1 << 20)

/* --- index: writing ------------------------------------------------------- */

/* Offsets and times as differences, so that most take three bytes. A part begins at
 * an entry; its shift is the difference of what is shown and what its stream says. */
GBytes *
gst_nerv_trailer_write (const GstNervIndex * index)
{
  NervBitWriter w;
  GByteArray *unit;
  GstNervIndexEntry last = { 0, 0 };
  gint64 last_shift = 0;
  guint64 last_offset = 0;
  gsize size;
  guint i;

  nerv_writer_init (&w);
  nerv_write_varint (&w, LAYOUT);
  nerv_write_varint (&w, index->noted);
  nerv_write_varint (&w, GST_CLOCK_TIME_IS_VALID (index->end) ? index->end + 1
      : 0);
  nerv_write_varint (&w, MIN (index->last_pts + index->last_step,
          (guint64) G_MAXINT64));
  nerv_write_varint (&w, index->entries->len);
  for (i = 0; i < index->entries->len; i++) {
    const GstNervIndexEntry *e =
        &g_array_index (index->entries, GstNervIndexEntry, i);

    nerv_write_varint (&w, e->offset - last.offset);
    nerv_write_varint (&w, e->time - last.time);
    last = *e;
  }
  nerv_write_varint (&w, index->parts->len);
  for (i = 0; i < index->parts->len; i++) {
    const GstNervIndexPart *p =
        &g_array_index (index->parts, GstNervIndexPart, i);

    nerv_write_varint (&w, p->offset - last_offset);
    nerv_write_svarint (&w, p->shift - last_shift);
    last_offset = p->offset;
    last_shift = p->shift;
  }

  size = nerv_unit_bytes (w.bytes->len + SIZE_BYTES);
  unit = g_byte_array_new ();
  if (size <= MAX_UNIT_BYTES) {
    nerv_write_u32 (&w, size);
    nerv_unit_write (unit, NERV_UNIT_INDEX, w.bytes->data, w.bytes->len);
  }
  nerv_writer_clear (&w);
  if (unit->len == 0) {
    g_byte_array_unref (unit);
    return NULL;
  }
  return g_byte_array_free_to_bytes (unit);
}

/* --- index: reading ------------------------------------------------------- */

/* One index unit, of the bytes [start, start + bytes) of the file. */
typedef struct
{
  guint64 start, bytes;
  GstClockTime end, next;       /* where another file would go on */
  GArray *entries;              /* of its own time and bytes, both from 0 */
  GArray *parts;
} Table;

static void
table_free (Table * t)
{
  g_array_unref (t->entries);
  g_array_unref (t->parts);
  g_free (t);
}

/* Entries and parts with both fields ascending, inside the stream. */
static gboolean
read_entries (Table * t, NervBitReader * r)
{
  GstNervIndexEntry e = { 0, 0 };
  guint64 n = nerv_read_range (r, 1, nerv_reader_left (r) / 2 + 1), i;

  for (i = 0; i < n && !r->failed; i++) {
    const guint64 bytes = nerv_read_varint (r), time = nerv_read_varint (r);

    if (bytes >= t->bytes - e.offset || time > G_MAXINT64 - e.time
        || (i > 0 && (bytes == 0 || time == 0)))
      return FALSE;
    e.offset += bytes;
    e.time += time;
    g_array_append_val (t->entries, e);
  }
  return !r->failed;
}

static gboolean
read_parts (Table * t, NervBitReader * r)
{
  GstNervIndexPart p = { 0, 0 };
  guint64 n = nerv_read_range (r, 0, nerv_reader_left (r) / 2), i;

  for (i = 0; i < n && !r->failed; i++) {
    const guint64 bytes = nerv_read_varint (r);
    const gint64 shift = nerv_read_svarint (r);

    if (bytes >= t->bytes - p.offset || (i > 0 && bytes == 0)
        || (shift > 0 ? p.shift > G_MAXINT64 - shift
            : p.shift < G_MININT64 / 2 - shift))
      return FALSE;
    p.offset += bytes;
    p.shift += shift;
    g_array_append_val (t->parts, p);
  }
  return !r->failed;
}

static Table *
parse_table (const NervUnit * unit)
{
  Table *t = g_new0 (Table, 1);
  NervBitReader r;
  guint64 end;

  t->entries = g_array_new (FALSE, FALSE, sizeof (GstNervIndexEntry));
  t->parts = g_array_new (FALSE, FALSE, sizeof (GstNervIndexPart));
  nerv_reader_init (&r, unit->payload, unit->payload_bytes - SIZE_BYTES);
  nerv_read_range (&r, LAYOUT, LAYOUT);
  t->bytes = nerv_read_range (&r, 1, G_MAXINT64);
  end = nerv_read_range (&r, 0, (guint64) G_MAXINT64 + 1);
  t->end = end ? end - 1 : GST_CLOCK_TIME_NONE;
  t->next = nerv_read_range (&r, 0, G_MAXINT64);
  if (r.failed || !read_entries (t, &r) || !read_parts (t, &r)
      || nerv_reader_left (&r) > 0) {
    table_free (t);
    return NULL;
  }
  return t;
}

/* Bytes [offset, offset + size) of the file; NULL if they are not all there. */
static GstBuffer *
read_bytes (GstNervReadFunc read, gpointer user, guint64 offset, guint size,
    GstFlowReturn * ret)
{
  GstBuffer *buffer = NULL;

  *ret = read (user, offset, size, &buffer);
  if (*ret == GST_FLOW_OK && gst_buffer_get_size (buffer) >= size)
    return buffer;
  if (*ret == GST_FLOW_OK)
    gst_buffer_unref (buffer);
  return NULL;
}

/* The index unit that ends at `end`. */
static Table *
read_table (guint64 end, GstNervReadFunc read, gpointer user,
    GstFlowReturn * ret)
{
  guint8 tail[SIZE_BYTES];
  Table *table = NULL;
  GstBuffer *buffer;
  GstMapInfo map;
  NervUnit unit;
  gsize need;
  guint size;

  if (end < NERV_UNIT_MIN_BYTES
      || !(buffer = read_bytes (read, user, end - SIZE_BYTES - CRC_BYTES,
              SIZE_BYTES, ret)))
    return NULL;
  gst_buffer_extract (buffer, 0, tail, SIZE_BYTES);
  gst_buffer_unref (buffer);
  size = GST_READ_UINT32_LE (tail);
  if (size < NERV_UNIT_MIN_BYTES + SIZE_BYTES || size > MAX_UNIT_BYTES
      || size >= end || !(buffer = read_bytes (read, user, end - size, size,
              ret)))
    return NULL;
  if (gst_buffer_map (buffer, &map, GST_MAP_READ)) {
    if (nerv_unit_scan (map.data, map.size, &unit, &need) == NERV_SCAN_OK
        && unit.type == NERV_UNIT_INDEX && unit.unit_bytes == size)
      table = parse_table (&unit);
    gst_buffer_unmap (buffer, &map);
  }
  gst_buffer_unref (buffer);
  if (table && table->bytes > end - size)
    g_clear_pointer (&table, table_free);
  if (table)
    table->start = end - size - table->bytes;
  return table;
}

/* All of the file's, the last one first; NULL if some bytes belong to none. */
static GPtrArray *
read_tables (guint64 bytes, GstNervReadFunc read, gpointer user,
    GstFlowReturn * ret)
{
  GPtrArray *tables = g_ptr_array_new_with_free_func ((GDestroyNotify)
      table_free);
  guint64 end = bytes;

  while (end > 0) {
    Table *t = tables->len < MAX_FILES ? read_table (end, read, user, ret)
        : NULL;

    if (!t) {
      g_ptr_array_unref (tables);
      return NULL;
    }
    g_ptr_array_add (tables, t);
    end = t->start;
  }
  return tables;
}

/* Whether a segment begins there, and at that time on its own time line. */
static gboolean
is_sync_point (guint64 offset, guint64 bytes, GstClockTime own,
    GstNervReadFunc read, gpointer user, GstFlowReturn * ret)
{
  guint size = MIN (MAX_TAG_BYTES, bytes - offset), have = HEAD_BYTES;
  gboolean found = FALSE, more = TRUE;

  /* a unit of tags may be in front of the sequence */
  while (!found && more) {
    GstBuffer *buffer;
    GstMapInfo map;
    NervSequence seq;
    NervUnit unit;
    gsize need, at = 0;

    have = MIN (have, size);
    buffer = read_bytes (read, user, offset, have, ret);
    if (!buffer || !gst_buffer_map (buffer, &map, GST_MAP_READ)) {
      g_clear_pointer (&buffer, gst_buffer_unref);
      return FALSE;
    }
    while (nerv_unit_scan (map.data + at, map.size - at, &unit, &need)
        == NERV_SCAN_OK && unit.type >= NERV_UNIT_SKIPPABLE)
      at += unit.unit_bytes;
    found = nerv_unit_scan (map.data + at, map.size - at, &unit, &need)
        == NERV_SCAN_OK && unit.type == NERV_UNIT_SEQUENCE
        && nerv_sequence_read (unit.payload, unit.payload_bytes, &seq, NULL)
        && (guint64) nerv_sequence_pts (&seq, 0) == own;
    more = have < size && nerv_unit_scan (map.data + at, map.size - at, &unit,
        &need) == NERV_SCAN_MORE;
    have *= 16;
    gst_buffer_unmap (buffer, &map);
    gst_buffer_unref (buffer);
  }
  return found;
}

static gint64
shift_of (const Table * t, guint64 offset)
{
  gint64 shift = 0;
  guint i;

  for (i = 0; i < t->parts->len; i++) {
    const GstNervIndexPart *p = &g_array_index (t->parts, GstNervIndexPart, i);
    if (p->offset > offset)
      break;
    shift = p->shift;
  }
  return shift;
}

/* The first and the last entry, and some between. */
static gboolean
is_true (const Table * t, guint64 bytes, GstNervReadFunc read, gpointer user,
    GstFlowReturn * ret)
{
  const guint n = t->entries->len, n_checked = MIN (n, CHECKED);
  guint i;

  for (i = 0; i < n_checked; i++) {
    const guint at =
        n_checked < 2 ? 0 : (guint64) i * (n - 1) / (n_checked - 1);
    const GstNervIndexEntry *e =
        &g_array_index (t->entries, GstNervIndexEntry, at);

    if (!is_sync_point (t->start + e->offset, bytes,
            e->time - shift_of (t, e->offset), read, user, ret))
      return FALSE;
  }
  return TRUE;
}

/* Behind what is there: the first file's times are its own, another's follow. */
static gboolean
append_table (GstNervIndex * index, const Table * t, const Table * before)
{
  const GstNervIndexEntry *first =
      &g_array_index (t->entries, GstNervIndexEntry, 0);
  gint64 shift = 0;
  guint i;

  if (before) {
    GstNervIndexPart part;

    shift = (gint64) index->last_pts - (gint64) first->time;
    part.offset = t->start + first->offset;
    part.shift = shift + shift_of (t, first->offset);
    g_array_append_val (index->parts, part);
  }
  for (i = 0; i < t->parts->len; i++) {
    GstNervIndexPart p = g_array_index (t->parts, GstNervIndexPart, i);

    p.offset += t->start;
    p.shift += shift;
    if (!before || p.offset > t->start + first->offset)
      g_array_append_val (index->parts, p);
  }
  for (i = 0; i < t->entries->len; i++) {
    const GstNervIndexEntry *e =
        &g_array_index (t->entries, GstNervIndexEntry, i);

    if (!gst_nerv_index_add (index, t->start + e->offset, e->time + shift))
      return FALSE;
  }
  index->end = GST_CLOCK_TIME_IS_VALID (t->end) ? t->end + shift
      : GST_CLOCK_TIME_NONE;
  index->last_pts = t->next + shift;    /* until all are there */
  return TRUE;
}

gboolean
gst_nerv_trailer_read (GstNervIndex * index, guint64 bytes,
    GstNervReadFunc read, gpointer user, GstFlowReturn * ret)
{
  GPtrArray *tables;
  gboolean ok;
  guint i;

  *ret = GST_FLOW_OK;
  gst_nerv_index_reset (index);
  tables = read_tables (bytes, read, user, ret);
  ok = tables != NULL;
  for (i = ok ? tables->len : 0; ok && i-- > 0;) {
    const Table *t = g_ptr_array_index (tables, i);

    ok = is_true (t, bytes, read, user, ret) && append_table (index, t,
        i + 1 < tables->len ? g_ptr_array_index (tables, i + 1) : NULL);
  }
  g_clear_pointer (&tables, g_ptr_array_unref);
  if (!ok) {
    gst_nerv_index_reset (index);
    return FALSE;
  }
  index->complete = TRUE;
  index->bytes = index->noted = bytes;
  return TRUE;
}

gsize
gst_nerv_trailer_bytes (const guint8 * data, gsize size)
{
  NervUnit unit;
  gsize need, at = 0;

  while (at < size && nerv_unit_scan (data + at, size - at, &unit, &need)
      == NERV_SCAN_OK && unit.type == NERV_UNIT_INDEX)
    at += unit.unit_bytes;
  return at;
}

/* --- tags ----------------------------------------------------------------- */

GBytes *
gst_nerv_tags_write (const GstTagList * tags)
{
  GstBuffer *comment =
      gst_tag_list_to_vorbiscomment_buffer (tags, NULL, 0, "nerv");
  GByteArray *unit = g_byte_array_new ();
  GstMapInfo map;

  if (comment && gst_buffer_map (comment, &map, GST_MAP_READ)) {
    if (map.size <= MAX_TAG_BYTES / 2)
      nerv_unit_write (unit, NERV_UNIT_TAGS, map.data, map.size);
    gst_buffer_unmap (comment, &map);
  }
  g_clear_pointer (&comment, gst_buffer_unref);
  if (unit->len == 0) {
    g_byte_array_unref (unit);
    return NULL;
  }
  return g_byte_array_free_to_bytes (unit);
}

GstTagList *
gst_nerv_tags_read (const guint8 * data, gsize size)
{
  NervUnit unit;
  gsize need, at;

  for (at = 0; at < size && nerv_unit_scan (data + at, size - at, &unit, &need)
      == NERV_SCAN_OK && unit.type >= NERV_UNIT_SKIPPABLE;
      at += unit.unit_bytes) {
    GstTagList *tags = unit.type == NERV_UNIT_TAGS
        && unit.payload_bytes <= MAX_TAG_BYTES ?
        gst_tag_list_from_vorbiscomment (unit.payload, unit.payload_bytes,
        NULL, 0, NULL) : NULL;

    if (tags && !gst_tag_list_is_empty (tags))
      return tags;
    g_clear_pointer (&tags, gst_tag_list_unref);
  }
  return NULL;
}

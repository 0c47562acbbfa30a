/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervebml.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <string.h>

#include "nervebml.h"

#define ID_SEGMENT       0x18538067u
#define ID_TRACKS        0x1654ae6bu
#define ID_CLUSTER       0x1f43b675u
#define ID_TRACK_ENTRY   0xaeu
#define ID_CODEC_ID      0x86u
#define ID_CODEC_PRIVATE 0x63a2u
#define UNKNOWN_SIZE     G_MAXUINT64

typedef struct
{
  guint32 id;
  guint64 size;                 /* of what it holds */
  gsize head;                   /* bytes of id and size */
} Element;

/* 1 to 8 bytes: as many leading zeros as there are more of them. 0 if they are
 * not all there. */
static gsize
read_number (const guint8 * data, gsize size, gsize most, gboolean keep_marker,
    guint64 * value)
{
  gsize n = 1, i;

  if (size == 0 || data[0] == 0)
    return 0;
  while (!(data[0] & (0x80 >> (n - 1))))
    n++;
  if (n > most || n > size)
    return 0;
  *value = keep_marker ? data[0] : data[0] & (0x7f >> (n - 1));
  for (i = 1; i < n; i++)
    *value = *value << 8 | data[i];
  if (!keep_marker && *value == (G_GUINT64_CONSTANT (1) << (7 * n)) - 1)
    *value = UNKNOWN_SIZE;
  return n;
}

static gboolean
read_element (const guint8 * data, gsize size, Element * e)
{
  guint64 id;
  gsize n = read_number (data, size, 4, TRUE, &id), m;

  if (n == 0 || (m = read_number (data + n, size - n, 8, FALSE, &e->size)) == 0)
    return FALSE;
  e->id = id;
  e->head = n + m;
  return TRUE;
}

/* Strings may have zeros behind them. */
static gboolean
is_text (const guint8 * data, const Element * e, const gchar * text)
{
  const gsize n = strlen (text);
  gsize i;

  if (e->size < n || memcmp (data, text, n) != 0)
    return FALSE;
  for (i = n; i < e->size; i++)
    if (data[i] != 0)
      return FALSE;
  return TRUE;
}

static gboolean
change_entry (GstNervEbml * self, guint8 * data, gsize size)
{
  guint8 *codec = NULL;
  gboolean marked = FALSE;
  Element e;
  gsize at;

  for (at = 0; at < size; at += e.head + e.size) {
    guint8 *inside;

    if (!read_element (data + at, size - at, &e) || e.size > size - at - e.head)
      return FALSE;
    inside = data + at + e.head;
    if (e.id == ID_CODEC_ID && is_text (inside, &e, GST_NERV_EBML_TOLD))
      codec = inside;
    else if (e.id == ID_CODEC_PRIVATE)
      marked = is_text (inside, &e, GST_NERV_EBML_PRIVATE);
  }
  if (codec && marked) {
    memcpy (codec, GST_NERV_EBML_CODEC, strlen (GST_NERV_EBML_CODEC));
    self->n_tracks++;
  }
  return TRUE;
}

static gboolean
change_tracks (GstNervEbml * self, guint8 * data, gsize size)
{
  Element e;
  gsize at;

  for (at = 0; at < size; at += e.head + e.size) {
    if (!read_element (data + at, size - at, &e) || e.size > size - at - e.head)
      return FALSE;
    if (e.id == ID_TRACK_ENTRY
        && !change_entry (self, data + at + e.head, e.size))
      return FALSE;
  }
  return TRUE;
}

void
gst_nerv_ebml_init (GstNervEbml * self)
{
  memset (self, 0, sizeof (*self));
}

gboolean
gst_nerv_ebml_walk (GstNervEbml * self, guint8 * data, gsize size)
{
  gsize at = MIN (self->skip, size);
  Element e;

  self->skip -= at;
  while (!self->done && at < size) {
    gsize left;

    if (!read_element (data + at, size - at, &e))
      return FALSE;
    at += e.head;
    left = size - at;
    if (e.id == ID_SEGMENT)
      continue;                 /* what it holds comes now */
    if (e.id == ID_CLUSTER) {
      self->done = TRUE;
      break;
    }
    if (e.size == UNKNOWN_SIZE)
      return FALSE;
    if (e.id == ID_TRACKS) {
      if (e.size > left || !change_tracks (self, data + at, e.size))
        return FALSE;
      self->done = TRUE;
    }
    self->skip = e.size > left ? e.size - left : 0;
    at += MIN (e.size, left);
  }
  return TRUE;
}

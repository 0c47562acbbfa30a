/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervtags.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <gst/tag/tag.h>

#include "nerv.h"
#include "nervtags.h"

#define MAX_TAG_BYTES (1 << 20)

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

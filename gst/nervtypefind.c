/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Typefind: a unit at the start (docs/bitstream.md, section "Units") whose size
 * leads to another unit's sync word is certain, a single one is likely. A stream
 * that was cut begins with a frame unit, which counts as well.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervtypefind.h"
#include "nerv.h"

#define HEADER_BYTES 11         /* the longest: sync word, type, size, checks */
#define SYNC_BYTES 4

/* Bytes of the unit at `offset`, from its header alone; 0 if there is none. */
static guint64
unit_bytes (GstTypeFind * tf, guint64 offset)
{
  guint wanted = HEADER_BYTES;
  const guint8 *data = gst_type_find_peek (tf, offset, wanted);
  NervUnit unit;
  gsize need = 0;

  if (!data) {
    wanted = NERV_UNIT_MIN_BYTES;
    data = gst_type_find_peek (tf, offset, wanted);
  }
  if (!data)
    return 0;
  switch (nerv_unit_scan (data, wanted, &unit, &need)) {
    case NERV_SCAN_OK:
      return unit.unit_bytes;
    case NERV_SCAN_MORE:
      return need;
    default:
      return 0;
  }
}

static void
nerv_type_find (GstTypeFind * tf, gpointer user_data)
{
  guint64 bytes = unit_bytes (tf, 0);
  const guint8 *next;

  if (bytes < NERV_UNIT_MIN_BYTES)
    return;
  next = gst_type_find_peek (tf, bytes, SYNC_BYTES);
  if (next && nerv_unit_find_sync (next, SYNC_BYTES, 0) == 0)
    gst_type_find_suggest_simple (tf, GST_TYPE_FIND_MAXIMUM, "video/x-nerv",
        NULL, NULL);
  else
    gst_type_find_suggest_simple (tf, GST_TYPE_FIND_LIKELY, "video/x-nerv",
        NULL, NULL);
}

/* GST_TYPE_FIND_REGISTER_DEFINE() would leave the caps behind. */
static gboolean
register_nerv (GstPlugin * plugin)
{
  GstCaps *caps = gst_caps_new_empty_simple ("video/x-nerv");
  gboolean ok = gst_type_find_register (plugin, "video/x-nerv",
      GST_RANK_PRIMARY, nerv_type_find, "nerv", caps, NULL, NULL);

  gst_caps_unref (caps);
  return ok;
}

GST_TYPE_FIND_REGISTER_DEFINE_CUSTOM (nerv, register_nerv);

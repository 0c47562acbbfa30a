/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervseek.h. Positions counted from the end, and those that stay as they are, are
 * looked up with queries, which come back to the element.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervseek.h"

/* Where a seek for key units should start: at none behind its stop (-1: none). */
static gint64
snap (GstBaseParse * parse, const NervIndex * index, gint64 time,
    gint64 stop, GstSeekFlags flags)
{
  const GstSeekFlags nearest = flags & GST_SEEK_FLAG_SNAP_NEAREST;
  GstClockTime before, after;

  GST_OBJECT_LOCK (parse);
  nerv_index_around (index, time, &before, &after);
  GST_OBJECT_UNLOCK (parse);

  if (!GST_CLOCK_TIME_IS_VALID (after) || (stop >= 0 && (gint64) after > stop))
    return GST_CLOCK_TIME_IS_VALID (before) ? (gint64) before : time;
  if (!GST_CLOCK_TIME_IS_VALID (before))
    return flags & GST_SEEK_FLAG_SNAP_AFTER ? (gint64) after : time;
  if (nearest == GST_SEEK_FLAG_SNAP_AFTER
      || (nearest == GST_SEEK_FLAG_SNAP_NEAREST
          && after - time < time - before))
    return after;
  return before;
}

/* The base class takes absolute positions only: one counted from the end becomes
 * that, and "as it is" becomes the present one. FALSE if that is not known. */
static gboolean
make_absolute (GstBaseParse * parse, gboolean is_stop, gdouble rate,
    GstSeekType * type, gint64 * position)
{
  const GstSegment *segment = &parse->segment;
  GstPad *pad = GST_BASE_PARSE_SRC_PAD (parse);
  gint64 duration;

  if (*type == GST_SEEK_TYPE_END) {
    if (!gst_pad_query_duration (pad, GST_FORMAT_TIME, &duration))
      return FALSE;
    *position = MAX (0, duration + CLAMP (*position, -duration, G_MAXINT64
            - duration));
  } else if (*type == GST_SEEK_TYPE_SET) {
    /* backwards from the end, which the base class does not know */
    if (is_stop && rate < 0 && *position < 0
        && gst_pad_query_duration (pad, GST_FORMAT_TIME, &duration))
      *position = duration;
  } else if (is_stop == (rate < 0)) {
    /* where playing goes on */
    if (!gst_pad_query_position (pad, GST_FORMAT_TIME, position))
      return FALSE;
  } else {
    *position = is_stop ? segment->stop : segment->start;
  }
  *type = GST_SEEK_TYPE_SET;
  return TRUE;
}

/* The base class's quick seek takes bytes and time as proportional, which they
 * are not at all here. Its accurate one goes by the index. */
GstEvent *
gst_nerv_seek_exact (GstBaseParse * parse, const NervIndex * index,
    GstEvent * event)
{
  gdouble rate;
  GstFormat format;
  GstSeekFlags flags;
  GstSeekType start_type, stop_type;
  gint64 start, stop;
  GstEvent *exact = NULL;

  gst_event_parse_seek (event, &rate, &format, &flags, &start_type, &start,
      &stop_type, &stop);
  if (format != GST_FORMAT_TIME
      || !make_absolute (parse, FALSE, rate, &start_type, &start)
      || !make_absolute (parse, TRUE, rate, &stop_type, &stop))
    return event;

  if ((flags & GST_SEEK_FLAG_KEY_UNIT) && !(flags & GST_SEEK_FLAG_ACCURATE)
      && rate > 0)
    start = snap (parse, index, start, stop, flags);
  if (stop < 0 || start <= stop) {
    exact = gst_event_new_seek (rate, format, flags | GST_SEEK_FLAG_ACCURATE,
        start_type, start, stop_type, stop);
    gst_event_set_seqnum (exact, gst_event_get_seqnum (event));
  }
  gst_event_unref (event);
  return exact;
}

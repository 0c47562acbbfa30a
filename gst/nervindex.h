/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where the segments of a byte stream begin, in bytes and in time. Units are of
 * very different size (a network, then frames of a few bytes), so that bytes and
 * time are not proportional and a seek that assumes it lands on a frame whose
 * network is elsewhere. Knows nothing of pads: bytes come through a callback.
 */
#pragma once

#include <gst/gst.h>

typedef struct
{
  guint64 offset;               /* of the sync point's access unit */
  GstClockTime time;            /* presentation time of its first frame */
} GstNervIndexEntry;

typedef struct
{
  GArray *entries;              /* GstNervIndexEntry, both fields ascending */
  gboolean complete;            /* the whole stream was walked */
  guint64 bytes;                /* of the stream, if complete */
  GstClockTime end;             /* of the last frame; NONE if unknown */
} GstNervIndex;

/* Reads `size` bytes at `offset`; a shorter buffer means the end. */
typedef GstFlowReturn (*GstNervReadFunc) (gpointer user, guint64 offset,
    guint size, GstBuffer ** buffer);

void gst_nerv_index_init (GstNervIndex * index);
void gst_nerv_index_clear (GstNervIndex * index);

/* Forgets everything. */
void gst_nerv_index_reset (GstNervIndex * index);

/* Notes a sync point. Ignored unless it lies behind all others in both offset
 * and time: what goes backwards cannot be searched. Returns whether it was new. */
gboolean gst_nerv_index_add (GstNervIndex * index, guint64 offset,
    GstClockTime time);

/* Walks unit headers through a stream of `bytes`, jumping over networks. Stops
 * without `complete` if that would take too much reading. Any other return than
 * OK is the callback's. */
GstFlowReturn gst_nerv_index_walk (GstNervIndex * index, guint64 bytes,
    GstNervReadFunc read, gpointer user);

/* The sync point at or before a time; the first if there is none. */
gboolean gst_nerv_index_offset (const GstNervIndex * index, GstClockTime time,
    guint64 * offset);

/* The time of the sync point at or before an offset (the first's if there is
 * none), the end's for the whole stream. FALSE behind the last sync point if
 * the index is not complete. */
gboolean gst_nerv_index_time (const GstNervIndex * index, guint64 offset,
    GstClockTime * time);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where the segments of a byte stream begin, in bytes and in time. Units are of
 * very different size (a network, then frames of a few bytes), so that bytes and
 * time are not proportional and a seek that assumes it lands on a frame whose
 * network is elsewhere. Knows nothing of pads: bytes come through a callback.
 *
 * Streams that were put behind each other (cat a.nerv b.nerv) are parts here: each
 * is shifted in time to where the one before it ends. What was noted once stays, so
 * that a place in the stream has one time however it is reached.
 */
#pragma once

#include <gst/gst.h>

#include "nerv.h"

typedef struct
{
  guint64 offset;               /* of the sync point's access unit */
  GstClockTime time;            /* presentation time of its first frame */
} GstNervIndexEntry;

typedef struct
{
  guint64 offset;               /* of its first sync point's access unit */
  gint64 shift;                 /* added to its own times */
} GstNervIndexPart;

/* An access unit where it lies in the stream. */
typedef struct
{
  guint64 offset, end;          /* its first byte, and the first behind it */
  gboolean is_sync;
  guint64 network_bytes;        /* where a segment begins, else 0 */
  const NervSequence *sequence; /* of the segment */
  const NervFrameHeader *frame;
} GstNervIndexUnit;

typedef struct
{
  GArray *entries;              /* GstNervIndexEntry, both fields ascending */
  GArray *parts;                /* GstNervIndexPart, offsets ascending */
  gboolean complete;            /* the whole stream was walked */
  guint64 bytes;                /* of the stream, if complete */
  GstClockTime end;             /* of the last frame; NONE if unknown */

  /* The last unit noted, what a part's beginning is told by */
  guint64 noted;                /* its end */
  NervSequence sequence;        /* n_frames is 0 before the first */
  guint64 network_bytes;
  guint last_index;
  GstClockTime last_pts, last_step;
} GstNervIndex;

/* Reads `size` bytes at `offset`; a shorter buffer means the end. */
typedef GstFlowReturn (*GstNervReadFunc) (gpointer user, guint64 offset,
    guint size, GstBuffer ** buffer);

void gst_nerv_index_init (GstNervIndex * index);
void gst_nerv_index_clear (GstNervIndex * index);

/* Forgets everything. */
void gst_nerv_index_reset (GstNervIndex * index);

/* Times of an access unit's frame on the whole stream's time line. A unit behind
 * all others so far is noted: it may begin a new part, and a sync point becomes an
 * entry, of which `added` tells (may be NULL). */
void gst_nerv_index_unit (GstNervIndex * index, const GstNervIndexUnit * unit,
    GstClockTime * pts, GstClockTime * duration, gboolean * added);

/* Adds an entry. Ignored unless it lies behind all others in both offset
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

/* The times of the sync points around `time`, NONE where there is none. */
void gst_nerv_index_around (const GstNervIndex * index, GstClockTime time,
    GstClockTime * before, GstClockTime * after);

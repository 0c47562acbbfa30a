/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a .nerv file has beside its access units (docs/bitstream.md, section "Files"):
 * an index unit at its end, which says what a walk through the whole file would
 * find, and tags in its first access unit.
 */
#pragma once

#include "nervindex.h"

/* The index unit of a walked or noted stream, whose bytes are all before it. NULL
 * if it has more entries than a unit may. */
GBytes *gst_nerv_trailer_write (const GstNervIndex * index);

/* Fills an empty index from the index units at the end of a file of `bytes`. What
 * they say is compared with the sync points that are there, some of them in large
 * files. FALSE: there is none, it is not to be trusted, or there are bytes before
 * it that no index is of; the index is empty then and the file has to be walked. */
gboolean gst_nerv_trailer_read (GstNervIndex * index, guint64 bytes,
    GstNervReadFunc read, gpointer user, GstFlowReturn * ret);

/* Bytes of the whole index units that `data` begins with. */
gsize gst_nerv_trailer_bytes (const guint8 * data, gsize size);

/* The unit of tags, NULL if the list has none that can be written. */
GBytes *gst_nerv_tags_write (const GstTagList * tags);

/* Those that an access unit begins with, NULL if there are none; what else is in
 * there, damage too, is left to others. */
GstTagList *gst_nerv_tags_read (const guint8 * data, gsize size);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gives tracks in a Matroska file's head another codec. matroskamux writes only
 * codecs that it knows; a track that is marked is written as one of these, and
 * here it becomes what it is. EBML is walked as RFC 8794 has it, so that nothing
 * but the marked track's CodecID is touched.
 */
#pragma once

#include <gst/gst.h>

/* The codec that the muxer is told, what it becomes, and the CodecPrivate by which
 * a track is found, which stays. Both names have the same length. */
#define GST_NERV_EBML_TOLD    "V_FFV1"
#define GST_NERV_EBML_CODEC   "V_NERV"
#define GST_NERV_EBML_PRIVATE "NERV"

typedef struct
{
  guint64 skip;                 /* bytes of the element that goes on in the next buffer */
  guint n_tracks;               /* that were given their codec */
  gboolean done;                /* what comes now is no head */
} GstNervEbml;

/* Before a file's first byte. */
void gst_nerv_ebml_init (GstNervEbml * self);

/* The next `size` bytes of a file, changed in place. FALSE if they are not what a
 * head's next bytes can be, or the tracks end in another buffer. */
gboolean gst_nerv_ebml_walk (GstNervEbml * self, guint8 * data, gsize size);

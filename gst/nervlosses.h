/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a stream's segment is short of when keyframes are lost or damaged, told in
 * one warning for each segment. Streaming thread.
 */
#pragma once

#include <gst/gst.h>

#include "nerv.h"

G_BEGIN_DECLS typedef struct
{
  guint64 networks;             /* number of the network in use */
  guint segment_id;
  guint64 concealed, lost;      /* clips made from one keyframe; frames without any */
  guint64 reported;             /* of such clips, already */
} GstNervLosses;

/* Once for a segment, when nothing more comes of it. */
void gst_nerv_losses_report (GstNervLosses * losses, GstElement * element);

/* After each access unit, which may have brought another network, and after each
 * picture. */
void gst_nerv_losses_note (GstNervLosses * losses, GstElement * element,
    NervDecoder * dec, gboolean rendered);

G_END_DECLS

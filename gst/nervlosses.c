/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Lost keyframes, see nervlosses.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervlosses.h"

void
gst_nerv_losses_report (GstNervLosses * losses, GstElement * element)
{
  if (losses->concealed > 0 || losses->lost > 0)
    GST_ELEMENT_WARNING_WITH_DETAILS (element, STREAM, DECODE,
        ("Keyframes are lost or damaged; some of the pictures are worse, or are "
            "missing."), ("segment %u: %" G_GUINT64_FORMAT " clips were made "
            "from one keyframe instead of two, %" G_GUINT64_FORMAT " frames "
            "had none", losses->segment_id, losses->concealed, losses->lost),
        ("segment", G_TYPE_UINT, losses->segment_id,
            "concealed", G_TYPE_UINT64, losses->concealed,
            "lost-frames", G_TYPE_UINT64, losses->lost, NULL));
  losses->reported += losses->concealed;
  losses->concealed = losses->lost = 0;
}

void
gst_nerv_losses_note (GstNervLosses * losses, GstElement * element,
    NervDecoder * dec, gboolean rendered)
{
  NervDecoderStats stats;

  nerv_decoder_get_stats (dec, &stats);
  if (stats.networks != losses->networks) {
    gst_nerv_losses_report (losses, element);
    losses->networks = stats.networks;
    losses->segment_id = stats.segment_id;
    losses->reported = 0;
  } else if (rendered) {
    losses->concealed = stats.network_concealed - losses->reported;
  }
}

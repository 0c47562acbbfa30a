/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A transform inside nervmux's bins that hands video/x-nerv on under a name that
 * a stock muxer takes. Buffers pass as they are. Not registered.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS
#define GST_TYPE_NERV_LABEL (gst_nerv_label_get_type ())
G_DECLARE_FINAL_TYPE (GstNervLabel, gst_nerv_label, GST, NERV_LABEL,
    GstBaseTransform);

/* `label`: caps of one structure without size and rates, which come from the
 * stream's own; copied. */
GstElement *gst_nerv_label_new (const GstCaps * label);

G_END_DECLS

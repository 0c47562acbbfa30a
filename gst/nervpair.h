/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What elements that fit and evaluate at once have in common: a bin of nervenc and
 * nervdec, raw video in, raw video out. A subclass adds its pad templates (sink and src) and says in its
 * init what it wants of the two.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS
#define GST_TYPE_NERV_PAIR (gst_nerv_pair_get_type ())
G_DECLARE_DERIVABLE_TYPE (GstNervPair, gst_nerv_pair, GST, NERV_PAIR, GstBin)
     struct _GstNervPairClass
     {
       GstBinClass parent_class;
     };

/* The element that fits and the one that evaluates, children `encoder` and `decoder` of the bin and its own; both NULL where
 * the plugin has not got them. */
     GstElement *gst_nerv_pair_encoder (GstNervPair * pair);
     GstElement *gst_nerv_pair_decoder (GstNervPair * pair);

G_END_DECLS

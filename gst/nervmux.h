/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervmp4mux and nervmkvmux: GStreamer's own muxers in a bin that lets them take
 * video/x-nerv.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS
#define GST_TYPE_NERV_MUX (gst_nerv_mux_get_type ())
G_DECLARE_DERIVABLE_TYPE (GstNervMux, gst_nerv_mux, GST, NERV_MUX, GstBin);

struct _GstNervMuxClass
{
  GstBinClass parent;
  const gchar *muxer;           /* the stock element's name */
  const gchar *label;           /* caps under which it takes the video */
};

G_DECLARE_FINAL_TYPE (GstNervMp4Mux, gst_nerv_mp4_mux, GST, NERV_MP4_MUX,
    GstNervMux);
G_DECLARE_FINAL_TYPE (GstNervMkvMux, gst_nerv_mkv_mux, GST, NERV_MKV_MUX,
    GstNervMux);
GST_ELEMENT_REGISTER_DECLARE (nervmp4mux);
GST_ELEMENT_REGISTER_DECLARE (nervmkvmux);

G_END_DECLS

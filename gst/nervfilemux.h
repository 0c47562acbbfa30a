/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervfilemux: a file of neural video, with an index at its end and tags.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS
#define GST_TYPE_NERV_FILE_MUX (gst_nerv_file_mux_get_type ())
G_DECLARE_FINAL_TYPE (GstNervFileMux, gst_nerv_file_mux, GST, NERV_FILE_MUX,
    GstElement)
GST_ELEMENT_REGISTER_DECLARE (nervfilemux);
G_END_DECLS

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervparse: cuts a video/x-nerv byte stream into access units and gives each its
 * time; takes units out of containers that know the codec only by a tag.
 */
#pragma once

#include <gst/base/gstbaseparse.h>
#include <gst/gst.h>

GST_ELEMENT_REGISTER_DECLARE (nervparse);

#define GST_TYPE_NERV_PARSE (gst_nerv_parse_get_type ())
G_DECLARE_FINAL_TYPE (GstNervParse, gst_nerv_parse, GST, NERV_PARSE,
    GstBaseParse)

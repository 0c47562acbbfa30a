/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervdec: video/x-nerv in, raw video out. A thin GstVideoDecoder over libnerv's
 * NervDecoder.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "nerv.h"

GST_ELEMENT_REGISTER_DECLARE (nervdec);

#define GST_TYPE_NERV_DEC (gst_nerv_dec_get_type ())
G_DECLARE_FINAL_TYPE (GstNervDec, gst_nerv_dec, GST, NERV_DEC, GstVideoDecoder)

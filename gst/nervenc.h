/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervenc: raw video in, video/x-nerv out. A thin GstVideoEncoder over libnerv's
 * NervEncoder; all that it knows of networks is the name of its properties.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "nerv.h"

GST_ELEMENT_REGISTER_DECLARE (nervenc);

#define GST_TYPE_NERV_ENC (gst_nerv_enc_get_type ())
G_DECLARE_FINAL_TYPE (GstNervEnc, gst_nerv_enc, GST, NERV_ENC, GstVideoEncoder)

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervdenoise: raw video in, raw video out. A bin of nervenc and nervdec.
 */
#pragma once

#include "nervpair.h"

G_BEGIN_DECLS
#define GST_TYPE_NERV_DENOISE (gst_nerv_denoise_get_type ())
G_DECLARE_FINAL_TYPE (GstNervDenoise, gst_nerv_denoise, GST, NERV_DENOISE,
    GstNervPair)
GST_ELEMENT_REGISTER_DECLARE (nervdenoise);

G_END_DECLS

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervinpaint: raw video to raw video, what a mask hides filled in. A bin of nervenc
 * and nervdec.
 */
#pragma once

#include "nervpair.h"

G_BEGIN_DECLS
#define GST_TYPE_NERV_INPAINT (gst_nerv_inpaint_get_type ())
G_DECLARE_FINAL_TYPE (GstNervInpaint, gst_nerv_inpaint, GST, NERV_INPAINT,
    GstNervPair)
GST_ELEMENT_REGISTER_DECLARE (nervinpaint);

G_END_DECLS

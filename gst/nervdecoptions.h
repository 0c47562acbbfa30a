/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervdec's properties as libnerv's settings. Nothing here locks.
 */
#pragma once

#include <gst/gst.h>

#include "nerv.h"

/* The id of the one property that is no setting. */
#define GST_NERV_DEC_PROP_STATS 1

void gst_nerv_decoder_install_properties (GObjectClass * klass);

/* One property into the settings and out of them. FALSE if the id is no setting's. */
gboolean gst_nerv_decoder_settings_set (NervDecoderSettings * settings,
    guint id, const GValue * value);
gboolean gst_nerv_decoder_settings_get (const NervDecoderSettings * settings,
    guint id, GValue * value);

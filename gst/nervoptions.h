/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervenc's properties as libnerv's settings. A GstStructure, as written in
 * gst-launch, becomes the a{sv} dictionary that a model reads; which names a model
 * knows is the model's business. Nothing here locks.
 */
#pragma once

#include <gst/gst.h>

#include "nerv.h"

/* The ids of the properties that are no settings. */
#define GST_NERV_PROP_STATS 1
#define GST_NERV_PROP_MASK_LOCATION 2

#define GST_TYPE_NERV_TUNE (gst_nerv_tune_get_type ())
GType gst_nerv_tune_get_type (void);
#define GST_TYPE_NERV_PRESET (gst_nerv_preset_get_type ())
GType gst_nerv_preset_get_type (void);
#define GST_TYPE_NERV_CODING (gst_nerv_coding_get_type ())
GType gst_nerv_coding_get_type (void);
#define GST_TYPE_NERV_INIT (gst_nerv_init_get_type ())
#define GST_TYPE_NERV_WARM_START (gst_nerv_warm_start_get_type ())
GType gst_nerv_init_get_type (void);
GType gst_nerv_warm_start_get_type (void);

void gst_nerv_settings_install_properties (GObjectClass * klass);

/* A string property: its value, or where that is NULL or empty a copy of `fallback`, in place of *dst. */
void gst_nerv_set_string (gchar ** dst, const GValue * value,
    const gchar * fallback);

/* One property into the settings and out of them. model-options lives beside them
 * as `options`, owned by the caller. FALSE if the id is no setting's. */
gboolean gst_nerv_settings_set (NervEncoderSettings * settings,
    GstStructure ** options, guint id, const GValue * value);
gboolean gst_nerv_settings_get (const NervEncoderSettings * settings,
    const GstStructure * options, guint id, GValue * value);

/* A deep copy without model_options; clear it with
 * nerv_encoder_settings_clear(). */
void gst_nerv_settings_copy (const NervEncoderSettings * src,
    NervEncoderSettings * dst);

/* int -> i, int64 -> x, double -> d, string -> s, boolean -> b, array or list of
 * these -> ai, ad... NULL gives a NULL variant. FALSE with NERV_ERROR_INVALID that
 * names the field for any other type. The variant is not floating. */
gboolean gst_nerv_options_to_variant (const GstStructure * options,
    GVariant ** variant, GError ** error);

/* What a "nerv-progress" message says of `segment`; the stats property's value, which says the same and more. */
GstStructure *gst_nerv_progress_to_structure (const NervEncoderStats * stats,
    guint segment);
GstStructure *gst_nerv_stats_to_structure (const NervEncoderStats * stats);

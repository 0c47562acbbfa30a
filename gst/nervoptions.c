/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of nervenc's properties, and GstStructure to GVariant. Values keep the
 * type that gst-launch's parser gave them, except that integers of any width
 * become int32 where they fit: whoever sets the property in C may use guint or
 * gint64 for a number of channels.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervoptions.h"

enum
{
  PROP_MODEL = GST_NERV_PROP_MASK_LOCATION + 1,
  PROP_MODEL_OPTIONS,
  PROP_SEGMENT_FRAMES,
  PROP_MAX_MEMORY,
  PROP_PRESET,
  PROP_EPOCHS,
  PROP_MAX_SECONDS,
  PROP_BATCH_SIZE,
  PROP_LEARNING_RATE,
  PROP_SEED,
  PROP_BITS,
  PROP_PRUNING,
  PROP_CODING,
  PROP_QUALITY,
  PROP_RATE_WEIGHT,
  PROP_BITRATE,
  PROP_TARGET_SIZE,
  PROP_TARGET_PSNR,
  PROP_TUNE,
  PROP_HELD_OUT,
  PROP_INIT,
  PROP_WARM_START,
  PROP_SYNC_INTERVAL,
  PROP_INIT_LOCATION,
  PROP_WEIGHT_DELTAS,
  PROP_DEVICE,
  PROP_THREADS,
  PROP_FIRST_SEGMENT,
  PROP_FIRST_FRAME,
};

/* --- properties ----------------------------------------------------------- */

/* How long and from where a network is fitted, and the paper's pipeline. */
static void
install_fit_properties (GObjectClass * klass, const NervEncoderSettings * d,
    GParamFlags flags)
{
  g_object_class_install_property (klass, PROP_PRESET,
      g_param_spec_enum ("preset", "Preset",
          "Time for quality: passes over the frames, and multiplications of the "
          "network per pixel", GST_TYPE_NERV_PRESET, d->preset, flags));
  g_object_class_install_property (klass, PROP_EPOCHS,
      g_param_spec_uint ("epochs", "Epochs",
          "Passes over a segment's frames while fitting (0 = the preset's)", 0,
          1000000, d->epochs, flags));
  g_object_class_install_property (klass, PROP_MAX_SECONDS,
      g_param_spec_double ("max-encode-seconds", "Maximum encode seconds",
          "Seconds from the first frame to the end of the stream; the fits take "
          "them all, epochs is not used, and networks are small enough for it "
          "(0 = no limit)", 0.0, 1e9, d->max_seconds, flags));
  g_object_class_install_property (klass, PROP_BATCH_SIZE,
      g_param_spec_uint ("batch-size", "Batch size",
          "Frames per training step; of dnerv it is always one run",
          1, 65536, d->batch_size, flags));
  g_object_class_install_property (klass, PROP_LEARNING_RATE,
      g_param_spec_double ("learning-rate", "Learning rate",
          "Peak learning rate of Adam (0 = what suits the model)", 0.0, 10.0,
          d->learning_rate, flags));
  g_object_class_install_property (klass, PROP_SEED,
      g_param_spec_uint64 ("seed", "Seed",
          "Seed of initial weights and shuffling; the same seed gives the same "
          "bytes", 0, G_MAXUINT64, d->seed, flags));
  g_object_class_install_property (klass, PROP_BITS, g_param_spec_uint ("bits",
          "Bits", "Bits per quantised weight, at most", 2, 8, d->bits, flags));
  g_object_class_install_property (klass, PROP_PRUNING,
      g_param_spec_double ("pruning", "Pruning",
          "Share of the weights that become zero for the last quarter of the "
          "fit, NeRV's way; weights are then quantised after it", 0.0, 0.99,
          d->pruning, flags));
  g_object_class_install_property (klass, PROP_CODING,
      g_param_spec_enum ("coding", "Coding",
          "How weights that are quantised after the fit are written",
          GST_TYPE_NERV_CODING, d->coding, flags));
}

/* What decides how many bytes there are. */
static void
install_rate_properties (GObjectClass * klass, const NervEncoderSettings * d,
    GParamFlags flags)
{
  g_object_class_install_property (klass, PROP_QUALITY,
      g_param_spec_double ("quality", "Quality",
          "Constant quality where no size, bitrate, PSNR or rate-weight is asked "
          "for: 10 more halve what a bit counts beside an error", 0.0, 100.0,
          d->quality, flags));
  g_object_class_install_property (klass, PROP_RATE_WEIGHT,
      g_param_spec_double ("rate-weight", "Rate weight",
          "What a bit per pixel of weights counts in the fit beside the error "
          "that tune chooses; more makes smaller files of lower quality "
          "(0 = quantise after the fit, -1 = from quality, or 0 with pruning or "
          "coding=huffman)", -1.0, 1e6, d->rate_weight, flags));
  g_object_class_install_property (klass, PROP_BITRATE,
      g_param_spec_uint ("bitrate", "Bitrate",
          "Bitrate of the stream in kbit/s, met by every segment; chooses the "
          "network's size and moves rate-weight (0 = none asked for)",
          0, G_MAXINT32 / 1000, d->bitrate, flags));
  g_object_class_install_property (klass, PROP_TARGET_SIZE,
      g_param_spec_uint64 ("target-size-bytes", "Target size",
          "Bytes of each segment, whatever its duration; goes before bitrate "
          "(0 = none asked for)", 0, G_MAXINT32, d->target_size_bytes, flags));
  g_object_class_install_property (klass, PROP_TARGET_PSNR,
      g_param_spec_double ("target-psnr", "Target PSNR",
          "dB in R'G'B', mean of a segment's frames, with as few bytes as they "
          "take; chooses the network's size and moves rate-weight (0 = none "
          "asked for)", 0.0, 100.0, d->target_psnr, flags));
}

void
gst_nerv_settings_install_properties (GObjectClass * klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
      | GST_PARAM_MUTABLE_READY;
  NervEncoderSettings d;

  nerv_encoder_settings_init (&d);
  g_object_class_install_property (klass, PROP_MODEL,
      g_param_spec_string ("model", "Model",
          "Network: nerv (temporal grids, sized to what is asked for), nerv-mlp "
          "(positional encoding and MLP, as the paper has it), nerv-s, nerv-m, "
          "nerv-l (the paper's sizes); dnerv (coded keyframes and what moves "
          "between them), dnerv-net (with all that D-NeRV has), dnerv-xs, dnerv-s, dnerv-m, dnerv-l, dnerv-xl, "
          "dnerv-ucf-s, dnerv-ucf-m, dnerv-ucf-l (that paper's sizes); siren, nerf "
          "(one pixel at a time, for comparison)", d.model, flags));
  g_object_class_install_property (klass, PROP_MODEL_OPTIONS,
      g_param_spec_boxed ("model-options", "Model options",
          "The model's own settings, by name; for nerv: weights (about how "
          "many), grids (rows x channels by level), flow-rows, widths (channels by "
          "block), strides, kernels (samples by block), head-kernel, "
          "activation, out-activation; for nerv-mlp: stem (units), "
          "base-channels, widths, strides, kernels, activation, "
          "out-activation, pe-base, pe-levels; for siren: width, layers, omega, "
          "weights; for nerf: width, layers, levels, weights; for dnerv: weights, clip-frames, "
          "keyframe-interval, row-frames, base-channels, flow-frames, "
          "middle-frames, middle-channels, widths, strides, without; for "
          "dnerv-net the same but flow-frames, middle-frames and "
          "middle-channels, and stem, pe-levels, pe-base, content",
          GST_TYPE_STRUCTURE, flags));
  g_object_class_install_property (klass, PROP_SEGMENT_FRAMES,
      g_param_spec_uint ("segment-frames", "Segment frames",
          "Frames per segment, each with a network of its own; fewer where "
          "max-memory holds no more "
          "(0 = one segment up to the end, as far as max-memory allows)", 0,
          65536, d.segment_frames, flags));
  g_object_class_install_property (klass, PROP_MAX_MEMORY,
      g_param_spec_uint64 ("max-memory", "Maximum memory",
          "Bound on stored frames and training state, in bytes (0 = 2 GiB)", 0,
          G_MAXUINT64, d.max_memory_bytes, flags));
  install_fit_properties (klass, &d, flags);
  install_rate_properties (klass, &d, flags);
  g_object_class_install_property (klass, PROP_TUNE,
      g_param_spec_enum ("tune", "Tune",
          "What the fit minimises", GST_TYPE_NERV_TUNE, d.tune, flags));
  g_object_class_install_property (klass, PROP_HELD_OUT,
      g_param_spec_double ("held-out", "Held out",
          "Share of the samples that the fit does not look at; it ends where what "
          "the network makes of them becomes no better, so that noise is not "
          "learned (0 = none)", 0.0, 0.5, d.held_out, flags));
  g_object_class_install_property (klass, GST_NERV_PROP_MASK_LOCATION,
      g_param_spec_string ("mask-location", "Mask location",
          "Picture or video of the frames' size whose light parts are not known "
          "of the input: they count for nothing, and the network shows what "
          "follows from the rest; a video's n-th frame is the n-th frame's, its last one "
          "all that follow. Alpha of the input is the same the other way round",
          NULL, flags));
  g_object_class_install_property (klass, PROP_INIT,
      g_param_spec_enum ("init", "Init",
          "What a segment's fit begins with", GST_TYPE_NERV_INIT, d.init,
          flags));
  g_object_class_install_property (klass, PROP_WARM_START,
      g_param_spec_enum ("warm-start", "Warm start",
          "What the segment before leaves to a fit that is not the first",
          GST_TYPE_NERV_WARM_START, d.warm_start, flags));
  g_object_class_install_property (klass, PROP_SYNC_INTERVAL,
      g_param_spec_uint ("sync-interval", "Sync interval",
          "With warm-start=residual, at least one of so many segments in a row "
          "is a sync point, where decoding can start", 1, G_MAXUINT,
          d.sync_interval, flags));
  g_object_class_install_property (klass, PROP_INIT_LOCATION,
      g_param_spec_string ("init-location", "Init location",
          "Init file (nerv-meta) whose network is fitted from its weights on",
          d.init_location, flags));
  g_object_class_install_property (klass, PROP_WEIGHT_DELTAS,
      g_param_spec_boolean ("weight-deltas", "Weight deltas",
          "Fit a network that begins with an init once more as differences from "
          "it, and keep the better one; decoders need the init then",
          d.weight_deltas, flags));
  g_object_class_install_property (klass, PROP_DEVICE,
      g_param_spec_string ("device", "Device",
          "Where to compute: auto, cpu, vulkan or vulkan:N (N-th device)",
          d.device, flags));
  g_object_class_install_property (klass, PROP_FIRST_SEGMENT,
      g_param_spec_uint ("first-segment", "First segment",
          "Number of the first segment, where others encode what is before it",
          0, G_MAXUINT, d.first_segment, flags));
  g_object_class_install_property (klass, PROP_FIRST_FRAME,
      g_param_spec_uint64 ("first-frame", "First frame",
          "Number of the first frame, where others encode what is before it", 0,
          G_MAXUINT64 >> 2, d.first_frame, flags));
  g_object_class_install_property (klass, PROP_THREADS,
      g_param_spec_uint ("threads", "Threads",
          "Threads of the CPU device (0 = one per core)", 0, 256, d.threads,
          flags));
  g_object_class_install_property (klass, GST_NERV_PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Progress of the fit and facts about the network: segment, frames, "
          "step, steps, loss, psnr and psnr-frames (dB), held-l1, steps-per-second, "
          "eta-seconds, "
          "fit-seconds, device, model, parameters, network-bytes, keyframe-bytes, residual, "
          "delta, whole-bytes, whole-psnr, residual-bytes, residual-psnr, "
          "delta-bytes, delta-psnr, init, peak-bytes",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
  nerv_encoder_settings_clear (&d);
}

void
gst_nerv_set_string (char **dst, const GValue * value, const gchar * fallback)
{
  const gchar *s = g_value_get_string (value);

  g_free (*dst);
  *dst = g_strdup (s && *s ? s : fallback);
}

gboolean
gst_nerv_settings_set (NervEncoderSettings * s, GstStructure ** options,
    guint id, const GValue * value)
{
  switch (id) {
    case PROP_MODEL:
      gst_nerv_set_string (&s->model, value, "nerv");
      break;
    case PROP_MODEL_OPTIONS:
      g_clear_pointer (options, gst_structure_free);
      *options = g_value_dup_boxed (value);
      break;
    case PROP_SEGMENT_FRAMES:
      s->segment_frames = g_value_get_uint (value);
      break;
    case PROP_MAX_MEMORY:
      s->max_memory_bytes = g_value_get_uint64 (value);
      break;
    case PROP_PRESET:
      s->preset = g_value_get_enum (value);
      break;
    case PROP_MAX_SECONDS:
      s->max_seconds = g_value_get_double (value);
      break;
    case PROP_QUALITY:
      s->quality = g_value_get_double (value);
      break;
    case PROP_TARGET_PSNR:
      s->target_psnr = g_value_get_double (value);
      break;
    case PROP_EPOCHS:
      s->epochs = g_value_get_uint (value);
      break;
    case PROP_BATCH_SIZE:
      s->batch_size = g_value_get_uint (value);
      break;
    case PROP_LEARNING_RATE:
      s->learning_rate = g_value_get_double (value);
      break;
    case PROP_SEED:
      s->seed = g_value_get_uint64 (value);
      break;
    case PROP_BITS:
      s->bits = g_value_get_uint (value);
      break;
    case PROP_PRUNING:
      s->pruning = g_value_get_double (value);
      break;
    case PROP_CODING:
      s->coding = g_value_get_enum (value);
      break;
    case PROP_RATE_WEIGHT:
      s->rate_weight = g_value_get_double (value);
      break;
    case PROP_BITRATE:
      s->bitrate = g_value_get_uint (value);
      break;
    case PROP_TARGET_SIZE:
      s->target_size_bytes = g_value_get_uint64 (value);
      break;
    case PROP_TUNE:
      s->tune = g_value_get_enum (value);
      break;
    case PROP_HELD_OUT:
      s->held_out = g_value_get_double (value);
      break;
    case PROP_INIT:
      s->init = g_value_get_enum (value);
      break;
    case PROP_WARM_START:
      s->warm_start = g_value_get_enum (value);
      break;
    case PROP_SYNC_INTERVAL:
      s->sync_interval = g_value_get_uint (value);
      break;
    case PROP_INIT_LOCATION:
      gst_nerv_set_string (&s->init_location, value, NULL);
      break;
    case PROP_WEIGHT_DELTAS:
      s->weight_deltas = g_value_get_boolean (value);
      break;
    case PROP_DEVICE:
      gst_nerv_set_string (&s->device, value, "auto");
      break;
    case PROP_FIRST_SEGMENT:
      s->first_segment = g_value_get_uint (value);
      break;
    case PROP_FIRST_FRAME:
      s->first_frame = g_value_get_uint64 (value);
      break;
    case PROP_THREADS:
      s->threads = g_value_get_uint (value);
      break;
    default:
      return FALSE;
  }
  return TRUE;
}

gboolean
gst_nerv_settings_get (const NervEncoderSettings * s,
    const GstStructure * options, guint id, GValue * value)
{
  switch (id) {
    case PROP_MODEL:
      g_value_set_string (value, s->model);
      break;
    case PROP_MODEL_OPTIONS:
      g_value_set_boxed (value, options);
      break;
    case PROP_SEGMENT_FRAMES:
      g_value_set_uint (value, s->segment_frames);
      break;
    case PROP_MAX_MEMORY:
      g_value_set_uint64 (value, s->max_memory_bytes);
      break;
    case PROP_PRESET:
      g_value_set_enum (value, s->preset);
      break;
    case PROP_MAX_SECONDS:
      g_value_set_double (value, s->max_seconds);
      break;
    case PROP_QUALITY:
      g_value_set_double (value, s->quality);
      break;
    case PROP_TARGET_PSNR:
      g_value_set_double (value, s->target_psnr);
      break;
    case PROP_EPOCHS:
      g_value_set_uint (value, s->epochs);
      break;
    case PROP_BATCH_SIZE:
      g_value_set_uint (value, s->batch_size);
      break;
    case PROP_LEARNING_RATE:
      g_value_set_double (value, s->learning_rate);
      break;
    case PROP_SEED:
      g_value_set_uint64 (value, s->seed);
      break;
    case PROP_BITS:
      g_value_set_uint (value, s->bits);
      break;
    case PROP_PRUNING:
      g_value_set_double (value, s->pruning);
      break;
    case PROP_CODING:
      g_value_set_enum (value, s->coding);
      break;
    case PROP_RATE_WEIGHT:
      g_value_set_double (value, s->rate_weight);
      break;
    case PROP_BITRATE:
      g_value_set_uint (value, s->bitrate);
      break;
    case PROP_TARGET_SIZE:
      g_value_set_uint64 (value, s->target_size_bytes);
      break;
    case PROP_TUNE:
      g_value_set_enum (value, s->tune);
      break;
    case PROP_HELD_OUT:
      g_value_set_double (value, s->held_out);
      break;
    case PROP_INIT:
      g_value_set_enum (value, s->init);
      break;
    case PROP_WARM_START:
      g_value_set_enum (value, s->warm_start);
      break;
    case PROP_SYNC_INTERVAL:
      g_value_set_uint (value, s->sync_interval);
      break;
    case PROP_INIT_LOCATION:
      g_value_set_string (value, s->init_location);
      break;
    case PROP_WEIGHT_DELTAS:
      g_value_set_boolean (value, s->weight_deltas);
      break;
    case PROP_DEVICE:
      g_value_set_string (value, s->device);
      break;
    case PROP_FIRST_SEGMENT:
      g_value_set_uint (value, s->first_segment);
      break;
    case PROP_FIRST_FRAME:
      g_value_set_uint64 (value, s->first_frame);
      break;
    case PROP_THREADS:
      g_value_set_uint (value, s->threads);
      break;
    default:
      return FALSE;
  }
  return TRUE;
}

GstStructure *
gst_nerv_progress_to_structure (const NervEncoderStats * s, guint segment)
{
  return gst_structure_new ("nerv-progress",
      "segment", G_TYPE_UINT, segment,
      "frames", G_TYPE_UINT, s->frames,
      "step", G_TYPE_UINT, s->step,
      "steps", G_TYPE_UINT, s->n_steps,
      "loss", G_TYPE_DOUBLE, s->loss,
      "psnr", G_TYPE_DOUBLE, s->psnr,
      "psnr-frames", G_TYPE_DOUBLE, s->psnr_frames,
      "held-l1", G_TYPE_DOUBLE, s->held_l1,
      "steps-per-second", G_TYPE_DOUBLE, s->steps_per_second,
      "eta-seconds", G_TYPE_DOUBLE, s->eta_seconds, NULL);
}

GstStructure *
gst_nerv_stats_to_structure (const NervEncoderStats * s)
{
  GstStructure *stats = gst_nerv_progress_to_structure (s, s->segment);

  gst_structure_set_name (stats, "nervenc-stats");
  gst_structure_set (stats,
      "fit-seconds", G_TYPE_DOUBLE, s->fit_seconds,
      "device", G_TYPE_STRING, s->device,
      "model", G_TYPE_STRING, s->model,
      "parameters", G_TYPE_INT64, (gint64) s->parameters,
      "network-bytes", G_TYPE_UINT64, (guint64) s->network_bytes,
      "keyframe-bytes", G_TYPE_UINT64, (guint64) s->keyframe_bytes,
      "residual", G_TYPE_BOOLEAN, (gboolean) s->is_residual,
      "delta", G_TYPE_BOOLEAN, (gboolean) s->is_delta,
      "whole-bytes", G_TYPE_UINT64, (guint64) s->whole_bytes,
      "whole-psnr", G_TYPE_DOUBLE, s->whole_psnr,
      "residual-bytes", G_TYPE_UINT64, (guint64) s->residual_bytes,
      "residual-psnr", G_TYPE_DOUBLE, s->residual_psnr,
      "delta-bytes", G_TYPE_UINT64, (guint64) s->delta_bytes,
      "delta-psnr", G_TYPE_DOUBLE, s->delta_psnr,
      "init", G_TYPE_STRING, s->init,
      "peak-bytes", G_TYPE_UINT64, (guint64) s->peak_bytes, NULL);
  return stats;
}

/* --- model-options -------------------------------------------------------- */

static gboolean
integer_value (const GValue * value, gint64 * out)
{
  if (G_VALUE_HOLDS_INT (value))
    *out = g_value_get_int (value);
  else if (G_VALUE_HOLDS_UINT (value))
    *out = g_value_get_uint (value);
  else if (G_VALUE_HOLDS_INT64 (value))
    *out = g_value_get_int64 (value);
  else if (G_VALUE_HOLDS_UINT64 (value)
      && g_value_get_uint64 (value) <= G_MAXINT64)
    *out = (gint64) g_value_get_uint64 (value);
  else if (G_VALUE_HOLDS_LONG (value))
    *out = g_value_get_long (value);
  else
    return FALSE;
  return TRUE;
}

/* A floating variant, or NULL if the type has no counterpart. */
static GVariant *
scalar_to_variant (const GValue * value)
{
  gint64 i;

  if (integer_value (value, &i))
    return i >= G_MININT32 && i <= G_MAXINT32 ? g_variant_new_int32 ((gint32) i)
        : g_variant_new_int64 (i);
  if (G_VALUE_HOLDS_DOUBLE (value))
    return g_variant_new_double (g_value_get_double (value));
  if (G_VALUE_HOLDS_FLOAT (value))
    return g_variant_new_double (g_value_get_float (value));
  if (G_VALUE_HOLDS_BOOLEAN (value))
    return g_variant_new_boolean (g_value_get_boolean (value));
  if (G_VALUE_HOLDS_STRING (value) && g_value_get_string (value)
      && g_utf8_validate (g_value_get_string (value), -1, NULL))
    return g_variant_new_string (g_value_get_string (value));
  return NULL;
}

static guint
array_size (const GValue * value)
{
  return GST_VALUE_HOLDS_ARRAY (value) ? gst_value_array_get_size (value)
      : gst_value_list_get_size (value);
}

static const GValue *
array_get (const GValue * value, guint i)
{
  return GST_VALUE_HOLDS_ARRAY (value) ? gst_value_array_get_value (value, i)
      : gst_value_list_get_value (value, i);
}

/* An array of variants, which leaves it to the model what it makes of mixed types.
 * If there is no counterpart: NULL, and `culprit` says of which value. */
static GVariant *
array_to_variant (const GValue * value, const GValue ** culprit)
{
  guint i, n = array_size (value);
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("av"));
  for (i = 0; i < n; i++) {
    GVariant *item = scalar_to_variant (array_get (value, i));

    if (!item) {
      *culprit = array_get (value, i);
      g_variant_builder_clear (&builder);
      return NULL;
    }
    g_variant_builder_add (&builder, "v", item);
  }
  return g_variant_builder_end (&builder);
}

static void
set_type_error (const gchar * name, const GValue * culprit, GError ** error)
{
  g_autofree gchar *text = gst_value_serialize (culprit);

  g_set_error (error, NERV_ERROR, NERV_ERROR_INVALID,
      "model option \"%s\": %s is a %s, which no option takes; there are "
      "numbers, strings, booleans and arrays of numbers", name,
      text ? text : "the value", G_VALUE_TYPE_NAME (culprit));
}

gboolean
gst_nerv_options_to_variant (const GstStructure * options, GVariant ** variant,
    GError ** error)
{
  GVariantBuilder builder;
  gint i, n = options ? gst_structure_n_fields (options) : 0;

  *variant = NULL;
  if (!options)
    return TRUE;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  for (i = 0; i < n; i++) {
    const gchar *name = gst_structure_nth_field_name (options, i);
    const GValue *value = gst_structure_get_value (options, name);
    const GValue *culprit = value;
    GVariant *item = GST_VALUE_HOLDS_ARRAY (value)
        || GST_VALUE_HOLDS_LIST (value) ? array_to_variant (value, &culprit)
        : scalar_to_variant (value);

    if (!item) {
      set_type_error (name, culprit, error);
      g_variant_builder_clear (&builder);
      return FALSE;
    }
    g_variant_builder_add (&builder, "{sv}", name, item);
  }
  *variant = g_variant_ref_sink (g_variant_builder_end (&builder));
  return TRUE;
}

void
gst_nerv_settings_copy (const NervEncoderSettings * src,
    NervEncoderSettings * dst)
{
  *dst = *src;
  dst->model = g_strdup (src->model);
  dst->device = g_strdup (src->device);
  dst->init_location = g_strdup (src->init_location);
  dst->model_options = NULL;
}

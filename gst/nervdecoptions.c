/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of nervdec's properties.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervdecoptions.h"
#include "nervoptions.h"

enum
{
  PROP_DEVICE = GST_NERV_DEC_PROP_STATS + 1,
  PROP_THREADS,
  PROP_MAX_MEMORY,
  PROP_MAX_MACS_PER_FRAME,
  PROP_INIT_LOCATION,
};

void
gst_nerv_decoder_install_properties (GObjectClass * klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
      | GST_PARAM_MUTABLE_READY;
  NervDecoderSettings d;

  nerv_decoder_settings_init (&d);
  g_object_class_install_property (klass, PROP_DEVICE,
      g_param_spec_string ("device", "Device",
          "Where to compute: auto, cpu, vulkan or vulkan:N (N-th device)",
          d.device, flags));
  g_object_class_install_property (klass, PROP_THREADS,
      g_param_spec_uint ("threads", "Threads",
          "Threads of the CPU device (0 = one per core)", 0, 256, d.threads,
          flags));
  g_object_class_install_property (klass, PROP_MAX_MEMORY,
      g_param_spec_uint64 ("max-memory", "Maximum memory",
          "Bound on a network and what its evaluation needs, in bytes "
          "(0 = 2 GiB)", 0, G_MAXUINT64, d.max_memory_bytes, flags));
  g_object_class_install_property (klass, PROP_MAX_MACS_PER_FRAME,
      g_param_spec_uint64 ("max-macs-per-frame", "Maximum MACs per frame",
          "Bound on the multiplications that a frame takes (0 = 10^12)",
          0, G_MAXUINT64, d.max_macs_per_frame, flags));
  g_object_class_install_property (klass, PROP_INIT_LOCATION,
      g_param_spec_string ("init-location", "Init location",
          "Init file that the stream's networks are differences from, where it "
          "is none of the built-in ones", d.init_location, flags));
  g_object_class_install_property (klass, GST_NERV_DEC_PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "What was decoded so far: segment, frames, render-seconds, fps, "
          "device, model, parameters, network-bytes, concealed, peak-bytes, "
          "readbacks",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
  nerv_decoder_settings_clear (&d);
}

gboolean
gst_nerv_decoder_settings_set (NervDecoderSettings * s, guint id,
    const GValue * value)
{
  switch (id) {
    case PROP_DEVICE:
      gst_nerv_set_string (&s->device, value, "auto");
      return TRUE;
    case PROP_THREADS:
      s->threads = g_value_get_uint (value);
      return TRUE;
    case PROP_MAX_MEMORY:
      s->max_memory_bytes = g_value_get_uint64 (value);
      return TRUE;
    case PROP_MAX_MACS_PER_FRAME:
      s->max_macs_per_frame = g_value_get_uint64 (value);
      return TRUE;
    case PROP_INIT_LOCATION:
      gst_nerv_set_string (&s->init_location, value, NULL);
      return TRUE;
    default:
      return FALSE;
  }
}

gboolean
gst_nerv_decoder_settings_get (const NervDecoderSettings * s, guint id,
    GValue * value)
{
  switch (id) {
    case PROP_DEVICE:
      g_value_set_string (value, s->device);
      return TRUE;
    case PROP_THREADS:
      g_value_set_uint (value, s->threads);
      return TRUE;
    case PROP_MAX_MEMORY:
      g_value_set_uint64 (value, s->max_memory_bytes);
      return TRUE;
    case PROP_MAX_MACS_PER_FRAME:
      g_value_set_uint64 (value, s->max_macs_per_frame);
      return TRUE;
    case PROP_INIT_LOCATION:
      g_value_set_string (value, s->init_location);
      return TRUE;
    default:
      return FALSE;
  }
}

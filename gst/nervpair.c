/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervenc and nervdec in a bin. Properties here are the two's own, under the same names: the
 * rest of theirs is reached as children's (GstChildProxy).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervpair.h"

enum
{
  PROP_SEGMENT_FRAMES = 1,
  PROP_MAX_SECONDS,
  PROP_DEVICE,
  PROP_THREADS,
  PROP_STATS,
};

typedef struct
{
  GstElement *encoder, *decoder;        /* the bin's; both or neither */
} GstNervPairPrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (GstNervPair, gst_nerv_pair, GST_TYPE_BIN);

static GstNervPairPrivate *
private_of (gpointer pair)
{
  return gst_nerv_pair_get_instance_private (GST_NERV_PAIR (pair));
}

GstElement *
gst_nerv_pair_encoder (GstNervPair * pair)
{
  return private_of (pair)->encoder;
}

GstElement *
gst_nerv_pair_decoder (GstNervPair * pair)
{
  return private_of (pair)->decoder;
}

static void
gst_nerv_pair_set_property (GObject * object, guint id, const GValue * value,
    GParamSpec * pspec)
{
  GstNervPairPrivate *priv = private_of (object);

  switch (id) {
    case PROP_DEVICE:
    case PROP_THREADS:
      if (priv->decoder)
        g_object_set_property (G_OBJECT (priv->decoder), pspec->name, value);
      /* fall through */
    case PROP_SEGMENT_FRAMES:
    case PROP_MAX_SECONDS:
      if (priv->encoder)
        g_object_set_property (G_OBJECT (priv->encoder), pspec->name, value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_nerv_pair_get_property (GObject * object, guint id, GValue * value,
    GParamSpec * pspec)
{
  GstNervPairPrivate *priv = private_of (object);

  switch (id) {
    case PROP_SEGMENT_FRAMES:
    case PROP_MAX_SECONDS:
    case PROP_DEVICE:
    case PROP_THREADS:
    case PROP_STATS:
      if (priv->encoder)
        g_object_get_property (G_OBJECT (priv->encoder), pspec->name, value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
add_ghost_pad (GstNervPair * self, GstElement * element, const gchar * name)
{
  GstPadTemplate *templ =
      gst_element_class_get_pad_template (GST_ELEMENT_GET_CLASS (self), name);
  GstPad *pad = gst_element_get_static_pad (element, name);
  GstPad *ghost = gst_ghost_pad_new_from_template (name, pad, templ);

  /* caps that do not say interlace-mode mean progressive */
  GST_PAD_SET_ACCEPT_INTERSECT (ghost);
  gst_element_add_pad (GST_ELEMENT (self), ghost);
  gst_object_unref (pad);
}

static void
gst_nerv_pair_constructed (GObject * object)
{
  GstNervPairPrivate *priv = private_of (object);

  if (priv->encoder) {
    add_ghost_pad (GST_NERV_PAIR (object), priv->encoder, "sink");
    add_ghost_pad (GST_NERV_PAIR (object), priv->decoder, "src");
  }
  G_OBJECT_CLASS (gst_nerv_pair_parent_class)->constructed (object);
}

static void
gst_nerv_pair_init (GstNervPair * self)
{
  GstNervPairPrivate *priv = private_of (self);

  priv->encoder = gst_element_factory_make ("nervenc", "encoder");
  priv->decoder = gst_element_factory_make ("nervdec", "decoder");
  if (!priv->encoder || !priv->decoder) {
    /* they are of the same plugin: only where somebody unregistered them */
    GST_ERROR_OBJECT (self, "nervenc and nervdec are not there");
    gst_clear_object (&priv->encoder);
    gst_clear_object (&priv->decoder);
    return;
  }
  /* what one segment leaves is no start for the next: it has learned its noise or holes */
  gst_util_set_object_arg (G_OBJECT (priv->encoder), "warm-start", "none");
  gst_bin_add_many (GST_BIN (self), priv->encoder, priv->decoder, NULL);
  gst_element_link (priv->encoder, priv->decoder);
}

static void
gst_nerv_pair_class_init (GstNervPairClass * klass)
{
  GObjectClass *gobject_class = G_OBJECT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
      | GST_PARAM_MUTABLE_READY;

  gobject_class->constructed = gst_nerv_pair_constructed;
  gobject_class->set_property = gst_nerv_pair_set_property;
  gobject_class->get_property = gst_nerv_pair_get_property;
  g_object_class_install_property (gobject_class, PROP_SEGMENT_FRAMES,
      g_param_spec_uint ("segment-frames", "Segment frames",
          "Frames that a network is fitted to, and that have to come before the "
          "first one goes out", 0, 65536, 128, flags));
  g_object_class_install_property (gobject_class, PROP_MAX_SECONDS,
      g_param_spec_double ("max-encode-seconds", "Maximum encode seconds",
          "Seconds that all fits take together at most (0 = no limit)", 0.0,
          1e9, 0.0, flags));
  g_object_class_install_property (gobject_class, PROP_DEVICE,
      g_param_spec_string ("device", "Device",
          "Where to compute: auto, cpu, vulkan or vulkan:N (N-th device)",
          "auto", flags));
  g_object_class_install_property (gobject_class, PROP_THREADS,
      g_param_spec_uint ("threads", "Threads",
          "Threads of the CPU device (0 = one per core)", 0, 256, 0, flags));
  g_object_class_install_property (gobject_class, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics", "nervenc's, of the fit",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));

  gst_type_mark_as_plugin_api (GST_TYPE_NERV_PAIR, 0);
}

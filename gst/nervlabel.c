/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See nervlabel.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <gst/base/gstbasetransform.h>

#include "nervlabel.h"
#include "nervvideo.h"

struct _GstNervLabel
{
  GstBaseTransform parent;
  GstCaps *label;
};

G_DEFINE_TYPE (GstNervLabel, gst_nerv_label, GST_TYPE_BASE_TRANSFORM);

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_NERV_UNIT_CAPS));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

/* What both names have in common. */
static const gchar *const fields[] = { "width", "height", "framerate",
  "pixel-aspect-ratio", "colorimetry"
};

static GstCaps *
gst_nerv_label_transform_caps (GstBaseTransform * trans,
    GstPadDirection direction, GstCaps * caps, GstCaps * filter)
{
  GstNervLabel *self = GST_NERV_LABEL (trans);
  GstCaps *names = direction == GST_PAD_SINK ? gst_caps_ref (self->label)
      : gst_static_pad_template_get_caps (&sink_template);
  GstCaps *result = gst_caps_new_empty ();
  guint i, j;

  for (i = 0; i < gst_caps_get_size (caps); i++) {
    const GstStructure *from = gst_caps_get_structure (caps, i);
    GstStructure *to = gst_structure_copy (gst_caps_get_structure (names, 0));

    for (j = 0; j < G_N_ELEMENTS (fields); j++) {
      const GValue *value = gst_structure_get_value (from, fields[j]);
      if (value)
        gst_structure_set_value (to, fields[j], value);
    }
    result = gst_caps_merge_structure (result, to);
  }
  gst_caps_unref (names);
  if (filter) {
    GstCaps *both = gst_caps_intersect_full (filter, result,
        GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref (result);
    result = both;
  }
  return result;
}

static void
gst_nerv_label_finalize (GObject * object)
{
  gst_clear_caps (&GST_NERV_LABEL (object)->label);
  G_OBJECT_CLASS (gst_nerv_label_parent_class)->finalize (object);
}

static void
gst_nerv_label_init (GstNervLabel * self)
{
  gst_base_transform_set_passthrough (GST_BASE_TRANSFORM (self), TRUE);
}

static void
gst_nerv_label_class_init (GstNervLabelClass * klass)
{
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = gst_nerv_label_finalize;
  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Neural video label",
      "Generic", "Gives neural video the name that a muxer takes",
      "The nerv project");
  GST_BASE_TRANSFORM_CLASS (klass)->transform_caps =
      GST_DEBUG_FUNCPTR (gst_nerv_label_transform_caps);
}

GstElement *
gst_nerv_label_new (const GstCaps * label)
{
  GstNervLabel *self = g_object_new (GST_TYPE_NERV_LABEL, NULL);

  self->label = gst_caps_copy (label);
  return GST_ELEMENT (self);
}

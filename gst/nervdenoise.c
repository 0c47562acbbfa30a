/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervdenoise fits a network to a segment of noisy video and shows what the network
 * makes of it. A network learns what frames have in common before it learns what each has of
 * its own, and noise is of each sample's own (Chen et al., NeRV, NeurIPS 2021,
 * section 4.4). What keeps it from learning that as well is said in libnerv's terms
 * here: an error that single wrong samples sway little, bits that the weights may not
 * spend, and samples that the fit does not look at and that say when it ends.
 */

/**
 * SECTION:element-nervdenoise
 * @title: nervdenoise
 *
 * Takes noise out of video: fits a network to each segment, as nervenc does, and
 * evaluates it. The fit ends by itself, where samples that it does not look at
 * become no better.
 *
 * The two elements inside are children, so that gst-launch-1.0 sets their
 * properties as `encoder::epochs=40` and `decoder::max-memory=...`.
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=noisy.mkv ! decodebin ! videoconvert ! nervdenoise strength=0.5 ! videoconvert ! autovideosink
 * ]|
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervdenoise.h"
#include "nervvideo.h"

GST_DEBUG_CATEGORY_STATIC (gst_nerv_denoise_debug);
#define GST_CAT_DEFAULT gst_nerv_denoise_debug

#define DEFAULT_STRENGTH 0.5
#define DEFAULT_HELD_OUT 0.02
#define DEFAULT_EPOCHS 150
/* quality of nervenc at strengths 0 and 1 */
#define LEAST_QUALITY 50.0
#define MOST_QUALITY 90.0

enum
{
  PROP_STRENGTH = 1,
};

struct _GstNervDenoise
{
  GstNervPair parent;

  gdouble strength;             /* object lock */
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_NERV_RAW_CAPS ", "
        "interlace-mode = (string) progressive"));

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_NERV_RAW_CAPS));

G_DEFINE_TYPE_WITH_CODE (GstNervDenoise, gst_nerv_denoise, GST_TYPE_NERV_PAIR,
    GST_DEBUG_CATEGORY_INIT (gst_nerv_denoise_debug, "nervdenoise", 0,
        "noise out of video by neural networks"));
GST_ELEMENT_REGISTER_DEFINE (nervdenoise, "nervdenoise", GST_RANK_NONE,
    GST_TYPE_NERV_DENOISE);

/* A weak strength leaves detail that looks like noise, a great one takes noise that
 * looks like detail. */
static void
apply_strength (GstNervDenoise * self, gdouble strength)
{
  GstElement *encoder = gst_nerv_pair_encoder (GST_NERV_PAIR (self));

  if (encoder)
    g_object_set (encoder, "quality",
        MOST_QUALITY + strength * (LEAST_QUALITY - MOST_QUALITY), NULL);
}

static void
gst_nerv_denoise_set_property (GObject * object, guint id,
    const GValue * value, GParamSpec * pspec)
{
  GstNervDenoise *self = GST_NERV_DENOISE (object);

  switch (id) {
    case PROP_STRENGTH:
      GST_OBJECT_LOCK (self);
      self->strength = g_value_get_double (value);
      GST_OBJECT_UNLOCK (self);
      apply_strength (self, g_value_get_double (value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_nerv_denoise_get_property (GObject * object, guint id, GValue * value,
    GParamSpec * pspec)
{
  GstNervDenoise *self = GST_NERV_DENOISE (object);

  switch (id) {
    case PROP_STRENGTH:
      GST_OBJECT_LOCK (self);
      g_value_set_double (value, self->strength);
      GST_OBJECT_UNLOCK (self);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
gst_nerv_denoise_init (GstNervDenoise * self)
{
  GstElement *encoder = gst_nerv_pair_encoder (GST_NERV_PAIR (self));

  self->strength = DEFAULT_STRENGTH;
  apply_strength (self, self->strength);
  if (encoder) {
    gst_util_set_object_arg (G_OBJECT (encoder), "tune", "l1");
    g_object_set (encoder, "held-out", DEFAULT_HELD_OUT,
        "epochs", DEFAULT_EPOCHS, NULL);
  }
}

static void
gst_nerv_denoise_class_init (GstNervDenoiseClass * klass)
{
  GObjectClass *gobject_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS
      | GST_PARAM_MUTABLE_READY;

  gobject_class->set_property = gst_nerv_denoise_set_property;
  gobject_class->get_property = gst_nerv_denoise_get_property;
  g_object_class_install_property (gobject_class, PROP_STRENGTH,
      g_param_spec_double ("strength", "Strength",
          "How much noise there is: 0 keeps all detail that repeats, 1 keeps what "
          "is plain", 0.0, 1.0, DEFAULT_STRENGTH, flags));

  gst_element_class_add_static_pad_template (element_class, &sink_template);
  gst_element_class_add_static_pad_template (element_class, &src_template);
  gst_element_class_set_static_metadata (element_class, "Neural denoiser",
      "Filter/Effect/Video",
      "Fits a neural network to each segment of a noisy video and shows what it "
      "makes of it", "The nerv project");
}

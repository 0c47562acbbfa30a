/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Stock muxers write only what they know by name. mp4mux writes any sample entry
 * that video/x-mp4-part has as its format; matroskamux takes video/x-ffv, and the
 * CodecID is changed on the way out (nervebml.h), which ends in an error if there
 * was nothing to change. Everything else, audio and subtitles too, is the stock
 * muxer's own affair; its properties are those of the bin's child "muxer".
 */

/**
 * SECTION:element-nervmp4mux
 * @title: nervmp4mux
 *
 * Puts neural video into MP4, beside audio, as a track whose sample entry is "nerv".
 *
 * ## Example
 * |[
 * gst-launch-1.0 filesrc location=in.mp4 ! decodebin name=d ! queue ! videoconvert ! nervenc ! nervmp4mux name=m ! filesink location=out.mp4 \
 *   d. ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! audioconvert ! opusenc ! m.
 * ]|
 */
/**
 * SECTION:element-nervmkvmux
 * @title: nervmkvmux
 *
 * Puts neural video into Matroska, beside audio, as a track whose CodecID is V_NERV.
 *
 * ## Example
 * |[
 * gst-launch-1.0 -e v4l2src ! videoconvert ! nervenc epochs=10 ! nervmkvmux name=m ! filesink location=out.mkv \
 *   pulsesrc ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! audioconvert ! opusenc ! m.
 * ]|
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <gst/pbutils/pbutils.h>
#include <string.h>

#include "nervebml.h"
#include "nervlabel.h"
#include "nervmux.h"
#include "nervvideo.h"

#define MUXER "muxer"           /* the child's name */

typedef struct
{
  GstElement *muxer;            /* NULL: its plugin is not there */
  GstPad *src;
} GstNervMuxPrivate;

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (GstNervMux, gst_nerv_mux, GST_TYPE_BIN);

struct _GstNervMp4Mux
{
  GstNervMux parent;
};

struct _GstNervMkvMux
{
  GstNervMux parent;
  GstNervEbml ebml;             /* streaming thread */
  gboolean failed;
};

G_DEFINE_TYPE (GstNervMp4Mux, gst_nerv_mp4_mux, GST_TYPE_NERV_MUX);
G_DEFINE_TYPE (GstNervMkvMux, gst_nerv_mkv_mux, GST_TYPE_NERV_MUX);

/* Below the stock muxers: what these can write they are to write. */
GST_ELEMENT_REGISTER_DEFINE (nervmp4mux, "nervmp4mux", GST_RANK_MARGINAL,
    gst_nerv_mp4_mux_get_type ());
GST_ELEMENT_REGISTER_DEFINE (nervmkvmux, "nervmkvmux", GST_RANK_MARGINAL,
    gst_nerv_mkv_mux_get_type ());

static GstStaticPadTemplate video_template =
GST_STATIC_PAD_TEMPLATE ("video_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS (GST_NERV_UNIT_CAPS ", "
        "width = (int) [ 16, 8192 ], height = (int) [ 16, 8192 ]"));

static GstStaticPadTemplate mp4_audio_template =
    GST_STATIC_PAD_TEMPLATE ("audio_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS ("audio/mpeg, mpegversion = (int) 1; "
        "audio/mpeg, mpegversion = (int) 4, stream-format = (string) raw; "
        "audio/x-ac3; audio/x-alac; audio/x-opus"));

static GstStaticPadTemplate mkv_audio_template =
    GST_STATIC_PAD_TEMPLATE ("audio_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS ("audio/mpeg, mpegversion = (int) 1; "
        "audio/mpeg, mpegversion = (int) { 2, 4 }, "
        "stream-format = (string) raw; audio/x-ac3; audio/x-eac3; "
        "audio/x-dts; audio/x-vorbis; audio/x-flac; audio/x-opus; "
        "audio/x-speex; audio/x-raw, format = (string) { U8, S16LE, S24LE, "
        "S32LE, F32LE, F64LE }, layout = (string) interleaved"));

static GstStaticPadTemplate subtitle_template =
GST_STATIC_PAD_TEMPLATE ("subtitle_%u", GST_PAD_SINK, GST_PAD_REQUEST,
    GST_STATIC_CAPS ("text/x-raw, format = (string) utf8"));

static GstStaticPadTemplate mp4_src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS ("video/quicktime, variant = (string) iso"));

static GstStaticPadTemplate mkv_src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS ("video/x-matroska"));

enum
{
  PROP_0,
  PROP_STREAMABLE,
  PROP_FASTSTART,
  PROP_FRAGMENT_DURATION,
};

/* --- pads ----------------------------------------------------------------- */

/* A label in front of the muxer's pad; the pad to show. */
static GstPad *
label_video (GstNervMux * self, GstPad * target)
{
  GstCaps *caps = gst_caps_from_string (GST_NERV_MUX_GET_CLASS (self)->label);
  GstElement *label = gst_nerv_label_new (caps);
  GstPad *src, *sink = NULL;

  gst_caps_unref (caps);
  if (!gst_bin_add (GST_BIN (self), label))
    return NULL;
  src = gst_element_get_static_pad (label, "src");
  if (gst_pad_link (src, target) == GST_PAD_LINK_OK)
    sink = gst_element_get_static_pad (label, "sink");
  else
    gst_bin_remove (GST_BIN (self), label);
  gst_object_unref (src);
  if (sink)
    gst_element_sync_state_with_parent (label);
  return sink;
}

static GstPad *
gst_nerv_mux_request_new_pad (GstElement * element, GstPadTemplate * templ,
    const gchar * name, const GstCaps * caps)
{
  GstNervMux *self = GST_NERV_MUX (element);
  GstNervMuxPrivate *priv = gst_nerv_mux_get_instance_private (self);
  const gchar *kind = GST_PAD_TEMPLATE_NAME_TEMPLATE (templ);
  GstPad *target, *shown, *ghost = NULL;

  if (!priv->muxer)
    return NULL;
  target = gst_element_request_pad_simple (priv->muxer, name ? name : kind);
  if (!target)
    return NULL;
  shown = strcmp (kind, "video_%u") == 0 ? label_video (self, target)
      : gst_object_ref (target);
  if (shown) {
    ghost = gst_ghost_pad_new_from_template (GST_PAD_NAME (target), shown,
        templ);
    gst_object_unref (shown);
  }
  if (!ghost) {
    gst_element_release_request_pad (priv->muxer, target);
    gst_object_unref (target);
    return NULL;
  }
  g_object_set_data_full (G_OBJECT (ghost), "nerv-target", target,
      gst_object_unref);
  gst_pad_set_active (ghost, TRUE);
  gst_element_add_pad (element, ghost);
  return ghost;
}

static void
gst_nerv_mux_release_pad (GstElement * element, GstPad * pad)
{
  GstNervMuxPrivate *priv =
      gst_nerv_mux_get_instance_private (GST_NERV_MUX (element));
  GstPad *target = g_object_get_data (G_OBJECT (pad), "nerv-target");
  GstPad *peer = target ? gst_pad_get_peer (target) : NULL;
  GstElement *label = peer ? gst_pad_get_parent_element (peer) : NULL;

  if (target)
    gst_object_ref (target);
  gst_object_ref (pad);
  gst_element_remove_pad (element, pad);
  if (GST_IS_NERV_LABEL (label)
      && gst_object_has_as_parent (GST_OBJECT (label), GST_OBJECT (element))) {
    gst_element_set_state (label, GST_STATE_NULL);
    gst_bin_remove (GST_BIN (element), label);
  }
  if (target) {
    gst_element_release_request_pad (priv->muxer, target);
    gst_object_unref (target);
  }
  gst_clear_object (&label);
  gst_clear_object (&peer);
  gst_object_unref (pad);
}

/* --- the bin -------------------------------------------------------------- */

static GstStateChangeReturn
gst_nerv_mux_change_state (GstElement * element, GstStateChange transition)
{
  GstNervMuxPrivate *priv =
      gst_nerv_mux_get_instance_private (GST_NERV_MUX (element));

  if (!priv->muxer) {
    const gchar *name = GST_NERV_MUX_GET_CLASS (element)->muxer;

    gst_element_post_message (element,
        gst_missing_element_message_new (element, name));
    GST_ELEMENT_ERROR (element, CORE, MISSING_PLUGIN,
        ("The element %s is missing, without which %s can do nothing.", name,
            GST_OBJECT_NAME (gst_element_get_factory (element))), (NULL));
    return GST_STATE_CHANGE_FAILURE;
  }
  return GST_ELEMENT_CLASS (gst_nerv_mux_parent_class)->change_state (element,
      transition);
}

/* The child's properties have the same names. */
static void
gst_nerv_mux_set_property (GObject * object, guint id, const GValue * value,
    GParamSpec * pspec)
{
  GstNervMuxPrivate *priv =
      gst_nerv_mux_get_instance_private (GST_NERV_MUX (object));

  if (priv->muxer)
    g_object_set_property (G_OBJECT (priv->muxer), pspec->name, value);
}

static void
gst_nerv_mux_get_property (GObject * object, guint id, GValue * value,
    GParamSpec * pspec)
{
  GstNervMuxPrivate *priv =
      gst_nerv_mux_get_instance_private (GST_NERV_MUX (object));

  if (priv->muxer)
    g_object_get_property (G_OBJECT (priv->muxer), pspec->name, value);
}

static void
gst_nerv_mux_constructed (GObject * object)
{
  GstNervMuxPrivate *priv =
      gst_nerv_mux_get_instance_private (GST_NERV_MUX (object));
  GstElementClass *klass = GST_ELEMENT_GET_CLASS (object);
  GstPad *target;

  G_OBJECT_CLASS (gst_nerv_mux_parent_class)->constructed (object);
  priv->muxer =
      gst_element_factory_make (GST_NERV_MUX_GET_CLASS (object)->muxer, MUXER);
  if (!priv->muxer) {
    priv->src = gst_ghost_pad_new_no_target_from_template ("src",
        gst_element_class_get_pad_template (klass, "src"));
  } else {
    gst_object_ref (priv->muxer);       /* pads are released behind the children */
    gst_bin_add (GST_BIN (object), priv->muxer);
    target = gst_element_get_static_pad (priv->muxer, "src");
    priv->src = gst_ghost_pad_new_from_template ("src", target,
        gst_element_class_get_pad_template (klass, "src"));
    gst_object_unref (target);
  }
  gst_element_add_pad (GST_ELEMENT (object), priv->src);
}

static void
gst_nerv_mux_finalize (GObject * object)
{
  GstNervMuxPrivate *priv =
      gst_nerv_mux_get_instance_private (GST_NERV_MUX (object));

  gst_clear_object (&priv->muxer);
  G_OBJECT_CLASS (gst_nerv_mux_parent_class)->finalize (object);
}

static void
gst_nerv_mux_init (GstNervMux * self)
{
}

static void
gst_nerv_mux_class_init (GstNervMuxClass * klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);

  object_class->constructed = gst_nerv_mux_constructed;
  object_class->finalize = gst_nerv_mux_finalize;
  element_class->request_new_pad =
      GST_DEBUG_FUNCPTR (gst_nerv_mux_request_new_pad);
  element_class->release_pad = GST_DEBUG_FUNCPTR (gst_nerv_mux_release_pad);
  element_class->change_state = GST_DEBUG_FUNCPTR (gst_nerv_mux_change_state);
  gst_element_class_add_static_pad_template (element_class, &video_template);
  gst_element_class_add_static_pad_template (element_class, &subtitle_template);
  gst_type_mark_as_plugin_api (GST_TYPE_NERV_MUX, 0);
}

/* --- MP4 ------------------------------------------------------------------ */

static void
gst_nerv_mp4_mux_init (GstNervMp4Mux * self)
{
}

static void
gst_nerv_mp4_mux_class_init (GstNervMp4MuxClass * klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstNervMuxClass *mux_class = GST_NERV_MUX_CLASS (klass);
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  object_class->set_property = gst_nerv_mux_set_property;
  object_class->get_property = gst_nerv_mux_get_property;
  mux_class->muxer = "mp4mux";
  /* 'nerv', little-endian */
  mux_class->label = "video/x-mp4-part, format = (uint) 1987208558";
  g_object_class_install_property (object_class, PROP_FASTSTART,
      g_param_spec_boolean ("faststart", "Format file to faststart",
          "mp4mux's: headers first", FALSE, flags));
  g_object_class_install_property (object_class, PROP_FRAGMENT_DURATION,
      g_param_spec_uint ("fragment-duration", "Fragment duration",
          "mp4mux's: milliseconds, a fragmented file if > 0", 0, G_MAXUINT32, 0,
          flags));
  g_object_class_install_property (object_class, PROP_STREAMABLE,
      g_param_spec_boolean ("streamable", "Streamable",
          "mp4mux's: no index at the end of a fragmented file", FALSE, flags));
  gst_element_class_add_static_pad_template (element_class,
      &mp4_audio_template);
  gst_element_class_add_static_pad_template (element_class, &mp4_src_template);
  gst_element_class_set_static_metadata (element_class,
      "Neural video MP4 muxer", "Codec/Muxer",
      "Puts neural video, audio and subtitles into MP4", "The nerv project");
}

/* --- Matroska ------------------------------------------------------------- */

static GstBuffer *
change_head (GstNervMkvMux * self, GstNervEbml * ebml, GstBuffer * buffer)
{
  GstMapInfo map;
  gboolean ok;

  buffer = gst_buffer_make_writable (buffer);
  if (!gst_buffer_map (buffer, &map, GST_MAP_READWRITE)) {
    self->failed = TRUE;
    return buffer;
  }
  ok = gst_nerv_ebml_walk (ebml, map.data, map.size);
  gst_buffer_unmap (buffer, &map);
  self->failed |= !ok;
  return buffer;
}

static guint
count_video (GstElement * element)
{
  guint n = 0;
  GList *at;

  GST_OBJECT_LOCK (element);
  for (at = element->sinkpads; at; at = at->next)
    n += g_str_has_prefix (GST_PAD_NAME (at->data), "video_");
  GST_OBJECT_UNLOCK (element);
  return n;
}

/* Of those whose first buffer is the head. */
static GstCaps *
change_streamheader (GstNervMkvMux * self, GstCaps * caps)
{
  GstStructure *s;
  const GValue *value;
  GValue list = G_VALUE_INIT, one = G_VALUE_INIT;
  GstNervEbml ebml;
  guint i;

  caps = gst_caps_copy (caps);
  s = gst_caps_get_structure (caps, 0);
  value = gst_structure_get_value (s, "streamheader");
  if (!value || !GST_VALUE_HOLDS_ARRAY (value))
    return caps;
  gst_nerv_ebml_init (&ebml);
  g_value_init (&list, GST_TYPE_ARRAY);
  for (i = 0; i < gst_value_array_get_size (value); i++) {
    GstBuffer *buffer = gst_buffer_copy_deep (g_value_get_boxed
        (gst_value_array_get_value (value, i)));

    g_value_init (&one, GST_TYPE_BUFFER);
    g_value_take_boxed (&one, change_head (self, &ebml, buffer));
    gst_value_array_append_and_take_value (&list, &one);
  }
  gst_structure_take_value (s, "streamheader", &list);
  return caps;
}

static GstPadProbeReturn
on_output (GstPad * pad, GstPadProbeInfo * info, gpointer user)
{
  GstNervMkvMux *self = user;

  if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
    GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
    GstCaps *caps;

    if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START)
      gst_nerv_ebml_init (&self->ebml);
    if (GST_EVENT_TYPE (event) != GST_EVENT_CAPS)
      return GST_PAD_PROBE_OK;
    gst_event_parse_caps (event, &caps);
    caps = change_streamheader (self, caps);
    info->data = gst_event_new_caps (caps);
    gst_event_set_seqnum (info->data, gst_event_get_seqnum (event));
    gst_event_unref (event);
    gst_caps_unref (caps);
  } else if (self->failed) {
    GST_PAD_PROBE_INFO_FLOW_RETURN (info) = GST_FLOW_ERROR;
    return GST_PAD_PROBE_DROP;  /* said so already */
  } else if (!self->ebml.done) {
    info->data = change_head (self, &self->ebml, info->data);
    self->failed |= self->ebml.done
        && self->ebml.n_tracks != count_video (GST_ELEMENT (self));
  }
  if (!self->failed)
    return GST_PAD_PROBE_OK;
  GST_ELEMENT_ERROR (self, STREAM, MUX,
      ("The Matroska file's head is not what it should be."),
      ("%u of %u tracks could be given their codec", self->ebml.n_tracks,
          count_video (GST_ELEMENT (self))));
  GST_PAD_PROBE_INFO_FLOW_RETURN (info) = GST_FLOW_ERROR;
  return GST_PAD_PROBE_DROP;
}

static void
gst_nerv_mkv_mux_init (GstNervMkvMux * self)
{
}

static void
gst_nerv_mkv_mux_constructed (GObject * object)
{
  GstElement *muxer;
  GstPad *pad;

  G_OBJECT_CLASS (gst_nerv_mkv_mux_parent_class)->constructed (object);
  muxer = gst_bin_get_by_name (GST_BIN (object), MUXER);
  if (!muxer)
    return;
  pad = gst_element_get_static_pad (muxer, "src");
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER
      | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, on_output, object, NULL);
  gst_object_unref (pad);
  gst_object_unref (muxer);
}

static GstStateChangeReturn
gst_nerv_mkv_mux_change_state (GstElement * element, GstStateChange transition)
{
  GstNervMkvMux *self = GST_NERV_MKV_MUX (element);

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
    gst_nerv_ebml_init (&self->ebml);
    self->failed = FALSE;
  }
  return GST_ELEMENT_CLASS (gst_nerv_mkv_mux_parent_class)->change_state
      (element, transition);
}

static void
gst_nerv_mkv_mux_class_init (GstNervMkvMuxClass * klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  GstElementClass *element_class = GST_ELEMENT_CLASS (klass);
  GstNervMuxClass *mux_class = GST_NERV_MUX_CLASS (klass);

  object_class->set_property = gst_nerv_mux_set_property;
  object_class->get_property = gst_nerv_mux_get_property;
  mux_class->muxer = "matroskamux";
  /* the mark, "NERV", is what nervebml.c finds the track by */
  mux_class->label =
      "video/x-ffv, ffversion = (int) 1, codec_data = (buffer) 4e455256";
  object_class->constructed = gst_nerv_mkv_mux_constructed;
  element_class->change_state =
      GST_DEBUG_FUNCPTR (gst_nerv_mkv_mux_change_state);
  g_object_class_install_property (object_class, PROP_STREAMABLE,
      g_param_spec_boolean ("streamable", "Streamable",
          "matroskamux's: no index and no duration are written", FALSE,
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS));
  gst_element_class_add_static_pad_template (element_class,
      &mkv_audio_template);
  gst_element_class_add_static_pad_template (element_class, &mkv_src_template);
  gst_element_class_set_static_metadata (element_class,
      "Neural video Matroska muxer", "Codec/Muxer",
      "Puts neural video, audio and subtitles into Matroska",
      "The nerv project");
}

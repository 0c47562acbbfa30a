/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one file that knows GstVulkan, whose interface may change. 1.22's images can't
 * be stored to by shaders, and its memory carries no semaphores: a picture is copied
 * into its image on the queue that downstream uses, and is there when it is pushed.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervvulkan.h"
#include "nervvideo.h"

#define GST_CAT_DEFAULT gst_nerv_debug

#ifdef HAVE_GST_VULKAN

#define GST_USE_UNSTABLE_API
#include <gst/vulkan/vulkan.h>

#include "nerv_vulkan.h"

struct _GstNervVulkan
{
  GstElement *element;
  /* Guards the rest. Asking for a context calls set_context() in the same thread. */
  GRecMutex lock;
  GstVulkanInstance *instance;
  GstVulkanDevice *device;
  GstVulkanQueue *queue;
  gboolean is_open;
};

GstNervVulkan *
gst_nerv_vulkan_new (GstElement * element)
{
  GstNervVulkan *self = g_new0 (GstNervVulkan, 1);

  self->element = element;
  g_rec_mutex_init (&self->lock);
  return self;
}

void
gst_nerv_vulkan_free (GstNervVulkan * self)
{
  gst_nerv_vulkan_close (self);
  gst_clear_object (&self->instance);
  g_rec_mutex_clear (&self->lock);
  g_free (self);
}

/* --- contexts ------------------------------------------------------------- */

void
gst_nerv_vulkan_set_context (GstNervVulkan * self, GstContext * context)
{
  g_rec_mutex_lock (&self->lock);
  gst_vulkan_handle_set_context (self->element, context, NULL, &self->instance);
  g_rec_mutex_unlock (&self->lock);
}

gboolean
gst_nerv_vulkan_handle_query (GstNervVulkan * self, GstQuery * query)
{
  gboolean handled;

  if (GST_QUERY_TYPE (query) != GST_QUERY_CONTEXT)
    return FALSE;
  g_rec_mutex_lock (&self->lock);
  handled = gst_vulkan_handle_context_query (self->element, query, NULL,
      self->instance, self->device)
      || gst_vulkan_queue_handle_context_query (self->element, query,
      self->queue);
  g_rec_mutex_unlock (&self->lock);
  return handled;
}

/* --- what downstream takes ------------------------------------------------ */

GstVideoFormat
gst_nerv_vulkan_peer_format (GstPad * pad, gboolean * only)
{
  GstVideoFormat format = GST_VIDEO_FORMAT_UNKNOWN;
  GstCaps *template = gst_pad_get_pad_template_caps (pad);
  GstCaps *peer = gst_pad_peer_query_caps (pad, NULL);
  GstCaps *allowed =
      gst_caps_intersect_full (peer, template, GST_CAPS_INTERSECT_FIRST);
  guint i;

  *only = !gst_caps_is_any (peer) && gst_caps_get_size (allowed) > 0;
  for (i = 0; i < gst_caps_get_size (allowed) && !gst_caps_is_any (peer); i++) {
    GstStructure *s;

    if (!gst_caps_features_contains (gst_caps_get_features (allowed, i),
            GST_CAPS_FEATURE_MEMORY_VULKAN_IMAGE)) {
      *only = FALSE;
    } else if (format == GST_VIDEO_FORMAT_UNKNOWN) {
      s = gst_structure_copy (gst_caps_get_structure (allowed, i));
      gst_structure_fixate_field (s, "format");
      format =
          gst_video_format_from_string (gst_structure_get_string (s, "format"));
      gst_structure_free (s);
    }
  }
  gst_caps_unref (allowed);
  gst_caps_unref (peer);
  gst_caps_unref (template);
  return format;
}

/* --- the device ----------------------------------------------------------- */

static gboolean
is_allowed (GstVulkanDevice * device, const gchar * name, gboolean only)
{
  const GstVulkanPhysicalDevice *physical = device->physical_device;
  const gboolean is_software =
      physical->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
  gchar *number;
  gboolean is_named;

  if (!name || g_str_equal (name, "auto")) {
    name = g_getenv ("NERV_DEVICE");
    if (!name || !*name || g_str_equal (name, "auto"))
      return only || !is_software;
  }
  if (g_str_equal (name, "vulkan"))
    return !is_software;
  number = g_strdup_printf ("vulkan:%u", physical->device_index);
  is_named = g_str_equal (name, number);
  g_free (number);
  return is_named;
}

static gboolean
take_compute_queue (GstVulkanDevice * device, GstVulkanQueue * queue,
    gpointer user)
{
  GstVulkanQueue **found = user;

  if (!(device->physical_device->queue_family_props[queue->family].queueFlags
          & VK_QUEUE_COMPUTE_BIT))
    return TRUE;
  *found = gst_object_ref (queue);
  return FALSE;
}

static gboolean
find_device (GstNervVulkan * self)
{
  GError *error = NULL;

  if (!gst_vulkan_ensure_element_data (self->element, NULL, &self->instance))
    return FALSE;
  if (!gst_vulkan_instance_check_version (self->instance, 1, 2, 0)) {
    GST_DEBUG_OBJECT (self->element, "the pipeline's Vulkan is older than 1.2");
    return FALSE;
  }
  if (!gst_vulkan_device_run_context_query (self->element, &self->device)) {
    self->device = gst_vulkan_instance_create_device (self->instance, &error);
    if (!self->device) {
      GST_DEBUG_OBJECT (self->element, "no device: %s",
          error ? error->message : "");
      g_clear_error (&error);
      return FALSE;
    }
  }
  /* the queue that the images are used on, if they are already */
  if (!gst_vulkan_queue_run_context_query (self->element, &self->queue))
    gst_vulkan_device_foreach_queue (self->device, take_compute_queue,
        &self->queue);
  return self->queue != NULL;
}

static void
lock_queue (gpointer queue)
{
  gst_vulkan_queue_submit_lock (queue);
}

static void
unlock_queue (gpointer queue)
{
  gst_vulkan_queue_submit_unlock (queue);
}

NervDecoder *
gst_nerv_vulkan_open (GstNervVulkan * self,
    const NervDecoderSettings * settings, gboolean only)
{
  NervDecoder *dec = NULL;
  GError *error = NULL;

  g_rec_mutex_lock (&self->lock);
  if (find_device (self) && is_allowed (self->device, settings->device, only)) {
    const NervVulkanDevice device = {
      .instance = self->instance->instance,
      .physical = self->device->physical_device->device,
      .device = self->device->device,
      .queue_family = self->queue->family,
      .queue = self->queue->queue,
      .lock = lock_queue,
      .unlock = unlock_queue,
      .user = self->queue,
    };
    dec = nerv_decoder_new_vulkan (settings, &device, &error);
  }
  if (dec) {
    self->is_open = TRUE;
    GST_DEBUG_OBJECT (self->element, "sharing %" GST_PTR_FORMAT, self->device);
  } else {
    GST_INFO_OBJECT (self->element, "no device to share: %s",
        error ? error->message : "none, or not the one asked for");
    g_clear_error (&error);
    gst_nerv_vulkan_close (self);
  }
  g_rec_mutex_unlock (&self->lock);
  return dec;
}

gboolean
gst_nerv_vulkan_is_open (const GstNervVulkan * self)
{
  return self->is_open;
}

void
gst_nerv_vulkan_close (GstNervVulkan * self)
{
  g_rec_mutex_lock (&self->lock);
  self->is_open = FALSE;
  gst_clear_object (&self->queue);
  gst_clear_object (&self->device);
  g_rec_mutex_unlock (&self->lock);
}

/* --- images --------------------------------------------------------------- */

GstCaps *
gst_nerv_vulkan_caps (const GstVideoInfo * info)
{
  GstCaps *caps = gst_video_info_to_caps (info);

  gst_caps_set_features_simple (caps,
      gst_caps_features_new (GST_CAPS_FEATURE_MEMORY_VULKAN_IMAGE, NULL));
  return caps;
}

gboolean
gst_nerv_vulkan_decide_allocation (GstNervVulkan * self, GstQuery * query)
{
  GstBufferPool *pool = gst_vulkan_image_buffer_pool_new (self->device);
  GstStructure *config = gst_buffer_pool_get_config (pool);
  guint min = 2, max = 0, size;
  GstVideoInfo info;
  GstCaps *caps;
  gboolean ok;

  gst_query_parse_allocation (query, &caps, NULL);
  ok = caps && gst_video_info_from_caps (&info, caps);
  size = ok ? GST_VIDEO_INFO_SIZE (&info) : 0;
  if (gst_query_get_n_allocation_pools (query) > 0)
    gst_query_parse_nth_allocation_pool (query, 0, NULL, NULL, &min, &max);
  gst_buffer_pool_config_set_params (config, caps, size, min, max);
  ok = gst_buffer_pool_set_config (pool, config) && ok;
  if (gst_query_get_n_allocation_pools (query) > 0)
    gst_query_set_nth_allocation_pool (query, 0, pool, size, min, max);
  else
    gst_query_add_allocation_pool (query, pool, size, min, max);
  gst_object_unref (pool);
  return ok;
}

gboolean
gst_nerv_vulkan_render (GstNervVulkan * self, NervDecoder * dec,
    GstBuffer * buffer, const GstVideoInfo * info, GError ** error)
{
  GstMemory *memory = gst_buffer_peek_memory (buffer, 0);
  GstVulkanImageMemory *image;
  NervVulkanFrame frame;

  if (!gst_is_vulkan_image_memory (memory)) {
    g_set_error (error, NERV_ERROR, NERV_ERROR_INVALID,
        "a buffer without a Vulkan image");
    return FALSE;
  }
  image = (GstVulkanImageMemory *) memory;
  frame.image = image->image;
  frame.layout = VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL;
  frame.width = GST_VIDEO_INFO_WIDTH (info);
  frame.height = GST_VIDEO_INFO_HEIGHT (info);
  if (!nerv_decoder_render_vulkan (dec, &frame, error))
    return FALSE;
  image->barrier.image_layout = frame.layout;
  image->barrier.parent.pipeline_stages = VK_PIPELINE_STAGE_TRANSFER_BIT;
  image->barrier.parent.access_flags = VK_ACCESS_TRANSFER_WRITE_BIT;
  return TRUE;
}

#else /* HAVE_GST_VULKAN */

GstNervVulkan *
gst_nerv_vulkan_new (GstElement * element)
{
  return NULL;
}

void
gst_nerv_vulkan_free (GstNervVulkan * self)
{
}

void
gst_nerv_vulkan_set_context (GstNervVulkan * self, GstContext * context)
{
}

gboolean
gst_nerv_vulkan_handle_query (GstNervVulkan * self, GstQuery * query)
{
  return FALSE;
}

GstVideoFormat
gst_nerv_vulkan_peer_format (GstPad * pad, gboolean * only)
{
  *only = FALSE;
  return GST_VIDEO_FORMAT_UNKNOWN;
}

NervDecoder *
gst_nerv_vulkan_open (GstNervVulkan * self,
    const NervDecoderSettings * settings, gboolean only)
{
  return NULL;
}

gboolean
gst_nerv_vulkan_is_open (const GstNervVulkan * self)
{
  return FALSE;
}

void
gst_nerv_vulkan_close (GstNervVulkan * self)
{
}

GstCaps *
gst_nerv_vulkan_caps (const GstVideoInfo * info)
{
  return gst_video_info_to_caps (info);
}

gboolean
gst_nerv_vulkan_decide_allocation (GstNervVulkan * self, GstQuery * query)
{
  return FALSE;
}

gboolean
gst_nerv_vulkan_render (GstNervVulkan * self, NervDecoder * dec,
    GstBuffer * buffer, const GstVideoInfo * info, GError ** error)
{
  g_set_error (error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
      "this plugin was built without GstVulkan");
  return FALSE;
}

#endif /* HAVE_GST_VULKAN */

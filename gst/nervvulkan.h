/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Output in memory:VulkanImage: a device that nervdec shares with who shows its
 * pictures, and the pool of images that they are evaluated into. In a build
 * without GstVulkan all of it is there and says that there is no such device.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "nerv.h"

#ifdef HAVE_GST_VULKAN
#define GST_NERV_IMAGE_CAPS "; video/x-raw(memory:VulkanImage), " \
    "format = (string) { BGRA, RGBA }, "                          \
    "width = (int) [ 16, 8192 ], height = (int) [ 16, 8192 ], "   \
    "framerate = (fraction) [ 0/1, 2147483647/1 ]"
#else
#define GST_NERV_IMAGE_CAPS ""
#endif

typedef struct _GstNervVulkan GstNervVulkan;

/* Of an element, which must outlive it. */
GstNervVulkan *gst_nerv_vulkan_new (GstElement * element);
void gst_nerv_vulkan_free (GstNervVulkan * self);

/* Contexts that come from outside and questions for them, of any thread. */
void gst_nerv_vulkan_set_context (GstNervVulkan * self, GstContext * context);
gboolean gst_nerv_vulkan_handle_query (GstNervVulkan * self, GstQuery * query);

/* What a pad's peer takes: images' format, or UNKNOWN. `only` tells that it takes
 * nothing else. */
GstVideoFormat gst_nerv_vulkan_peer_format (GstPad * pad, gboolean * only);

/* A decoder on the device of the pipeline, if `settings` allow that one: the
 * device that they name, any GPU for "auto" and "vulkan", or whatever there is for
 * "auto" where downstream takes images `only`. NULL if there is none. Free the
 * decoder before close(), which gives the device up. */
NervDecoder *gst_nerv_vulkan_open (GstNervVulkan * self,
    const NervDecoderSettings * settings, gboolean only);
gboolean gst_nerv_vulkan_is_open (const GstNervVulkan * self);
void gst_nerv_vulkan_close (GstNervVulkan * self);

/* Caps of images for an info. */
GstCaps *gst_nerv_vulkan_caps (const GstVideoInfo * info);
gboolean gst_nerv_vulkan_decide_allocation (GstNervVulkan * self,
    GstQuery * query);
/* As nerv_decoder_render(), into a buffer of that pool. */
gboolean gst_nerv_vulkan_render (GstNervVulkan * self, NervDecoder * dec,
    GstBuffer * buffer, const GstVideoInfo * info, GError ** error);

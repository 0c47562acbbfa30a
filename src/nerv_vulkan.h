/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoding on a Vulkan device that the program has opened itself, into its images: frames are evaluated and shown on one device, and
 * never come to memory of the host. Only where libnerv was built with Vulkan. Vulkan 1.2, no extensions, no features.
 */
#pragma once

#include <vulkan/vulkan.h>

#include "nerv.h"

G_BEGIN_DECLS

/* A device, and a queue of it that can compute. The instance was made for Vulkan 1.2 or later. All of it must outlive what is
 * made with it. `lock` and `unlock` (both or none) are called round each use of the queue. */
typedef struct {
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    uint32_t queue_family;
    VkQueue queue;
    void (*lock)(void *user);
    void (*unlock)(void *user);
    void *user;
} NervVulkanDevice;

/* As nerv_decoder_new(), on this device whatever settings->device says. NERV_ERROR_DEVICE if it is too old or the queue can't
 * compute. Free with nerv_decoder_free(). */
NervDecoder *nerv_decoder_new_vulkan(const NervDecoderSettings *settings, const NervVulkanDevice *device,
                                     GError **error);

/* A two-dimensional image of the device: one mip level, one layer, optimal or linear tiling, usage
 * VK_IMAGE_USAGE_TRANSFER_DST_BIT, four bytes a pixel: R8G8B8A8 for an output of NERV_PIXELS_RGBX, B8G8R8A8 for NERV_PIXELS_BGRX; the fourth byte is
 * 255. width and height are the output's. It belongs to the queue's family. */
typedef struct {
    VkImage image;
    VkImageLayout layout; /* that it is left in; what it was in does not matter */
    uint32_t width, height;
} NervVulkanFrame;

/* Evaluates the frame of the last send into an image, and waits until it is there. The output (nerv_decoder_set_output()) is
 * NERV_PIXELS_RGBX or NERV_PIXELS_BGRX. Going from nerv_decoder_render() to this function, or back, costs a new plan. Errors as of
 * nerv_decoder_render(); NERV_ERROR_UNSUPPORTED without a Vulkan device; NERV_ERROR_INVALID for another output or size. */
bool nerv_decoder_render_vulkan(NervDecoder *dec, const NervVulkanFrame *frame, GError **error);

G_END_DECLS

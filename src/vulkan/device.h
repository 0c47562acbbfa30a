/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Vulkan backend's root object: instance, physical device, logical device, its one compute queue, and the
 * limits that ops ask for. Everything else in src/vulkan hangs on a NervVk. Vulkan 1.2 core is all that is
 * required.
 */
#pragma once

#include <vulkan/vulkan.h>

#include "backend/backend.h"
#include "nerv_vulkan.h"
#include "vulkan/cache.h"

typedef struct NervVkBuffer NervVkBuffer;
typedef struct NervVkHeap NervVkHeap;
typedef struct NervVkPipelines NervVkPipelines;

typedef struct {
    NervBackend base;
    /* device.c */
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger; /* VK_NULL_HANDLE without validation */
    VkPhysicalDevice physical;
    VkDevice device;
    uint32_t queue_family;
    VkQueue queue;
    NervVulkanDevice wrapped; /* the caller's, zeroed where instance and device are this object's own */
    uint64_t timestamp_mask;  /* of the bits that the queue's timestamps have; 0: it has none */
    VkPhysicalDeviceLimits limits;
    NervVkIdentity identity;
    VkDeviceSize max_allocation_bytes;
    VkPhysicalDeviceMemoryProperties memory;
    NervVkCaps caps;
    bool adds_in_subgroups; /* take the shaders' variant "subgroup" */
    bool uses_halves;       /* NERV_VULKAN_FP16=1: plans that train nothing keep values as 16-bit floats */
    bool is_lost; /* nothing is submitted any more: VK_ERROR_DEVICE_LOST, or a wait that took too long */
    /* command.c */
    VkCommandPool pool;
    VkCommandBuffer once;
    VkFence once_fence;
    /* heap.c */
    NervVkHeap *heap;
    /* memory.c: between the host and device-local buffers; made at the first transfer */
    NervVkBuffer *staging;
    /* pipeline.c */
    NervVkPipelines *pipelines;
} NervVk;

/* Opens device `index` of the driver's list, or the best hardware GPU for -1, into a zeroed `vk`. On failure
 * leaves what nerv_vk_device_clear() can free. */
bool nerv_vk_device_init(NervVk *vk, int index, GError **error);
/* Uses a device that somebody else has opened. */
bool nerv_vk_device_wrap(NervVk *vk, const NervVulkanDevice *device, GError **error);
void nerv_vk_device_clear(NervVk *vk);

/* True for VK_SUCCESS; otherwise sets the error: NERV_ERROR_MEMORY where memory ran out, else
 * NERV_ERROR_DEVICE. `what` is what was being done, for "Vulkan: cannot <what>: <result>". */
bool nerv_vk_check(NervVk *vk, VkResult result, const char *what, GError **error);
/* False with NERV_ERROR_DEVICE once the device is lost. */
bool nerv_vk_alive(const NervVk *vk, GError **error);

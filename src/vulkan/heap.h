/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Device memory. A driver may give out as few as 4096 allocations (maxMemoryAllocationCount), each slow to get and rounded up, so
 * small buffers share blocks, one list of blocks per memory type; large ones have an allocation to themselves. Only buffers
 * live here, never images, so bufferImageGranularity does not matter; mapped memory is coherent, so
 * nonCoherentAtomSize does not either. VulkanMemoryAllocator would do, but is C++ and no package of Debian 12.
 */
#pragma once

#include "vulkan/device.h"

typedef struct NervVkBlock NervVkBlock;

/* A piece of device memory. */
typedef struct {
    NervVkBlock *block; /* NULL: none */
    VkDeviceMemory handle;
    VkDeviceSize offset, bytes;
    void *mapped; /* where the host sees it; NULL if it does not */
} NervVkMemory;

void nerv_vk_heap_init(NervVk *vk);
/* Everything has been freed. */
void nerv_vk_heap_clear(NervVk *vk);

/* Memory for `buffer` of a type that has all of `flags`, mapped if they say that the host can see it. A VkResult of
 * vkAllocateMemory(), VK_ERROR_OUT_OF_DEVICE_MEMORY where no type fits, VK_ERROR_TOO_MANY_OBJECTS over the driver's number
 * of allocations; `memory` is empty then. */
VkResult nerv_vk_memory_new(NervVk *vk, VkBuffer buffer, VkMemoryPropertyFlags flags, NervVkMemory *memory);
void nerv_vk_memory_free(NervVk *vk, NervVkMemory *memory);

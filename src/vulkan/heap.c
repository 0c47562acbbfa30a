/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Blocks of device memory and what lies in them. See heap.h.
 */
#include "vulkan/heap.h"

#include "vulkan/spans.h"

/* A type's first block is small, each further one twice the last: a decoder of small pictures takes little. What needs
 * more than half a block gets an allocation of its own. */
#define MIN_BLOCK_BYTES ((VkDeviceSize)4 << 20)
#define MAX_BLOCK_BYTES ((VkDeviceSize)64 << 20)

#define LOCAL  VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
#define MAPPED (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
#define CACHED VK_MEMORY_PROPERTY_HOST_CACHED_BIT

struct NervVkBlock {
    VkDeviceMemory handle;
    uint32_t type;
    bool is_shared; /* else it holds one buffer */
    NervSpans spans;
    char *mapped;
};

struct NervVkHeap {
    GPtrArray *blocks[VK_MAX_MEMORY_TYPES]; /* shared ones, oldest first */
    uint32_t n_allocations;
};

void nerv_vk_heap_init(NervVk *vk)
{
    vk->heap = g_new0(NervVkHeap, 1);
    for (uint32_t i = 0; i < VK_MAX_MEMORY_TYPES; i++)
        vk->heap->blocks[i] = g_ptr_array_new();
}

static void block_free(NervVk *vk, NervVkBlock *block)
{
    vkFreeMemory(vk->device, block->handle, NULL); /* unmaps */
    vk->heap->n_allocations--;
    nerv_spans_clear(&block->spans);
    g_free(block);
}

void nerv_vk_heap_clear(NervVk *vk)
{
    NervVkHeap *heap = vk->heap;
    if (!heap)
        return;
    for (uint32_t i = 0; i < VK_MAX_MEMORY_TYPES; i++) {
        for (guint j = 0; j < heap->blocks[i]->len; j++)
            block_free(vk, g_ptr_array_index(heap->blocks[i], j));
        g_ptr_array_unref(heap->blocks[i]);
    }
    g_clear_pointer(&vk->heap, g_free);
}

/* One vkAllocateMemory(), for `alone` or, where that is VK_NULL_HANDLE, for sharing. */
static VkResult block_new(NervVk *vk, uint32_t type, VkDeviceSize bytes, bool map, VkBuffer alone,
                          NervVkBlock **out)
{
    const VkMemoryDedicatedAllocateInfo dedicated = { .sType =
                                                          VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
                                                      .buffer = alone };
    const VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .pNext = alone ? &dedicated : NULL,
                                        .allocationSize = bytes,
                                        .memoryTypeIndex = type };
    void *mapped = NULL;
    if (vk->heap->n_allocations >= vk->limits.maxMemoryAllocationCount)
        return VK_ERROR_TOO_MANY_OBJECTS;
    NervVkBlock *block = g_new0(NervVkBlock, 1);
    block->type = type;
    block->is_shared = !alone;
    VkResult result = vkAllocateMemory(vk->device, &info, NULL, &block->handle);
    if (result != VK_SUCCESS) {
        g_free(block);
        return result;
    }
    vk->heap->n_allocations++;
    vk->base.stats.allocations++;
    nerv_spans_init(&block->spans, bytes);
    if (map)
        result = vkMapMemory(vk->device, block->handle, 0, VK_WHOLE_SIZE, 0, &mapped);
    if (result != VK_SUCCESS) {
        block_free(vk, block);
        return result;
    }
    block->mapped = mapped;
    *out = block;
    return VK_SUCCESS;
}

static bool block_take(NervVkBlock *block, const VkMemoryRequirements *need, NervVkMemory *memory)
{
    uint64_t offset;
    const uint64_t align = MAX(need->alignment, NERV_PLAN_ALIGN);
    if (!nerv_spans_take(&block->spans, need->size, align, &offset))
        return false;
    *memory = (NervVkMemory){ .block = block,
                              .handle = block->handle,
                              .offset = offset,
                              .bytes = need->size,
                              .mapped = block->mapped ? block->mapped + offset : NULL };
    return true;
}

/* The size of a type's next block; 0 if even the smallest is out of proportion to the heap. */
static VkDeviceSize next_block_bytes(const NervVk *vk, uint32_t type)
{
    const VkDeviceSize heap = vk->memory.memoryHeaps[vk->memory.memoryTypes[type].heapIndex].size;
    const guint n = MIN(vk->heap->blocks[type]->len, 8);
    VkDeviceSize bytes = MIN(MIN_BLOCK_BYTES << n, MAX_BLOCK_BYTES);
    while (bytes >= MIN_BLOCK_BYTES && (bytes > heap / 16 || bytes > vk->max_allocation_bytes))
        bytes /= 2;
    return bytes >= MIN_BLOCK_BYTES ? bytes : 0;
}

/* From a shared block, one more of which is made if need be. */
static VkResult take_shared(NervVk *vk, uint32_t type, const VkMemoryRequirements *need, NervVkMemory *memory)
{
    GPtrArray *blocks = vk->heap->blocks[type];
    const bool map = vk->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    for (guint i = 0; i < blocks->len; i++) {
        if (block_take(g_ptr_array_index(blocks, i), need, memory))
            return VK_SUCCESS;
    }
    NervVkBlock *block;
    const VkDeviceSize bytes = next_block_bytes(vk, type);
    if (need->size > bytes / 2)
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    const VkResult result = block_new(vk, type, bytes, map, VK_NULL_HANDLE, &block);
    if (result != VK_SUCCESS)
        return result;
    g_ptr_array_add(blocks, block);
    return block_take(block, need, memory) ? VK_SUCCESS : VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

static bool is_out_of_memory(VkResult result)
{
    return result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VkResult take_type(NervVk *vk, uint32_t type, VkBuffer buffer, bool map, bool prefers_alone,
                          const VkMemoryRequirements *need, NervVkMemory *memory)
{
    NervVkBlock *block;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (!prefers_alone)
        result = take_shared(vk, type, need, memory);
    if (!is_out_of_memory(result))
        return result;
    /* Too large for a block, or no room for one: exactly what is needed may still be there. */
    result = block_new(vk, type, need->size, map, buffer, &block);
    if (result == VK_SUCCESS && !block_take(block, need, memory))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    return result;
}

VkResult nerv_vk_memory_new(NervVk *vk, VkBuffer buffer, VkMemoryPropertyFlags flags, NervVkMemory *memory)
{
    const VkBufferMemoryRequirementsInfo2 info = { .sType =
                                                       VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
                                                   .buffer = buffer };
    VkMemoryDedicatedRequirements alone = { .sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS };
    VkMemoryRequirements2 need = { .sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, .pNext = &alone };
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    vkGetBufferMemoryRequirements2(vk->device, &info, &need);
    *memory = (NervVkMemory){ 0 };
    /* The driver lists the fittest type first. */
    for (uint32_t i = 0; i < vk->memory.memoryTypeCount; i++) {
        const VkMemoryType *type = &vk->memory.memoryTypes[i];
        const VkMemoryRequirements *r = &need.memoryRequirements;
        /* Protected and device-coherent types need features that are not enabled. */
        const bool fits = (r->memoryTypeBits & (1u << i)) && (type->propertyFlags & flags) == flags &&
                          !(type->propertyFlags & ~(LOCAL | MAPPED | CACHED)) &&
                          r->size <= vk->memory.memoryHeaps[type->heapIndex].size;
        if (!fits)
            continue;
        result = take_type(vk, i, buffer, flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT,
                           alone.prefersDedicatedAllocation || alone.requiresDedicatedAllocation, r, memory);
        if (!is_out_of_memory(result))
            return result;
    }
    return result;
}

/* One empty block of a type is kept: networks come and go with segments. */
static void release_empty(NervVk *vk, uint32_t type)
{
    GPtrArray *blocks = vk->heap->blocks[type];
    bool kept = false;
    for (guint i = 0; i < blocks->len;) {
        NervVkBlock *block = g_ptr_array_index(blocks, i);
        const bool empty = nerv_spans_whole(&block->spans);
        if (empty && kept) {
            g_ptr_array_remove_index(blocks, i);
            block_free(vk, block);
            continue;
        }
        kept |= empty;
        i++;
    }
}

void nerv_vk_memory_free(NervVk *vk, NervVkMemory *memory)
{
    NervVkBlock *block = memory->block;
    if (!block)
        return;
    nerv_spans_give(&block->spans, memory->offset, memory->bytes);
    if (block->is_shared)
        release_empty(vk, block->type);
    else
        block_free(vk, block);
    *memory = (NervVkMemory){ 0 };
}

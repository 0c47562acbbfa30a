/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Buffers and transfers. Every transfer goes through one staging buffer and is ordered after all work
 * submitted before it, so a download sees the result of a pending run.
 */
#include "vulkan/memory.h"

#include <string.h>

#include "vulkan/command.h"

#define STAGING_BYTES ((size_t)4 << 20)
/* Device-local memory that the host can write is a small window on many discrete GPUs. */
#define MAX_INPUT_LOCAL_BYTES ((VkDeviceSize)16 << 20)

#define LOCAL  VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
#define MAPPED (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
#define CACHED VK_MEMORY_PROPERTY_HOST_CACHED_BIT

static VkResult allocate_kind(NervVk *vk, NervVkBuffer *buf, NervVkBufferKind kind, VkDeviceSize size)
{
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    switch (kind) {
    case NERV_VK_DEVICE:
        /* No falling back to host memory: a fit across the bus would be useless, an error is not. */
        return nerv_vk_memory_new(vk, buf->handle, LOCAL, &buf->memory);
    case NERV_VK_INPUT:
        if (size <= MAX_INPUT_LOCAL_BYTES)
            result = nerv_vk_memory_new(vk, buf->handle, MAPPED | LOCAL, &buf->memory);
        break;
    case NERV_VK_READBACK:
        result = nerv_vk_memory_new(vk, buf->handle, MAPPED | CACHED, &buf->memory);
        break;
    }
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        result = nerv_vk_memory_new(vk, buf->handle, MAPPED, &buf->memory);
    return result;
}

static bool zero(NervVk *vk, NervVkBuffer *buf, GError **error)
{
    if (buf->mapped) {
        memset(buf->mapped, 0, buf->reserved_bytes);
        return true;
    }
    VkCommandBuffer cmd = nerv_vk_once_begin(vk, error);
    if (!cmd)
        return false;
    vkCmdFillBuffer(cmd, buf->handle, 0, buf->reserved_bytes, 0);
    return nerv_vk_once_end(vk, error);
}

NervVkBuffer *nerv_vk_buffer_new(NervVk *vk, NervVkBufferKind kind, size_t bytes, GError **error)
{
    VkDeviceSize size =
        (MAX((VkDeviceSize)bytes, 1) + NERV_PLAN_ALIGN - 1) / NERV_PLAN_ALIGN * NERV_PLAN_ALIGN;
    char *what = NULL;
    NervVkBuffer *buf = g_new0(NervVkBuffer, 1);
    buf->base.be = &vk->base;
    buf->base.bytes = bytes;
    if (!nerv_vk_alive(vk, error))
        goto error;
    if (size > vk->max_allocation_bytes) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "Vulkan: a buffer of %" G_GUINT64_FORMAT
                    " MiB exceeds the device's maxMemoryAllocationSize of "
                    "%" G_GUINT64_FORMAT " MiB",
                    (guint64)size >> 20, (guint64)vk->max_allocation_bytes >> 20);
        goto error;
    }
    VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                .size = size,
                                .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                         VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                         VK_BUFFER_USAGE_TRANSFER_DST_BIT };
    what = g_strdup_printf("allocate %" G_GUINT64_FORMAT " KiB of %s memory", ((guint64)size + 1023) >> 10,
                           kind == NERV_VK_DEVICE ? "device" : "host-visible");
    if (!nerv_vk_check(vk, vkCreateBuffer(vk->device, &info, NULL, &buf->handle), what, error))
        goto error;
    if (!nerv_backend_reserve(&vk->base, size, error))
        goto error;
    buf->reserved_bytes = size;
    if (!nerv_vk_check(vk, allocate_kind(vk, buf, kind, size), what, error))
        goto error;
    if (!nerv_vk_check(vk,
                       vkBindBufferMemory(vk->device, buf->handle, buf->memory.handle, buf->memory.offset),
                       what, error))
        goto error;
    if (kind != NERV_VK_DEVICE)
        buf->mapped = buf->memory.mapped;
    if (!zero(vk, buf, error))
        goto error;
    g_free(what);
    return buf;

error:
    g_free(what);
    nerv_vk_buffer_free(buf);
    return NULL;
}

void nerv_vk_buffer_free(NervVkBuffer *buf)
{
    if (!buf)
        return;
    NervVk *vk = (NervVk *)buf->base.be;
    vkDestroyBuffer(vk->device, buf->handle, NULL);
    nerv_vk_memory_free(vk, &buf->memory);
    nerv_backend_release(&vk->base, buf->reserved_bytes);
    g_free(buf);
}

NervBuffer *nerv_vk_slot_buffer_new(NervBackend *be, size_t bytes, GError **error)
{
    NervVkBuffer *buf = nerv_vk_buffer_new((NervVk *)be, NERV_VK_DEVICE, bytes, error);
    return buf ? &buf->base : NULL;
}

void nerv_vk_slot_buffer_free(NervBuffer *buf)
{
    nerv_vk_buffer_free((NervVkBuffer *)buf);
}

static bool ensure_staging(NervVk *vk, GError **error)
{
    if (!vk->staging)
        vk->staging = nerv_vk_buffer_new(vk, NERV_VK_READBACK, STAGING_BYTES, error);
    return vk->staging != NULL;
}

static bool copy(NervVk *vk, VkBuffer from, VkDeviceSize from_offset, VkBuffer to, VkDeviceSize to_offset,
                 size_t bytes, GError **error)
{
    VkCommandBuffer cmd = nerv_vk_once_begin(vk, error);
    if (!cmd)
        return false;
    VkBufferCopy region = { .srcOffset = from_offset, .dstOffset = to_offset, .size = bytes };
    vkCmdCopyBuffer(cmd, from, to, 1, &region);
    return nerv_vk_once_end(vk, error);
}

bool nerv_vk_slot_upload(NervBuffer *buf, size_t offset, const void *src, size_t bytes, GError **error)
{
    NervVk *vk = (NervVk *)buf->be;
    NervVkBuffer *to = (NervVkBuffer *)buf;
    if (!ensure_staging(vk, error))
        return false;
    for (size_t done = 0; done < bytes; done += STAGING_BYTES) {
        size_t part = MIN(bytes - done, STAGING_BYTES);
        memcpy(vk->staging->mapped, (const char *)src + done, part);
        if (!copy(vk, vk->staging->handle, 0, to->handle, offset + done, part, error))
            return false;
    }
    return true;
}

bool nerv_vk_slot_download(NervBuffer *buf, size_t offset, void *dst, size_t bytes, GError **error)
{
    NervVk *vk = (NervVk *)buf->be;
    NervVkBuffer *from = (NervVkBuffer *)buf;
    if (!ensure_staging(vk, error))
        return false;
    for (size_t done = 0; done < bytes; done += STAGING_BYTES) {
        size_t part = MIN(bytes - done, STAGING_BYTES);
        if (!copy(vk, from->handle, offset + done, vk->staging->handle, 0, part, error))
            return false;
        memcpy((char *)dst + done, vk->staging->mapped, part);
        vk->base.stats.readbacks++;
    }
    return true;
}

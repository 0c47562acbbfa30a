/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Buffers of the Vulkan backend, each one VkBuffer in memory of heap.h, and the transfers between them and the host through a staging buffer. Accounted with
 * nerv_backend_reserve().
 */
#pragma once

#include "vulkan/heap.h"

typedef enum {
    NERV_VK_DEVICE,   /* device-local, not mapped */
    NERV_VK_INPUT,    /* written by the host, read by shaders; mapped, coherent, device-local too where that
                         exists */
    NERV_VK_READBACK, /* written by the device, read by the host; mapped, coherent, cached where that exists
                       */
} NervVkBufferKind;

struct NervVkBuffer {
    NervBuffer base;
    VkBuffer handle;
    NervVkMemory memory;
    void *mapped;                /* NULL for NERV_VK_DEVICE */
    VkDeviceSize reserved_bytes; /* a multiple of NERV_PLAN_ALIGN */
};

/* A zeroed buffer, usable for storage and transfers. */
NervVkBuffer *nerv_vk_buffer_new(NervVk *vk, NervVkBufferKind kind, size_t bytes, GError **error);
void nerv_vk_buffer_free(NervVkBuffer *buf);

/* The slots of NervBackendClass. */
NervBuffer *nerv_vk_slot_buffer_new(NervBackend *be, size_t bytes, GError **error);
void nerv_vk_slot_buffer_free(NervBuffer *buf);
bool nerv_vk_slot_upload(NervBuffer *buf, size_t offset, const void *src, size_t bytes, GError **error);
bool nerv_vk_slot_download(NervBuffer *buf, size_t offset, void *dst, size_t bytes, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The driver's compiled pipelines on disk, so that the second start need not compile: one file per device and driver in
 * the user's cache directory, "nerv/pipelines-<vendor>-<device>-<driver>.bin". NERV_VULKAN_CACHE names another directory; 0
 * turns the cache off. Drivers trust what they are given, so a file is used only if it is the user's own, whole
 * (SHA-256) and made by the very same driver; anything else counts as absent. No function here fails: without a cache
 * everything works, later.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define NERV_VK_CACHE_MAX_BYTES ((size_t)16 << 20)

/* Whose pipelines they are. */
typedef struct {
    uint32_t vendor, device, driver, driver_version; /* driver: VkDriverId */
    uint8_t uuid[16];                                /* pipelineCacheUUID */
} NervVkIdentity;

/* Where the pipelines of `id` are kept; NULL if the cache is off. Free with g_free(). */
char *nerv_vk_cache_path(const NervVkIdentity *id);
/* What was saved for exactly `id`, for VkPipelineCacheCreateInfo; NULL if there is none. */
GBytes *nerv_vk_cache_load(const char *path, const NervVkIdentity *id);
/* Replaces the file as a whole; too many bytes remove it, so that the cache starts anew. */
void nerv_vk_cache_save(const char *path, const NervVkIdentity *id, const void *data, size_t bytes);

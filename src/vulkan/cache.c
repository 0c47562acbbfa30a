/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pipeline cache's file. See cache.h. Integers are little-endian: magic, version, vendor, device, driver, driver
 * version, UUID, payload bytes, SHA-256 of the payload, payload.
 */
#include "vulkan/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC         "NERVPIPE"
#define VERSION       1u
#define HASH_BYTES    32
#define HEADER_BYTES  (8 + 5 * 4 + 16 + 8 + HASH_BYTES)
#define VULKAN_HEADER 32 /* VkPipelineCacheHeaderVersionOne */

static void put32(uint8_t *at, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    memcpy(at, &value, 4);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return GUINT32_FROM_LE(value);
}

static void make_header(const NervVkIdentity *id, const uint8_t *data, size_t bytes,
                        uint8_t header[HEADER_BYTES])
{
    gsize hash_bytes = HASH_BYTES;
    GChecksum *hash = g_checksum_new(G_CHECKSUM_SHA256);
    memcpy(header, MAGIC, 8);
    put32(header + 8, VERSION);
    put32(header + 12, id->vendor);
    put32(header + 16, id->device);
    put32(header + 20, id->driver);
    put32(header + 24, id->driver_version);
    memcpy(header + 28, id->uuid, 16);
    put32(header + 44, (uint32_t)bytes);
    put32(header + 48, 0);
    g_checksum_update(hash, data, (gssize)bytes);
    g_checksum_get_digest(hash, header + 52, &hash_bytes);
    g_checksum_free(hash);
}

char *nerv_vk_cache_path(const NervVkIdentity *id)
{
    const char *named = g_getenv("NERV_VULKAN_CACHE");
    char *name, *path;
    if (named && (!*named || strcmp(named, "0") == 0))
        return NULL;
    name = g_strdup_printf("pipelines-%08x-%08x-%u.bin", id->vendor, id->device, id->driver);
    path = named ? g_build_filename(named, name, NULL)
                 : g_build_filename(g_get_user_cache_dir(), "nerv", name, NULL);
    g_free(name);
    return path;
}

/* The whole file if nobody but the user can have written it; NULL otherwise. */
static uint8_t *read_own_file(const char *path, size_t *bytes)
{
    struct stat st;
    uint8_t *data = NULL;
    /* Neither follow a link nor wait for a pipe's other end. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        !(st.st_mode & (S_IWGRP | S_IWOTH)) && st.st_size > HEADER_BYTES &&
        (uint64_t)st.st_size <= HEADER_BYTES + NERV_VK_CACHE_MAX_BYTES)
        data = g_try_malloc((gsize)st.st_size);
    size_t done = 0;
    while (data && done < (size_t)st.st_size) {
        const ssize_t n = read(fd, data + done, (size_t)st.st_size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (data && done < (size_t)st.st_size)
        g_clear_pointer(&data, g_free);
    close(fd);
    *bytes = done;
    return data;
}

/* The header that Vulkan itself puts first names the same device. */
static bool payload_fits(const NervVkIdentity *id, const uint8_t *payload, size_t bytes)
{
    return bytes >= VULKAN_HEADER && get32(payload) == VULKAN_HEADER && get32(payload + 4) == 1 &&
           get32(payload + 8) == id->vendor && get32(payload + 12) == id->device &&
           memcmp(payload + 16, id->uuid, 16) == 0;
}

GBytes *nerv_vk_cache_load(const char *path, const NervVkIdentity *id)
{
    uint8_t header[HEADER_BYTES];
    size_t bytes;
    uint8_t *file = read_own_file(path, &bytes);
    GBytes *payload = NULL;
    if (!file)
        return NULL;
    make_header(id, file + HEADER_BYTES, bytes - HEADER_BYTES, header);
    if (memcmp(header, file, HEADER_BYTES) == 0 &&
        payload_fits(id, file + HEADER_BYTES, bytes - HEADER_BYTES))
        payload = g_bytes_new(file + HEADER_BYTES, bytes - HEADER_BYTES);
    else
        g_debug("pipelines in %s are damaged or another driver's", path);
    g_free(file);
    return payload;
}

void nerv_vk_cache_save(const char *path, const NervVkIdentity *id, const void *data, size_t bytes)
{
    GError *why = NULL;
    if (bytes > NERV_VK_CACHE_MAX_BYTES) {
        g_unlink(path);
        return;
    }
    char *directory = g_path_get_dirname(path);
    uint8_t *file = g_try_malloc(HEADER_BYTES + bytes);
    if (file) {
        memcpy(file + HEADER_BYTES, data, bytes);
        make_header(id, file + HEADER_BYTES, bytes, file);
        g_mkdir_with_parents(directory, 0700);
        if (!g_file_set_contents_full(path, (const char *)file, (gssize)(HEADER_BYTES + bytes),
                                      G_FILE_SET_CONTENTS_CONSISTENT, 0600, &why))
            g_debug("pipelines are not kept: %s", why->message);
    }
    g_clear_error(&why);
    g_free(file);
    g_free(directory);
}

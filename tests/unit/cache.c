/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pipeline cache on disk: what is saved comes back for the same driver only, damage and strange files count as absent, and
 * a device opens and computes whatever lies there. The part with a device is left out, with exit status 77, where
 * there is none.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "ops/ops.h"
#include "vulkan/cache.h"

static const NervVkIdentity identity = { .vendor = 0x10de,
                                         .device = 0x2330,
                                         .driver = 4,
                                         .driver_version = 77,
                                         .uuid = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
static uint8_t payload[300];
static char *directory, *path;

static const char *device_name(void)
{
    const char *named = g_getenv("NERV_CHECKOP_DEVICE");
    return named && g_str_has_prefix(named, "vulkan") ? named : "vulkan:0";
}

/* A payload that begins as Vulkan wants, for little-endian machines and others alike. */
static void make_payload(void)
{
    static const uint8_t head[16] = { 32, 0, 0, 0, 1, 0, 0, 0, 0xde, 0x10, 0, 0, 0x30, 0x23, 0, 0 };
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 7);
    memcpy(payload, head, sizeof(head));
    memcpy(payload + 16, identity.uuid, 16);
}

static bool loads(void)
{
    GBytes *got = nerv_vk_cache_load(path, &identity);
    const bool ok = got != NULL;
    if (got) {
        gsize bytes;
        const void *data = g_bytes_get_data(got, &bytes);
        g_assert_cmpmem(data, bytes, payload, sizeof(payload));
        g_bytes_unref(got);
    }
    return ok;
}

static void write_file(const char *data, gsize bytes)
{
    GError *error = NULL;
    g_file_set_contents(path, data, (gssize)bytes, &error);
    g_assert_no_error(error);
    g_chmod(path, 0600);
}

static void test_round_trip(void)
{
    struct stat st;
    g_assert_false(loads());
    nerv_vk_cache_save(path, &identity, payload, sizeof(payload));
    g_assert_true(loads());
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    for (int i = 0; i < 5; i++) {
        NervVkIdentity other = identity;
        other.vendor += i == 0;
        other.device += i == 1;
        other.driver += i == 2;
        other.driver_version += i == 3;
        other.uuid[15] ^= i == 4;
        g_assert_null(nerv_vk_cache_load(path, &other));
    }
    nerv_vk_cache_save(path, &identity, payload, NERV_VK_CACHE_MAX_BYTES + 1);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

/* Every byte changed, every length cut or added to. */
static void test_damage(void)
{
    char *whole, *bad;
    gsize bytes;
    nerv_vk_cache_save(path, &identity, payload, sizeof(payload));
    g_assert_true(g_file_get_contents(path, &whole, &bytes, NULL));
    for (gsize i = 0; i < bytes; i++) {
        bad = g_memdup2(whole, bytes);
        bad[i] ^= (char)(1 << i % 8);
        write_file(bad, bytes);
        g_assert_false(loads());
        write_file(whole, i);
        g_assert_false(loads());
        g_free(bad);
    }
    bad = g_malloc0(bytes + 1);
    memcpy(bad, whole, bytes);
    write_file(bad, bytes + 1);
    g_assert_false(loads());
    write_file(whole, bytes);
    g_assert_true(loads());
    g_free(bad);
    g_free(whole);
}

/* Payloads that are whole but begin wrongly. */
static void test_payload(void)
{
    for (int i = 0; i < 32; i++) {
        payload[i] ^= 0x80;
        nerv_vk_cache_save(path, &identity, payload, sizeof(payload));
        payload[i] ^= 0x80;
        g_assert_null(nerv_vk_cache_load(path, &identity));
    }
    nerv_vk_cache_save(path, &identity, payload, 31);
    g_assert_null(nerv_vk_cache_load(path, &identity));
}

/* Files that are not the user's own plain file. */
static void test_strange_files(void)
{
    char *other = g_build_filename(directory, "other.bin", NULL);
    nerv_vk_cache_save(path, &identity, payload, sizeof(payload));
    g_chmod(path, 0620);
    g_assert_false(loads());
    g_chmod(path, 0602);
    g_assert_false(loads());
    g_chmod(path, 0600);
    g_assert_true(loads());
    g_assert_cmpint(g_rename(path, other), ==, 0);
    g_assert_cmpint(symlink(other, path), ==, 0);
    g_assert_false(loads());
    nerv_vk_cache_save(path, &identity, payload, sizeof(payload)); /* replaces the link */
    g_assert_true(loads());
    g_unlink(path);
    g_unlink(other);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    g_assert_false(loads());
    g_unlink(path);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    g_assert_false(loads());
    nerv_vk_cache_save(path, &identity, payload, sizeof(payload));
    g_rmdir(path);
    g_assert_cmpint(g_file_set_contents(path, "", 0, NULL), ==, TRUE);
    g_assert_cmpint(truncate(path, ((off_t)17 << 20)), ==, 0);
    g_assert_false(loads());
    g_unlink(path);
    g_free(other);
}

static void test_path(void)
{
    g_setenv("NERV_VULKAN_CACHE", "0", TRUE);
    g_assert_null(nerv_vk_cache_path(&identity));
    g_setenv("NERV_VULKAN_CACHE", "", TRUE);
    g_assert_null(nerv_vk_cache_path(&identity));
    g_unsetenv("NERV_VULKAN_CACHE");
    char *p = nerv_vk_cache_path(&identity);
    g_assert_true(g_str_has_prefix(p, g_get_user_cache_dir()));
    g_free(p);
    g_setenv("NERV_VULKAN_CACHE", directory, TRUE);
}

/* Opens the device, adds two numbers, closes it. */
static void use_device(void)
{
    GError *error = NULL;
    const float numbers[2] = { 1.f, 2.f };
    float sum = 0.f;
    NervBackend *be = nerv_backend_open(device_name(), 1, &error);
    g_assert_no_error(error);
    NervTape *tape = nerv_tape_new();
    NervTensor *a = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 1, 1, 1), "a");
    NervTensor *b = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 1, 1, 1), "b");
    NervTensor *y = nerv_add(tape, a, b);
    nerv_tape_output(tape, y, "y");
    NervExec *exec = nerv_exec_new(be, tape, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_exec_write(exec, a, &numbers[0], &error));
    g_assert_true(nerv_exec_write(exec, b, &numbers[1], &error));
    g_assert_true(nerv_exec_run(exec, &error));
    g_assert_true(nerv_exec_read(exec, y, &sum, &error));
    g_assert_cmpfloat(sum, ==, 3.f);
    nerv_exec_free(exec);
    nerv_tape_free(tape);
    nerv_backend_free(be);
}

/* The one file in the directory; NULL if there is none. */
static char *only_file(void)
{
    GDir *dir = g_dir_open(directory, 0, NULL);
    const char *name = g_dir_read_name(dir);
    char *file = name ? g_build_filename(directory, name, NULL) : NULL;
    g_assert_null(g_dir_read_name(dir));
    g_dir_close(dir);
    return file;
}

static void test_device(void)
{
    struct stat before, after;
    char *good, *now;
    gsize bytes, now_bytes;
    g_setenv("NERV_VULKAN_CACHE", "0", TRUE);
    use_device();
    g_assert_null(only_file());
    g_setenv("NERV_VULKAN_CACHE", directory, TRUE);
    use_device();
    char *file = only_file();
    g_assert_nonnull(file);
    g_assert_true(g_file_get_contents(file, &good, &bytes, NULL));
    /* Nothing new: the file is left alone. */
    g_assert_cmpint(g_stat(file, &before), ==, 0);
    use_device();
    g_assert_cmpint(g_stat(file, &after), ==, 0);
    g_assert_cmpint(before.st_ino, ==, after.st_ino);
    /* Damage is computed round, and mended. */
    good[bytes - 1] ^= 1;
    g_assert_true(g_file_set_contents(file, good, (gssize)bytes, NULL));
    use_device();
    good[bytes - 1] ^= 1;
    g_assert_true(g_file_get_contents(file, &now, &now_bytes, NULL));
    g_assert_cmpmem(good, bytes, now, now_bytes);
    g_unlink(file);
    /* A directory that cannot be. */
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    char *below = g_build_filename(path, "deep", NULL);
    g_setenv("NERV_VULKAN_CACHE", below, TRUE);
    use_device();
    g_unlink(path);
    g_free(below);
    g_free(now);
    g_free(good);
    g_free(file);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("nerv-cache-XXXXXX", NULL);
    g_setenv("NERV_VULKAN_CACHE", directory, TRUE);
    path = nerv_vk_cache_path(&identity);
    make_payload();
    g_test_add_func("/cache/round-trip", test_round_trip);
    g_test_add_func("/cache/damage", test_damage);
    g_test_add_func("/cache/payload", test_payload);
    g_test_add_func("/cache/strange-files", test_strange_files);
    g_test_add_func("/cache/path", test_path);
    g_setenv("NERV_VULKAN_CACHE", "0", TRUE);
    NervBackend *be = nerv_backend_open(device_name(), 1, NULL);
    const bool has_device = be != NULL;
    nerv_backend_free(be);
    if (has_device)
        g_test_add_func("/cache/device", test_device);
    const int status = g_test_run();
    g_rmdir(directory);
    g_free(directory);
    g_free(path);
    return status == 0 && !has_device ? 77 : status;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Device memory of the Vulkan backend from the inside: what shares a block, what has its own, and the driver's limit on the
 * number of allocations. Skipped (77) where there is no device.
 */
#include <string.h>

#include "vulkan/memory.h"
#include "device.h"

static NervVk *open_device(void)
{
    GError *error = NULL;
    NervBackend *be = nerv_backend_open(test_vulkan_name(), 1, &error);
    g_assert_no_error(error);
    return (NervVk *)be;
}

static const struct {
    NervVkBufferKind kind;
    bool mapped;
} kinds[] = { { NERV_VK_DEVICE, false }, { NERV_VK_INPUT, true }, { NERV_VK_READBACK, true } };

/* Small buffers of a kind lie in one block without overlap; a large one lies alone at its start. */
static void test_blocks(void)
{
    NervVk *vk = open_device();
    GError *error = NULL;
    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        NervVkBuffer *a = nerv_vk_buffer_new(vk, kinds[k].kind, 1000, &error);
        g_assert_no_error(error);
        NervVkBuffer *b = nerv_vk_buffer_new(vk, kinds[k].kind, 5000, &error);
        g_assert_no_error(error);
        g_assert_true(a->memory.handle == b->memory.handle);
        g_assert_true(a->memory.offset + a->memory.bytes <= b->memory.offset ||
                      b->memory.offset + b->memory.bytes <= a->memory.offset);
        g_assert_cmpuint(a->memory.offset % NERV_PLAN_ALIGN, ==, 0);
        g_assert_cmpint(a->mapped != NULL, ==, kinds[k].mapped);
        if (kinds[k].mapped)
            g_assert_true((char *)b->mapped - (char *)a->mapped ==
                          (ptrdiff_t)(b->memory.offset - a->memory.offset));
        NervVkBuffer *large = nerv_vk_buffer_new(vk, kinds[k].kind, (size_t)65 << 20, &error);
        g_assert_no_error(error);
        g_assert_true(large->memory.handle != a->memory.handle);
        g_assert_cmpuint(large->memory.offset, ==, 0);
        g_assert_cmpint(large->mapped != NULL, ==, kinds[k].mapped);
        nerv_vk_buffer_free(large);
        nerv_vk_buffer_free(a);
        nerv_vk_buffer_free(b);
    }
    /* Buffers come and go; the block stays. */
    const uint64_t allocations = vk->base.stats.allocations;
    for (int i = 0; i < 10; i++) {
        NervVkBuffer *a = nerv_vk_buffer_new(vk, NERV_VK_DEVICE, 100000, &error);
        g_assert_no_error(error);
        nerv_vk_buffer_free(a);
    }
    g_assert_cmpuint(vk->base.stats.allocations, ==, allocations);
    nerv_backend_free(&vk->base);
}

static void test_count(void)
{
    NervVk *vk = open_device();
    GError *error = NULL;
    NervVkBuffer *small = nerv_vk_buffer_new(vk, NERV_VK_DEVICE, 1, &error);
    g_assert_no_error(error);
    const size_t before = vk->base.live_bytes;
    vk->limits.maxMemoryAllocationCount = 2;
    NervVkBuffer *large = nerv_vk_buffer_new(vk, NERV_VK_DEVICE, (size_t)65 << 20, &error);
    g_assert_no_error(error);
    g_assert_null(nerv_vk_buffer_new(vk, NERV_VK_DEVICE, (size_t)65 << 20, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_MEMORY);
    g_clear_error(&error);
    NervVkBuffer *another = nerv_vk_buffer_new(vk, NERV_VK_DEVICE, 1, &error); /* in the first one's block */
    g_assert_no_error(error);
    nerv_vk_buffer_free(large);
    large = nerv_vk_buffer_new(vk, NERV_VK_DEVICE, (size_t)65 << 20, &error);
    g_assert_no_error(error);
    nerv_vk_buffer_free(large);
    nerv_vk_buffer_free(another);
    g_assert_cmpuint(vk->base.live_bytes, ==, before);
    nerv_vk_buffer_free(small);
    nerv_backend_free(&vk->base);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    NervBackend *be = nerv_backend_open(test_vulkan_name(), 1, NULL);
    if (!be)
        return 77;
    nerv_backend_free(be);
    g_test_add_func("/heap/blocks", test_blocks);
    g_test_add_func("/heap/count", test_count);
    return g_test_run();
}

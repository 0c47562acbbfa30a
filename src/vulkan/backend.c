/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ties the parts of src/vulkan to a NervBackendClass.
 */
#include "vulkan/command.h"
#include "vulkan/exec.h"
#include "vulkan/export.h"
#include "vulkan/memory.h"
#include "vulkan/pipeline.h"
#include "vulkan/wrap.h"

static void destroy(NervBackend *be)
{
    NervVk *vk = (NervVk *)be;
    /* What was submitted to another's queue has been waited for; a lost device may hang, and this would wait without a bound. */
    if (vk->device && !vk->wrapped.device && !vk->is_lost)
        vkDeviceWaitIdle(vk->device);
    nerv_vk_buffer_free(vk->staging);
    nerv_vk_pipelines_clear(vk);
    nerv_vk_command_clear(vk);
    nerv_vk_heap_clear(vk);
    nerv_vk_device_clear(vk);
    g_free(vk);
}

static const NervBackendClass vulkan_class = {
    .name = "vulkan",
    .destroy = destroy,
    .buffer_new = nerv_vk_slot_buffer_new,
    .buffer_free = nerv_vk_slot_buffer_free,
    .upload = nerv_vk_slot_upload,
    .download = nerv_vk_slot_download,
    .exec_new = nerv_vk_slot_exec_new,
    .exec_free = nerv_vk_slot_exec_free,
    .exec_bind = nerv_vk_slot_exec_bind,
    .exec_write = nerv_vk_slot_exec_write,
    .exec_read = nerv_vk_slot_exec_read,
    .exec_run = nerv_vk_slot_exec_run,
    .exec_wait = nerv_vk_slot_exec_wait,
    .exec_set_slots = nerv_vk_slot_exec_set_slots,
    .exec_profile = nerv_vk_slot_exec_profile,
    .exec_keep_outputs = nerv_vk_slot_exec_keep_outputs,
    .exec_export = nerv_vk_slot_exec_export,
    .exec_export_wait = nerv_vk_slot_exec_export_wait,
};

static NervVk *vulkan_new(void)
{
    NervVk *vk = g_new0(NervVk, 1);
    vk->base.klass = &vulkan_class;
    nerv_vk_heap_init(vk);
    return vk;
}

/* With its device open, or not. */
static NervBackend *finish(NervVk *vk, bool is_open, GError **error)
{
    if (is_open && nerv_vk_command_init(vk, error) && nerv_vk_pipelines_init(vk, error))
        return &vk->base;
    destroy(&vk->base);
    return NULL;
}

NervBackend *nerv_vulkan_backend_new(int index, GError **error)
{
    NervVk *vk = vulkan_new();
    return finish(vk, nerv_vk_device_init(vk, index, error), error);
}

NervBackend *nerv_vulkan_backend_wrap(const NervVulkanDevice *device, GError **error)
{
    NervVk *vk = vulkan_new();
    return finish(vk, nerv_vk_device_wrap(vk, device, error), error);
}

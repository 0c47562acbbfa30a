/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A run's pixels become an image by one vkCmdCopyBufferToImage(): images of others lack the usage that shaders need to store
 * to them, and a copy within the device's memory costs less than any convolution. It is a submission of its own behind the run's,
 * so that the next run can be behind it and go on while the image is shown.
 */
#include "vulkan/export.h"

#include "vulkan/command.h"
#include "vulkan/memory.h"

bool nerv_vk_slot_exec_keep_outputs(NervExec *base, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    NervVkBuffer *kept[NERV_MAX_SLOTS] = { NULL };
    bool ok = nerv_vk_exec_wait_all(exec, error);
    if (ok && !exec->export_cmd)
        ok = (exec->export_cmd = nerv_vk_command_new(exec->vk, error)) != VK_NULL_HANDLE;
    if (ok && !exec->export_fence)
        ok = (exec->export_fence = nerv_vk_fence_new(exec->vk, error)) != VK_NULL_HANDLE;
    for (uint32_t i = 0; ok && i < base->n_slots; i++)
        ok = (kept[i] = nerv_vk_buffer_new(exec->vk, NERV_VK_DEVICE, exec->output_bytes, error)) != NULL;
    for (uint32_t i = 0; i < base->n_slots; i++) {
        NervVkSlot *slot = &exec->slots[i];
        nerv_vk_buffer_free(ok ? slot->readback : kept[i]);
        if (!ok)
            continue;
        slot->readback = kept[i];
        slot->is_stale = true;
    }
    return ok;
}

/* What the image has been used for before, whatever that was, is over; what was in it is lost. */
static void image_barrier(VkCommandBuffer cmd, VkImage image, VkImageLayout from, VkImageLayout to,
                          bool is_end)
{
    const VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcAccessMask = is_end ? VK_ACCESS_TRANSFER_WRITE_BIT : VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask =
            is_end ? VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT : VK_ACCESS_TRANSFER_WRITE_BIT,
        .oldLayout = from,
        .newLayout = to,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = image,
        .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
    };
    vkCmdPipelineBarrier(cmd, is_end ? VK_PIPELINE_STAGE_TRANSFER_BIT : VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                         is_end ? VK_PIPELINE_STAGE_ALL_COMMANDS_BIT : VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 0,
                         NULL, 0, NULL, 1, &barrier);
}

static bool record(NervVkExec *exec, VkDeviceSize offset, const NervVulkanFrame *frame, GError **error)
{
    const VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT };
    VkCommandBuffer cmd = exec->export_cmd;
    const VkBufferImageCopy region = { .bufferOffset = offset,
                                       .imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
                                       .imageExtent = { frame->width, frame->height, 1 } };
    if (!nerv_vk_check(exec->vk, vkBeginCommandBuffer(cmd, &info), "begin a command buffer", error))
        return false;
    exec->vk->base.stats.recordings++;
    nerv_vk_barrier_all(cmd);
    image_barrier(cmd, frame->image, VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, false);
    vkCmdCopyBufferToImage(cmd, exec->slots[exec->base.slot].readback->handle, frame->image,
                           VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
    image_barrier(cmd, frame->image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, frame->layout, true);
    return nerv_vk_check(exec->vk, vkEndCommandBuffer(cmd), "record a command buffer", error);
}

bool nerv_vk_slot_exec_export(NervExec *base, const NervTensor *output, size_t offset, const void *target,
                              GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    const NervVulkanFrame *frame = target;
    const size_t bytes = (size_t)frame->width * frame->height * 4;
    if (bytes == 0 || offset % 4 || bytes > nerv_tensor_bytes(output) - offset) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "an image of %ux%u pixels of 4 bytes is not what is there", frame->width, frame->height);
        return false;
    }
    if (!nerv_vk_slot_exec_export_wait(base, error) ||
        !record(exec, exec->output[output->id] + offset, frame, error) ||
        !nerv_vk_submit(exec->vk, exec->export_cmd, exec->export_fence, error))
        return false;
    exec->is_exporting = true;
    return true;
}

bool nerv_vk_slot_exec_export_wait(NervExec *base, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    if (!exec->is_exporting)
        return true;
    exec->is_exporting = false;
    return nerv_vk_fence_wait(exec->vk, exec->export_fence, error);
}

void nerv_vk_export_clear(NervVkExec *exec)
{
    nerv_vk_slot_exec_export_wait(&exec->base, NULL);
    vkDestroyFence(exec->vk->device, exec->export_fence, NULL);
    if (exec->export_cmd)
        vkFreeCommandBuffers(exec->vk->device, exec->vk->pool, 1, &exec->export_cmd);
}

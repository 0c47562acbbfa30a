/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Command buffers, fences and barriers. Memory barriers are global: a plan's buffers are few and large, and
 * one global barrier costs a driver no more than a list of ranges.
 */
#include "vulkan/command.h"

bool nerv_vk_command_init(NervVk *vk, GError **error)
{
    VkCommandPoolCreateInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                     .queueFamilyIndex = vk->queue_family };
    if (!nerv_vk_check(vk, vkCreateCommandPool(vk->device, &info, NULL, &vk->pool), "create a command pool",
                       error))
        return false;
    vk->once = nerv_vk_command_new(vk, error);
    if (!vk->once)
        return false;
    vk->once_fence = nerv_vk_fence_new(vk, error);
    return vk->once_fence != VK_NULL_HANDLE;
}

void nerv_vk_command_clear(NervVk *vk)
{
    if (!vk->device)
        return;
    vkDestroyFence(vk->device, vk->once_fence, NULL);
    vkDestroyCommandPool(vk->device, vk->pool, NULL);
    vk->once_fence = VK_NULL_HANDLE;
    vk->pool = VK_NULL_HANDLE;
    vk->once = VK_NULL_HANDLE;
}

VkCommandBuffer nerv_vk_command_new(NervVk *vk, GError **error)
{
    VkCommandBufferAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                         .commandPool = vk->pool,
                                         .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                         .commandBufferCount = 1 };
    VkCommandBuffer cmd = VK_NULL_HANDLE;
    if (!nerv_vk_check(vk, vkAllocateCommandBuffers(vk->device, &info, &cmd), "allocate a command buffer",
                       error))
        return VK_NULL_HANDLE;
    return cmd;
}

VkFence nerv_vk_fence_new(NervVk *vk, GError **error)
{
    VkFenceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
    VkFence fence = VK_NULL_HANDLE;
    if (!nerv_vk_check(vk, vkCreateFence(vk->device, &info, NULL, &fence), "create a fence", error))
        return VK_NULL_HANDLE;
    return fence;
}

bool nerv_vk_submit(NervVk *vk, VkCommandBuffer cmd, VkFence fence, GError **error)
{
    VkSubmitInfo submit = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                            .commandBufferCount = 1,
                            .pCommandBuffers = &cmd };
    if (!nerv_vk_alive(vk, error))
        return false;
    vk->base.stats.submissions++;
    if (vk->wrapped.lock)
        vk->wrapped.lock(vk->wrapped.user);
    const VkResult result = vkQueueSubmit(vk->queue, 1, &submit, fence);
    if (vk->wrapped.unlock)
        vk->wrapped.unlock(vk->wrapped.user);
    return nerv_vk_check(vk, result, "submit work", error);
}

/* The bound is for a device that hangs without its driver's noticing, most of which takes ten seconds. It is far from what one submission's work takes, which
 * is a step or a frame; software may be slow without hanging. */
static uint64_t longest_wait_ns(const NervVk *vk)
{
    return (vk->base.is_software ? UINT64_C(3600) : UINT64_C(120)) * 1000000000;
}

bool nerv_vk_fence_wait(NervVk *vk, VkFence fence, GError **error)
{
    return nerv_vk_alive(vk, error) &&
           nerv_vk_check(vk, vkWaitForFences(vk->device, 1, &fence, VK_TRUE, longest_wait_ns(vk)),
                         "wait for work", error) &&
           nerv_vk_check(vk, vkResetFences(vk->device, 1, &fence), "reset a fence", error);
}

VkCommandBuffer nerv_vk_once_begin(NervVk *vk, GError **error)
{
    VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT };
    if (!nerv_vk_alive(vk, error) ||
        !nerv_vk_check(vk, vkBeginCommandBuffer(vk->once, &info), "begin a command buffer", error))
        return VK_NULL_HANDLE;
    vk->base.stats.recordings++;
    nerv_vk_barrier_all(vk->once);
    return vk->once;
}

bool nerv_vk_once_end(NervVk *vk, GError **error)
{
    nerv_vk_barrier_to_host(vk->once);
    return nerv_vk_check(vk, vkEndCommandBuffer(vk->once), "record a command buffer", error) &&
           nerv_vk_submit(vk, vk->once, vk->once_fence, error) &&
           nerv_vk_fence_wait(vk, vk->once_fence, error);
}

static void barrier(VkCommandBuffer cmd, VkPipelineStageFlags from, VkAccessFlags from_access,
                    VkPipelineStageFlags to, VkAccessFlags to_access)
{
    VkMemoryBarrier memory = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                               .srcAccessMask = from_access,
                               .dstAccessMask = to_access };
    vkCmdPipelineBarrier(cmd, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

void nerv_vk_barrier_all(VkCommandBuffer cmd)
{
    const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    const VkAccessFlags reads = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;
    barrier(cmd, stages, writes, stages, reads | writes);
}

void nerv_vk_barrier_compute(VkCommandBuffer cmd)
{
    barrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT);
}

void nerv_vk_barrier_to_transfer(VkCommandBuffer cmd)
{
    barrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT,
            VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_READ_BIT);
}

void nerv_vk_barrier_to_host(VkCommandBuffer cmd)
{
    barrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_HOST_READ_BIT);
}

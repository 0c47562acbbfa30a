/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The command pool, one-shot submissions for transfers, and the few barriers that the backend uses.
 */
#pragma once

#include "vulkan/device.h"

bool nerv_vk_command_init(NervVk *vk, GError **error);
void nerv_vk_command_clear(NervVk *vk);

/* Starts the one-shot command buffer, after a barrier against everything submitted before; NULL on failure.
 * Only one at a time. */
VkCommandBuffer nerv_vk_once_begin(NervVk *vk, GError **error);
/* Submits it and waits for it. Its transfers are visible to the host and to later submissions. */
bool nerv_vk_once_end(NervVk *vk, GError **error);

VkCommandBuffer nerv_vk_command_new(NervVk *vk, GError **error);
VkFence nerv_vk_fence_new(NervVk *vk, GError **error);
bool nerv_vk_submit(NervVk *vk, VkCommandBuffer cmd, VkFence fence, GError **error);
/* Waits for the fence and resets it. */
bool nerv_vk_fence_wait(NervVk *vk, VkFence fence, GError **error);

/* Everything that shaders and transfers did before is done and visible to shaders and transfers after. */
void nerv_vk_barrier_all(VkCommandBuffer cmd);
/* What shaders wrote or read before may be read or overwritten by shaders after. */
void nerv_vk_barrier_compute(VkCommandBuffer cmd);
/* What shaders wrote before may be copied after. */
void nerv_vk_barrier_to_transfer(VkCommandBuffer cmd);
/* What was copied before may be read by the host once the submission's fence is signalled. */
void nerv_vk_barrier_to_host(VkCommandBuffer cmd);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Compute pipelines, made once per shader and values of its specialisation constants and kept for the life of
 * the backend. All share one descriptor set layout per number of bindings and 128 bytes of push constants.
 */
#pragma once

#include "vulkan/device.h"

bool nerv_vk_pipelines_init(NervVk *vk, GError **error);
void nerv_vk_pipelines_clear(NervVk *vk);

/* The layouts for n_bind storage buffers, 0..NERV_MAX_BIND; false on failure. */
bool nerv_vk_layout(NervVk *vk, uint32_t n_bind, VkDescriptorSetLayout *set, VkPipelineLayout *layout,
                    GError **error);
/* The pipeline of a dispatch; owned by `vk`. VK_NULL_HANDLE on failure, with an error that names the shader.
 */
VkPipeline nerv_vk_pipeline(NervVk *vk, const NervDispatch *dispatch, GError **error);

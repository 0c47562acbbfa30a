/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Functions of Vulkan's loader that fail on demand, see faults.h. They take effect because the program exports them (meson's
 * export_dynamic), which the dynamic linker finds before the library's.
 */
#include "faults.h"

#include <dlfcn.h>
#include <vulkan/vulkan.h>

static FaultKind kind;
static guint first, calls; /* all calls come from one thread at a time */
static gboolean is_open;

void faults_set(FaultKind new_kind, guint new_first)
{
    kind = new_kind;
    first = new_first;
    calls = 0;
    is_open = FALSE;
}

guint faults_calls(void)
{
    return calls;
}

static gpointer real(const char *name)
{
    gpointer function = dlsym(RTLD_NEXT, name);
    g_assert_nonnull(function);
    return function;
}

#define REAL(name) ((PFN_##name)real(#name))

/* Whether this call fails, of a function that faults of kind `its` come from. */
static gboolean fails(FaultKind its, VkDevice device)
{
    if (kind != its || !is_open)
        return FALSE;
    calls++;
    if (first == 0 || calls < first)
        return FALSE;
    REAL(vkDeviceWaitIdle)(device);
    return TRUE;
}

VkResult vkCreateBuffer(VkDevice device, const VkBufferCreateInfo *info, const VkAllocationCallbacks *with,
                        VkBuffer *out)
{
    is_open = TRUE;
    return fails(FAULT_MEMORY, device) ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                                       : REAL(vkCreateBuffer)(device, info, with, out);
}

/* --- what loses the device --- */

static VkDevice queue_of; /* a queue does not say whose it is */

void vkGetDeviceQueue(VkDevice device, uint32_t family, uint32_t index, VkQueue *queue)
{
    queue_of = device;
    REAL(vkGetDeviceQueue)(device, family, index, queue);
}

VkResult vkQueueSubmit(VkQueue queue, uint32_t n, const VkSubmitInfo *submits, VkFence fence)
{
    if (fails(FAULT_LOST, queue_of))
        return VK_ERROR_DEVICE_LOST;
    return fails(FAULT_MEMORY, queue_of) ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                                         : REAL(vkQueueSubmit)(queue, n, submits, fence);
}

VkResult vkWaitForFences(VkDevice device, uint32_t n, const VkFence *fences, VkBool32 all, uint64_t ns)
{
    if (fails(FAULT_LOST, device))
        return VK_ERROR_DEVICE_LOST;
    g_assert_cmpuint(ns, <, UINT64_MAX);
    return fails(FAULT_TIMEOUT, device) ? VK_TIMEOUT : REAL(vkWaitForFences)(device, n, fences, all, ns);
}

/* --- what allocates --- */

VkResult vkMapMemory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                     VkMemoryMapFlags flags, void **out)
{
    return fails(FAULT_MAP, device) ? VK_ERROR_MEMORY_MAP_FAILED
                                    : REAL(vkMapMemory)(device, memory, offset, size, flags, out);
}

#define OUT_OF_MEMORY(name, parameters, arguments)                                                           \
    VkResult name parameters                                                                                 \
    {                                                                                                        \
        return fails(FAULT_MEMORY, device) ? VK_ERROR_OUT_OF_DEVICE_MEMORY : REAL(name) arguments;           \
    }

/* clang-format off */
OUT_OF_MEMORY(vkAllocateMemory, (VkDevice device, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *with, VkDeviceMemory *out), (device, info, with, out))
OUT_OF_MEMORY(vkBindBufferMemory, (VkDevice device, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset), (device, buffer, memory, offset))
OUT_OF_MEMORY(vkCreateFence, (VkDevice device, const VkFenceCreateInfo *info, const VkAllocationCallbacks *with, VkFence *out), (device, info, with, out))
OUT_OF_MEMORY(vkCreateShaderModule, (VkDevice device, const VkShaderModuleCreateInfo *info, const VkAllocationCallbacks *with, VkShaderModule *out), (device, info, with, out))
OUT_OF_MEMORY(vkCreateComputePipelines, (VkDevice device, VkPipelineCache cache, uint32_t n, const VkComputePipelineCreateInfo *infos, const VkAllocationCallbacks *with, VkPipeline *out), (device, cache, n, infos, with, out))
OUT_OF_MEMORY(vkCreatePipelineLayout, (VkDevice device, const VkPipelineLayoutCreateInfo *info, const VkAllocationCallbacks *with, VkPipelineLayout *out), (device, info, with, out))
OUT_OF_MEMORY(vkCreateDescriptorSetLayout, (VkDevice device, const VkDescriptorSetLayoutCreateInfo *info, const VkAllocationCallbacks *with, VkDescriptorSetLayout *out), (device, info, with, out))
OUT_OF_MEMORY(vkCreateDescriptorPool, (VkDevice device, const VkDescriptorPoolCreateInfo *info, const VkAllocationCallbacks *with, VkDescriptorPool *out), (device, info, with, out))
OUT_OF_MEMORY(vkAllocateDescriptorSets, (VkDevice device, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *out), (device, info, out))
OUT_OF_MEMORY(vkAllocateCommandBuffers, (VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out), (device, info, out))
/* clang-format on */

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Executable plans of the Vulkan backend. exec.c makes them, record.c turns them into command buffers and runs those;
 * the functions are slots of NervBackendClass. A plan has one command buffer per slot (nerv_exec_set_slots()), recorded
 * at the slot's first run and again only after a leaf was bound elsewhere or profiling was switched.
 */
#pragma once

#include "vulkan/device.h"

typedef struct {
    NervDispatch d;
    const NervStep *step;
    VkPipeline pipeline;
    VkPipelineLayout layout;
    VkDescriptorSetLayout set_layout;
    uint32_t
        first_spare; /* offset of this dispatch's share of the spare region, in units of NERV_PLAN_ALIGN */
    bool barrier_before;
} NervVkDispatch;

typedef struct {
    const NervVkBuffer *buf; /* NULL: not bound */
    VkDeviceSize offset;
} NervVkLocation;

/* What runs in flight must not share. */
typedef struct {
    NervVkBuffer *inputs;
    NervVkBuffer *readback; /* outputs; on the device if the exec keeps them there */
    VkDescriptorPool pool;
    VkDescriptorSet *sets; /* by dispatch */
    VkCommandBuffer cmd;
    VkFence fence;
    VkQueryPool queries; /* a time before the first step and after each; VK_NULL_HANDLE: not profiled yet */
    bool is_stale;       /* descriptors and commands do not match the leaves' places */
    bool is_pending;
    bool is_timed; /* the commands take times */
} NervVkSlot;

typedef struct {
    NervExec base;
    NervVk *vk;
    NervVkDispatch *dispatches;
    uint32_t n_dispatches;
    uint32_t n_descriptors;
    uint32_t n_tensors;
    NervVkLocation
        *leaf; /* by tensor id; of an INPUT leaf the offset alone counts, its buffer is the slot's */
    VkDeviceSize *output; /* by tensor id: offset in a slot's readback; NERV_VK_NO_OUTPUT: none */
    size_t input_bytes, output_bytes;
    NervVkBuffer *arena; /* the plan's arena, then a spare bit for each operand that is absent or dead */
    NervVkBuffer *consts;
    size_t spare_offset;
    NervVkSlot slots[NERV_MAX_SLOTS];
    /* export.c */
    VkCommandBuffer export_cmd;
    VkFence export_fence;
    bool is_exporting;
    bool is_profiled;
    bool *is_half; /* by id of a tensor that is no view: it is kept as 16-bit floats */
} NervVkExec;

#define NERV_VK_NO_OUTPUT UINT64_MAX

/* exec.c */
NervExec *nerv_vk_slot_exec_new(NervBackend *be, NervTape *tape, GError **error);
void nerv_vk_slot_exec_free(NervExec *exec);
bool nerv_vk_slot_exec_set_slots(NervExec *exec, uint32_t n_slots, GError **error);
/* Where operand i of a dispatch lives in the plan. */
const NervPlace *nerv_vk_place_of(const NervVkDispatch *dispatch, uint32_t i);
/* Bytes that its descriptor covers. */
VkDeviceSize nerv_vk_range_of(const NervVkExec *exec, const NervVkDispatch *dispatch, uint32_t i);

/* record.c */
bool nerv_vk_slot_exec_bind(NervExec *exec, const NervTensor *leaf, NervBuffer *buf, size_t offset,
                            GError **error);
bool nerv_vk_slot_exec_write(NervExec *exec, const NervTensor *leaf, const void *src, GError **error);
bool nerv_vk_slot_exec_read(NervExec *exec, const NervTensor *output, void *dst, GError **error);
bool nerv_vk_slot_exec_run(NervExec *exec, GError **error);
bool nerv_vk_slot_exec_wait(NervExec *exec, GError **error);
bool nerv_vk_slot_exec_profile(NervExec *exec, bool on, GError **error);
/* Waits for every slot. */
bool nerv_vk_exec_wait_all(NervVkExec *exec, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Recording and running: descriptors are written and commands recorded at a slot's first run, and again only where that
 * no longer fits; a run is one vkQueueSubmit(). Slots share the arena: each slot's commands begin with a barrier against
 * everything before, and the queue keeps their order. With profiling on, steps are kept apart by barriers and a time is taken after
 * each.
 */
#include "vulkan/exec.h"

#include <string.h>

#include "vulkan/command.h"
#include "vulkan/memory.h"

static NervVkSlot *current(NervVkExec *exec)
{
    return &exec->slots[exec->base.slot];
}

/* Where a place lies for a slot; false if it is a leaf that nobody bound. */
static bool locate(const NervVkExec *exec, const NervVkSlot *slot, const NervPlace *place, NervVkLocation *at,
                   GError **error)
{
    if (place->kind == NERV_PLACE_ARENA) {
        *at = (NervVkLocation){ exec->arena, place->offset };
        return true;
    }
    *at = exec->leaf[place->tensor->id];
    if (place->tensor->kind == NERV_TENSOR_INPUT)
        at->buf = slot->inputs;
    if (!at->buf)
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "parameter %s is not bound to a buffer",
                    place->tensor->name ? place->tensor->name : "(unnamed)");
    return at->buf != NULL;
}

/* Each absent or dead operand gets a spare piece of its own: sharing one would look like a race to the
 * validation layer. */
static bool write_set(NervVkExec *exec, const NervVkSlot *slot, uint32_t index, GError **error)
{
    const NervVkDispatch *dispatch = &exec->dispatches[index];
    VkDescriptorBufferInfo infos[NERV_MAX_BIND];
    VkWriteDescriptorSet writes[NERV_MAX_BIND];
    size_t spare = exec->spare_offset + (size_t)dispatch->first_spare * NERV_PLAN_ALIGN;
    for (uint32_t i = 0; i < dispatch->d.n_bind; i++) {
        const NervPlace *place = nerv_vk_place_of(dispatch, i);
        NervVkLocation at = { exec->arena, spare };
        if (place->kind == NERV_PLACE_NONE)
            spare += NERV_PLAN_ALIGN;
        else if (!locate(exec, slot, place, &at, error))
            return false;
        infos[i] = (VkDescriptorBufferInfo){ at.buf->handle, at.offset, nerv_vk_range_of(exec, dispatch, i) };
        writes[i] = (VkWriteDescriptorSet){ .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                            .dstSet = slot->sets[index],
                                            .dstBinding = i,
                                            .descriptorCount = 1,
                                            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                            .pBufferInfo = &infos[i] };
    }
    exec->vk->base.stats.descriptors++;
    vkUpdateDescriptorSets(exec->vk->device, dispatch->d.n_bind, writes, 0, NULL);
    return true;
}

static void record_dispatch(const NervVkSlot *slot, const NervVkDispatch *dispatch, VkDescriptorSet set,
                            VkPipeline *bound)
{
    const NervDispatch *d = &dispatch->d;
    if (dispatch->pipeline != *bound)
        vkCmdBindPipeline(slot->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->pipeline);
    *bound = dispatch->pipeline;
    vkCmdBindDescriptorSets(slot->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->layout, 0, 1, &set, 0, NULL);
    if (d->n_push)
        vkCmdPushConstants(slot->cmd, dispatch->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->n_push * 4,
                           d->push);
    vkCmdDispatch(slot->cmd, d->groups[0], d->groups[1], d->groups[2]);
}

static void record_steps(const NervVkExec *exec, const NervVkSlot *slot)
{
    const NervStep *steps = exec->base.plan->steps, *last = NULL;
    VkPipeline bound = VK_NULL_HANDLE;
    for (uint32_t i = 0; i < exec->n_dispatches; i++) {
        const NervVkDispatch *dispatch = &exec->dispatches[i];
        const bool begins = dispatch->step != last;
        if (slot->is_timed && begins)
            vkCmdWriteTimestamp(slot->cmd, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, slot->queries,
                                (uint32_t)(dispatch->step - steps));
        if (dispatch->barrier_before || (slot->is_timed && begins))
            nerv_vk_barrier_compute(slot->cmd);
        record_dispatch(slot, dispatch, slot->sets[i], &bound);
        last = dispatch->step;
    }
    if (slot->is_timed)
        vkCmdWriteTimestamp(slot->cmd, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, slot->queries,
                            exec->base.plan->n_steps);
}

static void record_outputs(const NervVkExec *exec, const NervVkSlot *slot)
{
    nerv_vk_barrier_to_transfer(slot->cmd);
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        const NervPlace *place = &exec->base.plan->place[i];
        NervVkLocation at;
        if (exec->output[i] == NERV_VK_NO_OUTPUT || !locate(exec, slot, place, &at, NULL))
            continue;
        VkBufferCopy region = { .srcOffset = at.offset, .dstOffset = exec->output[i], .size = place->bytes };
        vkCmdCopyBuffer(slot->cmd, at.buf->handle, slot->readback->handle, 1, &region);
    }
    if (!exec->base.keeps_outputs) /* else who copies them on has a barrier */
        nerv_vk_barrier_to_host(slot->cmd);
}

/* An output may be a parameter that no step reads. */
static bool check_outputs(const NervVkExec *exec, const NervVkSlot *slot, GError **error)
{
    NervVkLocation at;
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        if (exec->output[i] != NERV_VK_NO_OUTPUT &&
            !locate(exec, slot, &exec->base.plan->place[i], &at, error))
            return false;
    }
    return true;
}

static bool record(NervVkExec *exec, NervVkSlot *slot, GError **error)
{
    VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
    for (uint32_t i = 0; i < exec->n_dispatches; i++) {
        if (!write_set(exec, slot, i, error))
            return false;
    }
    if (!check_outputs(exec, slot, error) ||
        !nerv_vk_check(exec->vk, vkBeginCommandBuffer(slot->cmd, &info), "begin a command buffer", error))
        return false;
    exec->vk->base.stats.recordings++;
    slot->is_timed = exec->is_profiled;
    nerv_vk_barrier_all(slot->cmd);
    if (slot->is_timed)
        vkCmdResetQueryPool(slot->cmd, slot->queries, 0, exec->base.plan->n_steps + 1);
    record_steps(exec, slot);
    if (slot->readback)
        record_outputs(exec, slot);
    if (!nerv_vk_check(exec->vk, vkEndCommandBuffer(slot->cmd), "record a plan", error))
        return false;
    slot->is_stale = false;
    return true;
}

/* --- times --- */

static bool make_queries(NervVkExec *exec, NervVkSlot *slot, GError **error)
{
    NervVk *vk = exec->vk;
    VkQueryPoolCreateInfo info = { .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                   .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                   .queryCount = exec->base.plan->n_steps + 1 };
    return slot->queries || nerv_vk_check(vk, vkCreateQueryPool(vk->device, &info, NULL, &slot->queries),
                                          "create a pool of timestamps", error);
}

/* Adds a finished run's times to the plan's profile. */
static bool collect_times(NervVkExec *exec, const NervVkSlot *slot, GError **error)
{
    NervVk *vk = exec->vk;
    const uint32_t n = exec->base.plan->n_steps;
    NervPlanProfile *profile = &exec->base.plan->profile;
    uint64_t *ticks = g_new0(uint64_t, n + 1);
    const bool ok = nerv_vk_check(vk,
                                  vkGetQueryPoolResults(vk->device, slot->queries, 0, n + 1,
                                                        (n + 1) * sizeof(*ticks), ticks, sizeof(*ticks),
                                                        VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                                  "read timestamps", error);
    if (ok && profile->step_ns) {
        for (uint32_t i = 0; i < n; i++)
            profile->step_ns[i] += (uint64_t)((double)((ticks[i + 1] - ticks[i]) & vk->timestamp_mask) *
                                              (double)vk->limits.timestampPeriod);
        profile->n_runs++;
    }
    g_free(ticks);
    return ok;
}

bool nerv_vk_slot_exec_profile(NervExec *base, bool on, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    if (on && !exec->vk->timestamp_mask) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "%s has no timestamps on its compute queue",
                    exec->vk->base.description);
        return false;
    }
    if (!nerv_vk_exec_wait_all(exec, error))
        return false;
    for (uint32_t i = 0; i < base->n_slots; i++)
        exec->slots[i].is_stale |= exec->is_profiled != on;
    exec->is_profiled = on;
    return true;
}

/* --- slots of the backend --- */

bool nerv_vk_slot_exec_bind(NervExec *base, const NervTensor *leaf, NervBuffer *buf, size_t offset,
                            GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    NervVkLocation *at = &exec->leaf[leaf->id];
    const NervVkBuffer *to = (const NervVkBuffer *)buf;
    if (at->buf == to && at->offset == offset)
        return true;
    if (!nerv_vk_exec_wait_all(exec, error))
        return false;
    *at = (NervVkLocation){ to, offset };
    for (uint32_t i = 0; i < NERV_MAX_SLOTS; i++)
        exec->slots[i].is_stale = true;
    return true;
}

bool nerv_vk_slot_exec_write(NervExec *base, const NervTensor *leaf, const void *src, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    if (!nerv_vk_slot_exec_wait(base, error))
        return false;
    memcpy((char *)current(exec)->inputs->mapped + exec->leaf[leaf->id].offset, src, nerv_tensor_bytes(leaf));
    return true;
}

bool nerv_vk_slot_exec_read(NervExec *base, const NervTensor *output, void *dst, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    if (!nerv_vk_slot_exec_wait(base, error))
        return false;
    memcpy(dst, (const char *)current(exec)->readback->mapped + exec->output[output->id],
           nerv_tensor_bytes(output));
    return true;
}

bool nerv_vk_slot_exec_run(NervExec *base, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    NervVkSlot *slot = current(exec);
    if (!nerv_vk_slot_exec_wait(base, error) || nerv_backend_cancelled(base->be, error))
        return false;
    if (exec->is_profiled && !make_queries(exec, slot, error))
        return false;
    if (slot->is_stale && !record(exec, slot, error))
        return false;
    if (!nerv_vk_submit(exec->vk, slot->cmd, slot->fence, error))
        return false;
    slot->is_pending = true;
    base->be->stats.readbacks += slot->readback && !base->keeps_outputs;
    return true;
}

static bool wait_slot(NervVkExec *exec, NervVkSlot *slot, GError **error)
{
    if (!slot->is_pending)
        return true;
    slot->is_pending = false;
    return nerv_vk_fence_wait(exec->vk, slot->fence, error) &&
           (!slot->is_timed || collect_times(exec, slot, error));
}

bool nerv_vk_slot_exec_wait(NervExec *base, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    return wait_slot(exec, current(exec), error);
}

bool nerv_vk_exec_wait_all(NervVkExec *exec, GError **error)
{
    bool ok = true;
    for (uint32_t i = 0; i < NERV_MAX_SLOTS; i++)
        ok &= wait_slot(exec, &exec->slots[i], ok ? error : NULL);
    return ok;
}

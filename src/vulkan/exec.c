/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Making a plan executable: every step's dispatches become pipelines, memory is laid out, slots get what they need to be
 * in flight. Knows no op: each one's dispatch rule says what to run. record.c does the rest.
 */
#include "vulkan/exec.h"

#include <string.h>

#include "vulkan/command.h"
#include "vulkan/export.h"
#include "vulkan/halves.h"
#include "vulkan/memory.h"
#include "vulkan/pipeline.h"
#include "vulkan/shader.h"

/* Descriptors cover a little more than the exact bytes, never past the operand's own storage, so that a
 * shader may read its last values in whole vec4s. */
#define RANGE_ALIGN 16

static const NervTensor *tensor_at(const NervVkExec *exec, uint32_t id)
{
    return g_ptr_array_index(exec->base.plan->tape->tensors, id);
}

static size_t plan_round(size_t bytes)
{
    return (bytes + NERV_PLAN_ALIGN - 1) / NERV_PLAN_ALIGN * NERV_PLAN_ALIGN;
}

static size_t scratch_bytes(const NervNode *node, void *user)
{
    const NervVk *vk = user;
    return node->op->vk_scratch ? node->op->vk_scratch(node, &vk->caps) : 0;
}

/* --- making: dispatches and limits --- */

const NervPlace *nerv_vk_place_of(const NervVkDispatch *dispatch, uint32_t i)
{
    static const NervPlace none = { NERV_PLACE_NONE, 0, 0, NULL };
    const NervBind *bind = &dispatch->d.bind[i];
    const NervStep *step = dispatch->step;
    switch (bind->kind) {
    case NERV_BIND_IN:
        return bind->index < step->node->n_in ? &step->in[bind->index] : &none;
    case NERV_BIND_OUT:
        return bind->index < step->node->op->n_out ? &step->out[bind->index] : &none;
    default:
        return &step->scratch;
    }
}

VkDeviceSize nerv_vk_range_of(const NervVkExec *exec, const NervVkDispatch *dispatch, uint32_t i)
{
    const NervPlace *place = nerv_vk_place_of(dispatch, i);
    const NervTensor *t = nerv_vk_bound(dispatch, i);
    if (place->kind == NERV_PLACE_NONE)
        return NERV_PLAN_ALIGN;
    const size_t bytes = t && exec->is_half[t->id] ? place->bytes / 2 : place->bytes;
    return (bytes + RANGE_ALIGN - 1) / RANGE_ALIGN * RANGE_ALIGN;
}

static bool within(const NervOp *op, const char *what, uint64_t value, const char *limit, uint64_t most,
                   GError **error)
{
    if (value <= most)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                "op %s: %s of %" G_GUINT64_FORMAT " exceeds the Vulkan device's %s of %" G_GUINT64_FORMAT,
                op->name, what, (guint64)value, limit, (guint64)most);
    return false;
}

static bool check_dispatch(const NervVkExec *exec, const NervVkDispatch *dispatch, GError **error)
{
    static const char *const axis[3] = { "maxComputeWorkGroupCount[0]", "maxComputeWorkGroupCount[1]",
                                         "maxComputeWorkGroupCount[2]" };
    const NervOp *op = dispatch->step->node->op;
    const NervDispatch *d = &dispatch->d;
    const VkPhysicalDeviceLimits *limits = &exec->vk->limits;
    if (!d->shader || d->n_bind > NERV_MAX_BIND || d->n_push > NERV_MAX_PUSH || d->n_spec > NERV_MAX_SPEC ||
        !d->groups[0] || !d->groups[1] || !d->groups[2]) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "op %s: its Vulkan dispatch is malformed",
                    op->name);
        return false;
    }
    for (int i = 0; i < 3; i++) {
        if (!within(op, "a number of workgroups", d->groups[i], axis[i], limits->maxComputeWorkGroupCount[i],
                    error))
            return false;
    }
    for (uint32_t i = 0; i < d->n_bind; i++) {
        if (!within(op, "an operand's byte count", nerv_vk_range_of(exec, dispatch, i),
                    "maxStorageBufferRange", limits->maxStorageBufferRange, error))
            return false;
    }
    return within(op, "a number of operands", d->n_bind, "maxPerStageDescriptorStorageBuffers",
                  limits->maxPerStageDescriptorStorageBuffers, error) &&
           within(op, "a push constant size", d->n_push * 4, "maxPushConstantsSize",
                  limits->maxPushConstantsSize, error);
}

/* Asks one step's op for its dispatches and appends them. */
static bool add_step(NervVkExec *exec, const NervStep *step, GArray *list, uint32_t *n_spare, GError **error)
{
    const NervNode *node = step->node;
    NervDispatch d[NERV_MAX_DISPATCH] = { 0 };
    NervVkCaps caps = exec->vk->caps;
    for (uint32_t i = 0; i < NERV_MAX_OUT; i++)
        caps.out_live[i] = i < node->op->n_out && step->out[i].kind != NERV_PLACE_NONE;
    uint32_t n = node->op->dispatch ? node->op->dispatch(node, &caps, d) : 0;
    if (n == 0 || n > NERV_MAX_DISPATCH) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "op %s cannot run on %s", node->op->name,
                    exec->vk->base.description);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        NervVkDispatch dispatch = { .d = d[i],
                                    .step = step,
                                    .first_spare = *n_spare,
                                    .barrier_before =
                                        d[i].barrier_before || (i == 0 && step->barrier_before) };
        if (!check_dispatch(exec, &dispatch, error))
            return false;
        for (uint32_t j = 0; j < d[i].n_bind; j++)
            *n_spare += nerv_vk_place_of(&dispatch, j)->kind == NERV_PLACE_NONE;
        g_array_append_val(list, dispatch);
    }
    return true;
}

static bool make_dispatches(NervVkExec *exec, uint32_t *n_spare, GError **error)
{
    const NervPlan *plan = exec->base.plan;
    GArray *list = g_array_new(FALSE, FALSE, sizeof(NervVkDispatch));
    bool ok = true;
    for (uint32_t i = 0; i < plan->n_steps && ok; i++)
        ok = add_step(exec, &plan->steps[i], list, n_spare, error);
    exec->n_dispatches = list->len;
    exec->dispatches = (NervVkDispatch *)(void *)g_array_free(list, FALSE);
    for (uint32_t i = 0; i < exec->n_dispatches; i++)
        exec->n_descriptors += exec->dispatches[i].d.n_bind;
    return ok;
}

static bool make_pipelines(NervVkExec *exec, GError **error)
{
    for (uint32_t i = 0; i < exec->n_dispatches; i++) {
        NervVkDispatch *dispatch = &exec->dispatches[i];
        const NervShader *adds =
            exec->vk->adds_in_subgroups ? nerv_shader_variant(dispatch->d.shader, "subgroup") : NULL;
        if (adds)
            dispatch->d.shader = adds->stem;
        dispatch->pipeline = nerv_vk_pipeline(exec->vk, &dispatch->d, error);
        if (!dispatch->pipeline ||
            !nerv_vk_layout(exec->vk, dispatch->d.n_bind, &dispatch->set_layout, &dispatch->layout, error)) {
            g_prefix_error(error, "op %s: ", dispatch->step->node->op->name);
            return false;
        }
    }
    return true;
}

/* --- making: memory --- */

static bool make_arena(NervVkExec *exec, uint32_t n_spare, GError **error)
{
    exec->spare_offset = plan_round(exec->base.plan->arena_bytes);
    exec->arena = nerv_vk_buffer_new(exec->vk, NERV_VK_DEVICE,
                                     exec->spare_offset + (size_t)n_spare * NERV_PLAN_ALIGN, error);
    return exec->arena != NULL;
}

/* Places the leaves of one kind one after the other; returns their bytes. */
static size_t place_leaves(NervVkExec *exec, NervTensorKind kind)
{
    size_t total = 0;
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        const NervTensor *t = tensor_at(exec, i);
        if (t->kind != kind)
            continue;
        exec->leaf[i].offset = total;
        total += plan_round(nerv_tensor_bytes(t));
    }
    return total;
}

static bool make_consts(NervVkExec *exec, GError **error)
{
    const size_t total = place_leaves(exec, NERV_TENSOR_CONST);
    if (total == 0)
        return true;
    exec->consts = nerv_vk_buffer_new(exec->vk, NERV_VK_DEVICE, total, error);
    if (!exec->consts)
        return false;
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        const NervTensor *t = tensor_at(exec, i);
        if (t->kind != NERV_TENSOR_CONST)
            continue;
        exec->leaf[i].buf = exec->consts;
        if (!nerv_vk_slot_upload(&exec->consts->base, exec->leaf[i].offset, t->const_data,
                                 nerv_tensor_bytes(t), error))
            return false;
    }
    return true;
}

static void place_outputs(NervVkExec *exec)
{
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        const NervPlace *place = &exec->base.plan->place[i];
        exec->output[i] = NERV_VK_NO_OUTPUT;
        if (!tensor_at(exec, i)->is_output || place->kind == NERV_PLACE_NONE)
            continue;
        exec->output[i] = exec->output_bytes;
        exec->output_bytes += plan_round(place->bytes);
    }
}

/* --- making: slots --- */

static bool make_sets(NervVkExec *exec, NervVkSlot *slot, GError **error)
{
    NervVk *vk = exec->vk;
    VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, MAX(exec->n_descriptors, 1) };
    VkDescriptorPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                        .maxSets = exec->n_dispatches,
                                        .poolSizeCount = 1,
                                        .pPoolSizes = &size };
    if (!nerv_vk_check(vk, vkCreateDescriptorPool(vk->device, &pool, NULL, &slot->pool),
                       "create a descriptor pool", error))
        return false;
    slot->sets = g_new0(VkDescriptorSet, exec->n_dispatches);
    for (uint32_t i = 0; i < exec->n_dispatches; i++) {
        VkDescriptorSetAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                             .descriptorPool = slot->pool,
                                             .descriptorSetCount = 1,
                                             .pSetLayouts = &exec->dispatches[i].set_layout };
        if (!nerv_vk_check(vk, vkAllocateDescriptorSets(vk->device, &info, &slot->sets[i]),
                           "allocate descriptors", error))
            return false;
    }
    return true;
}

static bool slot_init(NervVkExec *exec, NervVkSlot *slot, GError **error)
{
    NervVk *vk = exec->vk;
    slot->is_stale = true;
    if (!make_sets(exec, slot, error))
        return false;
    if (exec->input_bytes &&
        !(slot->inputs = nerv_vk_buffer_new(vk, NERV_VK_INPUT, exec->input_bytes, error)))
        return false;
    if (exec->output_bytes &&
        !(slot->readback = nerv_vk_buffer_new(
              vk, exec->base.keeps_outputs ? NERV_VK_DEVICE : NERV_VK_READBACK, exec->output_bytes, error)))
        return false;
    slot->cmd = nerv_vk_command_new(vk, error);
    if (!slot->cmd)
        return false;
    slot->fence = nerv_vk_fence_new(vk, error);
    return slot->fence != VK_NULL_HANDLE;
}

static void slot_clear(NervVkExec *exec, NervVkSlot *slot)
{
    NervVk *vk = exec->vk;
    vkDestroyQueryPool(vk->device, slot->queries, NULL);
    vkDestroyFence(vk->device, slot->fence, NULL);
    if (slot->cmd)
        vkFreeCommandBuffers(vk->device, vk->pool, 1, &slot->cmd);
    vkDestroyDescriptorPool(vk->device, slot->pool, NULL);
    nerv_vk_buffer_free(slot->readback);
    nerv_vk_buffer_free(slot->inputs);
    g_free(slot->sets);
    *slot = (NervVkSlot){ 0 };
}

bool nerv_vk_slot_exec_set_slots(NervExec *base, uint32_t n_slots, GError **error)
{
    NervVkExec *exec = (NervVkExec *)base;
    if (!nerv_vk_exec_wait_all(exec, error) || !nerv_vk_slot_exec_export_wait(base, error))
        return false;
    for (uint32_t i = base->n_slots; i < n_slots; i++) {
        if (!slot_init(exec, &exec->slots[i], error)) {
            for (uint32_t j = base->n_slots; j <= i; j++)
                slot_clear(exec, &exec->slots[j]);
            return false;
        }
    }
    for (uint32_t i = n_slots; i < base->n_slots; i++)
        slot_clear(exec, &exec->slots[i]);
    return true;
}

NervExec *nerv_vk_slot_exec_new(NervBackend *be, NervTape *tape, GError **error)
{
    NervVk *vk = (NervVk *)be;
    uint32_t n_spare = 0;
    NervVkExec *exec = g_new0(NervVkExec, 1);
    exec->base.be = be;
    exec->base.n_slots = 1;
    exec->vk = vk;
    if (!nerv_vk_alive(vk, error))
        goto error;
    exec->base.plan = nerv_plan_new(tape, scratch_bytes, vk, error);
    if (!exec->base.plan)
        goto error;
    exec->n_tensors = tape->tensors->len;
    exec->leaf = g_new0(NervVkLocation, exec->n_tensors);
    exec->output = g_new0(VkDeviceSize, exec->n_tensors);
    exec->is_half = g_new0(bool, exec->n_tensors);
    exec->input_bytes = place_leaves(exec, NERV_TENSOR_INPUT);
    place_outputs(exec);
    if (!make_dispatches(exec, &n_spare, error))
        goto error;
    nerv_vk_halves_choose(exec);
    if (!make_pipelines(exec, error) || !make_arena(exec, n_spare, error) || !make_consts(exec, error) ||
        !slot_init(exec, &exec->slots[0], error))
        goto error;
    return &exec->base;

error:
    nerv_vk_slot_exec_free(&exec->base);
    return NULL;
}

void nerv_vk_slot_exec_free(NervExec *base)
{
    NervVkExec *exec = (NervVkExec *)base;
    nerv_vk_exec_wait_all(exec, NULL);
    nerv_vk_export_clear(exec);
    for (uint32_t i = 0; i < NERV_MAX_SLOTS; i++)
        slot_clear(exec, &exec->slots[i]);
    nerv_vk_buffer_free(exec->consts);
    nerv_vk_buffer_free(exec->arena);
    g_free(exec->dispatches);
    g_free(exec->leaf);
    g_free(exec->output);
    g_free(exec->is_half);
    nerv_plan_free(base->plan);
    g_free(exec);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A plan as one command buffer. Every step's dispatches become pipelines and descriptor sets when the exec is
 * made; the descriptors are written and the commands recorded at the first run, and again only after a leaf
 * was bound elsewhere. A run is one vkQueueSubmit. Knows no op: each one's dispatch rule says what to run.
 */
#include "vulkan/exec.h"

#include <string.h>

#include "vulkan/command.h"
#include "vulkan/memory.h"
#include "vulkan/pipeline.h"

/* Descriptors cover a little more than the exact bytes, never past the operand's own storage, so that a
 * shader may read its last values in whole vec4s. */
#define RANGE_ALIGN 16

typedef struct {
    NervDispatch d;
    const NervStep *step;
    VkPipeline pipeline;
    VkPipelineLayout layout;
    VkDescriptorSetLayout set_layout;
    VkDescriptorSet set;
    uint32_t
        first_spare; /* offset of this dispatch's share of the spare region, in units of NERV_PLAN_ALIGN */
    bool barrier_before;
} Dispatch;

typedef struct {
    const NervVkBuffer *buf; /* NULL: not bound */
    VkDeviceSize offset;
} Location;

typedef struct {
    NervExec base;
    NervVk *vk;
    Dispatch *dispatches;
    uint32_t n_dispatches;
    uint32_t n_tensors;
    Location *leaf;      /* by tensor id */
    Location *output;    /* by tensor id: where it is copied for the host */
    NervVkBuffer *arena; /* the plan's arena, then a spare bit for each operand that is absent or dead */
    NervVkBuffer *inputs, *consts, *readback;
    size_t spare_offset;
    VkDescriptorPool pool;
    VkCommandBuffer cmd;
    VkFence fence;
    bool is_stale; /* descriptors and commands do not match the leaves' places */
    bool is_pending;
} Exec;

static const char *tensor_name(const NervTensor *t)
{
    return t->name ? t->name : "(unnamed)";
}

static const NervTensor *tensor_at(const Exec *exec, uint32_t id)
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

/* --- making: dispatches and limits
 * --------------------------------------------------------------------------- */

static const NervPlace *place_of(const Dispatch *dispatch, uint32_t i)
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

static VkDeviceSize range_of(const NervPlace *place)
{
    if (place->kind == NERV_PLACE_NONE)
        return NERV_PLAN_ALIGN;
    return (place->bytes + RANGE_ALIGN - 1) / RANGE_ALIGN * RANGE_ALIGN;
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

static bool check_dispatch(const NervVk *vk, const Dispatch *dispatch, GError **error)
{
    static const char *const axis[3] = { "maxComputeWorkGroupCount[0]", "maxComputeWorkGroupCount[1]",
                                         "maxComputeWorkGroupCount[2]" };
    const NervOp *op = dispatch->step->node->op;
    const NervDispatch *d = &dispatch->d;
    const VkPhysicalDeviceLimits *limits = &vk->limits;
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
        if (!within(op, "an operand's byte count", range_of(place_of(dispatch, i)), "maxStorageBufferRange",
                    limits->maxStorageBufferRange, error))
            return false;
    }
    return within(op, "a number of operands", d->n_bind, "maxPerStageDescriptorStorageBuffers",
                  limits->maxPerStageDescriptorStorageBuffers, error) &&
           within(op, "a push constant size", d->n_push * 4, "maxPushConstantsSize",
                  limits->maxPushConstantsSize, error);
}

/* Asks one step's op for its dispatches and appends them. */
static bool add_step(Exec *exec, const NervStep *step, GArray *list, uint32_t *n_spare, GError **error)
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
        Dispatch dispatch = { .d = d[i],
                              .step = step,
                              .first_spare = *n_spare,
                              .barrier_before = d[i].barrier_before || (i == 0 && step->barrier_before) };
        if (!check_dispatch(exec->vk, &dispatch, error))
            return false;
        dispatch.pipeline = nerv_vk_pipeline(exec->vk, &d[i], error);
        if (!dispatch.pipeline ||
            !nerv_vk_layout(exec->vk, d[i].n_bind, &dispatch.set_layout, &dispatch.layout, error)) {
            g_prefix_error(error, "op %s: ", node->op->name);
            return false;
        }
        for (uint32_t j = 0; j < d[i].n_bind; j++)
            *n_spare += place_of(&dispatch, j)->kind == NERV_PLACE_NONE;
        g_array_append_val(list, dispatch);
    }
    return true;
}

static bool make_dispatches(Exec *exec, uint32_t *n_spare, GError **error)
{
    const NervPlan *plan = exec->base.plan;
    GArray *list = g_array_new(FALSE, FALSE, sizeof(Dispatch));
    bool ok = true;
    for (uint32_t i = 0; i < plan->n_steps && ok; i++)
        ok = add_step(exec, &plan->steps[i], list, n_spare, error);
    exec->n_dispatches = list->len;
    exec->dispatches = (Dispatch *)(void *)g_array_free(list, FALSE);
    return ok;
}

static bool make_sets(Exec *exec, GError **error)
{
    NervVk *vk = exec->vk;
    uint32_t n_descriptors = 0;
    for (uint32_t i = 0; i < exec->n_dispatches; i++)
        n_descriptors += exec->dispatches[i].d.n_bind;
    VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, MAX(n_descriptors, 1) };
    VkDescriptorPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                        .maxSets = exec->n_dispatches,
                                        .poolSizeCount = 1,
                                        .pPoolSizes = &size };
    if (!nerv_vk_check(vk, vkCreateDescriptorPool(vk->device, &pool, NULL, &exec->pool),
                       "create a descriptor pool", error))
        return false;
    for (uint32_t i = 0; i < exec->n_dispatches; i++) {
        Dispatch *dispatch = &exec->dispatches[i];
        VkDescriptorSetAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                             .descriptorPool = exec->pool,
                                             .descriptorSetCount = 1,
                                             .pSetLayouts = &dispatch->set_layout };
        if (!nerv_vk_check(vk, vkAllocateDescriptorSets(vk->device, &info, &dispatch->set),
                           "allocate descriptors", error))
            return false;
    }
    return true;
}

/* --- making: memory
 * ------------------------------------------------------------------------------------------ */

static bool make_arena(Exec *exec, uint32_t n_spare, GError **error)
{
    exec->spare_offset = plan_round(exec->base.plan->arena_bytes);
    exec->arena = nerv_vk_buffer_new(exec->vk, NERV_VK_DEVICE,
                                     exec->spare_offset + (size_t)n_spare * NERV_PLAN_ALIGN, error);
    return exec->arena != NULL;
}

/* Lays the leaves of one kind out in a buffer of their own. */
static bool make_leaves(Exec *exec, NervTensorKind kind, NervVkBufferKind buffer_kind, NervVkBuffer **buf,
                        GError **error)
{
    size_t total = 0;
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        const NervTensor *t = tensor_at(exec, i);
        if (t->kind != kind)
            continue;
        exec->leaf[i].offset = total;
        total += plan_round(nerv_tensor_bytes(t));
    }
    if (total == 0)
        return true;
    *buf = nerv_vk_buffer_new(exec->vk, buffer_kind, total, error);
    if (!*buf)
        return false;
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        const NervTensor *t = tensor_at(exec, i);
        if (t->kind != kind)
            continue;
        exec->leaf[i].buf = *buf;
        if (kind == NERV_TENSOR_CONST && !nerv_vk_slot_upload(&(*buf)->base, exec->leaf[i].offset,
                                                              t->const_data, nerv_tensor_bytes(t), error))
            return false;
    }
    return true;
}

static bool make_outputs(Exec *exec, GError **error)
{
    size_t total = 0;
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        if (!tensor_at(exec, i)->is_output || exec->base.plan->place[i].kind == NERV_PLACE_NONE)
            continue;
        exec->output[i].offset = total;
        total += plan_round(exec->base.plan->place[i].bytes);
    }
    if (total == 0)
        return true;
    exec->readback = nerv_vk_buffer_new(exec->vk, NERV_VK_READBACK, total, error);
    for (uint32_t i = 0; i < exec->n_tensors && exec->readback; i++) {
        if (tensor_at(exec, i)->is_output && exec->base.plan->place[i].kind != NERV_PLACE_NONE)
            exec->output[i].buf = exec->readback;
    }
    return exec->readback != NULL;
}

NervExec *nerv_vk_slot_exec_new(NervBackend *be, NervTape *tape, GError **error)
{
    NervVk *vk = (NervVk *)be;
    uint32_t n_spare = 0;
    Exec *exec = g_new0(Exec, 1);
    exec->base.be = be;
    exec->vk = vk;
    exec->is_stale = true;
    if (!nerv_vk_alive(vk, error))
        goto error;
    exec->base.plan = nerv_plan_new(tape, scratch_bytes, vk, error);
    if (!exec->base.plan)
        goto error;
    exec->n_tensors = tape->tensors->len;
    exec->leaf = g_new0(Location, exec->n_tensors);
    exec->output = g_new0(Location, exec->n_tensors);
    if (!make_dispatches(exec, &n_spare, error) || !make_sets(exec, error) ||
        !make_arena(exec, n_spare, error) ||
        !make_leaves(exec, NERV_TENSOR_INPUT, NERV_VK_INPUT, &exec->inputs, error) ||
        !make_leaves(exec, NERV_TENSOR_CONST, NERV_VK_DEVICE, &exec->consts, error) ||
        !make_outputs(exec, error))
        goto error;
    exec->cmd = nerv_vk_command_new(vk, error);
    if (!exec->cmd)
        goto error;
    exec->fence = nerv_vk_fence_new(vk, error);
    if (!exec->fence)
        goto error;
    return &exec->base;

error:
    nerv_vk_slot_exec_free(&exec->base);
    return NULL;
}

void nerv_vk_slot_exec_free(NervExec *base)
{
    Exec *exec = (Exec *)base;
    NervVk *vk = exec->vk;
    nerv_vk_slot_exec_wait(base, NULL);
    vkDestroyFence(vk->device, exec->fence, NULL);
    if (exec->cmd)
        vkFreeCommandBuffers(vk->device, vk->pool, 1, &exec->cmd);
    vkDestroyDescriptorPool(vk->device, exec->pool, NULL);
    nerv_vk_buffer_free(exec->readback);
    nerv_vk_buffer_free(exec->consts);
    nerv_vk_buffer_free(exec->inputs);
    nerv_vk_buffer_free(exec->arena);
    g_free(exec->dispatches);
    g_free(exec->leaf);
    g_free(exec->output);
    nerv_plan_free(exec->base.plan);
    g_free(exec);
}

/* --- recording
 * ----------------------------------------------------------------------------------------------- */

/* Where a place lies now; false if it is a leaf that nobody bound. */
static bool locate(const Exec *exec, const NervPlace *place, Location *at, GError **error)
{
    if (place->kind == NERV_PLACE_ARENA) {
        *at = (Location){ exec->arena, place->offset };
        return true;
    }
    *at = exec->leaf[place->tensor->id];
    if (!at->buf)
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "parameter %s is not bound to a buffer",
                    tensor_name(place->tensor));
    return at->buf != NULL;
}

/* Each absent or dead operand gets a spare piece of its own: sharing one would look like a race to the
 * validation layer. */
static bool write_set(Exec *exec, const Dispatch *dispatch, GError **error)
{
    VkDescriptorBufferInfo infos[NERV_MAX_BIND];
    VkWriteDescriptorSet writes[NERV_MAX_BIND];
    size_t spare = exec->spare_offset + (size_t)dispatch->first_spare * NERV_PLAN_ALIGN;
    for (uint32_t i = 0; i < dispatch->d.n_bind; i++) {
        const NervPlace *place = place_of(dispatch, i);
        Location at = { exec->arena, spare };
        if (place->kind == NERV_PLACE_NONE)
            spare += NERV_PLAN_ALIGN;
        else if (!locate(exec, place, &at, error))
            return false;
        infos[i] = (VkDescriptorBufferInfo){ at.buf->handle, at.offset, range_of(place) };
        writes[i] = (VkWriteDescriptorSet){ .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                            .dstSet = dispatch->set,
                                            .dstBinding = i,
                                            .descriptorCount = 1,
                                            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                            .pBufferInfo = &infos[i] };
    }
    exec->vk->base.stats.descriptors++;
    vkUpdateDescriptorSets(exec->vk->device, dispatch->d.n_bind, writes, 0, NULL);
    return true;
}

static void record_dispatch(const Exec *exec, const Dispatch *dispatch, VkPipeline *bound)
{
    if (dispatch->barrier_before)
        nerv_vk_barrier_compute(exec->cmd);
    if (dispatch->pipeline != *bound)
        vkCmdBindPipeline(exec->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->pipeline);
    *bound = dispatch->pipeline;
    vkCmdBindDescriptorSets(exec->cmd, VK_PIPELINE_BIND_POINT_COMPUTE, dispatch->layout, 0, 1, &dispatch->set,
                            0, NULL);
    if (dispatch->d.n_push)
        vkCmdPushConstants(exec->cmd, dispatch->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           dispatch->d.n_push * 4, dispatch->d.push);
    vkCmdDispatch(exec->cmd, dispatch->d.groups[0], dispatch->d.groups[1], dispatch->d.groups[2]);
}

static void record_outputs(const Exec *exec)
{
    nerv_vk_barrier_to_transfer(exec->cmd);
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        const NervPlace *place = &exec->base.plan->place[i];
        Location at;
        if (!exec->output[i].buf || !locate(exec, place, &at, NULL))
            continue;
        VkBufferCopy region = { .srcOffset = at.offset,
                                .dstOffset = exec->output[i].offset,
                                .size = place->bytes };
        vkCmdCopyBuffer(exec->cmd, at.buf->handle, exec->readback->handle, 1, &region);
    }
    nerv_vk_barrier_to_host(exec->cmd);
}

/* An output may be a parameter that no step reads. */
static bool check_outputs(const Exec *exec, GError **error)
{
    Location at;
    for (uint32_t i = 0; i < exec->n_tensors; i++) {
        if (exec->output[i].buf && !locate(exec, &exec->base.plan->place[i], &at, error))
            return false;
    }
    return true;
}

static bool record(Exec *exec, GError **error)
{
    VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
    VkPipeline bound = VK_NULL_HANDLE;
    for (uint32_t i = 0; i < exec->n_dispatches; i++) {
        if (!write_set(exec, &exec->dispatches[i], error))
            return false;
    }
    if (!check_outputs(exec, error) ||
        !nerv_vk_check(exec->vk, vkBeginCommandBuffer(exec->cmd, &info), "begin a command buffer", error))
        return false;
    exec->vk->base.stats.recordings++;
    nerv_vk_barrier_all(exec->cmd);
    for (uint32_t i = 0; i < exec->n_dispatches; i++)
        record_dispatch(exec, &exec->dispatches[i], &bound);
    if (exec->readback)
        record_outputs(exec);
    if (!nerv_vk_check(exec->vk, vkEndCommandBuffer(exec->cmd), "record a plan", error))
        return false;
    exec->is_stale = false;
    return true;
}

/* --- slots
 * --------------------------------------------------------------------------------------------------- */

bool nerv_vk_slot_exec_bind(NervExec *base, const NervTensor *leaf, NervBuffer *buf, size_t offset,
                            GError **error)
{
    Exec *exec = (Exec *)base;
    Location *at = &exec->leaf[leaf->id];
    const NervVkBuffer *to = (const NervVkBuffer *)buf;
    if (at->buf == to && at->offset == offset)
        return true;
    if (!nerv_vk_slot_exec_wait(base, error))
        return false;
    *at = (Location){ to, offset };
    exec->is_stale = true;
    return true;
}

bool nerv_vk_slot_exec_write(NervExec *base, const NervTensor *leaf, const void *src, GError **error)
{
    Exec *exec = (Exec *)base;
    if (!nerv_vk_slot_exec_wait(base, error))
        return false;
    memcpy((char *)exec->inputs->mapped + exec->leaf[leaf->id].offset, src, nerv_tensor_bytes(leaf));
    return true;
}

bool nerv_vk_slot_exec_read(NervExec *base, const NervTensor *output, void *dst, GError **error)
{
    Exec *exec = (Exec *)base;
    const Location *at = &exec->output[output->id];
    if (!nerv_vk_slot_exec_wait(base, error))
        return false;
    memcpy(dst, (const char *)at->buf->mapped + at->offset, nerv_tensor_bytes(output));
    return true;
}

bool nerv_vk_slot_exec_run(NervExec *base, GError **error)
{
    Exec *exec = (Exec *)base;
    if (!nerv_vk_slot_exec_wait(base, error) || nerv_backend_cancelled(base->be, error))
        return false;
    if (exec->is_stale && !record(exec, error))
        return false;
    if (!nerv_vk_submit(exec->vk, exec->cmd, exec->fence, error))
        return false;
    exec->is_pending = true;
    return true;
}

bool nerv_vk_slot_exec_wait(NervExec *base, GError **error)
{
    Exec *exec = (Exec *)base;
    if (!exec->is_pending)
        return true;
    exec->is_pending = false;
    return nerv_vk_fence_wait(exec->vk, exec->fence, error);
}

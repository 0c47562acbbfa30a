/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The CPU backend: runs a plan step by step on the calling thread, each op spreading its own work over the
 * pool. Operand pointers are resolved when leaves are bound, so that a run only walks an array of calls.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cpu/cpu.h"

typedef struct {
    NervBackend head;
    NervCpu cpu;
} CpuBackend;

typedef struct {
    NervBuffer head;
    uint8_t *data;
} CpuBuffer;

typedef struct {
    NervExec head;
    uint8_t *arena;
    uint8_t **leaf; /* by tensor id: where a leaf's values are; NULL: not bound */
    uint8_t *owned; /* values of INPUT and CONST leaves */
    size_t owned_bytes;
    NervArgs *args; /* by step */
    bool resolved, timed;
    /* With more than one slot: each one's INPUT leaves and outputs, copied in before a run and out after it. */
    uint8_t *slots;
    size_t slots_bytes; /* of them all */
} CpuExec;

static size_t round_up(size_t bytes)
{
    return (bytes + NERV_PLAN_ALIGN - 1) / NERV_PLAN_ALIGN * NERV_PLAN_ALIGN;
}

/* Uninitialised memory of at least one byte, accounted to the backend. Refuses at once what the machine
 * cannot hold: Linux would hand out the addresses and kill the process later. */
static uint8_t *memory_new(NervBackend *be, size_t bytes, GError **error)
{
    const size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    void *p = NULL;
    bytes = MAX(round_up(bytes), NERV_PLAN_ALIGN);
    if (!nerv_backend_reserve(be, bytes, error))
        return NULL;
    if (bytes > machine || posix_memalign(&p, NERV_PLAN_ALIGN, bytes)) {
        nerv_backend_release(be, bytes);
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "%.1f MiB of memory are not to be had",
                    (double)bytes / 0x1p20);
        return NULL;
    }
    return p;
}

static void memory_free(NervBackend *be, uint8_t *p, size_t bytes)
{
    if (!p)
        return;
    nerv_backend_release(be, MAX(round_up(bytes), NERV_PLAN_ALIGN));
    free(p);
}

static NervBuffer *cpu_buffer_new(NervBackend *be, size_t bytes, GError **error)
{
    CpuBuffer *buf = g_new0(CpuBuffer, 1);
    buf->head.be = be;
    buf->head.bytes = bytes;
    buf->data = memory_new(be, bytes, error);
    if (!buf->data) {
        g_free(buf);
        return NULL;
    }
    memset(buf->data, 0, bytes);
    return &buf->head;
}

static void cpu_buffer_free(NervBuffer *head)
{
    CpuBuffer *buf = (CpuBuffer *)head;
    memory_free(head->be, buf->data, head->bytes);
    g_free(buf);
}

static bool cpu_upload(NervBuffer *head, size_t offset, const void *src, size_t bytes, GError **error)
{
    memcpy(((CpuBuffer *)head)->data + offset, src, bytes);
    return true;
}

static bool cpu_download(NervBuffer *head, size_t offset, void *dst, size_t bytes, GError **error)
{
    memcpy(dst, ((CpuBuffer *)head)->data + offset, bytes);
    return true;
}

static bool runs_reference(const NervCpu *cpu, const NervOp *op)
{
    return cpu->level == NERV_CPU_C || !op->cpu;
}

static size_t scratch_bytes(const NervNode *node, void *user)
{
    const NervCpu *cpu = user;
    return runs_reference(cpu, node->op) || !node->op->cpu_scratch ? 0 : node->op->cpu_scratch(node, cpu);
}

/* INPUT and CONST leaves live in memory of the exec. */
static bool place_owned_leaves(CpuExec *exec, const NervTape *tape, GError **error)
{
    size_t at = 0;
    for (guint i = 0; i < tape->tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tape->tensors, i);
        if (t->kind == NERV_TENSOR_INPUT || t->kind == NERV_TENSOR_CONST)
            exec->owned_bytes += round_up(nerv_tensor_bytes(t));
    }
    exec->owned = memory_new(exec->head.be, exec->owned_bytes, error);
    if (!exec->owned)
        return false;
    memset(exec->owned, 0, exec->owned_bytes);
    for (guint i = 0; i < tape->tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tape->tensors, i);
        if (t->kind != NERV_TENSOR_INPUT && t->kind != NERV_TENSOR_CONST)
            continue;
        exec->leaf[i] = exec->owned + at;
        if (t->const_data)
            memcpy(exec->leaf[i], t->const_data, nerv_tensor_bytes(t));
        at += round_up(nerv_tensor_bytes(t));
    }
    return true;
}

static void cpu_exec_free(NervExec *head)
{
    CpuExec *exec = (CpuExec *)head;
    memory_free(head->be, exec->arena, head->plan ? head->plan->arena_bytes : 0);
    memory_free(head->be, exec->owned, exec->owned_bytes);
    memory_free(head->be, exec->slots, exec->slots_bytes);
    nerv_plan_free(head->plan);
    g_free(exec->leaf);
    g_free(exec->args);
    g_free(exec);
}

static NervExec *cpu_exec_new(NervBackend *be, NervTape *tape, GError **error)
{
    CpuBackend *cpu = (CpuBackend *)be;
    CpuExec *exec = g_new0(CpuExec, 1);
    exec->head.be = be;
    exec->head.n_slots = 1;
    exec->head.plan = nerv_plan_new(tape, scratch_bytes, &cpu->cpu, error);
    if (!exec->head.plan)
        goto error;
    exec->leaf = g_try_new0(uint8_t *, tape->tensors->len);
    exec->args = g_try_new0(NervArgs, exec->head.plan->n_steps);
    if (!exec->leaf || !exec->args) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a network's evaluation");
        goto error;
    }
    exec->arena = memory_new(be, exec->head.plan->arena_bytes, error);
    if (!exec->arena || !place_owned_leaves(exec, tape, error))
        goto error;
    return &exec->head;

error:
    cpu_exec_free(&exec->head);
    return NULL;
}

static bool cpu_exec_bind(NervExec *head, const NervTensor *leaf, NervBuffer *buf, size_t offset,
                          GError **error)
{
    CpuExec *exec = (CpuExec *)head;
    exec->leaf[leaf->id] = ((CpuBuffer *)buf)->data + offset;
    exec->resolved = false;
    return true;
}

static uint8_t *resolve(const CpuExec *exec, const NervPlace *place)
{
    switch (place->kind) {
    case NERV_PLACE_ARENA:
        return exec->arena + place->offset;
    case NERV_PLACE_LEAF:
        return exec->leaf[place->tensor->id];
    default:
        return NULL;
    }
}

static bool resolve_all(CpuExec *exec, GError **error)
{
    for (uint32_t i = 0; i < exec->head.plan->n_steps; i++) {
        const NervStep *s = &exec->head.plan->steps[i];
        NervArgs *a = &exec->args[i];
        for (uint32_t j = 0; j < s->node->n_in; j++) {
            a->in[j] = resolve(exec, &s->in[j]);
            if (!a->in[j]) {
                const char *name = s->node->in[j]->name;
                g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: tensor %s is not bound",
                            s->node->op->name, name ? name : "(unnamed)");
                return false;
            }
        }
        for (uint32_t j = 0; j < s->node->op->n_out; j++)
            a->out[j] = resolve(exec, &s->out[j]);
        a->scratch = resolve(exec, &s->scratch);
    }
    exec->resolved = true;
    return true;
}

/* Does slot memory hold this tensor? */
static bool in_slot(const CpuExec *exec, const NervTensor *t)
{
    return t->kind == NERV_TENSOR_INPUT ||
           (t->is_output && exec->head.plan->place[t->id].kind != NERV_PLACE_NONE);
}

/* Where a slot keeps its copy of a tensor, and with NULL the bytes of a slot. */
static size_t slot_offset(const CpuExec *exec, const NervTensor *wanted)
{
    const GPtrArray *tensors = exec->head.plan->tape->tensors;
    size_t at = 0;
    for (guint i = 0; i < tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tensors, i);
        if (t == wanted)
            break;
        if (in_slot(exec, t))
            at += round_up(nerv_tensor_bytes(t));
    }
    return at;
}

static uint8_t *slot_copy(const CpuExec *exec, const NervTensor *t)
{
    return exec->slots + exec->head.slot * slot_offset(exec, NULL) + slot_offset(exec, t);
}

/* The INPUT leaves into their places, or the outputs out of them. */
static void move_slot(CpuExec *exec, bool in)
{
    const GPtrArray *tensors = exec->head.plan->tape->tensors;
    const uint8_t *value;
    for (guint i = 0; exec->slots && i < tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tensors, i);
        if (in && t->kind == NERV_TENSOR_INPUT)
            memcpy(exec->leaf[i], slot_copy(exec, t), nerv_tensor_bytes(t));
        else if (!in && t->is_output && (value = resolve(exec, &exec->head.plan->place[i])))
            memcpy(slot_copy(exec, t), value, nerv_tensor_bytes(t));
    }
}

static bool cpu_exec_set_slots(NervExec *head, uint32_t n_slots, GError **error)
{
    CpuExec *exec = (CpuExec *)head;
    const size_t one = slot_offset(exec, NULL), bytes = n_slots * one;
    uint8_t *slots = memory_new(head->be, bytes, error);
    if (!slots)
        return false;
    memset(slots, 0, bytes);
    if (exec->slots) {
        memcpy(slots, exec->slots, MIN(bytes, exec->slots_bytes));
    } else {
        /* The only slot so far had no memory of its own. */
        uint8_t *at = slots;
        const GPtrArray *tensors = head->plan->tape->tensors;
        for (guint i = 0; i < tensors->len; i++) {
            const NervTensor *t = g_ptr_array_index(tensors, i);
            if (!in_slot(exec, t))
                continue;
            const uint8_t *from = resolve(exec, &head->plan->place[i]);
            if (from)
                memcpy(at, from, nerv_tensor_bytes(t));
            at += round_up(nerv_tensor_bytes(t));
        }
    }
    memory_free(head->be, exec->slots, exec->slots_bytes);
    exec->slots = slots;
    exec->slots_bytes = bytes;
    return true;
}

static bool cpu_exec_write(NervExec *head, const NervTensor *leaf, const void *src, GError **error)
{
    CpuExec *exec = (CpuExec *)head;
    memcpy(exec->slots ? slot_copy(exec, leaf) : exec->leaf[leaf->id], src, nerv_tensor_bytes(leaf));
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void run_step(const NervCpu *cpu, const NervNode *node, const NervArgs *args)
{
    if (runs_reference(cpu, node->op))
        node->op->ref(node, args);
    else
        node->op->cpu(node, args, cpu);
}

static bool cpu_exec_run(NervExec *head, GError **error)
{
    CpuExec *exec = (CpuExec *)head;
    const NervCpu *cpu = &((CpuBackend *)head->be)->cpu;
    NervPlanProfile *profile = exec->timed ? &head->plan->profile : NULL;
    if (!exec->resolved && !resolve_all(exec, error))
        return false;
    nerv_pool_set_cancel(cpu->pool, head->be->cancel);
    move_slot(exec, true);
    for (uint32_t i = 0; i < head->plan->n_steps; i++) {
        if (nerv_backend_cancelled(head->be, error))
            return false;
        const uint64_t start = profile ? now_ns() : 0;
        run_step(cpu, head->plan->steps[i].node, &exec->args[i]);
        if (profile)
            profile->step_ns[i] += now_ns() - start;
    }
    if (profile)
        profile->n_runs++;
    move_slot(exec, false);
    return true;
}

static bool cpu_exec_wait(NervExec *head, GError **error)
{
    return true;
}

static bool cpu_exec_read(NervExec *head, const NervTensor *output, void *dst, GError **error)
{
    const CpuExec *exec = (const CpuExec *)head;
    const uint8_t *src =
        exec->slots ? slot_copy(exec, output) : resolve(exec, &head->plan->place[output->id]);
    memcpy(dst, src, nerv_tensor_bytes(output));
    return true;
}

static bool cpu_exec_profile(NervExec *head, bool on, GError **error)
{
    ((CpuExec *)head)->timed = on;
    return true;
}

static void cpu_destroy(NervBackend *be)
{
    nerv_pool_free(((CpuBackend *)be)->cpu.pool);
    g_free(be->description);
    g_free(be);
}

static NervBackend *cpu_lane_new(NervBackend *be, uint32_t n_threads, GError **error)
{
    return nerv_cpu_backend_new_level(n_threads, ((CpuBackend *)be)->cpu.level, error);
}

static const NervBackendClass cpu_class = {
    .name = "cpu",
    .destroy = cpu_destroy,
    .buffer_new = cpu_buffer_new,
    .buffer_free = cpu_buffer_free,
    .upload = cpu_upload,
    .download = cpu_download,
    .exec_new = cpu_exec_new,
    .exec_free = cpu_exec_free,
    .exec_bind = cpu_exec_bind,
    .exec_write = cpu_exec_write,
    .exec_read = cpu_exec_read,
    .exec_run = cpu_exec_run,
    .exec_wait = cpu_exec_wait,
    .exec_set_slots = cpu_exec_set_slots,
    .exec_profile = cpu_exec_profile,
    .lane_new = cpu_lane_new,
};

NervBackend *nerv_cpu_backend_new_level(uint32_t n_threads, NervCpuLevel level, GError **error)
{
    const NervDsp *dsp = nerv_dsp_get(level);
    if (level != NERV_CPU_C && !dsp) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE, "this machine or build has no CPU level %s",
                    nerv_cpu_level_name(level));
        return NULL;
    }
    CpuBackend *cpu = g_new0(CpuBackend, 1);
    cpu->head.klass = &cpu_class;
    cpu->head.is_software = true;
    cpu->cpu.pool = nerv_pool_new(n_threads);
    cpu->cpu.level = level;
    cpu->cpu.dsp = dsp;
    const uint32_t n = cpu->head.n_threads = nerv_pool_threads(cpu->cpu.pool);
    cpu->head.description =
        g_strdup_printf("CPU %s, %u thread%s", nerv_cpu_level_name(level), n, n == 1 ? "" : "s");
    return &cpu->head;
}

NervBackend *nerv_cpu_backend_new(uint32_t n_threads, GError **error)
{
    return nerv_cpu_backend_new_level(n_threads, nerv_cpu_level(), error);
}

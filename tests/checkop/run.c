/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Running a trial: through a backend, as users do, and node by node without one. Both surround memory with
 * margins. Round what is only read they are NaN, so that a stray read shows; round what is written they are another
 * pattern, because a NaN that strays in and out again would leave no trace.
 */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define MARGIN NERV_PLAN_ALIGN

enum {
    POISON_READ = 0xff,    /* as a float a NaN; also what memory to be written holds before */
    POISON_WRITTEN = 0x7f, /* as a float 3.4e38 */
};

struct CheckExec {
    const CheckTrial *t;
    NervBackend *be;
    NervExec *exec;
    NervBuffer **buf; /* by tensor id; NULL for what is not a PARAM leaf of the plan */
};

static size_t align_up(size_t n)
{
    return (n + NERV_PLAN_ALIGN - 1) / NERV_PLAN_ALIGN * NERV_PLAN_ALIGN;
}

static bool is_poisoned(const uint8_t *p, size_t n, uint8_t poison)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != poison)
            return false;
    return true;
}

static bool take_error(GString *why, const char *what, GError *error)
{
    g_string_append_printf(why, "%s: %s", what, error ? error->message : "failed without a message");
    g_clear_error(&error);
    return false;
}

static const NervTensor *tensor_at(const CheckTrial *t, uint32_t id)
{
    return g_ptr_array_index(t->tape->tensors, id);
}

CheckExec *check_exec_new(NervBackend *be, const CheckTrial *t, GString *why)
{
    GError *error = NULL;
    CheckExec *x = g_new0(CheckExec, 1);
    x->t = t;
    x->be = be;
    x->buf = g_new0(NervBuffer *, t->n_tensors);
    x->exec = nerv_exec_new(be, t->tape, &error);
    if (!x->exec) {
        take_error(why, "planning", error);
        goto error;
    }
    for (uint32_t i = 0; i < t->n_tensors; i++) {
        const NervTensor *leaf = tensor_at(t, i);
        if (leaf->kind != NERV_TENSOR_PARAM || x->exec->plan->place[i].kind != NERV_PLACE_LEAF)
            continue;
        x->buf[i] = nerv_buffer_new(be, 2 * MARGIN + align_up(nerv_tensor_bytes(leaf)), &error);
        if (!x->buf[i] || !nerv_exec_bind(x->exec, leaf, x->buf[i], MARGIN, &error)) {
            take_error(why, "binding", error);
            goto error;
        }
    }
    return x;

error:
    check_exec_free(x);
    return NULL;
}

void check_exec_free(CheckExec *x)
{
    if (!x)
        return;
    nerv_exec_free(x->exec);
    for (uint32_t i = 0; i < x->t->n_tensors; i++)
        nerv_buffer_free(x->buf[i]);
    g_free(x->buf);
    g_free(x);
}

static uint8_t leaf_poison(const CheckTrial *t, const NervTensor *leaf)
{
    return check_is_overwritten(t->tape, leaf) ? POISON_WRITTEN : POISON_READ;
}

static bool upload_leaves(CheckExec *x, GString *why)
{
    GError *error = NULL;
    for (uint32_t i = 0; i < x->t->n_tensors; i++) {
        const NervTensor *leaf = tensor_at(x->t, i);
        if (x->buf[i]) {
            const size_t bytes = nerv_tensor_bytes(leaf), all = 2 * MARGIN + align_up(bytes);
            uint8_t *image = g_malloc(all);
            memset(image, leaf_poison(x->t, leaf), all);
            memcpy(image + MARGIN, x->t->values[i], bytes);
            const bool ok = nerv_buffer_upload(x->buf[i], 0, image, all, &error);
            g_free(image);
            if (!ok)
                return take_error(why, "uploading", error);
        } else if (leaf->kind == NERV_TENSOR_INPUT && x->exec->plan->place[i].kind != NERV_PLACE_NONE) {
            if (!nerv_exec_write(x->exec, leaf, x->t->values[i], &error))
                return take_error(why, "writing an input", error);
        }
    }
    return true;
}

/* Reads a leaf back and checks its margins; the bytes between the tensor's end and the alignment count as
 * margin. */
static void *download_leaf(CheckExec *x, const NervTensor *leaf, GString *why)
{
    GError *error = NULL;
    const size_t bytes = nerv_tensor_bytes(leaf), all = 2 * MARGIN + align_up(bytes);
    const uint8_t poison = leaf_poison(x->t, leaf);
    uint8_t *image = g_malloc(all);
    void *data = NULL;
    if (!nerv_buffer_download(x->buf[leaf->id], 0, image, all, &error)) {
        take_error(why, "downloading", error);
    } else if (!is_poisoned(image, MARGIN, poison) ||
               !is_poisoned(image + MARGIN + bytes, all - MARGIN - bytes, poison)) {
        g_string_append(why, "something wrote outside leaf ");
        check_describe(why, leaf);
    } else {
        data = g_memdup2(image + MARGIN, bytes);
    }
    g_free(image);
    return data;
}

bool check_exec_run(CheckExec *x, CheckResult *r, GString *why)
{
    GError *error = NULL;
    r->n_tensors = x->t->n_tensors;
    r->data = g_new0(void *, r->n_tensors);
    if (!upload_leaves(x, why))
        return false;
    if (!nerv_exec_run(x->exec, &error) || !nerv_exec_wait(x->exec, &error))
        return take_error(why, "running", error);
    for (uint32_t i = 0; i < r->n_tensors; i++) {
        const NervTensor *t = tensor_at(x->t, i);
        if (x->buf[i]) {
            r->data[i] = download_leaf(x, t, why);
            if (!r->data[i])
                return false;
        } else if (t->is_output) {
            r->data[i] = g_malloc(nerv_tensor_bytes(t));
            memset(r->data[i], POISON_READ, nerv_tensor_bytes(t));
            if (!nerv_exec_read(x->exec, t, r->data[i], &error))
                return take_error(why, "reading an output", error);
        }
    }
    return true;
}

bool check_exec_repeat(CheckExec *x, uint32_t times, GString *why)
{
    GError *error = NULL;
    for (uint32_t i = 0; i < times; i++)
        if (!nerv_exec_run(x->exec, &error))
            return take_error(why, "running", error);
    return nerv_exec_wait(x->exec, &error) || take_error(why, "waiting", error);
}

/* --- node by node --- */

/* A block of memory with a margin on both sides. */
typedef struct {
    uint8_t *base;
    size_t bytes;
    uint8_t poison; /* of the margins */
} Guarded;

static void *guarded_data(const Guarded *g)
{
    return g->base ? g->base + MARGIN : NULL;
}

static Guarded guarded_new(size_t bytes, uint8_t poison)
{
    void *base = NULL;
    if (posix_memalign(&base, NERV_PLAN_ALIGN, 2 * MARGIN + bytes) != 0)
        return (Guarded){ 0 };
    memset(base, poison, 2 * MARGIN + bytes);
    memset((uint8_t *)base + MARGIN, POISON_READ, bytes);
    return (Guarded){ base, bytes, poison };
}

static bool guarded_intact(const Guarded *g)
{
    return !g->base || (is_poisoned(g->base, MARGIN, g->poison) &&
                        is_poisoned(g->base + MARGIN + g->bytes, MARGIN, g->poison));
}

static bool is_read(const NervTape *tape, const NervTensor *t)
{
    if (t->is_output)
        return true;
    for (uint32_t i = 0; i < tape->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(tape->nodes, i);
        for (uint32_t j = 0; j < node->n_in; j++)
            if (node->in[j] == t)
                return true;
    }
    return false;
}

static bool is_dead(const CheckTrial *t, const NervNode *node)
{
    for (uint32_t o = 0; o < node->op->n_out; o++)
        if (node->op->alias[o] || is_read(t->tape, node->out[o]))
            return false;
    return true;
}

/* Runs one node; where[id] says where each tensor's memory is. */
static bool run_node(const CheckTrial *t, const NervNode *node, const NervCpu *cpu, Guarded *mem,
                     void **where, GString *why)
{
    const NervOp *op = node->op;
    const bool plain = cpu->level == NERV_CPU_C || !op->cpu;
    NervArgs args = { 0 };
    Guarded scratch = { 0 };
    if (is_dead(t, node))
        return true;
    for (uint32_t j = 0; j < node->n_in; j++)
        args.in[j] = where[node->in[j]->id];
    for (uint32_t o = 0; o < op->n_out; o++) {
        const uint32_t id = node->out[o]->id;
        if (op->is_view || op->alias[o]) {
            where[id] = where[node->in[op->is_view ? 0 : op->alias[o] - 1]->id];
        } else if (is_read(t->tape, node->out[o])) {
            mem[id] = guarded_new(nerv_tensor_bytes(node->out[o]), POISON_WRITTEN);
            where[id] = guarded_data(&mem[id]);
        }
        args.out[o] = where[id];
    }
    if (op->is_view)
        return true;
    if (!plain && op->cpu_scratch) {
        scratch = guarded_new(op->cpu_scratch(node, cpu), POISON_WRITTEN);
        args.scratch = guarded_data(&scratch);
    }
    if (plain)
        op->ref(node, &args);
    else
        op->cpu(node, &args, cpu);

    bool ok = guarded_intact(&scratch);
    free(scratch.base);
    if (!ok)
        g_string_append_printf(why, "%s wrote outside its scratch memory", op->name);
    for (uint32_t i = 0; ok && i < t->n_tensors; i++) {
        ok = guarded_intact(&mem[i]);
        if (!ok) {
            g_string_append_printf(why, "%s wrote outside ", op->name);
            check_describe(why, tensor_at(t, i));
        }
    }
    return ok;
}

bool check_run_direct(const CheckTrial *t, NervCpuLevel level, NervPool *pool, CheckResult *r, GString *why)
{
    const NervCpu cpu = { .pool = pool, .level = level, .dsp = nerv_dsp_get(level) };
    Guarded *mem = g_new0(Guarded, t->n_tensors);
    void **where = g_new0(void *, t->n_tensors);
    bool ok = true;

    r->n_tensors = t->n_tensors;
    r->data = g_new0(void *, r->n_tensors);
    for (uint32_t i = 0; i < t->n_tensors; i++) {
        if (!t->values[i])
            continue;
        mem[i] = guarded_new(nerv_tensor_bytes(tensor_at(t, i)), leaf_poison(t, tensor_at(t, i)));
        where[i] = guarded_data(&mem[i]);
        memcpy(where[i], t->values[i], mem[i].bytes);
    }
    for (uint32_t i = 0; ok && i < t->tape->nodes->len; i++)
        ok = run_node(t, g_ptr_array_index(t->tape->nodes, i), &cpu, mem, where, why);
    for (uint32_t i = 0; ok && i < t->n_tensors; i++) {
        const NervTensor *x = tensor_at(t, i);
        if (x->is_output || x->kind == NERV_TENSOR_PARAM)
            r->data[i] = g_memdup2(where[i], nerv_tensor_bytes(x));
    }
    for (uint32_t i = 0; i < t->n_tensors; i++)
        free(mem[i].base);
    g_free(mem);
    g_free(where);
    return ok;
}

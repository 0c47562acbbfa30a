/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Choosing what is kept as halves. See halves.h. Every value that could be is assumed to be; then values are taken out until
 * every step agrees with all of its operands. A step takes its shaders' half form if each operand that the form
 * wants as a half is one, and no other operand is.
 */
#include "vulkan/halves.h"

#include "vulkan/shader.h"

const NervTensor *nerv_vk_bound(const NervVkDispatch *dispatch, uint32_t i)
{
    const NervNode *node = dispatch->step->node;
    const NervBind *bind = &dispatch->d.bind[i];
    const NervTensor *t = NULL;
    if (bind->kind == NERV_BIND_IN && bind->index < node->n_in)
        t = node->in[bind->index];
    else if (bind->kind == NERV_BIND_OUT && bind->index < node->op->n_out)
        t = node->out[bind->index];
    while (t && t->node && t->node->op->is_view)
        t = t->node->in[0];
    return t;
}

static bool trains(const NervPlan *plan)
{
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const NervOp *op = plan->steps[i].node->op;
        for (uint32_t j = 0; j < op->n_out; j++) {
            if (op->alias[j])
                return true;
        }
    }
    return false;
}

/* Values of floats; neither they nor a view of them is an output. */
static void assume_all(NervVkExec *exec)
{
    const GPtrArray *tensors = exec->base.plan->tape->tensors;
    for (guint i = 0; i < tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tensors, i);
        exec->is_half[i] = t->dtype == NERV_F32 && exec->base.plan->place[i].kind == NERV_PLACE_ARENA &&
                           !t->node->op->is_view;
    }
    for (guint i = 0; i < tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(tensors, i);
        if (!t->is_output)
            continue;
        while (t->node && t->node->op->is_view)
            t = t->node->in[0];
        exec->is_half[t->id] = false;
    }
}

/* Dispatches first..end-1 are one step's. */
static uint32_t step_end(const NervVkExec *exec, uint32_t first)
{
    uint32_t end = first;
    while (end < exec->n_dispatches && exec->dispatches[end].step == exec->dispatches[first].step)
        end++;
    return end;
}

static bool wants_half(const NervVkDispatch *dispatch, uint32_t i)
{
    const NervShader *shader = nerv_shader_variant(dispatch->d.shader, "half");
    return shader && (*shader->values >> i & 1);
}

/* The step can take its half form: all its shaders have one, and what they want as halves are halves. */
static bool can_be_half(const NervVkExec *exec, uint32_t first, uint32_t end)
{
    for (uint32_t d = first; d < end; d++) {
        const NervVkDispatch *dispatch = &exec->dispatches[d];
        if (!nerv_shader_variant(dispatch->d.shader, "half"))
            return false;
        for (uint32_t i = 0; i < dispatch->d.n_bind; i++) {
            const NervTensor *t = nerv_vk_bound(dispatch, i);
            const bool absent = !t || nerv_vk_place_of(dispatch, i)->kind == NERV_PLACE_NONE;
            if (!absent && wants_half(dispatch, i) && !exec->is_half[t->id])
                return false;
        }
    }
    return true;
}

/* Takes out the operands that the step does not want as halves; returns whether there were any. */
static bool take_out(NervVkExec *exec, uint32_t first, uint32_t end, bool half)
{
    bool changed = false;
    for (uint32_t d = first; d < end; d++) {
        const NervVkDispatch *dispatch = &exec->dispatches[d];
        for (uint32_t i = 0; i < dispatch->d.n_bind; i++) {
            const NervTensor *t = nerv_vk_bound(dispatch, i);
            if (!t || !exec->is_half[t->id] || (half && wants_half(dispatch, i)))
                continue;
            exec->is_half[t->id] = false;
            changed = true;
        }
    }
    return changed;
}

void nerv_vk_halves_choose(NervVkExec *exec)
{
    if (!exec->vk->uses_halves || trains(exec->base.plan))
        return;
    assume_all(exec);
    /* Each round takes out at least one value. */
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t d = 0; d < exec->n_dispatches; d = step_end(exec, d)) {
            const uint32_t end = step_end(exec, d);
            changed |= take_out(exec, d, end, can_be_half(exec, d, end));
        }
    }
    for (uint32_t d = 0, end; d < exec->n_dispatches; d = end) {
        end = step_end(exec, d);
        if (!can_be_half(exec, d, end))
            continue;
        for (uint32_t i = d; i < end; i++)
            exec->dispatches[i].d.shader = nerv_shader_variant(exec->dispatches[i].d.shader, "half")->stem;
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reverse-mode differentiation of a tape. The gradient is more nodes on the same tape, so that it can be
 * planned together with what it differentiates, and differentiated again. Knows no op by name: each brings
 * its rule.
 */
#include "graph/tape.h"

typedef struct {
    NervTape *tape;
    guint n_tensors; /* tensors on the tape when differentiation began */
    bool *depends;   /* by tensor id: is a function of some wrt */
    NervTensor **d;  /* by tensor id: gradient so far, or NULL */
} Reverse;

static bool takes_gradient(const Reverse *r, const NervTensor *t)
{
    return t->id < r->n_tensors && r->depends[t->id] && !t->no_grad && t->dtype == NERV_F32;
}

/* Which tensors are functions of the wrt tensors: one sweep in tape order. */
static void mark_dependents(Reverse *r, NervTensor *const *wrt, uint32_t n_wrt, guint n_nodes)
{
    for (uint32_t i = 0; i < n_wrt; i++)
        r->depends[wrt[i]->id] = true;
    for (guint i = 0; i < n_nodes; i++) {
        const NervNode *node = g_ptr_array_index(r->tape->nodes, i);
        bool any = false;
        for (uint32_t j = 0; j < node->n_in; j++)
            any |= takes_gradient(r, node->in[j]);
        for (uint32_t j = 0; any && j < node->op->n_out; j++)
            r->depends[node->out[j]->id] = true;
    }
}

static void reverse_node(Reverse *r, const NervNode *node)
{
    NervTensor *dout[NERV_MAX_OUT] = { NULL }, *din[NERV_MAX_IN] = { NULL };
    bool need[NERV_MAX_IN] = { false }, flows = false, wanted = false;

    for (uint32_t j = 0; j < node->op->n_out; j++) {
        dout[j] = r->d[node->out[j]->id];
        flows |= dout[j] != NULL;
    }
    for (uint32_t j = 0; j < node->n_in; j++) {
        need[j] = takes_gradient(r, node->in[j]);
        wanted |= need[j];
    }
    if (!flows || !wanted)
        return;
    if (!node->op->grad) {
        nerv_tape_fail(r->tape, NERV_ERROR_INVALID, "op %s is not differentiable", node->op->name);
        return;
    }
    node->op->grad(r->tape, node, dout, need, din);
    for (uint32_t j = 0; j < node->n_in; j++) {
        if (!need[j] || !din[j])
            continue;
        NervTensor **d = &r->d[node->in[j]->id];
        *d = *d ? nerv_grad_ops.sum(r->tape, *d, din[j]) : din[j];
    }
}

void nerv_tape_grad(NervTape *tape, NervTensor *loss, NervTensor *const *wrt, uint32_t n_wrt,
                    NervTensor **dwrt)
{
    for (uint32_t i = 0; i < n_wrt; i++)
        dwrt[i] = NULL;
    if (tape->error)
        return;
    if (nerv_shape_count(loss->shape) != 1) {
        nerv_tape_fail(tape, NERV_ERROR_INVALID, "a gradient is taken of a scalar, not of %d x %d x %d x %d",
                       loss->shape.n, loss->shape.c, loss->shape.h, loss->shape.w);
        return;
    }
    const guint n_nodes = tape->nodes->len, n_tensors = tape->tensors->len;
    Reverse r = { tape, n_tensors, g_new0(bool, n_tensors), g_new0(NervTensor *, n_tensors) };
    mark_dependents(&r, wrt, n_wrt, n_nodes);
    r.d[loss->id] = nerv_tape_scalar(tape, 1.f);
    for (guint i = n_nodes; i-- > 0 && !tape->error;)
        reverse_node(&r, g_ptr_array_index(tape->nodes, i));
    for (uint32_t i = 0; i < n_wrt && !tape->error; i++)
        dwrt[i] = r.d[wrt[i]->id] ? r.d[wrt[i]->id] : nerv_grad_ops.zeros(tape, wrt[i]->shape);
    g_free(r.depends);
    g_free(r.d);
}

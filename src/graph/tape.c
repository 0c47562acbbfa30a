/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tape: storage of tensors and nodes, and the sticky error. See tape.h.
 */
#include <string.h>

#include "graph/tape.h"

static void tensor_free(gpointer data)
{
    NervTensor *t = data;
    g_free(t->name);
    g_free(t->const_data);
    g_free(t);
}

NervTape *nerv_tape_new(void)
{
    NervTape *tape = g_new0(NervTape, 1);
    tape->tensors = g_ptr_array_new_with_free_func(tensor_free);
    tape->nodes = g_ptr_array_new_with_free_func(g_free);
    return tape;
}

void nerv_tape_free(NervTape *tape)
{
    if (!tape)
        return;
    g_ptr_array_unref(tape->tensors);
    g_ptr_array_unref(tape->nodes);
    g_clear_error(&tape->error);
    g_free(tape);
}

void nerv_tape_fail(NervTape *tape, NervErrorCode code, const char *format, ...)
{
    if (tape->error)
        return;
    va_list args;
    va_start(args, format);
    tape->error = g_error_new_valist(NERV_ERROR, code, format, args);
    va_end(args);
}

bool nerv_tape_check(NervTape *tape, GError **error)
{
    if (!tape->error)
        return true;
    g_propagate_error(error, g_error_copy(tape->error));
    return false;
}

static NervTensor *tensor_new(NervTape *tape, NervTensorKind kind, NervDType dtype, NervShape shape)
{
    NervTensor *t = g_new0(NervTensor, 1);
    t->id = tape->tensors->len;
    t->kind = kind;
    t->dtype = dtype;
    t->shape = shape;
    g_ptr_array_add(tape->tensors, t);
    return t;
}

NervTensor *nerv_tape_leaf(NervTape *tape, NervTensorKind kind, NervDType dtype, NervShape shape,
                           const char *name)
{
    if (tape->error)
        return NULL;
    if (nerv_shape_count(shape) == 0) {
        nerv_tape_fail(tape, NERV_ERROR_INVALID, "tensor %s: %d x %d x %d x %d is empty or too large",
                       name ? name : "(unnamed)", shape.n, shape.c, shape.h, shape.w);
        return NULL;
    }
    NervTensor *t = tensor_new(tape, kind, dtype, shape);
    t->name = g_strdup(name);
    t->no_grad = kind == NERV_TENSOR_INPUT || dtype != NERV_F32;
    return t;
}

NervTensor *nerv_tape_const(NervTape *tape, NervShape shape, const float *data)
{
    NervTensor *t = nerv_tape_leaf(tape, NERV_TENSOR_CONST, NERV_F32, shape, NULL);
    if (!t)
        return NULL;
    t->no_grad = true;
    t->const_data = g_try_malloc(nerv_tensor_bytes(t));
    if (!t->const_data) {
        nerv_tape_fail(tape, NERV_ERROR_MEMORY, "no memory for a network's constants");
        return NULL;
    }
    memcpy(t->const_data, data, nerv_tensor_bytes(t));
    return t;
}

NervTensor *nerv_tape_scalar(NervTape *tape, float value)
{
    return nerv_tape_const(tape, nerv_shape(1, 1, 1, 1), &value);
}

static bool operands_valid(NervTape *tape, const NervOp *op, NervTensor *const *in, uint32_t n_in,
                           size_t attr_bytes)
{
    if (n_in < op->min_in || n_in > op->max_in || n_in > NERV_MAX_IN || attr_bytes > NERV_MAX_ATTR_BYTES) {
        nerv_tape_fail(tape, NERV_ERROR_INVALID, "op %s: %u operands, takes %u to %u", op->name, n_in,
                       op->min_in, op->max_in);
        return false;
    }
    for (uint32_t i = 0; i < n_in; i++) {
        if (!in[i]) {
            nerv_tape_fail(tape, NERV_ERROR_INVALID, "op %s: operand %u is missing", op->name, i);
            return false;
        }
    }
    return true;
}

NervTensor *nerv_tape_add(NervTape *tape, const NervOp *op, NervTensor *const *in, uint32_t n_in,
                          const void *attr, size_t attr_bytes)
{
    if (tape->error || !operands_valid(tape, op, in, n_in, attr_bytes))
        return NULL;

    NervNode *node = g_new0(NervNode, 1);
    node->op = op;
    node->n_in = n_in;
    memcpy(node->in, in, n_in * sizeof(*in));
    if (attr_bytes)
        memcpy(node->attr, attr, attr_bytes);

    NervOutInfo info[NERV_MAX_OUT] = { 0 };
    if (!op->infer(node, info, &tape->error)) {
        if (!tape->error)
            nerv_tape_fail(tape, NERV_ERROR_INVALID, "op %s: operands do not fit", op->name);
        goto error;
    }
    for (uint32_t i = 0; i < op->n_out; i++) {
        const NervShape s = info[i].shape;
        if (nerv_shape_count(s) == 0) {
            nerv_tape_fail(tape, NERV_ERROR_INVALID,
                           "op %s: output of %d x %d x %d x %d is empty or too large", op->name, s.n, s.c,
                           s.h, s.w);
            goto error;
        }
    }
    g_ptr_array_add(tape->nodes, node);
    for (uint32_t i = 0; i < op->n_out; i++) {
        NervTensor *t = tensor_new(tape, NERV_TENSOR_VALUE, info[i].dtype, info[i].shape);
        t->node = node;
        t->slot = i;
        t->no_grad = info[i].dtype != NERV_F32;
        node->out[i] = t;
    }
    return node->out[0];

error:
    g_free(node);
    return NULL;
}

void nerv_tape_output(NervTape *tape, NervTensor *t, const char *name)
{
    if (tape->error || !t)
        return;
    t->is_output = true;
    if (name) {
        g_free(t->name);
        t->name = g_strdup(name);
    }
}

NervTensor *nerv_tape_find(const NervTape *tape, const char *name)
{
    for (guint i = 0; i < tape->tensors->len; i++) {
        NervTensor *t = g_ptr_array_index(tape->tensors, i);
        if (t->name && !strcmp(t->name, name))
            return t;
    }
    return NULL;
}

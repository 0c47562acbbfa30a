/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The checks that most shape rules share. Each returns false with NERV_ERROR_INVALID set to a sentence that
 * names the op and the operand; the number of operands has been checked by the tape.
 */
#pragma once

#include "graph/op.h"

/* False, with what is wrong in the op's own words. */
static inline bool nerv_invalid(const NervNode *node, GError **error, const char *what)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: %s", node->op->name, what);
    return false;
}

/* Every operand is 32-bit float. */
static inline bool nerv_check_float(const NervNode *node, GError **error)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i]->dtype == NERV_F32)
            continue;
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: operand %u must be of floats",
                    node->op->name, i);
        return false;
    }
    return true;
}

/* Operand `i` has this shape; `what` says where the shape comes from. */
static inline bool nerv_check_shape(const NervNode *node, uint32_t i, NervShape want, const char *what,
                                    GError **error)
{
    const NervShape s = node->in[i]->shape;
    if (nerv_shape_equal(s, want))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "op %s: operand %u is %d x %d x %d x %d, not %d x %d x %d x %d as %s", node->op->name, i, s.n,
                s.c, s.h, s.w, want.n, want.c, want.h, want.w, what);
    return false;
}

/* Operands `first`..`last` are floats of one shape. */
static inline bool nerv_check_alike(const NervNode *node, uint32_t first, uint32_t last, GError **error)
{
    if (!nerv_check_float(node, error))
        return false;
    for (uint32_t i = first + 1; i <= last; i++)
        if (!nerv_check_shape(node, i, node->in[first]->shape, "the operands before it", error))
            return false;
    return true;
}

static inline bool nerv_check_scalar(const NervNode *node, uint32_t i, GError **error)
{
    return nerv_check_shape(node, i, nerv_shape(1, 1, 1, 1), "a scalar is", error);
}

/* Output 0 is of floats and has this shape; always true, so that a rule can end with it. */
static inline bool nerv_infer_float(NervOutInfo *out, NervShape shape)
{
    out[0] = (NervOutInfo){ NERV_F32, shape };
    return true;
}

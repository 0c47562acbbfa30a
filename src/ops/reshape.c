/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The same values in the same order under another shape. A view: no kernel runs and no shader exists; the
 * plan gives the output its input's memory. Gradient: dy under the input's shape.
 */
#include "ops/check.h"
#include "ops/ops.h"

static bool reshape_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape from = node->in[0]->shape, to = *NERV_NODE_ATTR(node, NervShape);
    if (nerv_shape_count(to) != nerv_shape_count(from)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "op reshape: %d x %d x %d x %d does not fit %d x %d x %d x %d", from.n, from.c, from.h,
                    from.w, to.n, to.c, to.h, to.w);
        return false;
    }
    out[0] = (NervOutInfo){ node->in[0]->dtype, to };
    return true;
}

static void reshape_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                         NervTensor **din)
{
    din[0] = nerv_reshape(tape, dout[0], node->in[0]->shape);
}

const NervOp nerv_op_reshape = {
    .name = "reshape",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .is_view = true,
    .infer = reshape_infer,
    .grad = reshape_grad,
};

NervTensor *nerv_reshape(NervTape *t, NervTensor *x, NervShape shape)
{
    return nerv_tape_add(t, &nerv_op_reshape, (NervTensor *[]){ x }, 1, &shape, sizeof shape);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of reshape. As a view it has no kernel: what is checked is that the plan and each backend hand the
 * same memory on, between two nodes that compute, and that gradients pass.
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    static const int from[][4] = { { 1, 1, 1, 1 }, { 2, 3, 1, 5 }, { 1, 6 * 9 * 4, 1, 1 }, { 3, 5, 7, 11 } };
    static const int to[][4] = { { 1, 1, 1, 1 }, { 1, 5, 3, 2 }, { 1, 4, 9, 6 }, { 1, 1, 1, 1155 } };
    const int *f = from[trial], *t = to[trial];
    NervTensor *x = check_param(tape, "x", f[0], f[1], f[2], f[3]);
    NervTensor *y = nerv_reshape(tape, nerv_affine(tape, x, 2.0f, 0.5f), nerv_shape(t[0], t[1], t[2], t[3]));
    nerv_tape_output(tape, nerv_mul(tape, y, check_param(tape, "b", t[0], t[1], t[2], t[3])), "y");
}

const CheckCase check_reshape = {
    .op = "reshape",
    .n_trials = 4,
    .make = make,
    .n_grad_trials = 3,
    .note = "a view",
};

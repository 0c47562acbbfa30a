/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of expand: all sixteen sets of repeated axes on a small shape and on an odd one, and rows of odd
 * lengths.
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const NervShape to = trial < 16   ? nerv_shape(2, 3, 2, 3)
                         : trial < 32 ? nerv_shape(3, 5, 11, 7)
                                      : nerv_shape(1, 3, 61, 97);
    NervTensor *x = check_param(tape, "x", trial & 1 ? 1 : to.n, trial & 2 ? 1 : to.c, trial & 4 ? 1 : to.h,
                                trial & 8 ? 1 : to.w);
    nerv_tape_output(tape, nerv_expand(tape, x, to, nerv_rng_uniform(rng, -2.0f, 2.0f)), "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    nerv_tape_output(
        tape, nerv_expand(tape, check_param(tape, "x", 1, 12, 1, 1), nerv_shape(1, 12, 180, 320), 1.0f), "y");
    return which == 0;
}

const CheckCase check_expand = {
    .op = "expand",
    .n_trials = 40,
    .make = make,
    .n_grad_trials = 16,
    .bench = bench,
};

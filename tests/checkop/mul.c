/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of mul: sizes from one element up, odd ones, more than one piece of work, and both operands the same
 * tensor.
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    static const int sizes[][4] = {
        { 1, 1, 1, 1 }, { 2, 3, 1, 5 }, { 1, 2, 3, 5 }, { 3, 5, 7, 11 }, { 1, 3, 97, 61 }
    };
    const int *s = sizes[trial];
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = trial == 2 ? a : check_param(tape, "b", s[0], s[1], s[2], s[3]);
    nerv_tape_output(tape, nerv_mul(tape, a, b), "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 12, 180, 320), *b = check_param(tape, "b", 1, 12, 180, 320);
    nerv_tape_output(tape, nerv_mul(tape, a, b), "y");
    return which == 0;
}

const CheckCase check_mul = {
    .op = "mul",
    .n_trials = 5,
    .make = make,
    .n_grad_trials = 3,
    .bench = bench,
};

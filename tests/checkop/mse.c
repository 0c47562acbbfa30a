/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of mse and mse_dx: above and below the length of one piece of work.
 */
#include "checkop.h"

static const int sizes[][4] = {
    { 1, 1, 1, 1 }, { 1, 3, 2, 5 }, { 2, 3, 1, 7 }, { 2, 3, 37, 53 }, { 1, 3, 97, 61 }
};

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = check_param(tape, "b", s[0], s[1], s[2], s[3]);
    nerv_tape_output(tape, nerv_mse(tape, a, b), "y");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = check_param(tape, "b", s[0], s[1], s[2], s[3]);
    nerv_tape_output(tape, nerv_mse_dx(tape, check_param(tape, "g", 1, 1, 1, 1), a, b), "dx");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 3, 180, 320), *b = check_param(tape, "b", 1, 3, 180, 320);
    nerv_tape_output(tape, nerv_mse(tape, a, b), "y");
    return which == 0;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 3, 180, 320), *b = check_param(tape, "b", 1, 3, 180, 320);
    nerv_tape_output(tape, nerv_mse_dx(tape, check_param(tape, "g", 1, 1, 1, 1), a, b), "dx");
    return which == 0;
}

const CheckCase check_mse = {
    .op = "mse",
    .n_trials = 5,
    .make = make,
    .n_grad_trials = 3,
    .bench = bench,
};

const CheckCase check_mse_dx = {
    .op = "mse_dx",
    .n_trials = 5,
    .make = make_dx,
    .n_grad_trials = 3,
    .bench = bench_dx,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of affine: random constants, and the ones that models use most (1-x, -x).
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    static const int sizes[][4] = { { 1, 1, 1, 1 }, { 2, 3, 1, 5 }, { 3, 5, 7, 11 }, { 1, 3, 97, 61 } };
    const int *s = sizes[trial];
    const float scale = trial == 0 ? -1.0f : nerv_rng_uniform(rng, -3.0f, 3.0f);
    const float shift = trial == 0 ? 1.0f : trial == 1 ? 0.0f : nerv_rng_uniform(rng, -3.0f, 3.0f);
    NervTensor *x = check_param(tape, "x", s[0], s[1], s[2], s[3]);
    nerv_tape_output(tape, nerv_affine(tape, x, scale, shift), "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    nerv_tape_output(tape, nerv_affine(tape, check_param(tape, "x", 1, 12, 180, 320), 2.0f, -1.0f), "y");
    return which == 0;
}

const CheckCase check_affine = {
    .op = "affine",
    .n_trials = 4,
    .make = make,
    .n_grad_trials = 2,
    .bench = bench,
};

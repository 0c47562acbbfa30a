/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of concat: two to eight inputs, among them the same one twice, shares that end within a piece of work and
 * beyond one.
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    /* N, H, W, then the inputs' channels up to a zero. */
    static const int sizes[][12] = { { 1, 1, 1, 1, 1 },
                                     { 2, 3, 2, 1, 2, 1 },
                                     { 3, 1, 5, 2, 1, 1, 3 },
                                     { 1, 2, 2, 1, 1, 2, 1, 1, 1, 1, 1 },
                                     { 2, 1, 1, 5, 7 },
                                     { 2, 13, 17, 3, 1, 30, 2, 9 },
                                     { 3, 45, 61, 4, 2, 1, 5, 3, 1, 2, 1 } };
    const int *s = sizes[trial];
    NervTensor *x[NERV_MAX_IN];
    uint32_t n = 0;
    for (; n < NERV_MAX_IN && s[3 + n]; n++)
        x[n] = check_param(tape, "x", s[0], s[3 + n], s[1], s[2]);
    if (trial == 1)
        x[2] = x[0];
    nerv_tape_output(tape, nerv_concat(tape, x, n), "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *x[] = { check_param(tape, "a", 1, 12, 180, 320), check_param(tape, "b", 1, 4, 180, 320) };
    nerv_tape_output(tape, nerv_concat(tape, x, 2), "y");
    return which == 0;
}

const CheckCase check_concat = {
    .op = "concat",
    .n_trials = 7,
    .make = make,
    .n_grad_trials = 5,
    .bench = bench,
};

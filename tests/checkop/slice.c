/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of slice: the first channels, the last, some between, several pictures in one piece of work and several pieces in one
 * picture.
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    /* N, C, H, W, the first channel, their number. */
    static const int sizes[][6] = { { 1, 2, 1, 1, 1, 1 },   { 2, 3, 2, 3, 0, 2 },   { 3, 5, 1, 4, 2, 1 },
                                    { 2, 4, 3, 1, 1, 3 },   { 5, 9, 11, 13, 3, 5 }, { 2, 6, 71, 93, 1, 4 },
                                    { 1, 40, 1, 1, 17, 20 } };
    const int *s = sizes[trial];
    NervTensor *x = check_param(tape, "x", s[0], s[1], s[2], s[3]);
    nerv_tape_output(tape, nerv_slice(tape, x, s[4], s[5]), "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    nerv_tape_output(tape, nerv_slice(tape, check_param(tape, "x", 1, 16, 180, 320), 12, 4), "y");
    return which == 0;
}

const CheckCase check_slice = {
    .op = "slice",
    .n_trials = 7,
    .make = make,
    .n_grad_trials = 4,
    .bench = bench,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of reduce: all sixteen sets of axes on a small tensor and on an odd one, then sums that are cut into
 * several pieces: of everything, of each image, of each channel over a batch, of rows of outputs.
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    static const int big[][5] = { { NERV_AXIS_ALL, 1, 3, 97, 131 },
                                  { NERV_AXIS_C | NERV_AXIS_H | NERV_AXIS_W, 2, 3, 61, 97 },
                                  { NERV_AXIS_H | NERV_AXIS_W, 1, 3, 131, 140 },
                                  { NERV_AXIS_N | NERV_AXIS_H | NERV_AXIS_W, 3, 2, 31, 37 },
                                  { NERV_AXIS_N, 5, 3, 31, 67 },
                                  { NERV_AXIS_C, 2, 80, 13, 17 },
                                  { NERV_AXIS_W, 1, 1, 1, 9000 },
                                  { NERV_AXIS_H, 1, 1, 200, 300 } };
    NervTensor *x, *y;
    if (trial < 32) {
        x = trial < 16 ? check_param(tape, "x", 2, 3, 2, 3) : check_param(tape, "x", 3, 5, 11, 7);
        y = nerv_reduce_sum(tape, x, trial % 16, nerv_rng_uniform(rng, -2.0f, 2.0f));
    } else {
        const int *s = big[trial - 32];
        x = check_param(tape, "x", s[1], s[2], s[3], s[4]);
        y = nerv_reduce_mean(tape, x, s[0]);
    }
    nerv_tape_output(tape, y, "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    static const int axes[] = { NERV_AXIS_ALL, NERV_AXIS_N | NERV_AXIS_H | NERV_AXIS_W, NERV_AXIS_C };
    if (which >= G_N_ELEMENTS(axes))
        return false;
    nerv_tape_output(tape, nerv_reduce_mean(tape, check_param(tape, "x", 1, 12, 180, 320), axes[which]), "y");
    return true;
}

const CheckCase check_reduce = {
    .op = "reduce",
    .n_trials = 40,
    .make = make,
    .n_grad_trials = 16,
    .bench = bench,
};

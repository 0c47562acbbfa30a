/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of crop: one side, both sides, down to one pixel.
 */
#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    static const int sizes[][6] = { { 1, 1, 2, 1, 1, 1 },     { 1, 2, 3, 4, 3, 2 }, { 2, 1, 4, 5, 3, 5 },
                                    { 1, 2, 5, 4, 5, 3 },     { 2, 3, 9, 8, 1, 1 }, { 2, 3, 23, 37, 20, 33 },
                                    { 1, 3, 70, 112, 61, 97 } };
    const int *s = sizes[trial];
    nerv_tape_output(tape, nerv_crop(tape, check_param(tape, "x", s[0], s[1], s[2], s[3]), s[4], s[5]), "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    nerv_tape_output(tape, nerv_crop(tape, check_param(tape, "x", 1, 3, 180, 320), 179, 317), "y");
    return which == 0;
}

const CheckCase check_crop = {
    .op = "crop",
    .n_trials = 7,
    .make = make,
    .n_grad_trials = 5,
    .bench = bench,
};

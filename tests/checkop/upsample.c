/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of upsample and upsample_dx: even, odd and large scales, pictures of one pixel, one row and one column, planes of one
 * and of several tasks.
 */
#include "checkop.h"

/* N, C, H, W, S. */
static const int sizes[][5] = { { 1, 1, 1, 1, 2 },   { 1, 2, 3, 4, 2 },  { 2, 1, 2, 5, 3 },
                                { 1, 1, 1, 6, 4 },   { 1, 2, 5, 1, 5 },  { 2, 3, 11, 17, 3 },
                                { 1, 2, 45, 37, 8 }, { 1, 1, 3, 2, 64 }, { 1, 8, 45, 80, 2 },
                                { 1, 1, 130, 97, 4 } };

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    nerv_tape_output(tape, nerv_upsample(tape, check_param(tape, "x", s[0], s[1], s[2], s[3]), s[4]), "y");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *dy = check_param(tape, "dy", s[0], s[1], s[2] * s[4], s[3] * s[4]);
    nerv_tape_output(tape, nerv_upsample_dx(tape, dy, s[4]), "dx");
}

static const int bench_sizes[][5] = { { 1, 8, 45, 80, 2 }, { 1, 8, 90, 160, 2 }, { 1, 2, 45, 80, 4 } };

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= 3)
        return false;
    const int *s = bench_sizes[which];
    nerv_tape_output(tape, nerv_upsample(tape, check_param(tape, "x", s[0], s[1], s[2], s[3]), s[4]), "y");
    return true;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= 3)
        return false;
    const int *s = bench_sizes[which];
    NervTensor *dy = check_param(tape, "dy", s[0], s[1], s[2] * s[4], s[3] * s[4]);
    nerv_tape_output(tape, nerv_upsample_dx(tape, dy, s[4]), "dx");
    return true;
}

const CheckCase check_upsample = {
    .op = "upsample",
    .n_trials = 10,
    .make = make,
    .n_grad_trials = 6,
    .bench = bench,
};

const CheckCase check_upsample_dx = {
    .op = "upsample_dx",
    .n_trials = 10,
    .make = make_dx,
    .n_grad_trials = 6,
    .bench = bench_dx,
};

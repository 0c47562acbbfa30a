/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of modulate and modulate_dx: pictures shorter and longer than one piece of work.
 */
#include "checkop.h"

static const int sizes[][4] = { { 1, 1, 1, 1 },  { 2, 3, 1, 2 },   { 3, 2, 3, 5 },   { 2, 2, 2, 3 },
                                { 5, 7, 11, 3 }, { 2, 5, 61, 71 }, { 1, 33, 23, 31 } };

#define N_GRAD_TRIALS 4

static NervTensor *x_of(NervTape *tape, const char *name, const int *s)
{
    return check_param(tape, name, s[0], s[1], s[2], s[3]);
}

static NervTensor *sh_of(NervTape *tape, const int *s)
{
    return check_param(tape, "sh", s[0], 2 * s[1], s[2], s[3]);
}

static void build(NervTape *tape, const int *s)
{
    NervTensor *x = x_of(tape, "x", s);
    nerv_tape_output(tape, nerv_modulate(tape, x, sh_of(tape, s)), "y");
}

static void build_dx(NervTape *tape, const int *s, bool want_dx, bool want_dsh)
{
    NervTensor *dy = x_of(tape, "dy", s), *x = x_of(tape, "x", s);
    NervTensor *dx = nerv_modulate_dx(tape, dy, x, sh_of(tape, s));
    if (want_dx)
        nerv_tape_output(tape, dx, "dx");
    if (want_dsh)
        nerv_tape_output(tape, dx ? dx->node->out[1] : NULL, "dsh");
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    build(tape, sizes[trial]);
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    build_dx(tape, sizes[trial], trial != 1, trial != 2);
}

static const int bench_size[] = { 8, 32, 64, 128 };

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    build(tape, bench_size);
    return which == 0;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    build_dx(tape, bench_size, true, true);
    return which == 0;
}

const CheckCase check_modulate = {
    .op = "modulate",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make,
    .n_grad_trials = N_GRAD_TRIALS,
    .bench = bench,
};

const CheckCase check_modulate_dx = {
    .op = "modulate_dx",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make_dx,
    .n_grad_trials = N_GRAD_TRIALS,
    .bench = bench_dx,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of temporal_mix, plain and transposed, alone or not, with and without bias, and of temporal_mix_dw: clips of 1 to 64
 * frames, more and fewer than a block and no multiple of one, planes of one pixel, of less than a vector, and of several pieces.
 */
#include "checkop.h"

typedef enum { WITH_BIAS, WITHOUT, TRANSPOSED, ALONE, ALONE_TRANSPOSED } Form;

/* Clips, frames, C, H, W, form. */
static const int sizes[][6] = {
    { 1, 1, 1, 1, 1, WITH_BIAS },    { 2, 3, 2, 2, 3, WITH_BIAS },
    { 1, 4, 2, 1, 5, TRANSPOSED },   { 1, 2, 3, 2, 2, WITHOUT },
    { 2, 3, 2, 2, 3, ALONE },        { 1, 4, 2, 1, 5, ALONE_TRANSPOSED },
    { 2, 8, 3, 4, 5, WITH_BIAS },    { 3, 8, 2, 9, 13, TRANSPOSED },
    { 2, 8, 3, 9, 13, ALONE },       { 1, 5, 4, 7, 17, TRANSPOSED },
    { 1, 13, 2, 11, 31, WITH_BIAS }, { 1, 64, 2, 5, 9, WITH_BIAS },
    { 1, 33, 1, 3, 23, TRANSPOSED }, { 1, 8, 2, 67, 83, WITHOUT },
    { 2, 8, 1, 53, 79, TRANSPOSED }, { 1, 13, 2, 11, 31, ALONE_TRANSPOSED },
};

#define N_GRAD_TRIALS 6

static NervTensor *x_of(NervTape *tape, const char *name, const int *s)
{
    return check_param(tape, name, s[0] * s[1], s[2], s[3], s[4]);
}

static void build(NervTape *tape, const int *s)
{
    NervTensor *x = x_of(tape, "x", s), *w = check_param(tape, "w", s[2], s[1], s[1], 1);
    const bool has_bias = s[5] == WITH_BIAS || s[5] == ALONE;
    NervTensor *b = has_bias ? check_param(tape, "b", 1, s[2], s[1], 1) : NULL;
    nerv_tape_output(tape,
                     s[5] == TRANSPOSED         ? nerv_temporal_mix_dx(tape, x, w)
                     : s[5] == ALONE            ? nerv_temporal_sum(tape, x, w, b)
                     : s[5] == ALONE_TRANSPOSED ? nerv_temporal_sum_dx(tape, x, w)
                                                : nerv_temporal_mix(tape, x, w, b),
                     "y");
}

static void build_dw(NervTape *tape, const int *s, bool want_dw, bool want_db)
{
    NervTensor *dy = x_of(tape, "dy", s), *x = x_of(tape, "x", s);
    NervTensor *dw = nerv_temporal_mix_dw(tape, dy, x, s[1]);
    if (want_dw)
        nerv_tape_output(tape, dw, "dw");
    if (want_db)
        nerv_tape_output(tape, dw ? dw->node->out[1] : NULL, "db");
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    build(tape, sizes[trial]);
}

static void make_dw(NervTape *tape, NervRng *rng, uint32_t trial)
{
    build_dw(tape, sizes[trial], trial != 1, trial != 2);
}

static const int bench_sizes[][6] = { { 1, 8, 32, 90, 160, WITH_BIAS },
                                      { 2, 8, 128, 4, 5, WITH_BIAS },
                                      { 1, 32, 32, 45, 80, WITH_BIAS } };

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(bench_sizes))
        return false;
    build(tape, bench_sizes[which]);
    const int *s = bench_sizes[which];
    *macs = (double)s[0] * s[1] * s[1] * s[2] * s[3] * s[4];
    return true;
}

static bool bench_dw(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(bench_sizes))
        return false;
    build_dw(tape, bench_sizes[which], true, true);
    const int *s = bench_sizes[which];
    *macs = (double)s[0] * s[1] * s[1] * s[2] * s[3] * s[4];
    return true;
}

const CheckCase check_temporal_mix = {
    .op = "temporal_mix",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make,
    .n_grad_trials = N_GRAD_TRIALS,
    .bench = bench,
};

const CheckCase check_temporal_mix_dw = {
    .op = "temporal_mix_dw",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make_dw,
    .n_grad_trials = 4,
    .bench = bench_dw,
};

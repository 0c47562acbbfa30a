/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of norm and norm_dx: one clip and several, of one frame and of many, channels of one element (whose deviation is 0) and
 * of several pieces, values far from zero for their spread.
 */
#include "checkop.h"

/* Clips, frames, C, H, W. */
static const int sizes[][5] = { { 1, 1, 1, 1, 1 },  { 1, 4, 2, 2, 3 },    { 2, 3, 2, 3, 1 },
                                { 3, 1, 3, 2, 5 },  { 2, 2, 2, 2, 3 },    { 2, 8, 5, 4, 5 },
                                { 1, 5, 3, 13, 7 }, { 2, 3, 11, 31, 29 }, { 1, 8, 2, 45, 80 },
                                { 3, 1, 2, 1, 1 } };

#define N_GRAD_TRIALS 5

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *x = check_param(tape, trial == 6 || trial == 7 ? "far" : "x", s[0] * s[1], s[2], s[3], s[4]);
    NervTensor *y = nerv_norm(tape, x, s[1]);
    if (trial != 4)
        nerv_tape_output(tape, y, "y");
    if (y && trial != 3)
        nerv_tape_output(tape, y->node->out[1], "r");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *dy = check_param(tape, "dy", s[0] * s[1], s[2], s[3], s[4]);
    NervTensor *y = check_param(tape, "y", s[0] * s[1], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_norm_dx(tape, dy, y, check_param(tape, "r", s[0], s[2], 1, 1)), "dx");
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    float *v = data;
    for (int64_t i = 0; i < n; i++) {
        v[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
        if (leaf->name[0] == 'f')
            v[i] += 10.0f;
    }
}

/* K0 of two keyframes, and a stage's features. */
static const int bench_sizes[][5] = { { 4, 8, 128, 4, 5 }, { 1, 8, 32, 64, 128 } };

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(bench_sizes))
        return false;
    const int *s = bench_sizes[which];
    nerv_tape_output(tape, nerv_norm(tape, check_param(tape, "x", s[0] * s[1], s[2], s[3], s[4]), s[1]), "y");
    return true;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(bench_sizes))
        return false;
    const int *s = bench_sizes[which];
    NervTensor *dy = check_param(tape, "dy", s[0] * s[1], s[2], s[3], s[4]);
    NervTensor *y = check_param(tape, "y", s[0] * s[1], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_norm_dx(tape, dy, y, check_param(tape, "r", s[0], s[2], 1, 1)), "dx");
    return true;
}

const CheckCase check_norm = {
    .op = "norm",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make,
    .fill = fill,
    .n_grad_trials = N_GRAD_TRIALS,
    .bench = bench,
};

const CheckCase check_norm_dx = {
    .op = "norm_dx",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make_dx,
    .fill = fill,
    .n_grad_trials = N_GRAD_TRIALS,
    .bench = bench_dx,
};

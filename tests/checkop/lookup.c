/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of lookup and lookup_dx: grids of one row and of many, rows below and above the length of one piece of work; positions on
 * rows and between them, several at one row, before the first, beyond the last and no number at all.
 */
#include <math.h>

#include "checkop.h"

/* T, C, H, W of the grid, N. */
static const int sizes[][5] = { { 1, 1, 1, 1, 1 },  { 2, 1, 1, 3, 2 },   { 3, 2, 1, 2, 5 },
                                { 7, 3, 5, 11, 9 }, { 90, 2, 9, 16, 4 }, { 4, 5, 61, 83, 3 } };

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *grid = check_param(tape, "grid", s[0], s[1], s[2], s[3]);
    NervTensor *pos = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(s[4], 1, 1, 1), "pos");
    nerv_tape_output(tape, nerv_lookup(tape, grid, pos), "y");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *dy = check_param(tape, "dy", s[4], s[1], s[2], s[3]);
    NervTensor *pos = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(s[4], 1, 1, 1), "pos");
    nerv_tape_output(tape, nerv_lookup_dx(tape, dy, pos, s[0]), "dgrid");
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    float *x = data;
    for (int64_t i = 0; i < n; i++) {
        x[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
        if (leaf->kind == NERV_TENSOR_INPUT)
            x[i] = i == 3 ? 1e30f : i == 4 ? NAN : i == 5 ? 1.0f : i == 6 ? -INFINITY : 2.0f + 2.5f * x[i];
    }
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *pos = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(2, 1, 1, 1), "pos");
    nerv_tape_output(tape, nerv_lookup(tape, check_param(tape, "grid", 60, 16, 18, 32), pos), "y");
    return which == 0;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *pos = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(2, 1, 1, 1), "pos");
    nerv_tape_output(tape, nerv_lookup_dx(tape, check_param(tape, "dy", 2, 16, 18, 32), pos, 60), "dgrid");
    return which == 0;
}

const CheckCase check_lookup = {
    .op = "lookup",
    .n_trials = 6,
    .make = make,
    .fill = fill,
    .n_grad_trials = 4,
    .bench = bench,
};

const CheckCase check_lookup_dx = {
    .op = "lookup_dx",
    .n_trials = 6,
    .make = make_dx,
    .fill = fill,
    .n_grad_trials = 4,
    .bench = bench_dx,
};

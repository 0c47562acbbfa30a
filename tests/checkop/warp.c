/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of warp and its gradients: one picture for each flow, one for all and one for some in a row, pictures of one pixel, one
 * row and one column, more and fewer channels than lanes, planes of several tasks. Flows that are parameters, whose gradients are
 * checked, keep off the kinks at whole coordinates; those that are inputs have whole and huge numbers, infinities and NaN.
 */
#include "warp.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = warp_sizes[trial];
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp(tape, x, warp_flow(tape, trial)), "y");
}

static void make_dflow(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = warp_sizes[trial];
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_dflow(tape, dy, x, warp_flow(tape, trial)), "dflow");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = warp_sizes[trial];
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_dx(tape, dy, warp_flow(tape, trial), s[0]), "dx");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = warp_bench_case(tape, which, &flow);
    if (!s)
        return false;
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp(tape, x, flow), "y");
    return true;
}

static bool bench_dflow(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = warp_bench_case(tape, which, &flow);
    if (!s)
        return false;
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_dflow(tape, dy, x, flow), "dflow");
    return true;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = warp_bench_case(tape, which, &flow);
    if (!s)
        return false;
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_dx(tape, dy, flow, s[0]), "dx");
    return true;
}

const CheckCase check_warp = {
    .op = "warp",
    .n_trials = WARP_TRIALS,
    .make = make,
    .fill = warp_fill,
    .n_grad_trials = WARP_GRAD_TRIALS,
    .bench = bench,
};

const CheckCase check_warp_dflow = {
    .op = "warp_dflow",
    .n_trials = WARP_TRIALS,
    .make = make_dflow,
    .fill = warp_fill,
    .n_grad_trials = WARP_GRAD_TRIALS,
    .bench = bench_dflow,
};

const CheckCase check_warp_dx = {
    .op = "warp_dx",
    .n_trials = WARP_TRIALS,
    .make = make_dx,
    .fill = warp_fill,
    .n_grad_trials = WARP_GRAD_TRIALS,
    .bench = bench_dx,
};

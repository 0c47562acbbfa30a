/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of warp_slope and its gradients, at warp's sizes and flows.
 */
#include "warp.h"

static NervTensor *like_flow(NervTape *tape, const int *s)
{
    return check_param(tape, "v", s[1], 2, s[3], s[4]);
}

static void build(NervTape *tape, const int *s, NervTensor *flow)
{
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_slope(tape, x, flow, like_flow(tape, s)), "y");
}

static void build_dflow(NervTape *tape, const int *s, NervTensor *flow)
{
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_slope_dflow(tape, dy, x, flow, like_flow(tape, s)), "dflow");
}

static void build_dx(NervTape *tape, const int *s, NervTensor *flow)
{
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_slope_dx(tape, dy, flow, like_flow(tape, s), s[0]), "dx");
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    build(tape, warp_sizes[trial], warp_flow(tape, trial));
}

static void make_dflow(NervTape *tape, NervRng *rng, uint32_t trial)
{
    build_dflow(tape, warp_sizes[trial], warp_flow(tape, trial));
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    build_dx(tape, warp_sizes[trial], warp_flow(tape, trial));
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = warp_bench_case(tape, which, &flow);
    if (s)
        build(tape, s, flow);
    return s != NULL;
}

static bool bench_dflow(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = warp_bench_case(tape, which, &flow);
    if (s)
        build_dflow(tape, s, flow);
    return s != NULL;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = warp_bench_case(tape, which, &flow);
    if (s)
        build_dx(tape, s, flow);
    return s != NULL;
}

const CheckCase check_warp_slope = {
    .op = "warp_slope",
    .n_trials = WARP_TRIALS,
    .make = make,
    .fill = warp_fill,
    .n_grad_trials = WARP_GRAD_TRIALS,
    .bench = bench,
};

const CheckCase check_warp_slope_dflow = {
    .op = "warp_slope_dflow",
    .n_trials = WARP_TRIALS,
    .make = make_dflow,
    .fill = warp_fill,
    .bench = bench_dflow,
    .note = "not differentiable",
};

const CheckCase check_warp_slope_dx = {
    .op = "warp_slope_dx",
    .n_trials = WARP_TRIALS,
    .make = make_dx,
    .fill = warp_fill,
    .bench = bench_dx,
    .note = "not differentiable",
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of warp and its gradients: one picture for each flow, one for all and one for some in a row, pictures of one pixel, one
 * row and one column, more and fewer channels than lanes, planes of several tasks. Flows that are parameters, whose gradients are
 * checked, keep off the kinks at whole coordinates; those that are inputs have whole and huge numbers, infinities and NaN.
 */
#include <math.h>

#include "checkop.h"

/* M, N, C, H, W. */
static const int sizes[][5] = { { 1, 1, 1, 1, 1 },    { 1, 1, 2, 4, 5 },     { 2, 2, 1, 3, 4 },
                                { 1, 3, 2, 3, 3 },    { 1, 1, 1, 1, 6 },     { 1, 2, 3, 7, 1 },
                                { 2, 4, 3, 5, 3 },    { 1, 1, 8, 16, 24 },   { 2, 2, 11, 13, 9 },
                                { 1, 2, 4, 65, 131 }, { 1, 1, 17, 90, 160 }, { 3, 3, 1, 40, 33 },
                                { 1, 1, 2, 9, 700 },  { 2, 6, 5, 17, 21 },   { 3, 6, 9, 33, 47 } };

#define N_TRIALS      G_N_ELEMENTS(sizes)
#define N_GRAD_TRIALS 7

static NervTensor *flow_of(NervTape *tape, uint32_t trial)
{
    const int *s = sizes[trial];
    return nerv_tape_leaf(tape, trial < N_GRAD_TRIALS ? NERV_TENSOR_PARAM : NERV_TENSOR_INPUT, NERV_F32,
                          nerv_shape(s[1], 2, s[3], s[4]), "flow");
}

static NervTensor *constant_flow(NervTape *tape, NervRng *rng, const int *s)
{
    const int64_t n = 2 * (int64_t)s[1] * s[3] * s[4];
    float *v = g_new(float, n);
    for (int64_t i = 0; i < n; i++)
        v[i] = nerv_rng_uniform(rng, -3.0f, 3.0f);
    NervTensor *flow = nerv_tape_const(tape, nerv_shape(s[1], 2, s[3], s[4]), v);
    g_free(v);
    return flow;
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp(tape, x, flow_of(tape, trial)), "y");
}

static void make_dflow(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_dflow(tape, dy, x, flow_of(tape, trial)), "dflow");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_dx(tape, dy, flow_of(tape, trial), s[0]), "dx");
}

/* Fractions of a fifth to four fifths, about the size of the picture or a little beyond. */
static float smooth(NervRng *rng)
{
    return (float)check_between(rng, -3, 2) + nerv_rng_uniform(rng, 0.2f, 0.8f);
}

static float wild(NervRng *rng)
{
    static const float special[] = { NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 3e9f, -3e9f, -0.0f };
    const int kind = check_between(rng, 0, 31);
    if (kind < (int)G_N_ELEMENTS(special))
        return special[kind];
    return kind < 12 ? (float)check_between(rng, -9, 9) : nerv_rng_uniform(rng, -9.0f, 9.0f);
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    const bool is_flow = g_str_equal(leaf->name, "flow");
    float *v = data;
    for (int64_t i = 0; i < n; i++) {
        if (is_flow)
            v[i] = leaf->kind == NERV_TENSOR_INPUT ? wild(rng) : smooth(rng);
        else
            v[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
    }
}

static const int bench_sizes[][5] = { { 1, 1, 8, 90, 160 }, { 1, 1, 8, 180, 320 }, { 1, 1, 3, 180, 320 } };

/* The size numbered `which` and its flow, a constant of some pixels, the ops' own operand; NULL behind the last. */
static const int *bench_case(NervTape *tape, uint32_t which, NervTensor **flow)
{
    NervRng rng;
    if (which >= G_N_ELEMENTS(bench_sizes))
        return NULL;
    nerv_rng_init(&rng, which);
    *flow = constant_flow(tape, &rng, bench_sizes[which]);
    return bench_sizes[which];
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = bench_case(tape, which, &flow);
    if (!s)
        return false;
    NervTensor *x = check_param(tape, "x", s[0], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp(tape, x, flow), "y");
    return true;
}

static bool bench_dflow(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *flow;
    const int *s = bench_case(tape, which, &flow);
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
    const int *s = bench_case(tape, which, &flow);
    if (!s)
        return false;
    NervTensor *dy = check_param(tape, "dy", s[1], s[2], s[3], s[4]);
    nerv_tape_output(tape, nerv_warp_dx(tape, dy, flow, s[0]), "dx");
    return true;
}

const CheckCase check_warp = {
    .op = "warp",
    .n_trials = N_TRIALS,
    .make = make,
    .fill = fill,
    .n_grad_trials = N_GRAD_TRIALS,
    .bench = bench,
};

const CheckCase check_warp_dflow = {
    .op = "warp_dflow",
    .n_trials = N_TRIALS,
    .make = make_dflow,
    .fill = fill,
    .bench = bench_dflow,
};

const CheckCase check_warp_dx = {
    .op = "warp_dx",
    .n_trials = N_TRIALS,
    .make = make_dx,
    .fill = fill,
    .bench = bench_dx,
};

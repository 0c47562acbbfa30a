/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of act, act_dx and act_dxx: every function on sizes that do not divide by a vector, near zero, over
 * the bulk, and far out in both tails.
 */
#include "checkop.h"

static const int sizes[][4] = { { 1, 1, 1, 1 }, { 1, 3, 5, 7 }, { 2, 3, 17, 31 }, { 1, 5, 61, 97 } };

/* Trials 0..3 NERV_ACT_N - 1: each function at each of the first three sizes; then one large one. */
#define N_TRIALS (3 * NERV_ACT_N + 1)

static NervAct function_of(uint32_t trial)
{
    return trial < 3 * NERV_ACT_N ? trial % NERV_ACT_N : NERV_ACT_GELU;
}

static NervTensor *operand(NervTape *tape, const char *name, uint32_t trial)
{
    const int *s = sizes[trial / NERV_ACT_N];
    return check_param(tape, name, s[0], s[1], s[2], s[3]);
}

static void make_act(NervTape *tape, NervRng *rng, uint32_t trial)
{
    NervTensor *y = nerv_act(tape, operand(tape, "x", trial), function_of(trial));
    nerv_tape_output(tape, y, "y");
}

static void make_act_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    NervTensor *dy = operand(tape, "dy", trial), *x = operand(tape, "x", trial);
    nerv_tape_output(tape, nerv_act_dx(tape, dy, x, function_of(trial)), "dx");
}

static void make_act_dxx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    NervTensor *g = operand(tape, "g", trial), *dy = operand(tape, "dy", trial),
               *x = operand(tape, "x", trial);
    nerv_tape_output(tape, nerv_act_dxx(tape, g, dy, x, function_of(trial)), "y");
}

/* x from four scales in turn; in small tensors, whose gradients are probed, away from ReLU's corner. */
static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    static const float scale[4] = { 4.0f, 1.0f, 0.01f, 30.0f };
    const int64_t n = nerv_shape_count(leaf->shape);
    float *v = data;
    for (int64_t i = 0; i < n; i++) {
        v[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
        if (leaf->name[0] != 'x')
            continue;
        if (n > 200)
            v[i] *= scale[i % 4];
        else
            v[i] = (v[i] < 0 ? -0.05f : 0.05f) + 2.0f * v[i];
    }
}

static bool bench_act(NervTape *tape, uint32_t which, double *macs)
{
    static const NervAct act[] = { NERV_ACT_GELU, NERV_ACT_SILU, NERV_ACT_SIN, NERV_ACT_TANH01 };
    if (which >= G_N_ELEMENTS(act))
        return false;
    nerv_tape_output(tape, nerv_act(tape, check_param(tape, "x", 1, 12, 180, 320), act[which]), "y");
    return true;
}

static bool bench_act_dx(NervTape *tape, uint32_t which, double *macs)
{
    static const NervAct act[] = { NERV_ACT_GELU, NERV_ACT_SILU, NERV_ACT_SIN, NERV_ACT_TANH01 };
    if (which >= G_N_ELEMENTS(act))
        return false;
    NervTensor *dy = check_param(tape, "dy", 1, 12, 180, 320), *x = check_param(tape, "x", 1, 12, 180, 320);
    nerv_tape_output(tape, nerv_act_dx(tape, dy, x, act[which]), "dx");
    return true;
}

const CheckCase check_act = {
    .op = "act",
    .n_trials = N_TRIALS,
    .make = make_act,
    .fill = fill,
    .n_grad_trials = 2 * NERV_ACT_N,
    .bench = bench_act,
};

const CheckCase check_act_dx = {
    .op = "act_dx",
    .n_trials = N_TRIALS,
    .make = make_act_dx,
    .fill = fill,
    .n_grad_trials = 2 * NERV_ACT_N,
    .bench = bench_act_dx,
};

const CheckCase check_act_dxx = {
    .op = "act_dxx",
    .n_trials = N_TRIALS,
    .make = make_act_dxx,
    .fill = fill,
    .note = "not differentiable",
};

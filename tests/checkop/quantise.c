/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of quantise and quantise_dx: steps per row, per channel and for all; groups shorter and longer than a piece of work; weights
 * beyond the largest index, zeros, and halfway between two indices; steps beyond both ends of the codes. The rounding's gradient is
 * an estimator, which no difference can check (tests/unit/quantise.c does); those of bits, and of all while off, are
 * derivatives.
 */
#include <math.h>
#include <string.h>

#include "checkop.h"

#define ROWS     0
#define CHANNELS 1
#define ALL      2

/* w, what has a step, the largest index. */
static const int sizes[][6] = {
    { 1, 1, 1, 1, ALL, 1 },        { 3, 2, 1, 2, ROWS, 127 },       { 2, 3, 2, 2, CHANNELS, 127 },
    { 4, 2, 1, 3, ALL, 31 },       { 2, 2, 3, 1, ROWS, 15 },        { 5, 7, 3, 3, ROWS, 127 },
    { 3, 5, 7, 9, CHANNELS, 7 },   { 7, 3, 5, 11, ALL, 4095 },      { 1, 37, 1, 1, CHANNELS, 511 },
    { 70, 61, 3, 3, ROWS, 127 },   { 3, 4, 71, 73, CHANNELS, 31 },  { 2, 64, 19, 17, ALL, 127 },
    { 2, 150, 11, 13, ROWS, 255 }, { 3, 2, 97, 101, CHANNELS, 63 }, { 300, 1, 1, 1, ROWS, 3 },
};

/* Number 4 is off; its steps are learned, those of the other trials for gradients are not, and only their bits are looked at. */
#define N_GRAD_TRIALS 5
#define OFF           4

typedef struct {
    NervTensor *w, *s, *mode;
    int max_index;
} Operands;

static Operands operands(NervTape *tape, uint32_t trial, bool for_gradient)
{
    const int *z = sizes[trial];
    const NervShape shape = nerv_shape(z[4] == ROWS ? z[0] : 1, z[4] == CHANNELS ? z[1] : 1, 1, 1);
    Operands o = { .w = check_param(tape, for_gradient ? "far" : "w", z[0], z[1], z[2], z[3]),
                   .max_index = z[5] };
    o.s = nerv_tape_leaf(tape, for_gradient && trial != OFF ? NERV_TENSOR_INPUT : NERV_TENSOR_PARAM, NERV_F32,
                         shape, "s");
    o.mode = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1),
                            trial == OFF ? "off" : "on");
    return o;
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Operands o = operands(tape, trial, trial < N_GRAD_TRIALS);
    NervTensor *y = nerv_fake_quantise(tape, o.w, o.s, o.mode, o.max_index);
    if (y && trial >= OFF)
        nerv_tape_output(tape, y, "y");
    if (y)
        nerv_tape_output(tape, y->node->out[1], "bits");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *z = sizes[trial];
    const Operands o = operands(tape, trial, false);
    NervTensor *dy = check_param(tape, "dy", z[0], z[1], z[2], z[3]);
    NervTensor *dbits = check_param(tape, "dbits", 1, 1, 1, 1);
    NervTensor *dw = nerv_fake_quantise_dx(tape, dy, dbits, o.w, o.s, o.mode, o.max_index);
    if (!dw)
        return;
    nerv_tape_output(tape, dw, "dw");
    nerv_tape_output(tape, dw->node->out[1], "ds");
}

/* Steps are mostly 2^-5 to 2^-3, where weights of up to 1 reach 32 of them: beyond some of the largest indices. Every third weight lies
 * halfway between two indices of the step 2^-4. Weights "far" from zero stay there when they are moved for a difference. */
static float value(const NervTensor *leaf, NervRng *rng, int64_t i)
{
    const float x = nerv_rng_uniform(rng, -1.0f, 1.0f);
    switch (leaf->name[0]) {
    case 's':
        return i % 9 == 5 ? -1000.0f : i % 9 == 6 ? -4.0f : i % 9 == 7 ? 12.3f : i == 8 ? NAN : -4.0f + x;
    case 'f':
        return copysignf(0.1f + 0.9f * fabsf(x), x);
    case 'w':
        return i % 17 == 3 ? 0.0f : i % 3 == 1 ? (2.0f * rintf(16.0f * x) + 1.0f) / 32.0f : x;
    default:
        return leaf->name[1] == 'b' ? 0.01f * x : x;
    }
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    float *x = data;
    for (int64_t i = 0; i < nerv_shape_count(leaf->shape); i++)
        x[i] = leaf->name[0] == 'o' ? (float)(i == 0 && leaf->name[1] == 'n') : value(leaf, rng, i);
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *w = check_param(tape, "w", 96, 167, 3, 3), *s = check_param(tape, "s", 96, 1, 1, 1);
    NervTensor *mode = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "on");
    NervTensor *y = nerv_fake_quantise(tape, w, s, mode, 127);
    nerv_tape_output(tape, y, "y");
    nerv_tape_output(tape, y->node->out[1], "bits");
    return which == 0;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *w = check_param(tape, "w", 96, 167, 3, 3), *s = check_param(tape, "s", 96, 1, 1, 1);
    NervTensor *mode = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "on");
    NervTensor *dy = check_param(tape, "dy", 96, 167, 3, 3), *dbits = check_param(tape, "dbits", 1, 1, 1, 1);
    NervTensor *dw = nerv_fake_quantise_dx(tape, dy, dbits, w, s, mode, 127);
    nerv_tape_output(tape, dw, "dw");
    nerv_tape_output(tape, dw->node->out[1], "ds");
    return which == 0;
}

const CheckCase check_quantise = {
    .op = "quantise",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make,
    .fill = fill,
    .n_grad_trials = N_GRAD_TRIALS,
    .bench = bench,
    .note = "gradient of the rounding: unit test quantise",
};

const CheckCase check_quantise_dx = {
    .op = "quantise_dx",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make_dx,
    .fill = fill,
    .bench = bench_dx,
};

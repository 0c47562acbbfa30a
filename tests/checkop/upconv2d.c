/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop's cases of upconv2d and upconv2d_dz: every kernel, scale and activation, channel counts off the tile, batches,
 * and y or z that nobody reads.
 */
#include "checkop.h"

typedef struct {
    int n, cin, c, h, w, k, s, act;
    bool bias;
} Sizes;

static const Sizes fixed[] = {
    { 1, 1, 1, 1, 1, 1, 1, NERV_ACT_NONE, false },     { 1, 2, 1, 3, 4, 3, 2, NERV_ACT_GELU, true },
    { 2, 1, 2, 3, 2, 1, 2, NERV_ACT_SILU, true },      { 1, 1, 1, 2, 3, 3, 3, NERV_ACT_SIN, true },
    { 1, 2, 2, 4, 3, 5, 1, NERV_ACT_TANH01, true },    { 1, 1, 1, 2, 2, 3, 2, NERV_ACT_SIGMOID, false },
    { 1, 1, 1, 2, 2, 3, 2, NERV_ACT_TANH, true },      { 1, 8, 24, 9, 16, 3, 5, NERV_ACT_GELU, true },
    { 2, 12, 3, 30, 40, 1, 1, NERV_ACT_TANH01, true }, { 1, 24, 16, 19, 45, 3, 2, NERV_ACT_GELU, true },
    { 1, 3, 2, 7, 9, 3, 4, NERV_ACT_RELU, true },      { 1, 2, 1, 3, 5, 3, 16, NERV_ACT_SILU, true },
    { 1, 40, 5, 11, 23, 5, 3, NERV_ACT_SILU, true },   { 1, 2, 1, 3, 5, 1, 7, NERV_ACT_NONE, true },
    { 1, 12, 6, 30, 29, 3, 2, NERV_ACT_GELU, true },   { 2, 10, 3, 20, 31, 3, 5, NERV_ACT_SILU, true },
    { 1, 33, 9, 11, 90, 3, 3, NERV_ACT_SIN, true },
};

#define N_GRAD   7
#define N_TRIALS ((uint32_t)G_N_ELEMENTS(fixed) + 20)

static Sizes sizes(NervRng *rng, uint32_t trial)
{
    if (trial < G_N_ELEMENTS(fixed))
        return fixed[trial];
    return (Sizes){ .n = check_between(rng, 1, 2),
                    .cin = check_between(rng, 1, 20),
                    .c = check_between(rng, 1, 5),
                    .h = check_between(rng, 1, 20),
                    .w = check_between(rng, 1, 60),
                    .k = 2 * check_between(rng, 0, 2) + 1,
                    .s = check_between(rng, 1, 6),
                    .act = check_between(rng, 0, NERV_ACT_N - 1),
                    .bias = check_between(rng, 0, 1) };
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    NervTensor *x = check_param(tape, "x", s.n, s.cin, s.h, s.w);
    NervTensor *w = check_param(tape, "w", s.c * s.s * s.s, s.cin, s.k, s.k);
    NervTensor *b = s.bias ? check_param(tape, "b", 1, s.c * s.s * s.s, 1, 1) : NULL;
    NervTensor *y = nerv_upconv2d(tape, x, w, b, s.s, (NervAct)s.act);
    if (trial % 4 != 2)
        nerv_tape_output(tape, y, "y");
    if (trial % 4 != 3)
        nerv_tape_output(tape, y ? y->node->out[1] : NULL, "z");
}

static void make_dz(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    NervTensor *dy = check_param(tape, "dy", s.n, s.c, s.h * s.s, s.w * s.s);
    NervTensor *z = check_param(tape, "z", s.n, s.c * s.s * s.s, s.h, s.w);
    nerv_tape_output(tape, nerv_upconv2d_dz(tape, dy, z, s.s, (NervAct)s.act), "dz");
}

/* Blocks and head of a small network at 320x180, and of nerv-s before its last block. */
static const Sizes typical[] = {
    { 1, 8, 24, 9, 16, 3, 5, NERV_ACT_GELU, true },    { 1, 24, 16, 45, 80, 3, 2, NERV_ACT_GELU, true },
    { 1, 16, 12, 90, 160, 3, 2, NERV_ACT_GELU, true }, { 1, 12, 3, 180, 320, 1, 1, NERV_ACT_TANH01, true },
    { 1, 96, 96, 90, 160, 3, 2, NERV_ACT_SILU, true },
};

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(typical))
        return false;
    const Sizes *s = &typical[which];
    NervTensor *x = check_param(tape, "x", s->n, s->cin, s->h, s->w);
    NervTensor *w = check_param(tape, "w", s->c * s->s * s->s, s->cin, s->k, s->k);
    NervTensor *b = check_param(tape, "b", 1, s->c * s->s * s->s, 1, 1);
    nerv_tape_output(tape, nerv_upconv2d(tape, x, w, b, s->s, (NervAct)s->act), "y");
    *macs = (double)s->n * s->cin * s->c * s->s * s->s * s->k * s->k * s->h * s->w;
    return true;
}

static bool bench_dz(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(typical))
        return false;
    const Sizes *s = &typical[which];
    NervTensor *dy = check_param(tape, "dy", s->n, s->c, s->h * s->s, s->w * s->s);
    NervTensor *z = check_param(tape, "z", s->n, s->c * s->s * s->s, s->h, s->w);
    nerv_tape_output(tape, nerv_upconv2d_dz(tape, dy, z, s->s, (NervAct)s->act), "dz");
    *macs = 0;
    return true;
}

const CheckCase check_upconv2d = {
    .op = "upconv2d",
    .n_trials = N_TRIALS,
    .make = make,
    .n_grad_trials = N_GRAD,
    .bench = bench,
};

const CheckCase check_upconv2d_dz = {
    .op = "upconv2d_dz",
    .n_trials = N_TRIALS,
    .make = make_dz,
    .n_grad_trials = N_GRAD,
    .bench = bench_dz,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop's cases of upconv2d_head: kernels, scales and activations, one to four channels of the result, channel counts
 * off the tile, batches, and images that several pieces cover.
 */
#include "checkop.h"

typedef struct {
    int n, cin, c, m, h, w, k, s, act, out_act;
} Sizes;

static const Sizes fixed[] = {
    { 1, 1, 1, 1, 1, 1, 1, 1, NERV_ACT_NONE, NERV_ACT_NONE },
    { 1, 2, 1, 2, 3, 4, 3, 2, NERV_ACT_GELU, NERV_ACT_SIGMOID },
    { 2, 1, 2, 3, 3, 2, 1, 2, NERV_ACT_SILU, NERV_ACT_TANH01 },
    { 1, 1, 1, 4, 2, 3, 5, 3, NERV_ACT_SIN, NERV_ACT_TANH },
    { 1, 16, 12, 3, 45, 40, 3, 2, NERV_ACT_GELU, NERV_ACT_TANH01 },
    { 1, 24, 20, 3, 33, 35, 3, 4, NERV_ACT_GELU, NERV_ACT_SIGMOID },
    { 2, 12, 40, 3, 20, 31, 3, 1, NERV_ACT_SILU, NERV_ACT_TANH01 },
    { 1, 9, 70, 2, 12, 90, 5, 2, NERV_ACT_SIN, NERV_ACT_NONE },
    { 1, 10, 6, 3, 6, 700, 3, 2, NERV_ACT_GELU, NERV_ACT_SIGMOID },
    { 1, 40, 3, 3, 9, 16, 3, 5, NERV_ACT_GELU, NERV_ACT_TANH01 },
};

#define N_GRAD   4
#define N_TRIALS ((uint32_t)G_N_ELEMENTS(fixed) + 16)

static Sizes sizes(NervRng *rng, uint32_t trial)
{
    if (trial < G_N_ELEMENTS(fixed))
        return fixed[trial];
    return (Sizes){ .n = check_between(rng, 1, 2),
                    .cin = check_between(rng, 1, 20),
                    .c = check_between(rng, 1, 9),
                    .m = check_between(rng, 1, 4),
                    .h = check_between(rng, 1, 30),
                    .w = check_between(rng, 1, 60),
                    .k = 2 * check_between(rng, 0, 2) + 1,
                    .s = check_between(rng, 1, 5),
                    .act = check_between(rng, 0, NERV_ACT_N - 1),
                    .out_act = check_between(rng, 0, NERV_ACT_N - 1) };
}

static void add(NervTape *tape, const Sizes *s)
{
    NervTensor *x = check_param(tape, "x", s->n, s->cin, s->h, s->w);
    NervTensor *w = check_param(tape, "w", s->c * s->s * s->s, s->cin, s->k, s->k);
    NervTensor *b = check_param(tape, "b", 1, s->c * s->s * s->s, 1, 1);
    NervTensor *v = check_param(tape, "v", s->m, s->c, 1, 1), *c = check_param(tape, "c", 1, s->m, 1, 1);
    nerv_tape_output(
        tape, nerv_upconv2d_head(tape, x, w, b, v, c, s->s, (NervAct)s->act, (NervAct)s->out_act), "y");
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    add(tape, &s);
}

/* The last block and the head of a small network at 320x180, of a wide one, and of nerv-s at 720p. */
static const Sizes typical[] = {
    { 1, 16, 12, 3, 90, 160, 3, 2, NERV_ACT_GELU, NERV_ACT_TANH01 },
    { 1, 96, 96, 3, 90, 160, 3, 2, NERV_ACT_GELU, NERV_ACT_TANH01 },
    { 1, 96, 96, 3, 360, 640, 3, 2, NERV_ACT_GELU, NERV_ACT_TANH01 },
};

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(typical))
        return false;
    const Sizes *s = &typical[which];
    add(tape, s);
    *macs = (double)s->n * s->c * s->s * s->s * s->h * s->w * (s->cin * s->k * s->k + s->m);
    return true;
}

const CheckCase check_upconv2d_head = {
    .op = "upconv2d_head",
    .n_trials = N_TRIALS,
    .make = make,
    .n_grad_trials = N_GRAD,
    .bench = bench,
};

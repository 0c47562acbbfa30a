/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop's cases of linear and its gradients: single rows and batches, sizes on and off the vectors, more rows than one
 * task takes, and outputs that nobody reads.
 */
#include "checkop.h"

typedef struct {
    int n, k, m;
    bool bias;
} Sizes;

static const Sizes fixed[] = {
    { 1, 1, 1, true },     { 2, 3, 4, true },     { 3, 5, 2, false },
    { 1, 4, 3, true },     { 1, 80, 512, true },  { 1, 64, 1152, true },
    { 5, 512, 70, false }, { 3, 130, 700, true }, { 4, 33, 1031, true },
};

#define N_GRAD   4
#define N_TRIALS ((uint32_t)G_N_ELEMENTS(fixed) + 15)

static Sizes sizes(NervRng *rng, uint32_t trial)
{
    if (trial < G_N_ELEMENTS(fixed))
        return fixed[trial];
    return (Sizes){ check_between(rng, 1, 9), check_between(rng, 1, 100), check_between(rng, 1, 100),
                    check_between(rng, 0, 1) };
}

static void forward(NervTape *tape, const Sizes *s)
{
    NervTensor *x = check_param(tape, "x", s->n, s->k, 1, 1);
    NervTensor *w = check_param(tape, "w", s->m, s->k, 1, 1);
    NervTensor *b = s->bias ? check_param(tape, "b", 1, s->m, 1, 1) : NULL;
    nerv_tape_output(tape, nerv_linear(tape, x, w, b), "y");
}

static void backward_x(NervTape *tape, const Sizes *s)
{
    NervTensor *dy = check_param(tape, "dy", s->n, s->m, 1, 1);
    NervTensor *w = check_param(tape, "w", s->m, s->k, 1, 1);
    nerv_tape_output(tape, nerv_linear_dx(tape, dy, w), "dx");
}

static void backward_w(NervTape *tape, const Sizes *s, bool want_dw, bool want_db)
{
    NervTensor *dy = check_param(tape, "dy", s->n, s->m, 1, 1);
    NervTensor *x = check_param(tape, "x", s->n, s->k, 1, 1);
    NervTensor *dw = nerv_linear_dw(tape, dy, x);
    if (want_dw)
        nerv_tape_output(tape, dw, "dw");
    if (want_db)
        nerv_tape_output(tape, dw ? dw->node->out[1] : NULL, "db");
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    forward(tape, &s);
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    backward_x(tape, &s);
}

static void make_dw(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    backward_w(tape, &s, trial % 5 != 3, trial % 5 != 2);
}

/* The two layers of a stem, of a small network and of nerv-s, and a batch. */
static const Sizes typical[] = {
    { 1, 80, 512, true },
    { 1, 64, 1152, true },
    { 1, 512, 3744, true },
    { 4, 512, 3744, true },
};

static const Sizes *next_size(uint32_t which, double *macs)
{
    if (which >= G_N_ELEMENTS(typical))
        return NULL;
    *macs = (double)typical[which].n * typical[which].k * typical[which].m;
    return &typical[which];
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    const Sizes *s = next_size(which, macs);
    if (s)
        forward(tape, s);
    return s != NULL;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    const Sizes *s = next_size(which, macs);
    if (s)
        backward_x(tape, s);
    return s != NULL;
}

static bool bench_dw(NervTape *tape, uint32_t which, double *macs)
{
    const Sizes *s = next_size(which, macs);
    if (s)
        backward_w(tape, s, true, true);
    return s != NULL;
}

const CheckCase check_linear = {
    .op = "linear",
    .n_trials = N_TRIALS,
    .make = make,
    .n_grad_trials = N_GRAD,
    .bench = bench,
};

const CheckCase check_linear_dx = {
    .op = "linear_dx",
    .n_trials = N_TRIALS,
    .make = make_dx,
    .n_grad_trials = N_GRAD,
    .bench = bench_dx,
};

const CheckCase check_linear_dw = {
    .op = "linear_dw",
    .n_trials = N_TRIALS,
    .make = make_dw,
    .n_grad_trials = N_GRAD,
    .bench = bench_dw,
};

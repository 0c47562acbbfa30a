/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop's cases of conv2d and its gradients: every kernel, stride and padding in small odd sizes, images that a tile
 * of pixels covers several times, sums over many pixels, channel counts off the tile, batches, and outputs that nobody reads.
 */
#include "checkop.h"

typedef struct {
    int n, cin, cout, h, w, k, stride, pad;
    bool bias;
} Sizes;

/* The first are tiny, for the gradient check; the last ones take the paths of real networks. */
static const Sizes fixed[] = {
    { 1, 1, 1, 1, 1, 1, 1, 0, false },     { 1, 2, 3, 4, 5, 3, 1, 1, true },
    { 2, 2, 2, 5, 4, 3, 2, 1, true },      { 1, 1, 2, 6, 6, 5, 1, 4, true },
    { 1, 3, 2, 5, 7, 3, 3, 0, false },     { 1, 2, 1, 4, 4, 2, 2, 0, true },
    { 1, 8, 200, 9, 16, 3, 1, 1, true },   { 2, 12, 3, 31, 37, 1, 1, 0, true },
    { 1, 24, 40, 23, 50, 3, 1, 1, true },  { 1, 70, 9, 13, 17, 3, 1, 1, true },
    { 1, 5, 19, 12, 70, 5, 1, 2, true },   { 1, 130, 12, 7, 33, 1, 1, 0, false },
    { 2, 17, 33, 21, 19, 4, 2, 1, true },  { 1, 6, 7, 40, 41, 5, 4, 3, true },
    { 3, 9, 20, 11, 15, 3, 1, 2, false },  { 2, 5, 6, 9, 8, 1, 3, 0, true },
    { 1, 11, 26, 33, 25, 3, 1, 1, true },  { 2, 40, 13, 21, 39, 3, 1, 0, false },
    { 1, 9, 17, 24, 100, 3, 1, 2, true },  { 1, 10, 12, 5, 700, 3, 1, 1, true },
    { 1, 100, 20, 30, 31, 3, 1, 1, true }, { 3, 8, 12, 20, 18, 3, 1, 1, true },
    { 1, 3, 2, 70, 80, 3, 1, 1, true },    { 1, 12, 3, 180, 320, 1, 1, 0, true },
};

#define N_GRAD   6
#define N_TRIALS ((uint32_t)G_N_ELEMENTS(fixed) + 25)

static Sizes sizes(NervRng *rng, uint32_t trial)
{
    if (trial < G_N_ELEMENTS(fixed))
        return fixed[trial];
    Sizes s = { .n = check_between(rng, 1, 2),
                .cin = check_between(rng, 1, 20),
                .cout = check_between(rng, 1, 20),
                .k = check_between(rng, 1, 6),
                .stride = check_between(rng, 0, 2) ? 1 : check_between(rng, 2, 5),
                .bias = check_between(rng, 0, 1) };
    s.pad = check_between(rng, 0, s.k - 1);
    s.h = s.k + check_between(rng, 0, 20);
    s.w = s.k + check_between(rng, 0, 60);
    return s;
}

static int out_size(int size, const Sizes *s)
{
    return (size + 2 * s->pad - s->k) / s->stride + 1;
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    NervTensor *x = check_param(tape, "x", s.n, s.cin, s.h, s.w);
    NervTensor *w = check_param(tape, "w", s.cout, s.cin, s.k, s.k);
    NervTensor *b = s.bias ? check_param(tape, "b", 1, s.cout, 1, 1) : NULL;
    nerv_tape_output(tape, nerv_conv2d(tape, x, w, b, s.stride, s.pad), "y");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    NervTensor *dy = check_param(tape, "dy", s.n, s.cout, out_size(s.h, &s), out_size(s.w, &s));
    NervTensor *w = check_param(tape, "w", s.cout, s.cin, s.k, s.k);
    nerv_tape_output(tape, nerv_conv2d_dx(tape, dy, w, s.stride, s.pad, s.h, s.w), "dx");
}

static void make_dw(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    NervTensor *dy = check_param(tape, "dy", s.n, s.cout, out_size(s.h, &s), out_size(s.w, &s));
    NervTensor *x = check_param(tape, "x", s.n, s.cin, s.h, s.w);
    NervTensor *dw = nerv_conv2d_dw(tape, dy, x, s.k, s.stride, s.pad);
    if (trial % 5 != 4)
        nerv_tape_output(tape, dw, "dw");
    if (trial % 5 != 3)
        nerv_tape_output(tape, dw ? dw->node->out[1] : NULL, "db");
}

/* Layers of the networks that are measured: a small free one, nerv-s at 320x180 and at 720p. */
static const Sizes typical[] = {
    { 1, 8, 600, 9, 16, 3, 1, 1, true },    { 1, 24, 64, 45, 80, 3, 1, 1, true },
    { 1, 16, 48, 90, 160, 3, 1, 1, true },  { 1, 12, 3, 180, 320, 1, 1, 0, true },
    { 1, 96, 384, 90, 160, 3, 1, 1, true }, { 1, 96, 96, 90, 160, 5, 1, 2, true },
    { 1, 64, 64, 80, 160, 2, 2, 0, true },
};

static bool next_size(uint32_t which, const Sizes **s, double *macs)
{
    if (which >= G_N_ELEMENTS(typical))
        return false;
    *s = &typical[which];
    *macs = (double)(*s)->n * (*s)->cin * (*s)->cout * (*s)->k * (*s)->k * out_size((*s)->h, *s) *
            out_size((*s)->w, *s);
    return true;
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    const Sizes *s;
    if (!next_size(which, &s, macs))
        return false;
    NervTensor *x = check_param(tape, "x", s->n, s->cin, s->h, s->w);
    NervTensor *w = check_param(tape, "w", s->cout, s->cin, s->k, s->k);
    NervTensor *b = check_param(tape, "b", 1, s->cout, 1, 1);
    nerv_tape_output(tape, nerv_conv2d(tape, x, w, b, s->stride, s->pad), "y");
    return true;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    const Sizes *s;
    if (!next_size(which, &s, macs))
        return false;
    NervTensor *dy = check_param(tape, "dy", s->n, s->cout, out_size(s->h, s), out_size(s->w, s));
    NervTensor *w = check_param(tape, "w", s->cout, s->cin, s->k, s->k);
    nerv_tape_output(tape, nerv_conv2d_dx(tape, dy, w, s->stride, s->pad, s->h, s->w), "dx");
    return true;
}

static bool bench_dw(NervTape *tape, uint32_t which, double *macs)
{
    const Sizes *s;
    if (!next_size(which, &s, macs))
        return false;
    NervTensor *dy = check_param(tape, "dy", s->n, s->cout, out_size(s->h, s), out_size(s->w, s));
    NervTensor *x = check_param(tape, "x", s->n, s->cin, s->h, s->w);
    NervTensor *dw = nerv_conv2d_dw(tape, dy, x, s->k, s->stride, s->pad);
    nerv_tape_output(tape, dw, "dw");
    nerv_tape_output(tape, dw ? dw->node->out[1] : NULL, "db");
    return true;
}

const CheckCase check_conv2d = {
    .op = "conv2d",
    .n_trials = N_TRIALS,
    .make = make,
    .n_grad_trials = N_GRAD,
    .bench = bench,
};

const CheckCase check_conv2d_dx = {
    .op = "conv2d_dx",
    .n_trials = N_TRIALS,
    .make = make_dx,
    .n_grad_trials = N_GRAD,
    .bench = bench_dx,
};

const CheckCase check_conv2d_dw = {
    .op = "conv2d_dw",
    .n_trials = N_TRIALS,
    .make = make_dw,
    .n_grad_trials = N_GRAD,
    .bench = bench_dw,
};

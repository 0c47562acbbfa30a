/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop's case of pixel_unshuffle: every scale, rows on and off the vectors. Values are moved, so results are equal.
 */
#include "checkop.h"

typedef struct {
    int n, c, h, w, s;
} Sizes;

static Sizes sizes(NervRng *rng, uint32_t trial)
{
    if (trial == 0)
        return (Sizes){ 1, 1, 1, 1, 1 };
    return (Sizes){ check_between(rng, 1, 2), check_between(rng, 1, 4),
                    check_between(rng, 1, trial < 3 ? 3 : 12), check_between(rng, 1, trial < 3 ? 4 : 45),
                    trial <= 16 ? (int)trial : check_between(rng, 2, 5) };
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const Sizes s = sizes(rng, trial);
    NervTensor *x = check_param(tape, "x", s.n, s.c, s.h * s.s, s.w * s.s);
    nerv_tape_output(tape, nerv_pixel_unshuffle(tape, x, s.s), "y");
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    static const Sizes typical[] = { { 1, 24, 9, 16, 5 }, { 1, 12, 90, 160, 2 } };
    if (which >= G_N_ELEMENTS(typical))
        return false;
    const Sizes *s = &typical[which];
    NervTensor *x = check_param(tape, "x", s->n, s->c, s->h * s->s, s->w * s->s);
    nerv_tape_output(tape, nerv_pixel_unshuffle(tape, x, s->s), "y");
    *macs = 0;
    return true;
}

const CheckCase check_pixel_unshuffle = {
    .op = "pixel_unshuffle",
    .n_trials = 24,
    .make = make,
    .n_grad_trials = 3,
    .bench = bench,
};

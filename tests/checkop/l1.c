/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of l1 and l1_dx: at differences of exactly zero, and above and below the length of one piece of work.
 */
#include "checkop.h"

static const int sizes[][4] = {
    { 1, 1, 1, 1 }, { 1, 3, 2, 5 }, { 2, 3, 1, 7 }, { 2, 3, 37, 53 }, { 1, 3, 97, 61 }
};

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = check_param(tape, "b", s[0], s[1], s[2], s[3]);
    nerv_tape_output(tape, nerv_l1(tape, a, b), "y");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = check_param(tape, "b", s[0], s[1], s[2], s[3]);
    nerv_tape_output(tape, nerv_l1_dx(tape, check_param(tape, "g", 1, 1, 1, 1), a, b), "dx");
}

/* In small tensors a and b lie at least 0.1 apart, beyond the reach of the central differences; in large ones
 * every third pair is equal. */
static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    float *v = data;
    for (int64_t i = 0; i < n; i++) {
        const float r = nerv_rng_uniform(rng, 0.1f, 1.0f);
        v[i] = leaf->name[0] == 'b' ? -r * (i % 2 ? 1 : -1) : leaf->name[0] == 'a' ? r * (i % 2 ? 1 : -1) : r;
        if (n > 100 && i % 3 == 0)
            v[i] = 0.25f;
    }
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 3, 180, 320), *b = check_param(tape, "b", 1, 3, 180, 320);
    nerv_tape_output(tape, nerv_l1(tape, a, b), "y");
    return which == 0;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 3, 180, 320), *b = check_param(tape, "b", 1, 3, 180, 320);
    nerv_tape_output(tape, nerv_l1_dx(tape, check_param(tape, "g", 1, 1, 1, 1), a, b), "dx");
    return which == 0;
}

const CheckCase check_l1 = {
    .op = "l1",
    .n_trials = 5,
    .make = make,
    .fill = fill,
    .n_grad_trials = 3,
    .bench = bench,
};

const CheckCase check_l1_dx = {
    .op = "l1_dx",
    .n_trials = 5,
    .make = make_dx,
    .fill = fill,
    .n_grad_trials = 3,
    .bench = bench_dx,
};

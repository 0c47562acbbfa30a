/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of weigh: one term and two, pictures shorter and longer than one piece of work, weights of 0 and 1 among others.
 */
#include "checkop.h"

/* N, C, H, W, terms. */
static const int sizes[][5] = { { 1, 1, 1, 1, 1 },  { 3, 2, 2, 3, 2 },   { 4, 1, 1, 5, 1 },
                                { 2, 3, 3, 3, 2 },  { 8, 5, 11, 13, 2 }, { 3, 3, 83, 97, 1 },
                                { 2, 5, 61, 71, 2 } };

static NervTensor *weights(NervTape *tape, const char *name, int n)
{
    return nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(n, 1, 1, 1), name);
}

static NervTensor *build(NervTape *tape, const int *s)
{
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]), *ka = weights(tape, "ka", s[0]);
    if (s[4] == 1)
        return nerv_weigh(tape, a, ka, NULL, NULL);
    NervTensor *b = check_param(tape, "b", s[0], s[1], s[2], s[3]);
    return nerv_weigh(tape, a, ka, b, weights(tape, "kb", s[0]));
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    nerv_tape_output(tape, build(tape, sizes[trial]), "y");
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    float *v = data;
    for (int64_t i = 0; i < n; i++) {
        v[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
        if (leaf->kind == NERV_TENSOR_INPUT && i % 3 == 1)
            v[i] = (float)(i % 2);
    }
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    static const int bench_sizes[][5] = { { 8, 64, 40, 80, 2 }, { 8, 3, 180, 320, 1 } };
    if (which >= G_N_ELEMENTS(bench_sizes))
        return false;
    nerv_tape_output(tape, build(tape, bench_sizes[which]), "y");
    return true;
}

const CheckCase check_weigh = {
    .op = "weigh",
    .n_trials = G_N_ELEMENTS(sizes),
    .make = make,
    .fill = fill,
    .n_grad_trials = 4,
    .bench = bench,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the cases of warp and warp_slope share: sizes, and flows. Where gradients are probed these stay away from whole pixels, at
 * which slopes jump; elsewhere they are anything at all.
 */
#pragma once

#include <math.h>

#include "checkop.h"

/* M, N, C, H, W. */
static const int warp_sizes[][5] = { { 1, 1, 1, 1, 1 },    { 1, 1, 2, 4, 5 },     { 2, 2, 1, 3, 4 },
                                     { 1, 3, 2, 3, 3 },    { 1, 1, 1, 1, 6 },     { 1, 2, 3, 7, 1 },
                                     { 2, 4, 3, 5, 3 },    { 1, 1, 8, 16, 24 },   { 2, 2, 11, 13, 9 },
                                     { 1, 2, 4, 65, 131 }, { 1, 1, 17, 90, 160 }, { 3, 3, 1, 40, 33 },
                                     { 1, 1, 2, 9, 700 },  { 2, 6, 5, 17, 21 },   { 3, 6, 9, 33, 47 } };

#define WARP_TRIALS      G_N_ELEMENTS(warp_sizes)
#define WARP_GRAD_TRIALS 7

static inline NervTensor *warp_flow(NervTape *tape, uint32_t trial)
{
    const int *s = warp_sizes[trial];
    return nerv_tape_leaf(tape, trial < WARP_GRAD_TRIALS ? NERV_TENSOR_PARAM : NERV_TENSOR_INPUT, NERV_F32,
                          nerv_shape(s[1], 2, s[3], s[4]), "flow");
}

/* Fractions of a fifth to four fifths, about the size of the picture or a little beyond. */
static inline float warp_smooth(NervRng *rng)
{
    return (float)check_between(rng, -3, 2) + nerv_rng_uniform(rng, 0.2f, 0.8f);
}

static inline float warp_wild(NervRng *rng)
{
    static const float special[] = { NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 3e9f, -3e9f, -0.0f };
    const int kind = check_between(rng, 0, 31);
    if (kind < (int)G_N_ELEMENTS(special))
        return special[kind];
    return kind < 12 ? (float)check_between(rng, -9, 9) : nerv_rng_uniform(rng, -9.0f, 9.0f);
}

static inline void warp_fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    const bool is_flow = g_str_equal(leaf->name, "flow");
    float *v = data;
    for (int64_t i = 0; i < n; i++) {
        if (is_flow)
            v[i] = leaf->kind == NERV_TENSOR_INPUT ? warp_wild(rng) : warp_smooth(rng);
        else
            v[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
    }
}

/* The size for --bench that is numbered `which` and its flow, a constant of some pixels; NULL behind the last. */
static inline const int *warp_bench_case(NervTape *tape, uint32_t which, NervTensor **flow)
{
    static const int sizes[][5] = { { 1, 1, 8, 90, 160 }, { 1, 1, 8, 180, 320 }, { 1, 1, 3, 180, 320 } };
    NervRng rng;
    if (which >= G_N_ELEMENTS(sizes))
        return NULL;
    const int *s = sizes[which];
    const int64_t n = 2 * (int64_t)s[1] * s[3] * s[4];
    float *v = g_new(float, n);
    nerv_rng_init(&rng, which);
    for (int64_t i = 0; i < n; i++)
        v[i] = nerv_rng_uniform(&rng, -3.0f, 3.0f);
    *flow = nerv_tape_const(tape, nerv_shape(s[1], 2, s[3], s[4]), v);
    g_free(v);
    return s;
}

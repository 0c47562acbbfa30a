/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases of ssim and its gradients on pairs of images that resemble each other: a smooth ramp with texture of a
 * strength that varies over the picture, and the same with noise. Sizes from one window up, with remainders
 * at every tile's edge.
 */
#include <math.h>

#include "checkop.h"

static const int sizes[][4] = { { 1, 1, 11, 11 }, { 1, 2, 12, 13 }, { 2, 1, 15, 11 },  { 1, 1, 11, 122 },
                                { 1, 1, 43, 16 }, { 2, 3, 23, 29 }, { 1, 1, 75, 133 }, { 1, 3, 61, 97 } };

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    /* The maps have no gradient in b. */
    const bool want_maps = trial >= 2;
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = nerv_tape_leaf(tape, want_maps ? NERV_TENSOR_INPUT : NERV_TENSOR_PARAM, NERV_F32,
                                   nerv_shape(s[0], s[1], s[2], s[3]), "b");
    NervTensor *mean = nerv_ssim(tape, a, b);
    if (trial != 3)
        nerv_tape_output(tape, mean, "mean");
    if (mean && want_maps)
        nerv_tape_output(tape, mean->node->out[1], "maps");
}

static void make_dmaps(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = check_param(tape, "b", s[0], s[1], s[2], s[3]);
    NervTensor *u = check_param(tape, "u", s[0], 3 * s[1], s[2] - 10, s[3] - 10);
    nerv_tape_output(tape, nerv_ssim_dmaps(tape, a, b, u), "maps");
}

static void make_dx(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const int *s = sizes[trial];
    NervTensor *a = check_param(tape, "a", s[0], s[1], s[2], s[3]);
    NervTensor *b = check_param(tape, "b", s[0], s[1], s[2], s[3]);
    NervTensor *maps = check_param(tape, "maps", s[0], 3 * s[1], s[2] - 10, s[3] - 10);
    nerv_tape_output(tape, nerv_ssim_dx(tape, check_param(tape, "g", 1, 1, 1, 1), a, b, maps), "da");
}

/* The two images must share their texture: it is a function of the position; the noise is not. */
static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const NervShape s = leaf->shape;
    const int64_t n = nerv_shape_count(s);
    float *v = data;
    for (int64_t i = 0; i < n; i++) {
        const float x = (float)(i % s.w) / s.w, y = (float)(i / s.w % s.h) / s.h;
        const float texture = sinf(1.7f * (i % s.w)) * cosf(2.3f * (i / s.w % s.h));
        v[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
        if (leaf->name[0] == 'a' || leaf->name[0] == 'b')
            v[i] = 0.15f + 0.5f * x + 0.3f * (x - 0.4f) * y + 0.2f * y * texture + 0.15f * v[i];
    }
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 3, 180, 320), *b = check_param(tape, "b", 1, 3, 180, 320);
    NervTensor *mean = nerv_ssim(tape, a, b);
    nerv_tape_output(tape, mean, "mean");
    nerv_tape_output(tape, mean->node->out[1], "maps");
    return which == 0;
}

static bool bench_dx(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 3, 180, 320), *b = check_param(tape, "b", 1, 3, 180, 320);
    NervTensor *maps = check_param(tape, "maps", 1, 9, 170, 310);
    nerv_tape_output(tape, nerv_ssim_dx(tape, check_param(tape, "g", 1, 1, 1, 1), a, b, maps), "da");
    return which == 0;
}

static bool bench_dmaps(NervTape *tape, uint32_t which, double *macs)
{
    NervTensor *a = check_param(tape, "a", 1, 3, 180, 320), *b = check_param(tape, "b", 1, 3, 180, 320);
    NervTensor *u = check_param(tape, "u", 1, 9, 170, 310);
    nerv_tape_output(tape, nerv_ssim_dmaps(tape, a, b, u), "maps");
    return which == 0;
}

const CheckCase check_ssim = {
    .op = "ssim",
    .n_trials = 8,
    .make = make,
    .fill = fill,
    .n_grad_trials = 4,
    .grad_eps = 2e-3f,
    .bench = bench,
};

const CheckCase check_ssim_dmaps = {
    .op = "ssim_dmaps",
    .n_trials = 8,
    .make = make_dmaps,
    .fill = fill,
    .bench = bench_dmaps,
    .note = "not differentiable",
};

const CheckCase check_ssim_dx = {
    .op = "ssim_dx",
    .n_trials = 8,
    .make = make_dx,
    .fill = fill,
    .n_grad_trials = 3,
    .bench = bench_dx,
};

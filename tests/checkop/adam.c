/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Case of adam: the first step, where both corrections are largest, a late one, both with and without weight
 * decay, on moments of the size that training has.
 */
#include <math.h>
#include <string.h>

#include "checkop.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    static const int sizes[][4] = {
        { 1, 1, 1, 1 }, { 1, 7, 1, 1 }, { 5, 3, 3, 3 }, { 24, 16, 5, 5 }, { 17, 41, 1, 1 }
    };
    const int *s = sizes[trial];
    const NervAdamAttr attr = { trial % 2 ? 0.5f : 0.9f, 0.999f, 1e-8f, trial == 3 ? 0.01f : 0.0f };
    NervTensor *leaf[4];
    static const char *const names[4] = { "w", "dw", "m", "v" };
    for (int i = 0; i < 4; i++)
        leaf[i] = check_param(tape, names[i], s[0], s[1], s[2], s[3]);
    NervTensor *hyper = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1),
                                       trial % 2 ? "late" : "first");
    NervTensor *w = nerv_adam(tape, leaf[0], leaf[1], leaf[2], leaf[3], hyper, &attr);
    nerv_tape_output(tape, w, "w_out");
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    float *x = data;
    if (leaf->kind == NERV_TENSOR_INPUT) {
        const double t = leaf->name[0] == 'f' ? 1 : 1000, beta1 = t > 1 ? 0.5 : 0.9;
        const float hyper[4] = { 5e-4f, (float)(1 - pow(beta1, t)), (float)(1 - pow(0.999, t)), 0.0f };
        memcpy(data, hyper, sizeof hyper);
        return;
    }
    for (int64_t i = 0; i < nerv_shape_count(leaf->shape); i++) {
        x[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
        if (leaf->name[0] == 'd' || leaf->name[0] == 'm')
            x[i] *= 0.01f;
        else if (leaf->name[0] == 'v')
            x[i] = 1e-4f * x[i] * x[i];
    }
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    const NervAdamAttr attr = { 0.5f, 0.999f, 1e-8f, 0.0f };
    NervTensor *w = check_param(tape, "w", 1, 144751, 1, 1), *dw = check_param(tape, "dw", 1, 144751, 1, 1);
    NervTensor *m = check_param(tape, "m", 1, 144751, 1, 1), *v = check_param(tape, "v", 1, 144751, 1, 1);
    NervTensor *hyper = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "late");
    nerv_adam(tape, w, dw, m, v, hyper, &attr);
    return which == 0;
}

const CheckCase check_adam = {
    .op = "adam",
    .n_trials = 5,
    .make = make,
    .fill = fill,
    .bench = bench,
    .note = "updates in place, not differentiable",
};

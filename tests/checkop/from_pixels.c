/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Stored frames of every format, siting, matrix and range to R'G'B', with indices that repeat and some
 * outside the store.
 */
#include "pixels.h"

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const NervPixels p = check_pixels(rng, trial);
    const int n_frames = check_between(rng, 1, 3), n = check_between(rng, 1, 3);
    NervTensor *store = nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_U8,
                                       nerv_shape(n_frames, 1, 1, check_pixels_stride(&p)), "store");
    NervTensor *index = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(n, 1, 1, 1), "index");
    nerv_tape_output(tape, nerv_from_pixels(tape, store, index, &p), "rgb");
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    for (int64_t i = 0; i < n; i++) {
        if (leaf->dtype == NERV_I32)
            ((int32_t *)data)[i] = check_between(rng, -1, 3);
        else
            ((uint8_t *)data)[i] = (uint8_t)nerv_rng_below(rng, 256);
    }
}

static bool bench(NervTape *tape, uint32_t which, double *macs)
{
    const NervPixels p = { .format = which == 0 ? NERV_PIXELS_RGB : NERV_PIXELS_I420,
                           .width = 1280,
                           .height = 720,
                           .matrix = NERV_MATRIX_BT709,
                           .h_cosited = 1 };
    if (which > 1)
        return false;
    NervTensor *store = nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_U8,
                                       nerv_shape(1, 1, 1, check_pixels_stride(&p)), "store");
    NervTensor *index = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
    nerv_tape_output(tape, nerv_from_pixels(tape, store, index, &p), "rgb");
    *macs = 0;
    return true;
}

const CheckCase check_from_pixels = {
    .op = "from_pixels",
    .n_trials = CHECK_PIXELS_TRIALS,
    .make = make,
    .fill = fill,
    .bench = bench,
};

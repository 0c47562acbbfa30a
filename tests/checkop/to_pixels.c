/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * R'G'B' planes, some values outside [0,1], to frames of every format, siting, matrix and range.
 */
#include "pixels.h"

static void add(NervTape *tape, const NervPixels *p, int n)
{
    NervTensor *rgb = check_param(tape, "rgb", n, 3, p->height, p->width);
    nerv_tape_output(tape, nerv_to_pixels(tape, rgb, p), "frames");
}

static void make(NervTape *tape, NervRng *rng, uint32_t trial)
{
    const NervPixels p = check_pixels(rng, trial);
    add(tape, &p, check_between(rng, 1, 3));
}

static void fill(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    for (int64_t i = 0; i < n; i++)
        ((float *)data)[i] = nerv_rng_uniform(rng, -0.2f, 1.2f);
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
    add(tape, &p, 1);
    *macs = 0;
    return true;
}

const CheckCase check_to_pixels = {
    .op = "to_pixels",
    .n_trials = CHECK_PIXELS_TRIALS,
    .make = make,
    .fill = fill,
    .bench = bench,
};

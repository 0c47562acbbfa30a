/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Formats and sizes for the cases of from_pixels and to_pixels: five formats in turn, each with the four
 * sitings in turn; the first five trials are single pixels, later ones have odd and even sides over several
 * vectors and bands.
 */
#pragma once

#include "checkop.h"

#define CHECK_PIXELS_TRIALS 45

static inline NervPixels check_pixels(NervRng *rng, uint32_t trial)
{
    static const int32_t matrices[] = { NERV_MATRIX_BT709, NERV_MATRIX_FCC,       5,
                                        NERV_MATRIX_BT601, NERV_MATRIX_SMPTE240M, NERV_MATRIX_BT2020 };
    const uint32_t siting = trial / NERV_PIXELS_N % 4;
    const int most = trial < 5 ? 1 : trial < 25 ? 9 : 83;
    return (NervPixels){ .format = (int32_t)(trial % NERV_PIXELS_N),
                         .width = check_between(rng, 1, most),
                         .height = check_between(rng, 1, most),
                         .matrix = matrices[nerv_rng_below(rng, G_N_ELEMENTS(matrices))],
                         .full_range = check_between(rng, 0, 1),
                         .h_cosited = siting & 1,
                         .v_cosited = siting >> 1 };
}

static inline int32_t check_pixels_stride(const NervPixels *p)
{
    return (int32_t)((nerv_pixels_bytes(p) + 3) / 4 * 4);
}

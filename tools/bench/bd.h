/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * BD-rate: by how much the bytes of one codec differ from another's at equal quality, averaged over a range of quality.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define BD_MIN_POINTS 4

/* One curve: rates > 0 in any unit, and qualities in dB, in any order. Points of infinite quality are left out. */
typedef struct {
    const double *rate, *quality;
    uint32_t n;
} BdCurve;

typedef struct {
    double percent;   /* negative: `test` needs fewer bytes than `anchor` */
    double low, high; /* the common range of quality that it is the mean of */
} BdRate;

/* G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, with the logarithm of the rate as a
 * function of quality interpolated piecewise by monotone cubics (F. N. Fritsch and J. Butland, 1984), which is what the common test
 * conditions of ITU-T's groups use since, and not by the one cubic of the original. NULL, or why there is no such number: fewer than
 * BD_MIN_POINTS points, two of the same quality, a curve on which more bytes give lower quality, no common range. */
const char *bd_rate(const BdCurve *anchor, const BdCurve *test, BdRate *out);

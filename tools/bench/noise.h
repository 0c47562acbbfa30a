/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Noise on pictures, and the filters of a few lines that take some of it out. Pictures are packed R'G'B' of 8 bits, rows without gaps.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

/* NeRV's table 5 has the first four: single pixels of one colour or any. */
typedef enum {
    NOISE_WHITE,
    NOISE_BLACK,
    NOISE_SALT_PEPPER, /* white or black */
    NOISE_RANDOM,      /* any colour */
    NOISE_GAUSSIAN,    /* added to each sample */
    NOISE_N,
} NoiseKind;

typedef enum {
    FILTER_GAUSSIAN, /* sigma 1 */
    FILTER_UNIFORM,
    FILTER_MEDIAN,
    FILTER_MINIMUM,
    FILTER_MAXIMUM,
    FILTER_N,
} FilterKind;

const char *noise_name(NoiseKind kind); /* "white", "black", "salt-pepper", ... */
bool noise_parse(const char *name, NoiseKind *kind);
const char *filter_name(FilterKind kind);

/* density: share of the pixels that are hit, 0..1; sigma: of Gaussian noise, in codes. The same seed gives the same noise. */
void noise_add(NoiseKind kind, double density, double sigma, NervRng *rng, const uint8_t *src, uint8_t *dst,
               int32_t width, int32_t height);
/* Of 3 x 3 samples of each channel; the picture's edge is repeated. dst is not src. */
void filter_apply(FilterKind kind, const uint8_t *src, uint8_t *dst, int32_t width, int32_t height);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Steps of uniform quantisation as the bitstream can hold them, and the index of a value: one of 2048 codes for the step
 * (docs/bitstream.md, section "Quantisation"), value = index * step. Here because training (ops/quantise.c) and the
 * stream (codec/quant.c) must mean the same. Steps have 5 significant bits and indices at most 12, so an index, and an index and
 * a half, times a step is exact in a float: what is decided by comparing with such products is the same on every
 * machine, however it multiplies and adds.
 */
#pragma once

#include <math.h>
#include <stdint.h>

#define NERV_STEP_CODES 2048
#define NERV_INDEX_MAX  4095 /* largest limit of an index's magnitude */

/* The step of a code in 0..NERV_STEP_CODES-1: 0 for code 0, else (16 + code mod 16) * 2^(floor(code / 16) - 81). Increasing. */
static inline float nerv_quant_step(uint32_t code)
{
    return code ? ldexpf((float)(16 + code % 16), (int)(code / 16) - 81) : 0;
}

/* The code for a step of about 2^s: 16 (s + 77) rounded to nearest, within 1..NERV_STEP_CODES-1; 1 if s is no number. The step of
 * an integral s is 2^s, between them it is a chord of that curve. */
static inline uint32_t nerv_quant_log2_code(float s)
{
    /* The sum is rounded once, 16 times it is exact: the same everywhere. */
    const float code = 16 * (s + 77) + 0.5f;
    return code >= 2 ? (code < NERV_STEP_CODES ? (uint32_t)code : NERV_STEP_CODES - 1) : 1;
}

/* x / step rounded to nearest, halves away from zero, clipped to +-max_index <= NERV_INDEX_MAX; +-max_index if x is no number.
 * `inverse` is 1 / step as precise as one likes: it gives the first guess, exact comparisons settle it. step > 0. */
static inline float nerv_quant_index(float x, float step, float inverse, float max_index)
{
    const float a = fabsf(x), guess = a * inverse + 0.5f;
    float k = (float)(int32_t)(guess < max_index ? guess : max_index);
    k += a >= (k + 0.5f) * step ? 1.0f : 0.0f;
    k -= a < (k - 0.5f) * step ? 1.0f : 0.0f;
    return copysignf(k < max_index ? k : max_index, x);
}

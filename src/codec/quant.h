/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Uniform quantisation with a dead zone of none: value = index * step, indices symmetric about zero, the step one of
 * 2048 codes (docs/bitstream.md, section "Quantisation"; tensor/steps.h), the product exact and the same on every machine.
 *
 * Symmetric rather than minimum/maximum: trained weights are centred on zero, an offset per channel costs more bytes than
 * the range it saves (both lie on the same rate-distortion curve once indices are entropy coded), and zero stays zero.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/steps.h"

#define NERV_STEP_MIDDLE 1072 /* code of 2^-10, where a stream's first step is expected */
/* Largest magnitude that quantises without clipping, whatever the indices' range. */
#define NERV_QUANT_MAX_VALUE 0x1p50f

/* The smallest code whose step is >= x, at least 1, at most NERV_STEP_CODES-1. x finite, >= 0. */
uint32_t nerv_quant_code(float x);
/* The code that quantises x[0..n-1] to indices in -max_index..max_index with the least squared error among steps from the
 * one that clips nothing down to a quarter of it; 0 if all are zero. Values are finite, within NERV_QUANT_MAX_VALUE. */
uint32_t nerv_quant_fit(const float *x, size_t n, int32_t max_index);
/* index = x / step rounded to nearest, halves away from zero, clipped to +-max_index; 0 for code 0. */
void nerv_quantise(const float *x, size_t n, uint32_t code, int32_t max_index, int16_t *index);
/* Sum of squared differences between x and what it decodes to. */
double nerv_quant_error(const float *x, size_t n, uint32_t code, int32_t max_index);

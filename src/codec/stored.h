/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The coded weights of coding 3: numbers as another program stored them, codes of few bits with a minimum and a scale, or plain floats. Nothing is
 * quantised here, so that a network that was made elsewhere is the same network afterwards. docs/bitstream.md, section "Coding 3". weights.c puts
 * the unit around it.
 */
#pragma once

#include "codec/rangecoder.h"
#include "models/model.h"

#define NERV_STORED_MAX_BITS 8
/* Numbers are smaller than this, so that no value is infinite. */
#define NERV_STORED_MAX 0x1p112f

/* A tensor as it was stored: value = minimum + scale * code, in binary32 with one rounding for the product and one for the sum. */
typedef struct {
    uint32_t bits;          /* of a code, 1..NERV_STORED_MAX_BITS; 0: the values themselves are stored */
    uint32_t mask;          /* dimensions along which minimum and scale vary: 1 N, 2 C, 4 H, 8 W */
    bool half;              /* minimum and scale, or the values, are binary16; else binary32 */
    uint8_t *codes;         /* one for each scalar, below 2^bits */
    float *minimum, *scale; /* nerv_stored_numbers() each, the last dimension fastest; scale >= 0 */
    float *
        values; /* in place of the three, with bits 0; a scale beside them is what they were quantised by (lattice.h) */
} NervStoredTensor;

/* Frees what the pointers point to, g_free(), and leaves zeros. */
void nerv_stored_clear(NervStoredTensor *t);
/* Minima of a tensor whose mask that is, and as many scales. */
int64_t nerv_stored_numbers(NervShape shape, uint32_t mask);
/* Whether a tensor can be written for a parameter; NERV_ERROR_INVALID names it and says why not. */
bool nerv_stored_check(const NervParam *param, const NervStoredTensor *t, GError **error);
/* What it stands for: nerv_shape_count(shape) floats. */
void nerv_stored_values(NervShape shape, const NervStoredTensor *t, float *dst);

/* tensors: one for each parameter, all checked. NERV_ERROR_MEMORY. */
bool nerv_stored_write(const NervModel *model, const NervStoredTensor *tensors, NervRangeEncoder *e,
                       GError **error);
/* The values of tensor i go to dst + offset[i] bytes, or behind the one before if offset is NULL. tensors: NULL, or n_params zeros that take what was
 * stored, on errors as well. False with NERV_ERROR_MEMORY, or without an error if the bytes are damaged. */
bool nerv_stored_read(const NervModel *model, NervRangeDecoder *d, void *dst, const size_t *offset,
                      NervStoredTensor *tensors, GError **error);

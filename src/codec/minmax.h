/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The coded weights of coding 2, after NeRV's own pipeline: each row's values are one of 2^bits points evenly from its minimum to its
 * maximum, and one Huffman code for the whole network writes them, exact zeros (what pruning left) as a symbol of their own.
 * docs/bitstream.md, section "Coding 2". weights.c puts the unit around it.
 */
#pragma once

#include "codec/stored.h"

/* Appends the coded weights; `params` are finite and within NERV_QUANT_MAX_VALUE, bits 2..8. tensors: NULL, or those whose minima and scales are the rows' ranges
 * (lattice.h), with points for all params. False with NERV_ERROR_MEMORY, and then `out` is as it was. */
bool nerv_minmax_write(const NervModel *model, const float *params, const NervStoredTensor *tensors,
                       uint32_t bits, GByteArray *out, GError **error);
/* Whether a row can have that first point and that distance between two; 0 and 0: all its values are 0. */
bool nerv_minmax_is_range(float minimum, float scale);
/* Bits that a Huffman code of the symbols that are not zero takes for them, without the code, the ranges and the zeros' places: how NeRV's
 * authors count. As nerv_minmax_write(). */
bool nerv_minmax_published_bits(const NervModel *model, const float *params, uint32_t bits, uint64_t *out,
                                GError **error);
/* Tensor i goes to dst + offset[i] bytes, or behind the one before if offset is NULL; *used: bytes that belong to the weights. The floats are the
 * same on every machine. tensors: NULL, or n_params zeros that take minima and scales, on errors as well. False with NERV_ERROR_MEMORY, or without an error if the bytes are
 * damaged. */
bool nerv_minmax_read(const NervModel *model, uint32_t bits, const uint8_t *data, size_t size, void *dst,
                      const size_t *offset, NervStoredTensor *tensors, size_t *used, GError **error);

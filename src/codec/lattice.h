/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Networks that were quantised before: values that lie on the points of codings 0 to 2, with the points' distances beside them. They are written by the coding they
 * come from, as the same integers; quantised anew they would be others. A NervStoredTensor of bits 0 with a `scale` is such a tensor: in each row of its mask the values are
 * whole multiples of scale, or with a `minimum` (coding 2) zeros and minimum + scale * k. A row of zeros may have scale 0.
 */
#pragma once

#include "codec/stored.h"

/* As in the bitstream. */
typedef enum {
    NERV_LATTICE_ADAPTIVE,
    NERV_LATTICE_CONTEXT,
    NERV_LATTICE_HUFFMAN,
    NERV_LATTICE_NONE
} NervLattice;

/* Rows of a parameter in a coding, as NervStoredTensor's mask. */
uint32_t nerv_lattice_mask(const NervParam *param, NervLattice coding);
/* For readers: the scales of n step codes (quant.h), one for each row, become t's, with the mask. NERV_ERROR_MEMORY. */
bool nerv_lattice_keep_steps(const NervParam *param, NervLattice coding, const uint16_t *codes,
                             NervStoredTensor *t, GError **error);

/* Whether all values of a tensor with a scale are such points of a row; NERV_ERROR_INVALID names the tensor and says why not. */
bool nerv_lattice_check(const NervParam *param, const NervStoredTensor *t, GError **error);
/* The coding that holds all tensors, which are checked, as they are; NONE if none does, or one of them has no scale. *bits: of coding 0 or 2, those that the values
 * take; beside CONTEXT those of coding 0, which then holds them as well, or 0. */
NervLattice nerv_lattice_coding(const NervModel *model, const NervStoredTensor *tensors, uint32_t *bits);
/* The same tensor as codes with minima and scales, for networks that no coding holds as a whole. *out owns its arrays; it has none if t is no such tensor or its points
 * are too far apart. NERV_ERROR_MEMORY. */
bool nerv_lattice_codes(const NervParam *param, const NervStoredTensor *t, NervStoredTensor *out,
                        GError **error);
/* What the codings' writers take: all values behind each other, and all step codes (NULL: not wanted). New arrays, g_free(). NERV_ERROR_MEMORY. */
bool nerv_lattice_flatten(const NervModel *model, const NervStoredTensor *tensors, float **values,
                          uint16_t **codes, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The coded weights of coding 1: from floats and step codes to a range coder and back. The model's class does not matter here, only its
 * parameters' shapes and roles. weights.c puts the unit around it.
 */
#pragma once

#include "codec/context.h"
#include "codec/stored.h"

/* False with NERV_ERROR_INVALID if one of the parameters' steps is not below NERV_STEP_CODES. */
bool nerv_tensors_check_steps(const NervModel *model, const uint16_t *steps, GError **error);
/* Those of all tensors of a network. To find them is most of what a writer does, and networks of one fit have about the same. */
typedef struct {
    NervPrediction *of; /* by parameter, g_free() */
    bool known;
} NervPredictions;

/* params and steps as in nerv_network_write_steps(), already checked. predictions: NULL, or zeros at first: found and kept, and used if they are known. False
 * with NERV_ERROR_MEMORY or NERV_ERROR_CANCELLED. */
bool nerv_tensors_write(const NervModel *model, const float *params, const uint16_t *steps,
                        NervPredictions *predictions, const gint *cancel, NervRangeEncoder *e,
                        GError **error);
/* Tensor i goes to dst + offset[i] bytes, or behind the one before if offset is NULL. tensors: NULL, or n_params zeros that take steps (lattice.h), on errors as
 * well. False with NERV_ERROR_MEMORY, or without an error if the bytes are damaged. */
bool nerv_tensors_read(const NervModel *model, NervRangeDecoder *d, void *dst, const size_t *offset,
                       NervStoredTensor *tensors, GError **error);

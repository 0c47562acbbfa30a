/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The quantiser's steps where no gradient moves them: when quantisation begins, and where weights have outgrown theirs. Steps are logarithms to the base 2, one for
 * each row, nerv_param_steps() for each parameter in the model's order; weights are model->n_weights floats in it. bits, 2..12: indices stay below 2^(bits-1), biases'
 * at most NERV_TRAIN_BIAS_INDEX.
 */
#pragma once

#include "models/model.h"

#define NERV_TRAIN_BIAS_INDEX 511

int32_t nerv_steps_max_index(const NervParam *param, uint32_t bits);
/* The first steps, with which no weight is clipped. most_bits: what the weights may take, estimated as ops/quantise.c does it but of whole rows; where it is
 * less, all steps but biases' are by the same factor coarser, of 8 at most. 0: no bound. False: no memory. */
bool nerv_steps_first(const NervModel *model, uint32_t bits, const float *weights, double most_bits,
                      float *steps);
/* Coarser steps for rows with clipped weights. */
void nerv_steps_widen(const NervModel *model, uint32_t bits, const float *weights, float *steps);

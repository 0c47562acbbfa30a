/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Residual networks: a segment's weights as half of the last segment's and what is beyond it (docs/bitstream.md, "Residual unit"). The unit's payload
 * and the sum.
 */
#pragma once

#include "base/bits.h"
#include "models/model.h"

/* Bytes of a residual unit's payload before the network. */
#define NERV_RESIDUAL_HEAD 4

/* Appends the payload: base_crc is the CRC of the unit with the network before, `network` a network unit's payload. */
void nerv_residual_write(uint32_t base_crc, const NervBitWriter *network, NervBitWriter *w);
/* *network is inside the payload. NERV_ERROR_DATA where that is too short. */
bool nerv_residual_read(const uint8_t *payload, size_t bytes, uint32_t *base_crc, const uint8_t **network,
                        size_t *network_bytes, GError **error);

/* Adds half of `before` to n weights, with one rounding. */
void nerv_residual_sum(const float *before, float *weights, int64_t n);
/* The same of model->n_weights in the model's order, but for grids whose rows are times. */
void nerv_residual_add(const NervModel *model, const float *before, float *weights);

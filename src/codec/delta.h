/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Networks whose layers are differences from those of a learned start that the decoder has as well (docs/bitstream.md, "Delta unit"). Grids of a start are maps of
 * what only the encoder sees, and have no part in it.
 */
#pragma once

#include "codec/init.h"

/* Bytes of a delta unit's payload before the network. */
#define NERV_DELTA_HEAD NERV_INIT_HASH_BYTES

/* Appends the payload; `network`: a network unit's. */
void nerv_delta_write(const uint8_t hash[NERV_INIT_HASH_BYTES], const NervBitWriter *network,
                      NervBitWriter *w);
/* *hash and *network are inside the payload. NERV_ERROR_DATA where that is too short. */
bool nerv_delta_read(const uint8_t *payload, size_t bytes, const uint8_t **hash, const uint8_t **network,
                     size_t *network_bytes, GError **error);

/* The init of that hash: `own` (may be NULL) or a built-in one. NERV_ERROR_UNSUPPORTED where it is neither; the message has the hash. */
const NervInit *nerv_delta_find(const NervInit *own, const uint8_t *hash, GError **error);

/* Whether the init's layers can be added to the model's; NERV_ERROR_DATA if not. */
bool nerv_delta_suits(const NervInit *init, const NervModel *model, GError **error);
/* Adds the layers of an init that suits to those of model->n_weights floats in the model's order. */
void nerv_delta_add(const NervInit *init, const NervModel *model, float *weights);
/* The same of one parameter, whose n = nerv_shape_count() weights these are, the model's i-th. */
void nerv_delta_add_param(const NervInit *init, const NervModel *model, uint32_t i, float *weights);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A segment's network as its unit has it, in one of three ways (docs/bitstream.md): by itself, as differences from an init, as a residual of the
 * network before. What a decoder and a reader of frames do alike with it: find what it is a difference from, refuse what is too large, and unpack it.
 */
#pragma once

#include "codec/delta.h"
#include "codec/units.h"
#include "codec/weights.h"

typedef struct {
    const uint8_t *network; /* a network unit's payload, inside the unit's */
    size_t bytes;
    const NervInit *base; /* what its layers are differences from, or NULL */
    bool is_residual;     /* of half of the network whose unit has the CRC base_crc */
    uint32_t base_crc;
} NervCoded;

/* own: an init beside the built-in ones, or NULL. NERV_ERROR_DATA; NERV_ERROR_UNSUPPORTED for an init that is not here. */
bool nerv_coded_open(NervCoded *c, const NervInit *own, const NervUnit *unit, GError **error);

/* Whether a frame takes no more multiplications than are allowed, else NERV_ERROR_LIMIT. Networks that can't be read, or have more than max_weights, are left to who says so. */
bool nerv_coded_is_affordable(const NervCoded *c, const NervClip *clip, int64_t max_weights,
                              uint64_t max_macs_per_frame, GError **error);

/* The model (nerv_model_free()) and its weights (*weights, g_free()), of a residual without what it is to be added to; NULL on failure. As nerv_network_read(). */
NervModel *nerv_coded_read(const NervCoded *c, const NervClip *clip, int64_t max_weights, float **weights,
                           GError **error);

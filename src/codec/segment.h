/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a segment becomes access units (docs/bitstream.md): which units each of them has.
 */
#pragma once

#include "codec/keys.h"
#include "codec/units.h"
#include "models/model.h"

typedef struct {
    const NervSequence *sequence;
    const int64_t *pts_ns; /* by frame */
    const NervModel *model;
    const NervKeys *keys; /* the model's */
} NervSegment;

/* Appends the access unit of frame i < n_frames. The first has the sequence and the network unit, whose payload is `network`. Keyframes go
 * with the first frame of the run before the one that needs them first, so that a decoder can compute that one meanwhile. */
void nerv_segment_append(const NervSegment *s, uint32_t i, const NervBitWriter *network, GByteArray *out);
/* Bytes of all units, with a network unit whose payload has so many. */
uint64_t nerv_segment_bytes(const NervSegment *s, uint32_t network_bytes);

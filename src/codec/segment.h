/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a segment becomes access units (docs/bitstream.md): which units each of them has.
 */
#pragma once

#include "codec/keys.h"
#include "codec/units.h"
#include "models/model.h"
#include "nerv.h"

typedef struct {
    const NervSequence *sequence;
    const int64_t *pts_ns; /* by frame */
    const NervModel *model;
    const NervKeys *keys; /* the model's */
    NervUnitType way;     /* how the network is coded: NERV_UNIT_NETWORK, _RESIDUAL or _DELTA */
} NervSegment;

/* The header of a segment of such a video, whose rates are within the header's ranges. pts_ns: of its first frame. */
void nerv_segment_sequence(const NervVideoInfo *info, uint32_t segment_id, uint64_t first_frame,
                           uint32_t n_frames, int64_t pts_ns, NervSequence *s);
/* Appends the access unit of frame i < n_frames. The first has the sequence and the network's unit, whose payload is `network`. Keyframes go
 * with the first frame of the run before the one that needs them first, so that a decoder can compute that one meanwhile. */
void nerv_segment_append(const NervSegment *s, uint32_t i, const NervBitWriter *network, GByteArray *out);
/* Appends all of the segment's access units to a queue of NervPacket *, which its taker frees. */
void nerv_segment_queue(const NervSegment *s, const NervBitWriter *network, GQueue *packets);
/* Bytes of all units, with a network unit whose payload has so many. */
uint64_t nerv_segment_bytes(const NervSegment *s, uint32_t network_bytes);

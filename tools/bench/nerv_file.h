/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stream in a file, taken apart: its segments with their networks and keyframes, its frames. For tools that look at what a decoder
 * keeps to itself. All of the file is in memory, and damage is an error.
 */
#pragma once

#include "codec/keyring.h"
#include "codec/weights.h"
#include "nerv.h"

typedef struct {
    NervSequence sequence;
    NervUnit sequence_unit, network;
    NervModel *model;
    float *weights;
    GArray *keyframes; /* of NervUnit, in the stream's order, wherever in the segment they are */
    size_t at;         /* where in the file it begins */
} NervFileSegment;

typedef struct {
    NervFrameHeader header;
    NervUnit unit;
    guint segment;
    size_t end; /* where in the file its access unit ends */
} NervFileFrame;

typedef struct {
    uint8_t *data;
    gsize bytes;
    GArray *segments; /* of NervFileSegment */
    GArray *frames;   /* of NervFileFrame, in the stream's order */
} NervFile;

/* NERV_ERROR_DATA; NERV_ERROR_UNSUPPORTED where a segment's network does not stand alone. */
bool nerv_file_read(NervFile *file, const char *path, GError **error);
void nerv_file_clear(NervFile *file);

/* Keyframe `frame` of a segment, NULL: there is none. */
const NervUnit *nerv_file_keyframe(const NervFileSegment *segment, int32_t frame);
/* What a decoder needs to show one frame: sequence, network, the two keyframes of its run, the frame. One access unit; `keyframe_bytes`, where
 * asked for, of the keyframes' units in it. */
GByteArray *nerv_file_alone(const NervFile *file, guint frame, size_t *keyframe_bytes);

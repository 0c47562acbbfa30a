/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stream's framing and headers (docs/bitstream.md): units with sync word, type, size, payload and CRC-32; the
 * sequence header and the frame header inside them; scanning a buffer for access units and resynchronising.
 * Knows no network: a network unit's payload is opaque here.
 *
 *   unit := 'N' 0xE5 'V' 0x9C | type u8 | size LEB128 (canonical, <= 4 bytes) | payload | CRC-32 (LE) of type, size, payload
 *   access unit := [sequence network]  frame         (with sequence and network: a sync point)
 */
#pragma once

#include "base/bits.h"
#include "base/error.h"
#include "tensor/pixels.h"

#define NERV_STREAM_VERSION 1
#define NERV_UNIT_MAX_PAYLOAD ((uint32_t)(1u << 28) - 1)
#define NERV_UNIT_MIN_BYTES 10 /* sync word, type, size, empty payload, CRC */

typedef enum {
    NERV_UNIT_SEQUENCE = 1,
    NERV_UNIT_NETWORK = 2,
    NERV_UNIT_FRAME = 3,
    /* 4..63 are reserved for units that a decoder must understand, 64..127 may be skipped */
} NervUnitType;

typedef struct {
    uint32_t type;
    const uint8_t *payload; /* inside the scanned buffer */
    size_t payload_bytes;
    size_t unit_bytes;      /* whole unit, sync word to CRC */
} NervUnit;

typedef enum {
    NERV_SCAN_OK,
    NERV_SCAN_MORE,    /* a valid beginning: needs at least *need bytes in all */
    NERV_SCAN_DAMAGED, /* no unit here: bad sync word, size or CRC */
} NervScan;

/* Looks at the start of `data` for one unit. */
NervScan nerv_unit_scan(const uint8_t *data, size_t size, NervUnit *unit, size_t *need);
/* Offset of the next sync word at or after `from`; `size` minus up to 3 bytes that may begin one, if there is none. */
size_t nerv_unit_find_sync(const uint8_t *data, size_t size, size_t from);
/* Appends a unit. payload_bytes <= NERV_UNIT_MAX_PAYLOAD. */
void nerv_unit_write(GByteArray *out, NervUnitType type, const void *payload, size_t payload_bytes);

/* Everything a reader needs before the network. Code points as in ITU-T H.273. */
typedef struct {
    uint32_t version;         /* NERV_STREAM_VERSION */
    uint32_t profile;         /* 0 "main" */
    uint32_t segment_id;      /* counts segments from 0, modulo 2^32; frames of a segment carry it */
    uint64_t first_frame;     /* number of the segment's first frame in the stream */
    uint32_t n_frames;        /* frames in this segment, 1..65536 */
    uint32_t width, height;   /* 16..8192 */
    uint32_t fps_n, fps_d;    /* 0/1: variable */
    uint32_t par_n, par_d;    /* pixel aspect ratio, >= 1 */
    uint32_t matrix, primaries, transfer; /* code points; 2 unspecified */
    uint32_t full_range;
    uint32_t format;          /* NervPixelFormat of the source, a hint for the output's choice */
    uint32_t h_cosited, v_cosited;
    int64_t pts_ns;           /* presentation time of the segment's first frame */
} NervSequence;

typedef struct {
    uint32_t segment_id; /* low 8 bits only */
    uint32_t index;      /* frame within the segment */
    int64_t pts_delta_ns; /* presentation time minus nerv_sequence_pts() */
} NervFrameHeader;

void nerv_sequence_write(const NervSequence *s, NervBitWriter *w);
/* Checks every range. NERV_ERROR_DATA, or NERV_ERROR_UNSUPPORTED for another version or profile. */
bool nerv_sequence_read(const uint8_t *payload, size_t bytes, NervSequence *s, GError **error);
void nerv_frame_write(const NervFrameHeader *f, NervBitWriter *w);
bool nerv_frame_read(const uint8_t *payload, size_t bytes, NervFrameHeader *f, GError **error);

/* Nominal time of frame `index`: pts_ns + floor(index * fps_d * 1e9 / fps_n); pts_ns alone for a variable rate. */
int64_t nerv_sequence_pts(const NervSequence *s, uint32_t index);
/* Nominal duration of frame `index`: the next nominal time minus its own; 0 for a variable rate. */
int64_t nerv_sequence_duration(const NervSequence *s, uint32_t index);

/* One access unit found in a buffer. */
typedef struct {
    size_t bytes;        /* of the whole access unit */
    bool is_sync;
    NervUnit sequence, network, frame; /* type 0 where absent */
} NervAccessUnit;

/* Looks for one access unit at the start of `data`; skippable units before the frame unit belong to it. `at_end`: no more data will come. */
NervScan nerv_access_unit_scan(const uint8_t *data, size_t size, NervAccessUnit *au, size_t *need);

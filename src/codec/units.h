/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stream's framing and headers (docs/bitstream.md): units with sync word, type, size, payload and CRC-32; the
 * sequence header and the frame header inside them; scanning a buffer for access units and resynchronising.
 * Knows no network: a network unit's payload is opaque here.
 *
 *   unit   := 'N' 0xE5 'V' 0x9C | header | payload | CRC-32 (LE) of header and payload
 *   header := type u8 | b0 u8 | check u8 | if b0 >> 6 is n > 0: n more bytes of the size | check u8
 *   access unit := [sequence (network | residual | delta)] frame    (with a sequence: a segment begins; with no residual: a sync point; up to 8
 *                                                            keyframe units anywhere before the frame)
 *
 * The checks are CRC-8 of what precedes them in the header. The first stands at a fixed place and covers the length of
 * the size field, so one flipped bit in type or size is always found out at once: a reader never waits for the
 * megabytes that a damaged size promises, nor skips them.
 */
#pragma once

#include "base/bits.h"
#include "base/error.h"
#include "tensor/pixels.h"

#define NERV_STREAM_VERSION   1
#define NERV_UNIT_MAX_PAYLOAD ((uint32_t)(1u << 28) - 1)
#define NERV_UNIT_MIN_BYTES                                                                                  \
    11 /* sync word, type, b0, check, empty payload, CRC; every header fits in as many */
#define NERV_UNIT_MAX_OVERHEAD         15
#define NERV_ACCESS_UNIT_MAX_BYTES     ((size_t)NERV_UNIT_MAX_PAYLOAD + 4096)
#define NERV_ACCESS_UNIT_MAX_UNITS     64
#define NERV_ACCESS_UNIT_MAX_KEYFRAMES 8

typedef enum {
    NERV_UNIT_SEQUENCE = 1,
    NERV_UNIT_NETWORK = 2,
    NERV_UNIT_FRAME = 3,
    NERV_UNIT_KEYFRAME = 4,
    NERV_UNIT_RESIDUAL = 5,
    NERV_UNIT_DELTA = 6,
    NERV_UNIT_SKIPPABLE = 64,
    NERV_UNIT_INDEX = 64, /* of a file, at its end; docs/bitstream.md, "Files" */
    NERV_UNIT_TAGS = 65,
    /* 7..63 are reserved for units that a decoder must understand, 64..127 may be skipped; others are damage */
} NervUnitType;

typedef struct {
    uint32_t type;
    const uint8_t *payload; /* inside the scanned buffer */
    size_t payload_bytes;
    size_t unit_bytes; /* whole unit, sync word to CRC */
    uint32_t crc;
} NervUnit;

typedef enum {
    NERV_SCAN_OK,
    NERV_SCAN_MORE,    /* a valid beginning: needs at least *need bytes in all */
    NERV_SCAN_DAMAGED, /* no unit here: bad sync word, size, check or CRC */
} NervScan;

/* Looks at the start of `data` for one unit. *need is at most NERV_UNIT_MAX_PAYLOAD + NERV_UNIT_MAX_OVERHEAD. */
NervScan nerv_unit_scan(const uint8_t *data, size_t size, NervUnit *unit, size_t *need);
/* Offset of the next sync word at or after `from`; `size` minus up to 3 bytes that may begin one, if there is none. */
size_t nerv_unit_find_sync(const uint8_t *data, size_t size, size_t from);
/* Bytes of a unit whose payload has so many. */
size_t nerv_unit_bytes(size_t payload_bytes);
/* The CRC that a unit of this payload ends with. */
uint32_t nerv_unit_crc(NervUnitType type, const void *payload, size_t payload_bytes);
/* Appends a unit. payload_bytes <= NERV_UNIT_MAX_PAYLOAD. */
void nerv_unit_write(GByteArray *out, NervUnitType type, const void *payload, size_t payload_bytes);

/* Everything a reader needs before the network. Code points as in ITU-T H.273. */
typedef struct {
    uint32_t version;       /* NERV_STREAM_VERSION */
    uint32_t profile;       /* 0 "main" */
    uint32_t segment_id;    /* counts segments from 0, modulo 2^32; frames of a segment carry it */
    uint64_t first_frame;   /* number of the segment's first frame in the stream, <= 2^62 */
    uint32_t n_frames;      /* frames in this segment, 1..65536 */
    uint32_t width, height; /* 16..8192 */
    uint32_t fps_n, fps_d;  /* < 2^31; 0/1: variable; else at most 32768 seconds a frame */
    uint32_t par_n, par_d;  /* pixel aspect ratio, 1..2^31-1 */
    uint32_t matrix, primaries, transfer; /* code points 0..255; 2 unspecified */
    uint32_t full_range;                  /* 0, 1 */
    uint32_t format;                      /* NervPixelFormat of the source, a hint for the output's choice */
    uint32_t h_cosited, v_cosited;        /* 0, 1 */
    int64_t pts_ns;                       /* presentation time of the segment's first frame, within +-2^62 */
} NervSequence;

typedef struct {
    uint32_t segment_id; /* low 8 bits only */
    uint32_t
        index; /* frame within the segment, 0..65535; the reader of the frame compares it with n_frames */
    int64_t pts_delta_ns; /* presentation time minus nerv_sequence_pts(), within +-2^60 */
} NervFrameHeader;

#define NERV_KEYFRAME_AV1 1

typedef struct {
    uint32_t segment_id; /* low 8 bits only */
    uint32_t index; /* frame of the segment that it shows, 0..65535; the reader compares it with n_frames */
    uint32_t codec; /* NERV_KEYFRAME_AV1 */
    const uint8_t
        *data; /* coded picture (codec/keyframe.h), at least one byte; inside the payload that was read */
    size_t bytes;
} NervKeyframeHeader;

/* The writers take fields within the ranges above (a reader refuses others). */
void nerv_sequence_write(const NervSequence *s, NervBitWriter *w);
/* Checks every range. NERV_ERROR_DATA, or NERV_ERROR_UNSUPPORTED for another version or profile. */
bool nerv_sequence_read(const uint8_t *payload, size_t bytes, NervSequence *s, GError **error);
void nerv_frame_write(const NervFrameHeader *f, NervBitWriter *w);
bool nerv_frame_read(const uint8_t *payload, size_t bytes, NervFrameHeader *f, GError **error);
/* The whole payload of a keyframe unit, picture and all; data and bytes as well. */
void nerv_keyframe_header_write(const NervKeyframeHeader *k, NervBitWriter *w);
/* NERV_ERROR_DATA, or NERV_ERROR_UNSUPPORTED for another codec; segment_id and index are then read all the same. The picture is not
 * looked at. */
bool nerv_keyframe_header_read(const uint8_t *payload, size_t bytes, NervKeyframeHeader *k, GError **error);

/* Nominal time of frame `index`: pts_ns + floor(index * fps_d * 1e9 / fps_n); pts_ns alone for a variable rate. Does not
 * overflow for index <= 65536, nor does adding a frame's delta. */
int64_t nerv_sequence_pts(const NervSequence *s, uint32_t index);
/* Nominal duration of frame `index`: the next nominal time minus its own; 0 for a variable rate. */
int64_t nerv_sequence_duration(const NervSequence *s, uint32_t index);

/* A time or a duration that nobody knows. */
#define NERV_TIME_NONE UINT64_MAX
/* When a frame is shown, nanoseconds, not before 0, and how long: by its number in the stream, so that durations add up across segments; NERV_TIME_NONE for a variable
 * rate. */
void nerv_frame_times(const NervSequence *s, const NervFrameHeader *f, uint64_t *pts, uint64_t *duration);
/* Whether one of two headers is the other's, repeated, as far as they go: the networks behind them may still differ. */
bool nerv_sequence_same_segment(const NervSequence *a, const NervSequence *b);

/* One access unit found in a buffer. */
typedef struct {
    size_t bytes; /* of the whole access unit */
    bool begins;  /* a segment: there are a sequence and a network, or a residual or a delta in its place */
    bool is_sync; /* it begins one with a network that needs no other segment's */
    uint32_t
        unknown_type; /* type of the first unit that a decoder had to understand and this one does not, 0: none */
    NervUnit sequence, network,
        frame; /* type 0 where absent; network: NERV_UNIT_NETWORK, _RESIDUAL or _DELTA */
    NervUnit keyframes[NERV_ACCESS_UNIT_MAX_KEYFRAMES]; /* in the stream's order */
    uint32_t n_keyframes;
} NervAccessUnit;

/* Looks for one access unit at the start of `data`: units up to and including a frame unit; skippable units before the
 * frame unit belong to it, and keyframe units whose payload is damaged are left out. NERV_SCAN_MORE: wait for *need bytes, at most NERV_ACCESS_UNIT_MAX_BYTES; when no more
 * will come, treat it as damaged. NERV_SCAN_DAMAGED: go on at nerv_unit_find_sync(data, size, 1). */
NervScan nerv_access_unit_scan(const uint8_t *data, size_t size, NervAccessUnit *au, size_t *need);

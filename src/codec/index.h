/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where the segments of a byte stream begin, in bytes and in time. Units are of very different size (a network, then frames of a few bytes),
 * so that bytes and time are not proportional.
 *
 * Streams that were put behind each other (cat a.nerv b.nerv) are parts here: each is shifted in time to where the one before it ends. What was
 * noted once stays, so that a place in the stream has one time however it is reached.
 *
 * What fills an index: units one by one, a walk through the stream (walk.h), or what stands at a file's end (trailer.h).
 */
#pragma once

#include "codec/units.h"

typedef struct {
    uint64_t offset; /* of the sync point's access unit */
    uint64_t time;   /* presentation time of its first frame, nanoseconds */
} NervIndexEntry;

typedef struct {
    uint64_t offset; /* of its first sync point's access unit */
    int64_t shift;   /* added to its own times, nanoseconds */
} NervIndexPart;

/* An access unit where it lies in the stream. */
typedef struct {
    uint64_t offset, end; /* its first byte, and the first behind it */
    bool is_sync;
    uint64_t network_bytes;       /* of the network's unit where a segment begins, else 0 */
    const NervSequence *sequence; /* of the segment */
    const NervFrameHeader *frame;
} NervIndexUnit;

typedef struct {
    GArray *entries; /* NervIndexEntry, both fields ascending */
    GArray *parts;   /* NervIndexPart, offsets ascending */
    bool complete;   /* the whole stream was walked */
    uint64_t bytes;  /* of the stream, if complete */
    uint64_t end;    /* of the last frame; NERV_TIME_NONE if unknown */

    /* The last unit noted, what a part's beginning is told by. */
    uint64_t noted;        /* its end */
    NervSequence sequence; /* n_frames is 0 before the first */
    uint64_t network_bytes;
    uint32_t last_index;
    uint64_t last_pts, last_step;
} NervIndex;

/* Reads `size` bytes at `offset` into `dst`; *got is how many there were, fewer only at the end. False: it failed, why is the callback's to know. */
typedef bool (*NervReadFunc)(void *user, uint64_t offset, size_t size, uint8_t *dst, size_t *got);

/* One for bytes in memory; `user` is a NervMemory. */
typedef struct {
    const uint8_t *data;
    uint64_t size;
} NervMemory;
bool nerv_memory_read(void *user, uint64_t offset, size_t size, uint8_t *dst, size_t *got);

void nerv_index_init(NervIndex *index);
void nerv_index_clear(NervIndex *index);
/* Forgets everything. */
void nerv_index_reset(NervIndex *index);

/* Times of an access unit's frame on the whole stream's time line (duration: NERV_TIME_NONE if unknown). A unit behind all others so far is noted: it may begin a new
 * part, and a sync point becomes an entry, of which `added` tells (may be NULL). */
void nerv_index_unit(NervIndex *index, const NervIndexUnit *unit, uint64_t *pts, uint64_t *duration,
                     bool *added);
/* Adds an entry. Ignored unless it lies behind all others in both offset and time: what goes backwards cannot be searched. Returns
 * whether it was new. */
bool nerv_index_add(NervIndex *index, uint64_t offset, uint64_t time);

/* The sync point at or before a time; the first if there is none. */
bool nerv_index_offset(const NervIndex *index, uint64_t time, uint64_t *offset);
/* The time of the sync point at or before an offset (the first's if there is none), the end's for the whole stream. False behind the last sync
 * point if the index is not complete. */
bool nerv_index_time(const NervIndex *index, uint64_t offset, uint64_t *time);
/* The times of the sync points around `time`, NERV_TIME_NONE where there is none. */
void nerv_index_around(const NervIndex *index, uint64_t time, uint64_t *before, uint64_t *after);
/* What is added to a stream's own times at a place: the shift of the last part that begins there or before. */
int64_t nerv_index_shift(const NervIndex *index, uint64_t offset);
/* A time with a shift, held to 0..2^63-1. */
uint64_t nerv_index_shifted(uint64_t time, int64_t shift);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The walk reads 16 KiB windows. Sequence and frame units lie inside a window and are checked as a parser will check them; of a network only the
 * header is read, and the sync word behind it must be in place. A damaged network therefore stays in the index: who goes there finds the damage and
 * goes on at the next one.
 */
#include "codec/walk.h"

#define WINDOW_BYTES   ((size_t)16 * 1024)
#define MAX_READ_BYTES (UINT64_C(512) << 20)
#define SYNC_BYTES     4

typedef struct {
    NervReadFunc read;
    void *user;
    uint64_t bytes, total_read;
    uint8_t window[WINDOW_BYTES];
    uint64_t start; /* the window's offset */
    size_t size;    /* bytes in it */

    bool have_units, have_sequence, have_network; /* of an access unit being read */
    bool is_residual;                             /* the network of that */
    bool in_segment;                              /* `current` is the segment of frames now */
    uint64_t unit_offset, network_bytes;
    NervSequence next, current;
} Walk;

/* Points at the bytes at `pos`: at least `want`, at most WINDOW_BYTES, or all there are. */
static bool peek(Walk *w, uint64_t pos, size_t want, const uint8_t **data, size_t *size)
{
    want = (size_t)MIN(want, w->bytes - pos);
    if (pos < w->start || pos + want > w->start + w->size) {
        w->size = 0;
        w->start = pos;
        if (!w->read(w->user, pos, (size_t)MIN(WINDOW_BYTES, w->bytes - pos), w->window, &w->size))
            return false;
        w->total_read += w->size;
        if (w->size < want) /* the stream became shorter */
            w->bytes = pos + w->size;
    }
    *data = w->window + (pos - w->start);
    *size = w->size - (size_t)(pos - w->start);
    return true;
}

static void forget_unit(Walk *w)
{
    w->have_units = w->have_sequence = w->have_network = false;
}

static void see_frame(Walk *w, NervIndex *index, uint64_t pos, const NervUnit *unit)
{
    const bool begins = w->have_sequence && w->have_network;
    NervFrameHeader frame;
    uint64_t pts, duration;
    const NervIndexUnit au = { .offset = w->unit_offset,
                               .end = pos + unit->unit_bytes,
                               .is_sync = begins && !w->is_residual,
                               .network_bytes = begins ? w->network_bytes : 0,
                               .sequence = &w->current,
                               .frame = &frame };
    if (begins) {
        w->current = w->next;
        w->in_segment = true;
    }
    if (w->in_segment && nerv_frame_read(unit->payload, unit->payload_bytes, &frame, NULL) &&
        frame.segment_id == (w->current.segment_id & 0xff) && frame.index < w->current.n_frames)
        nerv_index_unit(index, &au, &pts, &duration, NULL);
    forget_unit(w);
}

/* A unit at `pos` begins an access unit unless it goes on with one. */
static void begin(Walk *w, uint64_t pos, bool anew)
{
    if (!w->have_units || anew)
        w->unit_offset = pos;
    w->have_units = true;
}

static bool is_network(uint32_t type)
{
    return type == NERV_UNIT_NETWORK || type == NERV_UNIT_RESIDUAL || type == NERV_UNIT_DELTA;
}

/* Without a sequence it is no part of an access unit. */
static void see_network(Walk *w, uint32_t type, uint64_t bytes)
{
    w->have_units = w->have_sequence;
    w->have_network = true;
    w->is_residual = type == NERV_UNIT_RESIDUAL;
    w->network_bytes = bytes;
}

/* A whole unit in the window. */
static void see_unit(Walk *w, NervIndex *index, uint64_t pos, const NervUnit *unit)
{
    begin(w, pos, unit->type == NERV_UNIT_SEQUENCE && w->have_sequence);
    if (unit->type == NERV_UNIT_SEQUENCE) {
        w->have_network = false;
        w->have_sequence = nerv_sequence_read(unit->payload, unit->payload_bytes, &w->next, NULL);
    } else if (is_network(unit->type)) {
        see_network(w, unit->type, unit->unit_bytes);
    } else if (unit->type == NERV_UNIT_FRAME) {
        see_frame(w, index, pos, unit);
    } else if (unit->type == NERV_UNIT_INDEX) { /* a file's end */
        forget_unit(w);
    }
}

/* The next sync word at or after *pos, or the end. */
static bool resync(Walk *w, uint64_t *pos)
{
    forget_unit(w);
    while (*pos < w->bytes) {
        const uint8_t *data;
        size_t size;
        if (!peek(w, *pos, SYNC_BYTES, &data, &size))
            return false;
        const size_t skip = nerv_unit_find_sync(data, size, 0);
        *pos += skip;
        if (skip + SYNC_BYTES <= size)
            return true;
        if (w->bytes - *pos < SYNC_BYTES)
            *pos = w->bytes;
    }
    return true;
}

/* A unit of `need` bytes that is larger than the window: jumped over if a unit stands behind it, or the end. *jumped: it was. */
static bool jump(Walk *w, uint64_t *pos, uint32_t type, size_t need, bool *jumped)
{
    const uint8_t *data;
    size_t size;
    *jumped = need == w->bytes - *pos;
    if (*jumped) {
        *pos = w->bytes;
        return true;
    }
    if (!peek(w, *pos + need, SYNC_BYTES, &data, &size))
        return false;
    *jumped = size >= SYNC_BYTES && nerv_unit_find_sync(data, SYNC_BYTES, 0) == 0;
    if (!*jumped)
        return true;
    begin(w, *pos, false);
    if (type == NERV_UNIT_INDEX)
        forget_unit(w);
    if (is_network(type))
        see_network(w, type, need);
    *pos += need;
    return true;
}

/* One unit, or a step towards the next sync word. */
static bool step(Walk *w, NervIndex *index, uint64_t *pos)
{
    const uint8_t *data;
    size_t size, need = 0;
    NervUnit unit;
    if (!peek(w, *pos, 16, &data, &size))
        return false;
    NervScan scan = nerv_unit_scan(data, size, &unit, &need);
    const uint32_t type = size > SYNC_BYTES ? data[SYNC_BYTES] : 0;
    if (scan == NERV_SCAN_MORE && need <= w->bytes - *pos) {
        if (need <= WINDOW_BYTES) {
            if (!peek(w, *pos, need, &data, &size))
                return false;
            scan = nerv_unit_scan(data, size, &unit, &need);
        } else {
            bool jumped;
            if (!jump(w, pos, type, need, &jumped))
                return false;
            if (jumped)
                return true;
        }
    }
    if (scan == NERV_SCAN_OK) {
        see_unit(w, index, *pos, &unit);
        *pos += unit.unit_bytes;
        return true;
    }
    *pos += 1;
    return resync(w, pos);
}

bool nerv_walk(NervIndex *index, uint64_t bytes, NervReadFunc read, void *user)
{
    g_autofree Walk *w = g_new0(Walk, 1);
    uint64_t pos = 0;
    bool ok = true;
    w->read = read;
    w->user = user;
    w->bytes = bytes;
    nerv_index_reset(index);
    while (ok && pos < w->bytes && w->total_read < MAX_READ_BYTES)
        ok = step(w, index, &pos);
    if (ok && pos >= w->bytes) {
        index->complete = true;
        index->bytes = bytes;
    }
    return ok;
}

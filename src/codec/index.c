/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Entries and parts, see index.h.
 */
#include "codec/index.h"

#include <string.h>

#define MAX_ENTRIES (1 << 20)
#define MAX_PARTS   (1 << 20)

/* How long a single frame lasts in a stream that does not say it. */
#define GUESSED_DURATION UINT64_C(40000000)

bool nerv_memory_read(void *user, uint64_t offset, size_t size, uint8_t *dst, size_t *got)
{
    const NervMemory *m = user;
    *got = offset < m->size ? (size_t)MIN(size, m->size - offset) : 0;
    if (*got > 0)
        memcpy(dst, m->data + offset, *got);
    return true;
}

void nerv_index_init(NervIndex *index)
{
    index->entries = g_array_new(FALSE, FALSE, sizeof(NervIndexEntry));
    index->parts = g_array_new(FALSE, FALSE, sizeof(NervIndexPart));
    nerv_index_reset(index);
}

void nerv_index_clear(NervIndex *index)
{
    g_clear_pointer(&index->entries, g_array_unref);
    g_clear_pointer(&index->parts, g_array_unref);
}

void nerv_index_reset(NervIndex *index)
{
    g_array_set_size(index->entries, 0);
    g_array_set_size(index->parts, 0);
    index->complete = false;
    index->bytes = 0;
    index->end = NERV_TIME_NONE;
    index->noted = 0;
    index->sequence.n_frames = 0;
    index->last_pts = 0;
    index->last_step = GUESSED_DURATION;
}

static NervIndexEntry *nth(const NervIndex *index, guint i)
{
    return &g_array_index(index->entries, NervIndexEntry, i);
}

bool nerv_index_add(NervIndex *index, uint64_t offset, uint64_t time)
{
    const NervIndexEntry entry = { offset, time };
    const guint n = index->entries->len;
    if (index->complete || n >= MAX_ENTRIES)
        return false;
    if (n > 0 && (nth(index, n - 1)->offset >= offset || nth(index, n - 1)->time >= time))
        return false;
    g_array_append_val(index->entries, entry);
    return true;
}

/* --- look-up --- */

/* The last entry whose field is <= value; -1 if there is none. */
static int find(const NervIndex *index, uint64_t value, bool by_time)
{
    int lo = 0, hi = (int)index->entries->len;
    while (lo < hi) {
        const int mid = (lo + hi) / 2;
        const NervIndexEntry *e = nth(index, (guint)mid);
        if ((by_time ? e->time : e->offset) <= value)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo - 1;
}

bool nerv_index_offset(const NervIndex *index, uint64_t time, uint64_t *offset)
{
    if (index->entries->len == 0)
        return false;
    *offset = nth(index, (guint)MAX(0, find(index, time, true)))->offset;
    return true;
}

bool nerv_index_time(const NervIndex *index, uint64_t offset, uint64_t *time)
{
    const int i = find(index, offset, false);
    if (index->entries->len == 0)
        return false;
    if (index->complete && offset >= index->bytes) {
        *time = index->end;
        return index->end != NERV_TIME_NONE;
    }
    if (i == (int)index->entries->len - 1 && !index->complete && offset > nth(index, (guint)i)->offset)
        return false;
    *time = nth(index, (guint)MAX(0, i))->time;
    return true;
}

void nerv_index_around(const NervIndex *index, uint64_t time, uint64_t *before, uint64_t *after)
{
    int i = find(index, time, true);
    const int n = (int)index->entries->len;
    *before = i >= 0 ? nth(index, (guint)i)->time : NERV_TIME_NONE;
    if (i < 0 || nth(index, (guint)i)->time < time)
        i++;
    *after = i < n ? nth(index, (guint)i)->time : NERV_TIME_NONE;
}

/* --- parts --- */

int64_t nerv_index_shift(const NervIndex *index, uint64_t offset)
{
    guint lo = 0, hi = index->parts->len;
    while (lo < hi) {
        const guint mid = (lo + hi) / 2;
        if (g_array_index(index->parts, NervIndexPart, mid).offset <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? g_array_index(index->parts, NervIndexPart, lo - 1).shift : 0;
}

/* Streams say any time below 2^63; many of them behind each other stop there. */
uint64_t nerv_index_shifted(uint64_t time, int64_t shift)
{
    if (shift < 0)
        return time > -(uint64_t)shift ? time - -(uint64_t)shift : 0;
    return MIN(time, (uint64_t)INT64_MAX - (uint64_t)shift) + (uint64_t)shift;
}

static bool is_same_segment(const NervIndex *index, const NervIndexUnit *unit)
{
    return nerv_sequence_same_segment(&index->sequence, unit->sequence) &&
           index->network_bytes == unit->network_bytes;
}

/* Whether another stream begins with this sync point, which would be shown at `pts`: neither its numbers nor its time go on from the last unit's. A
 * sync point may also come again within its segment (docs/bitstream.md, section "Access units"). */
static bool begins_part(const NervIndex *index, const NervIndexUnit *unit, uint64_t pts)
{
    const NervSequence *last = &index->sequence, *seq = unit->sequence;
    if (last->n_frames == 0)
        return false;
    if (is_same_segment(index, unit))
        return index->last_index + 1 == last->n_frames;
    return (int32_t)(seq->segment_id - last->segment_id) <= 0 ||
           seq->first_frame < last->first_frame + last->n_frames || pts <= index->last_pts;
}

static void begin_part(NervIndex *index, uint64_t offset, uint64_t own_pts)
{
    const uint64_t at = index->last_pts + index->last_step;
    const NervIndexPart part = { offset, (int64_t)MIN(at, (uint64_t)INT64_MAX) - (int64_t)own_pts };
    if (index->parts->len < MAX_PARTS)
        g_array_append_val(index->parts, part);
}

static void note_unit(NervIndex *index, const NervIndexUnit *unit, uint64_t pts, uint64_t duration)
{
    uint64_t end = pts;
    if (duration != NERV_TIME_NONE) {
        index->last_step = duration;
        end += duration;
    } else if (index->sequence.n_frames && pts > index->last_pts) {
        index->last_step = pts - index->last_pts;
    }
    if (index->end == NERV_TIME_NONE || end > index->end)
        index->end = end;

    index->noted = unit->end;
    index->last_pts = pts;
    index->last_index = unit->frame->index;
    index->sequence = *unit->sequence;
    if (unit->network_bytes)
        index->network_bytes = unit->network_bytes;
}

void nerv_index_unit(NervIndex *index, const NervIndexUnit *unit, uint64_t *pts, uint64_t *duration,
                     bool *added)
{
    const bool is_new = unit->end > index->noted;
    uint64_t own;
    nerv_frame_times(unit->sequence, unit->frame, &own, duration);
    /* by the last byte: where the first is, is not certain after damage */
    *pts = nerv_index_shifted(own, nerv_index_shift(index, unit->end - 1));
    if (is_new && unit->is_sync && begins_part(index, unit, *pts)) {
        begin_part(index, unit->offset, own);
        *pts = nerv_index_shifted(own, nerv_index_shift(index, unit->end - 1));
    }
    if (is_new)
        note_unit(index, unit, *pts, *duration);
    const bool is_added = is_new && unit->is_sync && nerv_index_add(index, unit->offset, *pts);
    if (added)
        *added = is_added;
}

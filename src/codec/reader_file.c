/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is where in a file. When it is opened segments are only counted, by the index and their headers: a group's units are read through when the first of its frames is asked
 * for. Then what a reader resynchronises past is left out (docs/bitstream.md, "Resynchronisation"), but a segment whose first access unit is damaged keeps what is
 * whole of it: its frames need nothing else.
 */
#include "codec/reader_internal.h"

#include <glib/gstdio.h>

#include "codec/trailer.h"
#include "codec/walk.h"

static NervReaderGroup *nth_group(const NervReaderFile *f, guint i)
{
    return &g_array_index(f->groups, NervReaderGroup, i);
}

static NervReaderPart *nth_part(const NervReaderGroup *g, guint i)
{
    return &g_array_index(g->parts, NervReaderPart, i);
}

/* --- a group's units --- */

static void part_clear(gpointer data)
{
    NervReaderPart *p = data;
    g_clear_pointer(&p->keyframes, g_array_unref);
    g_clear_pointer(&p->deltas, g_array_unref);
}

static void group_clear(gpointer data)
{
    NervReaderGroup *g = data;
    g_clear_pointer(&g->parts, g_array_unref);
}

/* Those that are the segment's and whole. */
static void take_keyframes(NervReaderPart *p, const NervAccessUnit *au)
{
    for (uint32_t i = 0; i < au->n_keyframes; i++) {
        NervKeyframeHeader k;
        if (!nerv_keyframe_header_read(au->keyframes[i].payload, au->keyframes[i].payload_bytes, &k, NULL) ||
            k.segment_id != (p->sequence.segment_id & 0xff))
            continue;
        if (!p->keyframes)
            p->keyframes = g_array_new(FALSE, FALSE, sizeof(NervUnit));
        g_array_append_val(p->keyframes, au->keyframes[i]);
    }
}

/* Whether a beginning is the present segment's, once more. */
static bool is_repeated(const NervReaderPart *p, const NervSequence *s, const NervUnit *network)
{
    return nerv_sequence_same_segment(&p->sequence, s) && p->last_index != s->n_frames - 1 &&
           (!p->network.type || !network->type || p->network.payload_bytes == network->payload_bytes);
}

/* The segment that units with such a beginning are of; au->network.type is 0 where that is lost. NULL: there is no such segment. */
static NervReaderPart *begin_part(NervReaderGroup *g, const NervAccessUnit *au, GError **error)
{
    NervReaderPart *last = g->parts->len ? nth_part(g, g->parts->len - 1) : NULL;
    NervReaderPart p = { .network = au->network, .base = -1, .last_index = UINT32_MAX };
    if (!nerv_sequence_read(au->sequence.payload, au->sequence.payload_bytes, &p.sequence, error))
        return NULL;
    if (last && is_repeated(last, &p.sequence, &au->network)) {
        if (!last->network.type)
            last->network = au->network;
        return last;
    }
    p.first = last ? last->first + last->sequence.n_frames : g->first;
    if (au->network.type == NERV_UNIT_RESIDUAL)
        p.base = (int32_t)g->parts->len - 1;
    g_array_append_val(g->parts, p);
    return nth_part(g, g->parts->len - 1);
}

static void take_frame(NervReaderPart *p, const NervUnit *unit)
{
    NervFrameHeader f;
    if (!nerv_frame_read(unit->payload, unit->payload_bytes, &f, NULL) ||
        f.segment_id != (p->sequence.segment_id & 0xff) || f.index >= p->sequence.n_frames)
        return;
    p->last_index = f.index;
    if (f.pts_delta_ns == 0)
        return;
    if (!p->deltas)
        p->deltas = g_array_new(FALSE, FALSE, sizeof(NervFrameHeader));
    g_array_append_val(p->deltas, f);
}

/* Units, or what was left of an access unit. */
static void take_units(NervReaderGroup *g, const NervAccessUnit *au, GError **error)
{
    NervReaderPart *p = g->parts->len ? nth_part(g, g->parts->len - 1) : NULL;
    if (au->sequence.type && !(p = begin_part(g, au, error)))
        return;
    if (!p)
        return;
    if (au->unknown_type && !p->unknown_type)
        p->unknown_type = au->unknown_type;
    take_keyframes(p, au);
    if (au->frame.type)
        take_frame(p, &au->frame);
}

static bool is_network(const NervUnit *unit)
{
    return unit->type == NERV_UNIT_NETWORK || unit->type == NERV_UNIT_RESIDUAL ||
           unit->type == NERV_UNIT_DELTA;
}

/* What is whole in front of the damage, where a segment begins; else nothing. */
static void salvage(const uint8_t *data, size_t size, NervAccessUnit *au)
{
    NervUnit unit;
    size_t need, at = 0;
    *au = (NervAccessUnit){ 0 };
    while (nerv_unit_scan(data + at, size - at, &unit, &need) == NERV_SCAN_OK &&
           unit.type != NERV_UNIT_FRAME) {
        if ((unit.type == NERV_UNIT_SEQUENCE && au->sequence.type) || (is_network(&unit) && au->network.type))
            break;
        if (unit.type == NERV_UNIT_SEQUENCE)
            au->sequence = unit;
        else if (is_network(&unit) && au->sequence.type)
            au->network = unit;
        else if (unit.type == NERV_UNIT_KEYFRAME && au->n_keyframes < NERV_ACCESS_UNIT_MAX_KEYFRAMES)
            au->keyframes[au->n_keyframes++] = unit;
        else if (unit.type < NERV_UNIT_SKIPPABLE && unit.type > NERV_UNIT_DELTA)
            au->unknown_type = unit.type;
        at += unit.unit_bytes;
    }
}

static int by_index(gconstpointer a, gconstpointer b)
{
    const NervFrameHeader *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* *error: why a segment's header was left out, if one was; the first one's. */
static void read_group(const NervReaderFile *f, NervReaderGroup *g, GError **error)
{
    g->parts = g_array_new(FALSE, FALSE, sizeof(NervReaderPart));
    g_array_set_clear_func(g->parts, part_clear);
    for (uint64_t at = g->offset; at < g->end;) {
        const uint8_t *data = f->data + at;
        const size_t size = (size_t)(g->end - at), index_bytes = nerv_trailer_bytes(data, size);
        GError *why = NULL;
        NervAccessUnit au;
        size_t need;
        if (index_bytes) {
            at += index_bytes;
            continue;
        }
        if (nerv_access_unit_scan(data, size, &au, &need) == NERV_SCAN_OK) {
            at += au.bytes;
        } else {
            salvage(data, size, &au);
            at += nerv_unit_find_sync(data, size, 1);
            if (!au.sequence.type)
                continue;
        }
        take_units(g, &au, &why);
        if (why && error && !*error)
            g_propagate_error(error, g_steal_pointer(&why));
        g_clear_error(&why);
    }
    for (guint i = 0; i < g->parts->len; i++)
        if (nth_part(g, i)->deltas)
            g_array_sort(nth_part(g, i)->deltas, by_index);
}

/* --- opening --- */

/* The sequence at a sync point; false if there is none. */
static bool read_head(const NervReaderFile *f, uint64_t at, NervSequence *s)
{
    NervUnit unit;
    size_t need;
    for (int i = 0; i < NERV_ACCESS_UNIT_MAX_UNITS && at < f->size; i++, at += unit.unit_bytes) {
        if (nerv_unit_scan(f->data + at, (size_t)(f->size - at), &unit, &need) != NERV_SCAN_OK)
            return false;
        if (unit.type == NERV_UNIT_SEQUENCE)
            return nerv_sequence_read(unit.payload, unit.payload_bytes, s, NULL);
        if (unit.type == NERV_UNIT_FRAME || unit.type == NERV_UNIT_INDEX || is_network(&unit))
            return false;
    }
    return false;
}

static void add_entry(NervReaderFile *f, uint64_t first, int64_t shift, const NervSequence *s)
{
    const NervReaderEntry e = { first, shift, *s };
    g_array_append_val(f->entries, e);
}

/* Counts a group of one segment, `s`, or with NULL reads it through. One without segments is none. */
static void add_group(NervReaderFile *f, NervReaderGroup *g, const NervSequence *s, GError **error)
{
    g->first = f->n_frames;
    if (s) {
        g->n_frames = s->n_frames;
        add_entry(f, g->first, g->shift, s);
    } else {
        read_group(f, g, error);
        for (guint i = 0; i < g->parts->len; i++) {
            const NervReaderPart *p = nth_part(g, i);
            add_entry(f, p->first, g->shift, &p->sequence);
            g->n_frames += p->sequence.n_frames;
        }
    }
    if (g->n_frames > 0)
        g_array_append_val(f->groups, *g);
    else
        group_clear(g);
    f->n_frames += g->n_frames;
}

static bool begins_stream(const NervIndex *index, uint64_t offset)
{
    const guint n = index->parts->len;
    guint lo = 0, hi = n;
    while (lo < hi) {
        const guint mid = (lo + hi) / 2;
        if (g_array_index(index->parts, NervIndexPart, mid).offset < offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && g_array_index(index->parts, NervIndexPart, lo).offset == offset;
}

/* A sync point with its header. */
typedef struct {
    uint64_t offset;
    NervSequence sequence;
} Point;

/* Those of the index, less those that only repeat a segment's beginning. One that is not there is left out; if the index is the file's own, all are: NULL. */
static GArray *read_points(const NervReaderFile *f, const NervIndex *index, bool from_file)
{
    GArray *points = g_array_new(FALSE, FALSE, sizeof(Point));
    for (guint i = 0; i < index->entries->len; i++) {
        const NervIndexEntry *e = &g_array_index(index->entries, NervIndexEntry, i);
        const uint64_t own = e->time - (uint64_t)nerv_index_shift(index, e->offset);
        Point p = { .offset = e->offset };
        const bool is_there = read_head(f, e->offset, &p.sequence);
        if (from_file && (!is_there || (uint64_t)nerv_sequence_pts(&p.sequence, 0) != own)) {
            g_array_unref(points);
            return NULL;
        }
        if (!is_there)
            continue;
        const Point *last = points->len ? &g_array_index(points, Point, points->len - 1) : NULL;
        if (!last || begins_stream(index, p.offset) ||
            !nerv_sequence_same_segment(&last->sequence, &p.sequence))
            g_array_append_val(points, p);
    }
    return points;
}

/* Whether nothing can lie between two sync points but the first one's segment. */
static bool follows(const NervIndex *index, const Point *p, const Point *next)
{
    return !begins_stream(index, next->offset) && next->sequence.segment_id == p->sequence.segment_id + 1 &&
           next->sequence.first_frame == p->sequence.first_frame + p->sequence.n_frames;
}

static bool read_groups(NervReaderFile *f, const NervIndex *index, bool from_file, GError **error)
{
    g_autoptr(GArray) points = read_points(f, index, from_file);
    if (!points)
        return false;
    const uint64_t first = points->len ? g_array_index(points, Point, 0).offset : f->size;
    if (first > 0) { /* damage that the walk found nothing in */
        NervReaderGroup g = { .end = first };
        add_group(f, &g, NULL, error);
    }
    for (guint i = 0; i < points->len; i++) {
        const Point *p = &g_array_index(points, Point, i), *next = i + 1 < points->len ? p + 1 : NULL;
        NervReaderGroup g = { .offset = p->offset,
                              .end = next ? next->offset : f->size,
                              .shift = nerv_index_shift(index, p->offset) };
        add_group(f, &g, next && follows(index, p, next) ? &p->sequence : NULL, error);
    }
    return true;
}

static void read_file(NervReaderFile *f, GError **error)
{
    NervMemory memory = { f->data, f->size };
    NervIndex index;
    nerv_index_init(&index);
    nerv_trailer_read(&index, f->size, nerv_memory_read, &memory, &f->has_index);
    if (!f->has_index || !read_groups(f, &index, true, error)) {
        f->has_index = false;
        nerv_walk(&index, f->size, nerv_memory_read, &memory);
        read_groups(f, &index, false, error);
    }
    nerv_index_clear(&index);
}

/* What can be mapped, if it is there: a directory's or a pipe's error would be mmap()'s, or an endless wait for a writer. */
static bool is_file(const char *path, GError **error)
{
    GStatBuf status;
    if (g_stat(path, &status) != 0 || S_ISREG(status.st_mode))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s is %s", path,
                S_ISDIR(status.st_mode) ? "a directory" : "no regular file");
    return false;
}

static bool open_bytes(NervReaderFile *f, const char *path, GBytes *bytes, GError **error)
{
    GError *why = NULL;
    if (path && !is_file(path, error))
        return false;
    if (!path) {
        f->bytes = g_bytes_ref(bytes);
    } else if ((f->map = g_mapped_file_new(path, FALSE, &why))) {
        f->bytes = g_mapped_file_get_bytes(f->map);
    } else {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s", why->message);
        g_error_free(why);
        return false;
    }
    gsize size;
    f->data = g_bytes_get_data(f->bytes, &size);
    f->size = size;
    return true;
}

bool nerv_reader_file_open(NervReaderFile *f, const char *path, GBytes *bytes, GError **error)
{
    GError *why = NULL;
    *f = (NervReaderFile){ .groups = g_array_new(FALSE, FALSE, sizeof(NervReaderGroup)),
                           .entries = g_array_new(FALSE, FALSE, sizeof(NervReaderEntry)) };
    g_array_set_clear_func(f->groups, group_clear);
    if (!open_bytes(f, path, bytes, error))
        return false;
    if (f->size > 0)
        read_file(f, &why);
    if (f->n_frames == 0 && why) {
        g_propagate_error(error, why);
        return false;
    }
    g_clear_error(&why);
    if (f->n_frames == 0)
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "there is no segment of neural video in it");
    return f->n_frames > 0;
}

void nerv_reader_file_clear(NervReaderFile *f)
{
    g_clear_pointer(&f->groups, g_array_unref);
    g_clear_pointer(&f->entries, g_array_unref);
    g_clear_pointer(&f->bytes, g_bytes_unref);
    g_clear_pointer(&f->map, g_mapped_file_unref);
}

/* --- look-up --- */

const NervReaderGroup *nerv_reader_file_group(NervReaderFile *f, uint64_t frame)
{
    guint lo = 0, hi = f->groups->len; /* the group is one of lo..hi-1 */
    while (hi - lo > 1) {
        const guint mid = (lo + hi) / 2;
        if (nth_group(f, mid)->first <= frame)
            lo = mid;
        else
            hi = mid;
    }
    NervReaderGroup *g = nth_group(f, lo);
    if (!g->parts)
        read_group(f, g, NULL);
    return g;
}

int32_t nerv_reader_file_part(const NervReaderGroup *g, uint64_t frame, uint32_t *index)
{
    guint lo = 0, hi = g->parts->len;
    while (lo < hi) {
        const guint mid = (lo + hi) / 2;
        const NervReaderPart *p = nth_part(g, mid);
        *index = (uint32_t)(frame - p->first);
        if (frame < p->first)
            hi = mid;
        else if (frame - p->first >= p->sequence.n_frames)
            lo = mid + 1;
        else
            return (int32_t)mid;
    }
    return -1;
}

int64_t nerv_reader_file_time(const NervReaderGroup *g, uint32_t part, uint32_t index)
{
    const NervReaderPart *p = nth_part(g, part);
    NervFrameHeader f = { .index = index };
    uint64_t pts, duration;
    guint lo = 0, hi = p->deltas ? p->deltas->len : 0;
    while (lo < hi) {
        const guint mid = (lo + hi) / 2;
        const NervFrameHeader *d = &g_array_index(p->deltas, NervFrameHeader, mid);
        if (d->index == index)
            f.pts_delta_ns = d->pts_delta_ns;
        if (d->index >= index)
            hi = mid;
        else
            lo = mid + 1;
    }
    nerv_frame_times(&p->sequence, &f, &pts, &duration);
    return (int64_t)nerv_index_shifted(pts, g->shift);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See trailer.h. A file that was put together out of several has an index unit behind each: they are read from the end, each one says how many bytes
 * before it are its own. Their times follow each other as the index has it for parts.
 */
#include "codec/trailer.h"

#define LAYOUT         0 /* of the payload */
#define SIZE_BYTES     4 /* the payload's last field: the unit's size */
#define CRC_BYTES      4
#define MAX_UNIT_BYTES (16 << 20)
#define MAX_FILES      4096              /* put behind each other */
#define CHECKED        16                /* entries that are looked at in the file */
#define HEAD_BYTES     256               /* in which a sync point's sequence unit lies, tags apart */
#define MAX_HEAD_BYTES ((size_t)1 << 20) /* the same with tags */

/* --- writing --- */

/* Offsets and times as differences, so that most take three bytes. A part begins at an entry; its shift is the difference of what is shown and what its
 * stream says. */
GBytes *nerv_trailer_write(const NervIndex *index)
{
    NervBitWriter w;
    NervIndexEntry entry = { 0, 0 };
    NervIndexPart part = { 0, 0 };
    nerv_writer_init(&w);
    nerv_write_varint(&w, LAYOUT);
    nerv_write_varint(&w, index->noted);
    nerv_write_varint(&w, index->end != NERV_TIME_NONE ? index->end + 1 : 0);
    nerv_write_varint(&w, MIN(index->last_pts + index->last_step, (uint64_t)INT64_MAX));
    nerv_write_varint(&w, index->entries->len);
    for (guint i = 0; i < index->entries->len; i++) {
        const NervIndexEntry *e = &g_array_index(index->entries, NervIndexEntry, i);
        nerv_write_varint(&w, e->offset - entry.offset);
        nerv_write_varint(&w, e->time - entry.time);
        entry = *e;
    }
    nerv_write_varint(&w, index->parts->len);
    for (guint i = 0; i < index->parts->len; i++) {
        const NervIndexPart *p = &g_array_index(index->parts, NervIndexPart, i);
        nerv_write_varint(&w, p->offset - part.offset);
        nerv_write_svarint(&w, p->shift - part.shift);
        part = *p;
    }
    const size_t size = nerv_unit_bytes(w.bytes->len + SIZE_BYTES);
    GByteArray *unit = g_byte_array_new();
    if (size <= MAX_UNIT_BYTES) {
        nerv_write_u32(&w, (uint32_t)size);
        nerv_unit_write(unit, NERV_UNIT_INDEX, w.bytes->data, w.bytes->len);
    }
    nerv_writer_clear(&w);
    if (unit->len == 0) {
        g_byte_array_unref(unit);
        return NULL;
    }
    return g_byte_array_free_to_bytes(unit);
}

/* --- reading a unit --- */

/* One index unit, of the bytes [start, start + bytes) of the file. */
typedef struct {
    uint64_t start, bytes;
    uint64_t end, next; /* of its last frame, and where another file would go on */
    GArray *entries;    /* of its own time and bytes, both from 0 */
    GArray *parts;
} Table;

/* Where index units are read from. */
typedef struct {
    NervReadFunc read;
    void *user;
    uint64_t bytes;
    bool failed; /* the callback */
} Source;

static void table_free(Table *t)
{
    if (!t)
        return;
    g_array_unref(t->entries);
    g_array_unref(t->parts);
    g_free(t);
}

/* Entries with both fields ascending, inside the stream. */
static bool read_entries(Table *t, NervBitReader *r)
{
    NervIndexEntry e = { 0, 0 };
    const uint64_t n = nerv_read_range(r, 1, nerv_reader_left(r) / 2 + 1);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        const uint64_t bytes = nerv_read_varint(r), time = nerv_read_varint(r);
        if (bytes >= t->bytes - e.offset || time > (uint64_t)INT64_MAX - e.time ||
            (i > 0 && (bytes == 0 || time == 0)))
            return false;
        e.offset += bytes;
        e.time += time;
        g_array_append_val(t->entries, e);
    }
    return !r->failed;
}

static bool read_parts(Table *t, NervBitReader *r)
{
    NervIndexPart p = { 0, 0 };
    const uint64_t n = nerv_read_range(r, 0, nerv_reader_left(r) / 2);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        const uint64_t bytes = nerv_read_varint(r);
        const int64_t shift = nerv_read_svarint(r);
        if (bytes >= t->bytes - p.offset || (i > 0 && bytes == 0) ||
            (shift > 0 ? p.shift > INT64_MAX - shift : p.shift < INT64_MIN / 2 - shift))
            return false;
        p.offset += bytes;
        p.shift += shift;
        g_array_append_val(t->parts, p);
    }
    return !r->failed;
}

static Table *parse_table(const NervUnit *unit)
{
    Table *t = g_new0(Table, 1);
    NervBitReader r;
    t->entries = g_array_new(FALSE, FALSE, sizeof(NervIndexEntry));
    t->parts = g_array_new(FALSE, FALSE, sizeof(NervIndexPart));
    nerv_reader_init(&r, unit->payload, unit->payload_bytes - SIZE_BYTES);
    nerv_read_range(&r, LAYOUT, LAYOUT);
    t->bytes = nerv_read_range(&r, 1, INT64_MAX);
    const uint64_t end = nerv_read_range(&r, 0, (uint64_t)INT64_MAX + 1);
    t->end = end ? end - 1 : NERV_TIME_NONE;
    t->next = nerv_read_range(&r, 0, INT64_MAX);
    if (r.failed || !read_entries(t, &r) || !read_parts(t, &r) || nerv_reader_left(&r) > 0)
        g_clear_pointer(&t, table_free);
    return t;
}

/* Bytes [offset, offset + size) of the file; g_free(). NULL if they are not all there. */
static uint8_t *read_bytes(Source *s, uint64_t offset, size_t size)
{
    uint8_t *data = g_try_malloc(size);
    size_t got = 0;
    if (data && !s->read(s->user, offset, size, data, &got))
        s->failed = true;
    if (got < size)
        g_clear_pointer(&data, g_free);
    return data;
}

/* The index unit that ends at `end`. */
static Table *read_table(Source *s, uint64_t end)
{
    Table *table = NULL;
    NervUnit unit;
    size_t need;
    if (end < NERV_UNIT_MIN_BYTES)
        return NULL;
    g_autofree uint8_t *tail = read_bytes(s, end - SIZE_BYTES - CRC_BYTES, SIZE_BYTES);
    if (!tail)
        return NULL;
    const uint32_t size =
        (uint32_t)tail[0] | (uint32_t)tail[1] << 8 | (uint32_t)tail[2] << 16 | (uint32_t)tail[3] << 24;
    if (size < NERV_UNIT_MIN_BYTES + SIZE_BYTES || size > MAX_UNIT_BYTES || size >= end)
        return NULL;
    g_autofree uint8_t *data = read_bytes(s, end - size, size);
    if (!data)
        return NULL;
    if (nerv_unit_scan(data, size, &unit, &need) == NERV_SCAN_OK && unit.type == NERV_UNIT_INDEX &&
        unit.unit_bytes == size)
        table = parse_table(&unit);
    if (table && table->bytes > end - size)
        g_clear_pointer(&table, table_free);
    if (table)
        table->start = end - size - table->bytes;
    return table;
}

/* All of the file's, the last one first; NULL if some bytes belong to none. */
static GPtrArray *read_tables(Source *s)
{
    GPtrArray *tables = g_ptr_array_new_with_free_func((GDestroyNotify)table_free);
    for (uint64_t end = s->bytes; end > 0;) {
        Table *t = tables->len < MAX_FILES ? read_table(s, end) : NULL;
        if (!t) {
            g_ptr_array_unref(tables);
            return NULL;
        }
        g_ptr_array_add(tables, t);
        end = t->start;
    }
    return tables;
}

/* --- comparing with what is there --- */

/* Whether a segment begins there, and at that time on its own time line. */
static bool is_sync_point(Source *s, uint64_t offset, uint64_t own)
{
    const size_t size = (size_t)MIN(MAX_HEAD_BYTES, s->bytes - offset);
    size_t have = HEAD_BYTES;
    bool found = false, more = true;
    /* a unit of tags may be in front of the sequence */
    while (!found && more) {
        NervSequence seq;
        NervUnit unit;
        size_t need, at = 0;
        have = MIN(have, size);
        g_autofree uint8_t *data = read_bytes(s, offset, have);
        if (!data)
            return false;
        while (nerv_unit_scan(data + at, have - at, &unit, &need) == NERV_SCAN_OK &&
               unit.type >= NERV_UNIT_SKIPPABLE)
            at += unit.unit_bytes;
        const NervScan scan = nerv_unit_scan(data + at, have - at, &unit, &need);
        found = scan == NERV_SCAN_OK && unit.type == NERV_UNIT_SEQUENCE &&
                nerv_sequence_read(unit.payload, unit.payload_bytes, &seq, NULL) &&
                (uint64_t)nerv_sequence_pts(&seq, 0) == own;
        more = have < size && scan == NERV_SCAN_MORE;
        have *= 16;
    }
    return found;
}

static int64_t shift_of(const Table *t, uint64_t offset)
{
    int64_t shift = 0;
    for (guint i = 0; i < t->parts->len; i++) {
        const NervIndexPart *p = &g_array_index(t->parts, NervIndexPart, i);
        if (p->offset > offset)
            break;
        shift = p->shift;
    }
    return shift;
}

/* The first and the last entry, and some between. */
static bool is_true(Source *s, const Table *t)
{
    const guint n = t->entries->len, n_checked = MIN(n, CHECKED);
    for (guint i = 0; i < n_checked; i++) {
        const guint at = n_checked < 2 ? 0 : (guint)((uint64_t)i * (n - 1) / (n_checked - 1));
        const NervIndexEntry *e = &g_array_index(t->entries, NervIndexEntry, at);
        if (!is_sync_point(s, t->start + e->offset, e->time - (uint64_t)shift_of(t, e->offset)))
            return false;
    }
    return true;
}

/* --- the whole file --- */

/* Behind what is there: the first file's times are its own, another's follow. */
static bool append_table(NervIndex *index, const Table *t, const Table *before)
{
    const NervIndexEntry *first = &g_array_index(t->entries, NervIndexEntry, 0);
    int64_t shift = 0;
    if (before) {
        shift = (int64_t)index->last_pts - (int64_t)first->time;
        const NervIndexPart part = { t->start + first->offset, shift + shift_of(t, first->offset) };
        g_array_append_val(index->parts, part);
    }
    for (guint i = 0; i < t->parts->len; i++) {
        NervIndexPart p = g_array_index(t->parts, NervIndexPart, i);
        p.offset += t->start;
        p.shift += shift;
        if (!before || p.offset > t->start + first->offset)
            g_array_append_val(index->parts, p);
    }
    for (guint i = 0; i < t->entries->len; i++) {
        const NervIndexEntry *e = &g_array_index(t->entries, NervIndexEntry, i);
        if (!nerv_index_add(index, t->start + e->offset, e->time + (uint64_t)shift))
            return false;
    }
    index->end = t->end != NERV_TIME_NONE ? t->end + (uint64_t)shift : NERV_TIME_NONE;
    index->last_pts = t->next + (uint64_t)shift; /* until all are there */
    return true;
}

bool nerv_trailer_read(NervIndex *index, uint64_t bytes, NervReadFunc read, void *user, bool *found)
{
    Source s = { read, user, bytes, false };
    nerv_index_reset(index);
    GPtrArray *tables = read_tables(&s);
    bool ok = tables != NULL;
    for (guint i = ok ? tables->len : 0; ok && i-- > 0;) {
        const Table *t = g_ptr_array_index(tables, i);
        ok = is_true(&s, t) &&
             append_table(index, t, i + 1 < tables->len ? g_ptr_array_index(tables, i + 1) : NULL);
    }
    g_clear_pointer(&tables, g_ptr_array_unref);
    if (ok) {
        index->complete = true;
        index->bytes = index->noted = bytes;
    } else {
        nerv_index_reset(index);
    }
    *found = ok;
    return !s.failed;
}

size_t nerv_trailer_bytes(const uint8_t *data, size_t size)
{
    NervUnit unit;
    size_t need, at = 0;
    while (at < size && nerv_unit_scan(data + at, size - at, &unit, &need) == NERV_SCAN_OK &&
           unit.type == NERV_UNIT_INDEX)
        at += unit.unit_bytes;
    return at;
}

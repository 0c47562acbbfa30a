/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Framing and headers of the stream, see units.h and docs/bitstream.md, sections "Units", "Access units",
 * "Sequence unit", "Frame unit" and "Keyframe unit". Nothing here allocates by a size read from the stream.
 */
#include "codec/units.h"

#include <string.h>

static const uint8_t SYNC[4] = { 'N', 0xE5, 'V', 0x9C };

/* --- checks --- */

/* Slicing by eight: table[k][b] is the CRC of byte b followed by k zero bytes. */
static const uint32_t (*crc32_tables(void))[256]
{
    static uint32_t table[8][256];
    static gsize ready;
    if (g_once_init_enter(&ready)) {
        for (uint32_t b = 0; b < 256; b++) {
            uint32_t c = b;
            for (int i = 0; i < 8; i++)
                c = (c >> 1) ^ (c & 1 ? 0xEDB88320u : 0);
            table[0][b] = c;
        }
        for (int k = 1; k < 8; k++)
            for (uint32_t b = 0; b < 256; b++)
                table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xff];
        g_once_init_leave(&ready, 1);
    }
    return (const uint32_t(*)[256])table;
}

/* Goes on from the CRC `c` of what comes before, 0 for nothing. */
static uint32_t crc32_more(uint32_t c, const uint8_t *p, size_t n)
{
    const uint32_t(*t)[256] = crc32_tables();
    c = ~c;
    for (; n >= 8; n -= 8, p += 8) {
        c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        c = t[7][c & 0xff] ^ t[6][c >> 8 & 0xff] ^ t[5][c >> 16 & 0xff] ^ t[4][c >> 24] ^ t[3][p[4]] ^
            t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
    }
    for (; n > 0; n--, p++)
        c = (c >> 8) ^ t[0][(c ^ *p) & 0xff];
    return ~c;
}

static uint32_t crc32(const uint8_t *p, size_t n)
{
    return crc32_more(0, p, n);
}

/* Polynomial x^8+x^2+x+1, most significant bit first, starting from all ones. */
static uint8_t crc8(const uint8_t *p, size_t n)
{
    uint32_t c = 0xff;
    for (; n > 0; n--, p++) {
        c ^= *p;
        for (int i = 0; i < 8; i++)
            c = (c << 1) ^ (c & 0x80 ? 0x107 : 0);
    }
    return (uint8_t)c;
}

/* --- units --- */

/* Writes type, size and checks; returns how many bytes (3..7). */
static size_t put_header(uint8_t h[7], uint32_t type, uint32_t size)
{
    unsigned n = 0;
    while (size >> (6 + 8 * n))
        n++;
    h[0] = (uint8_t)type;
    h[1] = (uint8_t)(n << 6 | (size & 0x3f));
    h[2] = crc8(h, 2);
    if (n == 0)
        return 3;
    for (unsigned i = 0; i < n; i++)
        h[3 + i] = (uint8_t)(size >> (6 + 8 * i));
    h[3 + n] = crc8(h, 3 + n);
    return 4 + n;
}

/* Reads a header of which all 7 bytes may be read. Returns its length, or 0 if it is damaged. */
static size_t get_header(const uint8_t h[7], uint32_t *type, uint32_t *size)
{
    const unsigned n = h[1] >> 6;
    if (h[2] != crc8(h, 2) || h[0] == 0 || h[0] > 127)
        return 0;
    *type = h[0];
    *size = h[1] & 0x3f;
    if (n == 0)
        return 3;
    for (unsigned i = 0; i < n; i++)
        *size |= (uint32_t)h[3 + i] << (6 + 8 * i);
    if (h[3 + n] != crc8(h, 3 + n) || h[2 + n] == 0 || *size > NERV_UNIT_MAX_PAYLOAD)
        return 0;
    return 4 + n;
}

size_t nerv_unit_bytes(size_t payload_bytes)
{
    uint8_t header[7];
    return sizeof SYNC + put_header(header, NERV_UNIT_NETWORK, (uint32_t)payload_bytes) + payload_bytes +
           sizeof(uint32_t);
}

uint32_t nerv_unit_crc(NervUnitType type, const void *payload, size_t payload_bytes)
{
    uint8_t header[7];
    const size_t header_bytes = put_header(header, type, (uint32_t)payload_bytes);
    return crc32_more(crc32(header, header_bytes), payload, payload_bytes);
}

void nerv_unit_write(GByteArray *out, NervUnitType type, const void *payload, size_t payload_bytes)
{
    uint8_t header[7];
    const size_t header_bytes = put_header(header, type, (uint32_t)payload_bytes);
    g_byte_array_append(out, SYNC, sizeof SYNC);
    const guint start = out->len;
    g_byte_array_append(out, header, (guint)header_bytes);
    if (payload_bytes > 0)
        g_byte_array_append(out, payload, (guint)payload_bytes);
    const uint32_t crc = crc32(out->data + start, out->len - start);
    const uint8_t b[4] = { (uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24) };
    g_byte_array_append(out, b, sizeof b);
}

NervScan nerv_unit_scan(const uint8_t *data, size_t size, NervUnit *unit, size_t *need)
{
    *unit = (NervUnit){ 0 };
    *need = 0;
    if (size > 0 && memcmp(data, SYNC, MIN(size, sizeof SYNC)) != 0)
        return NERV_SCAN_DAMAGED;
    if (size < NERV_UNIT_MIN_BYTES) {
        /* What is there of the header may already be wrong. */
        if (size >= 7 && data[6] != crc8(data + 4, 2))
            return NERV_SCAN_DAMAGED;
        *need = NERV_UNIT_MIN_BYTES;
        return NERV_SCAN_MORE;
    }
    uint32_t type, payload_bytes;
    const size_t header_bytes = get_header(data + 4, &type, &payload_bytes);
    if (header_bytes == 0)
        return NERV_SCAN_DAMAGED;
    const size_t covered = header_bytes + payload_bytes, total = 4 + covered + 4;
    if (size < total) {
        *need = total;
        return NERV_SCAN_MORE;
    }
    const uint8_t *c = data + 4 + covered;
    const uint32_t crc = (uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 | (uint32_t)c[3] << 24;
    if (crc32(data + 4, covered) != crc)
        return NERV_SCAN_DAMAGED;
    *unit = (NervUnit){ type, data + 4 + header_bytes, payload_bytes, total, crc };
    return NERV_SCAN_OK;
}

size_t nerv_unit_find_sync(const uint8_t *data, size_t size, size_t from)
{
    while (from < size) {
        const uint8_t *p = memchr(data + from, SYNC[0], size - from);
        if (!p)
            return size;
        from = (size_t)(p - data);
        if (memcmp(p, SYNC, MIN(size - from, sizeof SYNC)) == 0)
            return from;
        from++;
    }
    return size;
}

/* Takes a unit before the frame unit into its access unit; false if it must not be there. */
static bool take_unit(NervAccessUnit *au, const NervUnit *unit)
{
    switch (unit->type) {
    case NERV_UNIT_SEQUENCE:
        if (au->sequence.type || au->network.type)
            return false;
        au->sequence = *unit;
        return true;
    case NERV_UNIT_NETWORK:
    case NERV_UNIT_RESIDUAL:
    case NERV_UNIT_DELTA:
        if (!au->sequence.type || au->network.type)
            return false;
        au->network = *unit;
        return true;
    case NERV_UNIT_KEYFRAME:
        if (au->n_keyframes == NERV_ACCESS_UNIT_MAX_KEYFRAMES)
            return false;
        au->keyframes[au->n_keyframes++] = *unit;
        return true;
    default:
        if (unit->type < NERV_UNIT_SKIPPABLE && !au->unknown_type)
            au->unknown_type = unit->type;
        return true;
    }
}

/* Bytes of a unit that is whole but for its payload, if it is a keyframe, which a frame can do without; else 0. */
static size_t damaged_keyframe(const uint8_t *data, size_t size)
{
    uint32_t type, payload_bytes;
    if (size < NERV_UNIT_MIN_BYTES || memcmp(data, SYNC, sizeof SYNC) != 0)
        return 0;
    const size_t header_bytes = get_header(data + sizeof SYNC, &type, &payload_bytes);
    const size_t total = sizeof SYNC + header_bytes + payload_bytes + sizeof(uint32_t);
    return header_bytes && type == NERV_UNIT_KEYFRAME && total <= size ? total : 0;
}

NervScan nerv_access_unit_scan(const uint8_t *data, size_t size, NervAccessUnit *au, size_t *need)
{
    *au = (NervAccessUnit){ 0 };
    *need = 0;
    size_t pos = 0;
    for (int n = 0; n < NERV_ACCESS_UNIT_MAX_UNITS; n++) {
        NervUnit unit;
        size_t unit_need;
        const NervScan scan = nerv_unit_scan(data + pos, size - pos, &unit, &unit_need);
        const size_t lost = scan == NERV_SCAN_DAMAGED ? damaged_keyframe(data + pos, size - pos) : 0;
        if (lost && pos + lost <= NERV_ACCESS_UNIT_MAX_BYTES) {
            pos += lost;
            continue;
        }
        if (scan == NERV_SCAN_DAMAGED ||
            pos + (scan == NERV_SCAN_MORE ? unit_need : unit.unit_bytes) > NERV_ACCESS_UNIT_MAX_BYTES)
            return NERV_SCAN_DAMAGED;
        if (scan == NERV_SCAN_MORE) {
            *need = pos + unit_need;
            return scan;
        }
        pos += unit.unit_bytes;
        if (unit.type == NERV_UNIT_FRAME) {
            if (au->sequence.type && !au->network.type)
                return NERV_SCAN_DAMAGED;
            au->frame = unit;
            au->begins = au->sequence.type != 0;
            au->is_sync = au->begins && au->network.type != NERV_UNIT_RESIDUAL;
            au->bytes = pos;
            return NERV_SCAN_OK;
        }
        if (!take_unit(au, &unit))
            return NERV_SCAN_DAMAGED;
    }
    return NERV_SCAN_DAMAGED;
}

/* --- headers --- */

#define MAX_INT31      UINT64_C(0x7fffffff)
#define MAX_FRAMES     65536
#define MAX_PTS        (INT64_C(1) << 62)
#define MAX_DELTA      (INT64_C(1) << 60)
#define MAX_FRAME_SECS 32768 /* 65536 such frames last less than 2^61 ns: sums of times fit in 64 bits */

enum {
    FLAG_FULL_RANGE = 1,
    FLAG_H_COSITED = 2,
    FLAG_V_COSITED = 4,
    FLAGS_KNOWN = 7,
};

void nerv_sequence_write(const NervSequence *s, NervBitWriter *w)
{
    nerv_write_varint(w, s->version);
    nerv_write_varint(w, s->profile);
    nerv_write_varint(w, s->segment_id);
    nerv_write_varint(w, s->first_frame);
    nerv_write_varint(w, s->n_frames);
    nerv_write_varint(w, s->width);
    nerv_write_varint(w, s->height);
    nerv_write_varint(w, s->fps_n);
    nerv_write_varint(w, s->fps_d);
    nerv_write_varint(w, s->par_n);
    nerv_write_varint(w, s->par_d);
    nerv_write_u8(w, (uint8_t)s->matrix);
    nerv_write_u8(w, (uint8_t)s->primaries);
    nerv_write_u8(w, (uint8_t)s->transfer);
    nerv_write_u8(w, (uint8_t)((s->full_range ? FLAG_FULL_RANGE : 0) | (s->h_cosited ? FLAG_H_COSITED : 0) |
                               (s->v_cosited ? FLAG_V_COSITED : 0)));
    nerv_write_varint(w, s->format);
    nerv_write_svarint(w, s->pts_ns);
    nerv_write_varint(w, 0); /* no extension */
}

static bool within(int64_t v, int64_t bound)
{
    return v >= -bound && v <= bound;
}

bool nerv_sequence_read(const uint8_t *payload, size_t bytes, NervSequence *s, GError **error)
{
    NervBitReader r;
    nerv_reader_init(&r, payload, bytes);
    *s = (NervSequence){ 0 };
    s->version = (uint32_t)nerv_read_range(&r, 1, UINT32_MAX);
    if (!r.failed && s->version != NERV_STREAM_VERSION) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "stream version %u, this decoder knows %d",
                    s->version, NERV_STREAM_VERSION);
        return false;
    }
    s->profile = (uint32_t)nerv_read_range(&r, 0, UINT32_MAX);
    if (!r.failed && s->profile != 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "stream profile %u, this decoder knows 0 (main)", s->profile);
        return false;
    }
    s->segment_id = (uint32_t)nerv_read_range(&r, 0, UINT32_MAX);
    s->first_frame = nerv_read_range(&r, 0, UINT64_C(1) << 62);
    s->n_frames = (uint32_t)nerv_read_range(&r, 1, MAX_FRAMES);
    s->width = (uint32_t)nerv_read_range(&r, 16, 8192);
    s->height = (uint32_t)nerv_read_range(&r, 16, 8192);
    s->fps_n = (uint32_t)nerv_read_range(&r, 0, MAX_INT31);
    s->fps_d = (uint32_t)nerv_read_range(&r, 1, MAX_INT31);
    s->par_n = (uint32_t)nerv_read_range(&r, 1, MAX_INT31);
    s->par_d = (uint32_t)nerv_read_range(&r, 1, MAX_INT31);
    s->matrix = nerv_read_u8(&r);
    s->primaries = nerv_read_u8(&r);
    s->transfer = nerv_read_u8(&r);
    const uint32_t flags = nerv_read_u8(&r);
    s->full_range = !!(flags & FLAG_FULL_RANGE);
    s->h_cosited = !!(flags & FLAG_H_COSITED);
    s->v_cosited = !!(flags & FLAG_V_COSITED);
    s->format = (uint32_t)nerv_read_range(&r, 0, NERV_PIXELS_N - 1);
    s->pts_ns = nerv_read_svarint(&r);
    nerv_read_bytes(&r, nerv_read_range(&r, 0, bytes)); /* extension */

    const bool rate_ok = s->fps_n ? s->fps_d <= (uint64_t)s->fps_n * MAX_FRAME_SECS : s->fps_d == 1;
    if (r.failed || nerv_reader_left(&r) != 0 || (flags & ~(uint32_t)FLAGS_KNOWN) || !rate_ok ||
        !within(s->pts_ns, MAX_PTS)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "sequence header: a field is missing or out of range");
        return false;
    }
    return true;
}

void nerv_frame_write(const NervFrameHeader *f, NervBitWriter *w)
{
    nerv_write_u8(w, (uint8_t)f->segment_id);
    nerv_write_varint(w, f->index);
    nerv_write_svarint(w, f->pts_delta_ns);
}

bool nerv_frame_read(const uint8_t *payload, size_t bytes, NervFrameHeader *f, GError **error)
{
    NervBitReader r;
    nerv_reader_init(&r, payload, bytes);
    f->segment_id = nerv_read_u8(&r);
    f->index = (uint32_t)nerv_read_range(&r, 0, MAX_FRAMES - 1);
    f->pts_delta_ns = nerv_read_svarint(&r);
    /* Whatever follows is the extension: the payload's size is its length, and most frames have none. */
    if (r.failed || !within(f->pts_delta_ns, MAX_DELTA)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "frame header: a field is missing or out of range");
        return false;
    }
    return true;
}

void nerv_keyframe_header_write(const NervKeyframeHeader *k, NervBitWriter *w)
{
    nerv_write_u8(w, (uint8_t)k->segment_id);
    nerv_write_varint(w, k->index);
    nerv_write_varint(w, k->codec);
    nerv_write_varint(w, 0); /* no extension */
    nerv_write_bytes(w, k->data, k->bytes);
}

bool nerv_keyframe_header_read(const uint8_t *payload, size_t bytes, NervKeyframeHeader *k, GError **error)
{
    NervBitReader r;
    nerv_reader_init(&r, payload, bytes);
    *k = (NervKeyframeHeader){ .segment_id = nerv_read_u8(&r) };
    k->index = (uint32_t)nerv_read_range(&r, 0, MAX_FRAMES - 1);
    k->codec = (uint32_t)nerv_read_range(&r, 0, UINT32_MAX);
    if (!r.failed && k->codec != NERV_KEYFRAME_AV1) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "keyframe codec %u, this decoder knows 1 (AV1)", k->codec);
        return false;
    }
    nerv_read_bytes(&r, nerv_read_range(&r, 0, bytes)); /* extension */
    k->bytes = nerv_reader_left(&r);
    k->data = nerv_read_bytes(&r, k->bytes);
    if (r.failed || k->bytes == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "keyframe header: a field is missing or out of range");
        return false;
    }
    return true;
}

int64_t nerv_sequence_pts(const NervSequence *s, uint32_t index)
{
    if (s->fps_n == 0)
        return s->pts_ns;
    const uint64_t billion = 1000000000, t = (uint64_t)index * s->fps_d;
    return s->pts_ns + (int64_t)(t / s->fps_n * billion + t % s->fps_n * billion / s->fps_n);
}

int64_t nerv_sequence_duration(const NervSequence *s, uint32_t index)
{
    return nerv_sequence_pts(s, index + 1) - nerv_sequence_pts(s, index);
}

void nerv_frame_times(const NervSequence *s, const NervFrameHeader *f, uint64_t *pts, uint64_t *duration)
{
    const int64_t time = nerv_sequence_pts(s, f->index) + f->pts_delta_ns;
    const uint64_t number = s->first_frame + f->index, billion = 1000000000;
    *pts = (uint64_t)MAX(0, time);
    *duration = NERV_TIME_NONE;
    if (s->fps_n > 0 && number < UINT64_C(1) << 32) {
        /* the difference of two times that may be beyond 64 bits, modulo 2^64 */
        const uint64_t t0 = number * s->fps_d, t1 = t0 + s->fps_d, n = s->fps_n;
        *duration = t1 / n * billion + t1 % n * billion / n - (t0 / n * billion + t0 % n * billion / n);
    } else if (s->fps_n > 0) {
        *duration = (uint64_t)nerv_sequence_duration(s, f->index);
    }
}

bool nerv_sequence_same_segment(const NervSequence *a, const NervSequence *b)
{
    return a->segment_id == b->segment_id && a->first_frame == b->first_frame && a->n_frames == b->n_frames &&
           a->pts_ns == b->pts_ns && a->width == b->width && a->height == b->height;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Byte-oriented writer and reader of headers, see bits.h and docs/bitstream.md, section "Conventions". The
 * reader accepts only the shortest form of a variable-length integer, so that every header has exactly one
 * coding.
 */
#include "base/bits.h"

#include <string.h>

void nerv_writer_init(NervBitWriter *w)
{
    w->bytes = g_byte_array_new();
}

void nerv_writer_clear(NervBitWriter *w)
{
    g_clear_pointer(&w->bytes, g_byte_array_unref);
}

void nerv_write_bytes(NervBitWriter *w, const void *data, size_t n)
{
    if (n > 0)
        g_byte_array_append(w->bytes, data, (guint)n);
}

void nerv_write_u8(NervBitWriter *w, uint8_t v)
{
    nerv_write_bytes(w, &v, 1);
}

void nerv_write_u32(NervBitWriter *w, uint32_t v)
{
    const uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };
    nerv_write_bytes(w, b, sizeof b);
}

void nerv_write_f32(NervBitWriter *w, float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    nerv_write_u32(w, u);
}

void nerv_write_varint(NervBitWriter *w, uint64_t v)
{
    uint8_t b[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        b[n++] = (uint8_t)(v | 0x80);
    b[n++] = (uint8_t)v;
    nerv_write_bytes(w, b, n);
}

void nerv_write_svarint(NervBitWriter *w, int64_t v)
{
    nerv_write_varint(w, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

void nerv_reader_init(NervBitReader *r, const void *data, size_t size)
{
    *r = (NervBitReader){ .data = data, .size = size };
}

size_t nerv_reader_left(const NervBitReader *r)
{
    return r->failed ? 0 : r->size - r->pos;
}

const uint8_t *nerv_read_bytes(NervBitReader *r, size_t n)
{
    if (r->failed || n > r->size - r->pos) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->pos;
    r->pos += n;
    return p;
}

uint8_t nerv_read_u8(NervBitReader *r)
{
    const uint8_t *p = nerv_read_bytes(r, 1);
    return p ? *p : 0;
}

uint32_t nerv_read_u32(NervBitReader *r)
{
    const uint8_t *p = nerv_read_bytes(r, 4);
    if (!p)
        return 0;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

float nerv_read_f32(NervBitReader *r)
{
    const uint32_t u = nerv_read_u32(r);
    float v;
    memcpy(&v, &u, sizeof v);
    return v;
}

uint64_t nerv_read_varint(NervBitReader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t b = nerv_read_u8(r);
        if (r->failed)
            return 0;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b & 0x80)
            continue;
        /* A last byte of zero is not the shortest form; the tenth byte has room for one bit. */
        if ((shift > 0 && b == 0) || (shift == 63 && b > 1))
            break;
        return v;
    }
    r->failed = true;
    return 0;
}

int64_t nerv_read_svarint(NervBitReader *r)
{
    const uint64_t u = nerv_read_varint(r);
    return (int64_t)((u >> 1) ^ (u & 1 ? UINT64_MAX : 0));
}

uint64_t nerv_read_range(NervBitReader *r, uint64_t lo, uint64_t hi)
{
    const uint64_t v = nerv_read_varint(r);
    if (!r->failed && v >= lo && v <= hi)
        return v;
    r->failed = true;
    return lo;
}

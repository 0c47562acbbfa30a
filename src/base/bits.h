/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Byte-oriented writer and reader of headers: fixed-size little-endian integers, and variable-length integers
 * as in docs/bitstream.md (LEB128, zigzag for signed). The reader never reads past its end: an error sticks and
 * every later read yields 0, so callers check once.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    GByteArray *bytes;
} NervBitWriter;

void nerv_writer_init(NervBitWriter *w);
void nerv_writer_clear(NervBitWriter *w);
void nerv_write_u8(NervBitWriter *w, uint8_t v);
void nerv_write_u32(NervBitWriter *w, uint32_t v);
void nerv_write_f32(NervBitWriter *w, float v);       /* IEEE 754 bits */
void nerv_write_varint(NervBitWriter *w, uint64_t v); /* 1..10 bytes */
void nerv_write_svarint(NervBitWriter *w, int64_t v);
void nerv_write_bytes(NervBitWriter *w, const void *data, size_t n);

typedef struct {
    const uint8_t *data;
    size_t size, pos;
    bool failed; /* read past the end or an over-long varint */
} NervBitReader;

void nerv_reader_init(NervBitReader *r, const void *data, size_t size);
uint8_t nerv_read_u8(NervBitReader *r);
uint32_t nerv_read_u32(NervBitReader *r);
float nerv_read_f32(NervBitReader *r);
uint64_t nerv_read_varint(NervBitReader *r);
int64_t nerv_read_svarint(NervBitReader *r);
/* Reads a varint that must lie in lo..hi; otherwise fails and returns lo. */
uint64_t nerv_read_range(NervBitReader *r, uint64_t lo, uint64_t hi);
/* Pointer to the next n bytes and moves past them, or NULL (failed). */
const uint8_t *nerv_read_bytes(NervBitReader *r, size_t n);
size_t nerv_reader_left(const NervBitReader *r);

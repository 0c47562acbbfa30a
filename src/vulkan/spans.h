/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which parts of a block of memory are free: the arithmetic of sub-allocation without the memory, so that it can be tested
 * without a device. Free spans are kept sorted and merged; a request takes the smallest that holds it, which
 * keeps the large ones whole. Linear in the number of free spans; blocks have few.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t bytes; /* of the block */
    GArray *free;   /* Span, by offset; no two touch */
} NervSpans;

void nerv_spans_init(NervSpans *spans, uint64_t bytes);
void nerv_spans_clear(NervSpans *spans);

/* Takes `bytes` > 0 at a multiple of `align`, a power of two; false if no free span holds them. */
bool nerv_spans_take(NervSpans *spans, uint64_t bytes, uint64_t align, uint64_t *offset);
/* Gives back what was taken, with the same numbers. */
void nerv_spans_give(NervSpans *spans, uint64_t offset, uint64_t bytes);
/* Nothing is taken. */
bool nerv_spans_whole(const NervSpans *spans);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The element nervparse and what it puts out, checked: what the targets parse-push and parse-pull share. Every buffer is one access unit that the
 * unit parser takes, lies in the input behind the one before it, and has times and flags as its headers say; caps and a segment come first, nothing
 * after the end. A new element is made for each input: nothing of one input is in the next.
 */
#pragma once

#include <gst/gst.h>

#include "nerv.h"

typedef struct {
    GstElement *parse;
    GstPad *pad; /* a sink, linked to parse's source */
    GMutex lock; /* everything below */
    const uint8_t *data;
    size_t size;
    bool anywhere;  /* units need not come in order, after a seek */
    bool backwards; /* nor their networks before them */
    size_t end;     /* of the last unit, in the data */
    bool have_caps, have_segment, ended, flushing;
    bool must_begin; /* the next unit begins a segment of frames, as its network has not come by */
    bool have_sequence;
    NervSequence sequence;
    unsigned n_units, n_errors;
    size_t n_bytes;
    uint32_t digest; /* of sizes, times and flags */
} FuzzOutput;

/* Aborts if the condition is false, and says which. */
#define fuzz_require(condition) fuzz_check(condition, __FILE__, __LINE__, #condition)
void fuzz_check(bool condition, const char *file, int line, const char *text);

/* Makes the element, which stays in NULL, and its sink, which has no functions yet. Everything is given back by clear. */
void fuzz_output_init(FuzzOutput *out, const uint8_t *data, size_t size);
void fuzz_output_clear(FuzzOutput *out);

/* As for another run of the same element, over the same bytes. */
void fuzz_output_restart(FuzzOutput *out);

/* With the lock held, neither takes what it is given. */
void fuzz_output_buffer(FuzzOutput *out, GstBuffer *buffer);
void fuzz_output_event(FuzzOutput *out, GstEvent *event);

/* Asks the element what applications ask: duration, position, whether it seeks, bytes as time and back. */
void fuzz_output_query(FuzzOutput *out, int64_t value);

/* A seek that an application may send: two bytes choose flags, rate and what the times are counted from; `stop` is not before `start`. With what must
 * be set, such as GST_SEEK_FLAG_FLUSH. */
GstEvent *fuzz_seek_event(uint8_t flags, uint8_t how, uint64_t start, uint64_t stop, GstSeekFlags must);

bool fuzz_seeks_backwards(uint8_t how);

/* Whether all bytes came out but those of an index at the end. */
bool fuzz_output_whole(const FuzzOutput *out);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Free spans of a block. See spans.h.
 */
#include "vulkan/spans.h"

typedef struct {
    uint64_t offset, bytes;
} Span;

static Span *span_at(const NervSpans *spans, guint i)
{
    return &g_array_index(spans->free, Span, i);
}

void nerv_spans_init(NervSpans *spans, uint64_t bytes)
{
    const Span all = { 0, bytes };
    spans->bytes = bytes;
    spans->free = g_array_new(FALSE, FALSE, sizeof(Span));
    if (bytes)
        g_array_append_val(spans->free, all);
}

void nerv_spans_clear(NervSpans *spans)
{
    if (spans->free)
        g_array_unref(spans->free);
    spans->free = NULL;
}

bool nerv_spans_take(NervSpans *spans, uint64_t bytes, uint64_t align, uint64_t *offset)
{
    guint best = spans->free->len;
    uint64_t best_bytes = UINT64_MAX;
    for (guint i = 0; i < spans->free->len; i++) {
        const Span *s = span_at(spans, i);
        const uint64_t pad = -s->offset & (align - 1);
        if (pad <= s->bytes && bytes <= s->bytes - pad && s->bytes < best_bytes) {
            best = i;
            best_bytes = s->bytes;
        }
    }
    if (best == spans->free->len)
        return false;
    Span *s = span_at(spans, best);
    const uint64_t pad = -s->offset & (align - 1);
    const Span after = { s->offset + pad + bytes, s->bytes - pad - bytes };
    *offset = s->offset + pad;
    s->bytes = pad; /* what the alignment skips stays free */
    if (after.bytes)
        g_array_insert_val(spans->free, best + 1, after);
    if (pad == 0)
        g_array_remove_index(spans->free, best);
    return true;
}

void nerv_spans_give(NervSpans *spans, uint64_t offset, uint64_t bytes)
{
    const Span given = { offset, bytes };
    guint i = 0;
    while (i < spans->free->len && span_at(spans, i)->offset < offset)
        i++;
    g_array_insert_val(spans->free, i, given);
    if (i + 1 < spans->free->len && span_at(spans, i + 1)->offset == offset + bytes) {
        span_at(spans, i)->bytes += span_at(spans, i + 1)->bytes;
        g_array_remove_index(spans->free, i + 1);
    }
    if (i > 0 && span_at(spans, i - 1)->offset + span_at(spans, i - 1)->bytes == offset) {
        span_at(spans, i - 1)->bytes += span_at(spans, i)->bytes;
        g_array_remove_index(spans->free, i);
    }
}

bool nerv_spans_whole(const NervSpans *spans)
{
    return spans->bytes == 0 || (spans->free->len == 1 && span_at(spans, 0)->bytes == spans->bytes);
}

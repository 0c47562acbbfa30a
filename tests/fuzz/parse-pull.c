/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: nervparse as it reads a file in pull mode, on the thread of its own task, while seeks come from another one. The input's first 14 bytes
 * say how: as it is or with its checks made right, what the file says of its length, which read fails, and up to two seeks, each after so many units
 * or behind the end. Beyond what output.h checks: the element comes to an end, always, and after a flush goes on with a segment's beginning.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "output.h"

#define CONTROL_BYTES  14
#define SEEK_BYTES     6
#define MAX_SEEKS      2
#define ENLARGED_BYTES 70000
#define MAX_READS      20000                     /* of a file that a few hundred suffice for */
#define PATIENCE       (60 * G_TIME_SPAN_SECOND) /* of the clock: machines are busy */

typedef struct {
    uint8_t flags, how;
    uint64_t start, stop;
    unsigned after; /* units; 0: behind the end */
} Seek;

typedef struct {
    bool repaired, again;
    bool enlarged;   /* networks are larger than what the element reads at once */
    unsigned length; /* what the file says: nothing, the truth, half, twice that */
    unsigned fails;  /* the number of the read that does; 0: none */
    unsigned n_seeks;
    Seek seeks[MAX_SEEKS];
} Plan;

typedef struct {
    FuzzOutput out; /* its lock is for all of this */
    GCond cond;
    const Plan *plan;
    GstPad *pad;
    unsigned n_reads;
    unsigned until; /* units to come before the task waits; 0: it does not */
    bool waiting;   /* it does */
} File;

static Plan read_plan(const uint8_t *c)
{
    Plan p = { .repaired = c[0] & 1,
               .again = c[0] & 2,
               .enlarged = c[0] & 64,
               .length = c[0] >> 2 & 3,
               .n_seeks = MIN(c[0] >> 4 & 3, MAX_SEEKS),
               .fails = c[1] };
    for (unsigned i = 0; i < p.n_seeks; i++) {
        const uint8_t *s = c + 2 + SEEK_BYTES * i;
        const uint64_t start = (s[2] | (uint64_t)s[3] << 8) * GST_MSECOND;
        p.seeks[i] = (Seek){ s[0], s[1], start, start + s[4] * 8 * GST_MSECOND, s[5] & 31 };
    }
    return p;
}

/* --- pads --- */

static GstFlowReturn get_range(GstPad *pad, GstObject *parent, guint64 offset, guint size, GstBuffer **buffer)
{
    File *f = gst_pad_get_element_private(pad);
    const unsigned n = (unsigned)g_atomic_int_add((gint *)&f->n_reads, 1);
    fuzz_require(n < MAX_READS);
    if (f->plan->fails && n == f->plan->fails)
        return GST_FLOW_ERROR;
    if (offset >= f->out.size)
        return GST_FLOW_EOS;
    *buffer = gst_buffer_new_memdup(f->out.data + offset, MIN(size, f->out.size - offset));
    return GST_FLOW_OK;
}

static gboolean source_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    const File *f = gst_pad_get_element_private(pad);
    const unsigned length = f->plan->length;
    const gint64 size = (gint64)f->out.size;
    GstFormat format;
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_SCHEDULING:
        gst_query_set_scheduling(query, GST_SCHEDULING_FLAG_SEEKABLE, 1, -1, 0);
        gst_query_add_scheduling_mode(query, GST_PAD_MODE_PULL);
        return TRUE;
    case GST_QUERY_DURATION:
        gst_query_parse_duration(query, &format, NULL);
        if (format != GST_FORMAT_BYTES || length == 0)
            return FALSE;
        gst_query_set_duration(query, format, length == 1 ? size : length == 2 ? size / 2 : size * 2);
        return TRUE;
    case GST_QUERY_SEEKING:
        gst_query_parse_seeking(query, &format, NULL, NULL, NULL);
        gst_query_set_seeking(query, format, format == GST_FORMAT_BYTES, 0, size);
        return TRUE;
    default:
        return FALSE;
    }
}

static GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    File *f = gst_pad_get_element_private(pad);
    g_mutex_lock(&f->out.lock);
    if (!f->out.flushing)
        fuzz_output_buffer(&f->out, buffer);
    if (f->until > 0 && --f->until == 0) {
        f->waiting = true;
        g_cond_broadcast(&f->cond);
    }
    while (f->waiting && !f->out.flushing)
        g_cond_wait(&f->cond, &f->out.lock);
    f->waiting = false;
    const GstFlowReturn ret = f->out.flushing ? GST_FLOW_FLUSHING : GST_FLOW_OK;
    g_mutex_unlock(&f->out.lock);
    gst_buffer_unref(buffer);
    return ret;
}

static gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    File *f = gst_pad_get_element_private(pad);
    g_mutex_lock(&f->out.lock);
    fuzz_output_event(&f->out, event);
    g_cond_broadcast(&f->cond);
    g_mutex_unlock(&f->out.lock);
    gst_event_unref(event);
    return TRUE;
}

/* --- a run --- */

/* Until the task is at its place, or through. */
static void wait_for_task(File *f)
{
    const gint64 until = g_get_monotonic_time() + PATIENCE;
    while (!f->waiting && !f->out.ended)
        fuzz_require(g_cond_wait_until(&f->cond, &f->out.lock, until));
}

/* The task waits through a seek that flushes. One that does not is for streams that go on, and waits for the task: behind the end it is made one that
 * flushes. */
static void seek(File *f, const Seek *s, unsigned next_after)
{
    g_mutex_lock(&f->out.lock);
    wait_for_task(f);
    const bool flushes = (s->flags & 1) || f->out.ended;
    f->until = flushes ? next_after : 0;
    f->waiting &= flushes;
    f->out.anywhere = true;
    f->out.backwards |= fuzz_seeks_backwards(s->how);
    g_cond_broadcast(&f->cond);
    g_mutex_unlock(&f->out.lock);
    fuzz_output_query(&f->out, (int64_t)s->start);
    gst_pad_push_event(
        f->out.pad, fuzz_seek_event(s->flags, s->how, s->start, s->stop, flushes ? GST_SEEK_FLAG_FLUSH : 0));
    g_mutex_lock(&f->out.lock);
    if (!flushes)
        f->until = next_after;
    f->waiting = false; /* also if it was refused */
    g_cond_broadcast(&f->cond);
    g_mutex_unlock(&f->out.lock);
}

static void read_all(File *f)
{
    f->n_reads = 0;
    f->until = f->plan->seeks[0]
                   .after; /* before the task is there, and so on, so that an input always means the same */
    f->waiting = false;
    gst_pad_set_active(f->out.pad, TRUE);
    fuzz_require(gst_element_set_state(f->out.parse, GST_STATE_PAUSED) == GST_STATE_CHANGE_SUCCESS);
    for (unsigned i = 0; i < f->plan->n_seeks; i++)
        seek(f, &f->plan->seeks[i], i + 1 < f->plan->n_seeks ? f->plan->seeks[i + 1].after : 0);
    g_mutex_lock(&f->out.lock);
    wait_for_task(f);
    g_mutex_unlock(&f->out.lock);
    fuzz_output_query(&f->out, GST_SECOND);
    fuzz_require(gst_element_set_state(f->out.parse, GST_STATE_READY) == GST_STATE_CHANGE_SUCCESS);
    gst_pad_set_active(f->out.pad, FALSE);
}

static void run(const Plan *plan, const uint8_t *data, size_t size)
{
    File f = { .plan = plan };
    fuzz_output_init(&f.out, data, size);
    g_cond_init(&f.cond);
    f.pad = gst_pad_new("src", GST_PAD_SRC);
    gst_object_ref_sink(f.pad);
    gst_pad_set_element_private(f.pad, &f);
    gst_pad_set_getrange_function(f.pad, get_range);
    gst_pad_set_query_function(f.pad, source_query);
    gst_pad_set_chain_function(f.out.pad, chain);
    gst_pad_set_event_function(f.out.pad, sink_event);
    GstPad *sink = gst_element_get_static_pad(f.out.parse, "sink");
    fuzz_require(gst_pad_link(f.pad, sink) == GST_PAD_LINK_OK);
    gst_object_unref(sink);

    read_all(&f);
    fuzz_n_accepted += fuzz_output_whole(&f.out);
    if (plan->again) {
        const uint32_t digest = f.out.digest;
        fuzz_output_restart(&f.out);
        read_all(&f);
        fuzz_require(plan->n_seeks > 0 || f.out.digest == digest);
    }
    fuzz_output_clear(&f.out);
    g_cond_clear(&f.cond);
    fuzz_require(GST_OBJECT_REFCOUNT_VALUE(f.pad) == 1);
    gst_object_unref(f.pad);
}

/* The first network with zeros behind it, which the element does not look at. */
static GByteArray *enlarge(GByteArray *stream)
{
    NervUnit unit = { 0 };
    size_t at = 0, need;
    while (nerv_unit_scan(stream->data + at, stream->len - at, &unit, &need) == NERV_SCAN_OK &&
           unit.type != NERV_UNIT_NETWORK)
        at += unit.unit_bytes;
    if (at >= stream->len || unit.type != NERV_UNIT_NETWORK)
        return stream;
    GByteArray *out = g_byte_array_new();
    g_autofree uint8_t *payload = g_malloc0(unit.payload_bytes + ENLARGED_BYTES);
    memcpy(payload, unit.payload, unit.payload_bytes);
    g_byte_array_append(out, stream->data, (guint)at);
    nerv_unit_write(out, unit.type, payload, unit.payload_bytes + ENLARGED_BYTES);
    g_byte_array_append(out, stream->data + at + unit.unit_bytes,
                        (guint)(stream->len - at - unit.unit_bytes));
    g_byte_array_unref(stream);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= CONTROL_BYTES)
        return 0;
    const Plan plan = read_plan(data);
    if (!plan.repaired) {
        run(&plan, data + CONTROL_BYTES, size - CONTROL_BYTES);
        return 0;
    }
    GByteArray *repaired = fuzz_repair(data + CONTROL_BYTES, size - CONTROL_BYTES);
    if (plan.enlarged)
        repaired = enlarge(repaired);
    run(&plan, repaired->data, repaired->len);
    g_byte_array_unref(repaired);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: nervparse as bytes are pushed into it. The input's first eight bytes say how: as they are or with their checks made right, in
 * buffers of which sizes, in bytes or with a container's times, what upstream knows of its length, and where the stream is flushed or a seek is sent
 * upstream. Beyond what output.h checks: flows are errors only with a message, and the element, started again, does the same again.
 */
#include <string.h>

#include "fuzz.h"
#include "output.h"

#define CONTROL_BYTES 8
#define MAX_PUSHES    256

typedef struct {
    bool repaired, in_time, again, flushes, seeks, seekable;
    unsigned length;         /* what upstream says: nothing, the truth, half, twice that */
    unsigned least, largest; /* bytes of a buffer */
    uint32_t random;
    unsigned at; /* buffers before the flush or the seek */
    uint64_t time;
    GstClockTime time_step;
    uint8_t seek[2];
} Plan;

typedef struct {
    const Plan *plan;
    size_t size;
    GstPad *pad;
    bool sought; /* upstream was sent to another place */
    size_t place;
    GstSegment segment;
} Source;

static Plan read_plan(const uint8_t *c, size_t size)
{
    static const uint64_t units[] = { GST_MSECOND, GST_SECOND, UINT64_C(1) << 40, UINT64_C(1) << 55 };
    Plan p = { .repaired = c[0] & 1,
               .in_time = c[0] & 2,
               .again = c[0] & 4,
               .flushes = c[0] & 8,
               .seeks = c[0] & 16,
               .seekable = c[0] & 32,
               .length = c[0] >> 6,
               .largest = c[1] & 15 ? 1u << (c[1] & 15) : (unsigned)size,
               .random = c[2],
               .at = c[3] & 31,
               .time = c[5] * units[c[4] >> 6],
               .time_step = (c[4] & 32) ? GST_CLOCK_TIME_NONE : (GstClockTime)(c[4] & 15) * 10 * GST_MSECOND,
               .seek = { c[6], c[7] } };
    p.least = (unsigned)(size / MAX_PUSHES) + 1;
    p.largest = MAX(p.largest, p.least);
    return p;
}

/* --- pads --- */

static GstFlowReturn chain(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    fuzz_output_buffer(gst_pad_get_element_private(pad), buffer);
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    fuzz_output_event(gst_pad_get_element_private(pad), event);
    gst_event_unref(event);
    return TRUE;
}

/* A seek in bytes, as the base class makes of one in time; the pushing goes on elsewhere. */
static gboolean source_event(GstPad *pad, GstObject *parent, GstEvent *event)
{
    Source *s = gst_pad_get_element_private(pad);
    gdouble rate;
    GstFormat format;
    GstSeekFlags flags;
    GstSeekType start_type, stop_type;
    gint64 start, stop;
    gboolean ok = FALSE;
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEEK && s->plan->seekable) {
        gst_event_parse_seek(event, &rate, &format, &flags, &start_type, &start, &stop_type, &stop);
        ok = format == GST_FORMAT_BYTES && start_type == GST_SEEK_TYPE_SET && rate > 0 && start >= 0;
    }
    if (ok && (flags & GST_SEEK_FLAG_FLUSH)) {
        gst_pad_push_event(pad, gst_event_new_flush_start());
        gst_pad_push_event(pad, gst_event_new_flush_stop(TRUE));
    }
    if (ok) {
        s->place = MIN((size_t)start, s->size);
        gst_segment_init(&s->segment, GST_FORMAT_BYTES);
        s->segment.start = s->segment.position = s->segment.time = (guint64)start;
        s->sought = true;
    }
    gst_event_unref(event);
    return ok;
}

static gboolean source_query(GstPad *pad, GstObject *parent, GstQuery *query)
{
    const Source *s = gst_pad_get_element_private(pad);
    const unsigned length = s->plan->length;
    GstFormat format;
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_DURATION:
        gst_query_parse_duration(query, &format, NULL);
        if (format != GST_FORMAT_BYTES || length == 0)
            return FALSE;
        gst_query_set_duration(query, format,
                               length == 1   ? s->size
                               : length == 2 ? s->size / 2
                                             : s->size * 2);
        return TRUE;
    case GST_QUERY_SEEKING:
        gst_query_parse_seeking(query, &format, NULL, NULL, NULL);
        gst_query_set_seeking(query, format, s->plan->seekable && format == GST_FORMAT_BYTES, 0, -1);
        return TRUE;
    default:
        return FALSE;
    }
}

/* --- a run --- */

static void push_segment(const Source *s)
{
    fuzz_require(gst_pad_push_event(s->pad, gst_event_new_segment(&s->segment)));
}

static void begin(Source *s)
{
    gst_pad_push_event(s->pad, gst_event_new_stream_start("fuzz"));
    if (s->plan->in_time) {
        GstCaps *caps = gst_caps_new_empty_simple("video/x-nerv");
        gst_pad_push_event(s->pad, gst_event_new_caps(caps));
        gst_caps_unref(caps);
    }
    gst_segment_init(&s->segment, s->plan->in_time ? GST_FORMAT_TIME : GST_FORMAT_BYTES);
    push_segment(s);
}

/* Either a seek from downstream or a flush out of nowhere, both of which may end with another place in the stream. */
static void interrupt(Source *s, FuzzOutput *out)
{
    const Plan *p = s->plan;
    out->anywhere |= p->seeks;
    if (p->seeks) {
        gst_pad_push_event(out->pad,
                           fuzz_seek_event(p->seek[0], p->seek[1], p->time, p->time + GST_SECOND, 0));
    } else {
        gst_pad_push_event(s->pad, gst_event_new_flush_start());
        gst_pad_push_event(s->pad, gst_event_new_flush_stop(TRUE));
        push_segment(s);
    }
    if (s->sought)
        push_segment(s);
}

static GstBuffer *next_buffer(const Plan *p, uint32_t *random, const uint8_t *data, size_t left, uint64_t n)
{
    *random = *random * 1664525 + 1013904223;
    const size_t bytes = MIN(left, p->least + (*random >> 8) % (p->largest - p->least + 1));
    GstBuffer *buffer = gst_buffer_new_memdup(data, bytes);
    if (p->in_time && GST_CLOCK_TIME_IS_VALID(p->time_step))
        GST_BUFFER_PTS(buffer) = MIN(p->time + n * p->time_step, (uint64_t)G_MAXINT64);
    return buffer;
}

static void push_all(Source *s, FuzzOutput *out)
{
    uint32_t random = s->plan->random;
    GstFlowReturn ret = GST_FLOW_OK;
    begin(s);
    size_t place = 0;
    for (unsigned n = 0; place < s->size && ret == GST_FLOW_OK; n++) {
        if (n == s->plan->at && (s->plan->seeks || s->plan->flushes)) {
            interrupt(s, out);
            if (s->sought)
                place = s->place;
            s->sought = false;
            if (place >= s->size)
                break;
        }
        GstBuffer *buffer = next_buffer(s->plan, &random, out->data + place, s->size - place, n);
        place += gst_buffer_get_size(buffer);
        ret = gst_pad_push(s->pad, buffer);
    }
    fuzz_require(ret == GST_FLOW_OK || (ret == GST_FLOW_ERROR && out->n_errors > 0) ||
                 (ret == GST_FLOW_EOS && s->plan->seeks));
    fuzz_output_query(out, (int64_t)s->plan->time);
    gst_pad_push_event(s->pad, gst_event_new_eos());
    fuzz_output_query(out, (int64_t)s->plan->time);
}

static void start(const Source *s, const FuzzOutput *out)
{
    gst_pad_set_active(out->pad, TRUE);
    fuzz_require(gst_element_set_state(out->parse, GST_STATE_PAUSED) == GST_STATE_CHANGE_SUCCESS);
    gst_pad_set_active(s->pad, TRUE);
}

static void stop(const Source *s, const FuzzOutput *out)
{
    gst_pad_set_active(s->pad, FALSE);
    fuzz_require(gst_element_set_state(out->parse, GST_STATE_READY) == GST_STATE_CHANGE_SUCCESS);
    gst_pad_set_active(out->pad, FALSE);
}

static void run(const Plan *plan, const uint8_t *data, size_t size)
{
    FuzzOutput out;
    Source s = { .plan = plan, .size = size };
    fuzz_output_init(&out, data, size);
    s.pad = gst_pad_new("src", GST_PAD_SRC);
    gst_object_ref_sink(s.pad);
    gst_pad_set_element_private(s.pad, &s);
    gst_pad_set_event_function(s.pad, source_event);
    gst_pad_set_query_function(s.pad, source_query);
    gst_pad_set_chain_function(out.pad, chain);
    gst_pad_set_event_function(out.pad, sink_event);
    GstPad *sink = gst_element_get_static_pad(out.parse, "sink");
    fuzz_require(gst_pad_link(s.pad, sink) == GST_PAD_LINK_OK);
    gst_object_unref(sink);

    start(&s, &out);
    push_all(&s, &out);
    fuzz_n_accepted += fuzz_output_whole(&out);
    stop(&s, &out);
    if (plan->again) {
        const uint32_t digest = out.digest;
        fuzz_output_restart(&out);
        start(&s, &out);
        push_all(&s, &out);
        fuzz_require(out.digest == digest);
        stop(&s, &out);
    }
    fuzz_output_clear(&out);
    fuzz_require(GST_OBJECT_REFCOUNT_VALUE(s.pad) == 1);
    gst_object_unref(s.pad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= CONTROL_BYTES)
        return 0;
    const Plan plan = read_plan(data, size - CONTROL_BYTES);
    if (!plan.repaired) {
        run(&plan, data + CONTROL_BYTES, size - CONTROL_BYTES);
        return 0;
    }
    GByteArray *repaired = fuzz_repair(data + CONTROL_BYTES, size - CONTROL_BYTES);
    run(&plan, repaired->data, repaired->len);
    g_byte_array_unref(repaired);
    return 0;
}

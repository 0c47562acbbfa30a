/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See output.h.
 */
#define _GNU_SOURCE /* memmem() */
#include <stdlib.h>
#include <string.h>

#include "gst.h"
#include "nervparse.h"
#include "codec/trailer.h"
#include "nervvideo.h"
#include "output.h"

void fuzz_check(bool condition, const char *file, int line, const char *text)
{
    if (condition)
        return;
    g_printerr("%s:%d: does not hold: %s\n", file, line, text);
    abort();
}

/* --- the element --- */

static GstBusSyncReply on_message(GstBus *bus, GstMessage *message, gpointer user)
{
    FuzzOutput *out = user;
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        g_atomic_int_inc((gint *)&out->n_errors);
    gst_message_unref(message);
    return GST_BUS_DROP;
}

/* Any caps will do. */
static gboolean answer(GstPad *pad, GstObject *parent, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) == GST_QUERY_ACCEPT_CAPS)
        gst_query_set_accept_caps_result(query, TRUE);
    return GST_QUERY_TYPE(query) == GST_QUERY_ACCEPT_CAPS;
}

void fuzz_output_init(FuzzOutput *out, const uint8_t *data, size_t size)
{
    fuzz_init_gst();
    memset(out, 0, sizeof *out);
    out->data = data;
    out->size = size;
    g_mutex_init(&out->lock);
    out->parse = g_object_new(GST_TYPE_NERV_PARSE, NULL);
    gst_object_ref_sink(out->parse);
    GstBus *bus = g_object_new(GST_TYPE_BUS, "enable-async", FALSE, NULL);
    gst_bus_set_sync_handler(bus, on_message, out, NULL);
    gst_element_set_bus(out->parse, bus);
    gst_object_unref(bus);
    out->pad = gst_pad_new("sink", GST_PAD_SINK);
    gst_object_ref_sink(out->pad);
    gst_pad_set_element_private(out->pad, out);
    gst_pad_set_query_function(out->pad, answer);
    GstPad *src = gst_element_get_static_pad(out->parse, "src");
    fuzz_require(gst_pad_link(src, out->pad) == GST_PAD_LINK_OK);
    gst_object_unref(src);
    fuzz_output_restart(out);
}

void fuzz_output_restart(FuzzOutput *out)
{
    out->end = out->n_bytes = 0;
    out->n_units = out->n_errors = 0;
    out->digest = 0;
    out->have_caps = out->have_segment = out->ended = out->flushing = out->have_sequence = out->anywhere =
        out->backwards = false;
    out->must_begin = true;
}

void fuzz_output_clear(FuzzOutput *out)
{
    gst_element_set_state(out->parse, GST_STATE_NULL);
    gst_pad_set_active(out->pad, FALSE);
    gst_element_set_bus(out->parse, NULL);
    fuzz_require(GST_OBJECT_REFCOUNT_VALUE(out->parse) == 1);
    gst_object_unref(out->parse);
    fuzz_require(GST_OBJECT_REFCOUNT_VALUE(out->pad) == 1);
    gst_object_unref(out->pad);
    g_mutex_clear(&out->lock);
}

/* --- what comes out --- */

/* Where the input has it, behind what came before. */
static void find(FuzzOutput *out, const GstMapInfo *map)
{
    const size_t from = out->anywhere ? 0 : out->end;
    const uint8_t *at = memmem(out->data + from, out->size - from, map->data, map->size);
    fuzz_require(at);
    out->end = (size_t)(at - out->data) + map->size;
}

static void begin_segment(FuzzOutput *out, const NervAccessUnit *au)
{
    GstCaps *caps = gst_pad_get_current_caps(out->pad);
    fuzz_require(nerv_sequence_read(au->sequence.payload, au->sequence.payload_bytes, &out->sequence, NULL));
    GstCaps *own = gst_nerv_caps_from_sequence(&out->sequence);
    fuzz_require(out->backwards || gst_caps_is_equal(caps, own));
    gst_caps_unref(caps);
    gst_caps_unref(own);
    out->have_sequence = true;
    out->must_begin = false;
}

static void check_unit(FuzzOutput *out, const GstMapInfo *map, bool is_delta)
{
    NervAccessUnit au;
    NervFrameHeader frame;
    size_t need;
    fuzz_require(nerv_access_unit_scan(map->data, map->size, &au, &need) == NERV_SCAN_OK);
    fuzz_require(au.bytes == map->size && is_delta == !au.is_sync);
    fuzz_require(nerv_frame_read(au.frame.payload, au.frame.payload_bytes, &frame, NULL));
    if (au.begins)
        begin_segment(out, &au);
    if (!out->backwards || au.begins)
        fuzz_require(out->have_sequence && !out->must_begin &&
                     frame.segment_id == (out->sequence.segment_id & 0xff) &&
                     frame.index < out->sequence.n_frames);
}

static void note(FuzzOutput *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out->digest = (out->digest ^ (uint8_t)(value >> 8 * i)) * 0x01000193u;
}

void fuzz_output_buffer(FuzzOutput *out, GstBuffer *buffer)
{
    const GstClockTime pts = GST_BUFFER_PTS(buffer), duration = GST_BUFFER_DURATION(buffer);
    const bool is_delta = GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    GstMapInfo map;
    fuzz_require(out->have_caps && out->have_segment && !out->ended);
    fuzz_require(GST_CLOCK_TIME_IS_VALID(pts) && pts <= G_MAXINT64 && GST_BUFFER_DTS(buffer) == pts);
    fuzz_require(!GST_CLOCK_TIME_IS_VALID(duration) || duration <= G_MAXINT64);
    fuzz_require(gst_buffer_map(buffer, &map, GST_MAP_READ));
    find(out, &map);
    check_unit(out, &map, is_delta);
    note(out, map.size);
    gst_buffer_unmap(buffer, &map);
    note(out, pts);
    note(out, duration);
    note(out, is_delta);
    out->n_units++;
    out->n_bytes += map.size;
}

void fuzz_output_event(FuzzOutput *out, GstEvent *event)
{
    const GstSegment *segment;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS:
        out->have_caps = true;
        break;
    case GST_EVENT_SEGMENT:
        gst_event_parse_segment(event, &segment);
        fuzz_require(segment->format == GST_FORMAT_TIME);
        out->have_segment = true;
        out->ended = false; /* a seek after a segment's end need not flush */
        break;
    case GST_EVENT_FLUSH_START:
        out->flushing = true;
        break;
    case GST_EVENT_FLUSH_STOP:
        out->flushing = out->ended = out->have_segment = false;
        out->must_begin = true;
        break;
    case GST_EVENT_EOS:
    case GST_EVENT_SEGMENT_DONE:
        out->ended = true;
        break;
    default:
        break;
    }
}

void fuzz_output_query(FuzzOutput *out, int64_t value)
{
    GstFormat format;
    gboolean seekable;
    gint64 start, stop, got;
    if (gst_pad_peer_query_duration(out->pad, GST_FORMAT_TIME, &got))
        fuzz_require(got >= -1);
    if (gst_pad_peer_query_position(out->pad, GST_FORMAT_TIME, &got))
        fuzz_require(got >= -1);
    if (gst_pad_peer_query_convert(out->pad, GST_FORMAT_TIME, value, GST_FORMAT_BYTES, &got))
        fuzz_require(got >= -1);
    if (gst_pad_peer_query_convert(out->pad, GST_FORMAT_BYTES, value & 0xffff, GST_FORMAT_TIME, &got))
        fuzz_require(got >= -1);
    GstQuery *query = gst_query_new_seeking(GST_FORMAT_TIME);
    if (gst_pad_peer_query(out->pad, query)) {
        gst_query_parse_seeking(query, &format, &seekable, &start, &stop);
        fuzz_require(!seekable || stop == -1 || stop >= start);
    }
    gst_query_unref(query);
}

static const double rates[] = { 1, 2, -1, -.5 };

bool fuzz_seeks_backwards(uint8_t how)
{
    return rates[how & 3] < 0;
}

GstEvent *fuzz_seek_event(uint8_t flags, uint8_t how, uint64_t start, uint64_t stop, GstSeekFlags must)
{
    static const GstSeekType starts[] = { GST_SEEK_TYPE_SET, GST_SEEK_TYPE_SET, GST_SEEK_TYPE_END,
                                          GST_SEEK_TYPE_NONE };
    static const GstSeekType stops[] = { GST_SEEK_TYPE_NONE, GST_SEEK_TYPE_SET, GST_SEEK_TYPE_END,
                                         GST_SEEK_TYPE_NONE };
    const GstSeekType start_type = starts[how >> 2 & 3], stop_type = stops[how >> 4 & 3];
    GstSeekFlags f = must;
    f |= flags & 1 ? GST_SEEK_FLAG_FLUSH : 0;
    f |= flags & 2 ? GST_SEEK_FLAG_ACCURATE : 0;
    f |= flags & 4 ? GST_SEEK_FLAG_KEY_UNIT : 0;
    f |= flags & 8 ? GST_SEEK_FLAG_TRICKMODE : 0;
    f |= flags & 16 ? GST_SEEK_FLAG_TRICKMODE_KEY_UNITS : 0;
    f |= flags & 32 ? GST_SEEK_FLAG_SEGMENT : 0;
    if (f & GST_SEEK_FLAG_KEY_UNIT)
        f |= (flags & 64 ? GST_SEEK_FLAG_SNAP_BEFORE : 0) | (flags & 128 ? GST_SEEK_FLAG_SNAP_AFTER : 0);
    start = MIN(start, (uint64_t)G_MAXINT64);
    stop = CLAMP(stop, start, (uint64_t)G_MAXINT64);
    /* from the end the other way round, so that their order is the same */
    return gst_event_new_seek(rates[how & 3], GST_FORMAT_TIME, f, start_type,
                              start_type == GST_SEEK_TYPE_END ? -(gint64)stop : (gint64)start, stop_type,
                              stop_type == GST_SEEK_TYPE_END    ? -(gint64)start
                              : stop_type == GST_SEEK_TYPE_NONE ? -1
                                                                : (gint64)stop);
}

bool fuzz_output_whole(const FuzzOutput *out)
{
    return out->n_units > 0 && out->n_errors == 0 &&
           out->n_bytes + nerv_trailer_bytes(out->data + out->end, out->size - out->end) == out->size;
}

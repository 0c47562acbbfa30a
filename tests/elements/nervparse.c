/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Behaviour of nervparse and the typefinder on bytes: cutting, times, damage of every kind, containers' time lines.
 * Files and seeking are in files.c.
 */
#include <gst/base/gsttypefindhelper.h>
#include <string.h>

#include "common.h"

#define N 6

static GBytes *made; /* N frames in segments of three */
static gsize made_offset[N + 1];

static void setup(void)
{
    made = make_stream(N, 3, made_offset);
}

static void teardown(void)
{
    g_bytes_unref(made);
}

typedef struct {
    GBytes *stream;
    const gsize *offset; /* of its access units, and its end */
    GstHarness *h;
    GstBus *bus;
} Fixture;

static void begin_with(Fixture *f, const char *caps, GstFormat format)
{
    GstSegment segment;
    f->stream = made;
    f->offset = made_offset;
    f->h = gst_harness_new("nervparse");
    f->bus = gst_bus_new();
    gst_element_set_bus(f->h->element, f->bus);
    gst_harness_set_src_caps_str(f->h, caps);
    gst_segment_init(&segment, format);
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
}

static void begin(Fixture *f)
{
    begin_with(f, "video/x-nerv", GST_FORMAT_BYTES);
}

static void end(Fixture *f)
{
    gst_element_set_bus(f->h->element, NULL);
    gst_object_unref(f->bus);
    gst_harness_teardown(f->h);
}

static void push_bytes(Fixture *f, const guint8 *data, gsize size)
{
    fail_unless_equals_int(gst_harness_push(f->h, gst_buffer_new_memdup(data, size)), GST_FLOW_OK);
}

static void push_eos(Fixture *f)
{
    gst_harness_push_event(f->h, gst_event_new_eos());
}

static guint messages(Fixture *f, GstMessageType type)
{
    guint n = 0;
    GstMessage *message;
    while ((message = gst_bus_pop_filtered(f->bus, type))) {
        n++;
        gst_message_unref(message);
    }
    return n;
}

/* Pulls everything; `which` names the access units that must have come, each "0".."5", with their flags and times. A
 * '!' before one asks for DISCONT, which any other but the first must not have. */
static void expect_units(Fixture *f, const char *which)
{
    bool at_start = true;
    for (; *which; which++, at_start = false) {
        const bool discont = *which == '!';
        which += discont;
        const guint i = *which - '0';
        GstBuffer *buffer = gst_harness_try_pull(f->h), *want;
        GstMapInfo map;
        fail_unless(buffer != NULL, "unit %u is missing", i);
        want = slice(f->stream, f->offset[i], f->offset[i + 1]);
        gst_buffer_map(want, &map, GST_MAP_READ);
        fail_unless_equals_int(gst_buffer_get_size(buffer), map.size);
        fail_unless(!gst_buffer_memcmp(buffer, 0, map.data, map.size), "unit %u has other bytes", i);
        gst_buffer_unmap(want, &map);
        gst_buffer_unref(want);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), i * 40 * GST_MSECOND);
        fail_unless_equals_uint64(GST_BUFFER_DTS(buffer), i * 40 * GST_MSECOND);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), 40 * GST_MSECOND);
        fail_unless_equals_int(!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), i % 3 == 0);
        if (!at_start)
            fail_unless_equals_int(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT), discont);
        gst_buffer_unref(buffer);
    }
    fail_unless(gst_harness_try_pull(f->h) == NULL, "more units than expected");
}

GST_START_TEST(test_caps)
{
    Fixture f;
    GstCaps *caps, *want;
    gsize size;
    const guint8 *data;
    begin(&f);
    data = g_bytes_get_data(f.stream, &size);
    push_bytes(&f, data, size);
    caps = gst_pad_get_current_caps(f.h->sinkpad);
    want = gst_caps_from_string(
        "video/x-nerv, stream-format=byte-stream, alignment=au, profile=main, parsed=true, "
        "width=64, height=48, framerate=25/1, pixel-aspect-ratio=1/1, colorimetry=sRGB");
    fail_unless(gst_caps_is_subset(caps, want), "%s", gst_caps_to_string(caps));
    gst_caps_unref(want);
    gst_caps_unref(caps);
    push_eos(&f);
    expect_units(&f, "012345");
    end(&f);
}
GST_END_TEST;

/* However the bytes are cut. */
GST_START_TEST(test_chunks)
{
    static const gsize sizes[] = { 1, 2, 7, 64, 333, 4096 };
    const gsize chunk = sizes[__i__];
    Fixture f;
    gsize size;
    const guint8 *data;
    begin(&f);
    data = g_bytes_get_data(f.stream, &size);
    for (gsize i = 0; i < size; i += chunk)
        push_bytes(&f, data + i, MIN(chunk, size - i));
    push_eos(&f);
    expect_units(&f, "012345");
    fail_unless_equals_int(messages(&f, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR), 0);
    end(&f);
}
GST_END_TEST;

GST_START_TEST(test_starts_mid_stream)
{
    Fixture f;
    gsize size;
    const guint8 *data;
    begin(&f);
    data = g_bytes_get_data(f.stream, &size);
    push_bytes(&f, data + f.offset[1], size - f.offset[1]);
    push_eos(&f);
    expect_units(&f, "345");
    end(&f);
}
GST_END_TEST;

/* In a live stream (time segment) upstream is asked for a sync point, once. */
GST_START_TEST(test_asks_for_sync_point)
{
    Fixture f;
    GstEvent *event;
    guint asked = 0;
    begin_with(&f, "video/x-nerv", GST_FORMAT_TIME);
    for (guint i = 1; i < 3; i++)
        fail_unless_equals_int(gst_harness_push(f.h, slice(f.stream, f.offset[i], f.offset[i + 1])),
                               GST_FLOW_OK);
    while ((event = gst_harness_try_pull_upstream_event(f.h))) {
        asked += gst_video_event_is_force_key_unit(event);
        gst_event_unref(event);
    }
    fail_unless_equals_int(asked, 1);
    end(&f);
}
GST_END_TEST;

/* Cut off anywhere: whole units come out, the rest is reported or simply missing, nothing hangs. */
GST_START_TEST(test_truncated)
{
    static const char *const all = "012345";
    for (guint unit = 0; unit < N; unit++) {
        for (guint part = 1; part < 4; part++) {
            Fixture f;
            char want[N + 1];
            gsize cut;
            begin(&f);
            cut = f.offset[unit] + (f.offset[unit + 1] - f.offset[unit]) * part / 4;
            push_bytes(&f, g_bytes_get_data(f.stream, NULL), cut);
            push_eos(&f);
            g_strlcpy(want, all, unit + 1);
            expect_units(&f, want);
            /* nothing at all is an error, a part is a warning */
            fail_unless_equals_int(messages(&f, GST_MESSAGE_ERROR), unit == 0);
            end(&f);
        }
    }
}
GST_END_TEST;

/* A file that ends inside a network, and another behind it. */
GST_START_TEST(test_truncated_and_continued)
{
    Fixture f;
    gsize size;
    const guint8 *data;
    begin(&f);
    data = g_bytes_get_data(f.stream, &size);
    push_bytes(&f, data, f.offset[3] / 2);
    push_bytes(&f, data, size);
    /* the cut network is given up before its claimed bytes are full, and so nothing waits for the end */
    fail_unless_equals_int(gst_harness_buffers_received(f.h), N);
    push_eos(&f);
    expect_units(&f, "012345");
    fail_unless_equals_int(messages(&f, GST_MESSAGE_WARNING), 1);
    end(&f);
}
GST_END_TEST;

/* Bytes lost, inserted or overwritten at several places of each unit: only what they touch is lost. */
GST_START_TEST(test_damage)
{
    static const char *const survive[N] = { "345", "0!2345", "01!345", "012", "0123!5", "01234" };
    enum { FLIP, REMOVE, INSERT, N_KINDS };
    for (guint unit = 0; unit < N; unit++) {
        for (guint kind = 0; kind < N_KINDS; kind++) {
            for (guint part = 0; part < 4; part++) {
                Fixture f;
                gsize size, at;
                const guint8 *data;
                GByteArray *bytes = g_byte_array_new();
                begin(&f);
                data = g_bytes_get_data(f.stream, &size);
                at = f.offset[unit] + (f.offset[unit + 1] - f.offset[unit] - 1) * part / 3;
                g_byte_array_append(bytes, data, (guint)size);
                if (kind == FLIP)
                    bytes->data[at] ^= 0x55;
                else if (kind == REMOVE)
                    g_byte_array_remove_index(bytes, (guint)at);
                else {
                    g_byte_array_set_size(bytes, 0);
                    g_byte_array_append(bytes, data, (guint)at);
                    g_byte_array_append(bytes, (const guint8 *)"N\xE5V\x9CNNN", 7);
                    g_byte_array_append(bytes, data + at, (guint)(size - at));
                }
                push_bytes(&f, bytes->data, bytes->len);
                push_eos(&f);
                if (kind == INSERT && part == 0) {
                    /* between units nothing is lost */
                    guint n = gst_harness_buffers_received(f.h);
                    fail_unless_equals_int(n, N);
                } else {
                    expect_units(&f, survive[unit]);
                }
                fail_unless(messages(&f, GST_MESSAGE_WARNING) >= 1, "damage was not reported");
                g_byte_array_unref(bytes);
                end(&f);
            }
        }
    }
}
GST_END_TEST;

#ifdef __SANITIZE_ADDRESS__
#define NETWORK_STEP 97
#else
#define NETWORK_STEP 1
#endif

/* Every single flipped bit of the first sync point's headers, and one in each byte of its network (fewer in a slow
 * build): the segment is given up, the next one comes whole. */
GST_START_TEST(test_flipped_bits)
{
    GstSegment segment;
    Fixture f;
    NervAccessUnit au;
    gsize size, need, headers;
    const guint8 *data;
    guint8 *copy;

    begin(&f);
    data = g_bytes_get_data(f.stream, &size);
    copy = g_memdup2(data, size);
    fail_unless_equals_int(nerv_access_unit_scan(data, size, &au, &need), NERV_SCAN_OK);
    headers = au.network.payload + 8 - data;
    for (gsize byte = 0; byte < f.offset[1]; byte++) {
        for (guint bit = 0; bit < 8; bit++) {
            const bool in_network = byte >= headers && byte < f.offset[1] - au.frame.unit_bytes;
            if (in_network && (bit != byte % 8 || byte % NETWORK_STEP))
                continue;
            copy[byte] ^= 1u << bit;
            push_bytes(&f, copy, size);
            copy[byte] ^= 1u << bit;
            push_eos(&f);
            expect_units(&f, "345");
            gst_harness_push_event(f.h, gst_event_new_flush_start());
            gst_harness_push_event(f.h, gst_event_new_flush_stop(TRUE));
            gst_segment_init(&segment, GST_FORMAT_BYTES);
            gst_harness_push_event(f.h, gst_event_new_segment(&segment));
            gst_bus_set_flushing(f.bus, TRUE);
            gst_bus_set_flushing(f.bus, FALSE);
        }
    }
    g_free(copy);
    end(&f);
}
GST_END_TEST;

/* --- hand-made streams --- */

static GBytes *unit_stream(const NervSequence *seq, guint network_bytes)
{
    GByteArray *out = g_byte_array_new();
    guint8 *network = g_malloc0(network_bytes);

    append_sequence_unit(out, seq);
    nerv_unit_write(out, NERV_UNIT_NETWORK, network, network_bytes);
    append_frame_unit(out, seq, 0);
    g_free(network);
    return g_byte_array_free_to_bytes(out);
}

static const NervSequence sane = {
    .version = NERV_STREAM_VERSION,
    .n_frames = 1,
    .width = 64,
    .height = 48,
    .fps_n = 25,
    .fps_d = 1,
    .par_n = 1,
    .par_d = 1,
};

/* Another version is an error that says so, not damage. */
GST_START_TEST(test_unknown_version)
{
    Fixture f;
    NervSequence seq = sane;
    GBytes *bytes;
    GstMessage *message;
    GError *error;

    seq.version = NERV_STREAM_VERSION + 1;
    bytes = unit_stream(&seq, 100);
    begin(&f);
    fail_unless_equals_int(gst_harness_push(f.h, slice(bytes, 0, g_bytes_get_size(bytes))), GST_FLOW_ERROR);
    message = gst_bus_pop_filtered(f.bus, GST_MESSAGE_ERROR);
    fail_unless(message != NULL);
    gst_message_parse_error(message, &error, NULL);
    fail_unless(g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_NOT_IMPLEMENTED));
    fail_unless(strstr(error->message, "version") != NULL, "%s", error->message);
    g_error_free(error);
    gst_message_unref(message);
    g_bytes_unref(bytes);
    end(&f);
}
GST_END_TEST;

/* Sizes out of range do not come through as caps; the parser goes on. */
GST_START_TEST(test_absurd_size)
{
    Fixture f;
    NervSequence seq = sane;
    GBytes *bytes;
    seq.width = 1u << 30;
    bytes = unit_stream(&seq, 100);
    begin(&f);
    push_bytes(&f, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    push_bytes(&f, g_bytes_get_data(f.stream, NULL), g_bytes_get_size(f.stream));
    push_eos(&f);
    expect_units(&f, "012345");
    fail_unless_equals_int(messages(&f, GST_MESSAGE_WARNING), 1);
    g_bytes_unref(bytes);
    end(&f);
}
GST_END_TEST;

/* A network beyond what the base class would skip (2 MiB) is damaged: the parser gets over it. */
GST_START_TEST(test_damaged_large_network)
{
    Fixture f;
    GBytes *bytes = unit_stream(&sane, 5 << 20);
    gsize size = g_bytes_get_size(bytes);
    guint8 *copy = g_memdup2(g_bytes_get_data(bytes, NULL), size);
    copy[size / 2] ^= 1;
    begin(&f);
    for (gsize i = 0; i < size; i += 65536)
        push_bytes(&f, copy + i, MIN(65536, size - i));
    push_bytes(&f, g_bytes_get_data(f.stream, NULL), g_bytes_get_size(f.stream));
    push_eos(&f);
    expect_units(&f, "012345");
    fail_unless_equals_int(messages(&f, GST_MESSAGE_ERROR), 0);
    g_free(copy);
    g_bytes_unref(bytes);
    end(&f);
}
GST_END_TEST;

/* Two streams behind each other, both with a segment 0, and the second's network is damaged: its frames must not be
 * taken for the first's. */
GST_START_TEST(test_same_segment_id)
{
    gsize second[3];
    GBytes *bytes = make_stream(2, 2, second);
    gsize size = g_bytes_get_size(bytes);
    guint8 *copy = g_memdup2(g_bytes_get_data(bytes, NULL), size);
    Fixture f;
    begin(&f);
    push_bytes(&f, g_bytes_get_data(f.stream, NULL), f.offset[3]);
    copy[second[1] / 2] ^= 1;
    push_bytes(&f, copy, size);
    push_eos(&f);
    expect_units(&f, "012");
    g_free(copy);
    g_bytes_unref(bytes);
    end(&f);
}
GST_END_TEST;

GST_START_TEST(test_garbage)
{
    Fixture f;
    guint8 *data = g_malloc(100000);
    for (guint i = 0; i < 100000; i++)
        data[i] = (guint8)(i * 7919 >> 3);
    begin(&f);
    push_bytes(&f, data, 100000);
    push_eos(&f);
    expect_units(&f, "");
    fail_unless_equals_int(messages(&f, GST_MESSAGE_ERROR), 1);
    g_free(data);
    end(&f);
}
GST_END_TEST;

/* --- containers --- */

/* Access units with the times `pts_us`; what comes out has the times `want_us`. */
static void container(const char *caps, const guint64 *pts_us, const guint64 *want_us)
{
    Fixture f;
    begin_with(&f, caps, GST_FORMAT_TIME);
    for (guint i = 0; i < N; i++) {
        GstBuffer *buffer = slice(f.stream, f.offset[i], f.offset[i + 1]);
        GST_BUFFER_PTS(buffer) = pts_us[i] == G_MAXUINT64 ? GST_CLOCK_TIME_NONE : pts_us[i] * GST_USECOND;
        fail_unless_equals_int(gst_harness_push(f.h, buffer), GST_FLOW_OK);
    }
    for (guint i = 0; i < N; i++) {
        GstBuffer *buffer = gst_harness_try_pull(f.h);
        fail_unless(buffer != NULL);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), want_us[i] * GST_USECOND);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), 40 * GST_MSECOND);
        gst_buffer_unref(buffer);
    }
    end(&f);
}

/* Rounded times are made exact, a shifted time line stays shifted, missing times are filled in. */
GST_START_TEST(test_container_times)
{
    static const guint64 rounded[N] = { 300, 39600, 80000, 120400, 159700, 200100 };
    static const guint64 exact[N] = { 0, 40000, 80000, 120000, 160000, 200000 };
    static const guint64 shifted[N] = { 5000000, 5040300, 5079800, 5120000, 5160000, 5200400 };
    static const guint64 shifted_exact[N] = { 5000000, 5040000, 5080000, 5120000, 5160000, 5200000 };
    static const guint64 sparse[N] = { 1000000, G_MAXUINT64, G_MAXUINT64, 1120000, G_MAXUINT64, 1200000 };
    static const guint64 sparse_exact[N] = { 1000000, 1040000, 1080000, 1120000, 1160000, 1200000 };
    static const guint64 jump[N] = { 0, 40000, 80000, 7120000, 7160000, 7200000 };
    container("video/x-unknown,codec-id=(string)V_NERV", rounded, exact);
    container("video/x-unknown,codec-id=(string)V_NERV", shifted, shifted_exact);
    container("video/x-gst-fourcc-nerv,width=64,height=48,framerate=25/1", exact, exact);
    container("video/x-nerv", sparse, sparse_exact);
    container("video/x-nerv", jump, jump);
}
GST_END_TEST;

GST_START_TEST(test_foreign_codecs_refused)
{
    static const char *const bad[] = { "video/x-unknown", "video/x-unknown,codec-id=(string)V_OTHER",
                                       "video/x-h264" };
    GstElement *parse = gst_element_factory_make("nervparse", NULL);
    GstPad *pad = gst_element_get_static_pad(parse, "sink");
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        GstCaps *caps = gst_caps_from_string(bad[i]);
        fail_if(gst_pad_query_accept_caps(pad, caps), "%s", bad[i]);
        gst_caps_unref(caps);
    }
    gst_object_unref(pad);
    gst_object_unref(parse);
}
GST_END_TEST;

/* --- typefind --- */

static GstTypeFindProbability find_type(const guint8 *data, gsize size)
{
    GstTypeFindProbability probability = GST_TYPE_FIND_NONE;
    GstCaps *caps = gst_type_find_helper_for_data(NULL, data, size, &probability);
    const bool ours = caps && gst_structure_has_name(gst_caps_get_structure(caps, 0), "video/x-nerv");
    g_clear_pointer(&caps, gst_caps_unref);
    return ours ? probability : GST_TYPE_FIND_NONE;
}

GST_START_TEST(test_typefind)
{
    Fixture f;
    gsize size;
    const guint8 *data;
    guint8 *copy;
    begin(&f);
    data = g_bytes_get_data(f.stream, &size);
    fail_unless_equals_int(find_type(data, size), GST_TYPE_FIND_MAXIMUM);
    fail_unless_equals_int(find_type(data + f.offset[1], size - f.offset[1]), GST_TYPE_FIND_MAXIMUM);
    fail_unless_equals_int(find_type(data, 12), GST_TYPE_FIND_LIKELY);
    fail_unless_equals_int(find_type(data + 1, size - 1), GST_TYPE_FIND_NONE);
    copy = g_memdup2(data, size);
    copy[6] ^= 1;
    fail_unless_equals_int(find_type(copy, size), GST_TYPE_FIND_NONE);
    g_free(copy);
    end(&f);
}
GST_END_TEST;

static Suite *nervparse_suite(void)
{
    Suite *s = suite_create("nervparse");
    TCase *tc = tcase_create("nervparse");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_caps);
    tcase_add_loop_test(tc, test_chunks, 0, 6);
    tcase_add_test(tc, test_starts_mid_stream);
    tcase_add_test(tc, test_asks_for_sync_point);
    tcase_add_test(tc, test_truncated);
    tcase_add_test(tc, test_truncated_and_continued);
    tcase_add_test(tc, test_damage);
    tcase_add_test(tc, test_flipped_bits);
    tcase_add_test(tc, test_unknown_version);
    tcase_add_test(tc, test_absurd_size);
    tcase_add_test(tc, test_damaged_large_network);
    tcase_add_test(tc, test_same_segment_id);
    tcase_add_test(tc, test_garbage);
    tcase_add_test(tc, test_container_times);
    tcase_add_test(tc, test_foreign_codecs_refused);
    tcase_add_test(tc, test_typefind);
    return s;
}

GST_CHECK_MAIN(nervparse);

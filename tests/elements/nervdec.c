/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Behaviour of nervdec on access units pushed one by one: round trips in every format, what it does without a
 * sync point, with damage, outside the segment and behind the clock.
 */
#include "common.h"

#define N 6

static const char parsed_caps[] =
    "video/x-nerv,stream-format=byte-stream,alignment=au,parsed=true,width=64,height=48,framerate=25/1";

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
} Fixture;

/* A decoder, caps set. */
static void begin(Fixture *f)
{
    f->stream = made;
    f->offset = made_offset;
    f->h = gst_harness_new("nervdec");
    gst_harness_set_src_caps_str(f->h, parsed_caps);
}

static void end(Fixture *f)
{
    gst_harness_teardown(f->h);
}

/* Access unit i as nervparse would hand it on. */
static GstBuffer *unit(Fixture *f, guint i)
{
    GstBuffer *buffer = slice(f->stream, f->offset[i], f->offset[i + 1]);
    GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = i * 40 * GST_MSECOND;
    GST_BUFFER_DURATION(buffer) = 40 * GST_MSECOND;
    if (i % 3 != 0)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    return buffer;
}

static void push_unit(Fixture *f, guint i)
{
    fail_unless_equals_int(gst_harness_push(f->h, unit(f, i)), GST_FLOW_OK);
}

static guint64 rendered(Fixture *f)
{
    GstStructure *stats;
    guint64 frames = 0;
    g_object_get(f->h->element, "stats", &stats, NULL);
    fail_unless(gst_structure_get_uint64(stats, "frames", &frames));
    gst_structure_free(stats);
    return frames;
}

static guint force_key_units(GstHarness *h)
{
    guint n = 0;
    GstEvent *event;
    while ((event = gst_harness_try_pull_upstream_event(h))) {
        n += gst_video_event_is_force_key_unit(event);
        gst_event_unref(event);
    }
    return n;
}

GST_START_TEST(test_decode)
{
    Fixture f;
    GstCaps *caps, *want;
    begin(&f);
    for (guint i = 0; i < N; i++) {
        GstBuffer *buffer;
        push_unit(&f, i);
        buffer = gst_harness_try_pull(f.h);
        fail_unless(buffer != NULL);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), i * 40 * GST_MSECOND);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), 40 * GST_MSECOND);
        fail_unless_equals_int(gst_buffer_get_size(buffer), 64 * 48 * 3);
        gst_buffer_unref(buffer);
    }
    caps = gst_pad_get_current_caps(f.h->sinkpad);
    want = gst_caps_from_string("video/x-raw,format=RGB,width=64,height=48,framerate=25/1,colorimetry=sRGB,"
                                "pixel-aspect-ratio=1/1,interlace-mode=progressive");
    fail_unless(gst_caps_is_subset(caps, want), "%s", gst_caps_to_string(caps));
    gst_caps_unref(want);
    gst_caps_unref(caps);
    fail_unless_equals_uint64(rendered(&f), N);
    end(&f);
}
GST_END_TEST;

/* Downstream's choice of format: the stream's own where it is possible, else what is asked for. */
GST_START_TEST(test_output_format)
{
    static const struct {
        const char *allowed, *chosen;
    } cases[] = {
        { "video/x-raw,format={ I420, NV12, BGRx, RGB }", "RGB" },
        { "video/x-raw,format={ NV12, I420 }", "NV12" },
        { "video/x-raw,format=BGRx", "BGRx" },
        { "video/x-raw,format={ GRAY8, RGBx }", "RGBx" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        Fixture f;
        GstCaps *caps;
        begin(&f);
        gst_harness_set_sink_caps_str(f.h, cases[i].allowed);
        push_unit(&f, 0);
        caps = gst_pad_get_current_caps(f.h->sinkpad);
        fail_unless(caps != NULL);
        fail_unless_equals_string(gst_structure_get_string(gst_caps_get_structure(caps, 0), "format"),
                                  cases[i].chosen);
        gst_caps_unref(caps);
        fail_unless_equals_int(gst_harness_buffers_received(f.h), 1);
        end(&f);
    }
}
GST_END_TEST;

/* Another format than the stream's own is one of the same colour model where there is one. */
GST_START_TEST(test_nearest_format)
{
    static const struct {
        const char *own, *allowed, *chosen;
    } cases[] = {
        { "I420", "video/x-raw,format={ RGB, BGRx, NV12 }", "NV12" },
        { "I420", "video/x-raw,format=RGBx;video/x-raw,format={ BGRx, NV12 }", "NV12" },
        { "I420", "video/x-raw,format={ BGRx, RGB }", "BGRx" },
        { "I420", "video/x-raw,format={ NV12, RGB, I420 }", "I420" },
        { "RGB", "video/x-raw,format={ NV12, I420, RGBx, BGRx }", "RGBx" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GstHarness *h = gst_harness_new_parse(TINY_ENC " segment-frames=1 ! nervdec");
        GstVideoInfo info;
        GstCaps *caps;
        video_info(&info, gst_video_format_from_string(cases[i].own), 64, 48, 25, 1);
        gst_harness_set_sink_caps_str(h, cases[i].allowed);
        gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
        fail_unless_equals_int(gst_harness_push(h, picture(&info, 0)), GST_FLOW_OK);
        caps = gst_pad_get_current_caps(h->sinkpad);
        fail_unless(caps != NULL);
        fail_unless_equals_string(gst_structure_get_string(gst_caps_get_structure(caps, 0), "format"),
                                  cases[i].chosen);
        gst_caps_unref(caps);
        gst_harness_teardown(h);
    }
}
GST_END_TEST;

/* The pictures agree in whatever format they come out: BGRx has RGB's values, in another order. */
GST_START_TEST(test_formats_agree)
{
    Fixture f;
    GstBuffer *rgb, *bgrx;
    GstMapInfo a, b;
    begin(&f);
    push_unit(&f, 0);
    rgb = gst_harness_pull(f.h);
    end(&f);
    begin(&f);
    gst_harness_set_sink_caps_str(f.h, "video/x-raw,format=BGRx");
    push_unit(&f, 0);
    bgrx = gst_harness_pull(f.h);
    end(&f);
    gst_buffer_map(rgb, &a, GST_MAP_READ);
    gst_buffer_map(bgrx, &b, GST_MAP_READ);
    fail_unless_equals_int(b.size, 64 * 48 * 4);
    for (guint i = 0; i < 64 * 48; i++)
        for (guint c = 0; c < 3; c++)
            fail_unless_equals_int(a.data[3 * i + c], b.data[4 * i + 2 - c]);
    gst_buffer_unmap(rgb, &a);
    gst_buffer_unmap(bgrx, &b);
    gst_buffer_unref(rgb);
    gst_buffer_unref(bgrx);
}
GST_END_TEST;

/* Padding of odd sizes is zero: no old memory goes out, and the same stream gives the same bytes. */
GST_START_TEST(test_padding)
{
    GstHarness *h = gst_harness_new_parse(TINY_ENC " segment-frames=2 ! nervparse ! nervdec");
    GstVideoInfo info;
    video_info(&info, GST_VIDEO_FORMAT_RGB, 33, 17, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    for (guint i = 0; i < 2; i++)
        fail_unless_equals_int(gst_harness_push(h, picture(&info, i)), GST_FLOW_OK);
    for (guint i = 0; i < 2; i++) {
        GstBuffer *buffer = gst_harness_pull(h);
        GstMapInfo map;
        fail_unless(gst_buffer_map(buffer, &map, GST_MAP_READ));
        fail_unless_equals_int(map.size, 100 * 17);
        for (guint y = 0; y < 17; y++)
            fail_unless_equals_int(map.data[100 * y + 99], 0);
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
    gst_harness_teardown(h);
}
GST_END_TEST;

/* Joined in the middle: nothing comes out before a sync point and upstream is asked for one. */
GST_START_TEST(test_starts_mid_stream)
{
    Fixture f;
    begin(&f);
    push_unit(&f, 1);
    push_unit(&f, 2);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 0);
    fail_unless(force_key_units(f.h) >= 1, "upstream was not asked for a key unit");
    push_unit(&f, 3);
    push_unit(&f, 4);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 2);
    fail_unless_equals_int(force_key_units(f.h), 0);
    end(&f);
}
GST_END_TEST;

/* A segment's first unit is lost: its frames are not decoded with the segment before's network. */
GST_START_TEST(test_lost_sync_point)
{
    Fixture f;
    begin(&f);
    push_unit(&f, 0);
    push_unit(&f, 4);
    push_unit(&f, 5);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 1);
    fail_unless(force_key_units(f.h) >= 1);
    end(&f);
}
GST_END_TEST;

/* Damage is a warning; the decoder goes on at the next sync point. */
GST_START_TEST(test_damage)
{
    Fixture f;
    GstBus *bus = gst_bus_new();
    GstMessage *message;
    GstBuffer *buffer;
    GstMapInfo map;

    begin(&f);
    gst_element_set_bus(f.h->element, bus);
    buffer = unit(&f, 0);
    fail_unless(gst_buffer_map(buffer, &map, GST_MAP_READWRITE));
    map.data[map.size / 2] ^= 0x10;
    gst_buffer_unmap(buffer, &map);
    fail_unless_equals_int(gst_harness_push(f.h, buffer), GST_FLOW_OK);
    message = gst_bus_pop_filtered(bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
    fail_unless(message != NULL && GST_MESSAGE_TYPE(message) == GST_MESSAGE_WARNING);
    gst_message_unref(message);
    push_unit(&f, 1);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 0);
    push_unit(&f, 3);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 1);
    gst_element_set_bus(f.h->element, NULL);
    gst_object_unref(bus);
    end(&f);
}
GST_END_TEST;

/* Of a frame that is no sync point only that frame is lost. */
GST_START_TEST(test_damaged_frame)
{
    Fixture f;
    GstBuffer *buffer;
    GstMapInfo map;
    begin(&f);
    push_unit(&f, 0);
    buffer = unit(&f, 1);
    fail_unless(gst_buffer_map(buffer, &map, GST_MAP_READWRITE));
    map.data[map.size - 1] ^= 0x10;
    gst_buffer_unmap(buffer, &map);
    fail_unless_equals_int(gst_harness_push(f.h, buffer), GST_FLOW_OK);
    push_unit(&f, 2);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 2);
    fail_unless_equals_int(force_key_units(f.h), 0);
    end(&f);
}
GST_END_TEST;

/* After a flush the network is forgotten: what comes may belong to any segment. */
GST_START_TEST(test_flush)
{
    Fixture f;
    GstSegment segment;
    begin(&f);
    push_unit(&f, 0);
    gst_harness_push_event(f.h, gst_event_new_flush_start());
    gst_harness_push_event(f.h, gst_event_new_flush_stop(TRUE));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(f.h, gst_event_new_segment(&segment));
    push_unit(&f, 1);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 1);
    push_unit(&f, 3);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 2);
    end(&f);
}
GST_END_TEST;

/* Frames outside the segment are read but never computed. */
GST_START_TEST(test_outside_segment)
{
    Fixture f;
    GstSegment segment;
    GstBuffer *buffer;
    begin(&f);
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = segment.time = segment.position = 80 * GST_MSECOND;
    segment.stop = 160 * GST_MSECOND;
    gst_harness_push_event(f.h, gst_event_new_segment(&segment));
    for (guint i = 0; i < N; i++)
        push_unit(&f, i);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 2);
    fail_unless_equals_uint64(rendered(&f), 2);
    buffer = gst_harness_pull(f.h);
    fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), 80 * GST_MSECOND);
    gst_buffer_unref(buffer);
    end(&f);
}
GST_END_TEST;

static void push_segment(Fixture *f, GstClockTime start, GstSegmentFlags flags)
{
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = segment.time = segment.position = start;
    segment.flags = flags;
    gst_harness_push_event(f->h, gst_event_new_segment(&segment));
}

/* A segment behind all frames, as a seek to the very end gives: nothing comes out, and that is no error. */
GST_START_TEST(test_segment_behind_all)
{
    Fixture f;
    GstBus *bus = gst_bus_new();
    for (guint k = 0; k < 2; k++) {
        begin(&f);
        gst_element_set_bus(f.h->element, bus);
        push_segment(&f, N * 40 * GST_MSECOND, 0);
        for (guint i = 0; i < N; i++) {
            GstBuffer *buffer = unit(&f, i);
            if (k) /* of a variable rate */
                GST_BUFFER_DURATION(buffer) = GST_CLOCK_TIME_NONE;
            fail_unless_equals_int(gst_harness_push(f.h, buffer), GST_FLOW_OK);
        }
        fail_unless(gst_harness_push_event(f.h, gst_event_new_eos()));
        fail_unless_equals_int(gst_harness_buffers_received(f.h), 0);
        fail_unless_equals_uint64(rendered(&f), 0);
        fail_unless(gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING) == NULL);
        gst_element_set_bus(f.h->element, NULL);
        end(&f);
    }
    gst_object_unref(bus);
}
GST_END_TEST;

/* Without a parser that drops them: frames between sync points are not computed in a key-unit trick mode. */
GST_START_TEST(test_trick_mode)
{
    Fixture f;
    begin(&f);
    push_segment(&f, 0, GST_SEGMENT_FLAG_TRICKMODE | GST_SEGMENT_FLAG_TRICKMODE_KEY_UNITS);
    for (guint i = 0; i < N; i++)
        push_unit(&f, i);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 2);
    fail_unless_equals_uint64(rendered(&f), 2);
    end(&f);
}
GST_END_TEST;

/* --- pools that do not do what they are asked for --- */

typedef enum { PICKY, STUBBORN, N_POOLS } PoolKind;

typedef struct {
    GstBufferPool parent;
    PoolKind kind;
    guint refused;
} TestPool;
typedef struct {
    GstBufferPoolClass parent;
} TestPoolClass;
GType test_pool_get_type(void);
G_DEFINE_TYPE(TestPool, test_pool, GST_TYPE_BUFFER_POOL)

/* Does not do GstVideoMeta. A picky pool offers what it was asked for without it, a stubborn one buffers that are too
 * small. */
static gboolean test_pool_set_config(GstBufferPool *pool, GstStructure *config)
{
    TestPool *self = (TestPool *)pool;
    GstCaps *caps;
    guint size, min, max;
    if (!gst_buffer_pool_config_has_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META))
        return GST_BUFFER_POOL_CLASS(test_pool_parent_class)->set_config(pool, config);
    self->refused++;
    gst_structure_remove_field(config, "options");
    gst_buffer_pool_config_get_params(config, &caps, &size, &min, &max);
    gst_buffer_pool_config_set_params(config, caps, self->kind == PICKY ? size + 64 : size / 2, min, max);
    GST_BUFFER_POOL_CLASS(test_pool_parent_class)->set_config(pool, config);
    return FALSE;
}

static void test_pool_class_init(TestPoolClass *klass)
{
    GST_BUFFER_POOL_CLASS(klass)->set_config = test_pool_set_config;
}

static void test_pool_init(TestPool *self)
{
}

static GstPadProbeReturn propose_pool(GstPad *pad, GstPadProbeInfo *info, gpointer pool)
{
    GstQuery *query = GST_PAD_PROBE_INFO_QUERY(info);
    if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION)
        return GST_PAD_PROBE_OK;
    gst_query_add_allocation_pool(query, pool, 64 * 48 * 3, 2, 0);
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    return GST_PAD_PROBE_HANDLED;
}

GST_START_TEST(test_difficult_pools)
{
    TestPool *pool = g_object_new(test_pool_get_type(), NULL);
    Fixture f;
    GstBuffer *buffer;
    pool->kind = __i__;
    begin(&f);
    gst_pad_add_probe(f.h->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, propose_pool, pool, NULL);
    for (guint i = 0; i < N; i++) {
        push_unit(&f, i);
        buffer = gst_harness_pull(f.h);
        fail_unless_equals_int(gst_buffer_get_size(buffer), 64 * 48 * 3 + (__i__ == PICKY ? 64 : 0));
        fail_unless(buffer->pool == &pool->parent, "the pool was not used");
        gst_buffer_unref(buffer);
    }
    fail_unless(pool->refused >= 1, "GstVideoMeta was never asked for");
    end(&f);
    gst_object_unref(pool);
}
GST_END_TEST;

/* A sink that is late: frames that cannot be in time are dropped before they are computed. */
GST_START_TEST(test_qos)
{
    Fixture f;
    begin(&f);
    push_unit(&f, 0);
    gst_harness_push_upstream_event(
        f.h, gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 2., 10 * GST_MSECOND, 40 * GST_MSECOND));
    push_unit(&f, 1);
    push_unit(&f, 2);
    push_unit(&f, 3);
    push_unit(&f, 4);
    fail_unless(rendered(&f) < 5);
    fail_unless(rendered(&f) >= 2, "the first late enough frame was dropped as well");
    fail_unless_equals_uint64(rendered(&f), gst_harness_buffers_received(f.h));
    end(&f);
}
GST_END_TEST;

/* A transport without time stamps: the stream's own are used. */
GST_START_TEST(test_no_timestamps)
{
    Fixture f;
    begin(&f);
    for (guint i = 0; i < 2; i++) {
        GstBuffer *buffer = unit(&f, i);
        GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = GST_BUFFER_DURATION(buffer) = GST_CLOCK_TIME_NONE;
        fail_unless_equals_int(gst_harness_push(f.h, buffer), GST_FLOW_OK);
        buffer = gst_harness_pull(f.h);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), i * 40 * GST_MSECOND);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), 40 * GST_MSECOND);
        gst_buffer_unref(buffer);
    }
    end(&f);
}
GST_END_TEST;

/* Whichever bound is exceeded, the error is the element's, and comes before any frame. */
static void expect_bound(const char *property, int code)
{
    Fixture f;
    GstBus *bus = gst_bus_new();
    GstElement *dec = gst_element_factory_make("nervdec", NULL);
    GstMessage *message;
    GError *error;

    g_object_set(dec, property, (guint64)1000, NULL);
    f.stream = made;
    f.offset = made_offset;
    f.h = gst_harness_new_with_element(dec, "sink", "src");
    gst_object_unref(dec);
    gst_element_set_bus(f.h->element, bus);
    gst_harness_set_src_caps_str(f.h, parsed_caps);
    fail_unless_equals_int(gst_harness_push(f.h, unit(&f, 0)), GST_FLOW_ERROR);
    message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    fail_unless(message != NULL);
    gst_message_parse_error(message, &error, NULL);
    fail_unless(g_error_matches(error, GST_RESOURCE_ERROR, code), "%s", error->message);
    fail_unless(strstr(error->message, property) != NULL, "%s", error->message);
    fail_unless_equals_int(gst_harness_buffers_received(f.h), 0);
    g_error_free(error);
    gst_message_unref(message);
    gst_element_set_bus(f.h->element, NULL);
    gst_object_unref(bus);
    end(&f);
}

GST_START_TEST(test_bounds)
{
    expect_bound("max-memory", GST_RESOURCE_ERROR_NO_SPACE_LEFT);
    expect_bound("max-macs-per-frame", GST_RESOURCE_ERROR_FAILED);
}
GST_END_TEST;

/* No driver: an element error at start that names what is missing. */
GST_START_TEST(test_no_vulkan_driver)
{
    GstElement *dec = gst_element_factory_make("nervdec", NULL);
    GstBus *bus = gst_bus_new();
    GstMessage *message;
    GError *error;

    g_setenv("VK_ICD_FILENAMES", "/nonexistent/driver.json", TRUE);
    g_setenv("VK_DRIVER_FILES", "/nonexistent/driver.json", TRUE);
    g_object_set(dec, "device", "vulkan", NULL);
    gst_element_set_bus(dec, bus);
    fail_unless_equals_int(gst_element_set_state(dec, GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
    message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    fail_unless(message != NULL);
    gst_message_parse_error(message, &error, NULL);
    fail_unless(g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND), "%s",
                error->message);
    fail_unless(strstr(error->message, "ulkan") != NULL, "%s", error->message);
    g_error_free(error);
    gst_message_unref(message);
    gst_element_set_state(dec, GST_STATE_NULL);
    gst_element_set_bus(dec, NULL);
    gst_object_unref(dec);
    gst_object_unref(bus);
    g_unsetenv("VK_ICD_FILENAMES");
    g_unsetenv("VK_DRIVER_FILES");
}
GST_END_TEST;

static Suite *nervdec_suite(void)
{
    Suite *s = suite_create("nervdec");
    TCase *tc = tcase_create("nervdec");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_decode);
    tcase_add_test(tc, test_output_format);
    tcase_add_test(tc, test_nearest_format);
    tcase_add_test(tc, test_formats_agree);
    tcase_add_test(tc, test_padding);
    tcase_add_test(tc, test_starts_mid_stream);
    tcase_add_test(tc, test_lost_sync_point);
    tcase_add_test(tc, test_damage);
    tcase_add_test(tc, test_damaged_frame);
    tcase_add_test(tc, test_flush);
    tcase_add_test(tc, test_outside_segment);
    tcase_add_test(tc, test_segment_behind_all);
    tcase_add_test(tc, test_trick_mode);
    tcase_add_loop_test(tc, test_difficult_pools, 0, N_POOLS);
    tcase_add_test(tc, test_qos);
    tcase_add_test(tc, test_no_timestamps);
    tcase_add_test(tc, test_bounds);
    tcase_add_test(tc, test_no_vulkan_driver);
    return s;
}

GST_CHECK_MAIN(nervdec);

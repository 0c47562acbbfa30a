/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervenc ! nervparse ! nervdec in one pipeline: every format, odd sizes, frame rates, time offsets, the paper's pipeline; the pictures come
 * back in order and look like the source's. The meson suite runs this on the CPU and on Vulkan.
 */
#include "common.h"

typedef struct {
    GstVideoInfo info; /* of the source */
    guint n;           /* frames */
    guint segment_frames, epochs;
    GstClockTime offset; /* added to all times */
    double max_error;    /* of a decoded picture; 0: not compared */
    const char *more;    /* properties of nervenc besides; NULL: rate-weight=0 */
} Trip;

/* Encodes, parses and decodes; checks number, times, caps and pictures. */
static void round_trip(const Trip *t)
{
    char *text = g_strdup_printf("nervenc model=nerv-mlp %s segment-frames=%u epochs=%u "
                                 "learning-rate=0.01 model-options=\"options,"
                                 "stem=16,base-channels=4,widths=<8,8>,strides=<2,2>\" ! nervparse ! nervdec",
                                 t->more ? t->more : "rate-weight=0", t->segment_frames, t->epochs);
    GstHarness *h = gst_harness_new_parse(text);
    GstCaps *caps = gst_video_info_to_caps(&t->info), *got;

    gst_harness_set_src_caps(h, gst_caps_ref(caps));
    gst_harness_set_sink_caps(
        h, gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING,
                               gst_structure_get_string(gst_caps_get_structure(caps, 0), "format"), NULL));
    for (guint i = 0; i < t->n; i++) {
        GstBuffer *buffer = picture(&t->info, i);
        GST_BUFFER_PTS(buffer) += t->offset;
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    fail_unless_equals_int(gst_harness_buffers_received(h), t->n);

    got = gst_pad_get_current_caps(h->sinkpad);
    fail_unless(gst_caps_is_subset(got, caps), "%s became %s", gst_caps_to_string(caps),
                gst_caps_to_string(got));
    for (guint i = 0; i < t->n; i++) {
        GstBuffer *buffer = gst_harness_pull(h), *source = picture(&t->info, i);
        double error;
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), GST_BUFFER_PTS(source) + t->offset);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), GST_BUFFER_DURATION(source));
        error = picture_error(&t->info, buffer, source);
        GST_INFO("error %.3f", error);
        fail_unless(!t->max_error || error <= t->max_error, "frame %u: error %.3f", i, error);
        gst_buffer_unref(source);
        gst_buffer_unref(buffer);
    }
    gst_caps_unref(got);
    gst_caps_unref(caps);
    gst_harness_teardown(h);
    g_free(text);
}

static const GstVideoFormat formats[] = {
    GST_VIDEO_FORMAT_RGB,  GST_VIDEO_FORMAT_RGBx, GST_VIDEO_FORMAT_BGRx,
    GST_VIDEO_FORMAT_I420, GST_VIDEO_FORMAT_NV12,
};

#ifdef __SANITIZE_ADDRESS__ /* too slow to learn anything */
#define EPOCHS    1
#define MAX_ERROR 0
#else
#define EPOCHS    150
#define MAX_ERROR .3
#endif

/* Enough training that a wrong plane order, stride or matrix would show. */
GST_START_TEST(test_formats)
{
    Trip t = { .n = 3, .segment_frames = 3, .epochs = EPOCHS, .max_error = MAX_ERROR };
    video_info(&t.info, formats[__i__], 64, 48, 25, 1);
    round_trip(&t);
}
GST_END_TEST;

GST_START_TEST(test_odd_size)
{
    Trip t = { .n = 3, .segment_frames = 3, .epochs = EPOCHS, .max_error = MAX_ERROR };
    video_info(&t.info, formats[__i__], 97, 61, 25, 1);
    round_trip(&t);
}
GST_END_TEST;

GST_START_TEST(test_paper_pipeline)
{
    static const char *const more[] = { "coding=huffman", "pruning=0.4",
                                        "pruning=0.4 coding=huffman bits=6 rate-weight=0" };
    Trip t = { .n = 3, .segment_frames = 3, .epochs = EPOCHS, .max_error = MAX_ERROR, .more = more[__i__] };
    video_info(&t.info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    round_trip(&t);
}
GST_END_TEST;

GST_START_TEST(test_smallest_size)
{
    Trip t = { .n = 2, .segment_frames = 2, .epochs = 1 };
    video_info(&t.info, formats[__i__], 16, 16, 25, 1);
    round_trip(&t);
    video_info(&t.info, formats[__i__], 17, 16, 25, 1);
    round_trip(&t);
}
GST_END_TEST;

GST_START_TEST(test_rates)
{
    static const gint rates[][2] = { { 30000, 1001 }, { 24000, 1001 }, { 1, 2 }, { 120, 1 } };
    Trip t = { .n = 9, .segment_frames = 4, .epochs = 1 };
    video_info(&t.info, GST_VIDEO_FORMAT_RGB, 64, 48, rates[__i__][0], rates[__i__][1]);
    round_trip(&t);
    t.offset = 3600 * GST_SECOND + 1;
    round_trip(&t);
}
GST_END_TEST;

GST_START_TEST(test_aspect_and_colours)
{
    Trip t = { .n = 2, .segment_frames = 2, .epochs = 1 };
    video_info(&t.info, GST_VIDEO_FORMAT_I420, 64, 48, 25, 1);
    GST_VIDEO_INFO_PAR_N(&t.info) = 16;
    GST_VIDEO_INFO_PAR_D(&t.info) = 11;
    fail_unless(gst_video_colorimetry_from_string(&t.info.colorimetry, "bt709"));
    t.info.chroma_site = GST_VIDEO_CHROMA_SITE_MPEG2;
    round_trip(&t);
    fail_unless(gst_video_colorimetry_from_string(&t.info.colorimetry, "1:4:16:3")); /* JPEG's full range */
    t.info.chroma_site = GST_VIDEO_CHROMA_SITE_JPEG;
    round_trip(&t);
    fail_unless(gst_video_colorimetry_from_string(&t.info.colorimetry, "bt2020"));
    t.info.chroma_site = GST_VIDEO_CHROMA_SITE_COSITED;
    round_trip(&t);
}
GST_END_TEST;

/* Variable rate: presentation times are kept; a file holds no durations then. */
GST_START_TEST(test_variable_rate)
{
    static const guint64 ms[] = { 0, 40, 95, 96, 400, 1000 };
    GstHarness *h = gst_harness_new_parse(TINY_ENC " segment-frames=4 ! nervparse ! nervdec");
    GstVideoInfo info;
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 0, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    for (guint i = 0; i < G_N_ELEMENTS(ms); i++) {
        GstBuffer *buffer = picture(&info, i);
        GST_BUFFER_PTS(buffer) = ms[i] * GST_MSECOND;
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    for (guint i = 0; i < G_N_ELEMENTS(ms); i++) {
        GstBuffer *buffer = gst_harness_try_pull(h);
        fail_unless(buffer != NULL);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), ms[i] * GST_MSECOND);
        gst_buffer_unref(buffer);
    }
    gst_harness_teardown(h);
}
GST_END_TEST;

/* Another size and format in the middle of the stream. */
GST_START_TEST(test_caps_change)
{
    GstHarness *h = gst_harness_new_parse(TINY_ENC " segment-frames=4 ! nervparse ! nervdec");
    static const gint size[3][2] = { { 64, 48 }, { 33, 17 }, { 48, 64 } };
    for (guint i = 0; i < 3; i++) {
        GstVideoInfo info;
        video_info(&info, formats[i + 1], size[i][0], size[i][1], 25, 1);
        gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
        for (guint k = 0; k < 3; k++)
            fail_unless_equals_int(gst_harness_push(h, picture(&info, 3 * i + k)), GST_FLOW_OK);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    for (guint i = 0; i < 9; i++) {
        GstBuffer *buffer = gst_harness_try_pull(h);
        GstVideoInfo info;
        fail_unless(buffer != NULL);
        video_info(&info, formats[i / 3 + 1], size[i / 3][0], size[i / 3][1], 25, 1);
        fail_unless_equals_int(gst_buffer_get_size(buffer), GST_VIDEO_INFO_SIZE(&info));
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), i * 40 * GST_MSECOND);
        gst_buffer_unref(buffer);
    }
    gst_harness_teardown(h);
}
GST_END_TEST;

static Suite *roundtrip_suite(void)
{
    Suite *s = suite_create("roundtrip");
    TCase *tc = tcase_create("roundtrip");
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_formats, 0, G_N_ELEMENTS(formats));
    tcase_add_loop_test(tc, test_odd_size, 0, G_N_ELEMENTS(formats));
    tcase_add_loop_test(tc, test_paper_pipeline, 0, 3);
    tcase_add_loop_test(tc, test_smallest_size, 0, G_N_ELEMENTS(formats));
    tcase_add_loop_test(tc, test_rates, 0, 4);
    tcase_add_test(tc, test_aspect_and_colours);
    tcase_add_test(tc, test_variable_rate);
    tcase_add_test(tc, test_caps_change);
    return s;
}

GST_CHECK_MAIN(roundtrip);

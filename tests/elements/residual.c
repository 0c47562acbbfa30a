/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warm-start=residual as a user meets it: segments that are no sync points, seeks into them, forced key units, a
 * beginning in the middle, and what stats say.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "common.h"

#define N       20
#define SEGMENT 4
#define FRAME   (40 * GST_MSECOND)

#define ENC                                                                                                  \
    "videotestsrc pattern=gradient num-buffers=20 ! "                                                        \
    "video/x-raw,format=RGB,width=64,height=48,framerate=25/1 "                                              \
    "! nervenc name=enc epochs=10 tune=psnr segment-frames=4 warm-start=residual "

static char *raw;
static GPtrArray *reference; /* decoded frames */
static bool is_sync[N];      /* of the byte stream */

static GPtrArray *run(const char *description, PipelineFunc done, gpointer user)
{
    GPtrArray *frames = new_frames();
    RunResult r;
    run_pipeline(description, 60, collect_frames, done, frames, &r);
    fail_unless(r.eos && !r.error, "%s: %s", description, r.error ? r.error->message : "no end");
    run_result_clear(&r);
    return frames;
}

static void check_stats(GstElement *pipeline, gpointer user)
{
    choice_of(pipeline, "residual");
}

static void setup(void)
{
    g_autofree char *directory = g_dir_make_tmp("nerv-residual-XXXXXX", NULL);
    raw = g_build_filename(directory, "a.nerv", NULL);
    g_autofree char *encode = g_strdup_printf(ENC "! filesink location=%s", raw);
    g_autofree char *parse = g_strdup_printf("filesrc location=%s ! nervparse ! fakesink name=sink", raw);
    g_autofree char *play =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", raw);
    RunResult r;
    run_pipeline(encode, 60, NULL, check_stats, NULL, &r);
    fail_unless(r.eos && !r.error, "%s", r.error ? r.error->message : "no end");
    run_result_clear(&r);
    GPtrArray *units = run(parse, NULL, NULL);
    fail_unless_equals_int(units->len, N);
    for (guint i = 0; i < N; i++)
        is_sync[i] = !GST_BUFFER_FLAG_IS_SET(g_ptr_array_index(units, i), GST_BUFFER_FLAG_DELTA_UNIT);
    g_ptr_array_unref(units);
    reference = run(play, NULL, NULL);
    fail_unless_equals_int(reference->len, N);
}

static void teardown(void)
{
    g_autofree char *directory = g_path_get_dirname(raw);
    g_unlink(raw);
    g_rmdir(directory);
    g_free(raw);
    g_ptr_array_unref(reference);
}

static guint n_sync(void)
{
    guint n = 0;
    for (guint i = 0; i < N; i++) {
        fail_unless(!is_sync[i] || i % SEGMENT == 0);
        n += is_sync[i];
    }
    return n;
}

/* The picture stands still: after the first segment residuals are better. */
GST_START_TEST(test_sync_points)
{
    fail_unless(is_sync[0]);
    fail_unless(n_sync() <= 2, "%u sync points", n_sync());
}
GST_END_TEST;

static void seek_and_check(const char *description, guint to)
{
    const SeekCall call = {
        1., GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, to * FRAME, GST_SEEK_TYPE_NONE, 0
    };
    GPtrArray *frames = play_from_seek(description, &call);
    fail_unless_equals_int(frames->len, N - to);
    for (guint i = 0; i < frames->len; i++)
        fail_unless(same_content(g_ptr_array_index(frames, i), g_ptr_array_index(reference, to + i)),
                    "frame %u", to + i);
    g_ptr_array_unref(frames);
}

GST_START_TEST(test_seek)
{
    static const guint to[] = { 0, 5, 8, 19, 13 };
    g_autofree char *file =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", raw);
    g_autofree char *pushed = g_strdup_printf(
        "filesrc location=%s ! queue max-size-buffers=1 ! nervparse ! nervdec ! fakesink name=sink", raw);
    for (guint i = 0; i < G_N_ELEMENTS(to); i++) {
        seek_and_check(file, to[i]);
        seek_and_check(pushed, to[i]);
    }
}
GST_END_TEST;

/* Backwards several networks lie between sync points: each is read again for its frames. */
GST_START_TEST(test_reverse)
{
    static const guint ranges[][2] = { { 19, 0 }, { 14, 6 }, { 9, 9 }, { 3, 1 } };
    g_autofree char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", raw);
    for (guint r = 0; r < G_N_ELEMENTS(ranges); r++) {
        const guint from = ranges[r][0], to = ranges[r][1];
        const SeekCall call = { -1.,        GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET,
                                to * FRAME, GST_SEEK_TYPE_SET,      (from + 1) * FRAME };
        GPtrArray *frames = play_from_seek(text, &call);
        fail_unless_equals_int(frames->len, from - to + 1);
        for (guint k = 0; k < frames->len; k++) {
            GstBuffer *buffer = g_ptr_array_index(frames, k);
            fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), (from - k) * FRAME);
            fail_unless(same_content(buffer, g_ptr_array_index(reference, from - k)), "frame %u", from - k);
        }
        g_ptr_array_unref(frames);
    }
}
GST_END_TEST;

/* Who comes in after the first sync point sees nothing until the next one, and no error. */
GST_START_TEST(test_begin_later)
{
    GPtrArray *frames = new_frames();
    guint next = SEGMENT;
    RunResult r;
    g_autofree char *cut = g_strdup_printf("%s.cut", raw);
    g_autofree char *data = NULL;
    gsize size, at = 0;
    fail_unless(g_file_get_contents(raw, &data, &size, NULL));
    for (guint i = 0; i < SEGMENT; i++) {
        NervAccessUnit au;
        gsize need;
        fail_unless_equals_int(nerv_access_unit_scan((uint8_t *)data + at, size - at, &au, &need),
                               NERV_SCAN_OK);
        at += au.bytes;
    }
    fail_unless(g_file_set_contents(cut, data + at, (gssize)(size - at), NULL));
    g_autofree char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", cut);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    g_unlink(cut);
    while (next < N && !is_sync[next])
        next++;
    if (next < N) {
        fail_unless(r.eos && !r.error);
        fail_unless_equals_int(frames->len, N - next);
        fail_unless(same_content(g_ptr_array_index(frames, 0), g_ptr_array_index(reference, next)));
    } else {
        fail_unless_equals_int(frames->len, 0);
    }
    run_result_clear(&r);
    g_ptr_array_unref(frames);
}
GST_END_TEST;

/* A key unit that is asked for is a sync point, and the interval holds. */
GST_START_TEST(test_forced)
{
    GstHarness *h = gst_harness_new_parse(
        "nervenc epochs=10 tune=psnr segment-frames=4 warm-start=residual sync-interval=2");
    GstVideoInfo info;
    bool sync[N];
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    for (guint i = 0; i < N; i++) {
        GstBuffer *buffer = picture(&info, 0);
        GST_BUFFER_PTS(buffer) = i * FRAME;
        if (i == 10)
            gst_harness_push_upstream_event(
                h, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, FALSE, 1));
        fail_unless_equals_int(gst_harness_push(h, buffer), GST_FLOW_OK);
    }
    gst_harness_push_event(h, gst_event_new_eos());
    fail_unless_equals_int(gst_harness_buffers_in_queue(h), N);
    for (guint i = 0; i < N; i++) {
        GstBuffer *buffer = gst_harness_pull(h);
        sync[i] = !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
        gst_buffer_unref(buffer);
    }
    /* segments begin at 0, 4, 8, 10, 14, 18 */
    fail_unless(sync[0] && (sync[4] || sync[8]) && sync[10] && (sync[14] || sync[18]));
    gst_harness_teardown(h);
}
GST_END_TEST;

static Suite *residual_suite(void)
{
    Suite *s = suite_create("residual");
    TCase *tc = tcase_create("files"), *live = tcase_create("live");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_sync_points);
    tcase_add_test(tc, test_seek);
    tcase_add_test(tc, test_reverse);
    tcase_add_test(tc, test_begin_later);
    suite_add_tcase(s, tc);
    tcase_set_timeout(live, 120);
    tcase_add_test(live, test_forced);
    suite_add_tcase(s, live);
    return s;
}

GST_CHECK_MAIN(residual)

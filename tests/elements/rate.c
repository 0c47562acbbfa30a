/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervdec at another frame rate than the stream's, where downstream takes no other: how many pictures there are and when, which of them are the stream's own, what a seek
 * shows, and what networks say that know nothing of times between frames.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "common.h"

#define FPS     10
#define FRAMES  16
#define SEGMENT 8

/* A file of so many frames of a ball at 10 a second, in two segments. */
static char *make_file(const char *properties)
{
    RunResult r;
    char *path = NULL;
    const gint file = g_file_open_tmp("nerv-rate-XXXXXX.nerv", &path, NULL);
    g_close(file, NULL);
    char *text = g_strdup_printf("videotestsrc pattern=ball num-buffers=%d ! "
                                 "video/x-raw,format=RGB,width=64,height=48,framerate=%d/1 ! "
                                 "nervenc device=cpu segment-frames=%d epochs=8 %s ! filesink location=%s",
                                 FRAMES, FPS, SEGMENT, properties, path);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos, "%s", r.error ? r.error->message : "");
    run_result_clear(&r);
    g_free(text);
    return path;
}

static char *chain(const char *path, const char *caps)
{
    return g_strdup_printf("filesrc location=%s ! nervparse ! nervdec device=cpu ! video/x-raw,format=RGB%s "
                           "! fakesink name=sink",
                           path, caps);
}

static GPtrArray *play(const char *path, const char *caps)
{
    RunResult r;
    GPtrArray *frames = new_frames();
    char *text = chain(path, caps);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos, "%s: %s", caps, r.error ? r.error->message : "");
    run_result_clear(&r);
    g_free(text);
    return frames;
}

/* Pictures are n/d a second, without a gap and to the end; where a time is a frame's, the picture is the frame's own. Returns how many of the others are no
 * frame's. */
static guint check_play(const GPtrArray *frames, const GPtrArray *own, gint n, gint d)
{
    guint between = 0;
    fail_unless_equals_int(frames->len, (FRAMES * n + FPS * d - 1) / (FPS * d));
    for (guint k = 0; k < frames->len; k++) {
        GstBuffer *buffer = g_ptr_array_index(frames, k);
        const guint64 time = gst_util_uint64_scale(k, GST_SECOND * d, n);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), time);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer) + GST_BUFFER_DURATION(buffer),
                                  gst_util_uint64_scale(k + 1, GST_SECOND * d, n));
        const guint i = (guint)(k * d * FPS / n);
        if (k * d * FPS % n == 0)
            fail_unless(same_content(buffer, g_ptr_array_index(own, i)), "picture %u is not frame %u", k, i);
        else
            between += !same_content(buffer, g_ptr_array_index(own, i)) &&
                       (i + 1 == own->len || !same_content(buffer, g_ptr_array_index(own, i + 1)));
    }
    return between;
}

static const struct {
    const char *properties;
    gint n, d;
    guint least_between; /* pictures */
} rates[] = {
    { "", 20, 1, 12 },
    { "", 25, 1, 20 },
    { "", 30000, 1001, 20 },
    { "", 5, 1, 0 },
    { "", 7, 3, 2 },
    { "model=dnerv", 20, 1, 12 },
    { "model=dnerv-net "
      "model-options=\"o,clip-frames=4,keyframe-interval=4,stem=8,base-channels=4,content=4,widths=<6,4>,"
      "strides=<4,2>\"",
      20, 1, 12 },
    { "model=nerv-mlp model-options=\"" TINY_OPTIONS "\"", 5, 1, 0 },
};

GST_START_TEST(test_rates)
{
    char *path = make_file(rates[__i__].properties);
    char *caps = g_strdup_printf(",framerate=%d/%d", rates[__i__].n, rates[__i__].d);
    GPtrArray *own = play(path, ""), *frames = play(path, caps);
    fail_unless_equals_int(own->len, FRAMES);
    const guint between = check_play(frames, own, rates[__i__].n, rates[__i__].d);
    fail_unless(between >= rates[__i__].least_between, "%u pictures between frames", between);
    g_ptr_array_unref(own);
    g_ptr_array_unref(frames);
    g_unlink(path);
    g_free(caps);
    g_free(path);
}
GST_END_TEST

/* Where its own is among those that downstream takes, it stays; else it is the nearest. */
GST_START_TEST(test_choice)
{
    static const struct {
        const char *caps;
        guint frames;
    } choices[] = { { ",framerate=[1/1,100/1]", FRAMES },
                    { ",framerate={(fraction)50/1,(fraction)10/1}", FRAMES },
                    { ",framerate={(fraction)20/1,(fraction)50/1}", 2 * FRAMES },
                    { ",framerate=[40/1,100/1]", 4 * FRAMES } };
    char *path = make_file("");
    for (guint i = 0; i < G_N_ELEMENTS(choices); i++) {
        GPtrArray *frames = play(path, choices[i].caps);
        fail_unless(frames->len == choices[i].frames, "%s: %u pictures", choices[i].caps, frames->len);
        g_ptr_array_unref(frames);
    }
    g_unlink(path);
    g_free(path);
}
GST_END_TEST

/* A seek shows the pictures that playing shows, from its very time on. */
GST_START_TEST(test_seek)
{
    char *path = make_file(""), *text = chain(path, ",framerate=20/1");
    GPtrArray *all = play(path, ",framerate=20/1");
    for (guint k = 5; k < 2 * FRAMES; k += 8) {
        const SeekCall seek = {
            1.0, GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, k * 50 * GST_MSECOND, GST_SEEK_TYPE_NONE, 0
        };
        GPtrArray *frames = play_from_seek(text, &seek);
        fail_unless_equals_int(frames->len, 2 * FRAMES - k);
        for (guint i = 0; i < frames->len; i++) {
            GstBuffer *a = g_ptr_array_index(frames, i), *b = g_ptr_array_index(all, k + i);
            fail_unless_equals_uint64(GST_BUFFER_PTS(a), GST_BUFFER_PTS(b));
            fail_unless(same_content(a, b), "picture %u from a seek to %u", i, k);
        }
        g_ptr_array_unref(frames);
    }
    g_ptr_array_unref(all);
    g_unlink(path);
    g_free(text);
    g_free(path);
}
GST_END_TEST

/* What knows nothing of times between frames, and what has no rate, says so; a videorate helps. */
GST_START_TEST(test_refused)
{
    static const char *const says[] = { "knows nothing of times between", "no constant rate" };
    char *path[2] = { make_file("model=nerv-mlp model-options=\"" TINY_OPTIONS "\""), NULL };
    RunResult r;
    const gint file = g_file_open_tmp("nerv-rate-XXXXXX.nerv", &path[1], NULL);
    g_close(file, NULL);
    char *text = g_strdup_printf(
        "videotestsrc num-buffers=4 ! video/x-raw,format=RGB,width=64,height=48,framerate=10/1 ! "
        "capssetter replace=false caps=video/x-raw,framerate=0/1 ! nervenc device=cpu epochs=2 ! filesink "
        "location=%s",
        path[1]);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos);
    run_result_clear(&r);
    g_free(text);
    for (guint i = 0; i < 2; i++) {
        text = chain(path[i], ",framerate=20/1");
        run_pipeline(text, 60, NULL, NULL, NULL, &r);
        fail_unless(r.error != NULL && strstr(r.error->message, says[i]), "\"%s\" does not say \"%s\"",
                    r.error ? r.error->message : "", says[i]);
        run_result_clear(&r);
        g_free(text);
    }
    GPtrArray *frames = new_frames();
    text = g_strdup_printf("filesrc location=%s ! nervparse ! nervdec device=cpu ! videorate ! "
                           "video/x-raw,framerate=20/1 ! fakesink name=sink",
                           path[0]);
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && frames->len >= 2 * FRAMES - 1);
    run_result_clear(&r);
    g_free(text);
    g_ptr_array_unref(frames);
    for (guint i = 0; i < 2; i++) {
        g_unlink(path[i]);
        g_free(path[i]);
    }
}
GST_END_TEST

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("rate");
    TCase *tc = tcase_create("general");
    suite_add_tcase(s, tc);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_rates, 0, G_N_ELEMENTS(rates));
    tcase_add_test(tc, test_choice);
    tcase_add_test(tc, test_seek);
    tcase_add_test(tc, test_refused);
    return gst_check_run_suite(s, "rate", __FILE__);
}

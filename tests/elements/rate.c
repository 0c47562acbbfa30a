/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervdec at another frame rate than the stream's, where downstream takes no other: how many pictures there are and when, which of them are the stream's own, what a seek
 * shows, backwards too, what happens when downstream wants something else all at once, and what networks say that know nothing of times between frames.
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
      "model-options=\"o,clip-frames=4,keyframe-interval=4,stem=0,base-channels=4,content=4,widths=<6,4>,"
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

/* The picture that is seen at a time of so many ms, at n/d a second. */
static guint seen_at(guint64 ms, gint n, gint d)
{
    return (guint)(ms * n / (1000 * d));
}

/* A seek to any time shows the picture that playing shows then, even if the frame it is made of is over by then; but where the sought network begins later than the picture, its
 * first frame. */
GST_START_TEST(test_seek_anywhere)
{
    static const struct {
        gint n, d;
    } to[] = { { 24, 1 }, { 7, 3 }, { 5, 1 } };
    const gint n = to[__i__].n, d = to[__i__].d;
    char *path = make_file(""), *caps = g_strdup_printf(",framerate=%d/%d", n, d), *text = chain(path, caps);
    GPtrArray *all = play(path, caps), *own = play(path, "");
    guint first_frames = 0;
    for (guint64 ms = 13; ms < 1000 * FRAMES / FPS; ms += 41) {
        const SeekCall seek = {
            1.0, GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, (gint64)(ms * GST_MSECOND), GST_SEEK_TYPE_NONE, 0
        };
        const guint k = seen_at(ms, n, d), made_of = (guint)(k * FPS * d / n),
                    begin = (guint)(ms * FPS / 1000) / SEGMENT * SEGMENT;
        const bool lost = made_of < begin;
        GPtrArray *frames = play_from_seek(text, &seek);
        GstBuffer *shown = g_ptr_array_index(frames, 0);
        fail_unless_equals_int(frames->len, all->len - k);
        fail_unless_equals_uint64(GST_BUFFER_PTS(shown), ms * GST_MSECOND);
        fail_unless_equals_uint64(GST_BUFFER_PTS(shown) + GST_BUFFER_DURATION(shown),
                                  gst_util_uint64_scale(k + 1, GST_SECOND * d, n));
        fail_unless(same_content(shown, g_ptr_array_index(lost ? own : all, lost ? begin : k)),
                    "seek to %d ms does not show picture %u", (int)ms, k);
        first_frames += lost;
        for (guint i = 1; i < frames->len; i++)
            fail_unless(same_content(g_ptr_array_index(frames, i), g_ptr_array_index(all, k + i)));
        g_ptr_array_unref(frames);
    }
    fail_unless(first_frames <= 2, "%u seeks found no network", first_frames);
    g_ptr_array_unref(own);
    g_ptr_array_unref(all);
    g_unlink(path);
    g_free(text);
    g_free(caps);
    g_free(path);
}
GST_END_TEST

/* Backwards the same pictures, last one first; of a part too, and of a single one. */
GST_START_TEST(test_reverse)
{
    static const struct {
        gint n, d;
        guint first, last; /* ms */
    } parts[] = { { 20, 1, 0, 1600 },  { 24, 1, 0, 1600 },  { 30000, 1001, 0, 1600 }, { 7, 3, 0, 1600 },
                  { 5, 1, 0, 1600 },   { 24, 1, 310, 990 }, { 50, 1, 801, 803 },      { 50, 1, 800, 900 },
                  { 5, 1, 810, 1190 }, { 7, 3, 430, 830 } };
    const gint n = parts[__i__].n, d = parts[__i__].d;
    char *path = make_file(""), *caps = g_strdup_printf(",framerate=%d/%d", n, d), *text = chain(path, caps);
    GPtrArray *all = play(path, caps);
    const SeekCall seek = { -1.0,
                            GST_SEEK_FLAG_ACCURATE,
                            GST_SEEK_TYPE_SET,
                            (gint64)(parts[__i__].first * GST_MSECOND),
                            GST_SEEK_TYPE_SET,
                            (gint64)(parts[__i__].last * GST_MSECOND) };
    GPtrArray *frames = play_from_seek(text, &seek);
    const guint low = seen_at(parts[__i__].first, n, d),
                high = MIN(seen_at(parts[__i__].last - 1, n, d), all->len - 1);
    fail_unless_equals_int(frames->len, high - low + 1);
    for (guint k = 0; k < frames->len; k++) {
        GstBuffer *buffer = g_ptr_array_index(frames, k);
        const guint64 start = gst_util_uint64_scale(high - k, GST_SECOND * d, n),
                      stop = gst_util_uint64_scale(high - k + 1, GST_SECOND * d, n);
        fail_unless(same_content(buffer, g_ptr_array_index(all, high - k)), "picture %u is another",
                    high - k);
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), MAX(start, seek.start));
        if (GST_BUFFER_PTS(buffer) + GST_BUFFER_DURATION(buffer) != stop)
            fail_unless_equals_uint64(GST_BUFFER_PTS(buffer) + GST_BUFFER_DURATION(buffer), seek.stop);
    }
    g_ptr_array_unref(frames);
    g_ptr_array_unref(all);
    g_unlink(path);
    g_free(text);
    g_free(caps);
    g_free(path);
}
GST_END_TEST

/* Backwards from a time in the midst of a picture, by frames that it is longer than; then the same pipeline forwards, with the times that it always had. */
GST_START_TEST(test_reverse_then_forward)
{
    char *path = make_file(""), *text = chain(path, ",framerate=4/1");
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    GPtrArray *frames = new_frames();
    collect_frames(pipeline, frames);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    expect_message(bus, GST_MESSAGE_EOS);
    g_ptr_array_set_size(frames, 0);
    fail_unless(gst_element_seek(pipeline, -1., GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                                 GST_SEEK_TYPE_SET, 350 * GST_MSECOND, GST_SEEK_TYPE_SET,
                                 1200 * GST_MSECOND));
    expect_message(bus, GST_MESSAGE_EOS);
    fail_unless_equals_int(frames->len, 4);
    g_ptr_array_set_size(frames, 0);
    fail_unless(gst_element_seek(pipeline, 1., GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                                 GST_SEEK_TYPE_SET, 180 * GST_MSECOND, GST_SEEK_TYPE_SET,
                                 1600 * GST_MSECOND));
    expect_message(bus, GST_MESSAGE_EOS);
    fail_unless_equals_int(frames->len, 7);
    for (guint k = 0; k < frames->len; k++)
        fail_unless_equals_uint64(GST_BUFFER_PTS(g_ptr_array_index(frames, k)),
                                  MAX(k * 250, 180) * GST_MSECOND);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    g_ptr_array_unref(frames);
    g_unlink(path);
    g_free(text);
    g_free(path);
}
GST_END_TEST

typedef struct {
    GPtrArray *frames;
    GstElement *filter;
    const char *caps;
} Change;

static GstPadProbeReturn change_caps(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    Change *change = user;
    if (change->frames->len == 6) {
        GstCaps *caps = gst_caps_from_string(change->caps);
        g_object_set(change->filter, "caps", caps, NULL);
        gst_caps_unref(caps);
    }
    return GST_PAD_PROBE_OK;
}

static void watch(GstElement *pipeline, gpointer user)
{
    Change *change = user;
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstPad *pad = gst_element_get_static_pad(sink, "sink");
    change->filter = gst_bin_get_by_name(GST_BIN(pipeline), "filter");
    collect_frames(pipeline, change->frames);
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, change_caps, change, NULL);
    gst_object_unref(pad);
    gst_object_unref(sink);
}

static void forget(GstElement *pipeline, gpointer user)
{
    Change *change = user;
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstPad *pad = gst_element_get_static_pad(sink, "sink");
    GstCaps *caps = gst_pad_get_current_caps(pad), *wanted = gst_caps_from_string(change->caps);
    fail_unless(gst_caps_can_intersect(caps, wanted), "caps stay %" GST_PTR_FORMAT, caps);
    gst_caps_unref(wanted);
    gst_caps_unref(caps);
    gst_object_unref(pad);
    gst_object_unref(sink);
    gst_clear_object(&change->filter);
}

/* Downstream changes its mind: the rate, the format. Pictures go on as it wants them now. */
GST_START_TEST(test_change)
{
    static const struct {
        const char *caps;
        guint size;
        guint64 duration;
    } changes[] = { { "video/x-raw,format=RGB,framerate=20/1", 64 * 48 * 3, 50 * GST_MSECOND },
                    { "video/x-raw,format=I420,framerate=10/1", 64 * 48 * 3 / 2, 100 * GST_MSECOND } };
    char *path = make_file("");
    char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec device=cpu ! "
                        "capsfilter name=filter caps=video/x-raw,format=RGB,framerate=10/1 ! fakesink "
                        "name=sink",
                        path);
    Change change = { new_frames(), NULL, changes[__i__].caps };
    RunResult r;
    run_pipeline(text, 60, watch, forget, &change, &r);
    fail_unless(r.eos, "%s", r.error ? r.error->message : "");
    run_result_clear(&r);
    guint64 end = 0;
    for (guint k = 0; k < change.frames->len; k++) {
        GstBuffer *buffer = g_ptr_array_index(change.frames, k);
        const bool later = k > 6; /* the one that is under way is of before */
        fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), end);
        end += GST_BUFFER_DURATION(buffer);
        fail_unless_equals_int(gst_buffer_get_size(buffer), later ? changes[__i__].size : 64 * 48 * 3);
        fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer),
                                  later ? changes[__i__].duration : 100 * GST_MSECOND);
    }
    fail_unless_equals_uint64(end, FRAMES * GST_SECOND / FPS);
    g_ptr_array_unref(change.frames);
    g_unlink(path);
    g_free(text);
    g_free(path);
}
GST_END_TEST

/* Who links when there are caps, as decodebin does, is asked as well. */
GST_START_TEST(test_linked_late)
{
    static const struct {
        const char *caps;
        guint frames, size;
    } wanted[] = { { "video/x-raw,framerate=20/1", 2 * FRAMES, 64 * 48 * 3 },
                   { "video/x-raw,format=NV12", FRAMES, 64 * 48 * 3 / 2 } };
    char *path = make_file("");
    char *text = g_strdup_printf("filesrc location=%s ! decodebin ! %s ! fakesink name=sink", path,
                                 wanted[__i__].caps);
    GPtrArray *frames = new_frames();
    RunResult r;
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos, "%s", r.error ? r.error->message : "");
    fail_unless_equals_int(frames->len, wanted[__i__].frames);
    fail_unless_equals_int(gst_buffer_get_size(g_ptr_array_index(frames, 0)), wanted[__i__].size);
    run_result_clear(&r);
    g_ptr_array_unref(frames);
    g_unlink(path);
    g_free(text);
    g_free(path);
}
GST_END_TEST

/* What knows nothing of times between frames, and what has no rate, says so; a videorate helps. */
GST_START_TEST(test_refused)
{
    static const char *const says[] = { "knows nothing of times between", "knows nothing of times between",
                                        "no constant rate" };
    char *path[3] = { make_file("model=nerv-mlp model-options=\"" TINY_OPTIONS "\""),
                      make_file("model=dnerv-net model-options=\"o,clip-frames=4,keyframe-interval=4,stem=8,"
                                "base-channels=4,content=4,widths=<6,4>,strides=<4,2>\""),
                      NULL };
    RunResult r;
    const gint file = g_file_open_tmp("nerv-rate-XXXXXX.nerv", &path[2], NULL);
    g_close(file, NULL);
    char *text = g_strdup_printf(
        "videotestsrc num-buffers=4 ! video/x-raw,format=RGB,width=64,height=48,framerate=10/1 ! "
        "capssetter replace=false caps=video/x-raw,framerate=0/1 ! nervenc device=cpu epochs=2 ! filesink "
        "location=%s",
        path[2]);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos);
    run_result_clear(&r);
    g_free(text);
    for (guint i = 0; i < 3; i++) {
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
    for (guint i = 0; i < 3; i++) {
        g_unlink(path[i]);
        g_free(path[i]);
    }
}
GST_END_TEST

static void ignore_caps(GstElement *pipeline, gpointer user)
{
    Change *change = user;
    (void)pipeline;
    gst_clear_object(&change->filter);
}

/* What nobody can make of the stream is refused with a text: from its begin, and in its midst. */
GST_START_TEST(test_not_negotiated)
{
    static const char *const caps[] = { "video/x-raw,width=32", "video/x-raw,format=GRAY8" };
    char *path = make_file("");
    char *text = g_strdup_printf("filesrc location=%s ! %s ! capsfilter name=filter caps=video/x-raw%s ! "
                                 "fakesink name=sink",
                                 path, __i__ ? "nervparse ! nervdec device=cpu" : "decodebin",
                                 __i__ ? "" : ",width=32");
    Change change = { new_frames(), NULL, caps[__i__] };
    RunResult r;
    run_pipeline(text, 60, watch, ignore_caps, &change, &r);
    fail_unless(g_error_matches(r.error, GST_CORE_ERROR, GST_CORE_ERROR_NEGOTIATION), "%s",
                r.error ? r.error->message : "no error");
    fail_unless(strstr(r.error->message, "not what is wanted behind") != NULL, "%s", r.error->message);
    fail_unless(strstr(r.debug, __i__ ? "GRAY8" : "width=(int)32") != NULL, "%s", r.debug);
    if (__i__)
        fail_unless(change.frames->len >= 6, "%u frames", change.frames->len);
    else
        fail_unless_equals_int(change.frames->len, 0);
    run_result_clear(&r);
    g_ptr_array_unref(change.frames);
    g_unlink(path);
    g_free(text);
    g_free(path);
}
GST_END_TEST

/* From a transport, from a live source, and to a sink that is four times too slow: what is shown is in its place in time. */
GST_START_TEST(test_streams)
{
    static const char *const ways[] = {
        "filesrc location=%s ! nervparse ! rtpgstpay ! rtpgstdepay ! nervparse ! nervdec device=cpu ! "
        "video/x-raw,format=RGB,framerate=20/1 ! fakesink name=sink",
        "videotestsrc is-live=true num-buffers=16 ! video/x-raw,format=RGB,width=64,height=48,framerate=10/1 "
        "! nervenc device=cpu segment-frames=8 epochs=1 ! nervparse ! nervdec device=cpu ! "
        "video/x-raw,framerate=20/1 ! fakesink name=sink sync=true",
        "filesrc location=%s ! nervparse ! nervdec device=cpu ! video/x-raw,format=RGB,framerate=20/1 ! "
        "identity sleep-time=200000 ! fakesink name=sink sync=true qos=true",
    };
    const bool is_late = __i__ == 2;
    char *path = make_file(""), **parts = g_strsplit(ways[__i__], "%s", 2), *text = g_strjoinv(path, parts);
    GPtrArray *frames = new_frames();
    RunResult r;
    run_pipeline(text, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos, "%s", r.error ? r.error->message : "");
    run_result_clear(&r);
    if (is_late)
        fail_unless(frames->len > 2 && frames->len < 2 * FRAMES - 4, "%u pictures", frames->len);
    else
        fail_unless_equals_int(frames->len, 2 * FRAMES);
    guint64 first = GST_BUFFER_PTS(g_ptr_array_index(frames, 0)), last = 0;
    for (guint k = 0; k < frames->len; k++) {
        GstBuffer *buffer = g_ptr_array_index(frames, k);
        const guint64 time = GST_BUFFER_PTS(buffer) - first, picture = (time + 1) / (50 * GST_MSECOND);
        fail_unless(time + 1 - picture * 50 * GST_MSECOND <= 2, "a picture at %" G_GUINT64_FORMAT, time);
        fail_unless(is_late ? k == 0 || picture > last : picture == k, "picture %u is %" G_GUINT64_FORMAT, k,
                    picture);
        last = picture;
    }
    g_ptr_array_unref(frames);
    g_unlink(path);
    g_strfreev(parts);
    g_free(text);
    g_free(path);
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
    tcase_add_loop_test(tc, test_seek_anywhere, 0, 3);
    tcase_add_loop_test(tc, test_reverse, 0, 10);
    tcase_add_test(tc, test_reverse_then_forward);
    tcase_add_loop_test(tc, test_change, 0, 2);
    tcase_add_loop_test(tc, test_linked_late, 0, 2);
    tcase_add_test(tc, test_refused);
    tcase_add_loop_test(tc, test_streams, 0, 3);
    tcase_add_loop_test(tc, test_not_negotiated, 0, 2);
    return gst_check_run_suite(s, "rate", __FILE__);
}

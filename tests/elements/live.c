/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A live source, segments of a second, RTP over UDP and a display that keeps time: how long it takes from a frame's capture until it is
 * seen, beside what nervenc says in the latency query; and a sender that is too slow for its source.
 */
#include <string.h>

#include "common.h"

#define FPS     15
#define SEGMENT 15 /* frames: a second */
#define N       75
/* Milliseconds that the receiver holds packets back: what one fit may take longer than the first. */
#define JITTER 700

/* Times of a clock, in the order of frames. */
typedef struct {
    GMutex lock;
    GArray *times;
    GstClockTime zero; /* time stamp of the first one: a source that starts late begins with that */
} Moments;

static void moments_init(Moments *m)
{
    g_mutex_init(&m->lock);
    m->times = g_array_new(FALSE, FALSE, sizeof(GstClockTime));
}

static void moments_clear(Moments *m)
{
    g_mutex_clear(&m->lock);
    g_array_unref(m->times);
}

static void note(Moments *m)
{
    GstClock *clock = gst_system_clock_obtain();
    const GstClockTime now = gst_clock_get_time(clock);
    g_mutex_lock(&m->lock);
    g_array_append_val(m->times, now);
    g_mutex_unlock(&m->lock);
    gst_object_unref(clock);
}

static guint count(Moments *m)
{
    g_mutex_lock(&m->lock);
    const guint n = m->times->len;
    g_mutex_unlock(&m->lock);
    return n;
}

static GstPadProbeReturn on_capture(GstPad *pad, GstPadProbeInfo *info, gpointer moments)
{
    if (count(moments) == 0)
        ((Moments *)moments)->zero = GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info));
    note(moments);
    return GST_PAD_PROBE_OK;
}

static void on_display(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer moments)
{
    note(moments);
}

static GstElement *launch(const char *text)
{
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    fail_unless(pipeline != NULL && !error, "%s: %s", text, error ? error->message : "");
    return pipeline;
}

static void expect_no_error(GstElement *pipeline)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    GError *error = NULL;
    if (message)
        gst_message_parse_error(message, &error, NULL);
    fail_unless(message == NULL, "%s", error ? error->message : "");
    gst_object_unref(bus);
}

static GstElement *make_receiver(Moments *shown, gint *port)
{
    GstElement *pipeline = launch(
        "udpsrc name=src address=127.0.0.1 port=0 buffer-size=1000000 "
        "caps=\"application/x-rtp,media=application,clock-rate=90000,encoding-name=X-GST,payload=96\" ! "
        "rtpjitterbuffer mode=synced latency=" G_STRINGIFY(
            JITTER) " ! rtpgstdepay ! nervparse ! nervdec ! queue ! fakesink name=sink sync=true");
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstElement *src = gst_bin_get_by_name(GST_BIN(pipeline), "src");
    g_object_set(sink, "signal-handoffs", TRUE, NULL);
    g_signal_connect(sink, "handoff", G_CALLBACK(on_display), shown);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    g_object_get(src, "port", port, NULL);
    gst_object_unref(sink);
    gst_object_unref(src);
    return pipeline;
}

static GstElement *make_sender(Moments *captured, gint port)
{
    char *text = g_strdup_printf(
        "videotestsrc name=src is-live=true pattern=ball num-buffers=%d ! "
        "video/x-raw,format=I420,width=160,height=90,framerate=%d/1 ! queue max-size-time=0 ! nervenc "
        "name=enc device=cpu preset=ultrafast epochs=4 segment-frames=%d ! rtpgstpay config-interval=1 ! "
        "udpsink host=127.0.0.1 port=%d sync=false async=false",
        N, FPS, SEGMENT, port);
    GstElement *pipeline = launch(text), *src = gst_bin_get_by_name(GST_BIN(pipeline), "src");
    GstPad *pad = gst_element_get_static_pad(src, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, on_capture, captured, NULL);
    gst_object_unref(pad);
    gst_object_unref(src);
    g_free(text);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    return pipeline;
}

/* What the pipeline's nervenc adds to the latency that its source has. */
static GstClockTime latency_of(GstElement *pipeline)
{
    GstElement *enc = gst_bin_get_by_name(GST_BIN(pipeline), "enc");
    GstClockTime own, above;
    GstPad *src = gst_element_get_static_pad(enc, "src"), *sink = gst_element_get_static_pad(enc, "sink");
    GstQuery *query = gst_query_new_latency();
    fail_unless(gst_pad_query(src, query));
    gst_query_parse_latency(query, NULL, &own, NULL);
    fail_unless(gst_pad_peer_query(sink, query));
    gst_query_parse_latency(query, NULL, &above, NULL);
    gst_query_unref(query);
    gst_object_unref(src);
    gst_object_unref(sink);
    gst_object_unref(enc);
    return own - above;
}

/* The longest fit so far, from nervenc's progress messages. */
static double longest_fit(GstElement *pipeline, double longest)
{
    GstElement *enc = gst_bin_get_by_name(GST_BIN(pipeline), "enc");
    GstStructure *stats;
    double seconds = 0.;
    g_object_get(enc, "stats", &stats, NULL);
    gst_structure_get_double(stats, "fit-seconds", &seconds);
    gst_structure_free(stats);
    gst_object_unref(enc);
    return MAX(longest, seconds);
}

static int compare(gconstpointer a, gconstpointer b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every frame is seen, at an even pace, the segment's duration and its fit after its capture. */
GST_START_TEST(test_delay)
{
    Moments captured, shown;
    double fit = 0., delay[N];
    gint port = 0;
    moments_init(&captured);
    moments_init(&shown);
    GstElement *receiver = make_receiver(&shown, &port), *sender = make_sender(&captured, port);
    for (int i = 0; i < 1600 && count(&shown) < N; i++) {
        g_usleep(50000);
        fit = longest_fit(sender, fit);
        expect_no_error(sender);
        expect_no_error(receiver);
    }
    const double latency = (double)latency_of(sender) / GST_SECOND;
    fail_unless_equals_float(latency, (double)SEGMENT / FPS);
    gst_element_set_state(sender, GST_STATE_NULL);
    gst_element_set_state(receiver, GST_STATE_NULL);
    fail_unless(count(&shown) == N, "%u of %d frames seen", count(&shown), N);
    for (guint i = 0; i < N; i++)
        delay[i] = (double)GST_CLOCK_DIFF(g_array_index(captured.times, GstClockTime, i),
                                          g_array_index(shown.times, GstClockTime, i)) /
                   GST_SECOND;
    qsort(delay, N, sizeof(*delay), compare);
    g_print("live: from capture to display %.2f s (%.2f to %.2f), nervenc says %.2f, the longest fit took "
            "%.2f, the receiver waits %.2f\n",
            delay[N / 2], delay[0], delay[N - 1], latency, fit, JITTER * 1e-3);
    /* a segment's first frame has waited for the last one */
    fail_unless(delay[N / 2] >= latency - 1. / FPS);
    /* where other work makes fits longer than segments, each waits for those before it */
    const double behind = MAX(0., fit - latency) * N / SEGMENT;
    fail_unless(delay[N / 2] <= latency + fit + behind + JITTER * 1e-3 + 1., "%.2f s", delay[N / 2]);
    gst_object_unref(sender);
    gst_object_unref(receiver);
    moments_clear(&captured);
    moments_clear(&shown);
}
GST_END_TEST;

/* A queue that lets go of old frames: what is sent is behind by the queue and a segment at most, however slow the fit is. */
GST_START_TEST(test_too_slow)
{
    Moments captured, shown;
    moments_init(&captured);
    moments_init(&shown);
    GstElement *pipeline =
        launch("videotestsrc name=src is-live=true num-buffers=100 ! "
               "video/x-raw,width=64,height=48,framerate=50/1 ! "
               "queue leaky=downstream max-size-buffers=10 max-size-time=0 max-size-bytes=0 ! identity "
               "sleep-time=60000 ! " TINY_ENC " segment-frames=5 ! nervdec ! fakesink name=sink async=false "
               "sync=false");
    GstElement *src = gst_bin_get_by_name(GST_BIN(pipeline), "src");
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstPad *pad = gst_element_get_static_pad(src, "src");
    GstBus *bus = gst_element_get_bus(pipeline);
    GPtrArray *frames = new_frames();
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, on_capture, &captured, NULL);
    collect_frames(pipeline, frames);
    g_signal_connect(sink, "handoff", G_CALLBACK(on_display), &shown);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstMessage *message =
        gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    fail_unless(message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS);
    gst_message_unref(message);
    /* three times too slow: about a third of the frames, each at the time of its capture */
    fail_unless(frames->len >= 20 && frames->len <= 70, "%u frames", frames->len);
    double worst = 0.;
    for (guint i = 0; i < frames->len; i++) {
        const GstBuffer *buffer = g_ptr_array_index(frames, i);
        const guint number =
            (guint)gst_util_uint64_scale_round(GST_BUFFER_PTS(buffer) - captured.zero, 50, GST_SECOND);
        fail_unless(i == 0 ||
                    GST_BUFFER_PTS(buffer) > GST_BUFFER_PTS((GstBuffer *)g_ptr_array_index(frames, i - 1)));
        fail_unless(number < captured.times->len);
        worst = MAX(worst, (double)GST_CLOCK_DIFF(g_array_index(captured.times, GstClockTime, number),
                                                  g_array_index(shown.times, GstClockTime, i)) /
                               GST_SECOND);
    }
    /* ten frames in the queue, five in the segment, at 60 ms each */
    fail_unless(worst <= 3., "%.2f s behind", worst);
    GST_INFO("too slow: %u of 100 frames, %.2f s behind at most", frames->len, worst);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    g_ptr_array_unref(frames);
    gst_object_unref(bus);
    gst_object_unref(pad);
    gst_object_unref(src);
    gst_object_unref(sink);
    gst_object_unref(pipeline);
    moments_clear(&captured);
    moments_clear(&shown);
}
GST_END_TEST;

static Suite *live_suite(void)
{
    Suite *s = suite_create("live");
    TCase *tc = tcase_create("live");
    tcase_set_timeout(tc, 120);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_delay);
    tcase_add_test(tc, test_too_slow);
    return s;
}

GST_CHECK_MAIN(live);

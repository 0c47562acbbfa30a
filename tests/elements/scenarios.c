/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What GstValidate's scenarios do and what its monitors look at, without it, as Debian 12 does not have it: playbin is led through seeks, rates
 * and states in each container, and every event and buffer that comes out of our elements has to be in order. validate.sh
 * runs the real ones where there are any.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "common.h"

#define N       30
#define SEGMENT 6
#define FRAME   (40 * GST_MSECOND)

static const struct {
    const char *name, *mux;
    bool has_audio;
} kinds[] = {
    { "nerv", "identity", false },
    { "mp4", "nervmp4mux", true },
    { "mkv", "nervmkvmux", true },
};

static GBytes *stream;
static GPtrArray *reference;
static char *raw_path, *path[G_N_ELEMENTS(kinds)];

/* In a process of its own, as each test is a fork of this one. */
static char *make_file(guint kind)
{
    char *file = write_temp(stream), *errors = NULL;
    char *line = g_strdup_printf(
        "gst-launch-1.0 -q filesrc location=%s ! nervparse ! queue ! m. %s %s name=m ! filesink location=%s",
        raw_path,
        kinds[kind].has_audio ? "audiotestsrc num-buffers=60 samplesperbuffer=960 ! "
                                "audio/x-raw,rate=48000,channels=1 ! opusenc ! queue ! m."
                              : "",
        kinds[kind].mux, file);
    gint status = -1;
    fail_unless(g_spawn_command_line_sync(line, NULL, &errors, &status, NULL) && status == 0, "%s: %s", line,
                errors);
    g_free(errors);
    g_free(line);
    return file;
}

static void setup(void)
{
    stream = make_stream(N, SEGMENT, NULL);
    reference = decode(stream);
    raw_path = write_temp(stream);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        path[i] = make_file(i);
}

static void teardown(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_unlink(path[i]);
        g_free(path[i]);
    }
    g_unlink(raw_path);
    g_free(raw_path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}

/* --- monitors --- */

typedef struct {
    GPtrArray *issues; /* of all pads */
    GMutex lock;       /* of all that monitors have */
    GPtrArray *monitors;
    guint32 seqnum; /* of the last seek; 0: none */
    guint shown;    /* frames out of nervdec since its flush */
} Watch;

typedef struct {
    Watch *watch;
    char *name;
    bool is_raw, stream, caps, segment, eos, flushing;
    GstSegment now;
    guint32 seqnum; /* of the segment */
    GstClockTime last;
    guint32 end_in; /* seqnum of the end at the element's sink */
} Monitor;

static void complain(Monitor *m, const char *what)
{
    g_ptr_array_add(m->watch->issues, g_strdup_printf("%s: %s", m->name, what));
}

static void see_segment(Monitor *m, GstEvent *event)
{
    gst_event_copy_segment(event, &m->now);
    m->seqnum = gst_event_get_seqnum(event);
    m->segment = true;
    m->last = GST_CLOCK_TIME_NONE;
    if (!m->caps)
        complain(m, "a segment before caps");
    if (m->now.format != GST_FORMAT_TIME)
        complain(m, "a segment that is not of time");
    if (m->watch->seqnum && m->seqnum != m->watch->seqnum)
        complain(m, "a segment's seqnum is not the seek's");
}

static void see_event(Monitor *m, GstEvent *event)
{
    const guint32 seqnum = gst_event_get_seqnum(event);
    const bool wrong = m->watch->seqnum && seqnum != m->watch->seqnum;
    GstCaps *caps;
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
        m->stream = true;
        m->eos = false;
        break;
    case GST_EVENT_CAPS:
        gst_event_parse_caps(event, &caps);
        m->caps = true;
        if (!m->stream)
            complain(m, "caps before the stream's start");
        if (!gst_caps_is_fixed(caps) ||
            !gst_structure_has_field(gst_caps_get_structure(caps, 0), "framerate") ||
            !gst_structure_has_field(gst_caps_get_structure(caps, 0), "width"))
            complain(m, "caps without a size or a rate");
        break;
    case GST_EVENT_SEGMENT:
        see_segment(m, event);
        break;
    case GST_EVENT_FLUSH_START:
        m->flushing = true;
        if (wrong)
            complain(m, "a flush's seqnum is not the seek's");
        break;
    case GST_EVENT_FLUSH_STOP:
        if (!m->flushing)
            complain(m, "the end of a flush that did not begin");
        m->flushing = m->segment = m->eos = false;
        if (m->is_raw)
            m->watch->shown = 0;
        break;
    case GST_EVENT_EOS:
        if (!m->segment)
            complain(m, "an end without a segment");
        /* with any codec, stock demuxers end what nobody has sought in with another one */
        if (m->segment && seqnum != m->seqnum && seqnum != m->end_in)
            complain(m, "an end's seqnum is not its segment's");
        m->eos = true;
        break;
    default:
        break;
    }
}

static void see_buffer(Monitor *m, GstBuffer *buffer)
{
    const GstClockTime pts = GST_BUFFER_PTS(buffer);
    if (!m->stream || !m->caps || !m->segment)
        complain(m, "a buffer before the stream's start, caps or a segment");
    if (m->eos)
        complain(m, "a buffer behind the end");
    if (!GST_CLOCK_TIME_IS_VALID(pts) || !GST_BUFFER_DURATION_IS_VALID(buffer))
        complain(m, "a buffer without a time or a duration");
    if (!m->is_raw)
        return;
    if (m->segment &&
        !gst_segment_clip(&m->now, GST_FORMAT_TIME, pts, pts + GST_BUFFER_DURATION(buffer), NULL, NULL))
        complain(m, "a picture outside the segment");
    if (GST_CLOCK_TIME_IS_VALID(m->last) && (m->now.rate > 0.) != (pts > m->last))
        complain(m, "pictures are not in order");
    m->last = pts;
    m->watch->shown++;
}

static GstPadProbeReturn see(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    Monitor *m = user;
    g_mutex_lock(&m->watch->lock);
    if (info->type & GST_PAD_PROBE_TYPE_BUFFER)
        see_buffer(m, GST_PAD_PROBE_INFO_BUFFER(info));
    else
        see_event(m, GST_PAD_PROBE_INFO_EVENT(info));
    g_mutex_unlock(&m->watch->lock);
    return GST_PAD_PROBE_OK;
}

static GstPadProbeReturn see_input(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    Monitor *m = user;
    GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info);
    g_mutex_lock(&m->watch->lock);
    if (GST_EVENT_TYPE(event) == GST_EVENT_EOS)
        m->end_in = gst_event_get_seqnum(event);
    g_mutex_unlock(&m->watch->lock);
    return GST_PAD_PROBE_OK;
}

static void on_element(GstBin *bin, GstBin *sub, GstElement *element, gpointer user)
{
    GstElementFactory *factory = gst_element_get_factory(element);
    const char *name = factory ? GST_OBJECT_NAME(factory) : "";
    if (strcmp(name, "nervparse") != 0 && strcmp(name, "nervdec") != 0)
        return;
    Monitor *m = g_new0(Monitor, 1);
    m->watch = user;
    m->name = g_strdup(name);
    m->is_raw = strcmp(name, "nervdec") == 0;
    g_ptr_array_add(m->watch->monitors, m);
    GstPad *pad = gst_element_get_static_pad(element, "src");
    gst_pad_add_probe(
        pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
        see, m, NULL);
    gst_object_unref(pad);
    pad = gst_element_get_static_pad(element, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, see_input, m, NULL);
    gst_object_unref(pad);
}

static void monitor_free(gpointer monitor)
{
    g_free(((Monitor *)monitor)->name);
    g_free(monitor);
}

/* --- a player --- */

typedef struct {
    GstElement *pipeline;
    GstBus *bus;
    Watch watch;
} Player;

static void wait_for(Player *p, GstMessageType type)
{
    GstMessage *message = gst_bus_timed_pop_filtered(p->bus, 30 * GST_SECOND, type | GST_MESSAGE_ERROR);
    GError *error = NULL;
    if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        gst_message_parse_error(message, &error, NULL);
    fail_unless(message && !error, "no %s: %s", gst_message_type_get_name(type), error ? error->message : "");
    gst_message_unref(message);
}

static void set_state(Player *p, GstState state)
{
    fail_unless(gst_element_set_state(p->pipeline, state) != GST_STATE_CHANGE_FAILURE);
    fail_unless_equals_int(gst_element_get_state(p->pipeline, NULL, NULL, 20 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
}

static void open_player(Player *p, guint kind)
{
    memset(p, 0, sizeof(*p));
    char *uri = gst_filename_to_uri(path[kind], NULL);
    char *text = g_strdup_printf("playbin uri=%s video-sink=\"fakesink sync=true\" audio-sink=\"fakesink "
                                 "sync=true\"",
                                 uri);
    g_mutex_init(&p->watch.lock);
    p->watch.issues = g_ptr_array_new_with_free_func(g_free);
    p->watch.monitors = g_ptr_array_new_with_free_func(monitor_free);
    p->pipeline = gst_parse_launch(text, NULL);
    p->bus = gst_element_get_bus(p->pipeline);
    g_signal_connect(p->pipeline, "deep-element-added", G_CALLBACK(on_element), &p->watch);
    set_state(p, GST_STATE_PAUSED);
    wait_for(p, GST_MESSAGE_ASYNC_DONE);
    g_free(text);
    g_free(uri);
}

static void close_player(Player *p, const char *scenario, guint kind)
{
    gst_element_set_state(p->pipeline, GST_STATE_NULL);
    fail_unless(p->watch.issues->len == 0, "%s, %s: %u issues, the first: %s", scenario, kinds[kind].name,
                p->watch.issues->len,
                p->watch.issues->len ? (char *)g_ptr_array_index(p->watch.issues, 0) : "");
    fail_unless(p->watch.monitors->len >= 2, "our elements did not come");
    gst_object_unref(p->bus);
    gst_object_unref(p->pipeline);
    g_ptr_array_unref(p->watch.issues);
    g_ptr_array_unref(p->watch.monitors);
    g_mutex_clear(&p->watch.lock);
}

static void seek(Player *p, double rate, GstSeekFlags flags, guint from, guint to)
{
    GstEvent *event = gst_event_new_seek(rate, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | flags,
                                         GST_SEEK_TYPE_SET, from * FRAME, GST_SEEK_TYPE_SET, to * FRAME);
    g_mutex_lock(&p->watch.lock);
    p->watch.seqnum = gst_event_get_seqnum(event);
    g_mutex_unlock(&p->watch.lock);
    fail_unless(gst_element_send_event(p->pipeline, event));
    wait_for(p, GST_MESSAGE_ASYNC_DONE);
}

static guint shown(Player *p)
{
    g_mutex_lock(&p->watch.lock);
    const guint n = p->watch.shown;
    g_mutex_unlock(&p->watch.lock);
    return n;
}

static gint64 position(Player *p)
{
    gint64 at = -1, duration = -1;
    fail_unless(gst_element_query_position(p->pipeline, GST_FORMAT_TIME, &at));
    fail_unless(gst_element_query_duration(p->pipeline, GST_FORMAT_TIME, &duration));
    fail_unless(at >= 0 && at <= duration + (gint64)FRAME, "position %" G_GINT64_FORMAT, at);
    fail_unless(ABS(duration - (gint64)(N * FRAME)) <= (gint64)FRAME, "duration %" G_GINT64_FORMAT, duration);
    return at;
}

static void expect_picture(Player *p, guint i)
{
    GstElement *sink = NULL;
    GstSample *sample = NULL;
    g_object_get(p->pipeline, "video-sink", &sink, NULL);
    g_object_get(sink, "last-sample", &sample, NULL);
    fail_unless(sample && same_content(gst_sample_get_buffer(sample), g_ptr_array_index(reference, i)),
                "frame %u is not shown", i);
    gst_sample_unref(sample);
    gst_object_unref(sink);
}

/* --- scenarios --- */

static void play(Player *p)
{
    set_state(p, GST_STATE_PLAYING);
    wait_for(p, GST_MESSAGE_EOS);
    fail_unless(shown(p) == N, "%u frames", shown(p));
}

static void seek_about(Player *p, const guint *to, guint n, GstSeekFlags flags)
{
    set_state(p, GST_STATE_PLAYING);
    for (guint i = 0; i < n; i++) {
        const gint64 start = g_get_monotonic_time();
        seek(p, 1., flags, to[i], N);
        const gint64 at = position(p), late = (g_get_monotonic_time() - start) * GST_USECOND;
        /* to which key unit is the demuxer's affair (elements-containers) */
        const gint64 early = flags & GST_SEEK_FLAG_KEY_UNIT ? to[i] * (gint64)FRAME : 0;
        fail_unless(at >= to[i] * (gint64)FRAME - early && at <= to[i] * (gint64)FRAME + late + (gint64)FRAME,
                    "sought frame %u, got to %" G_GINT64_FORMAT, to[i], at);
        g_usleep(60000);
    }
    wait_for(p, GST_MESSAGE_EOS);
}

static void seek_forward(Player *p)
{
    static const guint to[] = { 5, 10, 16, 21, 27 };
    seek_about(p, to, G_N_ELEMENTS(to), GST_SEEK_FLAG_ACCURATE);
}

static void seek_backward(Player *p)
{
    static const guint to[] = { 27, 21, 16, 10, 27 };
    seek_about(p, to, G_N_ELEMENTS(to), GST_SEEK_FLAG_ACCURATE);
}

static void simple_seeks(Player *p)
{
    static const guint to[] = { 15, 3, 24 };
    seek_about(p, to, G_N_ELEMENTS(to), GST_SEEK_FLAG_KEY_UNIT);
}

static void seek_with_stop(Player *p)
{
    set_state(p, GST_STATE_PLAYING);
    seek(p, 1., GST_SEEK_FLAG_ACCURATE, 8, 17);
    wait_for(p, GST_MESSAGE_EOS);
    fail_unless_equals_int(shown(p), 9);
}

static void scrub_forward_seeking(Player *p)
{
    for (guint i = 1; i < N; i += 3) {
        seek(p, 1., GST_SEEK_FLAG_ACCURATE, i, N);
        expect_picture(p, i);
        fail_unless(ABS(position(p) - (gint64)(i * FRAME)) <= (gint64)GST_MSECOND);
    }
}

static void scrub_backward_seeking(Player *p)
{
    for (guint i = N - 1; i >= 3; i -= 3) {
        seek(p, 1., GST_SEEK_FLAG_ACCURATE, i, N);
        expect_picture(p, i);
    }
}

static void play_at(Player *p, double rate, GstSeekFlags flags)
{
    seek(p, rate, flags, 0, N);
    set_state(p, GST_STATE_PLAYING);
    wait_for(p, GST_MESSAGE_EOS);
    fail_unless(shown(p) >= 1 && shown(p) <= N, "%u frames at %g", shown(p), rate);
    set_state(p, GST_STATE_PAUSED);
}

static void fast_forward(Player *p)
{
    for (guint rate = 2; rate <= 32; rate *= 2)
        play_at(p, rate, GST_SEEK_FLAG_ACCURATE);
}

static void fast_backward(Player *p)
{
    for (guint rate = 2; rate <= 32; rate *= 2)
        play_at(p, -(double)rate, GST_SEEK_FLAG_ACCURATE);
}

static void reverse_playback(Player *p)
{
    play_at(p, -1., GST_SEEK_FLAG_ACCURATE);
    fail_unless_equals_int(shown(p), N);
}

static void trick_mode_seeks(Player *p)
{
    play_at(p, 4., GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_KEY_UNITS);
    fail_unless_equals_int(shown(p), N / SEGMENT);
    play_at(p, -4., GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_KEY_UNITS);
    fail_unless_equals_int(shown(p), N / SEGMENT);
    play_at(p, 8., GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_NO_AUDIO);
}

static void pause_resume(Player *p)
{
    for (guint i = 0; i < 8; i++) {
        set_state(p, GST_STATE_PLAYING);
        g_usleep(50000);
        set_state(p, GST_STATE_PAUSED);
        const gint64 at = position(p);
        g_usleep(20000);
        fail_unless_equals_int64(position(p), at);
    }
    play(p);
}

/* Each change is waited for, as GstValidate does: playbin of 1.22 itself trips over a link that it makes while it is taken down. */
static void change_state_intensive(Player *p)
{
    static const GstState states[] = { GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING };
    GRand *random = g_rand_new_with_seed(1);
    for (guint i = 0; i < 60; i++) {
        set_state(p, states[g_rand_int_range(random, 0, 4)]);
        if (g_rand_boolean(random))
            g_usleep((gulong)g_rand_int_range(random, 0, 10000));
    }
    set_state(p, GST_STATE_NULL);
    set_state(p, GST_STATE_PAUSED);
    expect_picture(p, 0);
    g_rand_free(random);
}

static const struct {
    const char *name;
    void (*run)(Player *p);
} scenarios[] = {
    { "play", play },
    { "seek_forward", seek_forward },
    { "seek_backward", seek_backward },
    { "simple_seeks", simple_seeks },
    { "seek_with_stop", seek_with_stop },
    { "scrub_forward_seeking", scrub_forward_seeking },
    { "scrub_backward_seeking", scrub_backward_seeking },
    { "fast_forward", fast_forward },
    { "fast_backward", fast_backward },
    { "reverse_playback", reverse_playback },
    { "trick_mode_seeks", trick_mode_seeks },
    { "pause_resume", pause_resume },
    { "change_state_intensive", change_state_intensive },
};

GST_START_TEST(test_scenario)
{
    const guint kind = (guint)__i__ % G_N_ELEMENTS(kinds), i = (guint)__i__ / G_N_ELEMENTS(kinds);
    Player p;
    open_player(&p, kind);
    scenarios[i].run(&p);
    close_player(&p, scenarios[i].name, kind);
}
GST_END_TEST;

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("scenarios");
    TCase *tc = tcase_create("scenarios");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_scenario, 0, (int)(G_N_ELEMENTS(scenarios) * G_N_ELEMENTS(kinds)));
    return gst_check_run_suite(s, "scenarios", __FILE__);
}

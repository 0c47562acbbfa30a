/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What players do beside playing, in each container: backwards at -1 and -4, with bounded memory; trick modes; frame by frame; loops
 * without gaps; a machine that is too slow, with sound beside the picture. docs/compatibility.md is the table of what is looked at here.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "common.h"

#define N       132
#define SEGMENT 64
#define FRAME   (40 * GST_MSECOND)

/* What stock demuxers of 1.22 do with every codec, H.264 as well as this one: */
typedef struct {
    const char *name, *mux, *demux;
    bool last_fragment_only; /* backwards qtdemux ends with the fragment that it began with */
    bool short_end;          /* a loop to the file's end is taken to be over when its last frame begins */
} Kind;

static const Kind kinds[] = {
    { "nerv", "identity", "identity", false, false },
    { "mp4", "nervmp4mux", "qtdemux", false, true },
    { "mp4-fragmented", "nervmp4mux fragment-duration=1000", "qtdemux", true, true },
    { "mp4-finalised", "nervmp4mux fragment-duration=1000 muxer::fragment-mode=first-moov-then-finalise",
      "qtdemux", false, true },
    { "mkv", "nervmkvmux", "matroskademux", false, true },
};

static GBytes *stream;
static GPtrArray *reference; /* its decoded frames */
static char *raw_path, *path[G_N_ELEMENTS(kinds)], *sounding[G_N_ELEMENTS(kinds)];

/* In a process of its own: each test is a fork of this one, to which threads that pipelines have left here would not come along. */
static char *make_file(const char *mux, const char *audio)
{
    char *file = write_temp(stream);
    char *line = g_strdup_printf(
        "gst-launch-1.0 -q filesrc location=%s ! nervparse ! queue ! m. %s %s name=m ! filesink location=%s",
        raw_path, audio, mux, file);
    char *output = NULL, *errors = NULL;
    gint status = -1;
    fail_unless(g_spawn_command_line_sync(line, &output, &errors, &status, NULL) && status == 0, "%s: %s%s",
                line, output, errors);
    g_free(output);
    g_free(errors);
    g_free(line);
    return file;
}

static void setup(void)
{
    stream = make_stream(N, SEGMENT, NULL);
    reference = decode(stream);
    raw_path = write_temp(stream);
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        path[i] = make_file(kinds[i].mux, "");
        /* 5.28 s, as long as the picture */
        if (i > 0)
            sounding[i] = make_file(kinds[i].mux, "audiotestsrc num-buffers=264 samplesperbuffer=960 ! "
                                                  "audio/x-raw,rate=48000,channels=1 ! opusenc ! queue ! m.");
    }
}

static void teardown(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_unlink(path[i]);
        g_free(path[i]);
        if (sounding[i])
            g_unlink(sounding[i]);
        g_free(sounding[i]);
    }
    g_unlink(raw_path);
    g_free(raw_path);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}

static char *player(guint kind, const char *sink)
{
    return g_strdup_printf("filesrc location=%s ! %s ! nervparse ! nervdec name=dec ! %s name=sink",
                           path[kind], kinds[kind].demux, sink);
}

/* Frame k is the stream's frame i at its very time. */
static void expect_frame(const char *what, GPtrArray *frames, guint k, guint i)
{
    GstBuffer *buffer = g_ptr_array_index(frames, k);
    fail_unless(same_content(buffer, g_ptr_array_index(reference, i)), "%s: frame %u is another picture",
                what, i);
    fail_unless_equals_uint64(GST_BUFFER_PTS(buffer), i * FRAME);
    fail_unless_equals_uint64(GST_BUFFER_DURATION(buffer), FRAME);
}

static GstMessage *wait_for(GstBus *bus, GstMessageType type)
{
    GstMessage *message = gst_bus_timed_pop_filtered(bus, 30 * GST_SECOND, type | GST_MESSAGE_ERROR);
    fail_unless(message != NULL, "no %s within 30 s", gst_message_type_get_name(type));
    fail_unless(GST_MESSAGE_TYPE(message) & type, "an error");
    return message;
}

/* --- backwards --- */

/* From `first` down to `last`: each frame, once, in its place. */
static void expect_reverse(guint kind, double rate, guint first, guint last)
{
    const SeekCall call = { rate,         GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET,
                            last * FRAME, GST_SEEK_TYPE_SET,      (first + 1) * FRAME };
    char *text = player(kind, "fakesink");
    GPtrArray *frames = play_from_seek(text, &call);
    if (!kinds[kind].last_fragment_only)
        fail_unless(frames->len == first - last + 1, "%s, %g: %u frames of %u to %u", kinds[kind].name, rate,
                    frames->len, first, last);
    for (guint k = 0; k < frames->len; k++)
        expect_frame(kinds[kind].name, frames, k, first - k);
    g_ptr_array_unref(frames);
    g_free(text);
}

GST_START_TEST(test_reverse)
{
    static const double rates[] = { -1., -4. };
    for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
        expect_reverse(__i__, rates[i], N - 1, 0);
        expect_reverse(__i__, rates[i], 100, 30);
        expect_reverse(__i__, rates[i], SEGMENT, SEGMENT);
    }
}
GST_END_TEST;

/* Pieces of memory that pictures came in: a pool takes another only while all it has are held. */
static GstPadProbeReturn note_memory(GstPad *pad, GstPadProbeInfo *info, gpointer pieces)
{
    g_hash_table_add(pieces, gst_buffer_peek_memory(GST_PAD_PROBE_INFO_BUFFER(info), 0));
    return GST_PAD_PROBE_OK;
}

static guint count_pieces(guint kind, double rate)
{
    char *text = player(kind, "fakesink");
    GstElement *pipeline = gst_parse_launch(text, NULL), *dec = gst_bin_get_by_name(GST_BIN(pipeline), "dec");
    GstPad *pad = gst_element_get_static_pad(dec, "src");
    GstBus *bus = gst_element_get_bus(pipeline);
    GHashTable *pieces = g_hash_table_new(NULL, NULL);
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, note_memory, pieces, NULL);
    fail_unless(gst_element_seek(pipeline, rate, GST_FORMAT_TIME,
                                 GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, 0,
                                 GST_SEEK_TYPE_SET, N * FRAME));
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    gst_message_unref(wait_for(bus, GST_MESSAGE_EOS));
    gst_element_set_state(pipeline, GST_STATE_NULL);
    const guint n = g_hash_table_size(pieces);
    g_hash_table_unref(pieces);
    gst_object_unref(bus);
    gst_object_unref(pad);
    gst_object_unref(dec);
    gst_object_unref(pipeline);
    g_free(text);
    return n;
}

/* A segment of pictures is never held: as many as forwards, and one that the base class keeps for the end. */
GST_START_TEST(test_reverse_memory)
{
    const guint forward = count_pieces(__i__, 1.), reverse = count_pieces(__i__, -1.);
    GST_INFO("%s: %u pictures in memory forwards, %u backwards", kinds[__i__].name, forward, reverse);
    fail_unless(reverse <= forward + 2, "%s: %u pictures in memory, %u forwards", kinds[__i__].name, reverse,
                forward);
}
GST_END_TEST;

/* --- trick modes --- */

static guint64 computed(GstElement *pipeline)
{
    GstElement *dec = gst_bin_get_by_name(GST_BIN(pipeline), "dec");
    GstStructure *stats;
    guint64 frames = 0;
    g_object_get(dec, "stats", &stats, NULL);
    fail_unless(gst_structure_get_uint64(stats, "frames", &frames));
    gst_structure_free(stats);
    gst_object_unref(dec);
    return frames;
}

static GstPadProbeReturn count_buffer(GstPad *pad, GstPadProbeInfo *info, gpointer n)
{
    g_atomic_int_inc((gint *)n);
    return GST_PAD_PROBE_OK;
}

/* Buffers that come out of the pipeline's nervdec. */
static void count_out(GstElement *pipeline, gint *n)
{
    GstElement *dec = gst_bin_get_by_name(GST_BIN(pipeline), "dec");
    GstPad *pad = gst_element_get_static_pad(dec, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, count_buffer, n, NULL);
    gst_object_unref(pad);
    gst_object_unref(dec);
}

typedef struct {
    GPtrArray *frames;
    gint out;
    guint64 computed;
} Played;

static void play_clocked(guint kind, double rate, GstSeekFlags flags, Played *p)
{
    char *text = player(kind, "fakesink sync=true");
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    *p = (Played){ .frames = new_frames() };
    collect_frames(pipeline, p->frames);
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
    const guint64 before = computed(pipeline);
    count_out(pipeline, &p->out);
    fail_unless(gst_element_seek(pipeline, rate, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | flags,
                                 GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, N * FRAME));
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
    g_ptr_array_set_size(p->frames, 0);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    gst_message_unref(wait_for(bus, GST_MESSAGE_EOS));
    p->computed = computed(pipeline) - before;
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    g_free(text);
}

/* Key units only, by the clock: what is shown is computed, and nothing else. */
GST_START_TEST(test_trick_key_units)
{
    static const double rates[] = { 4., 16., -16. };
    const guint n_keys = (N + SEGMENT - 1) / SEGMENT;
    for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
        Played p;
        if (rates[i] < 0. && kinds[__i__].last_fragment_only)
            continue;
        play_clocked(__i__, rates[i], GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_TRICKMODE_KEY_UNITS, &p);
        fail_unless(p.frames->len == n_keys, "%s at %g: %u frames shown", kinds[__i__].name, rates[i],
                    p.frames->len);
        for (guint k = 0; k < n_keys; k++)
            expect_frame(kinds[__i__].name, p.frames, k, (rates[i] > 0. ? k : n_keys - 1 - k) * SEGMENT);
        fail_unless_equals_int(p.out, n_keys);
        fail_unless_equals_uint64(p.computed, n_keys);
        g_ptr_array_unref(p.frames);
    }
}
GST_END_TEST;

/* All frames, and the clock drops what it has to: nothing is computed that does not leave the decoder. */
GST_START_TEST(test_trick_all_frames)
{
    static const double rates[] = { 16., -16. };
    for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
        Played p;
        if (rates[i] < 0. && kinds[__i__].last_fragment_only)
            continue;
        play_clocked(__i__, rates[i], GST_SEEK_FLAG_TRICKMODE | GST_SEEK_FLAG_ACCURATE, &p);
        fail_unless(p.frames->len > 0 && p.frames->len <= N);
        fail_unless_equals_uint64(p.computed, p.out);
        g_ptr_array_unref(p.frames);
    }
}
GST_END_TEST;

/* --- frame by frame --- */

static void expect_shown(GstElement *pipeline, const char *what, guint i)
{
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstSample *sample = NULL;
    g_object_get(sink, "last-sample", &sample, NULL);
    fail_unless(sample != NULL);
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    fail_unless(GST_BUFFER_PTS(buffer) == i * FRAME && same_content(buffer, g_ptr_array_index(reference, i)),
                "%s: frame %u is not shown, but that of %" GST_TIME_FORMAT, what, i,
                GST_TIME_ARGS(GST_BUFFER_PTS(buffer)));
    gst_sample_unref(sample);
    gst_object_unref(sink);
}

static void step(GstElement *pipeline, GstBus *bus, guint frames)
{
    GstFormat format;
    guint64 amount;
    fail_unless(
        gst_element_send_event(pipeline, gst_event_new_step(GST_FORMAT_BUFFERS, frames, 1., TRUE, FALSE)));
    GstMessage *message = wait_for(bus, GST_MESSAGE_STEP_DONE);
    gst_message_parse_step_done(message, &format, &amount, NULL, NULL, NULL, NULL, NULL);
    fail_unless_equals_uint64(amount, frames);
    gst_message_unref(message);
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
}

/* From before a segment's end into the next one, and by several; then backwards. */
GST_START_TEST(test_step)
{
    const char *name = kinds[__i__].name;
    char *text = player(__i__, "fakesink sync=true");
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    guint at = SEGMENT - 5;
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
    expect_shown(pipeline, name, 0);
    step(pipeline, bus, 1);
    expect_shown(pipeline, name, 1);
    fail_unless(gst_element_seek_simple(pipeline, GST_FORMAT_TIME,
                                        GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE, at * FRAME));
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
    expect_shown(pipeline, name, at);
    for (guint i = 0; i < 10; i++) {
        step(pipeline, bus, 1);
        expect_shown(pipeline, name, ++at);
    }
    step(pipeline, bus, 7);
    expect_shown(pipeline, name, at += 7);
    if (kinds[__i__].last_fragment_only)
        goto done;
    fail_unless(gst_element_seek(pipeline, -1., GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | GST_SEEK_FLAG_ACCURATE,
                                 GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, (SEGMENT + 4) * FRAME));
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
    at = SEGMENT + 3;
    expect_shown(pipeline, name, at);
    for (guint i = 0; i < 8; i++) {
        step(pipeline, bus, 1);
        expect_shown(pipeline, name, --at);
    }
done:
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    g_free(text);
}
GST_END_TEST;

/* --- loops --- */

typedef struct {
    GstSegment segment;
    GArray *times; /* GstClockTime, running */
} Times;

static GstPadProbeReturn note_time(GstPad *pad, GstPadProbeInfo *info, gpointer user)
{
    Times *t = user;
    if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
        GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info);
        if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT)
            gst_event_copy_segment(event, &t->segment);
        if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP)
            g_array_set_size(t->times, 0);
        return GST_PAD_PROBE_OK;
    }
    GstClockTime time = gst_segment_to_running_time(&t->segment, GST_FORMAT_TIME,
                                                    GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info)));
    g_array_append_val(t->times, time);
    return GST_PAD_PROBE_OK;
}

#define LOOPS 3

/* Frames begin..last, over and over: none is missing or comes twice, and each begins where the one before ends. */
static void expect_loop(guint kind, double rate, guint begin, guint last)
{
    const char *name = kinds[kind].name;
    char *text = player(kind, "fakesink");
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    GstPad *pad = gst_element_get_static_pad(sink, "sink");
    GstBus *bus = gst_element_get_bus(pipeline);
    GPtrArray *frames = new_frames();
    Times t = { .times = g_array_new(FALSE, FALSE, sizeof(GstClockTime)) };
    const guint n = last - begin + 1;
    gst_segment_init(&t.segment, GST_FORMAT_TIME);
    gst_pad_add_probe(
        pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM | GST_PAD_PROBE_TYPE_EVENT_FLUSH,
        note_time, &t, NULL);
    collect_frames(pipeline, frames);
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
    for (guint i = 0; i < LOOPS; i++) {
        const GstSeekFlags flags =
            GST_SEEK_FLAG_SEGMENT | GST_SEEK_FLAG_ACCURATE | (i == 0 ? GST_SEEK_FLAG_FLUSH : 0);
        fail_unless(gst_element_seek(pipeline, rate, GST_FORMAT_TIME, flags, GST_SEEK_TYPE_SET, begin * FRAME,
                                     GST_SEEK_TYPE_SET, (last + 1) * FRAME));
        if (i == 0) {
            gst_message_unref(wait_for(bus, GST_MESSAGE_ASYNC_DONE));
            g_ptr_array_set_size(frames, 0);
            gst_element_set_state(pipeline, GST_STATE_PLAYING);
        }
        gst_message_unref(wait_for(bus, GST_MESSAGE_SEGMENT_DONE));
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    fail_unless(frames->len == LOOPS * n, "%s, %u to %u at %g: %u frames", name, begin, last, rate,
                frames->len);
    fail_unless_equals_int(t.times->len, LOOPS * n);
    for (guint k = 0; k < frames->len; k++) {
        expect_frame(name, frames, k, begin + k % n);
        const guint early = kinds[kind].short_end && last == N - 1 ? k / n : 0;
        const GstClockTime wanted = (GstClockTime)((k - early) * FRAME / rate);
        fail_unless(g_array_index(t.times, GstClockTime, k) == wanted,
                    "%s, %u to %u at %g: frame %u at %" GST_TIME_FORMAT, name, begin, last, rate, k,
                    GST_TIME_ARGS(g_array_index(t.times, GstClockTime, k)));
    }
    g_ptr_array_unref(frames);
    g_array_unref(t.times);
    gst_object_unref(bus);
    gst_object_unref(pad);
    gst_object_unref(sink);
    gst_object_unref(pipeline);
    g_free(text);
}

GST_START_TEST(test_loop)
{
    expect_loop(__i__, 1., 0, N - 1);
    expect_loop(__i__, 1., 50, 70);
    expect_loop(__i__, 2., SEGMENT, SEGMENT + 9);
}
GST_END_TEST;

/* --- too slow a machine --- */

#define SLOW                                                                                                 \
    (100 * GST_MSECOND) /* what each frame takes behind the decoder: two and a half times its duration */

typedef struct {
    GstElement *pipeline;
    GstClockTime worst; /* how late a buffer came to the sink, the first second aside */
    guint n;
} Lateness;

static void note_lateness(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer user)
{
    Lateness *l = user;
    GstClock *clock = gst_element_get_clock(l->pipeline);
    const GstClockTime now = gst_clock_get_time(clock) - gst_element_get_base_time(l->pipeline);
    if (GST_BUFFER_PTS(buffer) > GST_SECOND && now > GST_BUFFER_PTS(buffer))
        l->worst = MAX(l->worst, now - GST_BUFFER_PTS(buffer));
    l->n++;
    gst_object_unref(clock);
}

static void watch_lateness(GstElement *pipeline, const char *name, Lateness *l)
{
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), name);
    l->pipeline = pipeline;
    g_object_set(sink, "signal-handoffs", TRUE, NULL);
    g_signal_connect(sink, "handoff", G_CALLBACK(note_lateness), l);
    gst_object_unref(sink);
}

/* Frames are left out before they are computed, and the sound goes on; the picture stays with it. */
GST_START_TEST(test_qos)
{
    const Kind *k = &kinds[__i__];
    if (strchr(k->mux, ' ')) /* as MP4 */
        return;
    Lateness video = { NULL }, audio = { NULL };
    gint out = 0;
    char *text =
        g_strdup_printf("filesrc location=%s ! %s name=d d.video_0 ! queue ! nervparse ! nervdec name=dec ! "
                        "identity sleep-time=%d ! fakesink sync=true qos=true max-lateness=20000000 "
                        "name=sink d.audio_0 ! queue ! opusdec ! fakesink sync=true name=audio",
                        sounding[__i__], k->demux, (int)(SLOW / GST_USECOND));
    GstElement *pipeline = gst_parse_launch(text, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    count_out(pipeline, &out);
    watch_lateness(pipeline, "sink", &video);
    watch_lateness(pipeline, "audio", &audio);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    gst_message_unref(wait_for(bus, GST_MESSAGE_EOS));
    const guint64 n = computed(pipeline);
    GST_INFO("%s: %u of %u frames computed, %u shown, %u ms late at most; sound %u ms", k->name, (guint)n, N,
             video.n, (guint)(video.worst / GST_MSECOND), (guint)(audio.worst / GST_MSECOND));
    fail_unless_equals_uint64(n, out);
    fail_unless(n >= N / 6 && n <= 2 * N / 3, "%s: %u frames computed", k->name, (guint)n);
    fail_unless(video.n >= N / 10, "%s: %u frames shown", k->name, video.n);
    fail_unless(video.worst <= 4 * SLOW, "%s: the picture is %u ms behind", k->name,
                (guint)(video.worst / GST_MSECOND));
    fail_unless(audio.worst <= 4 * SLOW && audio.n >= 250, "%s: the sound is %u ms behind, %u buffers",
                k->name, (guint)(audio.worst / GST_MSECOND), audio.n);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    g_free(text);
}
GST_END_TEST;

int main(int argc, char **argv)
{
    const int n = G_N_ELEMENTS(kinds);
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("playback");
    TCase *tc = tcase_create("playback");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_loop_test(tc, test_reverse, 0, n);
    tcase_add_loop_test(tc, test_reverse_memory, 0, n);
    tcase_add_loop_test(tc, test_trick_key_units, 0, n);
    tcase_add_loop_test(tc, test_trick_all_frames, 0, n);
    tcase_add_loop_test(tc, test_step, 0, n);
    tcase_add_loop_test(tc, test_loop, 0, n);
    tcase_add_loop_test(tc, test_qos, 1, n); /* with sound */
    return gst_check_run_suite(s, "playback", __FILE__);
}

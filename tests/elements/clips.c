/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * model=dnerv through the elements: segments with cuts and keyframes, in a byte stream and in a Matroska file. Any frame that is sought
 * is the one of the sequence; what a cut file, a lost and a damaged keyframe cost, and what is said of them.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "common.h"

#define N       60
#define SEGMENT 20 /* clips of 4, keyframes about every 8 frames of a scene */
#define FRAME   (40 * GST_MSECOND)

/* The scenes' first frames: the cuts at 20 and 40 are the segments' ends. */
static const guint scenes[] = { 0, 13, 20, 27, 40, 47, N };
/* Frames with a keyframe, and the access units that they are in. */
static const guint keys[] = { 0, 4, 12, 13, 19, 20, 26, 27, 31, 39, 40, 46, 47, 51, 59 };

static GPtrArray *units;     /* GBytes: N access units */
static GPtrArray *reference; /* the frames, decoded in order */
static char *path;           /* its file */

/* Waves of the frame's scene, which move. */
static GstBuffer *paint(const GstVideoInfo *info, guint n)
{
    GstBuffer *buffer = picture(info, n);
    GstMapInfo map;
    guint scene = 0;
    while (n >= scenes[scene + 1])
        scene++;
    fail_unless(gst_buffer_map(buffer, &map, GST_MAP_WRITE));
    for (guint i = 0; i < map.size; i++) {
        const double x = i / 3 % 64, y = i / 192, c = i % 3;
        map.data[i] = (guint8)((scene % 2 ? 175 : 85) +
                               45 * sin((.15 + .03 * scene) * x + .1 * y * (c + 1 - scene % 3) + .1 * n));
    }
    gst_buffer_unmap(buffer, &map);
    return buffer;
}

static void encode(void)
{
    GstHarness *h = gst_harness_new_parse(
        "nervenc model=dnerv epochs=2 tune=psnr threads=2 segment-frames=20 "
        "model-options=\"o,clip-frames=4,keyframe-interval=8,widths=<12,8>,strides=<4,2>\"");
    GstVideoInfo info;
    GstBuffer *buffer;
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    gst_harness_set_src_caps(h, gst_video_info_to_caps(&info));
    for (guint i = 0; i < N; i++)
        fail_unless_equals_int(gst_harness_push(h, paint(&info, i)), GST_FLOW_OK);
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    units = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    while ((buffer = gst_harness_try_pull(h))) {
        gpointer data;
        gsize size;
        gst_buffer_extract_dup(buffer, 0, (gsize)-1, &data, &size);
        g_ptr_array_add(units, g_bytes_new_take(data, size));
        gst_buffer_unref(buffer);
    }
    gst_harness_teardown(h);
    fail_unless_equals_int(units->len, N);
}

/* The first n access units and so many bytes of the next, as one. */
static GBytes *join(GPtrArray *from, guint n, gsize more)
{
    GByteArray *out = g_byte_array_new();
    for (guint i = 0; i < n + (more > 0); i++) {
        gsize size;
        const guint8 *data = g_bytes_get_data(g_ptr_array_index(from, i), &size);
        g_byte_array_append(out, data, (guint)(i < n ? size : more));
    }
    return g_byte_array_free_to_bytes(out);
}

/* The stock muxer takes codecs that it knows, so this one goes by another's name inside the file. */
#define DISGUISE                                                                                             \
    "capssetter join=false replace=true caps=\"video/x-ffv,ffversion=1,width=64,height=48,framerate=25/1\""
#define UNMASK                                                                                               \
    "capssetter join=false replace=true "                                                                    \
    "caps=\"video/x-nerv,stream-format=byte-stream,alignment=au,parsed=true,width=64,height=48,"             \
    "framerate=25/1\""

static void run(const char *description, GPtrArray *frames, RunResult *r)
{
    run_pipeline(description, 60, frames ? collect_frames : NULL, NULL, frames, r);
    fail_unless(r->eos && !r->error, "%s: %s", description, r->error ? r->error->message : "no end");
}

static void setup(void)
{
    GBytes *all;
    encode();
    all = join(units, N, 0);
    reference = decode(all);
    fail_unless_equals_int(reference->len, N);
    path = write_temp(all);
    g_bytes_unref(all);
}

static void teardown(void)
{
    g_unlink(path);
    g_free(path);
    g_ptr_array_unref(reference);
    g_ptr_array_unref(units);
}

static const char *const players[] = {
    "filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink",
    "filesrc location=%s ! matroskademux ! " UNMASK " ! nervdec ! fakesink name=sink",
    "filesrc location=%s ! matroskademux ! " UNMASK " ! nervparse ! nervdec ! fakesink name=sink",
};

/* The file that player i plays; unlink() and g_free() it. The Matroska one is made in the test that wants it: a pipeline's threads do not
 * come along into the tests' processes. */
static char *make_file(guint i)
{
    GBytes *all = join(units, N, 0);
    char *file = write_temp(all), *text;
    RunResult r;
    if (i > 0) {
        text = g_strdup_printf("filesrc location=%s ! nervparse ! " DISGUISE
                               " ! matroskamux ! filesink location=%s",
                               path, file);
        run(text, NULL, &r);
        run_result_clear(&r);
        g_free(text);
    }
    g_bytes_unref(all);
    return file;
}

static void expect_frame(GPtrArray *frames, guint k, guint i)
{
    GstBuffer *buffer = g_ptr_array_index(frames, k);
    fail_unless(same_content(buffer, g_ptr_array_index(reference, i)),
                "the picture of frame %u is not its own", i);
    fail_unless_equals_uint64((GST_BUFFER_PTS(buffer) + FRAME / 2) / FRAME, i);
}

/* --- what there is to lose --- */

static guint keyframes_of(GBytes *unit, NervAccessUnit *au)
{
    gsize size, need;
    const guint8 *data = g_bytes_get_data(unit, &size);
    fail_unless(nerv_access_unit_scan(data, size, au, &need) == NERV_SCAN_OK);
    return au->n_keyframes;
}

/* The stream has the scenes and keyframes that these tests count on, and its pictures are worth looking at. */
GST_START_TEST(test_stream)
{
    GstVideoInfo info;
    guint n = 0;
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    for (guint i = 0; i < N; i++) {
        NervAccessUnit au;
        const guint here = keyframes_of(g_ptr_array_index(units, i), &au);
        GstBuffer *source = paint(&info, i);
        const double error = picture_error(&info, g_ptr_array_index(reference, i), source);
        fail_unless_equals_int(au.is_sync, i % SEGMENT == 0);
        for (guint k = 0; k < here; k++, n++) {
            NervKeyframeHeader key;
            fail_unless(nerv_keyframe_header_read(au.keyframes[k].payload, au.keyframes[k].payload_bytes,
                                                  &key, NULL));
            fail_unless(n < G_N_ELEMENTS(keys));
            fail_unless_equals_int(i / SEGMENT * SEGMENT + key.index, keys[n]);
        }
        fail_unless(error < .35, "frame %u: error %.2f", i, error);
        gst_buffer_unref(source);
    }
    fail_unless_equals_int(n, G_N_ELEMENTS(keys));
}
GST_END_TEST;

GST_START_TEST(test_play)
{
    GPtrArray *frames = new_frames();
    char *file = make_file((guint)__i__), *text = g_strdup_printf(players[__i__], file);
    RunResult r;
    run(text, frames, &r);
    fail_unless_equals_int(r.warnings, 0);
    fail_unless_equals_int(frames->len, N);
    for (guint i = 0; i < N; i++)
        expect_frame(frames, i, i);
    g_ptr_array_unref(frames);
    run_result_clear(&r);
    g_unlink(file);
    g_free(file);
    g_free(text);
}
GST_END_TEST;

/* In the middle of clips, at their ends, at cuts, in every segment. */
GST_START_TEST(test_seek)
{
    static const guint targets[] = { 0, 2, 6, 11, 12, 13, 14, 19, 20, 26, 27, 33, 42, 47, 58, 59 };
    char *file = make_file((guint)__i__), *text = g_strdup_printf(players[__i__], file);
    for (guint i = 0; i < G_N_ELEMENTS(targets); i++) {
        const SeekCall call = { 1.,
                                GST_SEEK_FLAG_ACCURATE,
                                GST_SEEK_TYPE_SET,
                                (gint64)(targets[i] * FRAME),
                                GST_SEEK_TYPE_SET,
                                (gint64)(MIN(targets[i] + 6, N) * FRAME) };
        GPtrArray *frames = play_from_seek(text, &call);
        fail_unless_equals_int(frames->len, MIN(targets[i] + 6, N) - targets[i]);
        for (guint k = 0; k < frames->len; k++)
            expect_frame(frames, k, targets[i] + k);
        g_ptr_array_unref(frames);
    }
    g_unlink(file);
    g_free(file);
    g_free(text);
}
GST_END_TEST;

GST_START_TEST(test_reverse)
{
    const SeekCall call = { -1.,       GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET,
                            5 * FRAME, GST_SEEK_TYPE_SET,      34 * FRAME };
    char *text = g_strdup_printf(players[0], path);
    GPtrArray *frames = play_from_seek(text, &call);
    fail_unless_equals_int(frames->len, 29);
    for (guint k = 0; k < frames->len; k++)
        expect_frame(frames, k, 33 - k);
    g_ptr_array_unref(frames);
    g_free(text);
}
GST_END_TEST;

/* The file ends in the middle of a clip: whatever is there comes out, whose end's keyframe has come before it. */
GST_START_TEST(test_cut)
{
    static const struct {
        guint units;
        gsize more;
    } cuts[] = { { 27, 0 }, { 24, 9 }, { 34, 1 }, { 20, 400 } };
    for (guint i = 0; i < G_N_ELEMENTS(cuts); i++) {
        GBytes *bytes = join(units, cuts[i].units, cuts[i].more);
        GPtrArray *frames = decode(bytes);
        fail_unless_equals_int(frames->len, cuts[i].units);
        for (guint k = 0; k < frames->len; k++)
            expect_frame(frames, k, k);
        g_ptr_array_unref(frames);
        g_bytes_unref(bytes);
    }
    char *mkv = make_file(1);
    for (guint part = 3; part < 8; part++) { /* of the Matroska file, anywhere */
        char *data, *file, *text;
        gsize size;
        GPtrArray *frames = new_frames();
        RunResult r;
        fail_unless(g_file_get_contents(mkv, &data, &size, NULL));
        GBytes *bytes = g_bytes_new_take(data, size * part / 8);
        file = write_temp(bytes);
        text = g_strdup_printf(players[1], file);
        run_pipeline(text, 60, collect_frames, NULL, frames, &r);
        fail_unless(frames->len > N / 8 && frames->len < N, "%u frames of %u/8", frames->len, part);
        for (guint k = 0; k < frames->len; k++)
            expect_frame(frames, k, k);
        run_result_clear(&r);
        g_unlink(file);
        g_ptr_array_unref(frames);
        g_bytes_unref(bytes);
        g_free(file);
        g_free(text);
    }
    g_unlink(mkv);
    g_free(mkv);
}
GST_END_TEST;

/* --- damage --- */

/* Access unit i with a frame's keyframe unit, or all of them, passed through `change`, which returns false for one that is left out. */
typedef bool (*Change)(guint8 *unit, gsize size);

#define ALL G_MAXUINT

static GBytes *changed(guint i, guint frame, Change change)
{
    NervAccessUnit au;
    gsize size;
    GBytes *from = g_ptr_array_index(units, i);
    const guint8 *data = g_bytes_get_data(from, &size);
    GByteArray *out = g_byte_array_new();
    fail_unless(keyframes_of(from, &au) > 0);
    for (gsize at = 0; at < size;) {
        NervUnit unit;
        gsize need;
        fail_unless(nerv_unit_scan(data + at, size - at, &unit, &need) == NERV_SCAN_OK);
        guint8 *copy = g_memdup2(data + at, unit.unit_bytes);
        NervKeyframeHeader key;
        const bool is_it = unit.type == NERV_UNIT_KEYFRAME &&
                           nerv_keyframe_header_read(unit.payload, unit.payload_bytes, &key, NULL) &&
                           (frame == ALL || i / SEGMENT * SEGMENT + key.index == frame);
        if (!is_it || change(copy, unit.unit_bytes))
            g_byte_array_append(out, copy, (guint)unit.unit_bytes);
        g_free(copy);
        at += unit.unit_bytes;
    }
    return g_byte_array_free_to_bytes(out);
}

static bool leave_out(guint8 *unit, gsize size)
{
    return false;
}

/* In the middle of the picture, which the check tells. */
static bool flip(guint8 *unit, gsize size)
{
    unit[size / 2] ^= 0x20;
    return true;
}

/* The same with a check that is right: only the picture's own decoder can tell, if at all; so the sequence header it is. */
static bool garble(guint8 *unit, gsize size)
{
    NervUnit u;
    gsize need;
    GByteArray *out = g_byte_array_new();
    fail_unless(nerv_unit_scan(unit, size, &u, &need) == NERV_SCAN_OK);
    guint8 *payload = g_memdup2(u.payload, u.payload_bytes);
    memset(payload + u.payload_bytes / 4, 0x5a, u.payload_bytes / 4);
    payload[6] ^= 0xff;
    nerv_unit_write(out, NERV_UNIT_KEYFRAME, payload, u.payload_bytes);
    fail_unless_equals_int(out->len, size);
    memcpy(unit, out->data, size);
    g_byte_array_unref(out);
    g_free(payload);
    return true;
}

typedef struct {
    GstHarness *h;
    GstBus *bus;
} Decoder;

static Decoder decoder_new(void)
{
    Decoder d = { gst_harness_new("nervdec"), gst_bus_new() };
    gst_element_set_bus(d.h->element, d.bus);
    gst_harness_set_src_caps_str(d.h, "video/x-nerv,stream-format=byte-stream,alignment=au,parsed=true,"
                                      "width=64,height=48,framerate=25/1");
    return d;
}

static void decoder_free(Decoder *d)
{
    gst_element_set_bus(d->h->element, NULL);
    gst_object_unref(d->bus);
    gst_harness_teardown(d->h);
}

static void push(Decoder *d, guint i, GBytes *unit)
{
    GstBuffer *buffer = gst_buffer_new_wrapped_bytes(unit);
    GST_BUFFER_PTS(buffer) = i * FRAME;
    GST_BUFFER_DURATION(buffer) = FRAME;
    if (i % SEGMENT)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    fail_unless_equals_int(gst_harness_push(d->h, buffer), GST_FLOW_OK);
}

/* The next warning with details: which segment, how many clips and frames. False if there is none. */
static bool next_losses(Decoder *d, guint *segment, guint64 *clips, guint64 *frames)
{
    GstMessage *message;
    while ((message = gst_bus_pop_filtered(d->bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR))) {
        const GstStructure *details = NULL;
        fail_unless(GST_MESSAGE_TYPE(message) == GST_MESSAGE_WARNING);
        gst_message_parse_warning_details(message, &details);
        const bool is_it = details && gst_structure_has_field(details, "lost-frames");
        if (is_it)
            fail_unless(gst_structure_get_uint(details, "segment", segment) &&
                        gst_structure_get_uint64(details, "concealed", clips) &&
                        gst_structure_get_uint64(details, "lost-frames", frames));
        gst_message_unref(message);
        if (is_it)
            return true;
    }
    return false;
}

/* The access unit with a frame's keyframe. */
static guint unit_with_key(guint frame)
{
    for (guint i = frame / SEGMENT * SEGMENT; i < N; i++) {
        NervAccessUnit au;
        keyframes_of(g_ptr_array_index(units, i), &au);
        for (guint k = 0; k < au.n_keyframes; k++) {
            NervKeyframeHeader key;
            fail_unless(nerv_keyframe_header_read(au.keyframes[k].payload, au.keyframes[k].payload_bytes,
                                                  &key, NULL));
            if (i / SEGMENT * SEGMENT + key.index == frame)
                return i;
        }
    }
    fail("no keyframe %u", frame);
    return 0;
}

/* The keyframe of frame 31 never comes, in one way or another: the clip from 27 to 30 is made from 27, those behind 31 from 39, all other
 * frames are the sequence's, and there is one warning. */
GST_START_TEST(test_lost_keyframe)
{
    static const Change changes[] = { leave_out, flip, garble };
    const guint at = unit_with_key(31);
    GstVideoInfo info;
    Decoder d = decoder_new();
    guint segment, n = 0;
    guint64 clips, lost;
    GstBuffer *buffer;

    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    fail_unless(at % SEGMENT > 0 && at < 27);
    for (guint i = 0; i < N; i++) {
        GBytes *unit = i == at ? changed(i, 31, changes[__i__]) : g_bytes_ref(g_ptr_array_index(units, i));
        push(&d, i, unit);
        g_bytes_unref(unit);
        if (i < 40)
            fail_unless(!next_losses(&d, &segment, &clips, &lost));
        if (i == 40) { /* the segment is over */
            fail_unless(next_losses(&d, &segment, &clips, &lost));
            fail_unless_equals_int(segment, 1);
            fail_unless_equals_uint64(clips, 4);
            fail_unless_equals_uint64(lost, 0);
        }
    }
    while ((buffer = gst_harness_try_pull(d.h))) {
        const guint i = (guint)(GST_BUFFER_PTS(buffer) / FRAME);
        const bool same = same_content(buffer, g_ptr_array_index(reference, i));
        fail_unless(same == !(i >= 27 && i < 40), "frame %u", i);
        GstBuffer *source = paint(&info, i);
        /* worse, but of its scene */
        fail_unless(picture_error(&info, buffer, source) < 2., "frame %u", i);
        gst_buffer_unref(source);
        gst_buffer_unref(buffer);
        n++;
    }
    fail_unless_equals_int(n, N);
    gst_harness_push_event(d.h, gst_event_new_eos());
    fail_unless(!next_losses(&d, &segment, &clips, &lost));
    decoder_free(&d);
}
GST_END_TEST;

/* Neither keyframe of the last segment's second scene: its frames are missing, and the end says how many. */
GST_START_TEST(test_no_keyframe)
{
    Decoder d = decoder_new();
    guint segment, n = 0;
    guint64 clips, lost;
    GstBuffer *buffer;
    for (guint i = 0; i < N; i++) {
        NervAccessUnit au;
        GBytes *unit = i > 40 && keyframes_of(g_ptr_array_index(units, i), &au)
                           ? changed(i, ALL, leave_out)
                           : g_bytes_ref(g_ptr_array_index(units, i));
        push(&d, i, unit);
        g_bytes_unref(unit);
    }
    while ((buffer = gst_harness_try_pull(d.h))) {
        const guint i = (guint)(GST_BUFFER_PTS(buffer) / FRAME);
        fail_unless(i < 47 && same_content(buffer, g_ptr_array_index(reference, i)), "frame %u", i);
        gst_buffer_unref(buffer);
        n++;
    }
    fail_unless_equals_int(n, 47);
    fail_unless(!next_losses(&d, &segment, &clips, &lost));
    gst_harness_push_event(d.h, gst_event_new_eos());
    fail_unless(next_losses(&d, &segment, &clips, &lost));
    fail_unless_equals_int(segment, 2);
    fail_unless_equals_uint64(clips, 0);
    fail_unless_equals_uint64(lost, 13);
    fail_unless(!next_losses(&d, &segment, &clips, &lost));
    decoder_free(&d);
}
GST_END_TEST;

/* A bit of a keyframe in a file of plain bytes: that unit is lost and nothing else. */
GST_START_TEST(test_damaged_file)
{
    const guint at = unit_with_key(31);
    GPtrArray *copy = g_ptr_array_new(), *frames = new_frames();
    GBytes *damaged = changed(at, 31, flip), *all;
    char *file, *text;
    RunResult r;
    for (guint i = 0; i < N; i++)
        g_ptr_array_add(copy, i == at ? damaged : g_ptr_array_index(units, i));
    all = join(copy, N, 0);
    file = write_temp(all);
    text = g_strdup_printf(players[0], file);
    run(text, frames, &r);
    fail_unless_equals_int(r.warnings, 1);
    fail_unless_equals_int(frames->len, N);
    for (guint i = 0; i < N; i++)
        fail_unless(same_content(g_ptr_array_index(frames, i), g_ptr_array_index(reference, i)) ==
                        !(i >= 27 && i < 40),
                    "frame %u", i);
    run_result_clear(&r);
    g_unlink(file);
    g_ptr_array_unref(frames);
    g_ptr_array_unref(copy);
    g_bytes_unref(damaged);
    g_bytes_unref(all);
    g_free(file);
    g_free(text);
}
GST_END_TEST;

static Suite *clips_suite(void)
{
    Suite *s = suite_create("clips");
    TCase *tc = tcase_create("clips");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_stream);
    tcase_add_loop_test(tc, test_play, 0, G_N_ELEMENTS(players));
    tcase_add_loop_test(tc, test_seek, 0, G_N_ELEMENTS(players));
    tcase_add_test(tc, test_reverse);
    tcase_add_test(tc, test_cut);
    tcase_add_loop_test(tc, test_lost_keyframe, 0, 3);
    tcase_add_test(tc, test_no_keyframe);
    tcase_add_test(tc, test_damaged_file);
    return s;
}

GST_CHECK_MAIN(clips);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nervfilemux and what nervparse makes of its files: the index at the end (src/codec/trailer.c) is what a walk finds, without the walk; one that is
 * damaged or lies is not believed; tags come back.
 */
#include <glib/gstdio.h>
#include <gst/pbutils/pbutils.h>
#include <string.h>

#include "common.h"
#include "codec/trailer.h"
#include "nervindex.h"
#include "nervtags.h"

#define N       30
#define SEGMENT 7
#define FRAME   (40 * GST_MSECOND)

static GBytes *stream;           /* without an index */
static GPtrArray *reference;     /* its decoded frames */
static char *plain, *with_index; /* files */
static GByteArray *indexed;      /* the latter's bytes */

static void load(const char *path, GByteArray *to)
{
    char *data;
    gsize size;
    fail_unless(g_file_get_contents(path, &data, &size, NULL));
    g_byte_array_append(to, (const guint8 *)data, (guint)size);
    g_free(data);
}

/* In a process of its own: each test is a fork of this one, to which threads would not come along. */
static void launch(const char *text)
{
    char *line = g_strconcat("gst-launch-1.0 -q ", text, NULL), *errors = NULL;
    gint status = -1;
    fail_unless(g_spawn_command_line_sync(line, NULL, &errors, &status, NULL) && status == 0, "%s: %s", line,
                errors);
    g_free(errors);
    g_free(line);
}

static void setup(void)
{
    stream = make_stream(N, SEGMENT, NULL);
    reference = decode(stream);
    plain = write_temp(stream);
    with_index = write_temp(stream);
    char *text = g_strdup_printf(
        "filesrc location=%s ! nervparse ! taginject tags=title=moving,artist=gradient ! nervfilemux ! "
        "filesink location=%s",
        plain, with_index);
    launch(text);
    g_free(text);
    indexed = g_byte_array_new();
    load(with_index, indexed);
}

static void teardown(void)
{
    g_unlink(plain);
    g_unlink(with_index);
    g_free(plain);
    g_free(with_index);
    g_byte_array_unref(indexed);
    g_ptr_array_unref(reference);
    g_bytes_unref(stream);
}

/* --- the index by itself --- */

typedef struct {
    const guint8 *data;
    gsize size;
    guint64 pulled;
} Bytes;

static GstFlowReturn pull(gpointer user, guint64 offset, guint size, GstBuffer **buffer)
{
    Bytes *b = user;
    if (offset >= b->size)
        return GST_FLOW_EOS;
    size = (guint)MIN(size, b->size - offset);
    *buffer = gst_buffer_new_memdup(b->data + offset, size);
    b->pulled += size;
    return GST_FLOW_OK;
}

static bool read_trailer(const GByteArray *file, NervIndex *index, guint64 *pulled)
{
    Bytes b = { file->data, file->len, 0 };
    GstFlowReturn ret;
    nerv_index_init(index);
    const bool ok = gst_nerv_index_read(index, file->len, pull, &b, &ret);
    if (pulled)
        *pulled = b.pulled;
    fail_unless(ok || index->entries->len == 0);
    return ok;
}

static void expect_walked(const GByteArray *file, guint64 *pulled)
{
    Bytes b = { file->data, file->len, 0 };
    NervIndex read, walked;
    fail_unless(read_trailer(file, &read, pulled));
    nerv_index_init(&walked);
    fail_unless_equals_int(gst_nerv_index_walk(&walked, file->len, pull, &b), GST_FLOW_OK);
    fail_unless(read.complete && walked.complete && read.bytes == walked.bytes);
    fail_unless_equals_uint64(read.end, walked.end);
    fail_unless_equals_int(read.entries->len, walked.entries->len);
    for (guint i = 0; i < read.entries->len; i++) {
        const NervIndexEntry *r = &g_array_index(read.entries, NervIndexEntry, i);
        const NervIndexEntry *w = &g_array_index(walked.entries, NervIndexEntry, i);
        fail_unless_equals_uint64(r->time, w->time);
        fail_unless_equals_uint64(r->offset, w->offset);
    }
    fail_unless_equals_int(read.parts->len, walked.parts->len);
    for (guint i = 0; i < read.parts->len; i++) {
        const NervIndexPart *r = &g_array_index(read.parts, NervIndexPart, i);
        const NervIndexPart *w = &g_array_index(walked.parts, NervIndexPart, i);
        fail_unless_equals_int64(r->shift, w->shift);
        fail_unless_equals_uint64(r->offset, w->offset);
    }
    nerv_index_clear(&walked);
    nerv_index_clear(&read);
}

static void append(GByteArray *to, const GByteArray *from)
{
    g_byte_array_append(to, from->data, from->len);
}

/* One file, files behind each other, and a file that was made of those, which has its parts in one index. */
GST_START_TEST(test_is_walk)
{
    GByteArray *chain = g_byte_array_new();
    for (int n = 1; n <= 3; n++) {
        append(chain, indexed);
        expect_walked(chain, NULL);
    }
    GBytes *bytes = g_bytes_new(chain->data, chain->len);
    char *many = write_temp(bytes), *one = write_temp(bytes);
    char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervfilemux ! filesink location=%s", many, one);
    launch(text);
    g_byte_array_set_size(chain, 0);
    load(one, chain);
    expect_walked(chain, NULL);
    append(chain, indexed);
    append(chain, indexed);
    expect_walked(chain, NULL);
    g_unlink(many);
    g_unlink(one);
    g_free(many);
    g_free(one);
    g_free(text);
    g_bytes_unref(bytes);
    g_byte_array_unref(chain);
}
GST_END_TEST;

/* A file of many large segments, made by hand: some thousand bytes are read of it. */
GST_START_TEST(test_is_short)
{
    const guint n_segments = 300, network_bytes = 20000;
    GByteArray *file = g_byte_array_new();
    guint8 *network = g_malloc0(network_bytes);
    NervIndex index;
    Bytes b = { 0 };
    guint64 pulled;
    for (guint i = 0; i < n_segments; i++) {
        const NervSequence seq = { .version = NERV_STREAM_VERSION,
                                   .segment_id = i,
                                   .first_frame = 2 * i,
                                   .n_frames = 2,
                                   .width = 64,
                                   .height = 48,
                                   .fps_n = 25,
                                   .fps_d = 1,
                                   .par_n = 1,
                                   .par_d = 1,
                                   .pts_ns = 2 * i * FRAME };
        append_sequence_unit(file, &seq);
        nerv_unit_write(file, NERV_UNIT_NETWORK, network, network_bytes);
        append_frame_unit(file, &seq, 0);
        append_frame_unit(file, &seq, 1);
    }
    b.data = file->data;
    b.size = file->len;
    nerv_index_init(&index);
    fail_unless_equals_int(gst_nerv_index_walk(&index, b.size, pull, &b), GST_FLOW_OK);
    GBytes *unit = nerv_trailer_write(&index);
    fail_unless(g_bytes_get_size(unit) < 10 * n_segments);
    g_byte_array_append(file, g_bytes_get_data(unit, NULL), (guint)g_bytes_get_size(unit));
    expect_walked(file, &pulled);
    fail_unless(pulled < 10000 && file->len > 5000000, "%" G_GUINT64_FORMAT " of %u bytes", pulled,
                file->len);
    g_bytes_unref(unit);
    nerv_index_clear(&index);
    g_free(network);
    g_byte_array_unref(file);
}
GST_END_TEST;

/* --- bad ones --- */

static gsize unit_bytes(void)
{
    return GST_READ_UINT32_LE(indexed->data + indexed->len - 8);
}

/* Every bit of the unit. */
GST_START_TEST(test_damaged)
{
    const gsize first = indexed->len - unit_bytes();
    GByteArray *file = g_byte_array_new();
    append(file, indexed);
    for (gsize bit = 8 * first; bit < 8 * (gsize)indexed->len; bit++) {
        NervIndex index;
        file->data[bit / 8] ^= (guint8)(1 << bit % 8);
        fail_unless(!read_trailer(file, &index, NULL), "bit %zu", bit);
        file->data[bit / 8] ^= (guint8)(1 << bit % 8);
        nerv_index_clear(&index);
    }
    g_byte_array_unref(file);
}
GST_END_TEST;

/* Whole units that say what is not so: `payload` in place of the index's, with a right size and checks. */
static bool is_believed(const NervBitWriter *payload)
{
    GByteArray *file = g_byte_array_new();
    NervIndex index;
    const gsize size = nerv_unit_bytes(payload->bytes->len + 4);
    g_byte_array_append(file, indexed->data, indexed->len - (guint)unit_bytes());
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_write_bytes(&w, payload->bytes->data, payload->bytes->len);
    nerv_write_u32(&w, (guint32)size);
    nerv_unit_write(file, NERV_UNIT_INDEX, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
    const bool ok = read_trailer(file, &index, NULL);
    nerv_index_clear(&index);
    g_byte_array_unref(file);
    return ok;
}

/* A payload of these numbers; the last ones are parts' or entries'. */
static bool numbers_believed(const guint64 *numbers, gsize n)
{
    NervBitWriter w;
    nerv_writer_init(&w);
    for (gsize i = 0; i < n; i++)
        nerv_write_varint(&w, numbers[i]);
    const bool ok = is_believed(&w);
    nerv_writer_clear(&w);
    return ok;
}

#define BELIEVED(...)                                                                                        \
    numbers_believed((const guint64[]){ __VA_ARGS__ },                                                       \
                     sizeof((const guint64[]){ __VA_ARGS__ }) / sizeof(guint64))

GST_START_TEST(test_lies)
{
    const guint64 bytes = indexed->len - unit_bytes();
    const guint64 end = N * FRAME;
    NervIndex index;
    fail_unless(read_trailer(indexed, &index, NULL));
    const NervIndexEntry *second = &g_array_index(index.entries, NervIndexEntry, 1);
    const guint64 at = second->offset, time = second->time;
    /* one or two of the five segments: less than the truth, but true */
    fail_unless(BELIEVED(0, bytes, end + 1, end, 1, 0, 0, 0));
    fail_unless(BELIEVED(0, bytes, end + 1, end, 2, 0, 0, at, time, 0));
    fail_if(BELIEVED(1, bytes, end + 1, end, 1, 0, 0, 0), "another layout");
    fail_if(BELIEVED(0, bytes, end + 1, end, 0, 0), "no segment");
    fail_if(BELIEVED(0, bytes + 1, end + 1, end, 1, 0, 0, 0), "more bytes than there are");
    fail_if(BELIEVED(0, bytes - 1, end + 1, end, 1, 0, 0, 0), "a byte before it that is no file's");
    fail_if(BELIEVED(0, bytes, end + 1, end, 2, 0, 0, at + 1, time, 0), "no sync point there");
    fail_if(BELIEVED(0, bytes, end + 1, end, 2, 0, 0, at, time + 1, 0), "another time");
    fail_if(BELIEVED(0, bytes, end + 1, end, 2, 0, 0, 0, time, 0), "twice the same place");
    fail_if(BELIEVED(0, bytes, end + 1, end, 2, 0, 0, at, 0, 0), "twice the same time");
    fail_if(BELIEVED(0, bytes, end + 1, end, 2, 0, 0, bytes, time, 0), "behind the end");
    fail_if(BELIEVED(0, bytes, end + 1, end, 2, 0, 0, at, G_MAXINT64, 0), "a time that is none");
    fail_if(BELIEVED(0, bytes, end + 1, end, 1000000000, 0, 0, 0), "entries that are not there");
    fail_if(BELIEVED(0, bytes, end + 1, end, 1, 0, 0, 1000000000), "parts that are not there");
    fail_if(BELIEVED(0, bytes, end + 1, end, 1, 0, 0, 0, 0), "something behind it");
    fail_if(BELIEVED(0, bytes, end + 1, end, 1, 0, 0, 1, 0, 2), "a shift that the stream does not have");
    nerv_index_clear(&index);
}
GST_END_TEST;

/* --- in pipelines --- */

static void expect_from(const char *text, guint begin, GPtrArray *frames)
{
    fail_unless(frames->len == N - begin, "%s: %u frames", text, frames->len);
    for (guint k = 0; k < frames->len; k++) {
        fail_unless(same_content(g_ptr_array_index(frames, k), g_ptr_array_index(reference, begin + k)));
        fail_unless_equals_uint64(GST_BUFFER_PTS((GstBuffer *)g_ptr_array_index(frames, k)),
                                  (begin + k) * FRAME);
    }
}

/* The index is no damage, wherever it is read from. */
GST_START_TEST(test_play)
{
    static const char *const players[] = {
        "filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink",
        "filesrc location=%s blocksize=100 ! queue ! nervparse ! nervdec ! fakesink name=sink",
        "filesrc location=%s ! decodebin ! video/x-raw ! fakesink name=sink"
    };
    for (guint i = 0; i < G_N_ELEMENTS(players); i++) {
        GPtrArray *frames = new_frames();
        RunResult r;
        char *text = g_strdup_printf(players[i], with_index);
        run_pipeline(text, 60, collect_frames, NULL, frames, &r);
        fail_unless(r.eos && !r.error && r.warnings == 0, "%s: %u warnings", text, r.warnings);
        expect_from(text, 0, frames);
        g_ptr_array_unref(frames);
        run_result_clear(&r);
        g_free(text);
    }
}
GST_END_TEST;

GST_START_TEST(test_seek)
{
    static const guint from[] = { 0, 6, 7, 20, 29 };
    char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", with_index);
    for (guint i = 0; i < G_N_ELEMENTS(from); i++) {
        const SeekCall call = {
            1., GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, (gint64)(from[i] * FRAME), GST_SEEK_TYPE_NONE, 0
        };
        GPtrArray *frames = play_from_seek(text, &call);
        expect_from(text, from[i], frames);
        g_ptr_array_unref(frames);
    }
    const SeekCall back = { -1., GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, N * FRAME };
    GPtrArray *frames = play_from_seek(text, &back);
    fail_unless_equals_int(frames->len, N);
    for (guint k = 0; k < N; k++)
        fail_unless(same_content(g_ptr_array_index(frames, k), g_ptr_array_index(reference, N - 1 - k)));
    g_ptr_array_unref(frames);
    g_free(text);
}
GST_END_TEST;

/* Cut anywhere: what is there plays, as without an index. */
GST_START_TEST(test_cut)
{
    for (guint less = 1; less < unit_bytes() + 40; less += 7) {
        GBytes *bytes = g_bytes_new(indexed->data, indexed->len - less);
        char *path = write_temp(bytes),
             *text = g_strdup_printf("filesrc location=%s ! nervparse ! nervdec ! fakesink name=sink", path);
        GPtrArray *frames = new_frames();
        RunResult r;
        run_pipeline(text, 60, collect_frames, NULL, frames, &r);
        fail_unless(r.eos && !r.error);
        fail_unless(frames->len == N || less > unit_bytes(), "%u bytes less: %u frames", less, frames->len);
        fail_unless(frames->len >= N - 4);
        g_ptr_array_unref(frames);
        run_result_clear(&r);
        g_unlink(path);
        g_free(path);
        g_free(text);
        g_bytes_unref(bytes);
    }
}
GST_END_TEST;

GST_START_TEST(test_tags)
{
    GError *error = NULL;
    GstDiscoverer *discoverer = gst_discoverer_new(20 * GST_SECOND, &error);
    char *uri = gst_filename_to_uri(with_index, NULL), *value = NULL;
    GstDiscovererInfo *info = gst_discoverer_discover_uri(discoverer, uri, &error);
    fail_unless(info && !error);
    fail_unless_equals_uint64(gst_discoverer_info_get_duration(info), N * FRAME);
    const GstTagList *tags = gst_discoverer_info_get_tags(info);
    fail_unless(gst_tag_list_get_string(tags, GST_TAG_TITLE, &value));
    fail_unless_equals_string(value, "moving");
    g_free(value);
    fail_unless(gst_tag_list_get_string(tags, GST_TAG_ARTIST, &value));
    fail_unless_equals_string(value, "gradient");
    g_free(value);
    fail_unless(gst_tag_list_get_string(tags, GST_TAG_VIDEO_CODEC, &value));
    fail_unless_equals_string(value, "Neural Video (NeRV)");
    g_free(value);
    gst_discoverer_info_unref(info);
    g_object_unref(discoverer);
    g_free(uri);
}
GST_END_TEST;

static void set_title(GstElement *pipeline, gpointer unused)
{
    GstElement *mux = gst_bin_get_by_interface(GST_BIN(pipeline), GST_TYPE_TAG_SETTER);
    gst_tag_setter_add_tags(GST_TAG_SETTER(mux), GST_TAG_MERGE_REPLACE, GST_TAG_TITLE, "another", NULL);
    gst_object_unref(mux);
}

/* An application's tags, by GstTagSetter; neither they nor the stream's make the file of one without tags another one. */
GST_START_TEST(test_tag_setter)
{
    GByteArray *made = g_byte_array_new();
    RunResult r;
    char *out = write_temp(stream);
    char *text =
        g_strdup_printf("filesrc location=%s ! nervparse ! nervfilemux ! filesink location=%s", plain, out);
    run_pipeline(text, 60, set_title, NULL, NULL, &r);
    fail_unless(r.eos && !r.error);
    run_result_clear(&r);
    load(out, made);
    GstTagList *tags = gst_nerv_tags_read(made->data, made->len);
    char *value = NULL;
    fail_unless(tags && gst_tag_list_get_string(tags, GST_TAG_TITLE, &value));
    fail_unless_equals_string(value, "another");
    g_free(value);
    fail_if(gst_tag_list_get_string(tags, GST_TAG_VIDEO_CODEC, &value), "the codec is no tag of the file");
    gst_tag_list_unref(tags);
    expect_walked(made, NULL);
    g_byte_array_set_size(made, 0);
    run_pipeline(text, 60, NULL, NULL, NULL, &r);
    fail_unless(r.eos && !r.error);
    run_result_clear(&r);
    load(out, made);
    gsize size;
    const void *data = g_bytes_get_data(stream, &size);
    fail_unless(made->len > size && memcmp(made->data, data, size) == 0, "the stream is another one");
    g_byte_array_unref(made);
    g_unlink(out);
    g_free(out);
    g_free(text);
}
GST_END_TEST;

int main(int argc, char **argv)
{
    gst_check_init(&argc, &argv);
    Suite *s = suite_create("filemux");
    TCase *tc = tcase_create("filemux");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, setup, teardown); /* once for all tests */
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_is_walk);
    tcase_add_test(tc, test_is_short);
    tcase_add_test(tc, test_damaged);
    tcase_add_test(tc, test_lies);
    tcase_add_test(tc, test_play);
    tcase_add_test(tc, test_seek);
    tcase_add_test(tc, test_cut);
    tcase_add_test(tc, test_tags);
    tcase_add_test(tc, test_tag_setter);
    return gst_check_run_suite(s, "filemux", __FILE__);
}

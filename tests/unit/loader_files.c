/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The reader of frames on files that were joined, damaged or cut off, and on an index that is missing or lies: whatever can be had is as it is shown in
 * sequence, and what can't be is an error.
 */
#include "loader.h"

/* --- several streams --- */

/* Of other sizes, one after the other, with an index each, with one of all, with none. */
static void test_joined(void)
{
    for (int way = 0; way < 3; way++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        for (int k = 0; k < N_STREAMS; k++) {
            g_autoptr(GByteArray) one = copy_of(streams[k]->bytes, way == 1);
            g_byte_array_append(bytes, one->data, one->len);
        }
        if (way == 2)
            append_index(bytes);
        NervReader *r = reader_new(bytes, 2);
        GError *error = NULL;
        guint first = 0;
        g_assert_true(info_of(r).has_index == (way > 0));
        g_assert_false(info_of(r).same_size);
        for (int k = 0; k < N_STREAMS; first += streams[k++]->frames->len)
            for (guint i = 0; i < streams[k]->frames->len; i += 3)
                expect_frame(r, first + i, streams[k], i);
        g_assert_cmpuint(info_of(r).n_frames, ==, first);
        g_autofree int64_t *pts = g_new(int64_t, first);
        g_assert_true(nerv_reader_get_times(r, 0, first, pts, &error));
        for (guint i = 0; i < first; i++)
            g_assert_cmpint(pts[i], ==, (int64_t)i * 40000000);
        /* frames of two sizes make no tensor, parts of them do */
        g_autofree uint8_t *got = g_malloc(2 * 64 * 40 * 3);
        const uint64_t both[] = { 0, streams[0]->frames->len };
        NervTensorView v = packed(got, 2, 40, 24);
        g_assert_false(nerv_reader_read_frames(r, both, 2, &v, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_clear_error(&error);
        v.width = 40, v.height = 24;
        g_assert_true(nerv_reader_read_frames(r, both, 2, &v, &error));
        nerv_reader_free(r);
    }
}

/* --- damage --- */

/* Segment 1 of 4 of 8 frames, by its sequence unit, its network, its first frame's unit and another's; with and without an index. */
static void test_damaged(void)
{
    const Stream *s = streams[NERV];
    static const struct {
        uint32_t unit, type;
        uint32_t n_lost; /* frames that have no number, or can't be read */
        bool has_numbers;
    } kinds[] = { { 8, NERV_UNIT_SEQUENCE, 8, false },
                  { 8, NERV_UNIT_NETWORK, 8, true },
                  { 8, NERV_UNIT_FRAME, 0, true },
                  { 11, NERV_UNIT_FRAME, 0, true },
                  { 0, NERV_UNIT_FRAME, 0, true } };
    for (size_t k = 0; k < 2 * G_N_ELEMENTS(kinds); k++) {
        const bool with_index = k % 2;
        const uint32_t first = kinds[k / 2].unit == 8 ? 8 : 0;
        g_autoptr(GByteArray) bytes = copy_of(s->bytes, with_index);
        size_t size;
        const size_t at = find_unit(bytes, unit_at(s, kinds[k / 2].unit), kinds[k / 2].type, &size);
        bytes->data[at + size / 2] ^= 0x10;
        NervReader *r = reader_new(bytes, 2);
        const uint32_t gap = kinds[k / 2].has_numbers ? 0 : kinds[k / 2].n_lost;
        /* what an index says of a segment that has lost its header is not believed */
        g_assert_true(info_of(r).has_index == (with_index && kinds[k / 2].has_numbers));
        g_assert_cmpuint(info_of(r).n_frames, ==, s->frames->len - gap);
        for (guint i = 0; i < s->frames->len - gap; i++) {
            if (i >= first && i < first + kinds[k / 2].n_lost && !gap)
                expect_failure(r, i, s, NERV_ERROR_DATA);
            else
                expect_frame(r, i, s, i < 8 ? i : i + gap);
        }
        nerv_reader_free(r);
    }
}

/* A call that has some frames which are lost fails, and says which is the first. */
static void test_first_error(void)
{
    const Stream *s = streams[NERV];
    g_autoptr(GByteArray) bytes = copy_of(s->bytes, false);
    const uint64_t frames[] = { 28, 3, 20, 12, 9, 13 };
    g_autofree uint8_t *got = g_malloc((gsize)6 * s->w * s->h * 3);
    const NervTensorView view = packed(got, 6, (size_t)s->w, (size_t)s->h);
    for (guint first = 8; first <= 16; first += 8) {
        size_t size;
        bytes->data[find_unit(bytes, unit_at(s, first), NERV_UNIT_NETWORK, &size) + 9] ^= 0x10;
        memcpy(bytes->data + unit_at(s, first), s->bytes->data + unit_at(s, first), 9);
    }
    for (int round = 0; round < 5; round++) {
        GError *error = NULL;
        NervReader *r = reader_new(bytes, 3);
        g_assert_false(nerv_reader_read_frames(r, frames, 6, &view, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
        g_assert_true(g_str_has_prefix(error->message, "frame 9: "));
        g_clear_error(&error);
        nerv_reader_free(r);
    }
}

/* Cut off anywhere: what is counted can be read or is lost, and nothing else happens. */
static void test_cut(void)
{
    const Stream *s = streams[NERV];
    for (size_t size = s->bytes->len - 1; size > 200; size -= 97) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_byte_array_append(bytes, s->bytes->data, (guint)size);
        NervReader *r = try_reader(bytes, 1, 0, NULL);
        if (!r)
            continue;
        const uint64_t n = info_of(r).n_frames;
        guint whole = 0; /* segments whose network is there */
        for (guint k = 0; k < 4; k++) {
            size_t network;
            const size_t at = find_unit(s->bytes, unit_at(s, 8 * k), NERV_UNIT_NETWORK, &network);
            whole += at + network <= size;
        }
        g_assert_cmpuint(n, >=, MIN(8 * whole, 29));
        g_assert_cmpuint(n, <=, MIN(8 * (whole + 1), 29));
        for (guint i = 3; i < n; i += 8) {
            if (i < 8 * whole)
                expect_frame(r, i, s, i);
            else
                expect_failure(r, i, s, NERV_ERROR_DATA);
        }
        nerv_reader_free(r);
    }
}

/* Keyframes: a decoder makes up for one that is lost by the other; what is read is as it was, or not to be had. */
static void test_keyframes(void)
{
    const Stream *s = streams[CLIPS];
    g_autoptr(Stream) damaged = stream_empty(s->w, s->h);
    size_t size, at = find_unit(s->bytes, 0, NERV_UNIT_KEYFRAME, &size);
    g_byte_array_append(damaged->bytes, s->bytes->data, s->bytes->len);
    g_array_append_vals(damaged->units, s->units->data, s->units->len);
    damaged->bytes->data[at + size / 2] ^= 0x10;
    play(damaged);
    NervReader *r = reader_new(damaged->bytes, 2);
    g_assert_cmpint(memcmp(shown(damaged, 2), shown(s, 2), (size_t)s->w * s->h * 3), !=, 0);
    expect_failure(r, 2, s, NERV_ERROR_DATA);
    expect_frame(r, 20, s, 20);
    nerv_reader_free(r);
    for (guint n = 0; n < 2; n++) { /* and the next */
        at = find_unit(s->bytes, at + size, NERV_UNIT_KEYFRAME, &size);
        damaged->bytes->data[at + size / 2] ^= 0x10;
    }
    r = reader_new(damaged->bytes, 2);
    expect_failure(r, 0, s, NERV_ERROR_DATA);
    expect_frame(r, 20, s, 20);
    nerv_reader_free(r);
}

/* Without a base there is no residual, and behind the next sync point all is well. */
static void test_lost_base(void)
{
    const Stream *s = streams[RESIDUAL];
    g_autoptr(GByteArray) bytes = copy_of(s->bytes, false);
    size_t size, at;
    at = find_unit(bytes, 0, NERV_UNIT_RESIDUAL, &size); /* there is one, or the stream tests nothing */
    const guint second = at > unit_at(s, 12) ? at > unit_at(s, 18) ? 18 : 12 : 6;
    at = find_unit(bytes, 0, NERV_UNIT_NETWORK, &size);
    bytes->data[at + size / 2] ^= 0x10;
    NervReader *r = reader_new(bytes, 2);
    expect_failure(r, 0, s, NERV_ERROR_DATA);
    if (second == 6)
        expect_failure(r, 6, s, NERV_ERROR_DATA);
    nerv_reader_free(r);
}

/* --- the index --- */

/* An index unit for these bytes that leaves out the entries of segments whose bit is not set, and moves all by `more` bytes. */
static GByteArray *with_lie(const GByteArray *bytes, guint keep, size_t more)
{
    NervIndex index, lie;
    GByteArray *out = copy_of(bytes, false);
    NervMemory memory = { out->data, out->len };
    nerv_index_init(&index);
    nerv_index_init(&lie);
    nerv_walk(&index, bytes->len, nerv_memory_read, &memory);
    lie.noted = bytes->len;
    lie.end = index.end;
    lie.last_pts = index.last_pts;
    for (guint i = 0; i < index.entries->len; i++) {
        const NervIndexEntry *e = &g_array_index(index.entries, NervIndexEntry, i);
        if (keep & 1u << i)
            nerv_index_add(&lie, e->offset + more, e->time);
    }
    g_autoptr(GBytes) unit = nerv_trailer_write(&lie);
    gsize size;
    const uint8_t *data = g_bytes_get_data(unit, &size);
    g_byte_array_append(out, data, (guint)size);
    nerv_index_clear(&index);
    nerv_index_clear(&lie);
    return out;
}

static void test_lies(void)
{
    const Stream *s = streams[NERV];
    static const struct {
        guint keep;
        size_t more;
        bool is_believed;
    } lies[] = { { 15, 0, true }, { 11, 0, true },  { 1, 0, true },
                 { 8, 0, true },  { 15, 1, false }, { 2, 60, false } };
    for (size_t k = 0; k < G_N_ELEMENTS(lies); k++) {
        g_autoptr(GByteArray) bytes = with_lie(s->bytes, lies[k].keep, lies[k].more);
        NervReader *r = reader_new(bytes, 1);
        g_assert_true(info_of(r).has_index == lies[k].is_believed);
        expect_all(r, s);
        nerv_reader_free(r);
    }
    /* damaged: no index */
    g_autoptr(GByteArray) bytes = copy_of(s->bytes, true);
    bytes->data[bytes->len - 6] ^= 1;
    NervReader *r = reader_new(bytes, 1);
    g_assert_false(info_of(r).has_index);
    expect_all(r, s);
    nerv_reader_free(r);
}

/* A beginning that comes again within its segment, as a live stream's receivers want it, is no other segment. */
static void test_repeated(void)
{
    const Stream *s = streams[NERV];
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    NervReader *r;
    for (guint first = 8; first < 25; first += 16) { /* the second segment, and the last */
        size_t size;
        const size_t begin = unit_at(s, first), at = unit_at(s, first + 2);
        const size_t end = find_unit(s->bytes, begin, NERV_UNIT_FRAME, &size);
        g_byte_array_set_size(bytes, 0);
        g_byte_array_append(bytes, s->bytes->data, (guint)at);
        g_byte_array_append(bytes, s->bytes->data + begin, (guint)(end - begin));
        g_byte_array_append(bytes, s->bytes->data + at, (guint)(s->bytes->len - at));
        r = reader_new(bytes, 1);
        g_assert_cmpuint(info_of(r).n_segments, ==, 4);
        expect_all(r, s);
        nerv_reader_free(r);
    }
    /* whole and behind itself it is another stream */
    g_byte_array_set_size(bytes, 0);
    g_byte_array_append(bytes, s->bytes->data, (guint)unit_at(s, 8));
    g_byte_array_append(bytes, s->bytes->data, (guint)unit_at(s, 8));
    r = reader_new(bytes, 1);
    g_assert_cmpuint(info_of(r).n_frames, ==, 16);
    expect_frame(r, 13, s, 5);
    nerv_reader_free(r);
}

/* --- a network that comes again --- */

/* A unit of segment 0 as one of segment 1, whose keyframes all show the last one's picture. */
static void append_as_next(GByteArray *out, const NervUnit *u, uint32_t n_frames, NervKeyframeHeader *last)
{
    NervSequence s;
    NervFrameHeader f;
    NervKeyframeHeader k;
    NervBitWriter w;
    nerv_writer_init(&w);
    if (u->type == NERV_UNIT_SEQUENCE && nerv_sequence_read(u->payload, u->payload_bytes, &s, NULL)) {
        s.segment_id = 1;
        s.first_frame = n_frames;
        s.pts_ns = n_frames * INT64_C(40000000);
        nerv_sequence_write(&s, &w);
    } else if (u->type == NERV_UNIT_FRAME && nerv_frame_read(u->payload, u->payload_bytes, &f, NULL)) {
        f.segment_id = 1;
        nerv_frame_write(&f, &w);
    } else if (u->type == NERV_UNIT_KEYFRAME &&
               nerv_keyframe_header_read(u->payload, u->payload_bytes, &k, NULL)) {
        k.segment_id = 1;
        k.data = last->data;
        k.bytes = last->bytes;
        nerv_keyframe_header_write(&k, &w);
    } else {
        nerv_write_bytes(&w, u->payload, u->payload_bytes);
    }
    nerv_unit_write(out, (NervUnitType)u->type, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
}

/* Two segments of one and the same network with other keyframes: each shows its own, in sequence too. */
static void test_same_network(void)
{
    enum { N = 14 };
    const Stream *s = streams[CLIPS];
    g_autoptr(Stream) twice = stream_empty(s->w, s->h);
    NervKeyframeHeader last = { .bytes = 0 };
    size_t size;
    for (size_t at = 0; at < unit_at(s, N); at += size) {
        NervUnit u;
        nerv_unit_scan(s->bytes->data + at, s->bytes->len - at, &u, &size);
        size = u.unit_bytes;
        if (u.type == NERV_UNIT_KEYFRAME)
            nerv_keyframe_header_read(u.payload, u.payload_bytes, &last, NULL);
    }
    g_byte_array_append(twice->bytes, s->bytes->data, (guint)unit_at(s, N));
    g_array_append_vals(twice->units, s->units->data, N);
    for (guint i = 0; i < N; i++) {
        const size_t begin = twice->bytes->len;
        g_array_append_val(twice->units, begin);
        for (size_t at = unit_at(s, i); at < unit_at(s, i + 1); at += size) {
            NervUnit u;
            nerv_unit_scan(s->bytes->data + at, s->bytes->len - at, &u, &size);
            size = u.unit_bytes;
            append_as_next(twice->bytes, &u, N, &last);
        }
    }
    play(twice);
    NervReader *r = reader_new(twice->bytes, 2);
    g_assert_cmpuint(info_of(r).n_segments, ==, 2);
    expect_all(r, twice);
    g_assert_cmpint(memcmp(shown(twice, 1), shown(twice, N + 1), (size_t)s->w * s->h * 3), !=, 0);
    nerv_reader_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    make_streams();
    g_test_add_func("/loader/joined", test_joined);
    g_test_add_func("/loader/damaged", test_damaged);
    g_test_add_func("/loader/first-error", test_first_error);
    g_test_add_func("/loader/cut", test_cut);
    g_test_add_func("/loader/keyframes", test_keyframes);
    g_test_add_func("/loader/lost-base", test_lost_base);
    g_test_add_func("/loader/lies", test_lies);
    g_test_add_func("/loader/repeated", test_repeated);
    g_test_add_func("/loader/same-network", test_same_network);
    const int result = g_test_run();
    free_streams();
    return result;
}

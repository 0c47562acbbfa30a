/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The reader of frames: in any order, in any layout and on any number of threads they are those that are shown in sequence, of networks alone, of clips with
 * keyframes and of residuals; and what it keeps is bounded. Damaged, joined and lying files are loader_files.c's. The
 * argument names the device; skipped (77) without one.
 */
#include <glib/gstdio.h>

#include "loader.h"

static bool is_cpu(void)
{
    return g_str_equal(device, "cpu");
}

/* --- frames --- */

static void test_frames(void)
{
    for (int k = 0; k < N_STREAMS; k++) {
        for (int with_index = 0; with_index < 2; with_index++) {
            g_autoptr(GByteArray) bytes = copy_of(streams[k]->bytes, with_index);
            for (uint32_t threads = 1; threads <= 4; threads += 3) {
                NervReader *r = reader_new(bytes, threads);
                const NervReaderInfo info = info_of(r);
                g_assert_true(info.has_index == with_index && info.same_size);
                g_assert_cmpuint(info.n_frames, ==, streams[k]->frames->len);
                g_assert_cmpint(info.video.pixels.width, ==, streams[k]->w);
                g_assert_cmpuint(stats_of(r).max_workers, ==, is_cpu() ? threads : 1);
                for (int round = 0; round < 3; round++)
                    expect_random(r, streams[k], 1 + 20 * (size_t)round);
                expect_frame(r, 5, streams[k], 5);
                nerv_reader_free(r);
            }
        }
    }
    g_assert_cmpint(memcmp(shown(streams[NERV], 3), shown(streams[NERV], 20), 40 * 24 * 3), !=, 0);
}

/* Segments, and times as a decoder has them. */
static void test_segments(void)
{
    static const uint32_t n_segments[] = { 4, 2, 4 };
    for (int k = 0; k < N_STREAMS; k++) {
        const Stream *s = streams[k];
        NervReader *r = reader_new(s->bytes, 1);
        NervReaderSegment segment;
        GError *error = NULL;
        uint64_t next = 0;
        g_assert_cmpuint(info_of(r).n_segments, ==, n_segments[k]);
        for (uint32_t i = 0; i < n_segments[k]; i++) {
            nerv_reader_get_segment(r, i, &segment, &error);
            g_assert_no_error(error);
            g_assert_cmpuint(segment.first_frame, ==, next);
            g_assert_cmpint(segment.pts_ns, ==, (int64_t)next * 40000000);
            next += segment.n_frames;
        }
        g_assert_cmpuint(next, ==, s->frames->len);
        g_assert_false(nerv_reader_get_segment(r, n_segments[k], &segment, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_clear_error(&error);
        g_autofree int64_t *pts = g_new(int64_t, next);
        g_assert_true(nerv_reader_get_times(r, 0, next, pts, &error));
        g_assert_cmpmem(pts, next * 8, s->pts->data, next * 8);
        g_assert_false(nerv_reader_get_times(r, 1, next, pts, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_clear_error(&error);
        nerv_reader_free(r);
    }
}

/* --- tensors --- */

/* Both types, channels first and last, in front of time or behind it, with gaps, of a part of the picture: every element is where its strides say, and nothing else is
 * written. */
static void test_views(void)
{
    enum { N = 3, T = 4, X = 5, Y = 3, W = 16, H = 11, GAP = 4 };
    static const int orders[][5] = {
        { 0, 1, 2, 3, 4 }, { 0, 1, 4, 2, 3 }, { 0, 4, 1, 2, 3 }, { 3, 2, 1, 0, 4 }
    };
    static const size_t sizes[5] = { N, T, H, W, 3 };
    static const uint64_t starts[N] = { 17, 0, 7 };
    const Stream *s = streams[NERV];
    for (size_t k = 0; k < 2 * G_N_ELEMENTS(orders); k++) {
        const int *order = orders[k / 2];
        NervTensorView v = {
            .element = k % 2 ? NERV_ELEMENT_F32 : NERV_ELEMENT_U8, .x = X, .y = Y, .width = W, .height = H
        };
        const size_t each = k % 2 ? sizeof(float) : 1;
        size_t bytes = each;
        for (int i = 4; i >= 0; i--) {
            v.strides[order[i]] = bytes;
            bytes = bytes * sizes[order[i]] + (i == 2 ? GAP * each : 0);
        }
        v.bytes = bytes;
        g_autofree uint8_t *data = g_malloc(bytes), *seen = g_malloc0(bytes);
        memset(data, 0xa5, bytes);
        v.data = data;
        GError *error = NULL;
        NervReader *r = reader_new(s->bytes, k % 3 ? 3 : 1);
        nerv_reader_read_clips(r, starts, N, T, 2, &v, &error);
        g_assert_no_error(error);
        for (size_t i = 0; i < (size_t)N * T * H * W * 3; i++) {
            const size_t c = i % 3, x = i / 3 % W, y = i / 3 / W % H, t = i / 3 / W / H % T,
                         n = i / 3 / W / H / T;
            const size_t at =
                n * v.strides[0] + t * v.strides[1] + y * v.strides[2] + x * v.strides[3] + c * v.strides[4];
            const uint8_t want =
                shown(s, (guint)(starts[n] + 2 * t))[((y + Y) * (size_t)s->w + x + X) * 3 + c];
            float f;
            memcpy(&f, data + at, MIN(each * 4, 4) == 4 && k % 2 ? 4 : 1);
            if (k % 2)
                g_assert_cmpfloat(f, ==, (float)want / 255.f);
            else
                g_assert_cmpuint(data[at], ==, want);
            memset(seen + at, 1, each);
        }
        for (size_t i = 0; i < bytes; i++)
            g_assert_true(seen[i] || data[i] == 0xa5);
        nerv_reader_free(r);
    }
}

/* The right and lower rest of the picture. */
static void test_rest(void)
{
    const Stream *s = streams[NERV];
    uint8_t got[10 * 4 * 3];
    NervTensorView v = packed(got, 1, 10, 4);
    const uint64_t frame = 2;
    GError *error = NULL;
    NervReader *r = reader_new(s->bytes, 1);
    v.x = (uint32_t)s->w - 10;
    v.y = (uint32_t)s->h - 4;
    nerv_reader_read_frames(r, &frame, 1, &v, &error);
    g_assert_no_error(error);
    for (int y = 0; y < 4; y++)
        g_assert_cmpmem(got + y * 30, 30, shown(s, 2) + ((s->h - 4 + y) * s->w + s->w - 10) * 3, 30);
    nerv_reader_free(r);
}

static void expect_refused(NervReader *r, uint64_t frame, const NervTensorView *v, const char *says)
{
    GError *error = NULL;
    g_assert_false(nerv_reader_read_frames(r, &frame, 1, v, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, says));
    g_clear_error(&error);
}

static void test_refused(void)
{
    const Stream *s = streams[NERV];
    const size_t bytes = (size_t)s->w * s->h * 3;
    g_autofree float *data = g_new0(float, bytes + 1);
    const NervTensorView good = packed(data, 1, (size_t)s->w, (size_t)s->h);
    const uint64_t last = s->frames->len - 1;
    NervReader *r = reader_new(s->bytes, 2);
    GError *error = NULL;
    NervTensorView v;
    expect_refused(r, last + 1, &good, "of a file of 29");
    expect_refused(r, UINT64_MAX, &good, "of a file of 29");
    v = good, v.bytes--;
    expect_refused(r, 0, &v, "memory is smaller");
    v = good, v.strides[2] = SIZE_MAX / 2;
    expect_refused(r, 0, &v, "lead out");
    v = good, v.data = NULL;
    expect_refused(r, 0, &v, "NULL");
    v = good, v.element = NERV_ELEMENT_N;
    expect_refused(r, 0, &v, "element");
    v = good, v.element = NERV_ELEMENT_F32;
    expect_refused(r, 0, &v, "multiples");
    for (int i = 0; i < 5; i++)
        v.strides[i] *= 4;
    v.bytes = 4 * bytes + 4, v.data = (uint8_t *)data + 2;
    expect_refused(r, 0, &v, "aligned");
    v = good, v.x = (uint32_t)s->w;
    expect_refused(r, 0, &v, "no part");
    v = good, v.width = UINT32_MAX, v.x = 3;
    expect_refused(r, 0, &v, "no part");
    for (size_t i = 0; i < bytes; i++)
        g_assert_cmpfloat(data[i], ==, 0);
    const uint64_t start = last - 6;
    g_assert_false(nerv_reader_read_clips(r, &start, 1, 0, 1, &good, NULL));
    g_assert_false(nerv_reader_read_clips(r, &start, 1, 1, 0, &good, NULL));
    g_assert_false(nerv_reader_read_clips(r, &start, 1, 8, 1, &good, NULL));
    g_assert_false(nerv_reader_read_clips(r, &start, 1, UINT32_MAX, UINT32_MAX, &good, NULL));
    g_assert_false(nerv_reader_read_clips(r, &start, SIZE_MAX / 2, 8, 1, &good, NULL));
    g_assert_true(nerv_reader_read_clips(r, NULL, 0, 8, 1, &good, &error)); /* nothing of nothing */
    g_assert_no_error(error);
    nerv_reader_free(r);
}

/* --- what it costs --- */

/* A run is computed once for all of its frames in a call, a network unpacked once, and a plan made once for networks that are alike. */
static void test_counts(void)
{
    enum { T = 8 };
    const Stream *s = streams[CLIPS];
    const size_t bytes = (size_t)s->w * s->h * 3;
    g_autofree uint8_t *got = g_malloc(3 * T * bytes);
    const uint64_t starts[] = { 3, 3, 2 };
    NervTensorView v = packed(got, T, (size_t)s->w, (size_t)s->h);
    GError *error = NULL;
    NervReader *r = reader_new(s->bytes, 2);
    v.bytes = 3 * T * bytes;
    nerv_reader_read_clips(r, starts, 3, T, 1, &v, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 3; i++)
        for (int t = 0; t < T; t++)
            g_assert_cmpmem(got + (i * T + t) * bytes, bytes, shown(s, (guint)(starts[i] + t)), bytes);
    /* frames 2 to 10 of a scene of 11: runs of 0..3, 4..7, 8..10 */
    g_assert_cmpuint(stats_of(r).runs, ==, 3);
    g_assert_cmpuint(stats_of(r).networks, ==, 1);
    g_assert_cmpuint(stats_of(r).frames, ==, 3 * T);
    g_assert_cmpuint(stats_of(r).plans, <=, 2);
    nerv_reader_read_clips(r, starts, 1, T, 1, &v, &error);
    g_assert_cmpuint(stats_of(r).networks, ==, 1);
    nerv_reader_free(r);
    /* one thread, networks alike */
    r = reader_new(streams[NERV]->bytes, 1);
    for (int round = 0; round < 5; round++)
        expect_random(r, streams[NERV], 20);
    g_assert_cmpuint(stats_of(r).networks, ==, 4);
    g_assert_cmpuint(stats_of(r).plans, ==, 1);
    g_assert_cmpuint(stats_of(r).kept_bytes, >, 0);
    nerv_reader_free(r);
}

/* What has no room for all networks keeps some; what has none for several plans does with one; and what has none at all says so. */
static void test_memory(void)
{
    const Stream *s = streams[NERV];
    bool was_short = false, was_single = false, was_kept = false;
    for (uint64_t bytes = 1 << 12; bytes < 1 << 26; bytes += bytes / 2) {
        GError *error = NULL;
        NervReader *r = try_reader(s->bytes, 3, bytes, &error);
        g_assert_no_error(error);
        g_autofree uint8_t *got = g_malloc((gsize)s->frames->len * s->w * s->h * 3);
        g_autofree uint64_t *frames = g_new(uint64_t, s->frames->len);
        const NervTensorView view = packed(got, s->frames->len, (size_t)s->w, (size_t)s->h);
        for (guint i = 0; i < s->frames->len; i++)
            frames[i] = i;
        if (nerv_reader_read_frames(r, frames, s->frames->len, &view, &error)) {
            for (guint i = 0; i < s->frames->len; i++)
                g_assert_cmpmem(got + (gsize)i * s->w * s->h * 3, s->w * s->h * 3, shown(s, i),
                                s->w * s->h * 3);
            was_single = was_single || stats_of(r).max_workers == 1;
            was_kept = was_kept || stats_of(r).networks == 4;
            expect_random(r, s, 30);
        } else {
            g_assert_false(was_single); /* more memory is never worse */
            g_assert_error(error, NERV_ERROR, NERV_ERROR_MEMORY);
            g_clear_error(&error);
            was_short = true;
        }
        g_assert_cmpuint(stats_of(r).kept_bytes, <=, bytes / 2);
        nerv_reader_free(r);
    }
    g_assert_true(was_short && was_single && was_kept);
}

/* A network that takes too many multiplications. */
static void test_macs(void)
{
    NervReaderSettings s;
    GError *error = NULL;
    nerv_reader_settings_init(&s);
    s.max_macs_per_frame = 1000;
    g_autoptr(GBytes) bytes = g_bytes_new(streams[NERV]->bytes->data, streams[NERV]->bytes->len);
    NervReader *r = nerv_reader_open_bytes(bytes, &s, &error);
    g_assert_no_error(error);
    expect_failure(r, 0, streams[NERV], NERV_ERROR_LIMIT);
    nerv_reader_free(r);
    s.threads = 1000;
    g_assert_null(nerv_reader_open_bytes(bytes, &s, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    nerv_reader_settings_clear(&s);
}

/* --- files and threads --- */

static void test_files(void)
{
    GError *error = NULL;
    const Stream *s = streams[NERV];
    g_autofree char *path = NULL;
    const int fd = g_file_open_tmp("loader-XXXXXX", &path, &error);
    g_assert_no_error(error);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, (const char *)s->bytes->data, (gssize)s->bytes->len, NULL));
    NervReader *r = nerv_reader_open(path, NULL, &error);
    g_assert_no_error(error);
    expect_frame(r, 28, s, 28);
    nerv_reader_free(r);
    for (int k = 0; k < 2; k++) {
        g_assert_true(g_file_set_contents(path, "no video", k ? -1 : 0, NULL));
        g_assert_null(nerv_reader_open(path, NULL, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
        g_clear_error(&error);
    }
    g_unlink(path);
    g_assert_null(nerv_reader_open(path, NULL, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, path));
    g_clear_error(&error);
    /* a version that nobody knows yet */
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    size_t size;
    NervUnit unit;
    const size_t at = find_unit(s->bytes, 0, NERV_UNIT_SEQUENCE, &size);
    g_assert_cmpint(nerv_unit_scan(s->bytes->data + at, size, &unit, &size), ==, NERV_SCAN_OK);
    g_autofree uint8_t *payload = g_memdup2(unit.payload, unit.payload_bytes);
    payload[0] = 2;
    nerv_unit_write(bytes, NERV_UNIT_SEQUENCE, payload, unit.payload_bytes);
    g_byte_array_append(bytes, s->bytes->data + unit.unit_bytes, (guint)(unit_at(s, 1) - unit.unit_bytes));
    g_assert_null(try_reader(bytes, 1, 0, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED);
    g_clear_error(&error);
}

typedef struct {
    NervReader *r;
    guint first;
} Caller;

static gpointer call_often(gpointer data)
{
    const Caller *c = data;
    for (guint i = 0; i < 30; i++)
        expect_frame(c->r, (c->first + 7 * i) % streams[NERV]->frames->len, streams[NERV],
                     (c->first + 7 * i) % streams[NERV]->frames->len);
    return NULL;
}

/* One reader, several callers. */
static void test_callers(void)
{
    NervReader *r = reader_new(streams[NERV]->bytes, 2);
    Caller callers[4];
    GThread *threads[4];
    for (guint i = 0; i < 4; i++) {
        callers[i] = (Caller){ r, 5 * i };
        threads[i] = g_thread_new("caller", call_often, &callers[i]);
    }
    for (int i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(stats_of(r).frames, ==, 120);
    nerv_reader_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    NervBackend *be = nerv_backend_open(device, 1, NULL);
    if (!be)
        return 77;
    nerv_backend_free(be);
    make_streams();
    g_test_add_func("/loader/frames", test_frames);
    g_test_add_func("/loader/segments", test_segments);
    g_test_add_func("/loader/views", test_views);
    g_test_add_func("/loader/rest", test_rest);
    if (is_cpu()) {
        g_test_add_func("/loader/refused", test_refused);
        g_test_add_func("/loader/counts", test_counts);
        g_test_add_func("/loader/memory", test_memory);
        g_test_add_func("/loader/macs", test_macs);
        g_test_add_func("/loader/files", test_files);
        g_test_add_func("/loader/callers", test_callers);
    }
    const int result = g_test_run();
    free_streams();
    return result;
}

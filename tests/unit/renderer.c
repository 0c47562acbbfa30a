/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames computed ahead are the frames that would have been computed anyway: in any order, on any number of threads, in lanes and in
 * slots, across changes of network and layout. And how it is done: what is foreseen, how much memory it takes, that
 * it stops when told to and that a failure belongs to its frame. The argument names the device; skipped (77) without one.
 */
#include <math.h>
#include <string.h>

#include "codec/renderer.h"
#include "device.h"

#define W        96
#define H        54
#define N_FRAMES 24

static const char *device;
static bool has_lanes;

/* --- a network and what its frames are --- */

typedef struct {
    NervBackend *be;
    NervModel *model;
    NervParams *params;
    NervPixels pixels;
    size_t bytes;
    uint8_t *want; /* each frame from a renderer that gives only that one */
} Scene;

static uint8_t *get(NervRenderer *r, const Scene *s, int32_t frame, uint8_t *dst)
{
    GError *error = NULL;
    const NervFrame planes = { .data = { dst }, .stride = { W * 3 } };
    memset(dst, 0x55, s->bytes);
    nerv_renderer_get(r, frame, &planes, &error);
    g_assert_no_error(error);
    return dst;
}

static void get_and_check(NervRenderer *r, const Scene *s, int32_t frame)
{
    g_autofree uint8_t *dst = g_malloc(s->bytes);
    const int differs =
        memcmp(get(r, s, frame, dst), s->want + (size_t)frame * s->bytes, s->bytes); /* no dump of it */
    g_assert_cmpint(differs, ==, 0);
}

static NervRenderer *renderer_new(const Scene *s)
{
    GError *error = NULL;
    NervRenderer *r = nerv_renderer_new(s->be, s->params, NULL, &s->pixels, &error);
    g_assert_no_error(error);
    return r;
}

static Scene scene_new(uint32_t n_threads)
{
    const NervClip clip = { W, H, N_FRAMES };
    GError *error = NULL;
    Scene s = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H } };
    s.be = nerv_backend_open(device, n_threads, &error);
    g_assert_no_error(error);
    GVariant *options = g_variant_ref_sink(g_variant_new_parsed(
        "{'stem': <16>, 'base-channels': <6>, 'widths': <[8, 6]>, 'strides': <[3, 2]>}"));
    s.model = nerv_model_new("nerv-mlp", options, &clip, &error);
    g_assert_no_error(error);
    g_variant_unref(options);
    float *weights = g_new(float, s.model->n_weights);
    nerv_model_init_params(s.model, 7, weights);
    for (int64_t i = 0; i < s.model->n_weights; i++)
        weights[i] *= 3.f; /* so that frames differ much */
    s.params = nerv_params_new(s.be, s.model, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_params_upload(s.params, weights, &error));
    g_free(weights);
    s.bytes = nerv_pixels_bytes(&s.pixels);
    s.want = g_malloc(N_FRAMES * s.bytes);
    for (int32_t i = 0; i < N_FRAMES; i++) {
        NervRenderer *one = renderer_new(&s);
        get(one, &s, i, s.want + i * s.bytes);
        nerv_renderer_free(one);
        if (i)
            g_assert_cmpint(memcmp(s.want, s.want + i * s.bytes, s.bytes), !=, 0);
    }
    return s;
}

static void scene_clear(Scene *s)
{
    nerv_params_free(s->params);
    nerv_model_free(s->model);
    g_assert_cmpuint(s->be->live_bytes, <=, 4 << 20); /* nothing, but for a staging buffer */
    nerv_backend_free(s->be);
    g_free(s->want);
}

static bool same_scene(const Scene *a, const Scene *b)
{
    return !memcmp(a->want, b->want, N_FRAMES * a->bytes);
}

/* --- orders --- */

static const int32_t stride_4[] = { 0, 4, 8, 12, 16, 20, 23, 3, 7, 11, 15, 19, -1 };
static const int32_t jumps[] = { 5, 6, 7, 20, 21, 2, 2, 3, 4, 23, 0, 23, 22, 21, 20, 9, 10, 11, 12, -1 };
static const int32_t skips[] = { 0, 1, 2, 4, 5, 6, 7, 10, 11, 12, 13, 14, 18, 19, 20, 22, 23, -1 };
static const int32_t *const orders[] = { stride_4, jumps, skips };

static void walk_all(const Scene *s)
{
    NervRenderer *r = renderer_new(s);
    for (int32_t i = 0; i < N_FRAMES; i++)
        get_and_check(r, s, i);
    nerv_renderer_free(r);
    r = renderer_new(s);
    for (int32_t i = N_FRAMES; i-- > 0;)
        get_and_check(r, s, i);
    /* and all the rest with one that has seen other orders before */
    for (size_t i = 0; i < G_N_ELEMENTS(orders); i++)
        for (const int32_t *frame = orders[i]; *frame >= 0; frame++)
            get_and_check(r, s, *frame);
    for (int32_t i = 0; i < 100; i++)
        get_and_check(r, s, g_test_rand_int_range(0, N_FRAMES));
    nerv_renderer_free(r);
}

static void test_orders(void)
{
    Scene first = { 0 };
    for (uint32_t threads = 1; threads <= (has_lanes ? 5 : 2); threads++) {
        Scene s = scene_new(threads);
        if (threads == 1 || has_lanes) /* a GPU has no threads to count */
            walk_all(&s);
        if (threads == 1) {
            first = s;
            continue;
        }
        g_assert_true(same_scene(&first, &s));
        scene_clear(&s);
    }
    scene_clear(&first);
}

/* Renderers that end at any point of what they do. */
static void test_teardown(void)
{
    Scene s = scene_new(3);
    for (int32_t n = 0; n < 12; n++) {
        for (int32_t wait_us = 0; wait_us <= 400; wait_us += 200) {
            NervRenderer *r = renderer_new(&s);
            for (int32_t i = 0; i < n; i++)
                get_and_check(r, &s, i);
            if (wait_us)
                g_usleep((gulong)wait_us);
            nerv_renderer_free(r);
        }
    }
    scene_clear(&s);
}

static NervRendererStats stats_of(const NervRenderer *r)
{
    NervRendererStats stats;
    nerv_renderer_get_stats(r, &stats);
    return stats;
}

static void test_range(void)
{
    Scene s = scene_new(2);
    NervRenderer *r = renderer_new(&s);
    g_autofree uint8_t *dst = g_malloc(s.bytes);
    const NervFrame planes = { .data = { dst }, .stride = { W * 3 } };
    for (int32_t bad = -1; bad <= N_FRAMES; bad += N_FRAMES + 1) {
        GError *error = NULL;
        g_assert_false(nerv_renderer_get(r, bad, &planes, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_clear_error(&error);
    }
    get_and_check(r, &s, N_FRAMES - 1);
    nerv_renderer_free(r);
    scene_clear(&s);
}

/* --- what is foreseen --- */

/* Gets frames from, from + stride, ... and returns how many of them were foreseen. */
static uint64_t foreseen(NervRenderer *r, const Scene *s, int32_t from, int32_t stride, int32_t n)
{
    const uint64_t before = stats_of(r).n_foreseen;
    for (int32_t i = 0; i < n; i++)
        get_and_check(r, s, from + i * stride);
    return stats_of(r).n_foreseen - before;
}

static void test_foresight(void)
{
    Scene s = scene_new(2);
    NervRenderer *r = renderer_new(&s);
    g_assert_cmpuint(foreseen(r, &s, 0, 1, 1), ==, 0);
    g_assert_cmpuint(stats_of(r).n_ahead, ==, 0); /* a first frame pays for nothing */
    g_assert_cmpuint(foreseen(r, &s, 1, 1, N_FRAMES - 1), ==, N_FRAMES - 2);
    g_assert_cmpuint(stats_of(r).n_ahead, ==, has_lanes ? 4 : 1);
    /* the other way: two frames tell */
    g_assert_cmpuint(foreseen(r, &s, N_FRAMES - 2, -1, 10), >=, 8);
    /* a jump: the first frame after it, no matter what was under way; then on as before */
    g_assert_cmpuint(foreseen(r, &s, N_FRAMES - 6, 1, 6), >=, 4);
    g_assert_cmpuint(foreseen(r, &s, 1, 4, 6), >=, 4);
    /* a frame that was left out does not lose the next */
    foreseen(r, &s, 0, 1, 6);
    g_assert_cmpuint(foreseen(r, &s, 7, 1, 8), >=, has_lanes ? 8 : 7);
    /* the same once more is at hand */
    const uint64_t at_once = stats_of(r).n_at_once;
    get_and_check(r, &s, 14);
    g_assert_cmpuint(stats_of(r).n_at_once, ==, at_once);
    nerv_renderer_free(r);
    scene_clear(&s);
}

/* What a renderer may take ahead is bounded, by the decoder's memory too, and everything is given back. */
static void test_memory(void)
{
    Scene s = scene_new(2);
    NervRenderer *r = renderer_new(&s);
    const size_t one = s.be->live_bytes;
    get_and_check(r, &s, 0);
    g_assert_cmpuint(s.be->live_bytes, ==, one);
    s.be->limit_bytes = one + 1000;
    for (int32_t i = 1; i < N_FRAMES; i++)
        get_and_check(r, &s, i);
    g_assert_cmpuint(stats_of(r).n_ahead, ==, 0);
    g_assert_cmpuint(stats_of(r).n_at_once, ==, N_FRAMES);
    g_assert_cmpuint(s.be->live_bytes, ==, one);
    nerv_renderer_free(r);

    s.be->limit_bytes = 0;
    const size_t before = s.be->live_bytes;
    r = renderer_new(&s);
    foreseen(r, &s, 0, 1, 2);
    g_assert_cmpuint(s.be->live_bytes, >, one);
    g_assert_cmpuint(s.be->live_bytes, <=, one + NERV_RENDERER_AHEAD_BYTES);
    nerv_renderer_free(r);
    g_assert_cmpuint(s.be->live_bytes, ==, before);
    scene_clear(&s);
}

/* --- decoders --- */

/* Two segments, the second of another network. */
static GPtrArray *encode(void)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    NervEncoderSettings es;
    NervPacket packet;
    GError *error = NULL;
    g_autofree uint8_t *rgb = g_malloc(W * H * 3);
    const NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    GPtrArray *units = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    nerv_encoder_settings_init(&es);
    g_free(es.model);
    es.model = g_strdup("nerv-mlp");
    es.model_options = g_variant_ref_sink(g_variant_new_parsed(
        "{'stem': <16>, 'base-channels': <6>, 'widths': <[8, 6]>, 'strides': <[3, 2]>}"));
    es.epochs = 2;
    es.segment_frames = N_FRAMES / 2;
    g_free(es.device);
    es.device = g_strdup("cpu");
    NervEncoder *enc = nerv_encoder_new(&info, &es, &error);
    g_assert_no_error(error);
    for (int i = 0; i < N_FRAMES; i++) {
        for (int j = 0; j < W * H * 3; j++)
            rgb[j] = (uint8_t)(128. + 100. * sin(.1 * (j % (W * 3)) + .5 * i));
        g_assert_true(nerv_encoder_send(enc, &frame, (int64_t)i * 40000000, &error));
        if (nerv_encoder_is_full(enc))
            g_assert_true(nerv_encoder_fit(enc, &error));
        while (nerv_encoder_get(enc, &packet))
            g_ptr_array_add(units, packet.data);
    }
    g_assert_cmpuint(units->len, ==, N_FRAMES);
    nerv_encoder_free(enc);
    nerv_encoder_settings_clear(&es);
    return units;
}

static NervDecoder *decoder_new(uint32_t threads)
{
    NervDecoderSettings ds;
    GError *error = NULL;
    nerv_decoder_settings_init(&ds);
    g_free(ds.device);
    ds.device = g_strdup(device);
    ds.threads = threads;
    NervDecoder *dec = nerv_decoder_new(&ds, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_clear(&ds);
    return dec;
}

static void send(NervDecoder *dec, GPtrArray *units, guint i)
{
    GError *error = NULL;
    NervDecodedInfo info;
    gsize size;
    const uint8_t *data = g_bytes_get_data(g_ptr_array_index(units, i), &size);
    nerv_decoder_send(dec, data, size, &info, &error);
    g_assert_no_error(error);
}

/* The frame of the last send; format is that of a layout with one plane. */
static uint8_t *render(NervDecoder *dec, int format)
{
    GError *error = NULL;
    NervVideoInfo info;
    nerv_decoder_get_info(dec, &info);
    info.pixels.format = format;
    uint8_t *dst = g_malloc0(W * H * 4);
    const NervFrame planes = { .data = { dst }, .stride = { W * 4 } };
    nerv_decoder_set_output(dec, &info.pixels, &error);
    g_assert_no_error(error);
    nerv_decoder_render(dec, &planes, &error);
    g_assert_no_error(error);
    return dst;
}

/* Networks change under way, then layouts at every third frame, then the decoder is reset; each frame is that of a decoder which has
 * seen nothing else. */
static void test_decoder(void)
{
    const int formats[] = { NERV_PIXELS_RGB, NERV_PIXELS_BGRX };
    g_autoptr(GPtrArray) units = encode();
    uint8_t *want[2][N_FRAMES];
    for (guint i = 0; i < N_FRAMES; i++) {
        for (int f = 0; f < 2; f++) {
            NervDecoder *dec = decoder_new(1);
            send(dec, units, i / (N_FRAMES / 2) * (N_FRAMES / 2));
            send(dec, units, i);
            want[f][i] = render(dec, formats[f]);
            nerv_decoder_free(dec);
        }
    }
    for (uint32_t threads = 1; threads <= (has_lanes ? 3 : 1); threads++) {
        NervDecoder *dec = decoder_new(threads);
        for (int pass = 0; pass < 3; pass++) {
            for (guint i = 0; i < N_FRAMES; i++) {
                const int f = pass == 1 && i % 6 >= 3;
                send(dec, units, i);
                g_autofree uint8_t *got = render(dec, formats[f]);
                g_assert_cmpint(memcmp(got, want[f][i], W * H * 4), ==, 0);
                if (pass == 2 && i == N_FRAMES / 2 - 4) {
                    nerv_decoder_reset(dec);
                    i = N_FRAMES / 2 - 1; /* on at the next sync point */
                }
            }
        }
        nerv_decoder_free(dec);
    }
    for (guint i = 0; i < N_FRAMES; i++)
        for (int f = 0; f < 2; f++)
            g_free(want[f][i]);
}

/* --- a CPU backend that does as it is told --- */

static NervBackendClass outer,
    inner; /* the CPU's, of the backend and of its lanes, with functions replaced */
static NervBackend *(*cpu_lane_new)(NervBackend *be, uint32_t n_threads, GError **error);
static bool (*cpu_exec_run)(NervExec *exec, GError **error);
static gint n_runs, n_stuck; /* atomic: in lanes */

static NervBackend *told_lane_new(NervBackend *be, uint32_t n_threads, GError **error)
{
    NervBackend *lane = cpu_lane_new(be, n_threads, error);
    lane->klass = &inner;
    return lane;
}

/* The third frame that is computed ahead fails. */
static bool run_and_fail(NervExec *exec, GError **error)
{
    if (g_atomic_int_add(&n_runs, 1) != 2)
        return cpu_exec_run(exec, error);
    g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE, "told to fail");
    return false;
}

/* Frames take until they are cancelled. */
static bool run_for_ever(NervExec *exec, GError **error)
{
    g_atomic_int_inc(&n_stuck);
    while (!nerv_backend_cancelled(exec->be, error))
        g_usleep(100);
    g_atomic_int_add(&n_stuck, -1);
    return false;
}

static Scene told_scene_new(bool (*run)(NervExec *exec, GError **error))
{
    Scene s = scene_new(2);
    outer = inner = *s.be->klass;
    cpu_lane_new = outer.lane_new;
    cpu_exec_run = outer.exec_run;
    inner.exec_run = run;
    outer.lane_new = told_lane_new;
    s.be->klass = &outer;
    g_atomic_int_set(&n_runs, 0);
    g_atomic_int_set(&n_stuck, 0);
    return s;
}

/* A failure ahead is heard of when its frame is asked for, once. */
static void test_failure(void)
{
    Scene s = told_scene_new(run_and_fail);
    NervRenderer *r = renderer_new(&s);
    int failures = 0;
    for (int32_t i = 0; i < N_FRAMES; i++) {
        GError *error = NULL;
        g_autofree uint8_t *dst = g_malloc(s.bytes);
        const NervFrame planes = { .data = { dst }, .stride = { W * 3 } };
        if (nerv_renderer_get(r, i, &planes, &error)) {
            g_assert_cmpint(memcmp(dst, s.want + i * s.bytes, s.bytes), ==, 0);
            continue;
        }
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DEVICE);
        g_clear_error(&error);
        failures++;
        g_assert_cmpint(i, >=, 2); /* the first two were not computed ahead */
        g_assert_cmpint(i, <=, 6);
        get_and_check(r, &s, i);
    }
    g_assert_cmpint(failures, ==, 1);
    nerv_renderer_free(r);
    scene_clear(&s);
}

static void wait_stuck(gint n)
{
    while (g_atomic_int_get(&n_stuck) != n)
        g_usleep(100);
}

/* Frames that nobody wants any more are given up: at a jump, and at the end, where they have run and where they wait. */
static void test_cancel(void)
{
    Scene s = told_scene_new(run_for_ever);
    NervRenderer *r = renderer_new(&s);
    get_and_check(r, &s, 0);
    get_and_check(r, &s, 1);
    wait_stuck(2);
    inner.exec_run = cpu_exec_run; /* from now on */
    get_and_check(r, &s, 20);
    wait_stuck(0);
    g_assert_cmpuint(foreseen(r, &s, 21, 1, 3), ==, 3);
    nerv_renderer_free(r);

    /* Nothing runs any more when parameters may be replaced; then all goes on as before. */
    inner.exec_run = run_for_ever;
    r = renderer_new(&s);
    get_and_check(r, &s, 0);
    get_and_check(r, &s, 1);
    wait_stuck(2);
    g_assert_true(nerv_renderer_idle(r, NULL));
    g_assert_cmpint(g_atomic_int_get(&n_stuck), ==, 0);
    inner.exec_run = cpu_exec_run;
    g_assert_cmpuint(foreseen(r, &s, 0, 1, 6), ==, 5);
    nerv_renderer_restart(r);
    g_assert_cmpuint(foreseen(r, &s, 12, 1, 6), ==, 4); /* as at the beginning: the first pays for no other */
    nerv_renderer_free(r);

    inner.exec_run = run_for_ever;
    r = renderer_new(&s);
    get_and_check(r, &s, 0);
    get_and_check(r, &s, 1);
    nerv_renderer_free(r);
    g_assert_cmpint(g_atomic_int_get(&n_stuck), ==, 0);
    r = renderer_new(&s);
    get_and_check(r, &s, 0);
    get_and_check(r, &s, 1);
    wait_stuck(2);
    nerv_renderer_free(r);
    g_assert_cmpint(g_atomic_int_get(&n_stuck), ==, 0);
    scene_clear(&s);
}

/* The way of a device without lanes, on every machine. */
static void test_slots(void)
{
    Scene s = told_scene_new(run_for_ever);
    outer.lane_new = NULL;
    walk_all(&s);
    NervRenderer *r = renderer_new(&s);
    g_assert_cmpuint(foreseen(r, &s, 0, 1, N_FRAMES), ==, N_FRAMES - 2);
    g_assert_cmpuint(stats_of(r).n_ahead, ==, 1);
    g_assert_cmpuint(stats_of(r).n_lanes, ==, 0);
    nerv_renderer_free(r);
    scene_clear(&s);
}

/* Lanes have equal shares of the threads. */
static void test_shares(void)
{
    static const uint32_t lanes[] = { 0, 0, 2, 3, 4, 2, 3, 3, 4 };
    for (uint32_t threads = 1; threads < G_N_ELEMENTS(lanes); threads++) {
        Scene s = scene_new(threads);
        NervRenderer *r = renderer_new(&s);
        foreseen(r, &s, 0, 1, 6);
        g_assert_cmpuint(stats_of(r).n_lanes, ==, lanes[threads]);
        nerv_renderer_free(r);
        scene_clear(&s);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    NervBackend *be = nerv_backend_open(device, 1, NULL);
    if (!be)
        return 77;
    has_lanes = nerv_backend_has_lanes(be);
    nerv_backend_free(be);
    g_test_add_func("/renderer/orders", test_orders);
    g_test_add_func("/renderer/teardown", test_teardown);
    g_test_add_func("/renderer/range", test_range);
    g_test_add_func("/renderer/foresight", test_foresight);
    g_test_add_func("/renderer/memory", test_memory);
    g_test_add_func("/renderer/decoder", test_decoder);
    if (has_lanes) {
        g_test_add_func("/renderer/failure", test_failure);
        g_test_add_func("/renderer/cancel", test_cancel);
        g_test_add_func("/renderer/slots", test_slots);
        g_test_add_func("/renderer/shares", test_shares);
    }
    return g_test_run();
}

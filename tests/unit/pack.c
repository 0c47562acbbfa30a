/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv_pack.h: networks into streams and out of them again, with keyframes and without, what nervenc has fitted too; streams that a decoder shows; every wrong argument
 * refused by name; damage told and gone past. Options that unpacking states make the same network, for every class. The argument is the folder of the seeds.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/model.h"
#include "nerv_pack.h"

#define W 48
#define H 40
#define N 7

static const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                    .primaries = 2,
                                    .transfer = 2,
                                    .fps_n = 25,
                                    .fps_d = 1,
                                    .par_n = 1,
                                    .par_d = 1 };
static const char *seeds;

static const struct {
    const char *model, *options;
    int32_t videos[2];
} networks[] = {
    { "nerv-mlp",
      "{'stem': <5>, 'base-channels': <3>, 'widths': <[4,3]>, 'strides': <[4,2]>, 'kernels': <[3,5]>, "
      "'pe-levels': <7>, 'pe-base': <1.5>, "
      "'activation': <'sin'>, 'out-activation': <'sigmoid'>}",
      { 0 } },
    { "nerv-s", NULL, { 0 } },
    { "nerv", NULL, { 0 } },
    { "nerv-grid",
      "{'grids': <'7x2+3x1/1x4/1x3'>, 'flow-rows': <3>, 'strides': <[4,2]>, 'widths': <[5,4]>, 'kernels': "
      "<[1,3]>, 'head-kernel': <5>}",
      { 0 } },
    { "nerv-grid",
      "{'grids': <'7x4'>, 'strides': <[1,4,2]>, 'widths': <[6,5,4]>, 'kernels': <[1,1,5]>}",
      { 0 } },
    { "dnerv", NULL, { 0 } },
    { "dnerv", "{'without': <'mask,flow'>, 'keyframe-interval': <4>}", { 4, 3 } },
    { "dnerv", "{'without': <'keys'>}", { 0 } },
    { "dnerv",
      "{'clip-frames': <2>, 'keyframe-interval': <4>, 'widths': <[7,5]>, 'strides': <[4,2]>, "
      "'middle-channels': <2>}",
      { 5, 2 } },
    { "dnerv-net",
      "{'stem': <4>, 'pe-levels': <3>, 'clip-frames': <4>, 'keyframe-interval': <4>, 'content': <3>, "
      "'base-channels': <2>, 'widths': <[6,5]>, 'strides': "
      "<[4,2]>, 'without': <'pyramid,skip'>}",
      { 5, 2 } },
    { "dnerv-net",
      "{'row-frames': <1>, 'clip-frames': <2>, 'keyframe-interval': <2>, 'content': <3>, 'base-channels': "
      "<2>, 'widths': <[6,5]>, 'strides': <[4,2]>}",
      { 0 } },
    { "dnerv-xs", NULL, { 0 } },
    { "siren", "{'width': <9>, 'layers': <3>, 'omega': <20.0>}", { 0 } },
    { "nerf", "{'width': <9>, 'layers': <4>, 'levels': <5>}", { 0 } },
};

static void test_options(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(networks); i++) {
        const NervClip clip = { W, H, N };
        const NervModelSize size = { .videos = networks[i].videos,
                                     .n_videos = networks[i].videos[0] ? 2 : 0 };
        GError *error = NULL;
        const char *name;
        g_autoptr(GVariant) v =
            networks[i].options ? g_variant_ref_sink(g_variant_new_parsed(networks[i].options)) : NULL;
        NervModel *m = nerv_model_new_sized(networks[i].model, v, &clip, &size, &error);
        g_assert_no_error(error);
        g_autoptr(GVariant) said = nerv_model_options(m, &name);
        g_assert_nonnull(said);
        g_autofree char *text = g_variant_print(said, FALSE);
        const int32_t *videos = nerv_model_videos(m);
        NervPack *pack = nerv_pack_new(&info, N, name, text, videos, videos ? m->n_videos : 0, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(nerv_pack_n_tensors(pack), ==, m->n_params);
        g_assert_cmpuint(nerv_pack_n_keyframes(pack), ==, (uint32_t)m->n_keys);
        for (uint32_t j = 0; j < m->n_params; j++) {
            NervPackTensor t;
            nerv_pack_describe(pack, j, &t);
            g_assert_cmpstr(t.name, ==, m->params[j].name);
            g_assert_cmpmem(t.shape, sizeof t.shape, &m->params[j].shape, sizeof(NervShape));
        }
        nerv_pack_free(pack);
        nerv_model_free(m);
    }
}

/* Floats for some tensors, codes of a width of its own for each of the others. */
static void fill(NervPack *pack)
{
    GError *error = NULL;
    NervRng rng;
    nerv_rng_init(&rng, 4);
    for (uint32_t i = 0; i < nerv_pack_n_tensors(pack); i++) {
        NervPackTensor t;
        nerv_pack_describe(pack, i, &t);
        const int32_t n = t.shape[0] * t.shape[1] * t.shape[2] * t.shape[3], rows = t.shape[0];
        g_autofree float *values = g_new(float, n), *minimum = g_new(float, n), *scale = g_new(float, n);
        g_autofree uint8_t *codes = g_malloc(n);
        t.bits = i % 3 ? 1 + i % 8 : 0;
        t.mask = rows > 1 && n > rows;
        for (int32_t j = 0; j < n; j++) {
            values[j] = nerv_rng_uniform(&rng, -.3f, .3f);
            codes[j] = (uint8_t)nerv_rng_below(&rng, 1u << t.bits);
            minimum[j] = nerv_rng_uniform(&rng, -.3f, 0);
            scale[j] = nerv_rng_uniform(&rng, 0, .6f) / (float)(1 << t.bits);
        }
        if (t.bits) {
            t.codes = codes;
            t.minimum = minimum;
            t.scale = scale;
        } else {
            t.values = values;
        }
        g_assert_true(nerv_pack_set_tensor(pack, &t, &error));
        g_assert_no_error(error);
    }
    for (uint32_t i = 0; i < nerv_pack_n_keyframes(pack); i++) {
        g_autofree uint8_t *rgb = g_malloc(W * H * 3);
        for (int j = 0; j < W * H * 3; j++)
            rgb[j] = (uint8_t)(40 * i + j / 97);
        g_assert_true(nerv_pack_set_picture(pack, i, &(NervFrame){ { rgb }, { W * 3 } }, &error));
    }
}

/* sync: whether the segment begins with a sync point. */
static GByteArray *take_all(NervPack *pack, bool sync)
{
    GByteArray *out = g_byte_array_new();
    NervPacket packet;
    for (int i = 0; nerv_pack_get(pack, &packet); i++) {
        gsize n;
        const uint8_t *data = g_bytes_get_data(packet.data, &n);
        g_assert_true(packet.is_sync == (sync && i == 0));
        g_byte_array_append(out, data, (guint)n);
        g_bytes_unref(packet.data);
    }
    return out;
}

static NervPack *pack_network(size_t i, GError **error)
{
    return nerv_pack_new(&info, N, networks[i].model, networks[i].options, networks[i].videos,
                         networks[i].videos[0] ? 2 : 0, error);
}

/* As what a segment is packed again: as floats, as it is evaluated, the same with its first tensor as floats, or as it was coded, behind another. */
typedef enum { PLAIN, WHOLE, MIXED, CODED } Again;

static void put_beside(NervPack *pack, const NervUnpackSegment *s, const NervPack *before)
{
    GError *error = NULL;
    g_assert_true(
        nerv_pack_set_place(pack, s->segment_id, s->first_frame, s->pts_ns, s->frame_pts_ns, &error));
    if (s->way == NERV_UNPACK_RESIDUAL)
        g_assert_true(nerv_pack_set_residual(pack, before, &error));
    if (s->way == NERV_UNPACK_DELTA)
        nerv_pack_set_delta(pack, s->init_hash);
    g_assert_no_error(error);
}

/* A segment as nerv_unpack_next() left it, once more. */
static NervPack *pack_again(const NervUnpack *u, const NervUnpackSegment *s, Again way,
                            const NervPack *before)
{
    GError *error = NULL;
    NervPack *pack =
        nerv_pack_new(&s->info, s->n_frames, s->model, s->options, s->videos, s->n_videos, &error);
    g_assert_no_error(error);
    if (way == CODED)
        put_beside(pack, s, before);
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        NervPackTensor t;
        (way == CODED ? nerv_unpack_coded : nerv_unpack_tensor)(u, i, &t);
        g_assert_nonnull(t.values);
        if (way == PLAIN || (way == MIXED && i == 0)) {
            t.bits = t.half = 0;
            t.codes = NULL;
            t.minimum = t.scale = NULL;
        }
        g_assert_true(nerv_pack_set_tensor(pack, &t, &error));
        g_assert_no_error(error);
    }
    for (uint32_t i = 0; i < s->n_keyframes; i++) {
        uint32_t frame;
        const uint8_t *data;
        size_t bytes;
        nerv_unpack_keyframe(u, i, &frame, &data, &bytes);
        g_assert_cmpuint(frame, ==, nerv_pack_keyframe(pack, i));
        g_assert_true(nerv_pack_set_coded(pack, i, data, bytes, &error));
    }
    g_assert_true(nerv_pack_finish(pack, 20, 6, &error));
    g_assert_no_error(error);
    return pack;
}

/* Pictures of a segment's frames as a decoder shows them, one behind the other. */
static GByteArray *decode(const uint8_t *data, size_t bytes, uint32_t segment)
{
    NervDecoderSettings settings;
    GByteArray *out = g_byte_array_new();
    GError *error = NULL;
    nerv_decoder_settings_init(&settings);
    g_free(settings.device);
    settings.device = g_strdup("cpu");
    NervDecoder *dec = nerv_decoder_new(&settings, &error);
    int32_t at = -1;
    for (size_t pos = 0; pos < bytes;) {
        NervAccessUnit au;
        NervDecodedInfo shown;
        NervVideoInfo video;
        size_t need;
        g_assert_cmpint(nerv_access_unit_scan(data + pos, bytes - pos, &au, &need), ==, NERV_SCAN_OK);
        g_assert_true(nerv_decoder_send(dec, data + pos, au.bytes, &shown, &error));
        g_assert_no_error(error);
        pos += au.bytes;
        at += au.begins;
        if (at != (int32_t)segment)
            continue;
        nerv_decoder_get_info(dec, &video);
        video.pixels.format = NERV_PIXELS_RGB;
        const guint frame_bytes = (guint)(video.pixels.width * video.pixels.height * 3);
        g_assert_true(nerv_decoder_set_output(dec, &video.pixels, &error));
        g_byte_array_set_size(out, out->len + frame_bytes);
        const NervFrame frame = { { out->data + out->len - frame_bytes }, { video.pixels.width * 3 } };
        g_assert_true(nerv_decoder_render(dec, &frame, &error));
        g_assert_no_error(error);
    }
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&settings);
    return out;
}

static void check_same_pictures(const uint8_t *data, size_t bytes, uint32_t segment, NervPack *again)
{
    GByteArray *stream = take_all(again, true), *want = decode(data, bytes, segment),
               *got = decode(stream->data, stream->len, 0);
    g_assert_cmpuint(want->len, >, 0);
    g_assert_cmpmem(want->data, want->len, got->data, got->len);
    g_byte_array_unref(stream);
    g_byte_array_unref(want);
    g_byte_array_unref(got);
    nerv_pack_free(again);
}

static void test_round_trip(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(networks); i++) {
        GError *error = NULL;
        NervUnpackSegment s;
        if (!networks[i].options)
            continue; /* large ones */
        NervPack *pack = pack_network(i, &error);
        g_assert_no_error(error);
        fill(pack);
        g_assert_true(nerv_pack_finish(pack, 20, 6, &error));
        g_assert_no_error(error);
        GByteArray *stream = take_all(pack, true);
        NervUnpack *u = nerv_unpack_new(stream->data, stream->len, NULL, &error);
        g_assert_true(nerv_unpack_next(u, &s, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(s.n_frames, ==, N);
        g_assert_cmpuint(s.way, ==, NERV_UNPACK_WHOLE);
        g_assert_cmpmem(&s.info, sizeof s.info, &info, sizeof info);
        g_assert_cmpuint(s.n_tensors, ==, nerv_pack_n_tensors(pack));
        g_assert_cmpuint(s.n_keyframes, ==, nerv_pack_n_keyframes(pack));
        nerv_pack_free(pack);
        if (s.n_keyframes) {
            g_autofree float *rgb = g_new(float, 3 * W * H);
            g_assert_true(nerv_unpack_picture(u, 0, rgb, &error));
            for (int j = 0; j < 3 * W * H; j++)
                g_assert_true(rgb[j] >= 0 && rgb[j] <= 1);
            g_assert_cmpfloat(ABS(rgb[0] - 0.), <, .1); /* the picture's first byte is 0, */
            g_assert_cmpfloat(ABS(rgb[W * H - 1] * 255 - (W * H * 3 - 1) / 97), <,
                              12); /* its last one that */
        }
        NervPack *again = pack_again(u, &s, WHOLE, NULL);
        GByteArray *b = take_all(again, true);
        g_assert_cmpmem(stream->data, stream->len, b->data, b->len);
        nerv_pack_free(again);
        check_same_pictures(stream->data, stream->len, 0, pack_again(u, &s, PLAIN, NULL));
        g_assert_false(nerv_unpack_next(u, &s, &error));
        g_assert_no_error(error);
        nerv_unpack_free(u);
        g_byte_array_unref(b);
        g_byte_array_unref(stream);
    }
}

/* Streams of other codings, of several segments, with residuals and differences. */
static void test_seeds(void)
{
    static const struct {
        const char *name;
        uint32_t ways[3], n;
    } streams[] = { { "ok-two-segments", { NERV_UNPACK_WHOLE, NERV_UNPACK_WHOLE }, 2 },
                    { "ok-steps", { NERV_UNPACK_WHOLE }, 1 },
                    { "ok-keyframes", { NERV_UNPACK_WHOLE }, 1 },
                    { "ok-residual", { NERV_UNPACK_WHOLE, NERV_UNPACK_RESIDUAL, NERV_UNPACK_RESIDUAL }, 0 },
                    { "ok-delta", { NERV_UNPACK_DELTA }, 1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
        g_autofree char *path = g_build_filename(seeds, "decoder", streams[i].name, NULL), *data = NULL;
        gsize bytes;
        GError *error = NULL;
        NervUnpackSegment s;
        uint32_t n = 0;
        g_assert_true(g_file_get_contents(path, &data, &bytes, &error));
        NervUnpack *u = nerv_unpack_new((uint8_t *)data, bytes, NULL, &error);
        while (nerv_unpack_next(u, &s, &error)) {
            g_assert_no_error(error);
            g_assert_cmpuint(s.way, ==, streams[i].ways[MIN(n, 2)]);
            g_assert_nonnull(s.options);
            check_same_pictures((uint8_t *)data, bytes, n, pack_again(u, &s, PLAIN, NULL));
            n++;
        }
        g_assert_no_error(error);
        g_assert_cmpuint(n, >=, MAX(streams[i].n, 1));
        g_assert_true(streams[i].n == 0 || n == streams[i].n);
        nerv_unpack_free(u);
    }
}

/* All segments of a stream as they were coded, one behind the other. */
static GByteArray *code_again(const uint8_t *data, gsize bytes)
{
    GError *error = NULL;
    NervUnpackSegment s;
    NervPack *before = NULL;
    GByteArray *all = g_byte_array_new();
    NervUnpack *u = nerv_unpack_new(data, bytes, NULL, &error);
    while (nerv_unpack_next(u, &s, &error)) {
        g_assert_cmpuint(s.n_present, ==, s.n_frames);
        NervPack *pack = pack_again(u, &s, CODED, before);
        GByteArray *own = take_all(pack, s.way != NERV_UNPACK_RESIDUAL);
        g_byte_array_append(all, own->data, own->len);
        g_byte_array_unref(own);
        nerv_pack_free(before);
        before = pack;
    }
    g_assert_no_error(error);
    nerv_pack_free(before);
    nerv_unpack_free(u);
    return all;
}

static void check_same_networks(const uint8_t *data, gsize bytes, const GByteArray *again)
{
    NervUnpackSegment a, b;
    NervUnpack *u = nerv_unpack_new(data, bytes, NULL, NULL),
               *v = nerv_unpack_new(again->data, again->len, NULL, NULL);
    while (nerv_unpack_next(u, &a, NULL)) {
        g_assert_true(nerv_unpack_next(v, &b, NULL));
        g_assert_cmpuint(a.way, ==, b.way);
        g_assert_cmpuint(a.segment_id, ==, b.segment_id);
        g_assert_cmpuint(a.first_frame, ==, b.first_frame);
        g_assert_cmpint(a.pts_ns, ==, b.pts_ns);
        g_assert_cmpmem(a.frame_pts_ns, a.n_frames * sizeof(int64_t), b.frame_pts_ns,
                        b.n_frames * sizeof(int64_t));
        for (uint32_t i = 0; i < a.n_tensors; i++) {
            NervPackTensor s, t;
            nerv_unpack_tensor(u, i, &s);
            nerv_unpack_tensor(v, i, &t);
            const size_t n = (size_t)s.shape[0] * s.shape[1] * s.shape[2] * s.shape[3];
            g_assert_cmpmem(s.values, n * sizeof(float), t.values, n * sizeof(float));
        }
    }
    g_assert_false(nerv_unpack_next(v, &b, NULL));
    nerv_unpack_free(u);
    nerv_unpack_free(v);
}

/* Every coding, and segments that need others, packed again as they were coded: the same networks at the same times, and no more bytes. Only where what follows from the numbers is
 * not what was chosen (the shorter one of codings 0 and 1, the bits of 2) are they others. */
static void test_coded(void)
{
    static const char *const streams[] = {
        "ok-two-segments",  "ok-keyframes", "ok-grids",    "ok-grids-huffman",
        "ok-huffman",       "ok-stored",    "ok-residual", "ok-delta",
        "ok-variable-rate", "clips",        "ok-steps"
    };
    for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
        g_autofree char *path = g_build_filename(seeds, "decoder", streams[i], NULL), *data = NULL;
        gsize bytes;
        g_assert_true(g_file_get_contents(path, &data, &bytes, NULL));
        GByteArray *all = code_again((uint8_t *)data, bytes);
        g_test_message("%s: %zu bytes, again %u", streams[i], bytes, all->len);
        check_same_networks((uint8_t *)data, bytes, all);
        g_assert_cmpuint(all->len, <=, bytes);
        g_byte_array_unref(all);
    }
}

/* A network of which one tensor is not what a quantiser made: the others become codes, and all values are what they were. */
static void test_mixed(void)
{
    static const char *const streams[] = { "ok-grids", "ok-grids-huffman", "ok-huffman", "ok-steps" };
    for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
        g_autofree char *path = g_build_filename(seeds, "decoder", streams[i], NULL), *data = NULL;
        gsize bytes;
        GByteArray *all[MIXED + 1] = { NULL };
        NervUnpackSegment s;
        g_assert_true(g_file_get_contents(path, &data, &bytes, NULL));
        NervUnpack *u = nerv_unpack_new((uint8_t *)data, bytes, NULL, NULL);
        g_assert_true(nerv_unpack_next(u, &s, NULL));
        for (Again way = PLAIN; way <= MIXED; way++) {
            NervPack *pack = pack_again(u, &s, way, NULL);
            all[way] = take_all(pack, true);
            check_same_networks(all[PLAIN]->data, all[PLAIN]->len, all[way]);
            nerv_pack_free(pack);
        }
        g_test_message("%s: floats %u, one of floats %u, as it was %u", streams[i], all[PLAIN]->len,
                       all[MIXED]->len, all[WHOLE]->len);
        g_assert_cmpuint(all[WHOLE]->len, <, all[PLAIN]->len);
        g_assert_cmpuint(all[MIXED]->len, <, all[PLAIN]->len);
        for (Again way = PLAIN; way <= MIXED; way++)
            g_byte_array_unref(all[way]);
        nerv_unpack_free(u);
    }
}

/* A stream behind itself has its segments twice, one whose beginning comes again has it once. */
static void test_again(void)
{
    g_autofree char *path = g_build_filename(seeds, "decoder", "ok-steps", NULL), *data = NULL;
    gsize bytes;
    GError *error = NULL;
    NervUnpackSegment s;
    NervAccessUnit au;
    size_t need;
    g_assert_true(g_file_get_contents(path, &data, &bytes, &error));
    g_assert_cmpint(nerv_access_unit_scan((uint8_t *)data, bytes, &au, &need), ==, NERV_SCAN_OK);
    for (int twice = 0; twice < 2; twice++) {
        GByteArray *a = g_byte_array_new();
        g_byte_array_append(a, (uint8_t *)data, (guint)(twice ? bytes : au.bytes));
        g_byte_array_append(a, (uint8_t *)data, (guint)bytes);
        NervUnpack *u = nerv_unpack_new(a->data, a->len, NULL, &error);
        for (int i = 0; i <= twice; i++)
            g_assert_true(nerv_unpack_next(u, &s, &error));
        g_assert_false(nerv_unpack_next(u, &s, &error));
        g_assert_no_error(error);
        nerv_unpack_free(u);
        g_byte_array_unref(a);
    }
}

/* Two segments, the first with a byte that is wrong: an error, and then the second. */
static void test_damage(void)
{
    g_autofree char *path = g_build_filename(seeds, "decoder", "ok-two-segments", NULL), *data = NULL;
    gsize bytes;
    NervUnpackSegment s;
    GError *error = NULL;
    g_assert_true(g_file_get_contents(path, &data, &bytes, &error));
    data[60] ^= 1;
    NervUnpack *u = nerv_unpack_new((uint8_t *)data, bytes, NULL, &error);
    int errors = 0, found = 0;
    for (int i = 0; i < 100; i++) {
        const bool ok = nerv_unpack_next(u, &s, &error);
        if (!ok && !error)
            break;
        errors += !ok;
        found += ok;
        if (ok)
            g_assert_cmpuint(s.segment_id, ==, 1);
        g_clear_error(&error);
    }
    g_assert_cmpint(errors, >, 0);
    g_assert_cmpint(found, ==, 1);
    nerv_unpack_free(u);
    for (gsize cut = 0; cut < bytes; cut += 7) { /* at any place, to an end */
        g_autofree uint8_t *copy = g_memdup2(data, MAX(cut, 1));
        u = nerv_unpack_new(copy, cut, NULL, &error);
        for (int i = 0; i < 100; i++) {
            const bool ok = nerv_unpack_next(u, &s, &error);
            if (!ok && !error)
                break;
            g_assert_cmpint(i, <, 99);
            g_clear_error(&error);
        }
        nerv_unpack_free(u);
    }
}

static void expect(GError *error, const char *part)
{
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    if (!strstr(error->message, part))
        g_error("\"%s\" does not say \"%s\"", error->message, part);
    g_error_free(error);
}

static void refuse_new(const NervVideoInfo *video, uint32_t n, const char *model, const char *options,
                       const char *part)
{
    GError *error = NULL;
    g_assert_null(nerv_pack_new(video, n, model, options, NULL, 0, &error));
    expect(error, part);
}

static void test_invalid(void)
{
    NervVideoInfo other = info;
    GError *error = NULL;
    static const float values[8192];
    refuse_new(&info, 0, "nerv", NULL, "65536 frames");
    refuse_new(&info, 65537, "nerv", NULL, "65536 frames");
    refuse_new(&info, 3, "gan", NULL, "unknown model \"gan\"");
    refuse_new(&info, 3, "nerv", "{'widths", "GVariant");
    refuse_new(&info, 3, "nerv", "{'breadths': <3>}", "breadths");
    refuse_new(&info, 3, "nerv-grid", "{'kernels': <[7,3]>, 'widths': <[4,4]>, 'strides': <[4,2]>}",
               "kernels");
    refuse_new(&info, 3, "nerv-grid", "{'kernels': <[2,3]>, 'widths': <[4,4]>, 'strides': <[4,2]>}",
               "kernels are 1, 3 or 5");
    other.pixels.width = 8;
    refuse_new(&other, 3, "nerv", NULL, "16 to 8192");
    other = info;
    other.fps_d = 0;
    refuse_new(&other, 3, "nerv", NULL, "frame rate");
    other = info;
    other.fps_n = 1;
    other.fps_d = 40000;
    refuse_new(&other, 3, "nerv", NULL, "no stream");

    NervPack *pack = pack_network(9, &error); /* with keyframes */
    NervPackTensor t = { .name = "stem.0.weigth", .shape = { 4, 6, 1, 1 }, .values = values };
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "stem.0.weight");
    t.name = "stem.0.weight";
    t.shape[1] = 7;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "stem.0.weight is 4 x 7 x 1 x 1, the network's is 4 x 6 x 1 x 1");
    t.shape[1] = 6;
    t.values = NULL;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "stem.0.weight has no values");
    g_assert_false(nerv_pack_finish(pack, 20, 6, &error));
    expect(g_steal_pointer(&error), "content.0.weight, 3 x 3 x 3 x 3, is missing");
    g_assert_false(nerv_pack_finish(pack, 64, 6, &error));
    expect(g_steal_pointer(&error), "0 to 63");
    for (uint32_t i = 0; i < nerv_pack_n_tensors(pack); i++) {
        nerv_pack_describe(pack, i, &t);
        t.values = values;
        g_assert_true(nerv_pack_set_tensor(pack, &t, &error));
    }
    g_assert_false(nerv_pack_finish(pack, 20, 6, &error));
    expect(g_steal_pointer(&error), "frame 0 is a keyframe");
    g_assert_false(nerv_pack_set_coded(pack, 0, (const uint8_t *)"no picture", 10, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
    g_clear_error(&error);
    g_assert_false(nerv_pack_set_coded(pack, 99, (const uint8_t *)"no picture", 10, &error));
    expect(g_steal_pointer(&error), "no such keyframe");
    fill(pack);
    g_assert_true(nerv_pack_finish(pack, 20, 6, &error));
    g_assert_false(nerv_pack_finish(pack, 20, 6, &error));
    expect(g_steal_pointer(&error), "already");
    nerv_pack_free(pack);
    nerv_pack_free(NULL);
    nerv_unpack_free(NULL);
}

/* Steps that no quantiser has, values off them, and segments that go with no others. */
static void test_invalid_coded(void)
{
    GError *error = NULL;
    NervPack *pack = pack_network(0, &error), *other = pack_network(3, &error);
    float values[] = { 0, .5f, -.75f, 0, .25f }, scale = .25f, minimum = -.75f;
    NervPackTensor t = { .name = "stem.0.bias", .shape = { 1, 5, 1, 1 }, .values = values, .scale = &scale };
    g_assert_true(nerv_pack_set_tensor(pack, &t, &error));
    t.minimum = &minimum;
    g_assert_true(nerv_pack_set_tensor(pack, &t, &error));
    values[1] = .3f;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "stem.0.bias: a value is none of those that its row's step makes");
    t.minimum = NULL;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "a value is none");
    values[1] = .25f * 4096;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "a value is none");
    values[1] = NAN;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "stem.0.bias");
    values[1] = .25f;
    static const float bad[] = { .3f, -.25f, INFINITY, NAN, 1e-40f };
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(bad); i++) {
        scale = bad[i / 2];
        t.minimum = i % 2 ? &minimum : NULL;
        g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
        expect(g_steal_pointer(&error), "a step is none that a stream can have");
    }
    scale = .25f;
    minimum = NAN;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "a step is none that a stream can have");
    t.mask = 2; /* along channels, of which a bias has one step */
    t.minimum = NULL;
    g_assert_false(nerv_pack_set_tensor(pack, &t, &error));
    expect(g_steal_pointer(&error), "other dimensions");

    g_assert_false(nerv_pack_set_residual(pack, other, &error));
    expect(g_steal_pointer(&error), "finished");
    fill(other);
    g_assert_true(nerv_pack_finish(other, 20, 6, &error));
    g_assert_false(nerv_pack_set_residual(pack, other, &error));
    expect(g_steal_pointer(&error), "same configuration");
    int64_t times[N] = { 0 };
    times[3] = INT64_MAX;
    g_assert_false(nerv_pack_set_place(pack, 1, 7, 0, times, &error));
    expect(g_steal_pointer(&error), "too far");
    g_assert_false(nerv_pack_set_place(pack, 1, 7, INT64_MIN, NULL, &error));
    expect(g_steal_pointer(&error), "no stream");
    nerv_pack_free(pack);
    nerv_pack_free(other);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (argc != 2)
        return 2;
    seeds = argv[1];
    g_test_add_func("/pack/options", test_options);
    g_test_add_func("/pack/round-trip", test_round_trip);
    g_test_add_func("/pack/seeds", test_seeds);
    g_test_add_func("/pack/coded", test_coded);
    g_test_add_func("/pack/mixed", test_mixed);
    g_test_add_func("/pack/again", test_again);
    g_test_add_func("/pack/damage", test_damage);
    g_test_add_func("/pack/invalid", test_invalid);
    g_test_add_func("/pack/invalid-coded", test_invalid_coded);
    return g_test_run();
}

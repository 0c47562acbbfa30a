/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV's configurations: the paper's parameter counts, free options and their errors, any frame size; configurations written and
 * read back, and damaged ones; and that a network without any of its parts can be trained. How videos become runs is in runs.c, what
 * the network computes is held to PyTorch in tests/golden.
 */
#include <math.h>
#include <string.h>

#include "models/dnerv.h"
#include "models/params.h"
#include "train/trainer.h"

#define N_INPUTS 4 /* of a frame behind the stem's: weights by distance, by place */

static NervModel *make_sized(const char *name, const char *options, int w, int h, const NervModelSize *size,
                             GError **error)
{
    NervClip clip = { w, h, 0 };
    for (uint32_t i = 0; i < size->n_videos; i++)
        clip.n_frames += size->videos[i];
    g_autoptr(GVariant) v = options ? g_variant_ref_sink(g_variant_new_parsed(options)) : NULL;
    return nerv_model_new_sized(name, v, &clip, size, error);
}

/* Of one video. */
static NervModel *make(const char *name, const char *options, int w, int h, int n, GError **error)
{
    const int32_t video = n;
    return make_sized(name, options, w, h, &(NervModelSize){ .videos = &video, .n_videos = 1 }, error);
}

static const NervDnerv *as_dnerv(const NervModel *model)
{
    g_assert_true(model->klass == &nerv_model_class_dnerv);
    return (const NervDnerv *)model;
}

/* --- sizes --- */

/* Builds the network; checks the output's shape, that the tape has the model's weights, and what it costs. */
static double check_tape(const NervModel *model)
{
    g_autoptr(GError) error = NULL;
    const NervClip *clip = &model->clip;
    const int32_t n = model->run_frames;
    NervTape *tape = nerv_tape_new();
    g_autofree NervTensor **leaves = g_new0(NervTensor *, model->n_params);
    int64_t count = 0;
    nerv_params_leaves(model, tape, "", leaves);
    for (uint32_t i = 0; i < model->n_params; i++)
        count += nerv_shape_count(leaves[i]->shape);
    NervTensor *input =
        nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(n, model->input_floats, 1, 1), "input");
    NervTensor *keys = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32,
                                      nerv_shape(2, 3, clip->height, clip->width), "keys");
    NervTensor *rgb = nerv_model_build(model, tape, leaves, input, keys);
    nerv_tape_check(tape, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_shape_equal(rgb->shape, nerv_shape(n, 3, clip->height, clip->width)));
    g_assert_cmpint(count, ==, model->n_weights);
    const double macs = (double)nerv_tape_macs(tape) / n / clip->width / clip->height;
    nerv_tape_free(tape);
    return macs;
}

/* Millions as the paper has them, of XL what its C gives; and to the last weight those of the PyTorch network in tools/peers. */
static void test_paper_counts(void)
{
    static const struct {
        const char *name;
        int32_t base_channels;
        double millions;
        int64_t count;
    } sizes[] = { { "dnerv-xs", 107, 8.02, 8017893 },      { "dnerv-s", 166, 15.96, 15955472 },
                  { "dnerv-m", 213, 24.20, 24197711 },     { "dnerv-l", 291, 41.66, 41660257 },
                  { "dnerv-xl", 382, 67.95, 67953046 },    { "dnerv-ucf-s", 198, 21.39, 21388894 },
                  { "dnerv-ucf-m", 281, 39.14, 39144397 }, { "dnerv-ucf-l", 361, 61.30, 61302668 } };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GError) error = NULL;
        NervModel *model = make(sizes[i].name, NULL, 320, 256, 20, &error);
        g_assert_no_error(error);
        const NervDnerv *m = as_dnerv(model);
        check_tape(model);
        g_assert_cmpint(model->n_weights, ==, sizes[i].count);
        g_assert_cmpfloat(fabs((double)model->n_weights * 1e-6 - sizes[i].millions), <=, 0.005);
        g_assert_cmpint(m->config.base_channels, ==, sizes[i].base_channels);
        g_assert_cmpuint(m->config.parts, ==, NERV_DNERV_PAPER);
        g_assert_cmpint(model->run_frames, ==, 8);
        g_assert_cmpint(m->grid_h, ==, 4);
        g_assert_cmpint(m->grid_w, ==, 5);
        nerv_model_free(model);
    }
}

static void test_any_size(void)
{
    static const int sizes[][2] = { { 16, 16 },   { 17, 16 },     { 31, 97 },   { 97, 61 },
                                    { 321, 179 }, { 1919, 1081 }, { 16, 8192 }, { 4096, 2160 } };
    static const char *const options[] = { NULL,
                                           "{'stem': <16>, 'clip-frames': <3>, 'keyframe-interval': <9>}",
                                           "{'strides': <[3, 5]>, 'clip-frames': <1>}" };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (size_t j = 0; j < 2 * G_N_ELEMENTS(options); j++) {
            g_autoptr(GError) error = NULL;
            const char *own = options[j / 2],
                       *name = j % 2 && !(own && strstr(own, "stem")) ? "dnerv" : "dnerv-net";
            NervModel *model = make(name, own, sizes[i][0], sizes[i][1], 5, &error);
            g_assert_no_error(error);
            check_tape(model);
            nerv_model_free(model);
        }
    }
}

/* About as many weights as asked for, and no more multiplications than that. On grids those that are mostly zero come on top. */
static void check_chosen_sizes(const char *name, double most, double least)
{
    static const struct {
        int w, h, n;
        double weights, macs;
    } cases[] = { { 320, 180, 132, 50000, 0. },
                  { 320, 180, 132, 150000, 0. },
                  { 320, 180, 132, 150000, 3e3 },
                  { 1280, 720, 60, 300000, 0. },
                  { 97, 61, 30, 20000, 0. } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        const int32_t videos[] = { cases[i].n - 10, 10 };
        NervModelSize size = {
            .weights = cases[i].weights, .macs_per_pixel = cases[i].macs, .videos = videos, .n_videos = 2
        };
        NervModel *model = make_sized(name, NULL, cases[i].w, cases[i].h, &size, &error);
        g_assert_no_error(error);
        const double macs = check_tape(model);
        g_assert_cmpfloat((double)model->n_weights, <=, most * cases[i].weights);
        if (cases[i].macs > 0.)
            g_assert_cmpfloat(macs, <=, cases[i].macs);
        else
            g_assert_cmpfloat((double)model->n_weights, >=, least * cases[i].weights);

        /* an option goes before what is asked for from outside; growth does not */
        size.weights = 10 * cases[i].weights;
        g_autofree char *text = g_strdup_printf("{'weights': <%d>}", (int)cases[i].weights);
        NervModel *same = make_sized(name, text, cases[i].w, cases[i].h, &size, &error);
        g_assert_no_error(error);
        g_assert_true(most > 1. || nerv_model_alike(model, same));
        g_assert_cmpint(same->n_weights, <=, (int64_t)cases[i].weights);
        nerv_model_free(same);
        size.growth = 2.;
        same = make_sized(name, text, cases[i].w, cases[i].h, &size, &error);
        g_assert_no_error(error);
        g_assert_cmpint(same->n_weights, <=, (int64_t)(2 * cases[i].weights));
        if (cases[i].macs <= 0.)
            g_assert_cmpfloat((double)same->n_weights, >, (double)model->n_weights / most);
        nerv_model_free(same);
        nerv_model_free(model);
    }
}

static void test_chosen_sizes(void)
{
    check_chosen_sizes("dnerv-net", 1., .75);
    check_chosen_sizes("dnerv", 1.6, .75);
}

static void test_options(void)
{
    g_autoptr(GError) error = NULL;
    NervModel *model = make("dnerv-net",
                            "{'stem': <24>, 'pe-levels': <30>, 'pe-base': <1.5>, 'clip-frames': <4>, "
                            "'keyframe-interval': <12>, 'base-channels': <6>, 'content': <10>, "
                            "'widths': <[12, 9]>, 'strides': <[4, 3]>, 'without': <'pyramid'>}",
                            60, 36, 25, &error);
    g_assert_no_error(error);
    const NervDnervConfig *c = &as_dnerv(model)->config;
    g_assert_cmpuint(c->parts, ==, NERV_DNERV_NET & ~(uint32_t)NERV_DNERV_PYRAMID);
    g_assert_cmpint(c->clip, ==, 4);
    g_assert_cmpint(c->interval, ==, 12);
    g_assert_cmpint(model->input_floats, ==, 2 * 30 + N_INPUTS);
    /* by hand: content, stem, two stages of 16 and 12 channels, the last flow, refinement */
    const int64_t content = (27 + 1) * 10 + (100 * 9 + 10) + (100 * 16 + 10);
    const int64_t stem = (60 + 1) * 24 + (24 + 1) * 15 * 6;
    const int64_t first = (16 + 1) * 4 + (36 + 1) * 4 + (10 + 1) * 32 + (144 + 1) * 192 + 12 * 4 * 5;
    const int64_t second = (12 + 1) * 4 + (36 + 1) * 4 + (10 + 1) * 24 + (108 + 1) * 81 + 9 * 4 * 5;
    const int64_t last = (9 + 1) * 4 + (36 + 1) * 4 + (12 + 1) * 8 + (72 + 1) * 3;
    g_assert_cmpint(model->n_weights, ==, content + stem + first + second + last);
    g_assert_cmpfloat(check_tape(model), >, 0.);
    g_autofree char *text = nerv_model_describe(model);
    g_assert_nonnull(strstr(text, "widths 12,9, strides 4,3, no pyramid; "));
    nerv_model_free(model);

    /* a network of the paper with keyframes further apart, which changes no weight */
    model = make("dnerv-s", "{'keyframe-interval': <64>}", 320, 256, 200, &error);
    g_assert_no_error(error);
    g_assert_cmpint(as_dnerv(model)->config.interval, ==, 64);
    g_assert_cmpint(model->n_weights, ==, 15955472);
    g_assert_cmpint(model->n_keys, ==, 5);
    nerv_model_free(model);

    model = make("dnerv-s", "{'stem': <0>}", 64, 64, 9, &error);
    g_assert_no_error(error);
    g_assert_cmpint(as_dnerv(model)->n_rows, ==, 5);
    nerv_model_free(model);

    /* "skip" is nothing without keyframes at the end */
    model = make("dnerv-net", "{'without': <'keys,norm'>}", 64, 64, 9, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(as_dnerv(model)->config.parts, ==,
                     NERV_DNERV_FLOW | NERV_DNERV_SAF | NERV_DNERV_MIX | NERV_DNERV_PYRAMID);
    nerv_model_free(model);
}

static void test_errors(void)
{
    static const struct {
        const char *model, *options, *said;
    } cases[] = {
        { "dnerv-xxl", NULL, "dnerv-xxl" },
        { "dnerv-net", "{'stemm': <64>}", "stemm" },
        { "dnerv-net", "{'weights': <0>}", "weights" },
        { "dnerv-net", "{'weights': <'many'>}", "weights" },
        { "dnerv-net", "{'clip-frames': <0>}", "clip-frames" },
        { "dnerv-net", "{'clip-frames': <33>}", "clip-frames" },
        { "dnerv-net", "{'clip-frames': <5>}", "multiple" },
        { "dnerv-net", "{'keyframe-interval': <12>}", "multiple" },
        { "dnerv-net", "{'keyframe-interval': <4>}", "multiple" },
        { "dnerv-net", "{'keyframe-interval': <1032>}", "keyframe-interval" },
        { "dnerv-net", "{'stem': <-1>}", "stem" },
        { "dnerv-net", "{'stem': <4097>}", "stem" },
        { "dnerv-net", "{'pe-levels': <0>}", "pe-levels" },
        { "dnerv-net", "{'pe-levels': <257>}", "pe-levels" },
        { "dnerv-net", "{'pe-base': <0.5>}", "pe-base" },
        { "dnerv-net", "{'row-frames': <0>}", "row-frames" },
        { "dnerv-net", "{'base-channels': <0>}", "base-channels" },
        { "dnerv-net", "{'content': <5000>}", "content" },
        { "dnerv-net", "{'widths': <[8, 8, 8]>, 'strides': <[4, 2]>}", "one value per block" },
        { "dnerv-net", "{'widths': <[8, 0]>, 'strides': <[4, 2]>}", "widths" },
        { "dnerv-net", "{'strides': <[2, 2, 2, 2, 2, 2, 2, 2, 2]>}", "strides" },
        { "dnerv-net", "{'strides': <[17]>}", "strides" },
        { "dnerv-net", "{'strides': <[16, 16, 8]>}", "product" },
        { "dnerv-net", "{'without': <7>}", "without" },
        { "dnerv-net", "{'without': <'flow,sky'>}", "sky" },
        { "dnerv-net", "{'without': <'flow,'>}", "without" },
        { "dnerv", "{'without': <'grids'>}", "without" },
        { "dnerv", "{'stem': <8>}", "unknown model option" },
        { "dnerv", "{'content': <8>}", "unknown model option" },
        { "dnerv", "{'without': <'saf'>}", "flow, keys, skip, mask" },
        { "dnerv-net", "{'without': <'mask'>}", "flow, saf, mix, keys, norm, pyramid, skip" },
        { "dnerv-s", "{'without': <'skip'>}", "flow, saf, mix, keys, norm" },
        { "dnerv-net", "{'flow-frames': <8>}", "unknown model option" },
        { "dnerv", "{'flow-frames': <0>}", "flow-frames" },
        { "dnerv", "{'middle-frames': <0>}", "middle-frames" },
        { "dnerv", "{'middle-channels': <-1>}", "middle-channels" },
        { "dnerv-net", "{'widths': <[4096, 4096]>, 'strides': <[8, 8]>}", "too many weights" },
        { "dnerv-net", "{'content': <4096>, 'widths': <[8]>, 'strides': <[16]>}", "too many weights" },
        { "dnerv-net", "{'stem': <4096>, 'base-channels': <4096>, 'widths': <[8]>, 'strides': <[1]>}",
          "too many weights" },
        { "dnerv-s", "{'widths': <[8, 8]>}", "one value per block" },
        { "dnerv-s", "{'weights': <4000>}", "unknown model option \"weights\"" },
        { "dnerv-net", "{'weights': <4000>, 'widths': <[8, 8]>, 'strides': <[4, 2]>}",
          "nothing to choose beside \"widths\"" },
        { "dnerv",
          "{'weights': <4000>, 'widths': <[8, 8]>, 'strides': <[4, 2]>, 'base-channels': <4>, "
          "'middle-channels': <1>, 'row-frames': <2>}",
          "nothing to choose beside" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        if (make(cases[i].model, cases[i].options, 64, 64, 4, &error))
            g_error("%s is accepted", cases[i].options);
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        if (!strstr(error->message, cases[i].said))
            g_error("%s says: %s", cases[i].options, error->message);
    }

    /* what no tape holds is refused in the user's terms, of chosen widths and of given ones */
    static const struct {
        const char *model, *options;
        int32_t side;
    } large[] = { { "dnerv-net", NULL, 8192 },
                  { "dnerv-net", "{'widths': <[64, 64]>, 'strides': <[4, 2]>}", 4096 },
                  { "dnerv-net", "{'clip-frames': <32>, 'keyframe-interval': <32>}", 4096 } };
    for (size_t i = 0; i < G_N_ELEMENTS(large); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(make(large[i].model, large[i].options, large[i].side, large[i].side, 4, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, "clip-frames"));
        g_assert_nonnull(strstr(error->message, large[i].side == 4096 ? "4096 x 4096" : "8192 x 8192"));
    }

    /* videos that are not the segment */
    static const int32_t videos[][2] = { { 3, 2 }, { 2, 1 }, { 4, 0 }, { -1, 5 }, { INT32_MAX, INT32_MAX } };
    for (size_t i = 0; i < G_N_ELEMENTS(videos); i++) {
        g_autoptr(GError) error = NULL;
        const NervModelSize size = { .videos = videos[i], .n_videos = 2 };
        g_assert_null(nerv_model_new_sized("dnerv-net", NULL, &(NervClip){ 64, 64, 4 }, &size, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "videos"));
    }
}

/* Where not even the narrowest network is small enough it is taken, and says so; of widths that were asked for nothing is said. */
static void test_excess(void)
{
    static const struct {
        const char *model, *options;
        double macs;
        bool excess;
    } cases[] = { { "dnerv-net", NULL, 0., false },
                  { "dnerv-net", NULL, 20000., false },
                  { "dnerv-net", NULL, 500., true },
                  { "dnerv-net", "{'clip-frames': <4>}", 500., true },
                  { "dnerv-net", "{'widths': <[8, 8]>, 'strides': <[4, 2]>}", 500., false },
                  { "dnerv-s", NULL, 500., false },
                  { "dnerv", NULL, 100., true },
                  { "nerv", NULL, 20000., false },
                  { "nerv", NULL, 100., true },
                  { "nerv", "{'widths': <[8, 8]>, 'strides': <[4, 2]>}", 100., false } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        const int32_t videos[] = { 30 };
        const NervModelSize size = { .macs_per_pixel = cases[i].macs, .videos = videos, .n_videos = 1 };
        NervModel *model = make_sized(cases[i].model, cases[i].options, 320, 180, &size, &error);
        g_assert_no_error(error);
        g_assert_true(cases[i].excess == (model->excess_macs > cases[i].macs));
        g_assert_true(cases[i].excess || model->excess_macs == 0.);
        if (cases[i].excess)
            g_assert_cmpfloat(fabs(model->excess_macs - check_tape(model)), <, 1.);
        nerv_model_free(model);
    }
}

/* --- the configuration in a stream --- */

static void test_write_read(void)
{
    static const int32_t videos[] = { 9, 1, 20 };
    static const struct {
        const char *name, *options;
    } cases[] = { { "dnerv-net", NULL },
                  { "dnerv-net",
                    "{'stem': <20>, 'pe-base': <1.3>, 'clip-frames': <5>, 'keyframe-interval': <1000>}" },
                  { "dnerv-net", "{'without': <'flow,keys'>, 'row-frames': <1000>, 'strides': <[2, 3, 1]>}" },
                  { "dnerv", NULL },
                  { "dnerv", "{'without': <'flow'>, 'middle-channels': <0>, 'clip-frames': <4>}" },
                  { "dnerv", "{'flow-frames': <3>, 'middle-frames': <7>, 'middle-channels': <3>}" },
                  { "dnerv-xs", "{'keyframe-interval': <16>}" } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        NervBitWriter w;
        NervBitReader r;
        const NervModelSize size = { .videos = videos, .n_videos = 3 };
        NervModel *a = make_sized(cases[i].name, cases[i].options, 97, 61, &size, &error);
        g_assert_no_error(error);
        nerv_writer_init(&w);
        nerv_model_write(a, &w);
        nerv_reader_init(&r, w.bytes->data, w.bytes->len);
        NervModel *b = nerv_model_read(&r, &a->clip, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(nerv_reader_left(&r), ==, 0);
        const NervDnervConfig *ca = &as_dnerv(a)->config, *cb = &as_dnerv(b)->config;
        g_assert_cmpuint(ca->parts, ==, cb->parts);
        g_assert_cmpint(ca->clip, ==, cb->clip);
        g_assert_cmpint(ca->interval, ==, cb->interval);
        g_assert_true(!ca->stem || ca->pe_base == cb->pe_base);
        g_assert_cmpint(a->n_weights, ==, b->n_weights);
        g_assert_true(nerv_model_alike(a, b));
        g_assert_cmpint(a->n_runs, ==, b->n_runs);
        g_assert_cmpmem(a->keys, (gsize)a->n_keys * sizeof(*a->keys), b->keys,
                        (gsize)b->n_keys * sizeof(*b->keys));
        g_assert_cmpmem(as_dnerv(a)->runs, (gsize)a->n_runs * sizeof(NervDnervRun), as_dnerv(b)->runs,
                        (gsize)b->n_runs * sizeof(NervDnervRun));
        g_autofree float *xa = g_new(float, a->run_frames * a->input_floats);
        g_autofree float *xb = g_new(float, a->run_frames * a->input_floats);
        for (int32_t run = 0; run < a->n_runs; run++) {
            nerv_model_input(a, run, xa);
            nerv_model_input(b, run, xb);
            g_assert_cmpmem(xa, a->run_frames * a->input_floats * sizeof(float), xb,
                            b->run_frames * b->input_floats * sizeof(float));
        }
        nerv_model_free(b);
        for (size_t n = 0; n < w.bytes->len; n++) {
            nerv_reader_init(&r, w.bytes->data, n);
            g_assert_null(nerv_model_read(&r, &a->clip, &error));
            g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);
            g_clear_error(&error);
        }
        nerv_writer_clear(&w);
        nerv_model_free(a);
    }
}

/* Fields of a configuration of two blocks and two videos of 7 and 5 frames. */
typedef struct {
    uint64_t parts, interval, stem, levels, row_frames, base, content, flow, middle, channels, width,
        n_videos, video[2];
    float pe_base;
    uint8_t clip, n_blocks, stride[2];
} Fields;

static const Fields sound = { .parts = NERV_DNERV_NET,
                              .interval = 8,
                              .row_frames = 2,
                              .base = 4,
                              .content = 6,
                              .width = 8,
                              .n_videos = 2,
                              .video = { 7, 5 },
                              .clip = 4,
                              .n_blocks = 2,
                              .stride = { 4, 2 } };

static NervModel *read_fields(const Fields *f, GError **error)
{
    NervBitWriter w;
    NervBitReader r;
    nerv_writer_init(&w);
    nerv_write_u8(&w, (uint8_t)nerv_model_class_dnerv.id);
    nerv_write_varint(&w, f->parts);
    nerv_write_u8(&w, f->clip);
    nerv_write_varint(&w, f->interval);
    nerv_write_varint(&w, f->stem);
    if (f->stem) {
        nerv_write_f32(&w, f->pe_base);
        nerv_write_varint(&w, f->levels);
    } else {
        nerv_write_varint(&w, f->row_frames);
    }
    nerv_write_varint(&w, f->base);
    if (f->parts & NERV_DNERV_GRIDS) {
        nerv_write_varint(&w, f->flow);
        nerv_write_varint(&w, f->middle);
        nerv_write_varint(&w, f->channels);
    } else {
        nerv_write_varint(&w, f->content);
    }
    nerv_write_u8(&w, f->n_blocks);
    for (int i = 0; i < f->n_blocks; i++) {
        nerv_write_varint(&w, f->width);
        nerv_write_u8(&w, f->stride[i % 2]);
    }
    nerv_write_varint(&w, f->n_videos);
    for (int i = 0; i < 2; i++)
        nerv_write_varint(&w, f->video[i]);
    nerv_reader_init(&r, w.bytes->data, w.bytes->len);
    NervModel *model = nerv_model_read(&r, &(NervClip){ 64, 48, 12 }, error);
    nerv_writer_clear(&w);
    return model;
}

static void expect_sound(const Fields *f)
{
    g_autoptr(GError) error = NULL;
    NervModel *model = read_fields(f, &error);
    g_assert_no_error(error);
    g_assert_cmpint(model->n_runs, ==, 4);
    g_assert_cmpint(model->n_keys, ==, 4);
    nerv_model_free(model);
}

#define DAMAGE(...)                                                                                          \
    do {                                                                                                     \
        g_autoptr(GError) error = NULL;                                                                      \
        Fields f = sound;                                                                                    \
        __VA_ARGS__;                                                                                         \
        g_assert_null(read_fields(&f, &error));                                                              \
        g_assert_error(error, NERV_ERROR, NERV_ERROR_DATA);                                                  \
    } while (0)

static void test_damage(void)
{
    Fields stem = sound;
    stem.stem = 8, stem.pe_base = 1.25f, stem.levels = 4;
    expect_sound(&sound);
    expect_sound(&stem);
    Fields grids = sound;
    grids.parts = NERV_DNERV_MOVED, grids.flow = 2, grids.middle = 3, grids.channels = 1;
    expect_sound(&grids);
    grids.parts |= NERV_DNERV_MIX | NERV_DNERV_NORM; /* not what an encoder writes */
    expect_sound(&grids);

    DAMAGE(f = grids, f.parts = NERV_DNERV_ALL);
    DAMAGE(f = grids, f.parts |= NERV_DNERV_SAF);
    DAMAGE(f = grids, f.parts |= NERV_DNERV_PYRAMID);
    DAMAGE(f = grids, f.parts &= ~(uint64_t)NERV_DNERV_SKIP);
    DAMAGE(f = grids, f.stem = 8, f.pe_base = 1.25f, f.levels = 4);
    DAMAGE(f = grids, f.parts &= ~(uint64_t)(NERV_DNERV_SKIP | NERV_DNERV_MASK | NERV_DNERV_KEYS));
    DAMAGE(f = grids, f.flow = 0);
    DAMAGE(f = grids, f.flow = 1025);
    DAMAGE(f = grids, f.middle = 0);
    DAMAGE(f = grids, f.middle = 1025);
    DAMAGE(f = grids, f.channels = 4097);
    DAMAGE(f.parts |= NERV_DNERV_MASK);
    DAMAGE(f.parts |= NERV_DNERV_GAINS);
    DAMAGE(f.parts |= NERV_DNERV_OWN);
    DAMAGE(f.parts = NERV_DNERV_ALL + 1);
    DAMAGE(f.parts = UINT64_MAX);
    DAMAGE(f.parts = NERV_DNERV_SKIP | NERV_DNERV_FLOW);
    DAMAGE(f.clip = 0);
    DAMAGE(f.clip = 33, f.interval = 33);
    DAMAGE(f.interval = 0);
    DAMAGE(f.interval = 6);
    DAMAGE(f.interval = 2);
    DAMAGE(f.interval = 1028);
    DAMAGE(f.row_frames = 0);
    DAMAGE(f.row_frames = 1025);
    DAMAGE(f.base = 0);
    DAMAGE(f.base = 4097);
    DAMAGE(f.content = 0);
    DAMAGE(f.content = UINT64_C(1) << 40);
    DAMAGE(f.content = 4096, f.n_blocks = 1, f.stride[0] = 16);
    DAMAGE(f.width = 0);
    DAMAGE(f.width = 4097);
    DAMAGE(f.width = 4096, f.stride[0] = 16);
    DAMAGE(f.n_blocks = 0);
    DAMAGE(f.n_blocks = 9);
    DAMAGE(f.n_blocks = 8);
    DAMAGE(f.n_blocks = 255);
    DAMAGE(f.stride[1] = 0);
    DAMAGE(f.stride[0] = 17);
    DAMAGE(f.n_videos = 0);
    DAMAGE(f.n_videos = 1);
    DAMAGE(f.n_videos = 3);
    DAMAGE(f.n_videos = UINT64_MAX);
    DAMAGE(f.video[0] = 0, f.video[1] = 12);
    DAMAGE(f.video[0] = 13);
    DAMAGE(f.video[1] = 4);
    DAMAGE(f.video[1] = 6);
    DAMAGE(f.video[1] = UINT64_C(0x100000005));
    DAMAGE(f = stem, f.stem = 4097);
    DAMAGE(f = stem, f.pe_base = .99f);
    DAMAGE(f = stem, f.pe_base = 16.1f);
    DAMAGE(f = stem, f.pe_base = NAN);
    DAMAGE(f = stem, f.pe_base = -INFINITY);
    DAMAGE(f = stem, f.levels = 0);
    DAMAGE(f = stem, f.levels = 257);
}

/* --- training --- */

#define W 40
#define H 24
#define N 7

static const NervPixels pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H };

/* Pictures of a moving wave, for frames or keyframes. */
static NervBuffer *upload_wave(NervBackend *be, const int32_t *frames, int32_t n)
{
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *rgb = g_malloc((size_t)n * W * H * 3);
    uint8_t *at = rgb;
    for (int32_t i = 0; i < n; i++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++)
                    *at++ = (uint8_t)(128 + 100 * sin(.3 * (x + frames[i]) + .2 * y * (c + 1)));
    NervBuffer *buffer = nerv_buffer_new(be, (size_t)n * W * H * 3, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_buffer_upload(buffer, 0, rgb, (size_t)n * W * H * 3, &error));
    return buffer;
}

/* After a few steps each tensor of weights has moved, and the loss is less. */
static void expect_trains(NervBackend *be, const NervModel *model, const char *what)
{
    static const int32_t frames[N] = { 0, 1, 2, 3, 4, 5, 6 };
    g_autoptr(GError) error = NULL;
    NervFootage footage = { .frames = upload_wave(be, frames, N),
                            .pixels = &pixels,
                            .keys = model->n_keys ? upload_wave(be, model->keys, model->n_keys) : NULL,
                            .key_pixels = pixels };
    g_autofree float *before = g_new(float, model->n_weights), *after = g_new(float, model->n_weights);
    NervTrainSettings settings;
    NervTrainProgress first = { 0 }, last;
    nerv_train_settings_default(&settings);
    settings.epochs = 12;
    settings.learning_rate = 2e-3;
    settings.batch_size = model->n_keys ? 4 : 1; /* runs with keyframes of their own are fitted one by one */
    NervTrainer *tr = nerv_trainer_new(be, model, &footage, &settings, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_trainer_get_params(tr, before, &error));
    while (!nerv_trainer_done(tr)) {
        g_assert_true(nerv_trainer_step(tr, &error));
        nerv_trainer_progress(tr, &last);
        if (last.step == (uint32_t)model->n_runs + 1)
            first = last; /* of the first epoch */
    }
    g_assert_cmpuint(last.n_steps, ==, 12 * (uint32_t)model->n_runs);
    g_assert_true(nerv_trainer_get_params(tr, after, &error));
    if (!(last.loss > 0. && last.loss < first.loss))
        g_error("without %s: loss %g after %g", what, last.loss, first.loss);
    int64_t at = 0;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const size_t bytes = (size_t)nerv_shape_count(model->params[i].shape) * sizeof(float);
        if (memcmp(before + at, after + at, bytes) == 0)
            g_error("without %s: %s does not learn", what, model->params[i].name);
        at += nerv_shape_count(model->params[i].shape);
    }
    nerv_trainer_free(tr);
    nerv_buffer_free(footage.frames);
    nerv_buffer_free(footage.keys);
}

static bool has_params(const NervModel *model, const char *prefix)
{
    for (uint32_t i = 0; i < model->n_params; i++)
        if (g_str_has_prefix(model->params[i].name, prefix))
            return true;
    return false;
}

static void test_without(void)
{
    static const struct {
        const char *part, *params; /* of which nothing is left */
        int n_params;              /* tensors fewer */
    } cases[] = {
        { "nothing", NULL, 0 }, { "flow", "flow", 12 }, { "saf", "saf", 12 },
        { "mix", "mix", 4 },    { "keys", "flow2", 4 }, { "norm", NULL, 0 },
        { "pyramid", NULL, 0 }, { "skip", NULL, 0 },    { "flow,saf,mix,keys,norm,pyramid", "flow", 20 }
    };
    g_autoptr(GError) error = NULL;
    NervBackend *be = nerv_backend_open("cpu", 1, &error);
    g_assert_no_error(error);
    uint32_t all = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *without = i ? g_strdup_printf(", 'without': <'%s'>", cases[i].part) : g_strdup("");
        g_autofree char *options = g_strdup_printf("{'clip-frames': <4>, 'keyframe-interval': <4>, "
                                                   "'widths': <[10, 8]>, 'strides': <[4, 2]>%s}",
                                                   without);
        NervModel *model = make("dnerv-net", options, W, H, N, &error);
        g_assert_no_error(error);
        check_tape(model);
        all = i ? all : model->n_params;
        g_assert_cmpint(model->n_params, ==, all - (uint32_t)cases[i].n_params);
        g_assert_false(cases[i].params && has_params(model, cases[i].params));
        g_autofree char *text = nerv_model_describe(model), *says = g_strdup_printf("no %s", cases[i].part);
        g_assert_true(i == 0 || strchr(cases[i].part, ',') || strstr(text, says));
        expect_trains(be, model, cases[i].part);
        nerv_model_free(model);
    }

    /* on grids */
    static const char *const moved[] = { "nothing", "flow", "mask", "skip", "keys" };
    for (size_t i = 0; i < G_N_ELEMENTS(moved); i++) {
        g_autofree char *without = i ? g_strdup_printf(", 'without': <'%s'>", moved[i]) : g_strdup("");
        g_autofree char *options =
            g_strdup_printf("{'keyframe-interval': <4>, 'middle-channels': <1>, 'middle-frames': <3>, "
                            "'widths': <[10, 8]>, 'strides': <[4, 2]>%s}",
                            without);
        NervModel *own = make("dnerv", options, W, H, N, &error);
        g_assert_no_error(error);
        check_tape(own);
        g_assert_cmpint(own->n_params, ==, (i == 1 || i == 4 ? 2 : 3) + 2 * 3);
        g_assert_cmpint(has_params(own, "flow"), ==, i != 1 && i != 4);
        g_autofree char *text = nerv_model_describe(own), *says = g_strdup_printf("no %s", moved[i]);
        g_assert_true(!strstr(text, "no ") == (i == 0));
        g_assert_true(i == 0 || strstr(text, says));
        expect_trains(be, own, moved[i]);
        nerv_model_free(own);
    }

    /* and the paper's form, with its stem */
    NervModel *model = make("dnerv-net",
                            "{'clip-frames': <4>, 'keyframe-interval': <4>, 'widths': <[10, 8]>, "
                            "'strides': <[4, 2]>, 'stem': <12>, 'without': <'pyramid,skip'>}",
                            W, H, N, &error);
    g_assert_no_error(error);
    expect_trains(be, model, "pyramid, skip");
    nerv_model_free(model);
    nerv_backend_free(be);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dnerv/paper-counts", test_paper_counts);
    g_test_add_func("/dnerv/any-size", test_any_size);
    g_test_add_func("/dnerv/chosen-sizes", test_chosen_sizes);
    g_test_add_func("/dnerv/options", test_options);
    g_test_add_func("/dnerv/errors", test_errors);
    g_test_add_func("/dnerv/excess", test_excess);
    g_test_add_func("/dnerv/write-read", test_write_read);
    g_test_add_func("/dnerv/damage", test_damage);
    g_test_add_func("/dnerv/without", test_without);
    return g_test_run();
}

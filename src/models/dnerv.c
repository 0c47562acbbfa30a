/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV, see dnerv.h: the paper's network by name, free configurations of it, and how a segment's videos are cut into runs and
 * keyframes. Reading order: names and sizes, videos and runs, parameters, input, options, serialisation, class.
 */
#include "models/dnerv.h"

#include <math.h>
#include <string.h>

#include "models/options.h"
#include "models/params.h"

#define MAX_CHANNELS     4096
#define PAPER_MIN_WIDTH  32
#define PAPER_STEM       512
#define PAPER_CONTENT    64
#define PAPER_LEVELS     240
#define LEAST_FLOW_WIDTH 4

#define PAPER_RATE 5e-4
#define FREE_RATE  5e-3
#define GRID_BOUND 0.05f
#define GRID_RATE  10.f
#define QUIET_BOUND                                                                                          \
    1e-3f /* of what begins as nothing: flows, and what the refinement adds to the keyframes */

/* --- configuration --- */

static const struct {
    const char *name;
    int32_t base_channels;
} paper_sizes[] = {
    { "dnerv-xs", 107 }, { "dnerv-s", 166 },     { "dnerv-m", 213 },     { "dnerv-l", 291 },
    { "dnerv-xl", 382 }, { "dnerv-ucf-s", 198 }, { "dnerv-ucf-m", 281 }, { "dnerv-ucf-l", 361 },
};

static int paper_size(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(paper_sizes); i++)
        if (g_str_equal(name, paper_sizes[i].name))
            return (int)i;
    return -1;
}

static bool dnerv_accepts(const char *name)
{
    return g_str_equal(name, "dnerv") || paper_size(name) >= 0;
}

static void paper_config(NervDnervConfig *c, int32_t base_channels)
{
    static const int32_t stride[] = { 4, 2, 2, 2, 2 };
    *c = (NervDnervConfig){ .parts = NERV_DNERV_PAPER,
                            .clip = 8,
                            .interval = 8,
                            .stem = PAPER_STEM,
                            .pe_base = 1.25,
                            .pe_levels = PAPER_LEVELS,
                            .base_channels = base_channels,
                            .content = PAPER_CONTENT,
                            .n_blocks = G_N_ELEMENTS(stride) };
    memcpy(c->stride, stride, sizeof(stride));
    for (int32_t i = 0; i < c->n_blocks; i++)
        c->width[i] = i ? MAX((int32_t)lrint((double)c->width[i - 1] / c->stride[i]), PAPER_MIN_WIDTH)
                        : 2 * base_channels;
}

static bool config_valid(const NervDnervConfig *c, NervErrorCode code, GError **error)
{
    const char *why = NULL;
    if (c->parts > NERV_DNERV_ALL)
        why = "unknown parts";
    else if (c->clip < 1 || c->clip > NERV_DNERV_MAX_CLIP)
        why = "a clip has 1 to 32 frames";
    else if (c->interval < c->clip || c->interval > NERV_DNERV_MAX_INTERVAL || c->interval % c->clip)
        why = "an interval between keyframes is a multiple of a clip's frames, at most 1024";
    else if (nerv_strides_product(c->stride, c->n_blocks) > 1024)
        why = "the product of the strides exceeds 1024";
    else if ((c->parts & NERV_DNERV_SKIP) && !(c->parts & NERV_DNERV_KEYS))
        why = "skip needs keys";
    if (why)
        g_set_error(error, NERV_ERROR, code, "model dnerv: %s", why);
    return !why;
}

/* --- videos and runs --- */

/* Rows of the grid for a video. */
static int32_t count_rows(const NervDnervConfig *c, int32_t frames)
{
    return c->stem ? 0 : MAX((frames + c->row_frames / 2) / c->row_frames, 1);
}

/* The keyframe `frame` in the list, appended if it is not its last. */
static int32_t add_key(NervDnerv *m, int32_t frame)
{
    NervModel *head = &m->head;
    if (head->n_keys == 0 || head->keys[head->n_keys - 1] != frame)
        head->keys[head->n_keys++] = frame;
    return head->n_keys - 1;
}

/* The runs of one video; the first frame of each interval is a keyframe, and the video's last frame. */
static void cut_video(NervDnerv *m, int32_t video, int32_t frames)
{
    const NervDnervConfig *c = &m->config;
    const int32_t rows = count_rows(c, frames);
    for (int32_t start = 0; start < frames; start += c->interval) {
        const int32_t end = MIN(start + c->interval, frames - 1), past = MIN(start + c->interval, frames);
        const int32_t keys[2] = { add_key(m, video + start), add_key(m, video + end) };
        for (int32_t first = start; first < past; first += c->clip)
            m->runs[m->head.n_runs++] = (NervDnervRun){ .first = video + first,
                                                        .n = MIN(c->clip, past - first),
                                                        .keys = { keys[0], keys[1] },
                                                        .start = video + start,
                                                        .end = video + end,
                                                        .video = video,
                                                        .video_frames = frames,
                                                        .row = m->n_rows,
                                                        .rows = rows };
    }
    m->n_rows += rows;
}

/* False if they are not the clip's frames. */
static bool cut_videos(NervDnerv *m, const int32_t *videos, uint32_t n_videos)
{
    const int32_t n = m->head.clip.n_frames, one[] = { n };
    int32_t at = 0;
    if (n_videos == 0) {
        videos = one;
        n_videos = 1;
    }
    for (uint32_t i = 0; i < n_videos; i++) {
        if (videos[i] < 1 || videos[i] > n - at)
            return false;
        at += videos[i];
    }
    if (at != n)
        return false;
    m->videos = g_memdup2(videos, n_videos * sizeof(*videos));
    m->n_videos = n_videos;
    m->runs = g_new0(NervDnervRun, n); /* at most one a frame; so are keyframes */
    m->head.keys = g_new0(int32_t, n);
    at = 0;
    for (uint32_t i = 0; i < n_videos; at += videos[i++])
        cut_video(m, at, videos[i]);
    return true;
}

static NervRun dnerv_run(const NervModel *model, int32_t run)
{
    const NervDnervRun *r = &((const NervDnerv *)model)->runs[run];
    return (NervRun){ .first = r->first, .n = r->n, .keys = { r->keys[0], r->keys[1] } };
}

/* --- parameters, in the order in which the tape takes them --- */

static void dnerv_free(NervModel *model)
{
    NervDnerv *m = (NervDnerv *)model;
    g_free(m->videos);
    g_free(m->runs);
    g_free(model->keys);
    g_free(model->params);
    g_free(model);
}

/* The layer's last weights and biases begin within `bound`. */
static void quieten(NervModel *m, float bound)
{
    m->params[m->n_params - 2].init_bound = m->params[m->n_params - 1].init_bound = bound;
}

static int32_t flow_width(int32_t channels)
{
    return MAX(channels / 4, LEAST_FLOW_WIDTH);
}

static void add_flow(NervDnerv *m, int32_t i, int32_t channels)
{
    char name[24];
    if (!nerv_dnerv_has(&m->config, NERV_DNERV_FLOW))
        return;
    g_snprintf(name, sizeof(name), "flow%d.0", i);
    nerv_model_add_layer(&m->head, name, flow_width(channels), channels, 1);
    g_snprintf(name, sizeof(name), "flow%d.1", i);
    nerv_model_add_layer(&m->head, name, 4, flow_width(channels), 3);
    if (nerv_dnerv_has(&m->config, NERV_DNERV_PYRAMID))
        quieten(&m->head, QUIET_BOUND);
}

static void add_mix(NervDnerv *m, int32_t i, int32_t channels)
{
    const int32_t frames = m->config.clip;
    const bool quiet = m->config.parts != NERV_DNERV_PAPER;
    const float bound = quiet ? QUIET_BOUND : (float)(1. / sqrt(frames));
    NervParam *w = &m->head.params[m->head.n_params++], *b = &m->head.params[m->head.n_params++];
    *w = (NervParam){ .shape = { channels, frames, frames, 1 },
                      .role = NERV_PARAM_WEIGHT,
                      .init_bound = bound };
    *b = (NervParam){ .shape = { 1, channels, frames, 1 }, .role = NERV_PARAM_BIAS, .init_bound = bound };
    g_snprintf(w->name, sizeof(w->name), "mix%d.weight", i);
    g_snprintf(b->name, sizeof(b->name), "mix%d.bias", i);
    m->head.n_weights += (int64_t)channels * frames * (frames + 1);
}

static bool add_stem(NervDnerv *m)
{
    const NervDnervConfig *c = &m->config;
    const int64_t cells = (int64_t)m->grid_h * m->grid_w * c->base_channels;
    const int64_t n = cells * (c->stem ? c->stem : m->n_rows);
    if (cells > INT32_MAX || n > NERV_MODEL_MAX_WEIGHTS)
        return false;
    if (c->stem) {
        nerv_model_add_layer(&m->head, "stem.0", c->stem, 2 * c->pe_levels, 1);
        nerv_model_add_layer(&m->head, "stem.1", (int32_t)cells, c->stem, 1);
        return true;
    }
    NervParam *p = &m->head.params[m->head.n_params++];
    *p = (NervParam){ .name = "grid",
                      .shape = { m->n_rows, c->base_channels, m->grid_h, m->grid_w },
                      .role = NERV_PARAM_GRID,
                      .init_bound = GRID_BOUND,
                      .rate = GRID_RATE };
    m->head.n_weights += n;
    return true;
}

static bool add_stage(NervDnerv *m, int32_t i, int32_t channels)
{
    const NervDnervConfig *c = &m->config;
    const int64_t out = (int64_t)c->width[i] * c->stride[i] * c->stride[i];
    char name[24];
    if (out * channels * 9 > NERV_MODEL_MAX_WEIGHTS)
        return false;
    if (nerv_dnerv_has(c, NERV_DNERV_SAF)) {
        add_flow(m, i, channels);
        g_snprintf(name, sizeof(name), "saf%d", i);
        nerv_model_add_layer(&m->head, name, 2 * channels, c->content, 1);
    }
    g_snprintf(name, sizeof(name), "block%d", i);
    nerv_model_add_layer(&m->head, name, (int32_t)out, channels, 3);
    if (nerv_dnerv_has(c, NERV_DNERV_MIX))
        add_mix(m, i, c->width[i]);
    return m->head.n_weights <= NERV_MODEL_MAX_WEIGHTS;
}

/* From the keyframes down to the base grid. */
static bool add_content(NervDnerv *m)
{
    const NervDnervConfig *c = &m->config;
    nerv_model_add_layer(&m->head, "content.0", c->content, 3, 3);
    for (int32_t i = c->n_blocks; i-- > 0;) {
        char name[24];
        if ((int64_t)c->content * c->content * c->stride[i] * c->stride[i] > NERV_MODEL_MAX_WEIGHTS)
            return false;
        g_snprintf(name, sizeof(name), "content.%d", c->n_blocks - i);
        nerv_model_add_layer(&m->head, name, c->content, c->content, c->stride[i]);
    }
    return m->head.n_weights <= NERV_MODEL_MAX_WEIGHTS;
}

static bool add_params(NervDnerv *m)
{
    const NervDnervConfig *c = &m->config;
    int32_t channels = c->base_channels + c->content;
    /* content, stem, up to ten of a stage, flow and refinement */
    m->head.params = g_new0(NervParam, 2 * (size_t)(c->n_blocks + 1) + 4 + 10 * (size_t)c->n_blocks + 8);
    if (!add_content(m) || !add_stem(m))
        return false;
    for (int32_t i = 0; i < c->n_blocks; i++) {
        if (!add_stage(m, i, channels))
            return false;
        channels = c->width[i];
    }
    if (nerv_dnerv_has(c, NERV_DNERV_KEYS))
        add_flow(m, c->n_blocks, channels);
    nerv_model_add_layer(&m->head, "refine.0", NERV_DNERV_REFINE,
                         channels + (nerv_dnerv_has(c, NERV_DNERV_KEYS) ? 3 : 0), 1);
    nerv_model_add_layer(&m->head, "refine.1", 3, NERV_DNERV_REFINE, 3);
    if (nerv_dnerv_has(c, NERV_DNERV_SKIP))
        quieten(&m->head, QUIET_BOUND);
    return true;
}

static NervModel *model_from_config(const NervDnervConfig *c, const NervClip *clip, const int32_t *videos,
                                    uint32_t n_videos, NervErrorCode code, GError **error)
{
    const int32_t scale = nerv_strides_product(c->stride, c->n_blocks);
    NervDnerv *m = g_new0(NervDnerv, 1);

    m->head.klass = &nerv_model_class_dnerv;
    m->head.clip = *clip;
    m->head.input_floats = (c->stem ? 2 * c->pe_levels : 1) + NERV_DNERV_N_INPUTS;
    m->head.run_frames = c->clip;
    m->head.learning_rate = c->stem ? PAPER_RATE : FREE_RATE;
    m->head.beta1 = .9;
    m->head.beta2 = .999;
    m->head.warmup = c->stem ? .1 : .05;
    m->config = *c;
    for (int32_t i = c->n_blocks; i < NERV_MAX_BLOCKS; i++)
        m->config.width[i] = m->config.stride[i] = 0;
    m->grid_h = nerv_blocks_cells(clip->height, scale);
    m->grid_w = nerv_blocks_cells(clip->width, scale);
    const char *why = NULL;
    if (!cut_videos(m, videos, n_videos))
        why = "the videos are not the segment's frames";
    else if (!add_params(m))
        why = "it has too many weights";
    if (!why)
        return &m->head;
    g_set_error(error, NERV_ERROR, code, "model dnerv: %s", why);
    dnerv_free(&m->head);
    return NULL;
}

/* --- input --- */

/* Phases grow to 1e23, whose sines differ with the last bit: each power of the base is one product, rounded once, the same everywhere. */
static float *write_encoding(const NervDnervConfig *c, double t, float *dst)
{
    double b = 1.;
    for (int32_t k = 0; k < c->pe_levels; k++) {
        *dst++ = (float)sin(b * G_PI * t);
        *dst++ = (float)cos(b * G_PI * t);
        b *= c->pe_base;
    }
    return dst;
}

/* at: counted in frames of the segment, not behind the video's last. */
static void write_frame(const NervDnervConfig *c, const NervDnervRun *r, double at, float *dst)
{
    const double last = r->video_frames - 1, span = MAX(r->end - r->start, 1);
    const double t = last > 0 ? (at - r->video) / last : 0.;
    const double distance = (at - r->start) / span;
    /* bilinear, between the middles of the two halves of an interval */
    const double place = CLAMP((at - r->start + .5) * 2. / c->interval - .5, 0., 1.);
    if (c->stem)
        dst = write_encoding(c, t, dst);
    else
        *dst++ = (float)(r->row + t * (r->rows - 1));
    dst[NERV_DNERV_INPUT_START] = (float)(1. - distance);
    dst[NERV_DNERV_INPUT_END] = (float)distance;
    dst[NERV_DNERV_INPUT_EARLY] = (float)(1. - place);
    dst[NERV_DNERV_INPUT_LATE] = (float)place;
}

static void dnerv_input(const NervModel *model, int32_t run, double later, float *dst)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const NervDnervRun *r = &m->runs[run];
    for (int32_t i = 0; i < m->config.clip; i++)
        write_frame(&m->config, r, fmin(r->first + MIN(i, r->n - 1) + later, r->video + r->video_frames - 1),
                    dst + (size_t)i * model->input_floats);
}

/* --- sizes --- */

#define DEFAULT_WEIGHTS    100000.
#define DEFAULT_SAMPLES    2.2e7
#define DEFAULT_POWER      0.75
#define SAMPLES_PER_WEIGHT 16.
#define LEAST_WEIGHTS      2000
#define LEAST_WIDTH        8
#define MOST_WIDTH         512.

static const char *const part_names[] = { "flow", "saf", "mix", "keys", "norm", "pyramid", "skip" };

/* Infinite if a clip's pictures or features are too large for a tape. */
static double macs_per_pixel(const NervModel *model)
{
    const NervClip *clip = &model->clip;
    if ((int64_t)model->run_frames * clip->width * clip->height > INT32_MAX / 4) /* bytes of pixels */
        return INFINITY;
    NervTape *t = nerv_tape_new();
    g_autofree NervTensor **leaves = g_new0(NervTensor *, model->n_params);
    nerv_params_leaves(model, t, "", leaves);
    NervTensor *input = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32,
                                       nerv_shape(model->run_frames, model->input_floats, 1, 1), "input");
    NervTensor *keys =
        nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(2, 3, clip->height, clip->width), "keys");
    nerv_dnerv_build(model, t, leaves, input, keys);
    const double macs = nerv_tape_check(t, NULL) ? (double)nerv_tape_macs(t) : INFINITY;
    nerv_tape_free(t);
    return macs / model->run_frames / ((double)clip->width * clip->height);
}

/* Channels that go with a first width. */
static void set_widths(NervDnervConfig *c, double first)
{
    c->base_channels = CLAMP((int32_t)lrint(first / 8.), 2, 64);
    c->content = CLAMP((int32_t)lrint(first / 3.), 8, PAPER_CONTENT);
    for (int32_t i = 0; i < NERV_MAX_BLOCKS; i++, first /= 1.6)
        c->width[i] = MAX((int32_t)lrint(first), LEAST_WIDTH);
}

/* As wide as the weights and multiplications allow. */
static void choose_widths(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size)
{
    const double samples = 3. * clip->width * clip->height * clip->n_frames;
    const double growth = size->growth > 0. ? size->growth : 1.;
    const double own =
        fmin(DEFAULT_WEIGHTS * pow(samples / DEFAULT_SAMPLES, DEFAULT_POWER), samples / SAMPLES_PER_WEIGHT);
    const double most = fmax((size->weights > 0. ? size->weights : own) * growth, LEAST_WEIGHTS);
    for (double first = MOST_WIDTH; first >= LEAST_WIDTH; first /= 1.1) {
        set_widths(c, first);
        NervModel *m = model_from_config(c, clip, size->videos, size->n_videos, NERV_ERROR_INVALID, NULL);
        const bool few = m && (double)m->n_weights <= most;
        const double macs = few ? macs_per_pixel(m) : INFINITY;
        const bool fits = !isinf(macs) && (size->macs_per_pixel <= 0. || macs <= size->macs_per_pixel);
        nerv_model_free(m);
        if (fits)
            return;
    }
}

/* "flow,mix": parts that the network goes without. */
static bool drop_parts(NervDnervConfig *c, const char *text, GError **error)
{
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    for (char **name = names; *name; name++) {
        size_t i = 0;
        while (i < G_N_ELEMENTS(part_names) && !g_str_equal(*name, part_names[i]))
            i++;
        if (i == G_N_ELEMENTS(part_names)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "model option \"without\" names \"%s\", which is not flow, saf, mix, keys, norm, "
                        "pyramid or skip",
                        *name);
            return false;
        }
        c->parts &= ~(1u << i);
    }
    if (!nerv_dnerv_has(c, NERV_DNERV_KEYS))
        c->parts &= ~(uint32_t)NERV_DNERV_SKIP;
    return true;
}

static bool parse_options(NervDnervConfig *c, bool free_size, GVariant *options, const NervClip *clip,
                          const NervModelSize *size, GError **error)
{
    static const char *const known[] = { "weights",   "clip-frames", "keyframe-interval", "stem",
                                         "pe-levels", "pe-base",     "row-frames",        "base-channels",
                                         "content",   "widths",      "strides",           "without",
                                         NULL };
    uint32_t n_strides = NERV_MAX_BLOCKS, n_widths = NERV_MAX_BLOCKS;
    int32_t stride[NERV_MAX_BLOCKS] = { 0 }, width[NERV_MAX_BLOCKS] = { 0 }, base = 0, content = 0,
            weights = 0;
    const char *without = NULL;
    NervModelSize own = *size;

    if (!nerv_options_check(options, known, error) ||
        !nerv_options_int(options, "weights", LEAST_WEIGHTS, NERV_MODEL_MAX_WEIGHTS, &weights, error) ||
        !nerv_options_int(options, "clip-frames", 1, NERV_DNERV_MAX_CLIP, &c->clip, error) ||
        !nerv_options_int(options, "keyframe-interval", 1, NERV_DNERV_MAX_INTERVAL, &c->interval, error) ||
        !nerv_options_int(options, "stem", 0, MAX_CHANNELS, &c->stem, error) ||
        !nerv_options_int(options, "pe-levels", 1, 256, &c->pe_levels, error) ||
        !nerv_options_double(options, "pe-base", 1., 16., &c->pe_base, error) ||
        !nerv_options_int(options, "row-frames", 1, NERV_DNERV_MAX_INTERVAL, &c->row_frames, error) ||
        !nerv_options_int(options, "base-channels", 1, MAX_CHANNELS, &base, error) ||
        !nerv_options_int(options, "content", 1, MAX_CHANNELS, &content, error) ||
        !nerv_options_ints(options, "widths", 1, MAX_CHANNELS, width, &n_widths, error) ||
        !nerv_options_ints(options, "strides", 1, 16, stride, &n_strides, error) ||
        !nerv_options_string(options, "without", &without, error) ||
        (without && !drop_parts(c, without, error)))
        return false;
    c->pe_base = (float)c->pe_base;
    if (stride[0]) {
        c->n_blocks = (int32_t)n_strides;
        memcpy(c->stride, stride, sizeof(stride));
    }
    if (width[0] && (int32_t)n_widths != c->n_blocks) {
        g_set_error(
            error, NERV_ERROR, NERV_ERROR_INVALID,
            "model options \"strides\" and \"widths\" must have one value per block: strides %d, widths %u",
            c->n_blocks, n_widths);
        return false;
    }
    if (weights)
        own.weights = weights;
    if (!config_valid(c, NERV_ERROR_INVALID, error))
        return false;
    if (free_size && !width[0])
        choose_widths(c, clip, &own);
    else if (free_size)
        set_widths(c, width[0]);
    if (width[0])
        memcpy(c->width, width, sizeof(width));
    c->base_channels = base ? base : c->base_channels;
    c->content = content ? content : c->content;
    return true;
}

/* Whether the network can be evaluated at all; if its widths were chosen, what it takes beyond what was asked for. */
static bool measure(NervModel *model, GVariant *options, const NervModelSize *size, GError **error)
{
    g_autoptr(GVariant) widths = options ? g_variant_lookup_value(options, "widths", NULL) : NULL;
    const bool chosen = !widths && !((NervDnerv *)model)->config.stem;
    const double macs = macs_per_pixel(model);
    if (isinf(macs)) {
        g_set_error(
            error, NERV_ERROR, NERV_ERROR_INVALID,
            "model dnerv cannot make clips of %d frames of %d x %d at once: lower the frame size, the "
            "model's option clip-frames or its widths, or take another model",
            model->run_frames, model->clip.width, model->clip.height);
        return false;
    }
    if (chosen && size->macs_per_pixel > 0. && macs > size->macs_per_pixel)
        model->excess_macs = macs;
    return true;
}

static NervModel *dnerv_configure(const char *name, GVariant *options, const NervClip *clip,
                                  const NervModelSize *size, GError **error)
{
    const int paper = paper_size(name);
    NervDnervConfig c = {
        .parts = NERV_DNERV_ALL, .clip = 8, .interval = 16, .pe_base = 1.25, .pe_levels = 40, .row_frames = 2
    };
    if (paper >= 0)
        paper_config(&c, paper_sizes[paper].base_channels);
    else
        c.n_blocks = nerv_strides_choose(clip, c.stride);
    if (!parse_options(&c, paper < 0, options, clip, size, error))
        return NULL;
    NervModel *model = model_from_config(&c, clip, size->videos, size->n_videos, NERV_ERROR_INVALID, error);
    if (model && !measure(model, options, size, error))
        g_clear_pointer(&model, nerv_model_free);
    return model;
}

/* --- serialisation (docs/bitstream.md, "Model dnerv") --- */

static void dnerv_write(const NervModel *model, NervBitWriter *w)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const NervDnervConfig *c = &m->config;
    nerv_write_varint(w, c->parts);
    nerv_write_u8(w, (uint8_t)c->clip);
    nerv_write_varint(w, (uint64_t)c->interval);
    nerv_write_varint(w, (uint64_t)c->stem);
    if (c->stem) {
        nerv_write_f32(w, (float)c->pe_base);
        nerv_write_varint(w, (uint64_t)c->pe_levels);
    } else {
        nerv_write_varint(w, (uint64_t)c->row_frames);
    }
    nerv_write_varint(w, (uint64_t)c->base_channels);
    nerv_write_varint(w, (uint64_t)c->content);
    nerv_write_u8(w, (uint8_t)c->n_blocks);
    for (int32_t i = 0; i < c->n_blocks; i++) {
        nerv_write_varint(w, (uint64_t)c->width[i]);
        nerv_write_u8(w, (uint8_t)c->stride[i]);
    }
    nerv_write_varint(w, m->n_videos);
    for (uint32_t i = 0; i < m->n_videos; i++)
        nerv_write_varint(w, (uint64_t)m->videos[i]);
}

static bool read_config(NervBitReader *r, NervDnervConfig *c)
{
    c->parts = (uint32_t)nerv_read_range(r, 0, NERV_DNERV_ALL);
    c->clip = nerv_read_u8(r);
    c->interval = (int32_t)nerv_read_range(r, 1, NERV_DNERV_MAX_INTERVAL);
    c->stem = (int32_t)nerv_read_range(r, 0, MAX_CHANNELS);
    if (c->stem) {
        c->pe_base = nerv_read_f32(r);
        c->pe_levels = (int32_t)nerv_read_range(r, 1, 256);
    } else {
        c->row_frames = (int32_t)nerv_read_range(r, 1, NERV_DNERV_MAX_INTERVAL);
    }
    c->base_channels = (int32_t)nerv_read_range(r, 1, MAX_CHANNELS);
    c->content = (int32_t)nerv_read_range(r, 1, MAX_CHANNELS);
    c->n_blocks = nerv_read_u8(r);
    if (r->failed || c->n_blocks < 1 || c->n_blocks > NERV_MAX_BLOCKS ||
        (c->stem && !(c->pe_base >= 1. && c->pe_base <= 16.)))
        return false;
    for (int32_t i = 0; i < c->n_blocks; i++) {
        c->width[i] = (int32_t)nerv_read_range(r, 1, MAX_CHANNELS);
        c->stride[i] = nerv_read_u8(r);
        if (r->failed || c->stride[i] < 1 || c->stride[i] > 16)
            return false;
    }
    return true;
}

static NervModel *dnerv_read(NervBitReader *r, const NervClip *clip, GError **error)
{
    NervDnervConfig c = { 0 };
    g_autofree int32_t *videos = NULL;
    uint32_t n_videos = 0;
    bool valid = read_config(r, &c);
    if (valid) {
        n_videos = (uint32_t)nerv_read_range(r, 1, (uint64_t)clip->n_frames);
        valid = !r->failed && n_videos <= r->size - r->pos; /* a byte each at least */
    }
    if (valid)
        videos = g_new(int32_t, n_videos);
    for (uint32_t i = 0; valid && i < n_videos; i++)
        videos[i] = (int32_t)nerv_read_range(r, 1, (uint64_t)clip->n_frames);
    if (!valid || r->failed) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the configuration of model dnerv is damaged");
        return NULL;
    }
    return config_valid(&c, NERV_ERROR_DATA, error)
               ? model_from_config(&c, clip, videos, n_videos, NERV_ERROR_DATA, error)
               : NULL;
}

static char *dnerv_describe(const NervModel *model)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const NervDnervConfig *c = &m->config;
    GString *s = g_string_new(NULL);
    g_string_printf(s, "dnerv %dx%d: %u videos, %d keyframes, clips of %d, ", model->clip.width,
                    model->clip.height, m->n_videos, model->n_keys, c->clip);
    if (c->stem)
        g_string_append_printf(s, "stem %d, ", c->stem);
    else
        g_string_append_printf(s, "%d rows, ", m->n_rows);
    g_string_append_printf(s, "base %d at %dx%d, content %d", c->base_channels, m->grid_w, m->grid_h,
                           c->content);
    nerv_describe_list(s, "widths", c->width, c->n_blocks);
    nerv_describe_list(s, "strides", c->stride, c->n_blocks);
    for (size_t i = 0; i < G_N_ELEMENTS(part_names); i++)
        if (!(c->parts >> i & 1))
            g_string_append_printf(s, ", no %s", part_names[i]);
    g_string_append_printf(s, "; %" G_GINT64_FORMAT " parameters", model->n_weights);
    return g_string_free(s, FALSE);
}

const NervModelClass nerv_model_class_dnerv = {
    .name = "dnerv",
    .id = 3,
    .accepts = dnerv_accepts,
    .configure = dnerv_configure,
    .write = dnerv_write,
    .read = dnerv_read,
    .free = dnerv_free,
    .build = nerv_dnerv_build,
    .input = dnerv_input,
    .run = dnerv_run,
    .describe = dnerv_describe,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV, see dnerv.h: the paper's network by name, free configurations of it and of what stands on grids. What becomes of a
 * configuration is in dnerv_model.c. Reading order: names and configurations, sizes, options, serialisation, class.
 */
#include "models/dnerv.h"

#include <math.h>
#include <string.h>

#include "models/options.h"
#include "models/params.h"

#define MAX_CHANNELS    4096
#define PAPER_MIN_WIDTH 32
#define PAPER_STEM      512
#define PAPER_CONTENT   64
#define PAPER_LEVELS    240
#define NET_ROW         2 /* frames for each row of the grid that may stand in place of the stem */

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
    return g_str_equal(name, "dnerv") || g_str_equal(name, "dnerv-net") || paper_size(name) >= 0;
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

static void net_config(NervDnervConfig *c)
{
    c->parts = NERV_DNERV_NET;
    c->clip = 8;
    c->interval = 16;
}

/* What was measured to be best for short fits (docs/design.md, "Clips and keyframes"). */
static void grids_config(NervDnervConfig *c)
{
    c->parts = NERV_DNERV_MOVED;
    c->clip = 1;
    c->row_frames = 0;
    c->middle_frames = 32;
}

static bool config_valid(const NervDnervConfig *c, NervErrorCode code, GError **error)
{
    const char *why = NULL;
    g_autofree char *interval =
        g_strdup_printf("a keyframe-interval of %d is no multiple of a clip's %d frames, or more than %d",
                        c->interval, c->clip, NERV_DNERV_MAX_INTERVAL);
    if (c->parts > NERV_DNERV_ALL)
        why = "unknown parts";
    else if (c->clip < 1 || c->clip > NERV_DNERV_MAX_CLIP)
        why = "a clip has 1 to 32 frames";
    else if (c->interval < c->clip || c->interval > NERV_DNERV_MAX_INTERVAL || c->interval % c->clip)
        why = interval;
    else if (nerv_strides_product(c->stride, c->n_blocks) > 1024)
        why = "the product of the strides exceeds 1024";
    else if ((c->parts & NERV_DNERV_SKIP) && !(c->parts & NERV_DNERV_KEYS))
        why = "skip needs keys";
    else if ((c->parts & NERV_DNERV_MASK) && (~c->parts & (NERV_DNERV_SKIP | NERV_DNERV_GRIDS)))
        why = "a mask needs skip and grids";
    else if ((c->parts & NERV_DNERV_OF_SEVERAL) && !(c->parts & NERV_DNERV_GRIDS))
        why = "gains and weights of a video's own need grids";
    else if ((c->parts & NERV_DNERV_OWN) && !(c->parts & NERV_DNERV_KEYS))
        why = "weights of a video's own need keys";
    else if ((c->parts & NERV_DNERV_GRIDS) && ((c->parts & (NERV_DNERV_SAF | NERV_DNERV_PYRAMID)) || c->stem))
        why = "with grids there is no saf, no pyramid and no stem";
    if (why)
        g_set_error(error, NERV_ERROR, code, "model dnerv: %s", why);
    return !why;
}

/* --- sizes --- */

#define DEFAULT_WEIGHTS    100000.
#define DEFAULT_SAMPLES    2.2e7
#define DEFAULT_POWER      0.75
#define SAMPLES_PER_WEIGHT 16.
#define LEAST_WEIGHTS      2000
/* With grids: shares of the weights in the base and in the middle grid, and how many more there may be, because most are zero. */
#define BASE_SHARE   0.5
#define MIDDLE_SHARE 0.12
#define MOST_BASE    12
#define MOST_ROW                                                                                             \
    8 /* frames for a row of the base: half of that where MOST_BASE channels would be too few, and again */
#define LEAST_ROW   2
#define MOST_MIDDLE 4
/* Frames from one keyframe to the next at a bit a sample, and how they become more with a falling rate. */
#define INTERVAL_AT_ONE 8.
#define INTERVAL_POWER  .667
#define MIDDLE_INTERVAL 48
#define LEAST_INTERVAL  8
#define MOST_INTERVAL   256
#define INTERVAL_FLOWS  4
#define MOST_FLOW       9 /* frames a row */
#define GRIDS_GROWTH    1.6
#define LEAST_WIDTH     8
/* Of layers that videos share (count_shared()): weights from which on they count for all videos, videos, and the part of the weights that is widths' to take. */
#define LEAST_SHARED  25000.
#define MOST_SHARES   6
#define SHARED_WIDTHS 0.8
#define MOST_WIDTH    512.
#define MOST_OWN      0.3 /* part of the weights in layers that are each video's own */

const char *const nerv_dnerv_part_names[] = { "flow", "saf",   "mix",  "keys",  "norm", "pyramid",
                                              "skip", "grids", "mask", "gains", "own" };

/* Weights that a channel of the base and of the middle grid takes, in all rows. */
static void count_channel(const NervDnervConfig *c, const NervClip *clip, const NervModelSize *size,
                          double *base, double *middle)
{
    const int32_t product = nerv_strides_product(c->stride, c->n_blocks);
    const double cells =
        (double)nerv_blocks_cells(clip->width, product) * nerv_blocks_cells(clip->height, product);
    const double finer = (double)c->stride[0] * c->stride[0];
    *base = *middle = 0.;
    for (uint32_t i = 0; i < MAX(size->n_videos, 1); i++) {
        const int32_t frames = size->n_videos ? size->videos[i] : clip->n_frames;
        *base += cells * nerv_dnerv_rows(frames, c->row_frames);
        *middle += cells * finer * nerv_dnerv_rows(frames, c->middle_frames);
    }
}

/* Rows, where they are not given, and channels of the grids for a number of weights. Many channels of few rows are worth more than few of many: a
 * channel is a shape that the first block can make of a cell. */
static void set_grids(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size, double weights)
{
    const bool given = c->row_frames > 0;
    double base, middle;
    c->row_frames = given ? c->row_frames : MOST_ROW;
    count_channel(c, clip, size, &base, &middle);
    while (!given && c->row_frames > LEAST_ROW && BASE_SHARE * weights > MOST_BASE * base) {
        c->row_frames /= 2;
        count_channel(c, clip, size, &base, &middle);
    }
    c->base_channels = CLAMP((int32_t)lrint(BASE_SHARE * weights / base), 1, MOST_BASE);
    c->middle_channels = CLAMP((int32_t)lrint(MIDDLE_SHARE * weights / middle), 0, MOST_MIDDLE);
}

/* Keyframes as far apart as the rate demands, evenly in a segment of one video (of several each is cut evenly by itself): what moves fast
 * wants more of them, but bad ones serve nothing. Found on two clips (docs/design.md). */
static void choose_interval(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size)
{
    const double samples = (double)clip->width * clip->height * clip->n_frames;
    const int32_t last = clip->n_frames - 1;
    int32_t interval = MIDDLE_INTERVAL;
    if (size->bytes > 0.) {
        const double own =
            fmax(INTERVAL_AT_ONE * pow(size->bytes * 8. / samples, -INTERVAL_POWER), LEAST_INTERVAL);
        const int32_t n = (int32_t)fmax(rint(last / own), 1.);
        interval = size->n_videos > 1 ? (int32_t)lrint(fmin(own, MOST_INTERVAL)) : (last + n - 1) / n;
    }
    c->interval = (CLAMP(interval, LEAST_INTERVAL, MOST_INTERVAL) + c->clip - 1) / c->clip * c->clip;
}

/* Channels that go with a first width. */
static void set_widths(NervDnervConfig *c, double first)
{
    if (!nerv_dnerv_has(c, NERV_DNERV_GRIDS)) {
        c->base_channels = CLAMP((int32_t)lrint(first / 8.), 2, 64);
        c->content = CLAMP((int32_t)lrint(first / 3.), 8, PAPER_CONTENT);
    }
    for (int32_t i = 0; i < NERV_MAX_BLOCKS; i++, first /= 1.6)
        c->width[i] = MAX((int32_t)lrint(first), LEAST_WIDTH);
}

/* How many weights a network of that size for the clip has. */
static double choose_weights(const NervClip *clip, const NervModelSize *size)
{
    const double samples = 3. * clip->width * clip->height * clip->n_frames;
    const double growth = size->growth > 0. ? size->growth : 1.;
    const double own =
        fmin(DEFAULT_WEIGHTS * pow(samples / DEFAULT_SAMPLES, DEFAULT_POWER), samples / SAMPLES_PER_WEIGHT);
    return fmax((size->weights > 0. ? size->weights : own) * growth, LEAST_WEIGHTS);
}

/* The first stage's, where each video has its own. */
static double count_own(const NervModel *model)
{
    const NervDnervConfig *c = &((const NervDnerv *)model)->config;
    if (!nerv_dnerv_has(c, NERV_DNERV_OWN))
        return 0.;
    return (double)model->n_videos * c->width[0] * c->stride[0] * c->stride[0] * (c->base_channels + 1);
}

/* Weights of a network for `most` of them. Layers that several videos share are as wide as those of networks of their own would be, about, and
 * what that saves is the grids': a fit's steps are as many as the layers leave time for. */
static double count_shared(const NervModel *model, const NervModelSize *size)
{
    double own = count_own(model);
    for (uint32_t i = 0; i < model->n_params; i++)
        if (model->params[i].role == NERV_PARAM_GRID)
            own += (double)nerv_shape_count(model->params[i].shape);
    const double layers = (double)model->n_weights - own;
    const double more = nerv_dnerv_has(&((const NervDnerv *)model)->config, NERV_DNERV_GRIDS)
                            ? CLAMP(size->n_videos, 1, MOST_SHARES) - 1
                            : 0.;
    return own + layers * (1. + more * fmin(layers / LEAST_SHARED, 1.));
}

/* As wide as the weights and multiplications allow. */
static void choose_widths(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size, double most)
{
    for (double first = MOST_WIDTH; first >= LEAST_WIDTH; first /= 1.1) {
        set_widths(c, first);
        NervModel *m = nerv_dnerv_new(c, clip, size->videos, size->n_videos, NERV_ERROR_INVALID, NULL);
        const bool few = m && count_shared(m, size) <= most;
        const double macs = few ? nerv_model_macs_per_pixel(m) : INFINITY;
        const bool fits = !isinf(macs) && (size->macs_per_pixel <= 0. || macs <= size->macs_per_pixel);
        nerv_model_free(m);
        if (fits)
            return;
    }
}

/* Channels of the grids for weights that layers leave. */
static void fill_grids(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size, double most)
{
    const double own = nerv_dnerv_has(c, NERV_DNERV_OWN) ? size->n_videos : 1.;
    double base, middle;
    count_channel(c, clip, size, &base, &middle);
    base += own * c->width[0] * c->stride[0] * c->stride[0];
    middle += 9. * c->width[1] * c->stride[1] * c->stride[1];
    NervModel *m = nerv_dnerv_new(c, clip, size->videos, size->n_videos, NERV_ERROR_INVALID, NULL);
    double left = m ? most - (double)m->n_weights : 0.;
    nerv_model_free(m);
    for (;;) {
        const bool is_base =
            c->base_channels < MOST_BASE && base <= left &&
            (c->base_channels * base / BASE_SHARE <= c->middle_channels * middle / MIDDLE_SHARE ||
             c->middle_channels == MOST_MIDDLE || middle > left);
        if (!is_base && (c->middle_channels == MOST_MIDDLE || middle > left))
            return;
        left -= is_base ? base : middle;
        ++*(is_base ? &c->base_channels : &c->middle_channels);
    }
}

/* Many short videos cannot each have weights of their own. */
static bool own_too_dear(const NervDnervConfig *c, const NervClip *clip, const NervModelSize *size)
{
    NervModel *m = nerv_dnerv_new(c, clip, size->videos, size->n_videos, NERV_ERROR_INVALID, NULL);
    const bool dear = m && count_own(m) > MOST_OWN * (double)m->n_weights;
    nerv_model_free(m);
    return dear;
}

/* Widths, and what they leave to the grids of several videos. */
static void choose_layers(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size, double most,
                          bool fill)
{
    const NervDnervConfig before = *c;
    const bool share = fill && size->n_videos > 1;
    choose_widths(c, clip, size, share ? most * SHARED_WIDTHS : most);
    if (share)
        fill_grids(c, clip, size, most);
    if (!own_too_dear(c, clip, size))
        return;
    *c = before;
    c->parts &= ~(uint32_t)NERV_DNERV_OWN;
    choose_layers(c, clip, size, most, fill);
}

/* What options leave open: `width`, `base` and `middle` are theirs, the first 0 and the last -1 for none. */
static void choose_sizes(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size, bool exact,
                         int32_t width, int32_t base, int32_t middle)
{
    const bool grids = nerv_dnerv_has(c, NERV_DNERV_GRIDS);
    const double most = choose_weights(clip, size);
    if (grids) {
        set_grids(c, clip, size, exact ? most / GRIDS_GROWTH : most);
        c->base_channels = base ? base : c->base_channels;
        c->middle_channels = middle >= 0 ? middle : c->middle_channels;
    }
    if (width)
        set_widths(c, width);
    else
        choose_layers(c, clip, size, grids && !exact ? most * GRIDS_GROWTH : most,
                      grids && !base && middle < 0);
}

/* The part of that name of those in `parts`; 0 if there is none. */
static uint32_t find_part(uint32_t parts, const char *name)
{
    for (size_t i = 0; i < NERV_DNERV_N_PARTS; i++)
        if (g_str_equal(name, nerv_dnerv_part_names[i]) && 1u << i != NERV_DNERV_GRIDS)
            return parts & 1u << i;
    return 0;
}

/* "flow,mix": parts of those it has that the network goes without. */
static bool drop_parts(NervDnervConfig *c, const char *text, GError **error)
{
    const uint32_t parts = c->parts;
    g_auto(GStrv) names = g_strsplit(text, ",", -1);
    for (char **name = names; *name; name++) {
        const uint32_t part = find_part(parts, *name);
        if (!part) {
            g_autoptr(GString) known = g_string_new(NULL);
            for (size_t i = 0; i < NERV_DNERV_N_PARTS; i++)
                if (find_part(parts, nerv_dnerv_part_names[i]))
                    g_string_append_printf(known, "%s%s", known->len ? ", " : "", nerv_dnerv_part_names[i]);
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "model option \"without\" names \"%s\", and the model's parts are %s", *name,
                        known->str);
            return false;
        }
        c->parts &= ~part;
    }
    if (!nerv_dnerv_has(c, NERV_DNERV_KEYS))
        c->parts &= ~(uint32_t)(NERV_DNERV_SKIP | NERV_DNERV_OWN);
    if (!nerv_dnerv_has(c, NERV_DNERV_SKIP))
        c->parts &= ~(uint32_t)NERV_DNERV_MASK;
    return true;
}

static bool parse_options(NervDnervConfig *c, bool free_size, GVariant *options, const NervClip *clip,
                          const NervModelSize *size, GError **error)
{
    static const char *const of_grids[] = { "weights",       "clip-frames",   "keyframe-interval",
                                            "row-frames",    "base-channels", "middle-channels",
                                            "middle-frames", "flow-frames",   "widths",
                                            "strides",       "without",       NULL };
    static const char *const of_net[] = { "weights",   "clip-frames", "keyframe-interval", "stem",
                                          "pe-levels", "pe-base",     "row-frames",        "base-channels",
                                          "content",   "widths",      "strides",           "without",
                                          NULL },
                             *const grids_sizes[] = { "widths", "base-channels", "middle-channels",
                                                      "row-frames", NULL },
                             *const net_sizes[] = { "widths", NULL };
    const bool grids = nerv_dnerv_has(c, NERV_DNERV_GRIDS);
    /* the sizes by name have theirs */
    const char *const *known = grids ? of_grids : free_size ? of_net : of_net + 1;
    uint32_t n_strides = NERV_MAX_BLOCKS, n_widths = NERV_MAX_BLOCKS;
    int32_t stride[NERV_MAX_BLOCKS] = { 0 }, width[NERV_MAX_BLOCKS] = { 0 }, base = 0, content = 0,
            weights = 0, middle = -1, rows = 0;
    const char *without = NULL;
    NervModelSize own = *size;

    if (!nerv_options_check(options, known, error) ||
        !nerv_options_weights_count(options, grids ? grids_sizes : net_sizes, error) ||
        !nerv_options_int(options, "weights", LEAST_WEIGHTS, NERV_MODEL_MAX_WEIGHTS, &weights, error) ||
        !nerv_options_int(options, "clip-frames", 1, NERV_DNERV_MAX_CLIP, &c->clip, error) ||
        !nerv_options_int(options, "keyframe-interval", 1, NERV_DNERV_MAX_INTERVAL, &c->interval, error) ||
        !nerv_options_int(options, "stem", 0, MAX_CHANNELS, &c->stem, error) ||
        !nerv_options_int(options, "pe-levels", 1, 256, &c->pe_levels, error) ||
        !nerv_options_double(options, "pe-base", 1., 16., &c->pe_base, error) ||
        !nerv_options_int(options, "row-frames", 1, NERV_DNERV_MAX_INTERVAL, &rows, error) ||
        !nerv_options_int(options, "base-channels", 1, MAX_CHANNELS, &base, error) ||
        !nerv_options_int(options, "content", 1, MAX_CHANNELS, &content, error) ||
        !nerv_options_int(options, "flow-frames", 1, NERV_DNERV_MAX_INTERVAL, &c->flow_frames, error) ||
        !nerv_options_int(options, "middle-frames", 1, NERV_DNERV_MAX_INTERVAL, &c->middle_frames, error) ||
        !nerv_options_int(options, "middle-channels", 0, MAX_CHANNELS, &middle, error) ||
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
    if (rows && c->stem) {
        g_set_error(
            error, NERV_ERROR, NERV_ERROR_INVALID,
            "model option \"row-frames\" is of a temporal grid, which there is none of with a \"stem\"");
        return false;
    }
    if (rows)
        c->row_frames = rows;
    else if (!grids && !c->stem && c->row_frames == 0) /* a size by name without its stem */
        c->row_frames = NET_ROW;
    if (weights)
        own.weights = weights;
    if (c->interval == 0)
        choose_interval(c, clip, size);
    if (c->flow_frames == 0)
        c->flow_frames = CLAMP(c->interval / INTERVAL_FLOWS, 1, MOST_FLOW);
    if (size->n_videos <= 1)
        c->parts &= ~(uint32_t)NERV_DNERV_OF_SEVERAL;
    if (!config_valid(c, NERV_ERROR_INVALID, error))
        return false;
    if (free_size)
        choose_sizes(c, clip, &own, weights > 0, width[0], base, middle);
    if (width[0])
        memcpy(c->width, width, sizeof(width));
    c->base_channels = base ? base : c->base_channels;
    c->content = content ? content : c->content;
    return true;
}

/* Whether the network can be evaluated at all; if its widths were chosen, and are not another network's, what it takes beyond what was asked for. */
static bool measure(NervModel *model, GVariant *options, const NervModelSize *size, bool like, GError **error)
{
    g_autoptr(GVariant) widths = options ? g_variant_lookup_value(options, "widths", NULL) : NULL;
    const bool chosen = !widths && !like && !((NervDnerv *)model)->config.stem;
    const double macs = nerv_model_macs_per_pixel(model);
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

static bool is_of_name(const NervModel *model, const char *name)
{
    if (!model || model->klass != &nerv_model_class_dnerv)
        return false;
    return nerv_dnerv_has(&((const NervDnerv *)model)->config, NERV_DNERV_GRIDS) ==
           g_str_equal(name, "dnerv");
}

/* That of another clip's network, with keyframes as the rate has them. */
static void take_config(NervDnervConfig *c, const NervClip *clip, const NervModelSize *size)
{
    *c = ((const NervDnerv *)size->like)->config;
    c->parts &= ~(uint32_t)NERV_DNERV_OF_SEVERAL;
    if (!nerv_dnerv_has(c, NERV_DNERV_GRIDS))
        return;
    if (size->n_videos > 1)
        c->parts |= nerv_dnerv_has(c, NERV_DNERV_KEYS) ? NERV_DNERV_OF_SEVERAL : NERV_DNERV_GAINS;
    choose_interval(c, clip, size);
    c->flow_frames = CLAMP(c->interval / INTERVAL_FLOWS, 1, MOST_FLOW);
}

static NervModel *dnerv_configure(const char *name, GVariant *options, const NervClip *clip,
                                  const NervModelSize *size, GError **error)
{
    const int paper = paper_size(name);
    NervDnervConfig c = { .pe_base = 1.25, .pe_levels = 40, .row_frames = NET_ROW };
    const bool like = paper < 0 && nerv_options_none(options) && is_of_name(size->like, name);
    if (like) {
        take_config(&c, clip, size);
    } else if (paper >= 0) {
        paper_config(&c, paper_sizes[paper].base_channels);
    } else {
        c.n_blocks = nerv_strides_choose(clip, c.stride);
        if (g_str_equal(name, "dnerv"))
            grids_config(&c);
        else
            net_config(&c);
    }
    if (!like && !parse_options(&c, paper < 0, options, clip, size, error))
        return NULL;
    NervModel *model = nerv_dnerv_new(&c, clip, size->videos, size->n_videos, NERV_ERROR_INVALID, error);
    if (model && !measure(model, options, size, like, error))
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
    if (nerv_dnerv_has(c, NERV_DNERV_GRIDS)) {
        nerv_write_varint(w, (uint64_t)c->flow_frames);
        nerv_write_varint(w, (uint64_t)c->middle_frames);
        nerv_write_varint(w, (uint64_t)c->middle_channels);
    } else {
        nerv_write_varint(w, (uint64_t)c->content);
    }
    nerv_write_u8(w, (uint8_t)c->n_blocks);
    for (int32_t i = 0; i < c->n_blocks; i++) {
        nerv_write_varint(w, (uint64_t)c->width[i]);
        nerv_write_u8(w, (uint8_t)c->stride[i]);
    }
    nerv_write_varint(w, m->head.n_videos);
    for (uint32_t i = 0; i < m->head.n_videos; i++)
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
    if (nerv_dnerv_has(c, NERV_DNERV_GRIDS)) {
        c->flow_frames = (int32_t)nerv_read_range(r, 1, NERV_DNERV_MAX_INTERVAL);
        c->middle_frames = (int32_t)nerv_read_range(r, 1, NERV_DNERV_MAX_INTERVAL);
        c->middle_channels = (int32_t)nerv_read_range(r, 0, MAX_CHANNELS);
    } else {
        c->content = (int32_t)nerv_read_range(r, 1, MAX_CHANNELS);
    }
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
    if (valid && !(videos = g_try_new(int32_t, n_videos))) {
        nerv_model_no_memory(error);
        return NULL;
    }
    for (uint32_t i = 0; valid && i < n_videos; i++)
        videos[i] = (int32_t)nerv_read_range(r, 1, (uint64_t)clip->n_frames);
    if (!valid || r->failed) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the configuration of model dnerv is damaged");
        return NULL;
    }
    return config_valid(&c, NERV_ERROR_DATA, error)
               ? nerv_dnerv_new(&c, clip, videos, n_videos, NERV_ERROR_DATA, error)
               : NULL;
}

static char *dnerv_describe(const NervModel *model)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const NervDnervConfig *c = &m->config;
    GString *s = g_string_new(NULL);
    g_string_printf(s, "dnerv %dx%d: %u videos, %d keyframes, clips of %d, ", model->clip.width,
                    model->clip.height, m->head.n_videos, model->n_keys, c->clip);
    if (c->stem)
        g_string_append_printf(s, "stem %d, ", c->stem);
    else
        g_string_append_printf(s, "%d rows, ", m->n_rows);
    g_string_append_printf(s, "base %d at %dx%d, ", c->base_channels, m->grid_w, m->grid_h);
    if (nerv_dnerv_has(c, NERV_DNERV_GRIDS))
        g_string_append_printf(s, "middle %dx%d, flow %d", m->n_middle, c->middle_channels, m->n_flow);
    else
        g_string_append_printf(s, "content %d", c->content);
    nerv_describe_list(s, "widths", c->width, c->n_blocks);
    nerv_describe_list(s, "strides", c->stride, c->n_blocks);
    uint32_t usual = nerv_dnerv_has(c, NERV_DNERV_GRIDS) ? NERV_DNERV_MOVED : NERV_DNERV_NET;
    if (m->head.n_videos == 1)
        usual &= ~(uint32_t)NERV_DNERV_OF_SEVERAL;
    for (size_t i = 0; i < NERV_DNERV_N_PARTS; i++)
        if (usual & ~c->parts & 1u << i)
            g_string_append_printf(s, ", no %s", nerv_dnerv_part_names[i]);
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
    .free = nerv_dnerv_free,
    .build = nerv_dnerv_build,
    .input = nerv_dnerv_input,
    .run = nerv_dnerv_run,
    .row = nerv_dnerv_row,
    .flows = nerv_dnerv_flows,
    .describe = dnerv_describe,
    .options = nerv_dnerv_options,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-grid, see grid.h. A frame's features are interpolated in time from learned grids: coarse ones feed the first block,
 * finer ones are concatenated with what later blocks see; then as in NeRV, blocks of convolution, pixel shuffle and
 * activation, and a head. Reading order: configuration, parameters, tape, serialisation, class.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/grid.h"
#include "models/options.h"

/* Grids' values move in a range that the first layers choose, and each is seen by few frames: they learn faster than shared
 * weights (docs/design.md, "Defaults"). */
#define GRID_BOUND      0.05f
#define GRID_RATE       10.f
#define LEARNING_RATE   1e-2
#define FULL_RATE_STEPS 1000
#define FLOW_BOUND      1e-3f
#define MAX_ROWS        65536
#define MAX_CHANNELS    1024
#define MIN_WIDTH       8

#define MAX_FIRST_WIDTH 512.
/* Weights for a clip of so many samples (of R, G and B); for others they grow with a power of the samples. */
#define DEFAULT_WEIGHTS    300000.
#define DEFAULT_SAMPLES    2.2e7
#define DEFAULT_POWER      0.75
#define SAMPLES_PER_WEIGHT 16. /* at least: a network may not grow to a large part of what it stands for */
#define LEAST_WEIGHTS      2000
#define MOST_PER_SAMPLE                                                                                      \
    0.25 /* that a size asked for may lead to: beyond, more weights add nothing but time */

/* --- configuration --- */

static bool grid_accepts(const char *name)
{
    return g_str_equal(name, "nerv") || g_str_equal(name, "nerv-grid");
}

/* Shares of the weights: of a grid that all frames have in common, as fine as its share allows; of two in time, at the base and
 * in front of the second block. The rest is the blocks', unless a rate says how
 * many they have (LAYERS_SHARE). Where the first is as fine as the last block's input, part of it goes into one as fine
 * as the picture, whose many weights are mostly zero and come on top of the others. Found on one clip of 320x180 (docs/design.md, "Defaults"). */
#define STILL_SHARE     0.37
#define LAST_SHARE      0.23
#define FINE_SHARE      0.54
#define BASE_SHARE      0.12
#define MIDDLE_SHARE    0.20
#define STILL_CHANNELS  4 /* fewer are moved to a coarser level */
#define MAX_SHARED      12
#define FINE_LEAST      0.7 /* channels */
#define FLOW_SHARE      0.03
#define FRAMES_PER_FLOW 6
#define LEAST_MOVED     12 /* frames */
/* Fewer frames than that, if what they share can be moved, share as much as that many: it is one picture. */
#define SHARING_FRAMES 64
/* Of the weights that a rate leads to, those in layers. Grids are as many as suit the clip whatever the rate, up to so many times the weights: what a
 * low one has no bits for becomes zero, and what is there can be moved. */
#define LAYERS_SHARE 0.3
#define MOST_SPARSE  8.
#define LEAST_WIDTH  20 /* of the first block, where the rate says how wide */

/* Frames whose shares a clip's grids have. */
static int32_t sharing_frames(const NervClip *clip)
{
    return clip->n_frames < LEAST_MOVED ? clip->n_frames : MAX(clip->n_frames, SHARING_FRAMES);
}

/* Channels for a share of the weights in one grid. */
static int32_t share_channels(double weights, int64_t cells, int32_t most)
{
    return CLAMP((int32_t)lrint(weights / (double)cells), 1, most);
}

/* The grids that suit a number of weights. Cells of a level are those of the base times its scale squared. */
static void choose_grids(NervGridConfig *c, const NervClip *clip, double weights)
{
    const int32_t n = clip->n_frames, many = sharing_frames(clip),
                  product = nerv_strides_product(c->stride, c->n_blocks);
    const int64_t base =
        (int64_t)nerv_blocks_cells(clip->width, product) * nerv_blocks_cells(clip->height, product);
    int32_t still = c->n_blocks - 1, scale = product / c->stride[c->n_blocks - 1];
    while (still > 0 && (double)base * scale * scale * STILL_CHANNELS > STILL_SHARE * weights)
        scale /= c->stride[--still];

    const int32_t rows = MAX(many / 2, 1);
    c->n_grids = 0;
    c->grid[c->n_grids++] =
        (NervGridSpec){ 0, MAX(n / 2, 1), share_channels(BASE_SHARE * weights, base * rows, MAX_SHARED) };
    if (still > 1) {
        const int64_t cells = base * c->stride[0] * c->stride[0];
        const int32_t middle = CLAMP((int32_t)(MIDDLE_SHARE * weights / (double)cells), 1, MAX(many / 8, 1));
        c->grid[c->n_grids++] = (NervGridSpec){ 1, MAX(middle * n / many, 1),
                                                share_channels(MIDDLE_SHARE * weights, cells * middle, 4) };
    }
    const double fine_cells = (double)base * product * product;
    const bool fine = still == c->n_blocks - 1 && still > 0 && product <= NERV_GRID_MAX_WARP &&
                      FINE_SHARE * weights >= FINE_LEAST * fine_cells;
    c->grid[c->n_grids++] = (NervGridSpec){ still, 1,
                                            share_channels((fine ? LAST_SHARE : STILL_SHARE) * weights,
                                                           base * scale * scale, MAX_SHARED) };
    if (fine)
        c->grid[c->n_grids++] =
            (NervGridSpec){ c->n_blocks, 1,
                            share_channels(FINE_SHARE * weights, (int64_t)fine_cells, MAX_SHARED) };
    /* what moves, as seldom as motion changes: more rows find it less well */
    const int32_t rows_most = (int32_t)(FLOW_SHARE * weights / (2. * (1 + fine) * (double)base));
    const int32_t flow = MIN(MAX(n / FRAMES_PER_FLOW, 2), rows_most);
    c->flow_rows = still > 0 && scale <= NERV_GRID_MAX_WARP && n >= LEAST_MOVED && flow > 1 ? flow : 0;
}

/* One that all frames share, which a flow of its own moves. */
static bool is_moved(const NervGridConfig *c, int32_t i)
{
    return c->flow_rows > 0 && c->grid[i].rows == 1 && c->grid[i].level > 0;
}

/* One that is as fine as the picture: its weights don't count (choose_grids()). */
static bool is_fine(const NervGridConfig *c, int32_t i)
{
    return c->grid[i].rows == 1 && c->grid[i].level == c->n_blocks;
}

/* Of the grids before grid i. */
static int32_t count_moved(const NervGridConfig *c, int32_t i)
{
    int32_t n = 0;
    while (i-- > 0)
        n += is_moved(c, i);
    return n;
}

/* Weights of the grids and layers of a configuration, the grids' alone, and the layers' multiplications per luma sample. */
static double count_weights(const NervGridConfig *c, const NervClip *clip, double *macs_per_pixel,
                            double *grids)
{
    const int32_t product = nerv_strides_product(c->stride, c->n_blocks);
    double h = nerv_blocks_cells(clip->height, product), w = nerv_blocks_cells(clip->width, product);
    double layers = 0, channels = 0, macs = 0;
    *grids = 2. * count_moved(c, c->n_grids) * c->flow_rows * h * w;
    for (int32_t i = 0; i <= c->n_blocks; i++) {
        const bool head = i == c->n_blocks;
        const double k = head ? c->head_kernel : c->kernel[i];
        const double out = head ? 3 : (double)c->width[i] * c->stride[i] * c->stride[i];
        for (int32_t j = 0; j < c->n_grids; j++) {
            if (c->grid[j].level != i)
                continue;
            channels += c->grid[j].channels;
            if (!is_fine(c, j))
                *grids += h * w * c->grid[j].channels * c->grid[j].rows;
        }
        layers += out * (channels * k * k + 1);
        macs += out * channels * k * k * h * w;
        channels = head ? 0 : c->width[i];
        h *= head ? 1 : c->stride[i];
        w *= head ? 1 : c->stride[i];
    }
    *macs_per_pixel = macs / ((double)clip->width * clip->height);
    return layers + *grids;
}

/* How many weights a network has. */
typedef struct {
    double grids;  /* that its grids are chosen for */
    double layers; /* in layers at most; 0: what grids leave of `grids` */
} Budget;

/* Widths falling by 1.6 a block, as wide as the weights and multiplications allow. */
static void choose_widths(NervGridConfig *c, const NervClip *clip, const Budget *b, double most_macs)
{
    const double least = b->layers > 0. ? LEAST_WIDTH : MIN_WIDTH;
    for (double first = MAX_FIRST_WIDTH; first >= MIN_WIDTH; first /= 1.05) {
        double width = first, macs, grids;
        for (int32_t i = 0; i < NERV_MAX_BLOCKS; i++, width /= 1.6)
            c->width[i] = MAX((int32_t)lrint(width), MIN_WIDTH);
        const double all = count_weights(c, clip, &macs, &grids);
        const bool fits = b->layers > 0. ? first <= least || all - grids <= b->layers : all <= b->grids;
        if (fits && (most_macs <= 0. || macs <= most_macs))
            return;
    }
}

/* Weights that suit so many samples. */
static double suiting_weights(double samples)
{
    return fmin(DEFAULT_WEIGHTS * pow(samples / DEFAULT_SAMPLES, DEFAULT_POWER),
                samples / SAMPLES_PER_WEIGHT);
}

/* Those of a network of that size for the clip. */
static Budget choose_budget(const NervClip *clip, const NervModelSize *size)
{
    const double picture = 3. * clip->width * clip->height, samples = picture * clip->n_frames;
    const double grids = suiting_weights(picture * sharing_frames(clip)), own = suiting_weights(samples);
    const double growth = size->growth > 0. ? size->growth : 1.;
    const double most = CLAMP(samples * MOST_PER_SAMPLE, LEAST_WEIGHTS, NERV_MODEL_MAX_WEIGHTS);
    const double weights = CLAMP((size->weights > 0. ? size->weights : own) * growth, LEAST_WEIGHTS, most);
    return (Budget){ fmin(fmax(weights, grids), MOST_SPARSE * weights), LAYERS_SHARE * weights };
}

static void defaults(NervGridConfig *c, const NervClip *clip)
{
    *c = (NervGridConfig){ .head_kernel = 3, .act = NERV_ACT_GELU, .out_act = NERV_ACT_SIGMOID };
    c->n_blocks = nerv_strides_choose(clip, c->stride);
    for (int32_t i = 0; i < NERV_MAX_BLOCKS; i++)
        c->kernel[i] = i ? 3 : 1;
}

/* The configuration of another clip's network, with rows for this one's frames. One row stays one, since a flow moves it, and more than one do not become one. */
static void take_config(NervGridConfig *c, const NervClip *clip, const NervGrid *like)
{
    const double longer = (double)clip->n_frames / like->head.clip.n_frames;
    *c = like->config;
    for (int32_t i = 0; i < c->n_grids; i++)
        if (c->grid[i].rows > 1)
            c->grid[i].rows = (int32_t)CLAMP(lrint(c->grid[i].rows * longer), 2, MAX_ROWS);
    if (c->flow_rows)
        c->flow_rows = (int32_t)CLAMP(lrint(c->flow_rows * longer), 2, MAX_ROWS);
}

static bool grids_error(const char *text, GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "model option \"grids\" is \"%s\"; it is a list like \"66x4+33x8/17x1\": rows x channels, "
                "grids of one "
                "level joined by +, levels separated by /, at most %d grids, the first level not empty",
                text, NERV_GRID_MAX_GRIDS);
    return false;
}

/* An unsigned number without a sign or space before it; 0 if there is none. */
static long parse_number(const char *text, char **end)
{
    *end = (char *)text;
    return g_ascii_isdigit(*text) ? strtol(text, end, 10) : 0;
}

/* "66x4+33x8/17x1": the levels from the base grid on. */
static bool parse_grids(NervGridConfig *c, const char *text, GError **error)
{
    const char *at = text;
    int32_t level = 0;
    c->n_grids = 0;
    while (*at) {
        char *end;
        if (*at == '/') {
            level++;
            at++;
            continue;
        }
        const long rows = parse_number(at, &end);
        if (*end != 'x' || rows < 1 || rows > MAX_ROWS)
            return grids_error(text, error);
        at = end + 1;
        const long channels = parse_number(at, &end);
        if (channels < 1 || channels > MAX_CHANNELS || c->n_grids == NERV_GRID_MAX_GRIDS)
            return grids_error(text, error);
        c->grid[c->n_grids++] = (NervGridSpec){ level, (int32_t)rows, (int32_t)channels };
        at = end;
        if (*at == '+' && at[1])
            at++;
        else if (*at && *at != '/')
            return grids_error(text, error);
    }
    if (c->n_grids == 0 || c->grid[0].level != 0 || level > c->n_blocks)
        return grids_error(text, error);
    return true;
}

static bool parse_options(NervGridConfig *c, GVariant *options, const NervClip *clip,
                          const NervModelSize *size, bool like, GError **error)
{
    static const char *const known[] = { "weights", "grids",       "flow-rows",  "widths",         "strides",
                                         "kernels", "head-kernel", "activation", "out-activation", NULL },
                             *const sizes[] = { "grids", "widths", NULL };
    uint32_t n_strides = NERV_MAX_BLOCKS, n_widths = NERV_MAX_BLOCKS, n_kernels = NERV_MAX_BLOCKS;
    int32_t stride[NERV_MAX_BLOCKS] = { 0 }, width[NERV_MAX_BLOCKS] = { 0 }, kernel[NERV_MAX_BLOCKS] = { 0 };
    int32_t n_weights = 0, flow_rows = -1;
    Budget budget = choose_budget(clip, size);
    const char *grids = NULL;

    if (!nerv_options_check(options, known, error) ||
        !nerv_options_int(options, "weights", LEAST_WEIGHTS, NERV_MODEL_MAX_WEIGHTS, &n_weights, error) ||
        !nerv_options_ints(options, "strides", 1, 16, stride, &n_strides, error) ||
        !nerv_options_ints(options, "widths", 1, 4096, width, &n_widths, error) ||
        !nerv_options_ints(options, "kernels", 1, 5, kernel, &n_kernels, error) ||
        !nerv_options_int(options, "head-kernel", 1, 5, &c->head_kernel, error) ||
        !nerv_options_string(options, "grids", &grids, error) ||
        !nerv_options_int(options, "flow-rows", 0, MAX_ROWS, &flow_rows, error) ||
        !nerv_options_act(options, "activation", &c->act, error) ||
        !nerv_options_act(options, "out-activation", &c->out_act, error) ||
        !nerv_options_weights_count(options, sizes, error))
        return false;
    if (stride[0]) {
        c->n_blocks = (int32_t)n_strides;
        memcpy(c->stride, stride, sizeof(stride));
    }
    if (width[0])
        memcpy(c->width, width, sizeof(width));
    if (kernel[0])
        memcpy(c->kernel, kernel, sizeof(kernel));
    if ((width[0] && (int32_t)n_widths != c->n_blocks) || (kernel[0] && (int32_t)n_kernels != c->n_blocks)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "model options \"strides\", \"widths\" and \"kernels\" must have one value per block: "
                    "strides %d, "
                    "widths %d, kernels %d",
                    c->n_blocks, width[0] ? (int)n_widths : c->n_blocks,
                    kernel[0] ? (int)n_kernels : c->n_blocks);
        return false;
    }
    if (grids && !parse_grids(c, grids, error))
        return false;
    if (n_weights)
        budget = (Budget){ n_weights, 0. };
    if (!grids && !like)
        choose_grids(c, clip, budget.grids);
    if (flow_rows >= 0)
        c->flow_rows = flow_rows;
    if (!width[0] && !like)
        choose_widths(c, clip, &budget, size->macs_per_pixel);
    return true;
}

static bool is_kernel(int32_t k)
{
    return k == 1 || k == 3 || k == 5;
}

/* Everything that a tape does not check by itself; the same for options and for streams. */
static bool config_valid(const NervGridConfig *c, NervErrorCode code, GError **error)
{
    const char *why = NULL;
    bool kernels = is_kernel(c->head_kernel);
    for (int32_t i = 0; i < c->n_blocks; i++)
        kernels = kernels && is_kernel(c->kernel[i]);
    if (!kernels)
        why = "kernels are 1, 3 or 5";
    else if (c->out_act != NERV_ACT_TANH01 && c->out_act != NERV_ACT_SIGMOID)
        why = "the output activation must be tanh01 or sigmoid";
    else if (nerv_strides_product(c->stride, c->n_blocks) > 8192)
        why = "the product of the strides exceeds 8192";
    if (c->flow_rows < 0 || c->flow_rows > MAX_ROWS)
        why = "flow-rows goes from 0 to 65536";
    else if (c->flow_rows > 0 && count_moved(c, c->n_grids) == 0)
        why = "flow-rows needs a grid of one row behind the base";
    for (int32_t i = 0; i < c->n_grids; i++) {
        if (c->grid[i].level > c->n_blocks)
            why = "a grid's level lies behind the head";
        else if (is_moved(c, i) && nerv_strides_product(c->stride, c->grid[i].level) > NERV_GRID_MAX_WARP)
            why = "a grid that a flow moves is at most 64 times as fine as the base";
    }
    if (why)
        g_set_error(error, NERV_ERROR, code, "model nerv-grid: %s", why);
    return !why;
}

/* --- parameters: each level's grids, then its layer --- */

/* False if it is too large. */
static bool add_grid(NervGrid *m, const char *name, NervShape shape, float bound, int32_t cell)
{
    const int64_t n = (int64_t)shape.h * shape.w * shape.c;
    if (n > NERV_MODEL_MAX_WEIGHTS / shape.n)
        return false;
    NervParam *p = &m->head.params[m->head.n_params++];
    *p = (NervParam){
        .shape = shape, .role = NERV_PARAM_GRID, .init_bound = bound, .rate = GRID_RATE, .cell = cell
    };
    g_strlcpy(p->name, name, sizeof(p->name));
    m->head.n_weights += n * shape.n;
    return true;
}

/* Channels that enter a level besides `channels`, and appends its grids, `scale` times as fine as the base; -1 if one is too large. */
static int32_t add_grids(NervGrid *m, int32_t level, int32_t scale)
{
    const int32_t h = m->grid_h * scale, w = m->grid_w * scale;
    const int32_t cell = nerv_strides_product(m->config.stride, m->config.n_blocks) / scale;
    int32_t channels = 0;
    for (int32_t i = 0; i < m->config.n_grids; i++) {
        const NervGridSpec *g = &m->config.grid[i];
        if (g->level != level)
            continue;
        char name[16];
        g_snprintf(name, sizeof(name), "grid%d", i);
        if (!add_grid(m, name, (NervShape){ g->rows, g->channels, h, w }, GRID_BOUND, cell))
            return -1;
        m->head.params[m->head.n_params - 1].shared = g->rows == 1;
        channels += g->channels;
    }
    return channels;
}

static void grid_free(NervModel *model)
{
    g_free(model->params);
    g_free(model);
}

/* Appends a level: grids and layer. False if something is too large. */
static bool add_level(NervGrid *m, int32_t level, int32_t channels, int32_t scale)
{
    const NervGridConfig *c = &m->config;
    const bool is_head = level == c->n_blocks;
    const int64_t out = is_head ? 3 : (int64_t)c->width[level] * c->stride[level] * c->stride[level];
    const int32_t k = is_head ? c->head_kernel : c->kernel[level];
    char name[16];
    const int32_t more = add_grids(m, level, scale);
    if (more < 0 || (channels + more) * out * k * k > NERV_MODEL_MAX_WEIGHTS)
        return false;
    g_snprintf(name, sizeof(name), is_head ? "head" : "block%d", level);
    nerv_model_add_layer(&m->head, name, (int32_t)out, channels + more, k);
    return m->head.n_weights <= NERV_MODEL_MAX_WEIGHTS;
}

static NervModel *model_from_config(const NervGridConfig *c, const NervClip *clip, NervErrorCode code,
                                    GError **error)
{
    const int32_t scale = nerv_strides_product(c->stride, c->n_blocks), n_moved = count_moved(c, c->n_grids);
    NervGrid *m = g_new0(NervGrid, 1);
    int32_t channels = 0, at = 1;

    m->head.klass = &nerv_model_class_grid;
    m->head.clip = *clip;
    m->head.run_frames = 1;
    m->head.n_runs = clip->n_frames;
    m->head.between = true;
    m->head.input_floats = c->n_grids + (c->flow_rows > 0);
    m->head.learning_rate = LEARNING_RATE;
    m->head.full_rate_steps = FULL_RATE_STEPS;
    m->head.beta1 = .9;
    m->head.beta2 =
        .95; /* short memory: a gradient's size falls by decades in a fit of a few thousand steps */
    m->head.warmup = .05;
    m->config = *c;
    for (int32_t i = c->n_blocks; i < NERV_MAX_BLOCKS; i++)
        m->config.width[i] = m->config.stride[i] = m->config.kernel[i] = 0;
    m->grid_h = nerv_blocks_cells(clip->height, scale);
    m->grid_w = nerv_blocks_cells(clip->width, scale);
    m->head.params = g_try_new0(NervParam, 1 + (size_t)c->n_grids + 2 * (size_t)(c->n_blocks + 1));
    if (!m->head.params) {
        nerv_model_no_memory(error);
        grid_free(&m->head);
        return NULL;
    }
    if (c->flow_rows &&
        !add_grid(m, "flow", (NervShape){ c->flow_rows, 2 * n_moved, m->grid_h, m->grid_w }, FLOW_BOUND, 0)) {
        g_set_error(error, NERV_ERROR, code, "model nerv-grid: the flow has too many weights");
        grid_free(&m->head);
        return NULL;
    }
    for (int32_t i = 0; i <= c->n_blocks; i++) {
        if (!add_level(m, i, channels, at)) {
            g_set_error(error, NERV_ERROR, code, "model nerv-grid: level %d has too many weights", i);
            grid_free(&m->head);
            return NULL;
        }
        channels = i < c->n_blocks ? c->width[i] : 0;
        at *= i < c->n_blocks ? c->stride[i] : 1;
    }
    return &m->head;
}

static NervModel *grid_configure(const char *name, GVariant *options, const NervClip *clip,
                                 const NervModelSize *size, GError **error)
{
    NervGridConfig c;
    const bool like = nerv_options_none(options) && size->like && size->like->klass == &nerv_model_class_grid;
    if (like)
        take_config(&c, clip, (const NervGrid *)size->like);
    else
        defaults(&c, clip);
    if (!parse_options(&c, options, clip, size, like, error) || !config_valid(&c, NERV_ERROR_INVALID, error))
        return NULL;
    NervModel *model = model_from_config(&c, clip, NERV_ERROR_INVALID, error);
    g_autoptr(GVariant) widths = options ? g_variant_lookup_value(options, "widths", NULL) : NULL;
    double macs, grids;
    count_weights(&c, clip, &macs, &grids);
    if (model && !widths && !like && size->macs_per_pixel > 0. && macs > size->macs_per_pixel)
        model->excess_macs = macs;
    return model;
}

/* --- tape --- */

/* A grid at the frames' times; one that all frames share is moved by the flow, whose values count quarters of a base cell. */
static NervTensor *sample_grid(const NervGrid *m, NervTape *t, NervTensor *grid, int32_t i, NervTensor *input,
                               NervTensor *flow)
{
    if (!is_moved(&m->config, i))
        return nerv_lookup(t, grid, nerv_slice(t, input, i, 1));
    const int32_t scale = grid->shape.w / m->grid_w;
    NervTensor *own = nerv_upsample(t, nerv_slice(t, flow, 2 * count_moved(&m->config, i), 2), scale);
    return nerv_warp(t, grid, nerv_affine(t, own, (float)scale / NERV_GRID_FLOW_UNITS, 0.f));
}

/* x with the level's grids behind its channels; x and flow may be NULL. */
static NervTensor *join_grids(const NervGrid *m, NervTape *t, NervTensor *x, int32_t level,
                              NervTensor *const **p, NervTensor *input, NervTensor *flow)
{
    NervTensor *part[1 + NERV_GRID_MAX_GRIDS];
    uint32_t n = 0;
    if (x)
        part[n++] = x;
    for (int32_t i = 0; i < m->config.n_grids; i++)
        if (m->config.grid[i].level == level)
            part[n++] = sample_grid(m, t, *(*p)++, i, input, flow);
    for (uint32_t done = 1; done < n;) {
        /* as many at a time as an op takes */
        const uint32_t more = MIN(n - done, NERV_MAX_IN - 1);
        NervTensor *in[NERV_MAX_IN] = { part[0] };
        memcpy(in + 1, part + done, more * sizeof(*in));
        part[0] = nerv_concat(t, in, more + 1);
        done += more;
    }
    return part[0];
}

static NervTensor *grid_build(const NervModel *model, NervTape *t, NervTensor *const *p, NervTensor *input,
                              NervTensor *keys, NervTensor **stages)
{
    const NervGrid *m = (const NervGrid *)model;
    const NervGridConfig *c = &m->config;
    NervTensor *x = NULL, *flow = NULL;

    if (c->flow_rows)
        flow = nerv_lookup(t, *p++, nerv_slice(t, input, c->n_grids, 1));
    for (int32_t i = 0; i <= c->n_blocks; i++) {
        const bool is_head = i == c->n_blocks;
        x = join_grids(m, t, x, i, &p, input, flow);
        x = nerv_upconv2d(t, x, p[0], p[1], is_head ? 1 : c->stride[i], is_head ? c->out_act : c->act);
        if (!is_head)
            stages[i] = x;
        p += 2;
    }
    return nerv_crop(t, x, model->clip.height, model->clip.width);
}

/* Row numbers, evenly over the segment: the first frame has the first row, the last frame the last. */
static void grid_input(const NervModel *model, int32_t frame, double later, float *dst)
{
    const NervGridConfig *c = &((const NervGrid *)model)->config;
    const int32_t last = model->clip.n_frames - 1;
    const double at = fmin(frame + later, last);
    for (int32_t i = 0; i < c->n_grids; i++)
        dst[i] = last > 0 ? (float)(at * (c->grid[i].rows - 1) / last) : 0.f;
    if (c->flow_rows)
        dst[c->n_grids] = last > 0 ? (float)(at * (c->flow_rows - 1) / last) : 0.f;
}

/* --- serialisation (docs/bitstream.md, "Model nerv-grid") --- */

static void grid_write(const NervModel *model, NervBitWriter *w)
{
    const NervGridConfig *c = &((const NervGrid *)model)->config;
    nerv_write_u8(w, (uint8_t)c->act);
    nerv_write_u8(w, (uint8_t)c->out_act);
    nerv_write_u8(w, (uint8_t)c->head_kernel);
    nerv_write_u8(w, (uint8_t)c->n_blocks);
    for (int32_t i = 0; i < c->n_blocks; i++) {
        nerv_write_varint(w, (uint64_t)c->width[i]);
        nerv_write_u8(w, (uint8_t)c->stride[i]);
        nerv_write_u8(w, (uint8_t)c->kernel[i]);
    }
    nerv_write_u8(w, (uint8_t)c->n_grids);
    for (int32_t i = 0; i < c->n_grids; i++) {
        nerv_write_u8(w, (uint8_t)c->grid[i].level);
        nerv_write_varint(w, (uint64_t)c->grid[i].rows);
        nerv_write_varint(w, (uint64_t)c->grid[i].channels);
    }
    nerv_write_varint(w, (uint64_t)c->flow_rows);
}

static bool read_blocks(NervBitReader *r, NervGridConfig *c)
{
    for (int32_t i = 0; i < c->n_blocks; i++) {
        c->width[i] = (int32_t)nerv_read_range(r, 1, 4096);
        c->stride[i] = nerv_read_u8(r);
        c->kernel[i] = nerv_read_u8(r);
        if (r->failed || c->stride[i] < 1 || c->stride[i] > 16)
            return false;
    }
    return true;
}

/* Ordered by level, the first at level 0. */
static bool read_grids(NervBitReader *r, NervGridConfig *c)
{
    c->n_grids = nerv_read_u8(r);
    if (r->failed || c->n_grids < 1 || c->n_grids > NERV_GRID_MAX_GRIDS)
        return false;
    for (int32_t i = 0; i < c->n_grids; i++) {
        c->grid[i].level = nerv_read_u8(r);
        c->grid[i].rows = (int32_t)nerv_read_range(r, 1, MAX_ROWS);
        c->grid[i].channels = (int32_t)nerv_read_range(r, 1, MAX_CHANNELS);
        if (r->failed || c->grid[i].level < (i ? c->grid[i - 1].level : 0) || c->grid[0].level != 0)
            return false;
    }
    c->flow_rows = (int32_t)nerv_read_range(r, 0, MAX_ROWS);
    return !r->failed;
}

static NervModel *grid_read(NervBitReader *r, const NervClip *clip, GError **error)
{
    NervGridConfig c = { 0 };
    const uint8_t act = nerv_read_u8(r), out_act = nerv_read_u8(r);
    c.head_kernel = nerv_read_u8(r);
    c.n_blocks = nerv_read_u8(r);
    const bool valid = !r->failed && act < NERV_ACT_N && out_act < NERV_ACT_N && c.n_blocks >= 1 &&
                       c.n_blocks <= NERV_MAX_BLOCKS && read_blocks(r, &c) && read_grids(r, &c);
    if (!valid) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the configuration of model nerv-grid is damaged");
        return NULL;
    }
    c.act = (NervAct)act;
    c.out_act = (NervAct)out_act;
    return config_valid(&c, NERV_ERROR_DATA, error) ? model_from_config(&c, clip, NERV_ERROR_DATA, error)
                                                    : NULL;
}

static char *grid_describe(const NervModel *model)
{
    const NervGrid *m = (const NervGrid *)model;
    const NervGridConfig *c = &m->config;
    GString *s = g_string_new(NULL);
    int32_t level = 0;
    g_string_printf(s, "nerv-grid %dx%d: base %dx%d, grids ", model->clip.width, model->clip.height,
                    m->grid_w, m->grid_h);
    for (int32_t i = 0; i < c->n_grids; i++) {
        const bool same = i && c->grid[i].level == level;
        for (; level < c->grid[i].level; level++)
            g_string_append_c(s, '/');
        g_string_append_printf(s, same ? "+%dx%d" : "%dx%d", c->grid[i].rows, c->grid[i].channels);
    }
    if (c->flow_rows)
        g_string_append_printf(s, ", flow %d", c->flow_rows);
    nerv_describe_list(s, "widths", c->width, c->n_blocks);
    nerv_describe_list(s, "strides", c->stride, c->n_blocks);
    nerv_describe_list(s, "kernels", c->kernel, c->n_blocks);
    g_string_append_printf(s, ", head %d, %s; %" G_GINT64_FORMAT " parameters", c->head_kernel,
                           nerv_act_name(c->act), model->n_weights);
    return g_string_free(s, FALSE);
}

static bool grid_flows(const NervModel *model, NervFlows *flows)
{
    const NervGridConfig *c = &((const NervGrid *)model)->config;
    *flows = (NervFlows){ .cell = nerv_strides_product(c->stride, c->n_blocks) };
    flows->n_moved = (uint32_t)count_moved(c, c->n_grids);
    flows->unit = NERV_GRID_FLOW_UNITS / (float)flows->cell;
    return c->flow_rows > 0;
}

const NervModelClass nerv_model_class_grid = {
    .name = "nerv-grid",
    .id = 2,
    .accepts = grid_accepts,
    .configure = grid_configure,
    .write = grid_write,
    .read = grid_read,
    .free = grid_free,
    .build = grid_build,
    .input = grid_input,
    .flows = grid_flows,
    .describe = grid_describe,
    .options = nerv_grid_options,
};

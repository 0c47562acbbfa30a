/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NeRV, as the paper draws it: positional encoding of t, a stem MLP that makes a small grid, blocks of
 * convolution, pixel shuffle and activation, a 1x1 head. Free configurations and frame sizes: the base grid
 * is rounded up and the output cropped. Reading order: names and sizes, configuration, tape, serialisation,
 * class.
 */
#include <math.h>
#include <string.h>

#include "models/blocks.h"
#include "models/nerv.h"
#include "models/options.h"

/* Blocks of the paper never get narrower than this (section 4.1; "lower width" in its code's terms). */
#define PAPER_MIN_WIDTH 96

/* The paper's peak rate is made for millions of parameters and hundreds of epochs; a small network and a short fit end
 * dBs higher with ten times as much (docs/design.md, "Defaults"). */
#define PAPER_LEARNING_RATE 5e-4
#define SMALL_LEARNING_RATE 5e-3

/* --- configuration --- */

static const struct {
    const char *name;
    int32_t base_channels;
} paper_sizes[] = { { "nerv-s", 26 }, { "nerv-m", 58 }, { "nerv-l", 112 } };

static int paper_size(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(paper_sizes); i++)
        if (g_str_equal(name, paper_sizes[i].name))
            return (int)i;
    return -1;
}

static bool nerv_accepts(const char *name)
{
    return g_str_equal(name, "nerv-mlp") || paper_size(name) >= 0;
}

/* The paper's widths: block 0 keeps C0, each later block halves down to 96 (its table 8). */
static void paper_widths(NervNervConfig *c)
{
    c->width[0] = c->base_channels;
    for (int32_t i = 1; i < c->n_blocks; i++)
        c->width[i] = MAX(c->width[i - 1] / 2, PAPER_MIN_WIDTH);
}

/* What a user gets by default: channels shrink by 1.5 a block and the first kernel is 1x1, because its many
 * output channels would hold most of the weights otherwise (the rebalancing of HNeRV, Chen et al. 2023,
 * section 3.3). */
static void balanced_widths(NervNervConfig *c)
{
    double w = 1.5 * c->base_channels;
    for (int32_t i = 0; i < c->n_blocks; i++) {
        c->width[i] = MAX((int32_t)lrint(w), 8);
        w /= 1.5;
    }
}

/* Weights of the default network for a clip that has enough samples for them, and samples per weight where it has not: a
 * network may not grow to a large part of what it stands for. */
#define DEFAULT_WEIGHTS    300000.
#define SAMPLES_PER_WEIGHT 16.
#define MIN_STEM           16
#define MIN_BASE_CHANNELS  4

/* Stem and channels shrink alike, and weights with their product. */
static void fit_to_clip(NervNervConfig *c, const NervClip *clip)
{
    const double samples = 3. * clip->width * clip->height * clip->n_frames;
    const double scale = sqrt(MIN(samples / SAMPLES_PER_WEIGHT / DEFAULT_WEIGHTS, 1.));
    c->stem = MAX((int32_t)lrint(c->stem * scale), MIN_STEM);
    c->base_channels = MAX((int32_t)lrint(c->base_channels * scale), MIN_BASE_CHANNELS);
}

static void defaults(NervNervConfig *c, const char *name, const NervClip *clip)
{
    const int size = paper_size(name);
    *c = (NervNervConfig){
        .pe_base = 1.25, .pe_levels = 40, .act = NERV_ACT_GELU, .out_act = NERV_ACT_TANH01
    };
    c->n_blocks = nerv_strides_choose(clip, c->stride);
    c->stem = size >= 0 ? 512 : 64;
    c->base_channels = size >= 0 ? paper_sizes[size].base_channels : 24;
    for (int32_t i = 0; i < NERV_MAX_BLOCKS; i++)
        c->kernel[i] = 3;
    if (size < 0) {
        c->kernel[0] = 1;
        fit_to_clip(c, clip);
    }
}

static bool parse_options(NervNervConfig *c, const char *name, GVariant *options, GError **error)
{
    static const char *const known[] = { "stem",       "base-channels",  "widths",  "strides",   "kernels",
                                         "activation", "out-activation", "pe-base", "pe-levels", NULL };
    uint32_t n_strides = NERV_MAX_BLOCKS, n_widths = NERV_MAX_BLOCKS, n_kernels = NERV_MAX_BLOCKS;
    int32_t stride[NERV_MAX_BLOCKS] = { 0 }, width[NERV_MAX_BLOCKS] = { 0 }, kernel[NERV_MAX_BLOCKS] = { 0 };

    if (!nerv_options_check(options, known, error) ||
        !nerv_options_int(options, "stem", 1, 4096, &c->stem, error) ||
        !nerv_options_int(options, "base-channels", 1, 4096, &c->base_channels, error) ||
        !nerv_options_int(options, "pe-levels", 1, 256, &c->pe_levels, error) ||
        !nerv_options_double(options, "pe-base", 1.0, 16.0, &c->pe_base, error) ||
        !nerv_options_ints(options, "strides", 1, 16, stride, &n_strides, error) ||
        !nerv_options_ints(options, "widths", 1, 4096, width, &n_widths, error) ||
        !nerv_options_ints(options, "kernels", 1, 5, kernel, &n_kernels, error) ||
        !nerv_options_act(options, "activation", &c->act, error) ||
        !nerv_options_act(options, "out-activation", &c->out_act, error))
        return false;

    c->pe_base = (float)c->pe_base;
    if (stride[0]) {
        c->n_blocks = (int32_t)n_strides;
        memcpy(c->stride, stride, sizeof(stride));
    }
    if (paper_size(name) >= 0)
        paper_widths(c);
    else
        balanced_widths(c);
    if (width[0])
        memcpy(c->width, width, sizeof(width));
    if (kernel[0])
        memcpy(c->kernel, kernel, sizeof(kernel));
    else if (width[0])
        c->kernel[0] = 3; /* widths chosen by hand: the paper's kernels unless said otherwise */
    if ((width[0] && (int32_t)n_widths != c->n_blocks) || (kernel[0] && (int32_t)n_kernels != c->n_blocks)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "model options \"strides\", \"widths\" and \"kernels\" must have one value per block: "
                    "strides %d, widths %d, kernels %d",
                    c->n_blocks, width[0] ? (int)n_widths : c->n_blocks,
                    kernel[0] ? (int)n_kernels : c->n_blocks);
        return false;
    }
    return true;
}

/* Everything that a tape does not check by itself; the same for options and for streams. */
static bool config_valid(const NervNervConfig *c, NervErrorCode code, GError **error)
{
    const char *why = NULL;
    if (c->out_act != NERV_ACT_TANH01 && c->out_act != NERV_ACT_SIGMOID)
        why = "the output activation must be tanh01 or sigmoid";
    for (int32_t i = 0; i < c->n_blocks; i++)
        if (c->kernel[i] != 1 && c->kernel[i] != 3 && c->kernel[i] != 5)
            why = "kernels are 1, 3 or 5";
    if (nerv_strides_product(c->stride, c->n_blocks) > 8192)
        why = "the product of the strides exceeds 8192";
    if (why)
        g_set_error(error, NERV_ERROR, code, "model nerv: %s", why);
    return !why;
}

/* --- parameters --- */

static void nerv_free(NervModel *model)
{
    g_free(model->params);
    g_free(model);
}

/* Makes the model of a valid configuration. The stem's rows and each layer's size stay within int32 by the
 * ranges of the configuration; the number of weights is checked here. */
static NervModel *model_from_config(const NervNervConfig *c, const NervClip *clip, NervErrorCode code,
                                    GError **error)
{
    const int32_t scale = nerv_strides_product(c->stride, c->n_blocks);
    NervNerv *m = g_new0(NervNerv, 1);
    char name[16];

    m->head.klass = &nerv_model_class_nerv;
    m->head.clip = *clip;
    m->head.run_frames = 1;
    m->head.n_runs = clip->n_frames;
    m->head.input_floats = 2 * c->pe_levels;
    m->head.beta1 = .5; /* these three are the paper's */
    m->head.beta2 = .999;
    m->head.warmup = .2;
    m->config = *c;
    for (int32_t i = c->n_blocks; i < NERV_MAX_BLOCKS; i++)
        m->config.width[i] = m->config.stride[i] = m->config.kernel[i] = 0;
    m->grid_h = nerv_blocks_cells(clip->height, scale);
    m->grid_w = nerv_blocks_cells(clip->width, scale);
    m->head.params = g_try_new0(NervParam, 2 * (size_t)(c->n_blocks + 3));
    if (!m->head.params) {
        nerv_model_no_memory(error);
        nerv_free(&m->head);
        return NULL;
    }

    const int64_t rows = (int64_t)m->grid_h * m->grid_w * c->base_channels;
    int64_t widest = rows * c->stem;
    for (int32_t i = 0; i < c->n_blocks; i++)
        widest = MAX(widest, (int64_t)(i ? c->width[i - 1] : c->base_channels) * c->width[i] * c->stride[i] *
                                 c->stride[i] * c->kernel[i] * c->kernel[i]);
    if (widest > NERV_MODEL_MAX_WEIGHTS) {
        g_set_error(error, NERV_ERROR, code,
                    "model nerv: a layer of %" G_GINT64_FORMAT " weights is too large", widest);
        nerv_free(&m->head);
        return NULL;
    }
    nerv_model_add_layer(&m->head, "stem.0", c->stem, 2 * c->pe_levels, 1);
    nerv_model_add_layer(&m->head, "stem.1", (int32_t)rows, c->stem, 1);
    int32_t channels = c->base_channels;
    for (int32_t i = 0; i < c->n_blocks; i++) {
        g_snprintf(name, sizeof(name), "block%d", i);
        nerv_model_add_layer(&m->head, name, c->width[i] * c->stride[i] * c->stride[i], channels,
                             c->kernel[i]);
        channels = c->width[i];
    }
    nerv_model_add_layer(&m->head, "head", 3, channels, 1);
    if (m->head.n_weights > NERV_MODEL_MAX_WEIGHTS) {
        g_set_error(error, NERV_ERROR, code, "model nerv: %" G_GINT64_FORMAT " weights are too many",
                    m->head.n_weights);
        nerv_free(&m->head);
        return NULL;
    }
    return &m->head;
}

/* Its networks are the paper's or their kin: no size is chosen here. */
static NervModel *nerv_configure(const char *name, GVariant *options, const NervClip *clip,
                                 const NervModelSize *size, GError **error)
{
    NervNervConfig c;
    defaults(&c, name, clip);
    if (paper_size(name) >= 0 && !nerv_options_refuse(options, name, "use model=nerv-mlp for options", error))
        return NULL;
    if (!parse_options(&c, name, options, error) || !config_valid(&c, NERV_ERROR_INVALID, error))
        return NULL;
    NervModel *model = model_from_config(&c, clip, NERV_ERROR_INVALID, error);
    if (model)
        model->learning_rate = paper_size(name) >= 0 ? PAPER_LEARNING_RATE : SMALL_LEARNING_RATE;
    return model;
}

/* --- tape --- */

static NervTensor *nerv_build(const NervModel *model, NervTape *t, NervTensor *const *p, NervTensor *input,
                              NervTensor *keys, NervTensor **stages)
{
    const NervNerv *m = (const NervNerv *)model;
    const NervNervConfig *c = &m->config;
    const int32_t n = input->shape.n;
    const int32_t last = c->n_blocks + 2;

    NervTensor *x = nerv_act(t, nerv_linear(t, input, p[0], p[1]), c->act); /* [N,stem] */
    x = nerv_act(t, nerv_linear(t, x, p[2], p[3]), c->act);                 /* [N,C0*h0*w0] */
    x = nerv_reshape(t, x, nerv_shape(n, c->base_channels, m->grid_h, m->grid_w));
    for (int32_t i = 0; i < c->n_blocks; i++)
        stages[i] = x = nerv_upconv2d(t, x, p[4 + 2 * i], p[5 + 2 * i], c->stride[i], c->act);
    x = nerv_upconv2d(t, x, p[2 * last], p[2 * last + 1], 1, c->out_act); /* [N,3,H,W] */
    return nerv_crop(t, x, model->clip.height, model->clip.width);
}

/* Equation 1 of the paper: sin(b^k pi t), cos(b^k pi t) for k = 0..l-1, t = i/N. Phases reach 1e8, hence
 * double. */
static void nerv_input(const NervModel *model, int32_t frame, double later, float *dst)
{
    const NervNervConfig *c = &((const NervNerv *)model)->config;
    const double t = (frame + later) / model->clip.n_frames;
    double b = 1.;
    for (int32_t k = 0; k < c->pe_levels; k++) {
        *dst++ = (float)sin(b * G_PI * t);
        *dst++ = (float)cos(b * G_PI * t);
        b *= c->pe_base;
    }
}

/* --- serialisation (docs/bitstream.md, "Model nerv")
 * -------------------------------------------------------- */

static void nerv_write(const NervModel *model, NervBitWriter *w)
{
    const NervNervConfig *c = &((const NervNerv *)model)->config;
    nerv_write_f32(w, (float)c->pe_base);
    nerv_write_varint(w, (uint64_t)c->pe_levels);
    nerv_write_varint(w, (uint64_t)c->stem);
    nerv_write_varint(w, (uint64_t)c->base_channels);
    nerv_write_u8(w, (uint8_t)c->act);
    nerv_write_u8(w, (uint8_t)c->out_act);
    nerv_write_u8(w, (uint8_t)c->n_blocks);
    for (int32_t i = 0; i < c->n_blocks; i++) {
        nerv_write_varint(w, (uint64_t)c->width[i]);
        nerv_write_u8(w, (uint8_t)c->stride[i]);
        nerv_write_u8(w, (uint8_t)c->kernel[i]);
    }
}

static NervModel *nerv_read(NervBitReader *r, const NervClip *clip, GError **error)
{
    NervNervConfig c = { 0 };
    c.pe_base = nerv_read_f32(r);
    c.pe_levels = (int32_t)nerv_read_range(r, 1, 256);
    c.stem = (int32_t)nerv_read_range(r, 1, 4096);
    c.base_channels = (int32_t)nerv_read_range(r, 1, 4096);
    const uint8_t act = nerv_read_u8(r), out_act = nerv_read_u8(r);
    c.n_blocks = nerv_read_u8(r);
    bool valid = !r->failed && c.pe_base >= 1. && c.pe_base <= 16. && act < NERV_ACT_N &&
                 out_act < NERV_ACT_N && c.n_blocks >= 1 && c.n_blocks <= NERV_MAX_BLOCKS;
    for (int32_t i = 0; valid && i < c.n_blocks; i++) {
        c.width[i] = (int32_t)nerv_read_range(r, 1, 4096);
        c.stride[i] = nerv_read_u8(r);
        c.kernel[i] = nerv_read_u8(r);
        valid = !r->failed && c.stride[i] >= 1 && c.stride[i] <= 16;
    }
    if (!valid) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the configuration of model nerv is damaged");
        return NULL;
    }
    c.act = (NervAct)act;
    c.out_act = (NervAct)out_act;
    return config_valid(&c, NERV_ERROR_DATA, error) ? model_from_config(&c, clip, NERV_ERROR_DATA, error)
                                                    : NULL;
}

static char *nerv_describe(const NervModel *model)
{
    const NervNerv *m = (const NervNerv *)model;
    const NervNervConfig *c = &m->config;
    GString *s = g_string_new(NULL);
    g_string_printf(s, "nerv %dx%d: stem %d, base %d at %dx%d", model->clip.width, model->clip.height,
                    c->stem, c->base_channels, m->grid_w, m->grid_h);
    nerv_describe_list(s, "widths", c->width, c->n_blocks);
    nerv_describe_list(s, "strides", c->stride, c->n_blocks);
    nerv_describe_list(s, "kernels", c->kernel, c->n_blocks);
    g_string_append_printf(s, ", %s; %" G_GINT64_FORMAT " parameters", nerv_act_name(c->act),
                           model->n_weights);
    return g_string_free(s, FALSE);
}

const NervModelClass nerv_model_class_nerv = {
    .name = "nerv-mlp",
    .id = 1,
    .accepts = nerv_accepts,
    .configure = nerv_configure,
    .write = nerv_write,
    .read = nerv_read,
    .free = nerv_free,
    .build = nerv_build,
    .input = nerv_input,
    .describe = nerv_describe,
    .options = nerv_mlp_options,
};

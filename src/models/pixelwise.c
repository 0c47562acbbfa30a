/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See pixelwise.h. Reading order: configuration, parameters, tape, serialisation, class.
 */
#include "models/pixelwise.h"

#include <math.h>
#include <string.h>

#include "models/blocks.h"
#include "models/options.h"

/* SIREN's and NeRF's own depths, encoding and rates; their width, 256, is for larger videos than most. */
#define SIREN_LAYERS 4
#define SIREN_OMEGA  30.
#define SIREN_RATE   1e-4
#define NERF_LAYERS  8
#define NERF_LEVELS  10
#define NERF_RATE    5e-4
/* Weights for a clip that has enough samples for them, and samples per weight where it has not, as the other models have. */
#define DEFAULT_WEIGHTS    300000.
#define SAMPLES_PER_WEIGHT 16.
#define MIN_WIDTH          8
#define AXES               3 /* x, y, t */

/* --- configuration --- */

static bool pixelwise_accepts(const char *name)
{
    return g_str_equal(name, "siren") || g_str_equal(name, "nerf");
}

/* Channels that one axis has. */
static int32_t axis_channels(const NervPixelwiseConfig *c)
{
    return c->kind == NERV_PIXELWISE_SIREN ? 1 : 2 * c->levels;
}

/* The hidden layer that sees the encoding beside what is before it; 0: none does. */
static int32_t skip_layer(const NervPixelwiseConfig *c)
{
    return c->kind == NERV_PIXELWISE_NERF && c->layers >= 4 ? c->layers / 2 : 0;
}

/* Most of the weights are the hidden layers' squares. */
static int32_t width_for(const NervPixelwiseConfig *c, double weights)
{
    const double squares = MAX(c->layers - 1, 1), rows = AXES * axis_channels(c) * (skip_layer(c) ? 2 : 1);
    const double w = (sqrt(rows * rows + 4. * squares * weights) - rows) / (2. * squares);
    return CLAMP((int32_t)lrint(w), MIN_WIDTH, 4096);
}

static bool parse_options(NervPixelwiseConfig *c, const NervClip *clip, GVariant *options, GError **error)
{
    static const char *const siren[] = { "width", "layers", "omega", "weights", NULL },
                             *const nerf[] = { "width", "layers", "levels", "weights", NULL },
                             *const sizes[] = { "width", NULL };
    const double samples = 3. * clip->width * clip->height * clip->n_frames;
    int32_t weights = (int32_t)MIN(DEFAULT_WEIGHTS, samples / SAMPLES_PER_WEIGHT), width = 0;
    if (!nerv_options_check(options, c->kind == NERV_PIXELWISE_SIREN ? siren : nerf, error) ||
        !nerv_options_int(options, "layers", 1, NERV_PIXELWISE_MAX_LAYERS, &c->layers, error) ||
        !nerv_options_int(options, "levels", 1, NERV_PIXELWISE_MAX_LEVELS, &c->levels, error) ||
        !nerv_options_double(options, "omega", 1., 1000., &c->omega, error) ||
        !nerv_options_int(options, "weights", 100, NERV_MODEL_MAX_WEIGHTS, &weights, error) ||
        !nerv_options_int(options, "width", 1, 4096, &width, error) ||
        !nerv_options_weights_count(options, sizes, error))
        return false;
    c->omega = (float)c->omega;
    c->width = width ? width : width_for(c, weights);
    return true;
}

/* --- parameters --- */

static void pixelwise_free(NervModel *model)
{
    g_free(model->params);
    g_free(model);
}

/* Channels that enter a hidden layer. */
static int32_t enters(const NervPixelwiseConfig *c, int32_t layer)
{
    const int32_t encoding = AXES * axis_channels(c);
    return layer == 0 ? encoding : c->width + (layer == skip_layer(c) ? encoding : 0);
}

/* SIREN's: so that what goes into each sine has one deviation, whatever the depth. */
static void init_siren(NervModel *m, const NervPixelwiseConfig *c)
{
    for (int32_t i = 0; i <= c->layers; i++) {
        NervParam *w = &m->params[2 * i];
        w->init_bound = i == 0 ? 1.f / (float)enters(c, 0) : (float)(sqrt(6. / c->width) / c->omega);
    }
}

static NervModel *model_from_config(const NervPixelwiseConfig *c, const NervClip *clip, NervErrorCode code,
                                    GError **error)
{
    NervPixelwise *m = g_new0(NervPixelwise, 1);
    char name[16];
    m->config = *c;
    m->head.klass = &nerv_model_class_pixelwise;
    m->head.clip = *clip;
    m->head.run_frames = 1;
    m->head.n_runs = clip->n_frames;
    m->head.input_floats = axis_channels(c) * (clip->width + clip->height + 1);
    m->head.beta1 = .9; /* both papers' */
    m->head.beta2 = .999;
    m->head.warmup = 0.;
    m->head.learning_rate = c->kind == NERV_PIXELWISE_SIREN ? SIREN_RATE : NERF_RATE;
    m->head.params = g_try_new0(NervParam, 2 * (size_t)(c->layers + 1));
    if (!m->head.params) {
        nerv_model_no_memory(error);
        pixelwise_free(&m->head);
        return NULL;
    }
    for (int32_t i = 0; i < c->layers; i++) {
        g_snprintf(name, sizeof(name), "layer%d", i);
        nerv_model_add_layer(&m->head, name, c->width, enters(c, i), 1);
    }
    nerv_model_add_layer(&m->head, "head", 3, c->width, 1);
    if (c->kind == NERV_PIXELWISE_SIREN)
        init_siren(&m->head, c);
    if (m->head.n_weights > NERV_MODEL_MAX_WEIGHTS) {
        g_set_error(error, NERV_ERROR, code, "model %s: %" G_GINT64_FORMAT " weights are too many",
                    c->kind == NERV_PIXELWISE_SIREN ? "siren" : "nerf", m->head.n_weights);
        pixelwise_free(&m->head);
        return NULL;
    }
    return &m->head;
}

/* Its networks are others' papers', for comparison: no size is chosen for a rate. */
static NervModel *pixelwise_configure(const char *name, GVariant *options, const NervClip *clip,
                                      const NervModelSize *size, GError **error)
{
    const bool siren = g_str_equal(name, "siren");
    NervPixelwiseConfig c = { .kind = siren ? NERV_PIXELWISE_SIREN : NERV_PIXELWISE_NERF,
                              .layers = siren ? SIREN_LAYERS : NERF_LAYERS,
                              .levels = siren ? 0 : NERF_LEVELS,
                              .omega = siren ? SIREN_OMEGA : 0. };
    return parse_options(&c, clip, options, error) ? model_from_config(&c, clip, NERV_ERROR_INVALID, error)
                                                   : NULL;
}

/* --- tape --- */

/* One axis of the input, [N,channels,h,w], repeated over the frame. */
static NervTensor *axis_map(const NervPixelwise *m, NervTape *t, NervTensor *input, int32_t *at, int32_t h,
                            int32_t w)
{
    const NervClip *clip = &m->head.clip;
    const int32_t channels = axis_channels(&m->config), n = input->shape.n;
    NervTensor *part = nerv_slice(t, input, *at, channels * h * w);
    *at += channels * h * w;
    return nerv_expand(t, nerv_reshape(t, part, nerv_shape(n, channels, h, w)),
                       nerv_shape(n, channels, clip->height, clip->width), 1.f);
}

static NervTensor *hidden(const NervPixelwiseConfig *c, NervTape *t, NervTensor *x, NervTensor *w,
                          NervTensor *b)
{
    if (c->kind == NERV_PIXELWISE_NERF)
        return nerv_upconv2d(t, x, w, b, 1, NERV_ACT_RELU);
    return nerv_act(t, nerv_affine(t, nerv_conv2d(t, x, w, b, 1, 0), (float)c->omega, 0.f), NERV_ACT_SIN);
}

static NervTensor *pixelwise_build(const NervModel *model, NervTape *t, NervTensor *const *p,
                                   NervTensor *input, NervTensor *keys, NervTensor **stages)
{
    const NervPixelwise *m = (const NervPixelwise *)model;
    const NervPixelwiseConfig *c = &m->config;
    int32_t at = 0;
    NervTensor *axes[AXES];
    axes[0] = axis_map(m, t, input, &at, 1, model->clip.width);
    axes[1] = axis_map(m, t, input, &at, model->clip.height, 1);
    axes[2] = axis_map(m, t, input, &at, 1, 1);
    NervTensor *encoding = nerv_concat(t, axes, AXES), *x = encoding;
    for (int32_t i = 0; i < c->layers; i++) {
        if (i > 0 && i == skip_layer(c))
            x = nerv_concat(t, (NervTensor *[]){ x, encoding }, 2);
        x = hidden(c, t, x, p[2 * i], p[2 * i + 1]);
    }
    if (c->kind == NERV_PIXELWISE_NERF)
        return nerv_upconv2d(t, x, p[2 * c->layers], p[2 * c->layers + 1], 1, NERV_ACT_SIGMOID);
    /* colours in -1..1, as coordinates */
    return nerv_affine(t, nerv_conv2d(t, x, p[2 * c->layers], p[2 * c->layers + 1], 1, 0), .5f, .5f);
}

/* The value v in -1..1 of n in each of its channels: where[channel][i]. */
static void encode(const NervPixelwiseConfig *c, double v, float *dst, int32_t pitch)
{
    if (c->kind == NERV_PIXELWISE_SIREN) {
        *dst = (float)v;
        return;
    }
    for (int32_t k = 0; k < c->levels; k++) {
        dst[(ptrdiff_t)(2 * k) * pitch] = (float)sin(ldexp(G_PI * v, k));
        dst[(ptrdiff_t)(2 * k + 1) * pitch] = (float)cos(ldexp(G_PI * v, k));
    }
}

/* Pixels' centres, and frames from the first one's -1 to the last one's 1. */
static void pixelwise_input(const NervModel *model, int32_t frame, double later, float *dst)
{
    const NervPixelwiseConfig *c = &((const NervPixelwise *)model)->config;
    const int32_t sides[2] = { model->clip.width, model->clip.height };
    for (int k = 0; k < 2; k++) {
        for (int32_t i = 0; i < sides[k]; i++)
            encode(c, (2. * i + 1.) / sides[k] - 1., dst + i, sides[k]);
        dst += (ptrdiff_t)axis_channels(c) * sides[k];
    }
    const double last = model->clip.n_frames - 1;
    encode(c, last > 0. ? 2. * (frame + later) / last - 1. : 0., dst, 1);
}

/* --- serialisation (docs/bitstream.md, "Models siren and nerf") --- */

static void pixelwise_write(const NervModel *model, NervBitWriter *w)
{
    const NervPixelwiseConfig *c = &((const NervPixelwise *)model)->config;
    nerv_write_u8(w, (uint8_t)c->kind);
    nerv_write_varint(w, (uint64_t)c->width);
    nerv_write_u8(w, (uint8_t)c->layers);
    if (c->kind == NERV_PIXELWISE_SIREN)
        nerv_write_f32(w, (float)c->omega);
    else
        nerv_write_u8(w, (uint8_t)c->levels);
}

static NervModel *pixelwise_read(NervBitReader *r, const NervClip *clip, GError **error)
{
    NervPixelwiseConfig c = { 0 };
    const uint8_t kind = nerv_read_u8(r);
    c.width = (int32_t)nerv_read_range(r, 1, 4096);
    c.layers = (int32_t)nerv_read_u8(r);
    bool valid = kind <= NERV_PIXELWISE_NERF && c.layers >= 1 && c.layers <= NERV_PIXELWISE_MAX_LAYERS;
    c.kind = (NervPixelwiseKind)kind;
    if (valid && c.kind == NERV_PIXELWISE_SIREN) {
        c.omega = nerv_read_f32(r);
        valid = c.omega >= 1. && c.omega <= 1000.;
    } else if (valid) {
        c.levels = nerv_read_u8(r);
        valid = c.levels >= 1 && c.levels <= NERV_PIXELWISE_MAX_LEVELS;
    }
    if (r->failed || !valid) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "the configuration of a network that shows single pixels is damaged");
        return NULL;
    }
    return model_from_config(&c, clip, NERV_ERROR_DATA, error);
}

static char *pixelwise_describe(const NervModel *model)
{
    const NervPixelwiseConfig *c = &((const NervPixelwise *)model)->config;
    const bool siren = c->kind == NERV_PIXELWISE_SIREN;
    g_autofree char *of =
        siren ? g_strdup_printf("omega %g", c->omega) : g_strdup_printf("levels %d", c->levels);
    return g_strdup_printf("%s %dx%d: %d hidden layers of %d, %s; %" G_GINT64_FORMAT " parameters",
                           siren ? "siren" : "nerf", model->clip.width, model->clip.height, c->layers,
                           c->width, of, model->n_weights);
}

const NervModelClass nerv_model_class_pixelwise = {
    .name = "siren",
    .id = 4,
    .accepts = pixelwise_accepts,
    .configure = pixelwise_configure,
    .write = pixelwise_write,
    .read = pixelwise_read,
    .free = pixelwise_free,
    .build = pixelwise_build,
    .input = pixelwise_input,
    .describe = pixelwise_describe,
    .options = nerv_pixelwise_options,
};

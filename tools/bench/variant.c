/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NeRV with one thing about it changed: see variant.h. Weights are drawn as PyTorch draws those of the layers.
 */
#include "variant.h"

#include <math.h>
#include <string.h>

#include "models/blocks.h"

#define PE_BASE    1.25
#define PE_LEVELS  40
#define LEAK       .01f
#define PEAK_RATE  5e-3
#define NAME_OF(i) ((char[16]){ 'b', 'l', 'o', 'c', 'k', (char)('0' + (i)), '\0' })

typedef struct {
    NervModel head;
    VariantConfig config;
    int32_t grid_h, grid_w;
} Variant;

static void variant_free(NervModel *model)
{
    g_free(model->params);
    g_free(model);
}

/* --- layers --- */

static NervTensor *activated(NervTape *t, const VariantConfig *c, NervTensor *x)
{
    static const NervAct plain[] = {
        [VARIANT_RELU] = NERV_ACT_RELU, [VARIANT_SILU] = NERV_ACT_SILU, [VARIANT_GELU] = NERV_ACT_GELU
    };
    if (c->act != VARIANT_LEAKY_RELU)
        return nerv_act(t, x, plain[c->act]);
    NervTensor *below = nerv_act(t, nerv_affine(t, x, -1.f, 0.f), NERV_ACT_RELU);
    return nerv_add(t, nerv_act(t, x, NERV_ACT_RELU), nerv_affine(t, below, -LEAK, 0.f));
}

/* x[N,Cin,H,W] to [N,Cout,H S,W S] */
static NervTensor *enlarged(NervTape *t, const VariantConfig *c, NervTensor *x, NervTensor *w, NervTensor *b,
                            int32_t s)
{
    const NervShape in = x->shape;
    if (c->upscale == VARIANT_SHUFFLE)
        return nerv_pixel_shuffle(t, nerv_conv2d(t, x, w, b, 1, 1), s);
    if (c->upscale == VARIANT_BILINEAR)
        return nerv_conv2d(t, nerv_upsample(t, x, s), w, b, 1, s);
    NervTensor *y = nerv_conv2d_dx(t, x, w, s, 0, in.h * s, in.w * s);
    return nerv_add(t, y, nerv_expand(t, b, nerv_shape(in.n, w->shape.c, in.h * s, in.w * s), 1.f));
}

static NervTensor *variant_build(const NervModel *model, NervTape *t, NervTensor *const *p, NervTensor *input,
                                 NervTensor *keys, NervTensor **stages)
{
    const Variant *m = (const Variant *)model;
    const VariantConfig *c = &m->config;
    const int32_t last = c->n_blocks + 2;
    NervTensor *x = activated(t, c, nerv_linear(t, input, p[0], p[1]));
    x = activated(t, c, nerv_linear(t, x, p[2], p[3]));
    x = nerv_reshape(t, x, nerv_shape(input->shape.n, c->base_channels, m->grid_h, m->grid_w));
    for (int32_t i = 0; i < c->n_blocks; i++) {
        x = enlarged(t, c, x, p[4 + 2 * i], p[5 + 2 * i], c->stride[i]);
        if (c->norm)
            x = nerv_norm(t, x, 1);
        stages[i] = x = activated(t, c, x);
    }
    return nerv_act(t, nerv_conv2d(t, x, p[2 * last], p[2 * last + 1], 1, 0), NERV_ACT_TANH01);
}

static void variant_input(const NervModel *model, int32_t frame, double later, float *dst)
{
    const double t = (frame + later) / model->clip.n_frames;
    if (((const Variant *)model)->config.plain_time) {
        *dst = (float)t;
        return;
    }
    double b = 1.;
    for (int32_t k = 0; k < PE_LEVELS; k++, b *= PE_BASE) {
        *dst++ = (float)sin(b * G_PI * t);
        *dst++ = (float)cos(b * G_PI * t);
    }
}

static char *variant_describe(const NervModel *model)
{
    return g_strdup_printf("%" G_GINT64_FORMAT " parameters", model->n_weights);
}

static const NervModelClass variant_class = {
    .name = "variant",
    .free = variant_free,
    .build = variant_build,
    .input = variant_input,
    .describe = variant_describe,
};

/* --- the model --- */

/* A block's layer. Of a transposed convolution the weight is [Cin,Cout,S,S], as conv2d_dx takes it. */
static void add_block(NervModel *m, const VariantConfig *c, int32_t i, int32_t in)
{
    const int32_t s = c->stride[i], out = c->width[i];
    switch (c->upscale) {
    case VARIANT_SHUFFLE:
        nerv_model_add_layer(m, NAME_OF(i), out * s * s, in, 3);
        break;
    case VARIANT_BILINEAR:
        nerv_model_add_layer(m, NAME_OF(i), out, in, 2 * s + 1);
        break;
    case VARIANT_TRANSPOSED:
        nerv_model_add_layer(m, NAME_OF(i), in, out, s);
        m->params[m->n_params - 1].shape.c = out;
        m->n_weights += out - in;
        break;
    }
}

NervModel *variant_model_new(const VariantConfig *c, const NervClip *clip, GError **error)
{
    const int32_t scale = nerv_strides_product(c->stride, c->n_blocks);
    if (clip->width % scale || clip->height % scale) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "a frame's sides are multiples of %d here", scale);
        return NULL;
    }
    Variant *m = g_new0(Variant, 1);
    m->head.klass = &variant_class;
    m->head.clip = *clip;
    m->head.run_frames = 1;
    m->head.n_runs = clip->n_frames;
    m->head.input_floats = c->plain_time ? 1 : 2 * PE_LEVELS;
    m->head.beta1 = .5; /* these three are the paper's */
    m->head.beta2 = .999;
    m->head.warmup = .2;
    m->head.learning_rate = PEAK_RATE;
    m->config = *c;
    m->grid_h = clip->height / scale;
    m->grid_w = clip->width / scale;
    m->head.params = g_new0(NervParam, 2 * (gsize)(c->n_blocks + 3));
    nerv_model_add_layer(&m->head, "stem.0", c->stem, m->head.input_floats, 1);
    nerv_model_add_layer(&m->head, "stem.1", m->grid_h * m->grid_w * c->base_channels, c->stem, 1);
    for (int32_t i = 0; i < c->n_blocks; i++)
        add_block(&m->head, c, i, i ? c->width[i - 1] : c->base_channels);
    nerv_model_add_layer(&m->head, "head", 3, c->width[c->n_blocks - 1], 1);
    return &m->head;
}

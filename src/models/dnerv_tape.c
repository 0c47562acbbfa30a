/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV's network as ops, see dnerv.h. A stage looks for its clip's content in the keyframes' features by a flow, modulates what the
 * stage before gave with it, and enlarges it; the last flow warps the keyframes themselves. Parameters are taken in the order in
 * which dnerv.c lists them.
 */
#include "models/dnerv.h"

/* Keyframes' samples, 0..1, around their middle in units of a usual deviation. */
#define KEY_SCALE 4.f
#define KEY_SHIFT -2.f

/* What a tape is built with; takes the parameters one after another. */
typedef struct {
    const NervDnervConfig *c;
    NervTape *t;
    NervTensor *const *p;
    NervTensor *weight[NERV_DNERV_MOST_INPUTS]; /* [N,1,1,1] */
    NervTensor *flow;    /* of the last stage, [N,4,h,w]: from the start, from the end */
    NervTensor **stages; /* what each of them gives */
    int32_t n;
    uint32_t n_videos;
} Build;

static NervTensor *layer(Build *b, NervTensor *x, int32_t s, NervAct act)
{
    NervTensor *y = nerv_upconv2d(b->t, x, b->p[0], b->p[1], s, act);
    b->p += 2;
    return y;
}

/* Of a pair [2,C,h,w] the one before or behind, [1,C,h,w]. */
static NervTensor *one_of(Build *b, NervTensor *pair, int which)
{
    if (!pair)
        return NULL;
    const NervShape s = pair->shape;
    return nerv_slice(b->t, nerv_reshape(b->t, pair, nerv_shape(1, 2 * s.c, s.h, s.w)), which * s.c, s.c);
}

/* The same for all frames. */
static NervTensor *repeat(Build *b, NervTensor *x)
{
    return x ? nerv_expand(b->t, x, nerv_shape(b->n, x->shape.c, x->shape.h, x->shape.w), 1.f) : NULL;
}

/* Features of the keyframes at all stages' sizes, the base's first. A convolution whose kernel is its stride sees squares that do not
 * overlap: pixel_unshuffle makes channels of them, in the order of its weights. */
static void build_content(Build *b, NervTensor *keys, NervTensor **content)
{
    NervTensor *x = layer(b, keys, 1, NERV_ACT_GELU);
    for (int32_t i = b->c->n_blocks; i-- > 0;) {
        NervTensor *w = b->p[0];
        x = nerv_pixel_unshuffle(b->t, x, b->c->stride[i]);
        w = nerv_reshape(b->t, w, nerv_shape(w->shape.n, w->shape.c * w->shape.h * w->shape.w, 1, 1));
        content[i] = x = nerv_upconv2d(b->t, x, w, b->p[1], 1, NERV_ACT_GELU);
        b->p += 2;
    }
}

static NervTensor *build_stem(Build *b, const NervDnerv *m, NervTensor *input)
{
    NervTape *t = b->t;
    if (!b->c->stem)
        return nerv_lookup(t, *b->p++, nerv_slice(t, input, 0, 1));
    NervTensor *x = nerv_slice(t, input, 0, 2 * b->c->pe_levels);
    for (int i = 0; i < 2; i++, b->p += 2)
        x = nerv_act(t, nerv_linear(t, x, b->p[0], b->p[1]), NERV_ACT_GELU);
    return nerv_reshape(t, x, nerv_shape(b->n, b->c->base_channels, m->grid_h, m->grid_w));
}

/* A pair's content at the clip's frames: found by the stage's flow, and blended by distance. scale: how much larger the stage is than
 * the one before. */
static NervTensor *find_content(Build *b, NervTensor *x, NervTensor *pair, int32_t scale)
{
    NervTape *t = b->t;
    NervTensor *start = one_of(b, pair, 0), *end = one_of(b, pair, 1);
    if (nerv_dnerv_has(b->c, NERV_DNERV_FLOW)) {
        NervTensor *flow = layer(b, layer(b, x, 1, NERV_ACT_GELU), 1, NERV_ACT_NONE);
        if (b->flow && nerv_dnerv_has(b->c, NERV_DNERV_PYRAMID))
            flow = nerv_add(t, flow, nerv_affine(t, nerv_upsample(t, b->flow, scale), (float)scale, 0.f));
        b->flow = flow;
        start = nerv_warp(t, start, nerv_slice(t, flow, 0, 2));
        end = nerv_warp(t, end, nerv_slice(t, flow, 2, 2));
    } else {
        start = repeat(b, start);
        end = repeat(b, end);
    }
    return nerv_weigh(t, start, b->weight[NERV_DNERV_INPUT_START], end, b->weight[NERV_DNERV_INPUT_END]);
}

/* A video's part of what all have, [V N,C,H,W] or a bias's [1,V C,1,1]. All frames of a run are of one video. */
static NervTensor *own_part(Build *b, NervTensor *x, uint32_t n_videos, bool is_bias)
{
    NervTape *t = b->t;
    NervTensor *at = b->weight[NERV_DNERV_INPUT_VIDEO];
    NervShape s = x->shape;
    *(is_bias ? &s.c : &s.n) /= (int32_t)n_videos;
    at = nerv_slice(t, nerv_reshape(t, at, nerv_shape(1, b->n, 1, 1)), 0, 1);
    x = nerv_reshape(t, x, nerv_shape((int32_t)n_videos, (int32_t)nerv_shape_count(s), 1, 1));
    return nerv_reshape(t, nerv_lookup(t, x, at), s);
}

/* The convolution of a stage. */
static NervTensor *stage_layer(Build *b, NervTensor *x, int32_t i)
{
    const int32_t stride = b->c->stride[i];
    if (i > 0 || !nerv_dnerv_has(b->c, NERV_DNERV_OWN))
        return layer(b, x, stride, NERV_ACT_GELU);
    NervTensor *weight = own_part(b, b->p[0], b->n_videos, false);
    NervTensor *bias = own_part(b, b->p[1], b->n_videos, true);
    b->p += 2;
    return nerv_upconv2d(b->t, x, weight, bias, stride, NERV_ACT_GELU);
}

static NervTensor *build_stage(Build *b, NervTensor *x, NervTensor *content, int32_t i)
{
    NervTape *t = b->t;
    if (nerv_dnerv_has(b->c, NERV_DNERV_SAF)) {
        content = find_content(b, x, content, i ? b->c->stride[i - 1] : 1);
        x = nerv_modulate(t, x, layer(b, content, 1, NERV_ACT_NONE));
    }
    x = stage_layer(b, x, i);
    if (nerv_dnerv_has(b->c, NERV_DNERV_MIX)) {
        x = nerv_temporal_mix(t, x, b->p[0], b->p[1]);
        b->p += 2;
    }
    if (nerv_dnerv_has(b->c, NERV_DNERV_GAINS)) {
        NervTensor *gain = nerv_lookup(t, *b->p++, b->weight[NERV_DNERV_INPUT_VIDEO]);
        gain = x ? nerv_expand(t, nerv_affine(t, gain, 1.f, 1.f), x->shape, 1.f) : NULL;
        x = nerv_mul(t, x, gain);
    }
    b->stages[i] = x;
    return x;
}

/* The paper's way: keys and what is returned as for build_on_grids(). */
static NervTensor *build_network(Build *b, const NervDnerv *m, NervTensor *input, NervTensor *keys)
{
    const NervDnervConfig *c = b->c;
    NervTape *t = b->t;
    NervTensor *content[NERV_MAX_BLOCKS], *in[2], *found = NULL;
    build_content(b, keys, content);
    in[0] = build_stem(b, m, input);
    in[1] = nerv_weigh(t, repeat(b, one_of(b, content[0], 0)), b->weight[NERV_DNERV_INPUT_EARLY],
                       repeat(b, one_of(b, content[0], 1)), b->weight[NERV_DNERV_INPUT_LATE]);
    NervTensor *x = nerv_concat(t, in, 2);
    if (nerv_dnerv_has(c, NERV_DNERV_NORM))
        x = nerv_norm(t, x, b->n);
    for (int32_t i = 0; i < c->n_blocks; i++)
        x = build_stage(b, x, content[i], i);
    if (nerv_dnerv_has(c, NERV_DNERV_KEYS)) {
        found = find_content(b, x, keys, c->stride[c->n_blocks - 1]);
        x = nerv_concat(t, (NervTensor *[]){ x, found }, 2);
    }
    x = layer(b, layer(b, x, 1, NERV_ACT_GELU), 1, NERV_ACT_NONE);
    return nerv_dnerv_has(c, NERV_DNERV_SKIP) ? nerv_add(t, x, found) : x;
}

/* --- on grids --- */

/* One of the keyframes where the flow says, which grows with the distance from it: at the keyframe itself there is none. */
static NervTensor *move_key(Build *b, NervTensor *pair, NervTensor *flow, int which)
{
    const int far = which ? NERV_DNERV_INPUT_START : NERV_DNERV_INPUT_END;
    NervTensor *key = one_of(b, pair, which);
    if (!flow)
        return repeat(b, key);
    return nerv_warp(b->t, key,
                     nerv_weigh(b->t, nerv_slice(b->t, flow, 2 * which, 2), b->weight[far], NULL, NULL));
}

/* y with the difference of start and end, weighted by its fourth channel, on the other three. */
static NervTensor *weigh_by_mask(Build *b, NervTensor *y, NervTensor *start, NervTensor *end)
{
    NervTape *t = b->t;
    NervTensor *mask = nerv_slice(t, y, 3, 1), *apart = nerv_add(t, start, nerv_affine(t, end, -1.f, 0.f));
    mask = apart ? nerv_expand(t, mask, apart->shape, 1.f) : NULL;
    return nerv_add(t, nerv_slice(t, y, 0, 3), nerv_mul(t, mask, apart));
}

static NervTensor *build_grid_stage(Build *b, NervTensor *x, int32_t i)
{
    NervTape *t = b->t;
    if (i == 1 && b->c->middle_channels)
        x = nerv_concat(t, (NervTensor *[]){ x, nerv_lookup(t, *b->p++, b->weight[NERV_DNERV_INPUT_MIDDLE]) },
                        2);
    return x;
}

/* keys: normalised and padded. scale: of the frame in base cells. Returns the frame, normalised. */
static NervTensor *build_on_grids(Build *b, NervTensor *x, NervTensor *keys, int32_t scale)
{
    const NervDnervConfig *c = b->c;
    NervTape *t = b->t;
    NervTensor *flow = NULL, *start = NULL, *end = NULL, *found = NULL;

    if (nerv_dnerv_has_flow_grid(c)) {
        flow = nerv_lookup(t, *b->p++, b->weight[NERV_DNERV_INPUT_FLOW]);
        scale /= nerv_dnerv_flow_scale(c);
        flow = nerv_affine(t, nerv_upsample(t, flow, scale), (float)scale / NERV_DNERV_FLOW_UNITS, 0.f);
    }
    if (nerv_dnerv_has(c, NERV_DNERV_NORM))
        x = nerv_norm(t, x, b->n);
    for (int32_t i = 0; i < c->n_blocks; i++)
        x = build_stage(b, build_grid_stage(b, x, i), NULL, i);
    if (nerv_dnerv_has(c, NERV_DNERV_KEYS)) {
        start = move_key(b, keys, flow, 0);
        end = move_key(b, keys, flow, 1);
        found = nerv_weigh(t, start, b->weight[NERV_DNERV_INPUT_START], end, b->weight[NERV_DNERV_INPUT_END]);
        x = nerv_concat(t, (NervTensor *[]){ x, found }, 2);
    }
    x = layer(b, x, 1, NERV_ACT_NONE);
    if (nerv_dnerv_has(c, NERV_DNERV_MASK))
        x = weigh_by_mask(b, x, start, end);
    return nerv_dnerv_has(c, NERV_DNERV_SKIP) ? nerv_add(t, x, found) : x;
}

NervTensor *nerv_dnerv_build(const NervModel *model, NervTape *t, NervTensor *const *p, NervTensor *input,
                             NervTensor *keys, NervTensor **stages)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const NervDnervConfig *c = &m->config;
    const int32_t scale = nerv_strides_product(c->stride, c->n_blocks);
    const int32_t n_inputs = nerv_dnerv_inputs(c);
    Build b = { .c = c, .t = t, .p = p, .n = input->shape.n, .n_videos = model->n_videos, .stages = stages };

    for (int32_t i = 0; i < n_inputs; i++)
        b.weight[i] = nerv_slice(t, input, model->input_floats - n_inputs + i, 1);
    if (nerv_dnerv_has_keys(c))
        keys = nerv_pad(t, nerv_affine(t, keys, KEY_SCALE, KEY_SHIFT), m->grid_h * scale, m->grid_w * scale);
    NervTensor *x = nerv_dnerv_has(c, NERV_DNERV_GRIDS)
                        ? build_on_grids(&b, build_stem(&b, m, input), keys, scale)
                        : build_network(&b, m, input, keys);
    x = nerv_affine(t, x, 1.f / KEY_SCALE, -KEY_SHIFT / KEY_SCALE);
    return nerv_crop(t, x, model->clip.height, model->clip.width);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tapes of the meta-learner: MAML's inner steps are nodes of one, and its gradient goes through all of them; the others walk with the steps of a fit.
 *
 * The blocks' losses need a layer each, from their channels to R'G'B'. Those layers are learned and walk like the model's own parameters, so they
 * are appended to its list in a model that is all but the same.
 */
#include "train/meta_internal.h"

#include <string.h>

#include "models/blocks.h"
#include "train/loss.h"

/* Of drawn maps: with it values of grids come out in the size that features have. */
#define MAP_BOUND .15f

/* --- the model with its blocks' layers --- */

/* Channels of what each block gives. */
static uint32_t find_stages(const NervMeta *meta, int32_t *channels, GError **error)
{
    const NervModel *model = meta->model;
    NervTape *t = nerv_tape_new();
    NervScene scene;
    NervTensor *stages[NERV_MODEL_MAX_STAGES];
    g_autofree NervTensor **leaves = g_new0(NervTensor *, model->n_params);
    uint32_t n = 0;

    nerv_scene_init(&scene, t, model, &meta->footage, 1);
    nerv_params_leaves(model, t, "", leaves);
    nerv_model_build_stages(model, t, leaves, scene.input, scene.keys, stages);
    if (nerv_tape_check(t, error))
        for (; n < NERV_MODEL_MAX_STAGES && stages[n]; n++)
            channels[n] = stages[n]->shape.c;
    nerv_scene_clear(&scene);
    nerv_tape_free(t);
    return n;
}

bool nerv_meta_make_models(NervMeta *meta, GError **error)
{
    int32_t channels[NERV_MODEL_MAX_STAGES];
    const NervModel *model = meta->model;
    const uint32_t n = find_stages(meta, channels, error);
    if (!n)
        return false;
    meta->n_stages = meta->settings.spatial > 0. ? n : 0;
    meta->whole = meta->reduced = *model;
    meta->whole.params = g_new0(NervParam, model->n_params + 2 * meta->n_stages);
    memcpy(meta->whole.params, model->params, model->n_params * sizeof(NervParam));
    for (uint32_t i = 0; i < meta->n_stages; i++) {
        char name[16];
        g_snprintf(name, sizeof(name), "stage%u", i);
        nerv_model_add_layer(&meta->whole, name, 3, channels[i], 1);
    }
    const NervModel *whole = &meta->whole;
    meta->reduced.n_params = whole->n_params;
    meta->reduced.n_weights = nerv_start_count(whole);
    meta->reduced.params = g_new0(NervParam, whole->n_params);
    for (uint32_t i = 0; i < whole->n_params; i++) {
        meta->reduced.params[i] = whole->params[i];
        meta->reduced.params[i].shape = nerv_start_shape(&whole->params[i]);
        if (whole->params[i].cell)
            meta->reduced.params[i].init_bound = MAP_BOUND;
    }
    return true;
}

/* --- tapes --- */

/* Means of s x s samples, of as many as there are whole ones. */
static NervTensor *shrink(NervTape *t, NervTensor *x, int32_t s)
{
    if (!x || s == 1)
        return x;
    const NervShape to = { x->shape.n, x->shape.c, x->shape.h / s, x->shape.w / s };
    NervTensor *squares = nerv_pixel_unshuffle(t, nerv_crop(t, x, to.h * s, to.w * s), s);
    NervTensor *rows = nerv_reshape(t, squares, nerv_shape(to.n * to.c, s * s, to.h, to.w));
    return nerv_reshape(t, nerv_reduce_mean(t, rows, NERV_AXIS_C), to);
}

/* The mean squared error of what blocks make of the frame in their sizes. p: a weight and a bias for each. */
static NervTensor *build_guidance(const NervMeta *meta, NervTape *t, NervTensor *const *stages,
                                  NervTensor *const *p, const NervScene *scene)
{
    NervTensor *sum = NULL;
    if (t->error)
        return NULL;
    for (uint32_t i = 0; i < meta->n_stages; i++) {
        /* the last stage's samples are the frame's */
        const int32_t s = stages[meta->n_stages - 1]->shape.w / stages[i]->shape.w;
        NervTensor *small = shrink(t, scene->target, s);
        NervTensor *rgb = nerv_upconv2d(t, stages[i], p[2 * i], p[2 * i + 1], 1, NERV_ACT_NONE);
        if (t->error)
            return NULL;
        rgb = nerv_crop(t, rgb, small->shape.h, small->shape.w);
        NervTensor *loss = nerv_mse(t, nerv_scene_mask(scene, t, rgb), nerv_scene_mask(scene, t, small));
        sum = sum ? nerv_add(t, sum, loss) : loss;
    }
    return sum ? nerv_affine(t, sum, (float)(meta->settings.spatial / meta->n_stages), 0.f) : NULL;
}

/* What the weights w of the whole give in some runs, and the loss that is learned from. */
static NervTensor *build_look(NervMeta *meta, NervTape *t, Look *look, NervTensor *const *w)
{
    NervTensor *stages[NERV_MODEL_MAX_STAGES];
    nerv_scene_init(&look->scene, t, meta->model, &meta->footage, (int32_t)meta->batch);
    NervTensor *rgb = nerv_model_build_stages(meta->model, t, w, look->scene.input, look->scene.keys, stages);
    NervTensor *target = nerv_scene_mask(&look->scene, t, look->scene.target);
    look->loss = nerv_loss_build(t, &meta->settings.train, nerv_scene_mask(&look->scene, t, rgb), target);
    nerv_tape_output(t, look->loss, "loss");
    NervTensor *guidance = build_guidance(meta, t, stages, w + meta->model->n_params, &look->scene);
    return guidance ? nerv_add(t, look->loss, guidance) : look->loss;
}

/* The rate of a tensor's descent, in units of the learned one. */
static float descent_rate(const NervMeta *meta, const NervParam *param)
{
    const double cells = param->role == NERV_PARAM_GRID ? (double)param->shape.h * param->shape.w : 1.;
    return (float)(meta->settings.inner_rate * cells);
}

/* w without its gradient's part: one step of descent. */
static NervTensor *descend(NervTape *t, NervTensor *w, NervTensor *dw, NervTensor *rate, float scale)
{
    if (t->error)
        return NULL;
    return nerv_add(t, w, nerv_mul(t, nerv_expand(t, rate, w->shape, -scale), dw));
}

/* What a tensor begins with: a grid with its map of the clip's patches, which are a leaf, as found flows are. */
static NervTensor *begin_grid(NervMeta *meta, NervTape *t, uint32_t i)
{
    const NervParam *p = &meta->whole.params[i];
    NervTensor *start = meta->start_leaf[i];
    if (p->role != NERV_PARAM_GRID || t->error)
        return start;
    if (i == meta->flow_param) {
        meta->flow_leaf = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, p->shape, "flows");
        start = nerv_reshape(t, start, nerv_shape(1, p->shape.c, 1, 1));
        return nerv_add(t, meta->flow_leaf, nerv_expand(t, start, p->shape, 1.f));
    }
    if (!p->cell)
        return nerv_expand(t, nerv_reshape(t, start, nerv_shape(1, p->shape.c, 1, 1)), p->shape, 1.f);
    const NervShape shape = { p->shape.n, nerv_start_features(p), p->shape.h, p->shape.w };
    meta->patch_leaf[i] = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, shape, "patches");
    return nerv_conv2d(t, meta->patch_leaf[i], start, NULL, 1, 0);
}

void nerv_meta_build_unrolled(NervMeta *meta)
{
    const NervModel *whole = &meta->whole;
    const uint32_t n = whole->n_params, steps = meta->settings.inner_steps;
    NervTape *t = meta->tape = nerv_tape_new();
    g_autofree NervTensor **w = g_new0(NervTensor *, n), **dw = g_new0(NervTensor *, n),
                          **wrt = g_new0(NervTensor *, 2 * n), **grad = g_new0(NervTensor *, 2 * n);

    meta->start_leaf = g_new0(NervTensor *, n);
    meta->rate_leaf = g_new0(NervTensor *, n);
    meta->start_grad = g_new0(NervTensor *, n);
    meta->rate_grad = g_new0(NervTensor *, n);
    meta->patch_leaf = g_new0(NervTensor *, n);
    nerv_params_leaves(&meta->reduced, t, "", meta->start_leaf);
    for (uint32_t i = 0; i < n; i++) {
        meta->rate_leaf[i] = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, 1, 1, 1), "rate");
        w[i] = begin_grid(meta, t, i);
    }
    for (uint32_t k = 0; k < steps && !t->error; k++) {
        NervTensor *objective = build_look(meta, t, &meta->look[meta->n_looks++], w);
        if (t->error)
            return;
        nerv_tape_grad(t, objective, w, n, dw);
        for (uint32_t i = 0; i < n; i++)
            w[i] = descend(t, w[i], dw[i], meta->rate_leaf[i], descent_rate(meta, &whole->params[i]));
    }
    NervTensor *objective = build_look(meta, t, &meta->look[meta->n_looks++], w);
    if (t->error)
        return;
    memcpy(wrt, meta->start_leaf, n * sizeof(*wrt));
    memcpy(wrt + n, meta->rate_leaf, n * sizeof(*wrt));
    nerv_tape_grad(t, objective, wrt, meta->settings.learn_rates ? 2 * n : n, grad);
    for (uint32_t i = 0; i < 2 * n && !t->error; i++)
        if (grad[i])
            nerv_tape_output(t, grad[i], "gradient");
    memcpy(meta->start_grad, grad, n * sizeof(*grad));
    memcpy(meta->rate_grad, grad + n, n * sizeof(*grad));
}

void nerv_meta_build_walk(NervMeta *meta, NervTensor **leaves)
{
    const NervModel *whole = &meta->whole;
    const uint32_t n = whole->n_params;
    const NervTrainSettings *s = &meta->settings.train;
    const NervAdamAttr adam = { (float)s->beta1, (float)s->beta2, (float)s->eps, 0.f };
    NervTape *t = meta->tape = nerv_tape_new();
    g_autofree NervTensor **dw = g_new0(NervTensor *, n);

    nerv_params_leaves(whole, t, "", leaves);
    nerv_params_leaves(whole, t, "m.", leaves + n);
    nerv_params_leaves(whole, t, "v.", leaves + 2 * n);
    NervTensor *objective = build_look(meta, t, &meta->look[meta->n_looks++], leaves);
    if (t->error)
        return;
    nerv_tape_grad(t, objective, leaves, n, dw);
    for (uint32_t i = 0; i < n; i++)
        nerv_adam(t, leaves[i], dw[i], leaves[n + i], leaves[2 * n + i],
                  nerv_hypers_param(&meta->hypers, t, &whole->params[i], s->layers_rate), &adam);
}

void nerv_meta_build_end(NervMeta *meta, NervTensor **leaves)
{
    const uint32_t n = meta->whole.n_params;
    NervTape *t = meta->end_tape = nerv_tape_new();
    nerv_params_leaves(&meta->whole, t, "", leaves);
    NervTensor *objective = build_look(meta, t, &meta->end_look, leaves);
    meta->end_grad = g_new0(NervTensor *, n);
    if (t->error)
        return;
    nerv_tape_grad(t, objective, leaves, n, meta->end_grad);
    for (uint32_t i = 0; i < n && !t->error; i++)
        nerv_tape_output(t, meta->end_grad[i], "gradient");
}

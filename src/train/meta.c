/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Meta-learning, see meta.h. MAML's inner steps are nodes of one tape, and its gradient goes through all of them; the others walk with the
 * steps of a fit and take from the end of the walk the gradient there, or the way to it. The outer step is taken on the host.
 *
 * The blocks' losses need a layer each, from their channels to R'G'B'. Those layers are learned and walk like the model's own parameters, so they
 * are appended to its list in a model that is all but the same.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/blocks.h"
#include "models/params.h"
#include "models/start.h"
#include "train/loss.h"
#include "train/meta.h"
#include "train/meta_outer.h"
#include "train/patches.h"

/* Of drawn maps: with it values of grids come out in the size that features have. */
#define MAP_BOUND .15f

/* One evaluation on a tape with its runs. */
typedef struct {
    NervScene scene;
    NervTensor *loss;
} Look;

/* Adam's numbers for tensors of one rate. */
typedef struct {
    double rate; /* in units of the learning rate */
    NervTensor *leaf;
} Hyper;

struct NervMeta {
    NervBackend *be;
    const NervModel *model;
    NervMetaSettings settings;
    NervFootage footage; /* layouts; no pictures */

    NervModel whole;   /* with the blocks' layers; params are its own */
    NervModel reduced; /* the same with a start's shapes */
    uint32_t n_stages;
    uint32_t batch;

    /* MAML: the start and the inner rates are leaves. The others: weights that walk. */
    NervTape *tape;
    NervExec *exec;
    Look look[NERV_META_MAX_UNROLLED + 1];
    uint32_t n_looks;
    NervParams *start;
    NervBuffer *rates;
    NervTensor **start_leaf, **rate_leaf; /* and what their gradients are read from */
    NervTensor **start_grad, **rate_grad;
    NervParams *w, *m, *v;
    Hyper hyper[4];
    uint32_t n_hyper;
    /* FOMAML: the gradient at the walk's end. */
    NervTape *end_tape;
    NervExec *end_exec;
    Look end_look;
    NervTensor **end_grad;

    NervOuter outer;
    NervPatches *patches;
    float *seen;                       /* the clip's patches; 0 where grids are no maps */
    NervTensor **patch_leaf;           /* MAML: what grids are maps of, each with its 1 */
    float *weights, *moved, *gradient; /* of the whole, to work with */
    NervRng rng;
    uint32_t *order;
};

static const char *const learner_names[] = { "maml", "fomaml", "reptile" };

const char *nerv_meta_learner_name(NervMetaLearner learner)
{
    return learner_names[learner];
}

bool nerv_meta_learner_parse(const char *name, NervMetaLearner *learner)
{
    for (int i = 0; i < NERV_META_N; i++)
        if (g_str_equal(name, learner_names[i])) {
            *learner = (NervMetaLearner)i;
            return true;
        }
    return false;
}

void nerv_meta_settings_default(NervMetaSettings *s)
{
    *s = (NervMetaSettings){ .learner = NERV_META_MAML,
                             .inner_steps = 4,
                             .batch = 4,
                             .inner_rate = .1,
                             .learn_rates = true,
                             .outer_rate = 1e-3,
                             .rates_rate = 1e-2,
                             .clip = 1.,
                             .maps = true,
                             .spatial = .5 };
    nerv_train_settings_default(&s->train);
    s->train.l1_weight = s->train.ssim_weight = 0.;
    s->train.mse_weight = 1.;
}

/* What several videos have each for themselves no start has. */
static bool settings_valid(const NervMetaSettings *s, const NervModel *model, GError **error)
{
    const bool unrolled = s->learner == NERV_META_MAML;
    if (s->learner < NERV_META_N && s->inner_steps >= 1 &&
        s->inner_steps <= (unrolled ? NERV_META_MAX_UNROLLED : NERV_META_MAX_STEPS) && s->batch >= 1 &&
        s->inner_rate > 0. && s->inner_rate <= 1e3 && s->outer_rate > 0. && s->outer_rate <= 1. &&
        s->rates_rate >= 0. && s->rates_rate <= 1. && s->clip >= 0. && s->spatial >= 0. &&
        s->spatial <= 1e3 && model->n_videos <= 1)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "meta-learning's settings are out of range: %u inner steps (1 to %d), batch %u, inner rate "
                "%g, outer rate %g, clips of %u videos (1)",
                s->inner_steps, unrolled ? NERV_META_MAX_UNROLLED : NERV_META_MAX_STEPS, s->batch,
                s->inner_rate, s->outer_rate, MAX(model->n_videos, 1));
    return false;
}

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

static bool make_models(NervMeta *meta, GError **error)
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

/* What a tensor begins with: a grid with its map of the clip's patches, which are a leaf. */
static NervTensor *begin_grid(NervMeta *meta, NervTape *t, uint32_t i)
{
    const NervParam *p = &meta->whole.params[i];
    NervTensor *start = meta->start_leaf[i];
    if (p->role != NERV_PARAM_GRID || t->error)
        return start;
    if (!p->cell)
        return nerv_expand(t, nerv_reshape(t, start, nerv_shape(1, p->shape.c, 1, 1)), p->shape, 1.f);
    const NervShape shape = { p->shape.n, nerv_start_features(p), p->shape.h, p->shape.w };
    meta->patch_leaf[i] = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, shape, "patches");
    return nerv_conv2d(t, meta->patch_leaf[i], start, NULL, 1, 0);
}

/* MAML: inner steps one behind another, and the last look's gradient through all of them. */
static void build_unrolled(NervMeta *meta)
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

/* The one of the parameter's rate. */
static NervTensor *hyper_leaf(NervMeta *meta, const NervParam *param)
{
    const double rate = (param->rate > 0.f ? param->rate : 1.) *
                        (param->role == NERV_PARAM_GRID ? 1. : meta->settings.train.layers_rate);
    for (uint32_t i = 0; i < meta->n_hyper; i++)
        if (meta->hyper[i].rate == rate)
            return meta->hyper[i].leaf;
    if (meta->n_hyper == G_N_ELEMENTS(meta->hyper)) {
        nerv_tape_fail(meta->tape, NERV_ERROR_INVALID, "a model has at most %zu learning rates",
                       G_N_ELEMENTS(meta->hyper));
        return NULL;
    }
    Hyper *h = &meta->hyper[meta->n_hyper++];
    h->rate = rate;
    return h->leaf = nerv_tape_leaf(meta->tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "hyper");
}

/* The others: weights that a step of Adam moves where they are. leaves: the weights' and their moments'. */
static void build_walk(NervMeta *meta, NervTensor **leaves)
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
        nerv_adam(t, leaves[i], dw[i], leaves[n + i], leaves[2 * n + i], hyper_leaf(meta, &whole->params[i]),
                  &adam);
}

/* The gradient where the walk ends. */
static void build_end(NervMeta *meta, NervTensor **leaves)
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

/* --- making --- */

static bool make_unrolled(NervMeta *meta, GError **error)
{
    const uint32_t n = meta->whole.n_params;
    build_unrolled(meta);
    if (!(meta->exec = nerv_exec_new(meta->be, meta->tape, error)) ||
        !(meta->start = nerv_params_new(meta->be, &meta->reduced, error)) ||
        !nerv_params_bind(meta->start, meta->exec, meta->start_leaf, error) ||
        !(meta->rates = nerv_buffer_new(meta->be, (size_t)n * NERV_PLAN_ALIGN, error)))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!nerv_exec_bind(meta->exec, meta->rate_leaf[i], meta->rates, (size_t)i * NERV_PLAN_ALIGN, error))
            return false;
    return true;
}

static bool make_walk(NervMeta *meta, GError **error)
{
    const uint32_t n = meta->whole.n_params;
    g_autofree NervTensor **leaves = g_new0(NervTensor *, 3 * n);
    build_walk(meta, leaves);
    if (!(meta->exec = nerv_exec_new(meta->be, meta->tape, error)) ||
        !(meta->w = nerv_params_new(meta->be, &meta->whole, error)) ||
        !(meta->m = nerv_params_new(meta->be, &meta->whole, error)) ||
        !(meta->v = nerv_params_new(meta->be, &meta->whole, error)) ||
        !nerv_params_bind(meta->w, meta->exec, leaves, error) ||
        !nerv_params_bind(meta->m, meta->exec, leaves + n, error) ||
        !nerv_params_bind(meta->v, meta->exec, leaves + 2 * n, error))
        return false;
    if (meta->settings.learner != NERV_META_FOMAML)
        return true;
    build_end(meta, leaves);
    return (meta->end_exec = nerv_exec_new(meta->be, meta->end_tape, error)) &&
           nerv_params_bind(meta->w, meta->end_exec, leaves, error);
}

/* A layer's weights as a fit's seed draws them, and maps of grids, within MAP_BOUND. Inner rates are 1. */
static void draw_start(NervMeta *meta)
{
    nerv_model_init_params(&meta->reduced, meta->settings.train.seed, meta->outer.value);
    for (size_t i = meta->outer.n_start; i < meta->outer.n_all; i++)
        meta->outer.value[i] = 1.f;
}

NervMeta *nerv_meta_new(NervBackend *be, const NervModel *model, const NervPixels *pixels,
                        const NervPixels *key_pixels, const NervMetaSettings *settings, GError **error)
{
    if (!settings_valid(settings, model, error))
        return NULL;
    NervMeta *meta = g_new0(NervMeta, 1);
    meta->be = be;
    meta->model = model;
    meta->settings = *settings;
    meta->footage.pixels = pixels;
    if (key_pixels)
        meta->footage.key_pixels = *key_pixels;
    meta->batch =
        model->run_frames > 1 || model->n_keys > 0 ? 1 : MIN(settings->batch, (uint32_t)model->n_runs);
    if (!make_models(meta, error) || !(meta->patches = nerv_patches_new(be, model, &meta->footage, error)) ||
        !(settings->learner == NERV_META_MAML ? make_unrolled(meta, error) : make_walk(meta, error))) {
        nerv_meta_free(meta);
        return NULL;
    }
    const size_t n_weights = (size_t)meta->whole.n_weights;
    nerv_outer_init(&meta->outer, (size_t)meta->reduced.n_weights,
                    settings->learner == NERV_META_MAML ? meta->whole.n_params : 0);
    meta->seen = g_new0(float, (gsize)nerv_start_patches_count(model) + 1);
    meta->weights = g_new(float, 3 * n_weights);
    meta->moved = meta->weights + n_weights;
    meta->gradient = meta->moved + n_weights;
    meta->order = g_new(uint32_t, (gsize)model->n_runs);
    nerv_rng_init(&meta->rng, settings->train.seed ^ UINT64_C(0x6d65746172756e73));
    draw_start(meta);
    return meta;
}

void nerv_meta_free(NervMeta *meta)
{
    if (!meta)
        return;
    nerv_exec_free(meta->exec);
    nerv_exec_free(meta->end_exec);
    nerv_params_free(meta->start);
    nerv_buffer_free(meta->rates);
    nerv_params_free(meta->w);
    nerv_params_free(meta->m);
    nerv_params_free(meta->v);
    nerv_tape_free(meta->tape);
    nerv_tape_free(meta->end_tape);
    for (uint32_t i = 0; i < meta->n_looks; i++)
        nerv_scene_clear(&meta->look[i].scene);
    nerv_scene_clear(&meta->end_look.scene);
    g_free(meta->start_leaf);
    g_free(meta->rate_leaf);
    g_free(meta->start_grad);
    g_free(meta->rate_grad);
    g_free(meta->end_grad);
    g_free(meta->whole.params);
    g_free(meta->reduced.params);
    g_free(meta->patch_leaf);
    g_free(meta->seen);
    g_free(meta->weights);
    nerv_patches_free(meta->patches);
    nerv_outer_clear(&meta->outer);
    g_free(meta->order);
    g_free(meta);
}

/* --- learning --- */

/* A clip's runs in an order of chance; looks take them one behind another and begin anew behind the last. */
typedef struct {
    uint32_t n, next;
} Deal;

static void shuffle(NervMeta *meta, Deal *deal)
{
    for (uint32_t i = 0; i < deal->n; i++)
        meta->order[i] = i;
    for (uint32_t i = deal->n - 1; i > 0; i--) {
        const uint32_t j = nerv_rng_below(&meta->rng, i + 1), swap = meta->order[i];
        meta->order[i] = meta->order[j];
        meta->order[j] = swap;
    }
    deal->next = 0;
}

static bool deal_runs(NervMeta *meta, Deal *deal, Look *look, NervExec *exec, GError **error)
{
    for (uint32_t i = 0; i < meta->batch; i++) {
        if (deal->next == deal->n)
            shuffle(meta, deal);
        nerv_scene_set(&look->scene, (int32_t)i, (int32_t)meta->order[deal->next++]);
    }
    return nerv_scene_write(&look->scene, exec, error);
}

static bool read_loss(NervExec *exec, const Look *look, double *loss, GError **error)
{
    float value;
    if (!nerv_exec_read(exec, look->loss, &value, error))
        return false;
    *loss = value;
    if (isfinite(value))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "meta-learning diverged: lower its inner or its outer rate");
    return false;
}

/* Into dst, one tensor behind the other. */
static bool read_gradients(NervExec *exec, const NervModel *model, NervTensor *const *grad, float *dst,
                           GError **error)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        if (!nerv_exec_read(exec, grad[i], dst, error))
            return false;
        dst += nerv_shape_count(model->params[i].shape);
    }
    return true;
}

/* A grid's patches, and a 1 in front of those of each row. */
static bool write_patches(NervMeta *meta, GError **error)
{
    const float *src = meta->seen;
    for (uint32_t i = 0; i < meta->model->n_params; i++) {
        const NervParam *p = &meta->model->params[i];
        const size_t cells = (size_t)p->shape.h * (size_t)p->shape.w, n = (size_t)nerv_start_patch(p) * cells;
        if (!meta->patch_leaf[i])
            continue;
        g_autofree float *rows = g_new(float, (size_t)p->shape.n *(n + cells));
        float *dst = rows;
        for (int32_t r = 0; r < p->shape.n; r++, dst += n, src += n) {
            for (size_t j = 0; j < cells; j++)
                *dst++ = 1.f;
            memcpy(dst, src, n * sizeof(*dst));
        }
        if (!nerv_exec_write(meta->exec, meta->patch_leaf[i], rows, error))
            return false;
    }
    return true;
}

static bool learn_unrolled(NervMeta *meta, Deal *deal, NervMetaLoss *loss, GError **error)
{
    const uint32_t n = meta->whole.n_params;
    NervOuter *outer = &meta->outer;
    const float *rates = outer->value + outer->n_start;
    if (!nerv_params_upload(meta->start, outer->value, error) || !write_patches(meta, error))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!nerv_buffer_upload(meta->rates, (size_t)i * NERV_PLAN_ALIGN, rates + i, sizeof(*rates), error))
            return false;
    for (uint32_t i = 0; i < meta->n_looks; i++)
        if (!deal_runs(meta, deal, &meta->look[i], meta->exec, error))
            return false;
    if (!nerv_exec_run(meta->exec, error) || !read_loss(meta->exec, &meta->look[0], &loss->before, error) ||
        !read_loss(meta->exec, &meta->look[meta->n_looks - 1], &loss->after, error) ||
        !read_gradients(meta->exec, &meta->reduced, meta->start_grad, meta->gradient, error))
        return false;
    for (uint32_t i = 0; meta->settings.learn_rates && i < n; i++) {
        float d;
        if (!nerv_exec_read(meta->exec, meta->rate_grad[i], &d, error))
            return false;
        outer->sum[outer->n_start + i] += d;
    }
    for (size_t i = 0; i < outer->n_start; i++)
        outer->sum[i] += meta->gradient[i];
    return true;
}

static bool walk(NervMeta *meta, Deal *deal, NervMetaLoss *loss, GError **error)
{
    const NervTrainSettings *s = &meta->settings.train;
    for (uint32_t k = 0; k < meta->settings.inner_steps; k++) {
        for (uint32_t i = 0; i < meta->n_hyper; i++) {
            const float hyper[4] = { (float)(s->learning_rate * meta->hyper[i].rate),
                                     (float)(1. - pow(s->beta1, k + 1.)),
                                     (float)(1. - pow(s->beta2, k + 1.)) };
            if (!nerv_exec_write(meta->exec, meta->hyper[i].leaf, hyper, error))
                return false;
        }
        double now;
        if (!deal_runs(meta, deal, &meta->look[0], meta->exec, error) || !nerv_exec_run(meta->exec, error) ||
            !read_loss(meta->exec, &meta->look[0], &now, error))
            return false;
        if (k == 0)
            loss->before = now;
        loss->after = now;
    }
    return true;
}

static bool learn_walking(NervMeta *meta, Deal *deal, NervMetaLoss *loss, GError **error)
{
    const size_t n = (size_t)meta->whole.n_weights;
    nerv_start_expand(&meta->whole, meta->outer.value, meta->seen, meta->weights);
    if (!nerv_params_upload(meta->w, meta->weights, error) || !nerv_params_clear(meta->m, error) ||
        !nerv_params_clear(meta->v, error) || !walk(meta, deal, loss, error))
        return false;
    if (meta->settings.learner == NERV_META_FOMAML) {
        if (!deal_runs(meta, deal, &meta->end_look, meta->end_exec, error) ||
            !nerv_exec_run(meta->end_exec, error) ||
            !read_loss(meta->end_exec, &meta->end_look, &loss->after, error) ||
            !read_gradients(meta->end_exec, &meta->whole, meta->end_grad, meta->moved, error))
            return false;
        nerv_start_sum(&meta->whole, meta->moved, meta->seen, meta->gradient);
    } else {
        /* the way from the end to the start */
        if (!nerv_exec_wait(meta->exec, error) || !nerv_params_download(meta->w, meta->moved, error))
            return false;
        for (size_t i = 0; i < n; i++)
            meta->moved[i] = meta->weights[i] - meta->moved[i];
        nerv_start_towards(&meta->whole, meta->moved, meta->seen, meta->gradient);
    }
    for (size_t i = 0; i < meta->outer.n_start; i++)
        meta->outer.sum[i] += meta->gradient[i];
    return true;
}

bool nerv_meta_learn(NervMeta *meta, const NervFootage *footage, int32_t n_runs, NervMetaLoss *loss,
                     GError **error)
{
    Deal deal = { .n = (uint32_t)CLAMP(n_runs, 1, meta->model->n_runs) };
    deal.next = deal.n;
    for (uint32_t i = 0; i < meta->n_looks; i++)
        if (!nerv_scene_bind(&meta->look[i].scene, meta->exec, footage, error))
            return false;
    if (meta->end_exec && !nerv_scene_bind(&meta->end_look.scene, meta->end_exec, footage, error))
        return false;
    if (meta->settings.maps && !nerv_patches_run(meta->patches, footage, meta->seen, error))
        return false;
    if (!(meta->settings.learner == NERV_META_MAML ? learn_unrolled(meta, &deal, loss, error)
                                                   : learn_walking(meta, &deal, loss, error)))
        return false;
    meta->outer.n_learned++;
    return true;
}

const float *nerv_meta_gradient(const NervMeta *meta)
{
    return meta->outer.sum;
}

bool nerv_meta_update(NervMeta *meta, double part, GError **error)
{
    const NervMetaSettings *s = &meta->settings;
    if (!meta->outer.n_learned)
        return true;
    if (s->learner == NERV_META_REPTILE)
        nerv_outer_walk(&meta->outer, part * s->outer_rate);
    else
        nerv_outer_adam(&meta->outer, part * s->outer_rate, part * s->rates_rate, s->clip);
    if (nerv_outer_is_finite(&meta->outer))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "meta-learning diverged: lower its inner or its outer rate");
    return false;
}

/* --- out and in --- */

const float *nerv_meta_start(const NervMeta *meta)
{
    return meta->outer.value;
}

/* What was learned; the generator's state and the number of updates in halves that floats hold. */
#define STATE_WORDS 5
#define HALVES      (4 * STATE_WORDS)

size_t nerv_meta_state_count(const NervMeta *meta)
{
    return 3 * meta->outer.n_all + HALVES;
}

void nerv_meta_get_state(const NervMeta *meta, float *dst)
{
    uint64_t words[STATE_WORDS];
    nerv_outer_get(&meta->outer, dst);
    memcpy(words, meta->rng.s, sizeof(meta->rng.s));
    words[STATE_WORDS - 1] = meta->outer.n_updates;
    for (int i = 0; i < HALVES; i++)
        dst[3 * meta->outer.n_all + (size_t)i] = (float)(words[i / 4] >> (i % 4 * 16) & 0xffff);
}

bool nerv_meta_set_state(NervMeta *meta, const float *src, size_t n, GError **error)
{
    const size_t n_all = meta->outer.n_all;
    bool valid = n == nerv_meta_state_count(meta);
    uint64_t words[STATE_WORDS] = { 0 };
    for (size_t i = 0; valid && i < n; i++)
        valid = isfinite(src[i]);
    for (size_t i = 0; valid && i < HALVES; i++) {
        const float half = src[3 * n_all + i];
        valid = half >= 0.f && half <= 65535.f;
        words[i / 4] |= valid ? (uint64_t)half << (i % 4 * 16) : 0;
    }
    if (!valid) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "this is no state of a meta-learner with %zu learned values", n_all);
        return false;
    }
    nerv_outer_set(&meta->outer, src, words[STATE_WORDS - 1]);
    memcpy(meta->rng.s, words, sizeof(meta->rng.s));
    return true;
}

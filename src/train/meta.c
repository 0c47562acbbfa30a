/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Meta-learning, see meta.h. MAML runs its one tape; the others walk step by step, and take from the end of the walk the gradient there, or the way to
 * it. The outer step is taken on the host (meta_outer.h).
 */
#include "train/meta.h"

#include <math.h>
#include <string.h>

#include "train/meta_internal.h"

#define LEAST_LOSS 1e-5

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
                             .relative = true,
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

/* --- making --- */

static bool make_unrolled(NervMeta *meta, GError **error)
{
    const uint32_t n = meta->whole.n_params;
    nerv_meta_build_unrolled(meta);
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
    nerv_meta_build_walk(meta, leaves);
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
    nerv_meta_build_end(meta, leaves);
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

static void find_flows(NervMeta *meta)
{
    NervFlows flows;
    meta->flow_param = meta->model->n_params;
    if (!nerv_model_flows(meta->model, &flows))
        return;
    meta->flow_param = flows.param;
    for (uint32_t i = 0; i < flows.param; i++)
        meta->flow_at += (size_t)nerv_shape_count(meta->model->params[i].shape);
    g_free(flows.spans);
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
    find_flows(meta);
    if (!nerv_meta_make_models(meta, error) ||
        !(meta->patches = nerv_patches_new(be, model, &meta->footage, error)) ||
        !(settings->learner == NERV_META_MAML ? make_unrolled(meta, error) : make_walk(meta, error))) {
        nerv_meta_free(meta);
        return NULL;
    }
    const size_t n_weights = (size_t)meta->whole.n_weights;
    nerv_outer_init(&meta->outer, (size_t)meta->reduced.n_weights,
                    settings->learner == NERV_META_MAML ? meta->whole.n_params : 0);
    meta->seen = g_new0(float, (gsize)nerv_start_patches_count(model) + 1);
    /* a start may have more values than it makes weights */
    meta->weights = g_new(float, 2 * n_weights + MAX(n_weights, meta->outer.n_start));
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

static bool write_flows(NervMeta *meta, const float *flows, GError **error)
{
    if (!meta->flow_leaf)
        return true;
    g_autofree float *none = flows ? NULL : g_new0(float, (gsize)nerv_shape_count(meta->flow_leaf->shape));
    return nerv_exec_write(meta->exec, meta->flow_leaf, flows ? flows : none, error);
}

/* Of a clip's gradient among those of others. */
static float weight_of(const NervMeta *meta, const NervMetaLoss *loss)
{
    return meta->settings.relative ? (float)(1. / (loss->after + LEAST_LOSS)) : 1.f;
}

static bool learn_unrolled(NervMeta *meta, Deal *deal, const float *flows, NervMetaLoss *loss, GError **error)
{
    const uint32_t n = meta->whole.n_params;
    NervOuter *outer = &meta->outer;
    const float *rates = outer->value + outer->n_start;
    if (!nerv_params_upload(meta->start, outer->value, error) || !write_patches(meta, error) ||
        !write_flows(meta, flows, error))
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
    const float weight = weight_of(meta, loss);
    for (uint32_t i = 0; meta->settings.learn_rates && i < n; i++) {
        float d;
        if (!nerv_exec_read(meta->exec, meta->rate_grad[i], &d, error))
            return false;
        outer->sum[outer->n_start + i] += weight * d;
    }
    for (size_t i = 0; i < outer->n_start; i++)
        outer->sum[i] += weight * meta->gradient[i];
    return true;
}

static bool walk(NervMeta *meta, Deal *deal, NervMetaLoss *loss, GError **error)
{
    const NervTrainSettings *s = &meta->settings.train;
    for (uint32_t k = 0; k < meta->settings.inner_steps; k++) {
        for (uint32_t i = 0; i < meta->hypers.n; i++)
            if (!nerv_hyper_write(&meta->hypers.of[i], meta->exec, s->learning_rate, s->beta1, s->beta2,
                                  k + 1., error))
                return false;
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

static bool learn_walking(NervMeta *meta, Deal *deal, const float *flows, NervMetaLoss *loss, GError **error)
{
    const size_t n = (size_t)meta->whole.n_weights;
    float weight = 1.f;
    nerv_start_expand(&meta->whole, meta->outer.value, meta->seen, meta->weights);
    if (flows)
        for (int64_t i = nerv_shape_count(meta->model->params[meta->flow_param].shape); i-- > 0;)
            meta->weights[meta->flow_at + (size_t)i] += flows[i];
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
        weight = weight_of(meta, loss);
    } else {
        /* the way from the end to the start */
        if (!nerv_exec_wait(meta->exec, error) || !nerv_params_download(meta->w, meta->moved, error))
            return false;
        for (size_t i = 0; i < n; i++)
            meta->moved[i] = meta->weights[i] - meta->moved[i];
        nerv_start_towards(&meta->whole, meta->moved, meta->seen, meta->gradient);
    }
    for (size_t i = 0; i < meta->outer.n_start; i++)
        meta->outer.sum[i] += weight * meta->gradient[i];
    return true;
}

bool nerv_meta_learn(NervMeta *meta, const NervFootage *footage, int32_t n_runs, const float *flows,
                     NervMetaLoss *loss, GError **error)
{
    Deal deal = { .n = (uint32_t)CLAMP(n_runs, 1, meta->model->n_runs) };
    deal.next = deal.n;
    for (uint32_t i = 0; i < meta->n_looks; i++)
        if (!nerv_scene_bind(&meta->look[i].scene, meta->exec, footage, error))
            return false;
    if (meta->end_exec && !nerv_scene_bind(&meta->end_look.scene, meta->end_exec, footage, error))
        return false;
    if (meta->flow_param == meta->model->n_params)
        flows = NULL;
    if (meta->settings.maps && !nerv_patches_run(meta->patches, footage, flows, meta->seen, error))
        return false;
    if (!(meta->settings.learner == NERV_META_MAML ? learn_unrolled(meta, &deal, flows, loss, error)
                                                   : learn_walking(meta, &deal, flows, loss, error)))
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

void nerv_meta_set_start(NervMeta *meta, const float *start)
{
    memcpy(meta->outer.value, start, (size_t)nerv_start_count(meta->model) * sizeof(*start));
}

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

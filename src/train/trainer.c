/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fit: builds the training step's tape (frame, network, loss, gradients, Adam), and feeds it step by step
 * with frame numbers, positional encodings and learning rates. See trainer.h.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/params.h"
#include "tensor/steps.h"
#include "train/balance.h"
#include "train/hyper.h"
#include "train/loss.h"
#include "train/prune.h"
#include "train/schedule.h"
#include "train/steps.h"
#include "train/trainer.h"

/* Learned steps move this much faster than weights, in powers of two. */
#define STEPS_RATE 5.
/* In the last fifth of the fit steps stay where they are, on a lattice of quarters of an octave, which takes fewer bits; the weights
 * get used to it. */
#define STEPS_FROZEN_FROM 0.8
#define STEPS_PER_OCTAVE  4.f
/* How often in a fit rows with clipped weights get coarser steps: what the weights would grow to, a step's gradient does not see. */
#define WIDENINGS 50.
/* How often in a fit the head's rate follows its weights, and with how many steps between. */
#define HEAD_LOOKS      50.
#define HEAD_LOOK_STEPS 100
/* Of a step's samples, for what is a mean over those that count: where nothing of a frame is known there are none. */
#define LEAST_SHARE 1e-6f

struct NervTrainer {
    NervBackend *be;
    const NervModel *model;
    NervTrainSettings settings;
    NervSchedule schedule;
    uint32_t extended_from; /* step where the present schedule began; 0: the first one */
    double extension_rate;  /* its peak rate as a part of the settings' */
    uint32_t step;          /* steps done */
    bool finished;
    bool quantised, frozen;   /* what has begun */
    uint32_t first_quantised; /* step, once it has */
    double widened_at;        /* position */
    bool pruned;
    uint32_t first_pruned; /* step, and the schedule's position then; 0 before */
    double pruned_at;

    NervTape *tape;
    NervExec *exec;
    NervParams *w, *m, *v;
    NervParams *s, *sm, *sv; /* the steps and their moments; NULL without quantisation */
    NervParams *masks;       /* of prunable weights, 1 or 0; NULL without pruning */
    NervParams *base;        /* what is added to the weights; NULL without */
    NervScene scene;
    NervHypers hypers;
    double head_first, head_rate; /* the head's size when the fit began; its rate, 1 then */
    double head_looked_at;        /* position, and step */
    uint32_t head_looked;
    NervTensor *mode, *rate_weight; /* INPUT leaves [1,4,1,1] and a scalar; NULL without quantisation */
    NervTensor *emphasis;           /* INPUT scalar: what the run's loss counts; NULL if there is one video */
    NervTensor *loss, *mse, *bits;  /* outputs, scalars; bits may be NULL */
    NervTensor *
        fitted; /* part of the samples that are fitted, and the error and part of those that are held out; outputs, scalars, or NULL */
    NervTensor *held_l1, *held;

    NervRng rng;
    uint32_t *order; /* permutation of the clip's runs */
    uint32_t next;   /* position in it */
    double share;    /* of the last step's frames those that are not beyond a clip's end */
    NervBalance balance;
    uint32_t video; /* of the last step's first run */

    double *loss_ring, *mse_ring, *psnr_ring; /* last epoch's worth of steps */
    double *held_ring, *held_l1_ring;
    uint32_t ring_size;
    double loss_sum, mse_sum, psnr_sum, held_sum, held_l1_sum, last_loss, last_mse, last_bits;
    bool pending; /* a run whose loss has not been read */
    gint64 start_us;
};

void nerv_train_settings_default(NervTrainSettings *s)
{
    *s = (NervTrainSettings){
        .epochs = 100,
        .batch_size = 1,
        .learning_rate = 5e-4,
        .layers_rate = 1.,
        .beta1 = 0.5,
        .beta2 = 0.999,
        .eps = 1e-8,
        .warmup = 0.2,
        .l1_weight = 0.7,
        .ssim_weight = 0.3,
        .mse_weight = 0.,
        .seed = 1,
        .prune_at = .75,
    };
}

static bool settings_valid(const NervTrainSettings *s, GError **error)
{
    if (s->pruning > 0. && s->bits > 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "pruning and quantisation-aware training exclude each other");
        return false;
    }
    if (s->epochs >= 1 && s->batch_size >= 1 && s->learning_rate > 0. && s->learning_rate <= 10. &&
        s->layers_rate > 0. && s->layers_rate <= 100. && s->warmup >= 0. && s->warmup <= 1. &&
        s->beta1 >= 0. && s->beta1 < 1. && s->beta2 >= 0. && s->beta2 < 1. && s->eps > 0. &&
        (s->bits == 0 || (s->bits >= 2 && s->bits <= 12)) && s->quantise_from >= 0. &&
        s->quantise_from <= 1. && s->rate_weight >= 0. && s->rate_weight <= 1e6 && s->balance >= 0. &&
        s->balance <= 1. && s->pruning >= 0. && s->pruning <= .99 && s->prune_at >= 0. && s->prune_at <= 1.)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "training settings out of range: %u epochs, batch %u, learning rate %g, warm-up %g",
                s->epochs, s->batch_size, s->learning_rate, s->warmup);
    return false;
}

/* What the step's tape is made of: 3 n_params leaves each, the values and their two moments. */
typedef struct {
    NervTensor **weights, **steps;
    NervTensor **masks; /* by parameter, NULL where it is not prunable; NULL without pruning */
    NervTensor **base;  /* one each; NULL without */
} Leaves;

static void leaves_clear(Leaves *l)
{
    g_free(l->weights);
    g_free(l->steps);
    g_free(l->masks);
    g_free(l->base);
}

/* The weights as the stream will hold them, into q, and their estimated bits. */
static NervTensor *quantise_all(NervTrainer *tr, const Leaves *l, NervTensor **q)
{
    const NervModel *model = tr->model;
    NervTape *t = tr->tape;
    NervTensor *bits = NULL;
    tr->mode = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "mode");
    tr->rate_weight = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 1, 1, 1), "rate-weight");
    for (uint32_t i = 0; i < model->n_params; i++) {
        q[i] = nerv_fake_quantise(t, l->weights[i], l->steps[i], tr->mode,
                                  nerv_steps_max_index(&model->params[i], tr->settings.bits));
        if (!q[i])
            return NULL;
        bits = bits ? nerv_add(t, bits, q[i]->node->out[1]) : q[i]->node->out[1];
    }
    return bits;
}

/* Gradients of the objective and an Adam for each tensor. */
static void build_descent(NervTrainer *tr, const Leaves *l, NervTensor *objective)
{
    const uint32_t n = tr->model->n_params, n_all = l->steps ? 2 * n : n;
    const NervAdamAttr adam = { (float)tr->settings.beta1, (float)tr->settings.beta2, (float)tr->settings.eps,
                                0.f };
    NervTape *t = tr->tape;
    g_autofree NervTensor **wrt = g_new0(NervTensor *, n_all), **grads = g_new0(NervTensor *, n_all);
    memcpy(wrt, l->weights, n * sizeof(*wrt));
    if (l->steps)
        memcpy(wrt + n, l->steps, n * sizeof(*wrt));
    nerv_tape_grad(t, objective, wrt, n_all, grads);
    for (uint32_t i = 0; i < n; i++) {
        if (l->masks && l->masks[i])
            grads[i] = nerv_mul(t, grads[i], l->masks[i]);
        NervTensor *hyper =
            nerv_hypers_param(&tr->hypers, t, &tr->model->params[i], tr->settings.layers_rate);
        nerv_adam(t, l->weights[i], grads[i], l->weights[n + i], l->weights[2 * n + i], hyper, &adam);
    }
    for (uint32_t i = 0; l->steps && i < n; i++)
        nerv_adam(t, l->steps[i], grads[n + i], l->steps[n + i], l->steps[2 * n + i],
                  nerv_hypers_leaf(&tr->hypers, t, NERV_HYPER_STEPS, STEPS_RATE), &adam);
}

static void add_leaves(NervTrainer *tr, const NervFootage *footage, Leaves *l)
{
    const NervModel *model = tr->model;
    const uint32_t n = model->n_params;
    NervTape *t = tr->tape;

    nerv_scene_init(&tr->scene, t, model, footage, (int32_t)tr->settings.batch_size);
    l->weights = g_new0(NervTensor *, 3 * n);
    nerv_params_leaves(model, t, "", l->weights);
    nerv_params_leaves(model, t, "m.", l->weights + n);
    nerv_params_leaves(model, t, "v.", l->weights + 2 * n);
    if (tr->settings.pruning > 0.) {
        l->masks = g_new0(NervTensor *, n);
        for (uint32_t i = 0; i < n; i++)
            if (model->params[i].prunable)
                l->masks[i] = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, model->params[i].shape, "mask");
    }
    if (tr->settings.base) {
        l->base = g_new0(NervTensor *, n);
        nerv_params_leaves(model, t, "base.", l->base);
    }
    if (tr->settings.bits == 0)
        return;
    l->steps = g_new0(NervTensor *, 3 * n);
    nerv_params_step_leaves(model, t, "s.", l->steps);
    nerv_params_step_leaves(model, t, "s.m.", l->steps + n);
    nerv_params_step_leaves(model, t, "s.v.", l->steps + 2 * n);
}

/* Where only some samples are fitted: how many, and how far off those are that are held out. */
static void add_masked(NervTrainer *tr, NervTensor *rgb)
{
    const NervScene *s = &tr->scene;
    NervTape *t = tr->tape;
    if (!s->fitted)
        return;
    tr->fitted = nerv_reduce_mean(t, s->fitted, NERV_AXIS_ALL);
    nerv_tape_output(t, tr->fitted, "fitted");
    if (!s->held)
        return;
    tr->held = nerv_reduce_mean(t, s->held, NERV_AXIS_ALL);
    tr->held_l1 = nerv_l1(t, nerv_mul(t, rgb, s->held), nerv_mul(t, s->target, s->held));
    nerv_tape_output(t, tr->held, "held");
    nerv_tape_output(t, tr->held_l1, "held-l1");
}

/* One step as one tape. */
static void build_tape(NervTrainer *tr, const NervFootage *footage, Leaves *l)
{
    NervTape *t = tr->tape = nerv_tape_new();
    g_autofree NervTensor **q = g_new0(NervTensor *, tr->model->n_params);

    add_leaves(tr, footage, l);
    memcpy(q, l->weights, tr->model->n_params * sizeof(*q));
    if (l->steps)
        tr->bits = quantise_all(tr, l, q);
    for (uint32_t i = 0; l->base && i < tr->model->n_params; i++)
        q[i] = nerv_add(t, q[i], l->base[i]);
    NervTensor *whole = nerv_model_build(tr->model, t, q, tr->scene.input, tr->scene.keys);
    NervTensor *target = nerv_scene_mask(&tr->scene, t, tr->scene.target);
    NervTensor *rgb = nerv_scene_mask(&tr->scene, t, whole);
    tr->loss = nerv_loss_build(t, &tr->settings, rgb, target);
    tr->mse = tr->scene.fitted ? nerv_mse(t, nerv_scene_mask_fitted(&tr->scene, t, whole),
                                          nerv_scene_mask_fitted(&tr->scene, t, tr->scene.target))
                               : nerv_mse(t, rgb, target);
    nerv_tape_output(t, tr->loss, "loss");
    nerv_tape_output(t, tr->mse, "mse");
    add_masked(tr, whole);
    if (l->steps)
        nerv_tape_output(t, tr->bits, "bits");
    NervTensor *objective = tr->loss;
    if (tr->model->n_videos > 1 && tr->settings.balance > 0.) {
        tr->emphasis = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 1, 1, 1), "emphasis");
        objective = nerv_mul(t, objective, tr->emphasis);
    }
    build_descent(tr, l,
                  l->steps ? nerv_add(t, objective, nerv_mul(t, tr->bits, tr->rate_weight)) : objective);
}

/* Values and two moments of one kind, and their binding. */
static bool make_params(NervTrainer *tr, bool steps, NervTensor *const *leaves, NervParams **values,
                        NervParams **m, NervParams **v, GError **error)
{
    NervParams *(*make)(NervBackend *, const NervModel *, GError **) =
        steps ? nerv_params_new_steps : nerv_params_new;
    const uint32_t n = tr->model->n_params;
    return (*values = make(tr->be, tr->model, error)) && (*m = make(tr->be, tr->model, error)) &&
           (*v = make(tr->be, tr->model, error)) && nerv_params_bind(*values, tr->exec, leaves, error) &&
           nerv_params_bind(*m, tr->exec, leaves + n, error) &&
           nerv_params_bind(*v, tr->exec, leaves + 2 * n, error);
}

static bool make_masks(NervTrainer *tr, NervTensor *const *leaves, GError **error)
{
    tr->masks = nerv_prune_masks_new(tr->be, tr->model, error);
    for (uint32_t i = 0; tr->masks && i < tr->model->n_params; i++)
        if (leaves[i] && !nerv_exec_bind(tr->exec, leaves[i], tr->masks->buffer, tr->masks->offset[i], error))
            return false;
    return tr->masks != NULL;
}

static bool make_base(NervTrainer *tr, NervTensor *const *leaves, GError **error)
{
    const float *base = tr->settings.base;
    tr->settings.base = NULL; /* the caller's */
    tr->base = nerv_params_new(tr->be, tr->model, error);
    return tr->base && nerv_params_bind(tr->base, tr->exec, leaves, error) &&
           nerv_params_upload(tr->base, base, error);
}

static void make_schedule(NervTrainer *tr)
{
    const uint64_t n_runs = (uint64_t)tr->model->n_runs, batch = tr->settings.batch_size;
    const uint64_t passes = (n_runs * tr->settings.epochs + batch - 1) / batch;
    const uint64_t n_steps = tr->settings.steps ? tr->settings.steps : passes;
    nerv_schedule_init(&tr->schedule, (uint32_t)MIN(n_steps, UINT32_MAX), tr->settings.deadline_us);
    tr->ring_size = (uint32_t)((n_runs + batch - 1) / batch);
    tr->loss_ring = g_new0(double, tr->ring_size);
    tr->mse_ring = g_new0(double, tr->ring_size);
    tr->psnr_ring = g_new0(double, tr->ring_size);
    tr->held_ring = g_new0(double, tr->ring_size);
    tr->held_l1_ring = g_new0(double, tr->ring_size);
    tr->order = g_new(uint32_t, n_runs);
    for (uint32_t i = 0; i < n_runs; i++)
        tr->order[i] = i;
    tr->next = (uint32_t)n_runs; /* shuffled at the first step */
    /* A stream of its own: the weights' draws, which depend on the model's size, must not shift the order of
     * frames. */
    nerv_rng_init(&tr->rng, tr->settings.seed ^ UINT64_C(0x6672616d65730001));
}

NervTrainer *nerv_trainer_new(NervBackend *be, const NervModel *model, const NervFootage *footage,
                              const NervTrainSettings *settings, GError **error)
{
    if (!settings_valid(settings, error))
        return NULL;
    NervTrainer *tr = g_new0(NervTrainer, 1);
    Leaves leaves = { 0 };
    float *initial = NULL;

    tr->be = be;
    tr->model = model;
    tr->settings = *settings;
    tr->settings.batch_size = model->run_frames > 1 || model->n_keys > 0 || model->n_videos > 1
                                  ? 1
                                  : MIN(settings->batch_size, (uint32_t)model->n_runs);
    build_tape(tr, footage, &leaves);
    tr->exec = nerv_exec_new(be, tr->tape, error);
    if (!tr->exec || !nerv_scene_bind(&tr->scene, tr->exec, footage, error) ||
        !make_params(tr, false, leaves.weights, &tr->w, &tr->m, &tr->v, error) ||
        (leaves.steps && !make_params(tr, true, leaves.steps, &tr->s, &tr->sm, &tr->sv, error)) ||
        (leaves.masks && !make_masks(tr, leaves.masks, error)) ||
        (leaves.base && !make_base(tr, leaves.base, error)))
        goto error;
    make_schedule(tr);
    nerv_balance_init(&tr->balance, MAX(model->n_videos, 1), settings->balance);

    initial = g_try_new(float, (gsize)model->n_weights);
    if (!initial) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the initial weights");
        goto error;
    }
    nerv_model_init_params(model, tr->settings.seed, initial);
    if (!nerv_params_upload(tr->w, initial, error))
        goto error;
    g_free(initial);
    leaves_clear(&leaves);
    return tr;

error:
    g_free(initial);
    leaves_clear(&leaves);
    nerv_trainer_free(tr);
    return NULL;
}

void nerv_trainer_free(NervTrainer *tr)
{
    if (!tr)
        return;
    nerv_exec_free(tr->exec);
    nerv_params_free(tr->w);
    nerv_params_free(tr->m);
    nerv_params_free(tr->v);
    nerv_params_free(tr->s);
    nerv_params_free(tr->sm);
    nerv_params_free(tr->sv);
    nerv_params_free(tr->masks);
    nerv_params_free(tr->base);
    nerv_tape_free(tr->tape);
    g_free(tr->order);
    nerv_scene_clear(&tr->scene);
    nerv_balance_clear(&tr->balance);
    g_free(tr->loss_ring);
    g_free(tr->mse_ring);
    g_free(tr->psnr_ring);
    g_free(tr->held_ring);
    g_free(tr->held_l1_ring);
    g_free(tr);
}

/* Fisher-Yates; epochs follow each other without a gap, so that every batch is full. */
static uint32_t next_run(NervTrainer *tr)
{
    const uint32_t n = (uint32_t)tr->model->n_runs;
    if (tr->next == n) {
        for (uint32_t i = n - 1; i > 0; i--) {
            const uint32_t j = nerv_rng_below(&tr->rng, i + 1), swap = tr->order[i];
            tr->order[i] = tr->order[j];
            tr->order[j] = swap;
        }
        tr->next = 0;
    }
    return tr->order[tr->next++];
}

/* Pruning begins a schedule of its own, like a fit that starts from what is left. */
static double learning_rate(const NervTrainer *tr)
{
    const NervTrainSettings *s = &tr->settings;
    if (tr->extended_from)
        return nerv_schedule_lr(s->learning_rate * tr->extension_rate, 0., tr->schedule.position,
                                tr->schedule.next);
    const double to = tr->masks && !tr->pruned ? s->prune_at : 1., part = MAX(to - tr->pruned_at, 1e-9);
    return nerv_schedule_lr(s->learning_rate, s->warmup, (tr->schedule.position - tr->pruned_at) / part,
                            MIN((tr->schedule.next - tr->pruned_at) / part, 1.));
}

/* Rates and Adam's corrections of this step, and whether the weights are quantised in it. */
static bool write_hyper(NervTrainer *tr, GError **error)
{
    const NervTrainSettings *s = &tr->settings;
    const double lr = learning_rate(tr);
    const bool quantised = tr->quantised;
    const double n_pixels = (double)tr->model->clip.width * tr->model->clip.height * tr->model->clip.n_frames;
    const float mode[4] = { quantised ? 1.f : 0.f };
    const float rate_weight = quantised ? (float)(s->rate_weight / n_pixels) : 0.f;

    for (uint32_t i = 0; i < tr->hypers.n; i++) {
        const NervHyper *h = &tr->hypers.of[i];
        const bool is_steps = h->kind == NERV_HYPER_STEPS, learned = quantised && !tr->frozen;
        const double t = tr->step + 1. - (is_steps && quantised ? tr->first_quantised : tr->first_pruned);
        const double part = is_steps ? learned : h->kind == NERV_HYPER_HEAD ? tr->head_rate : 1.;
        if (!nerv_hyper_write(h, tr->exec, lr * part, s->beta1, s->beta2, t, error))
            return false;
    }
    return !tr->mode || (nerv_exec_write(tr->exec, tr->mode, mode, error) &&
                         nerv_exec_write(tr->exec, tr->rate_weight, &rate_weight, error));
}

static bool write_inputs(NervTrainer *tr, GError **error)
{
    tr->share = 0.;
    for (uint32_t i = 0; i < tr->settings.batch_size; i++) {
        const int32_t run = (int32_t)next_run(tr);
        nerv_scene_set(&tr->scene, (int32_t)i, run);
        const NervRun what = nerv_model_run(tr->model, run);
        tr->share += (double)what.n / tr->model->run_frames / tr->settings.batch_size;
        tr->video = what.video;
    }
    const float emphasis = (float)nerv_balance_weight(&tr->balance, tr->video);
    if (tr->emphasis && !nerv_exec_write(tr->exec, tr->emphasis, &emphasis, error))
        return false;
    return nerv_scene_write(&tr->scene, tr->exec, error) && write_hyper(tr, error);
}

static double psnr_of(double mse)
{
    return -10. * log10(MAX(mse, 1e-12));
}

/* A value into its ring, and the ring's sum. */
static void put(double *ring, uint32_t at, double *sum, double value)
{
    *sum += value - ring[at];
    ring[at] = value;
}

/* The same of what is held out: sums over the window, since one step may have few such samples, or none. */
static bool collect_held(NervTrainer *tr, uint32_t at, GError **error)
{
    float part, l1;
    if (!tr->held)
        return true;
    if (!nerv_exec_read(tr->exec, tr->held, &part, error) ||
        !nerv_exec_read(tr->exec, tr->held_l1, &l1, error))
        return false;
    put(tr->held_ring, at, &tr->held_sum, part);
    put(tr->held_l1_ring, at, &tr->held_l1_sum, l1);
    return true;
}

/* Takes the finished step's loss into the window. */
static bool collect(NervTrainer *tr, GError **error)
{
    float loss, mse;
    if (!tr->pending)
        return true;
    if (!nerv_exec_read(tr->exec, tr->loss, &loss, error) || !nerv_exec_read(tr->exec, tr->mse, &mse, error))
        return false;
    if (tr->bits) {
        float bits;
        if (!nerv_exec_read(tr->exec, tr->bits, &bits, error))
            return false;
        tr->last_bits = bits;
    }
    const uint32_t at = (tr->step - 1) % tr->ring_size;
    float share = (float)tr->share;
    if ((tr->fitted && !nerv_exec_read(tr->exec, tr->fitted, &share, error)) || !collect_held(tr, at, error))
        return false;
    tr->pending = false;
    share = MAX(share, LEAST_SHARE);
    tr->last_loss = loss = loss / share;
    tr->last_mse = mse = mse / share;
    nerv_balance_add(&tr->balance, tr->video, loss);
    put(tr->loss_ring, at, &tr->loss_sum, loss);
    put(tr->mse_ring, at, &tr->mse_sum, mse);
    put(tr->psnr_ring, at, &tr->psnr_sum, psnr_of(mse));
    if (!isfinite(loss)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "the fit diverged at step %u; lower the learning rate", tr->step);
        return false;
    }
    return true;
}

/* Steps for the weights as they are: the first ones, or coarser ones for rows that are clipped. */
static bool suit_steps(const NervTrainer *tr, float *s, bool first, GError **error)
{
    g_autofree float *w = g_try_new(float, (gsize)tr->model->n_weights);
    if (!w) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights");
        return false;
    }
    if (!nerv_params_download(tr->w, w, error))
        return false;
    if (!first)
        nerv_steps_widen(tr->model, tr->settings.bits, w, s);
    else if (!nerv_steps_first(tr->model, tr->settings.bits, w, tr->settings.first_bits, s)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the quantiser's steps");
        return false;
    }
    return true;
}

/* Zeros stay zero: neither their gradients nor, from now on, their moments are anything else. */
static bool prune(NervTrainer *tr, GError **error)
{
    const int64_t n = tr->model->n_weights;
    g_autofree float *w = g_try_new(float, (gsize)n);
    g_autofree float *mask = g_try_new(float, (gsize)n);
    if (!w || !mask) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to prune the weights");
        return false;
    }
    tr->pruned = true;
    tr->first_pruned = tr->step;
    tr->pruned_at = tr->schedule.position;
    return nerv_trainer_get_params(tr, w, error) &&
           nerv_prune(tr->model, tr->settings.pruning, w, mask, error) &&
           nerv_trainer_set_params(tr, w, error) && nerv_params_upload(tr->masks, mask, error);
}

/* Moves the steps otherwise than by their gradient. */
static bool change_steps(NervTrainer *tr, bool quantise, bool freeze, GError **error)
{
    const int64_t n = nerv_model_steps(tr->model);
    g_autofree float *s = g_try_new0(float, (gsize)n);
    if (!s) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the quantiser's steps");
        return false;
    }
    if (!nerv_exec_wait(tr->exec, error) || (!quantise && !nerv_params_download(tr->s, s, error)) ||
        ((quantise || !freeze) && !suit_steps(tr, s, quantise, error)))
        return false;
    if (quantise)
        tr->first_quantised = tr->step;
    tr->quantised = true;
    tr->widened_at = tr->schedule.position;
    for (int64_t i = 0; freeze && i < n; i++)
        s[i] = rintf(s[i] * STEPS_PER_OCTAVE) / STEPS_PER_OCTAVE;
    tr->frozen = tr->frozen || freeze;
    return nerv_params_upload(tr->s, s, error);
}

/* Steps of Adam are as large as their rate, whatever a weight's size. What is noise in them adds up in a long fit and makes features larger, and the head's
 * weights smaller by as much: at a rate that stayed they would be nothing but noise in the end (docs/design.md, "Defaults"). */
static bool look_at_head(NervTrainer *tr, GError **error)
{
    const double at = tr->schedule.position;
    if (tr->step && (tr->step < tr->head_looked + HEAD_LOOK_STEPS ||
                     (at >= tr->head_looked_at && at < tr->head_looked_at + 1. / HEAD_LOOKS)))
        return true;
    double size;
    if (!nerv_exec_wait(tr->exec, error) || !nerv_hyper_head_size(tr->model, tr->w, tr->base, &size, error))
        return false;
    if (tr->step == 0)
        tr->head_first = size;
    tr->head_rate = tr->head_first > 0. ? MIN(size / tr->head_first, 1.) : 1.;
    tr->head_looked_at = at;
    tr->head_looked = tr->step;
    return true;
}

/* What begins with the step to come: pruning; or quantisation, coarser steps for clipped rows, then the steps' rest at the nearest place of
 * the lattice. */
static bool begin_stages(NervTrainer *tr, GError **error)
{
    const double at = tr->schedule.position;
    const bool last = tr->schedule.next >= 1.;
    if (tr->masks && !tr->pruned && (at >= tr->settings.prune_at || last))
        return prune(tr, error);
    if (!tr->s || tr->frozen)
        return true;
    const bool quantise = !tr->quantised && (at >= tr->settings.quantise_from || last);
    const bool freeze = (tr->quantised || quantise) && at >= STEPS_FROZEN_FROM;
    const bool widen = tr->quantised && at >= tr->widened_at + 1. / WIDENINGS;
    return (!quantise && !freeze && !widen) || change_steps(tr, quantise, freeze, error);
}

bool nerv_trainer_step(NervTrainer *tr, GError **error)
{
    if (nerv_trainer_done(tr))
        return true;
    if (tr->step == 0) {
        tr->start_us = g_get_monotonic_time();
        nerv_schedule_update(&tr->schedule, 0);
    }
    if (!look_at_head(tr, error) || !begin_stages(tr, error) || !collect(tr, error) ||
        !write_inputs(tr, error) || !nerv_exec_run(tr->exec, error))
        return false;
    tr->step++;
    tr->pending = true;
    nerv_schedule_update(&tr->schedule, tr->step - tr->extended_from);
    tr->finished = tr->schedule.position >= 1. && (!tr->s || tr->quantised) && (!tr->masks || tr->pruned);
    return !tr->finished || collect(tr, error);
}

void nerv_trainer_extend(NervTrainer *tr, uint32_t n_steps, double rate)
{
    nerv_schedule_init(&tr->schedule, MAX(n_steps, 1), 0);
    tr->extended_from = tr->step;
    tr->extension_rate = rate;
    tr->finished = tr->frozen = false;
}

bool nerv_trainer_done(const NervTrainer *tr)
{
    return tr->finished;
}

void nerv_trainer_progress(const NervTrainer *tr, NervTrainProgress *p)
{
    const uint32_t read = tr->step - tr->pending, window = MIN(read, tr->ring_size);
    const double seconds = (double)(g_get_monotonic_time() - tr->start_us) * 1e-6;
    *p = (NervTrainProgress){ .step = tr->step,
                              .n_steps = tr->extended_from +
                                         nerv_schedule_steps(&tr->schedule, tr->step - tr->extended_from),
                              .position = tr->schedule.position,
                              .bits = tr->last_bits };
    if (window) {
        p->loss = tr->loss_sum / window;
        p->psnr = psnr_of(tr->mse_sum / window);
        p->psnr_frames = tr->psnr_sum / window;
    }
    if (read >= tr->ring_size && tr->held_sum > 0.)
        p->held_l1 = tr->held_l1_sum / tr->held_sum;
    if (tr->step) {
        p->steps_per_second = tr->step / MAX(seconds, 1e-6);
        p->eta_seconds = (p->n_steps - tr->step) / p->steps_per_second;
    }
}

void nerv_trainer_last(NervTrainer *tr, double *loss, double *mse)
{
    collect(tr, NULL);
    *loss = tr->last_loss;
    *mse = tr->last_mse;
}

NervExec *nerv_trainer_exec(NervTrainer *tr)
{
    return tr->exec;
}

bool nerv_trainer_get_params(NervTrainer *tr, float *dst, GError **error)
{
    return nerv_exec_wait(tr->exec, error) && nerv_params_download(tr->w, dst, error);
}

bool nerv_trainer_set_params(NervTrainer *tr, const float *src, GError **error)
{
    return nerv_exec_wait(tr->exec, error) && nerv_params_upload(tr->w, src, error) &&
           nerv_params_clear(tr->m, error) && nerv_params_clear(tr->v, error);
}

bool nerv_trainer_get_steps(NervTrainer *tr, uint16_t *codes, GError **error)
{
    const int64_t n = nerv_model_steps(tr->model);
    if (!tr->s || !tr->quantised || tr->step <= tr->first_quantised) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "the weights have not been quantised yet");
        return false;
    }
    g_autofree float *s = g_try_new(float, (gsize)n);
    if (!s) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the quantiser's steps");
        return false;
    }
    if (!nerv_exec_wait(tr->exec, error) || !nerv_params_download(tr->s, s, error))
        return false;
    for (int64_t i = 0; i < n; i++)
        codes[i] = (uint16_t)nerv_quant_log2_code(s[i]);
    return true;
}

void nerv_trainer_set_rate_weight(NervTrainer *tr, double rate_weight)
{
    tr->settings.rate_weight = rate_weight;
}

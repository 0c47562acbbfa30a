/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Meta-learning: initial weights from which a few steps fit a new clip, learned on many clips. The learners are MAML with its second-order
 * gradient and the first-order form of it (Finn, Abbeel and Levine 2017), and Reptile (Nichol, Achiam and Schulman 2018); as MetaNeRV has it,
 * every upsampling block's output may be compared with the frame in its size (spatial guidance), and a clip's frames may become more in the
 * course of learning (temporal guidance, which is the caller's: n_runs).
 *
 * What a start is, and that a grid begins as a map of the clip's pictures, is said in models/start.h.
 */
#pragma once

#include "train/trainer.h"

typedef enum { NERV_META_MAML, NERV_META_FOMAML, NERV_META_REPTILE, NERV_META_N } NervMetaLearner;

/* "maml", "fomaml", "reptile"; parse returns false for another name. */
const char *nerv_meta_learner_name(NervMetaLearner learner);
bool nerv_meta_learner_parse(const char *name, NervMetaLearner *learner);

typedef struct {
    NervMetaLearner learner;
    uint32_t inner_steps; /* 1..NERV_META_MAX_STEPS, MAML's at most NERV_META_MAX_UNROLLED */
    uint32_t batch;       /* runs a step, clamped as the trainer's */
    /* MAML's inner steps are gradient descent at this rate times the learned one of the tensor; a grid's is that times the cells of a row. Those of the
     * others are Adam's, with the rate that a fit has for the tensor. */
    double inner_rate;
    bool
        learn_rates; /* MAML: a rate for each tensor is learned beside the weights; else all are inner_rate */
    double outer_rate; /* Adam's; of Reptile the part of the way, 0..1 */
    double rates_rate; /* Adam's for the inner rates, which begin with 1 */
    double clip;       /* most that the outer gradient's norm may be; 0: no bound */
    bool maps;         /* grids begin as maps of a clip's patches; else alike everywhere */
    bool
        relative; /* a clip's gradient counts over its loss behind the inner steps: clips that are hard to show count no more than others */
    double spatial;          /* weight of the mean of the blocks' losses beside the frame's; 0: none */
    NervTrainSettings train; /* the loss, Adam's numbers, the learning rate and the seed */
} NervMetaSettings;

#define NERV_META_MAX_STEPS    256
#define NERV_META_MAX_UNROLLED 16

/* MAML, 4 steps of 4 frames, guided; the squared error. */
void nerv_meta_settings_default(NervMetaSettings *s);

typedef struct NervMeta NervMeta;

/* The model and the pixels' layout must outlive it; both are the same for all clips. key_pixels: of keyframes, NULL where the model has none.
 * NERV_ERROR_INVALID for settings out of range. */
NervMeta *nerv_meta_new(NervBackend *be, const NervModel *model, const NervPixels *pixels,
                        const NervPixels *key_pixels, const NervMetaSettings *settings, GError **error);
void nerv_meta_free(NervMeta *meta);

/* What learning from a clip found: losses in front of the inner steps and behind them, the latter of runs of its own. */
typedef struct {
    double before, after;
} NervMetaLoss;

/* Learns from the first n_runs runs of one clip, 1..model->n_runs; what it learned waits for nerv_meta_update(). flows: what was found for the model's
 * grid of flows (nerv_model_flows()), to which what is learned of it is added; NULL: nothing. Losses that are not finite
 * are NERV_ERROR_INVALID, and nothing of the clip is kept. */
bool nerv_meta_learn(NervMeta *meta, const NervFootage *footage, int32_t n_runs, const float *flows,
                     NervMetaLoss *loss, GError **error);
/* What was learned since the last update: the sum of the clips' gradients in the start (of Reptile the ways back from where the clips led), a value
 * of models/start.h each, and behind it those in MAML's inner rates. */
const float *nerv_meta_gradient(const NervMeta *meta);
/* Moves the start by the mean of what was learned since the last time, at `part` of the outer rate; without any it does nothing. */
bool nerv_meta_update(NervMeta *meta, double part, GError **error);

/* Goes on from another start, nerv_start_count(model) floats, in place of what was learned or drawn. */
void nerv_meta_set_start(NervMeta *meta, const float *start);
/* nerv_start_count(model) floats, the meta-learner's; any other model of its configuration begins with the same (models/start.h). */
const float *nerv_meta_start(const NervMeta *meta);

/* All that a later nerv_meta_set_state() needs to go on as if nothing had been: floats, and how many. */
size_t nerv_meta_state_count(const NervMeta *meta);
void nerv_meta_get_state(const NervMeta *meta, float *dst);
bool nerv_meta_set_state(NervMeta *meta, const float *src, size_t n, GError **error);

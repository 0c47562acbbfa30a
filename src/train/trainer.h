/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fits a model to stored frames: the paper's loss 0.7 L1 + 0.3 (1 - SSIM), Adam, warm-up and cosine, shuffled
 * batches. One training step is one plan, run once per step.
 */
#pragma once

#include "train/footage.h"
#include "train/steps.h"

typedef struct NervTrainer NervTrainer;

typedef struct {
    uint32_t epochs; /* passes over the clip, >= 1 */
    uint32_t steps;  /* in their place: steps in all; 0: none said */
    uint32_t
        batch_size; /* runs per step, >= 1; clamped to the clip's, and to 1 if a run has several frames or keyframes, or the model several videos */
    double learning_rate; /* peak, > 0 */
    double layers_rate;   /* in units of it: that of all that is no grid; 1 */
    double beta1, beta2;  /* Adam; the paper's 0.5, 0.999 */
    double eps;           /* 1e-8 */
    double warmup;        /* fraction of all steps, 0..1; the paper's 0.2 */
    /* loss = l1 L1 + ssim (1-SSIM) + msssim (1 - mean SSIM of scales) + mse MSE; the paper's 0.7, 0.3, 0, 0 */
    double l1_weight, ssim_weight, msssim_weight, mse_weight;
    uint64_t seed; /* initial weights and shuffling */
    /* Quantisation-aware training: from the fraction `quantise_from` of all steps on, 0..1, the network is evaluated with weights
     * as the stream holds them, with learned steps, and the loss is that plus rate_weight times the estimated bits of the
     * weights per pixel of the clip. bits 2..12: indices stay below 2^(bits-1), biases' below NERV_TRAIN_BIAS_INDEX; 0: no quantisation. */
    uint32_t bits;
    double quantise_from, rate_weight;
    double
        first_bits; /* estimated, that the weights take at most when quantisation begins: steps are as coarse as that takes; 0: no bound */
    /* A time of g_get_monotonic_time() at which the fit ends, in place of `epochs`; the schedules run over the time from the first step
     * to it. 0: none. At least one step is made, and one quantised step. */
    gint64 deadline_us;
    /* Pruning: after the fraction `prune_at` of all steps, 0..1, this share of the prunable weights, 0..0.99, becomes zero and stays it
     * (prune.h); what is left is trained on with a schedule and moments of its own. Not together with bits. 0: none. */
    double pruning, prune_at;
    /* Added to the weights, once they are quantised, before the network is evaluated: model->n_weights floats in the model's order that
     * nerv_trainer_new() copies. Weights, their gradients and their bits are then of what is beyond it. NULL: none. */
    const float *base;
    double balance; /* of the segment's videos, 0..1, balance.h; 0: all frames count the same */
} NervTrainSettings;

/* The paper's settings: 0.5/0.999, lr 5e-4, warm-up .2, batch 1, 0.7/0.3, no quantisation. */
void nerv_train_settings_default(NervTrainSettings *s);

typedef struct {
    uint32_t step, n_steps; /* steps done, steps in all: an estimate where time decides */
    double position;        /* part of the fit that is done, 0..1 */
    double loss;            /* mean over the last epoch's worth of steps */
    double psnr;            /* dB, from the mean MSE over the same window */
    double psnr_frames;     /* the mean of its steps' */
    double
        held_l1; /* of the samples that are held out, the mean absolute error over the same window; 0 where none are, or before it is full */
    double bits; /* estimated length of the quantised weights at the last step, 0 before they are */
    double steps_per_second;
    double eta_seconds;
} NervTrainProgress;

/* The model and the footage's pictures must outlive the trainer. Initial weights are drawn from the seed. */
NervTrainer *nerv_trainer_new(NervBackend *be, const NervModel *model, const NervFootage *footage,
                              const NervTrainSettings *settings, GError **error);
void nerv_trainer_free(NervTrainer *tr);

/* One step. Returns false on error; after the last step it does nothing and returns true. */
bool nerv_trainer_step(NervTrainer *tr, GError **error);
bool nerv_trainer_done(const NervTrainer *tr);
/* After the last step: n_steps more, with a cosine of their own that falls from `rate` times the learning rate, and with steps that are learned
 * again until its last fifth. The position starts from 0. */
void nerv_trainer_extend(NervTrainer *tr, uint32_t n_steps, double rate);
void nerv_trainer_progress(const NervTrainer *tr, NervTrainProgress *p);
/* Loss and MSE of the last step; waits for it. */
void nerv_trainer_last(NervTrainer *tr, double *loss, double *mse);

/* The training step, for who measures it; owned by the trainer. */
NervExec *nerv_trainer_exec(NervTrainer *tr);

/* Copies all parameters, in the model's order, one after the other: n_weights floats. set_params also resets
 * the moments. */
bool nerv_trainer_get_params(NervTrainer *tr, float *dst, GError **error);
bool nerv_trainer_set_params(NervTrainer *tr, const float *src, GError **error);
/* rate_weight from the next step on. */
void nerv_trainer_set_rate_weight(NervTrainer *tr, double rate_weight);
/* The learned steps, as codes of tensor/steps.h: nerv_param_steps() for each parameter in the model's order. With the parameters they
 * give the weights that the last steps were evaluated with. NERV_ERROR_INVALID before quantisation has begun. */
bool nerv_trainer_get_steps(NervTrainer *tr, uint16_t *codes, GError **error);

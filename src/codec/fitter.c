/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fit of one segment, see fitter.h. What a step does is the trainer's, how weights are coded is weights.c's, how the rate's
 * weight moves is rate.c's; this file takes them in turns.
 */
#include "codec/fitter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/patience.h"
#include "codec/rate.h"
#include "codec/tensors.h"
#include "tensor/steps.h"

#define SIZE_TOLERANCE 0.015
#define SIZE_MISSED    0.03
#define PSNR_MISSED    0.1  /* dB */
#define PSNR_SHORT     0.07 /* dB that may be missing without another try */
#define PSNR_SHIFTED   0.15 /* dB too good that coarser steps may take away */
#define PSNR_TOLERANCE 0.03
#define SHIFT_PARTS    64
#define MAX_SHIFT      (32 * SHIFT_PARTS)
#define FIRST_SHIFT    (2 * SHIFT_PARTS)
/* Where a forecast was wrong: so many times a part of the fit again, at a part of its rate. */
#define EXTENSIONS       10
#define EXTENSION_PART   0.12
#define EXTENSION_EPOCHS 1.
#define MISSING_WEIGHT   3.
#define EXTENSION_RATE   0.3
/* After a fit that was stopped where what is held out became worse: so much of the steps up to the best network, at a part of the rate. */
#define SETTLING_PART .3
#define SETTLING_RATE .5
/* What a fit does beside its steps, in codings of its network and looks at all frames: to write and read it, and see what became of it; to meet a
 * size, in its course and at its end; and trials of a quality. */
#define WRITTEN_CODINGS 1.3
#define SCORING_PARTS   1.3
#define MEASURE_CODINGS 14.
#define SIZE_CODINGS    3.
#define PSNR_TRIALS     8.
/* What a code takes when quantisation begins, estimated, as a multiple of what it is to take. From further above a short fit does not come down
 * without losing more than it has to. */
#define FIRST_BITS 3.
/* Of so many measures of the coded length one looks for predictions, the others take its. */
#define FOUND_EVERY 6

/* A network off the device, and what it is to become. */
typedef struct {
    const NervFitter *f;
    float *weights;    /* model->n_weights */
    uint16_t *steps;   /* codes, where they were learned; else NULL */
    uint16_t *shifted; /* those of a trial */
    float *
        best_weights; /* with target_psnr, the network that came nearest to it, and the one that did best on what is held out; else NULL */
    uint16_t *best_steps;
    NervRate rate;
    NervPredictions predictions; /* of the last network that was measured */
    bool correcting;             /* the rate's weight rests */
    NervPatience patience;       /* where samples are held out */
    bool settling;               /* however long it takes */
} Fit;

static void fit_clear(Fit *fit)
{
    g_free(fit->weights);
    g_free(fit->steps);
    g_free(fit->shifted);
    g_free(fit->best_weights);
    g_free(fit->best_steps);
    g_free(fit->predictions.of);
}

static uint32_t steps_of_pass(const NervFitter *f)
{
    return ((uint32_t)f->model->n_runs + f->train.batch_size - 1) / f->train.batch_size;
}

static bool fit_init(Fit *fit, const NervFitter *f, GError **error)
{
    const bool learned = f->train.bits > 0;
    const NervClip *clip = &f->model->clip;
    const gsize n_steps = (gsize)nerv_model_steps(f->model);
    *fit = (Fit){ .f = f, .weights = g_try_new(float, (gsize)f->model->n_weights) };
    fit->steps = learned ? g_try_new(uint16_t, n_steps) : NULL;
    fit->shifted = learned ? g_try_new(uint16_t, n_steps) : NULL;
    const bool compared = f->footage.held_out || (learned && f->target_psnr > 0.);
    fit->best_weights = compared ? g_try_new(float, (gsize)f->model->n_weights) : NULL;
    fit->best_steps = compared && learned ? g_try_new(uint16_t, n_steps) : NULL;
    nerv_patience_init(&fit->patience, steps_of_pass(f));
    if (f->target_bytes)
        nerv_rate_init_size(&fit->rate, 8. * (double)f->target_bytes, f->model->n_weights,
                            (double)clip->width * clip->height * clip->n_frames, 8. * (double)f->key_bytes);
    else if (f->target_psnr > 0.)
        nerv_rate_init_psnr(&fit->rate, f->target_psnr, f->train.rate_weight);
    if (fit->weights && (!learned || (fit->steps && fit->shifted)) &&
        (!compared || (fit->best_weights && (fit->best_steps || !learned))))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights");
    return false;
}

static bool take(Fit *fit, NervTrainer *tr, GError **error)
{
    return nerv_trainer_get_params(tr, fit->weights, error) &&
           (!fit->steps || nerv_trainer_get_steps(tr, fit->steps, error));
}

static bool write(const Fit *fit, const uint16_t *steps, NervBitWriter *network, GError **error)
{
    const NervFitter *f = fit->f;
    if (steps)
        return nerv_network_write_steps(f->model, fit->weights, steps, f->be->cancel, network, error);
    return f->huffman ? nerv_network_write_huffman(f->model, fit->weights, f->bits, network, error)
                      : nerv_network_write(f->model, fit->weights, f->bits, network, error);
}

static bool length_of(Fit *fit, const uint16_t *steps, double *bits, GError **error)
{
    const NervFitter *f = fit->f;
    return nerv_network_steps_bits(f->model, fit->weights, steps, &fit->predictions, f->be->cancel, bits,
                                   error);
}

/* The network as it is, to or from the place of the best one. */
static void keep_best(Fit *fit)
{
    memcpy(fit->best_weights, fit->weights, (size_t)fit->f->model->n_weights * sizeof(*fit->weights));
    if (fit->steps)
        memcpy(fit->best_steps, fit->steps, (size_t)nerv_model_steps(fit->f->model) * sizeof(*fit->steps));
}

static void take_best(Fit *fit)
{
    memcpy(fit->weights, fit->best_weights, (size_t)fit->f->model->n_weights * sizeof(*fit->weights));
    if (fit->steps)
        memcpy(fit->steps, fit->best_steps, (size_t)nerv_model_steps(fit->f->model) * sizeof(*fit->steps));
}

/* --- the fit --- */

/* Moves the rate's weight after a step; now and then codes the network to learn what it really takes. */
static bool control_rate(Fit *fit, NervTrainer *tr, const NervTrainProgress *p, GError **error)
{
    NervRate *rate = &fit->rate;
    double weight;
    if (fit->f->target_psnr > 0.) {
        weight = nerv_rate_update_psnr(rate, p->position, p->psnr_frames);
    } else {
        if (p->bits > 0. && nerv_rate_wants_measure(rate, p->position)) {
            double coded;
            if (rate->measures % FOUND_EVERY == 0)
                fit->predictions.known = false;
            if (!take(fit, tr, error) || !length_of(fit, fit->steps, &coded, error))
                return false;
            nerv_rate_measure(rate, p->position, p->bits, coded);
            g_debug("step %u: %.0f bits estimated, %.0f coded, %.0f wanted, rate weight %g", p->step, p->bits,
                    coded, rate->target_bits, rate->weight);
        }
        weight = nerv_rate_update_size(rate, p->position, p->bits);
    }
    nerv_trainer_set_rate_weight(tr, weight);
    return true;
}

/* Whether the fit is given up after the step. */
static bool gives_up(const Fit *fit, const NervTrainProgress *p, NervFitResult *result)
{
    const NervFitter *f = fit->f;
    if (fit->correcting)
        return false;
    result->gave_up = f->may_give_up && nerv_rate_hopeless(&fit->rate);
    if (result->gave_up)
        g_debug("step %u: %.2f dB expected, given up", p->step, fit->rate.forecast);
    return result->gave_up;
}

/* Where samples are held out: keeps the network that does best on them. *lost: from now on it learns what is of no use. */
static bool watch_held(Fit *fit, NervTrainer *tr, const NervTrainProgress *p, bool *lost, GError **error)
{
    if (!fit->f->footage.held_out || (fit->steps && !(p->bits > 0.)))
        return true;
    const NervPatienceSays says = nerv_patience_look(&fit->patience, p->step, p->held_l1);
    *lost = says == NERV_PATIENCE_LOST && !fit->settling;
    if (*lost)
        g_debug("step %u: what is held out was best at step %u: off by %.4f then, by %.4f now", p->step,
                fit->patience.best_step, fit->patience.best, p->held_l1);
    if (says != NERV_PATIENCE_BETTER)
        return true;
    if (!take(fit, tr, error))
        return false;
    keep_best(fit);
    return true;
}

/* False on errors, and when the fit is given up: then the result says so. */
static bool run_steps(Fit *fit, NervTrainer *tr, bool controlled, NervFitResult *result, GError **error)
{
    const NervFitter *f = fit->f;
    NervTrainProgress p;
    bool lost = false;

    if (controlled)
        nerv_trainer_set_rate_weight(tr, fit->rate.weight);
    nerv_trainer_progress(tr, &p);
    f->progress(f->user, &p, false);
    while (!nerv_trainer_done(tr) && !lost) {
        if (nerv_backend_cancelled(f->be, error) || !nerv_trainer_step(tr, error))
            return false;
        nerv_trainer_progress(tr, &p);
        if (controlled && !fit->correcting && !control_rate(fit, tr, &p, error))
            return false;
        if (!watch_held(fit, tr, &p, &lost, error))
            return false;
        f->progress(f->user, &p, nerv_trainer_done(tr));
        if (gives_up(fit, &p, result))
            return false;
    }
    return true;
}

/* Goes on from the best network where a fit was stopped, with a rate that falls to nothing: steps as large as in the midst of a fit leave it beside the best one that
 * is near. */
static bool settle(Fit *fit, NervTrainer *tr, bool controlled, NervFitResult *result, GError **error)
{
    const NervFitter *f = fit->f;
    NervTrainProgress p;
    if (!f->footage.held_out)
        return true;
    nerv_trainer_progress(tr, &p);
    double steps = fmax(SETTLING_PART * fit->patience.best_step, 2. * fit->patience.window);
    if (f->train.deadline_us)
        steps =
            fmin(steps, (double)(f->train.deadline_us - g_get_monotonic_time()) * 1e-6 * p.steps_per_second);
    fit->settling = true;
    if (!nerv_trainer_done(tr) && steps >= 1.) {
        if (isfinite(fit->patience.best)) {
            take_best(fit);
            if (!nerv_trainer_set_params(tr, fit->weights, error))
                return false;
        }
        nerv_trainer_extend(tr, (uint32_t)steps, SETTLING_RATE);
        if (!run_steps(fit, tr, controlled, result, error))
            return false;
    }
    if (!take(fit, tr, error))
        return false;
    if (nerv_patience_was_better(&fit->patience))
        take_best(fit);
    return true;
}

/* Seconds that a fit takes behind its last step. */
static double end_seconds(const NervFitter *f)
{
    const double written = WRITTEN_CODINGS * f->pace.coding + SCORING_PARTS * f->pace.scoring;
    if (f->target_psnr > 0.)
        return PSNR_TRIALS * written;
    return written + (f->target_bytes ? SIZE_CODINGS * f->pace.coding : 0.);
}

uint32_t nerv_fitter_steps(const NervFitter *f, double part)
{
    const double left = (double)(f->train.deadline_us - g_get_monotonic_time()) * 1e-6;
    const double other = end_seconds(f) + (f->target_bytes ? MEASURE_CODINGS * f->pace.coding : 0.);
    return (uint32_t)fmin(fmax((left * part - other) / fmax(f->pace.step, 1e-6), 1.), UINT32_MAX);
}

/* --- after it --- */

static void keep_shift(Fit *fit)
{
    memcpy(fit->steps, fit->shifted, (size_t)nerv_model_steps(fit->f->model) * sizeof(*fit->steps));
}

/* All weights' steps by shift / SHIFT_PARTS codes, within the codes that there are: by whole codes, and so many of SHIFT_PARTS rows by one
 * more. Rows of zeros and biases stay. A code is 1/16 of an octave; weights that were fitted to their steps feel one. */
static void shift_steps(Fit *fit, int shift)
{
    const NervModel *model = fit->f->model;
    const uint16_t *from = fit->steps;
    uint16_t *to = fit->shifted;
    const int way = shift < 0 ? -1 : 1, whole = abs(shift) / SHIFT_PARTS, parts = abs(shift) % SHIFT_PARTS;
    uint32_t row = 0;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const bool moves = model->params[i].role != NERV_PARAM_BIAS;
        for (int64_t n = nerv_param_steps(&model->params[i]); n > 0; n--, from++, row++) {
            /* a fixed order without a pattern: multiples of the golden ratio */
            const int place = (int)((row * 2654435769u) >> 16) * SHIFT_PARTS >> 16;
            const int by = way * (whole + (place < parts));
            *to++ = (uint16_t)(moves && *from ? CLAMP(*from + by, 1, NERV_STEP_CODES - 1) : *from);
        }
    }
}

/* Where a short fit ended off its size: coarser or finer steps until it is met. Costs quality, which the rate's weight does not, and finer ones no less than
 * coarser ones: the weights were fitted to the steps that there are. So only beyond SIZE_TOLERANCE, and beyond SIZE_MISSED of too little. */
static bool meet_size(Fit *fit, NervFitResult *result, GError **error)
{
    const NervFitter *f = fit->f;
    const double target = 8. * (double)f->target_bytes;
    double bits, best;
    int chosen = 0, low = 0, high = MAX_SHIFT; /* along `way`: not yet there at low */
    fit->predictions.known = false;
    if (!length_of(fit, fit->steps, &bits, error))
        return false;
    const int way = bits > target ? 1 : -1;
    best = fabs(bits - target);
    const bool suits = best <= (way > 0 ? SIZE_TOLERANCE : SIZE_MISSED) * target;
    while (!suits && best > SIZE_TOLERANCE * target && high - low > 1) {
        const int middle = (low + high) / 2;
        shift_steps(fit, way * middle);
        if (nerv_backend_cancelled(f->be, error) || !length_of(fit, fit->shifted, &bits, error))
            return false;
        if (fabs(bits - target) < best) {
            best = fabs(bits - target);
            chosen = way * middle;
        }
        *((bits - target) * way > 0. ? &low : &high) = middle;
    }
    g_debug("steps moved by %d/%d: %.0f bits wanted, off by %.0f", chosen, SHIFT_PARTS, target, best);
    shift_steps(fit, chosen);
    keep_shift(fit);
    result->missed = best > SIZE_MISSED * target;
    return true;
}

/* Appends the network and says what a decoder would show of it. */
static bool write_scored(Fit *fit, NervScorer *scorer, const uint16_t *steps, NervBitWriter *network,
                         NervScore *score, GError **error)
{
    const NervFitter *f = fit->f;
    const NervClip *clip = &f->model->clip;
    const guint start = network->bytes->len;
    float *weights = NULL;
    if (!write(fit, steps, network, error))
        return false;
    NervModel *model = nerv_network_read(network->bytes->data + start, network->bytes->len - start, clip,
                                         f->model->n_weights, &weights, error);
    for (int64_t i = 0; model && f->train.base && i < model->n_weights; i++)
        weights[i] += f->train.base[i];
    const bool ok = model && nerv_scorer_run(scorer, weights, clip->n_frames, score, error);
    nerv_model_free(model);
    g_free(weights);
    return ok;
}

/* Of the network as it would be written. */
static bool score_written(Fit *fit, NervScorer *scorer, const uint16_t *steps, NervScore *score,
                          GError **error)
{
    NervBitWriter w;
    nerv_writer_init(&w);
    const bool ok = write_scored(fit, scorer, steps, &w, score, error);
    nerv_writer_clear(&w);
    return ok;
}

/* What turned out better than asked for: steps as coarse as still do. */
static bool meet_psnr(Fit *fit, NervScorer *scorer, NervFitResult *result, GError **error)
{
    const double target = fit->f->target_psnr;
    int good = 0, bad = MAX_SHIFT;
    while (result->score.psnr_frames > target + PSNR_TOLERANCE && bad - good > 1) {
        /* most ended near: the first look is not in the middle */
        const int middle = good == 0 && bad > FIRST_SHIFT ? FIRST_SHIFT : (good + bad) / 2;
        NervScore score;
        shift_steps(fit, middle);
        if (!score_written(fit, scorer, fit->shifted, &score, error))
            return false;
        g_debug("steps by %d/%d: %.2f dB", middle, SHIFT_PARTS, score.psnr_frames);
        if (score.psnr_frames >= target) {
            good = middle;
            result->score = score;
        } else {
            bad = middle;
        }
    }
    g_debug("steps moved by %d/%d: %.2f dB wanted, %.2f dB", good, SHIFT_PARTS, target,
            result->score.psnr_frames);
    shift_steps(fit, good);
    keep_shift(fit);
    result->missed = fabs(result->score.psnr_frames - target) > PSNR_MISSED;
    return true;
}

/* From the target: what is missing weighs more than what is too much, which coarser steps may still take away. */
static double distance(double off)
{
    return off < 0. ? -MISSING_WEIGHT * off : off;
}

/* Goes on with the fit where its end was not the one that was forecast, with a weight that follows from how far off it was. */
static bool correct_psnr(Fit *fit, NervTrainer *tr, NervScorer *scorer, NervFitResult *result, GError **error)
{
    const NervFitter *f = fit->f;
    const double epoch = (double)f->model->clip.n_frames / f->train.batch_size;
    NervTrainProgress p;
    nerv_trainer_progress(tr, &p);
    const double steps = fmax(EXTENSION_PART * p.n_steps, EXTENSION_EPOCHS * epoch);
    NervScore best = result->score, now = best;
    keep_best(fit);
    fit->rate.weight = fit->rate.integral;
    fit->correcting = true;
    for (int i = 0; i < EXTENSIONS; i++) {
        const double off = now.psnr_frames - f->target_psnr;
        if (off >= -PSNR_SHORT && off <= PSNR_SHIFTED)
            break;
        nerv_rate_correct(&fit->rate, now.psnr_frames);
        nerv_trainer_extend(tr, (uint32_t)steps, EXTENSION_RATE);
        if (!run_steps(fit, tr, true, result, error) || !take(fit, tr, error) ||
            !score_written(fit, scorer, fit->steps, &now, error))
            return false;
        g_debug("rate weight %g: %.2f dB, %.2f dB wanted", fit->rate.weight, now.psnr_frames, f->target_psnr);
        if (distance(now.psnr_frames - f->target_psnr) < distance(best.psnr_frames - f->target_psnr)) {
            best = now;
            keep_best(fit);
        }
    }
    take_best(fit);
    result->score = best;
    return true;
}

static bool meet_target(Fit *fit, NervTrainer *tr, NervBitWriter *network, NervFitResult *result,
                        GError **error)
{
    const NervFitter *f = fit->f;
    if (f->target_bytes && !meet_size(fit, result, error))
        return false;
    NervScorer *scorer = nerv_scorer_new(f->be, f->model, &f->footage, error);
    bool ok = scorer != NULL;
    if (ok && f->target_psnr > 0.)
        ok = score_written(fit, scorer, fit->steps, &result->score, error) &&
             (f->train.deadline_us || correct_psnr(fit, tr, scorer, result, error)) &&
             meet_psnr(fit, scorer, result, error) && write(fit, fit->steps, network, error);
    else if (ok)
        ok = write_scored(fit, scorer, fit->steps, network, &result->score, error);
    nerv_scorer_free(scorer);
    return ok;
}

static bool train(Fit *fit, NervBitWriter *network, NervFitResult *result, GError **error)
{
    const NervFitter *f = fit->f;
    const bool controlled = f->target_bytes || f->target_psnr > 0.;
    NervTrainSettings settings = f->train;
    if (f->target_bytes)
        settings.first_bits = FIRST_BITS * 8. * (double)f->target_bytes;
    if (settings.deadline_us)
        settings.deadline_us = MAX(settings.deadline_us - (gint64)(end_seconds(f) * 1e6), 1);
    NervTrainer *tr = nerv_trainer_new(f->be, f->model, &f->footage, &settings, error);
    const bool ok =
        tr && (!f->initial || nerv_trainer_set_params(tr, f->initial, error)) &&
        run_steps(fit, tr, controlled, result, error) && settle(fit, tr, controlled, result, error) &&
        (f->footage.held_out || take(fit, tr, error)) && meet_target(fit, tr, network, result, error);
    NervTrainProgress p = { 0 };
    if (ok)
        nerv_trainer_progress(tr, &p);
    result->n_steps = p.step;
    nerv_trainer_free(tr);
    return ok;
}

bool nerv_fitter_run(const NervFitter *f, NervBitWriter *network, NervFitResult *result, GError **error)
{
    Fit fit;
    *result = (NervFitResult){ 0 };
    const bool ok = fit_init(&fit, f, error) && train(&fit, network, result, error);
    fit_clear(&fit);
    return ok || result->gave_up;
}

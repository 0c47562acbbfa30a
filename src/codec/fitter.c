/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fit of one segment, see fitter.h. What a step does is the trainer's, how weights are coded is weights.c's, how the rate's
 * weight moves is rate.c's; this file takes them in turns.
 */
#include "codec/fitter.h"

#include <math.h>
#include <string.h>

#include "codec/rate.h"
#include "tensor/steps.h"

#define SIZE_TOLERANCE 0.015
#define MAX_SHIFT      24

/* A network off the device. */
typedef struct {
    float *weights;  /* model->n_weights */
    uint16_t *steps; /* codes, where they were learned; else NULL */
} Network;

static void network_clear(Network *net)
{
    g_clear_pointer(&net->weights, g_free);
    g_clear_pointer(&net->steps, g_free);
}

static bool network_init(const NervFitter *f, Network *net, GError **error)
{
    const bool learned = f->train.bits > 0;
    net->weights = g_try_new(float, (gsize)f->model->n_weights);
    net->steps = learned ? g_try_new(uint16_t, (gsize)nerv_model_steps(f->model)) : NULL;
    if (net->weights && (!learned || net->steps))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights");
    return false;
}

static bool network_take(NervTrainer *tr, Network *net, GError **error)
{
    return nerv_trainer_get_params(tr, net->weights, error) &&
           (!net->steps || nerv_trainer_get_steps(tr, net->steps, error));
}

/* Moves the rate's weight after a step; now and then codes the network to learn what it really takes. */
static bool control_rate(const NervFitter *f, NervTrainer *tr, Network *net, NervRate *rate, GError **error)
{
    NervTrainProgress p;
    nerv_trainer_progress(tr, &p);
    if (p.bits > 0. && nerv_rate_wants_measure(rate, p.step)) {
        double coded;
        if (!network_take(tr, net, error) ||
            !nerv_network_steps_bits(f->model, net->weights, net->steps, &coded, error))
            return false;
        nerv_rate_measure(rate, p.step, p.bits, coded);
        g_debug("step %u: %.0f bits estimated, %.0f coded, %.0f wanted, rate weight %g", p.step, p.bits,
                coded, rate->target_bits, rate->weight);
    }
    nerv_trainer_set_rate_weight(tr, nerv_rate_update(rate, p.bits));
    return true;
}

static void report(const NervFitter *f, const NervTrainer *tr)
{
    NervTrainProgress p;
    nerv_trainer_progress(tr, &p);
    f->progress(f->user, &p, p.step == p.n_steps);
}

static bool run_steps(const NervFitter *f, NervTrainer *tr, Network *net, GError **error)
{
    const NervClip *clip = &f->model->clip;
    NervTrainProgress p;
    NervRate rate;

    nerv_trainer_progress(tr, &p);
    if (f->target_bytes) {
        nerv_rate_init(&rate, 8. * (double)f->target_bytes, f->model->n_weights,
                       (double)clip->width * clip->height * clip->n_frames, p.n_steps);
        nerv_trainer_set_rate_weight(tr, rate.weight);
    }
    report(f, tr);
    while (!nerv_trainer_done(tr)) {
        if (nerv_backend_cancelled(f->be, error) || !nerv_trainer_step(tr, error) ||
            (f->target_bytes && !control_rate(f, tr, net, &rate, error)))
            return false;
        report(f, tr);
    }
    return true;
}

/* All weights' steps by so many codes, within the codes that there are; rows of zeros and biases stay. */
static void shift_steps(const NervModel *model, const uint16_t *from, int shift, uint16_t *to)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const bool moves = model->params[i].role != NERV_PARAM_BIAS;
        for (int64_t n = nerv_param_steps(&model->params[i]); n > 0; n--, from++)
            *to++ = (uint16_t)(moves && *from ? CLAMP(*from + shift, 1, NERV_STEP_CODES - 1) : *from);
    }
}

/* Where a short fit ended off its size: coarser or finer steps, one code (1/16 of an octave) after the other, until it is met.
 * Costs quality, which the rate's weight does not; so only beyond SIZE_TOLERANCE. */
static bool meet_size(const NervFitter *f, Network *net, GError **error)
{
    const double target = 8. * (double)f->target_bytes;
    const int64_t n = nerv_model_steps(f->model);
    double bits, best;
    if (!nerv_network_steps_bits(f->model, net->weights, net->steps, &bits, error))
        return false;
    if (fabs(bits / target - 1.) <= SIZE_TOLERANCE)
        return true;
    g_autofree uint16_t *shifted = g_try_new(uint16_t, (gsize)n);
    g_autofree uint16_t *chosen = g_try_new(uint16_t, (gsize)n);
    if (!shifted || !chosen) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for other steps");
        return false;
    }
    const int way = bits > target ? 1 : -1;
    memcpy(chosen, net->steps, (size_t)n * sizeof(*chosen));
    best = fabs(bits - target);
    for (int i = 1; i <= MAX_SHIFT && (bits - target) * way > 0.; i++) {
        shift_steps(f->model, net->steps, i * way, shifted);
        if (nerv_backend_cancelled(f->be, error) ||
            !nerv_network_steps_bits(f->model, net->weights, shifted, &bits, error))
            return false;
        if (fabs(bits - target) >= best)
            continue;
        best = fabs(bits - target);
        memcpy(chosen, shifted, (size_t)n * sizeof(*chosen));
    }
    memcpy(net->steps, chosen, (size_t)n * sizeof(*chosen));
    g_debug("steps moved: %.0f bits wanted, off by %.0f", target, best);
    return true;
}

bool nerv_fitter_run(const NervFitter *f, NervBitWriter *network, GError **error)
{
    Network net = { 0 };
    NervTrainer *tr = nerv_trainer_new(f->be, f->model, f->frames, f->pixels, &f->train, error);
    bool ok =
        tr && network_init(f, &net, error) && run_steps(f, tr, &net, error) && network_take(tr, &net, error);
    ok = ok && (!f->target_bytes || meet_size(f, &net, error));
    if (ok)
        ok = net.steps ? nerv_network_write_steps(f->model, net.weights, net.steps, network, error)
                       : nerv_network_write(f->model, net.weights, f->bits, network, error);
    nerv_trainer_free(tr);
    network_clear(&net);
    return ok;
}

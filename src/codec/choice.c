/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See choice.h.
 */
#include "codec/choice.h"

#include <math.h>
#include <string.h>

#include "codec/delta.h"
#include "codec/residual.h"

/* An octave of bytes in dB, on the development clips: about a quarter of the bytes is one (docs/design.md, "Warm start"). */
#define DB_PER_OCTAVE 2.4
/* Of steps, where there are more than a model's full rate suits; and the least part of that. */
#define RATE_POWER .4
#define LEAST_RATE .3

/* Where the differences begin: grids of times as drawn, all else at the base. */
static void begin_residual(const NervModel *model, float *initial)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        if (!nerv_param_is_of_its_time(&model->params[i]))
            memset(initial, 0, (size_t)n * sizeof(*initial));
        initial += n;
    }
}

static uint32_t head_bytes(NervUnitType way)
{
    return way == NERV_UNIT_RESIDUAL ? NERV_RESIDUAL_HEAD : NERV_DELTA_HEAD;
}

static double worth(uint32_t bytes, double psnr)
{
    return psnr - DB_PER_OCTAVE * log2(bytes);
}

/* Progress of two fits as of one. */
typedef struct {
    const NervFitter *fitter; /* whose progress it goes to */
    bool second;
} Halves;

static void publish_half(void *user, const NervTrainProgress *p, bool last)
{
    const Halves *h = user;
    NervTrainProgress both = *p;
    both.n_steps = MIN(p->n_steps, UINT32_MAX / 2) * 2;
    both.position = (p->position + h->second) / 2.;
    if (h->second)
        both.step += p->n_steps;
    else if (p->steps_per_second > 0.)
        both.eta_seconds += p->n_steps / p->steps_per_second;
    h->fitter->progress(h->fitter->user, &both, last && h->second);
}

/* What the second fit's weights are differences from, zero where there is nothing, and the differences that it begins with in place of the weights that the first
 * one began with. */
static void set_base(const NervFitter *f, const NervWarm *warm, NervUnitType way, float *base, float *initial)
{
    if (way == NERV_UNIT_RESIDUAL) {
        nerv_residual_add(f->model, warm->weights, base);
        begin_residual(f->model, initial);
        return;
    }
    nerv_delta_add(f->init, f->model, base);
    for (int64_t i = 0; i < f->model->n_weights; i++)
        initial[i] -= base[i];
}

static void write_way(const NervFitter *f, const NervWarm *warm, NervUnitType way, const NervBitWriter *from,
                      NervBitWriter *to)
{
    g_byte_array_set_size(to->bytes, 0);
    if (way == NERV_UNIT_RESIDUAL)
        nerv_residual_write(warm->crc, from, to);
    else
        nerv_delta_write(f->init->hash, from, to);
}

/* The second fit: in the first one's place if it is better. */
static bool fit_other(NervFitter *f, const NervWarm *warm, NervUnitType way, float *initial,
                      NervBitWriter *network, NervFitResult *result, NervChoice *choice, GError **error)
{
    g_autofree float *base = g_try_new0(float, (gsize)f->model->n_weights);
    NervFitResult other;
    NervBitWriter w;
    if (!base) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for the weights that are to be differences");
        return false;
    }
    set_base(f, warm, way, base, initial);
    f->train.base = base;
    nerv_writer_init(&w);
    const bool ok = nerv_fitter_run(f, &w, &other, error);
    f->train.base = NULL;
    if (ok) {
        choice->other = way;
        choice->other_bytes = w.bytes->len + head_bytes(way);
        choice->other_psnr = other.score.psnr_frames;
        const bool better = other.missed != result->missed
                                ? result->missed
                                : worth(choice->other_bytes, choice->other_psnr) >
                                      worth(choice->whole_bytes, choice->whole_psnr);
        choice->way = better ? way : NERV_UNIT_NETWORK;
        g_info("the network: %u bytes, %.2f dB; as differences: %u bytes, %.2f dB", choice->whole_bytes,
               choice->whole_psnr, choice->other_bytes, choice->other_psnr);
    }
    if (choice->way != NERV_UNIT_NETWORK) {
        write_way(f, warm, way, &w, network);
        *result = other;
    }
    nerv_writer_clear(&w);
    return ok;
}

static bool fit_both(NervFitter *f, const NervWarm *warm, NervUnitType way, float *initial,
                     NervBitWriter *network, NervFitResult *result, NervChoice *choice, GError **error)
{
    const gint64 end = f->train.deadline_us, now = g_get_monotonic_time();
    NervFitter each = *f;
    Halves halves = { f, false };
    each.progress = publish_half;
    each.user = &halves;
    if (end)
        each.train.deadline_us = now + MAX(end - now, 0) / 2;
    if (!nerv_fitter_run(&each, network, result, error))
        return false;
    choice->whole_bytes = network->bytes->len;
    choice->whole_psnr = result->score.psnr_frames;
    if (result->gave_up)
        return true;
    halves.second = true;
    each.train.deadline_us = end;
    each.may_give_up = false;
    each.target_bytes -= each.target_bytes > head_bytes(way) ? head_bytes(way) : 0;
    return fit_other(&each, warm, way, initial, network, result, choice, error);
}

static bool new_weights(const NervModel *model, float **weights, GError **error)
{
    *weights = g_try_new(float, (gsize)model->n_weights);
    if (!*weights)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the initial weights");
    return *weights != NULL;
}

/* Of one of `fits` that share the time. */
static uint64_t steps_of(const NervFitter *f, uint32_t fits)
{
    const uint64_t runs = (uint64_t)MAX(f->model->n_runs, 1), batch = MIN(f->train.batch_size, runs);
    return f->train.deadline_us ? nerv_fitter_steps(f, 1. / fits)
                                : f->train.epochs * ((runs + batch - 1) / batch);
}

/* A rate that suits fits of a thousand steps keeps longer ones from settling: indices go back and forth between two values (docs/design.md, "Defaults"). */
static void slow_down(NervFitter *f, uint64_t n_steps)
{
    const double full = f->model->full_rate_steps;
    if (full > 0. && !f->keeps_rate && (double)n_steps > full)
        f->train.learning_rate *= fmax(pow(full / (double)n_steps, RATE_POWER), LEAST_RATE);
}

/* What the fit begins with, where it is not what the seed gives: NULL then. */
static bool make_initial(const NervFitter *f, const NervWarm *warm, const NervMotion *motion, uint32_t fits,
                         float **initial, bool *is_warm, GError **error)
{
    if (!nerv_warm_start(warm, f->model, f->train.seed, initial, error))
        return false;
    *is_warm = *initial != NULL;
    const bool moves = motion->grid && nerv_motion_suits(motion, f->model);
    if (!*initial && f->init && nerv_init_suits(f->init, f->model)) {
        if (!new_weights(f->model, initial, error))
            return false;
        if (!nerv_init_begin(f->init, f->be, f->model, &f->footage, moves ? motion->grid : NULL, *initial,
                             error) ||
            !nerv_init_loosen(f->model, steps_of(f, fits), f->train.seed, *initial, error))
            return false;
    }
    if (!moves)
        return true;
    if (!*initial) {
        if (!new_weights(f->model, initial, error))
            return false;
        nerv_model_init_params(f->model, f->train.seed, *initial);
    }
    nerv_motion_place(motion, f->model, *initial);
    return true;
}

bool nerv_choice_fit(NervFitter *f, const NervWarm *warm, bool may_residual, bool may_delta,
                     const NervMotion *motion, NervBitWriter *network, NervFitResult *result,
                     NervChoice *choice, GError **error)
{
    g_autofree float *initial = NULL;
    bool is_warm;
    *choice = (NervChoice){ .way = NERV_UNIT_NETWORK };
    const uint32_t fits = may_delta ? 2 : 1; /* from f->init */
    if (!make_initial(f, warm, motion, fits, &initial, &is_warm, error))
        return false;
    f->initial = initial;
    choice->is_warm = is_warm;
    choice->is_learned = !is_warm && f->init && nerv_init_suits(f->init, f->model);
    if (choice->is_learned)
        nerv_init_tune(&f->rates, steps_of(f, fits), &f->train);
    slow_down(f, steps_of(f, is_warm ? 1 + may_residual : choice->is_learned ? fits : 1));
    if (is_warm && may_residual)
        return fit_both(f, warm, NERV_UNIT_RESIDUAL, initial, network, result, choice, error);
    if (choice->is_learned && may_delta)
        return fit_both(f, warm, NERV_UNIT_DELTA, initial, network, result, choice, error);
    if (!nerv_fitter_run(f, network, result, error))
        return false;
    choice->whole_bytes = network->bytes->len;
    choice->whole_psnr = result->score.psnr_frames;
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Residual networks, see residual.h. Half of the last weights is what a fit that stands alone begins with as well (warm.h), and a half is exact
 * in floating point, so that the sum is rounded once.
 */
#include "codec/residual.h"

#include <math.h>
#include <string.h>

/* An octave of bytes in dB, on the development clips: about a quarter of the bytes is one (docs/design.md, "Warm start"). */
#define DB_PER_OCTAVE 2.4

void nerv_residual_write(uint32_t base_crc, const NervBitWriter *network, NervBitWriter *w)
{
    nerv_write_u32(w, base_crc);
    g_byte_array_append(w->bytes, network->bytes->data, network->bytes->len);
}

bool nerv_residual_read(const uint8_t *payload, size_t bytes, uint32_t *base_crc, const uint8_t **network,
                        size_t *network_bytes, GError **error)
{
    NervBitReader r;
    nerv_reader_init(&r, payload, bytes);
    *base_crc = nerv_read_u32(&r);
    *network_bytes = nerv_reader_left(&r);
    *network = nerv_read_bytes(&r, *network_bytes);
    if (!r.failed)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "residual unit: %zu bytes are no network", bytes);
    return false;
}

void nerv_residual_sum(const float *before, float *weights, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        weights[i] += .5f * before[i];
}

void nerv_residual_add(const NervModel *model, const float *before, float *weights)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        if (!nerv_param_is_of_its_time(&model->params[i]))
            nerv_residual_sum(before, weights, n);
        before += n;
        weights += n;
    }
}

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

/* The residual's fit, after the other: in its place if it is better. */
static bool fit_residual(NervFitter *f, const NervWarm *warm, float *initial, NervBitWriter *network,
                         NervFitResult *result, NervResidualChoice *choice, GError **error)
{
    g_autofree float *base = g_try_new0(float, (gsize)f->model->n_weights);
    NervFitResult other;
    NervBitWriter w;
    if (!base) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights of the segment before");
        return false;
    }
    nerv_residual_add(f->model, warm->weights, base);
    begin_residual(f->model, initial);
    f->train.base = base;
    nerv_writer_init(&w);
    const bool ok = nerv_fitter_run(f, &w, &other, error);
    f->train.base = NULL;
    if (ok) {
        choice->tried = true;
        choice->residual_bytes = w.bytes->len + NERV_RESIDUAL_HEAD;
        choice->residual_psnr = other.score.psnr_frames;
        choice->is_residual = other.missed != result->missed
                                  ? result->missed
                                  : worth(choice->residual_bytes, choice->residual_psnr) >
                                        worth(choice->whole_bytes, choice->whole_psnr);
        g_info("the network: %u bytes, %.2f dB; as a residual: %u bytes, %.2f dB", choice->whole_bytes,
               choice->whole_psnr, choice->residual_bytes, choice->residual_psnr);
    }
    if (choice->is_residual) {
        g_byte_array_set_size(network->bytes, 0);
        nerv_residual_write(warm->crc, &w, network);
        *result = other;
    }
    nerv_writer_clear(&w);
    return ok;
}

static bool fit_both(NervFitter *f, const NervWarm *warm, float *initial, NervBitWriter *network,
                     NervFitResult *result, NervResidualChoice *choice, GError **error)
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
    if (result->gave_up || result->too_few_steps)
        return true;
    halves.second = true;
    each.train.deadline_us = end;
    each.may_give_up = false;
    each.least_steps = 0;
    each.target_bytes -= each.target_bytes > NERV_RESIDUAL_HEAD ? NERV_RESIDUAL_HEAD : 0;
    return fit_residual(&each, warm, initial, network, result, choice, error);
}

static bool new_weights(const NervModel *model, float **weights, GError **error)
{
    *weights = g_try_new(float, (gsize)model->n_weights);
    if (!*weights)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the initial weights");
    return *weights != NULL;
}

/* 0: time says. */
static uint64_t steps_of(const NervFitter *f)
{
    const uint64_t runs = (uint64_t)MAX(f->model->n_runs, 1), batch = MIN(f->train.batch_size, runs);
    return f->train.deadline_us ? 0 : f->train.epochs * ((runs + batch - 1) / batch);
}

/* What the fit begins with, where it is not what the seed gives: NULL then. */
static bool make_initial(const NervFitter *f, const NervWarm *warm, const NervMotion *motion, float **initial,
                         bool *is_warm, GError **error)
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
            !nerv_init_loosen(f->model, steps_of(f), f->train.seed, *initial, error))
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

bool nerv_residual_fit(NervFitter *f, const NervWarm *warm, bool may, const NervMotion *motion,
                       NervBitWriter *network, NervFitResult *result, NervResidualChoice *choice,
                       GError **error)
{
    g_autofree float *initial = NULL;
    bool is_warm;
    *choice = (NervResidualChoice){ 0 };
    if (!make_initial(f, warm, motion, &initial, &is_warm, error))
        return false;
    f->initial = initial;
    choice->is_warm = is_warm;
    choice->is_learned = !is_warm && f->init && nerv_init_suits(f->init, f->model);
    if (choice->is_learned)
        nerv_init_tune(&f->rates, steps_of(f), &f->train);
    if (may && is_warm)
        return fit_both(f, warm, initial, network, result, choice, error);
    if (!nerv_fitter_run(f, network, result, error))
        return false;
    choice->whole_bytes = network->bytes->len;
    choice->whole_psnr = result->score.psnr_frames;
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See pace.h.
 */
#include "codec/pace.h"

#include <math.h>

#include "base/rng.h"
#include "codec/quant.h"
#include "codec/weights.h"
#include "train/score.h"

#define MOST_STEPS   6
#define PART         0.03 /* of the seconds, for steps */
#define TIMED_FRAMES 2
/* A tensor that stands for all. */
#define CODED_ROWS   16
#define CODED_VALUES 512

static double seconds_since(gint64 start)
{
    return (double)(g_get_monotonic_time() - start) * 1e-6;
}

/* The first step touches its memory for the first time; of the others the fastest is the one that nothing disturbed. */
static bool time_steps(NervPace *pace, NervBackend *be, const NervModel *model, const NervFootage *footage,
                       const NervTrainSettings *train, double seconds, GError **error)
{
    NervTrainSettings settings = *train;
    settings.deadline_us = 0;
    settings.quantise_from = 0.; /* as nearly all steps are */
    settings.steps = MOST_STEPS;
    NervTrainer *tr = nerv_trainer_new(be, model, footage, &settings, error);
    const gint64 start = g_get_monotonic_time();
    bool ok = tr != NULL;
    pace->step = INFINITY;
    for (int i = 0; ok && i < MOST_STEPS && (i == 0 || seconds_since(start) < PART * seconds); i++) {
        const gint64 began = g_get_monotonic_time();
        double loss, mse;
        ok = !nerv_backend_cancelled(be, error) && nerv_trainer_step(tr, error);
        if (ok)
            nerv_trainer_last(tr, &loss, &mse); /* it is over then */
        pace->step = fmin(pace->step, seconds_since(began));
    }
    nerv_trainer_free(tr);
    return ok;
}

static bool time_scoring(NervPace *pace, NervBackend *be, const NervModel *model, const NervFootage *footage,
                         GError **error)
{
    NervScore score;
    NervScorer *scorer = nerv_scorer_new(be, model, footage, error);
    g_autofree float *zeros = scorer ? g_try_new0(float, (gsize)model->n_weights) : NULL;
    /* the first run touches its memory for the first time */
    bool ok = zeros && nerv_scorer_run(scorer, zeros, 1, &score, error);
    const gint64 start = g_get_monotonic_time();
    ok = ok && nerv_scorer_run(scorer, zeros, TIMED_FRAMES, &score, error);
    pace->scoring = seconds_since(start) * model->clip.n_frames / TIMED_FRAMES;
    nerv_scorer_free(scorer);
    if (scorer && !zeros)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights");
    return ok;
}

static bool time_coding(NervPace *pace, const NervModel *model, GError **error)
{
    NervParam param = { .name = "sample",
                        .shape = { CODED_ROWS, CODED_VALUES / 4, 2, 2 },
                        .role = NERV_PARAM_WEIGHT };
    const int64_t n = (int64_t)CODED_ROWS * CODED_VALUES;
    const NervModel sample = { .params = &param, .n_params = 1, .n_weights = n };
    g_autofree float *x = g_new(float, (gsize)n);
    uint16_t steps[CODED_ROWS];
    double bits;
    NervRng rng;
    nerv_rng_init(&rng, 1);
    for (int64_t i = 0; i < n; i++)
        x[i] = nerv_rng_uniform(&rng, -4.f, 4.f);
    for (int i = 0; i < CODED_ROWS; i++)
        steps[i] = (uint16_t)nerv_quant_code(1.f);
    const gint64 start = g_get_monotonic_time();
    const bool ok = nerv_network_steps_bits(&sample, x, steps, NULL, NULL, &bits, error);
    pace->coding = seconds_since(start) / (double)n * (double)model->n_weights;
    return ok;
}

bool nerv_pace_find(NervPace *pace, NervBackend *be, const NervModel *model, const NervFootage *footage,
                    const NervTrainSettings *train, double seconds, GError **error)
{
    const bool ok = time_coding(pace, model, error) && time_scoring(pace, be, model, footage, error) &&
                    time_steps(pace, be, model, footage, train, seconds, error);
    if (ok)
        g_debug("a step takes %.1f ms, a look at all frames %.0f ms, a coding %.0f ms", pace->step * 1e3,
                pace->scoring * 1e3, pace->coding * 1e3);
    return ok;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A fit of few steps, see short_fit.h.
 */
#include "short_fit.h"

bool short_fit(NervBackend *be, const NervModel *model, const NervFootage *footage,
               const NervTrainSettings *t, const float *start, NervScore *score, GError **error)
{
    g_autofree float *fitted = g_new(float, (gsize)model->n_weights);
    NervTrainer *tr = nerv_trainer_new(be, model, footage, t, error);
    bool ok = tr && (!start || nerv_trainer_set_params(tr, start, error));
    while (ok && !nerv_trainer_done(tr))
        ok = nerv_trainer_step(tr, error);
    ok = ok && nerv_trainer_get_params(tr, fitted, error);
    nerv_trainer_free(tr);
    NervScorer *scorer = ok ? nerv_scorer_new(be, model, footage, error) : NULL;
    ok = scorer && nerv_scorer_run(scorer, fitted, model->clip.n_frames, score, error);
    nerv_scorer_free(scorer);
    return ok;
}

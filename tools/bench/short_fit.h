/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A fit of few steps and what its network shows then, for the comparison of starts.
 */
#pragma once

#include "train/score.h"
#include "train/trainer.h"

/* Fits the footage in t->steps steps from `start`, or from weights that t->seed draws where that is NULL, and scores all of its frames. The
 * weights are not quantised unless t says so. start: model->n_weights floats. */
bool short_fit(NervBackend *be, const NervModel *model, const NervFootage *footage,
               const NervTrainSettings *t, const float *start, NervScore *score, GError **error);

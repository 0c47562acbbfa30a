/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A learned start of a model's weights: a tensor as it is, of a grid one value for each channel, which is that of all its rows and
 * places. So one start serves clips of all lengths and sizes, where the layers are the same. What videos have each for themselves begins alike for all.
 */
#pragma once

#include "models/model.h"

/* Of what a start has for the parameter: the parameter's own, one of its copies, or [1,C,1,1] of a grid; all 0 where it has nothing for it. */
NervShape nerv_start_shape(const NervParam *param);
/* Floats of a start, in the order of the parameters. */
int64_t nerv_start_count(const NervModel *model);
/* weights: model->n_weights floats; start: nerv_start_count(). */
void nerv_start_expand(const NervModel *model, const float *start, float *weights);
/* Sums of `weights` over what one value of a start became; the transpose of nerv_start_expand(). */
void nerv_start_sum(const NervModel *model, const float *weights, float *start);

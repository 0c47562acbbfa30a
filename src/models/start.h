/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A learned start of a model's weights. A tensor begins as it is. A grid begins, in each row and cell, with a linear map of what the clip shows
 * there and then: where what is in a picture no start can know, but how the layers want to be told of it, it can. So one start serves clips of all
 * lengths and sizes, where the layers are the same. What videos have each for themselves begins alike for all.
 */
#pragma once

#include "models/model.h"

/* A patch of a picture, as maps take it: coefficients of its cosine transform, so many each way, or as many as a cell has samples, of three
 * colours. */
#define NERV_START_SIDE 4

/* Coefficients that the parameter is a map of: [3][side][side] of a patch, of grids that are not shared two of them (train/patches.h). 0: of none. */
int32_t nerv_start_patch(const NervParam *param);
/* What a value of the parameter is a map of: 1 and behind it the patch; 0 for what is no grid. */
int32_t nerv_start_features(const NervParam *param);
/* Of what a start has for the parameter: the parameter's own, one of its copies, or [C,F,1,1] of a grid of F features; all 0 where it has nothing for
 * it. */
NervShape nerv_start_shape(const NervParam *param);
/* Floats of a start, in the order of the parameters. */
int64_t nerv_start_count(const NervModel *model);

/* Floats of the patches that the model's grids are maps of (train/patches.h): of each grid with a cell, in the order of the parameters,
 * [R,nerv_start_patch(),h,w]. 0 without such grids. */
int64_t nerv_start_patches_count(const NervModel *model);

/* weights: model->n_weights floats; start: nerv_start_count(); patches: nerv_start_patches_count(), NULL: they are all 0. */
void nerv_start_expand(const NervModel *model, const float *start, const float *patches, float *weights);
/* Sums of `weights` over what one value of a start became; the transpose of nerv_start_expand(). */
void nerv_start_sum(const NervModel *model, const float *weights, const float *patches, float *start);
/* The least change of a start that makes `way` of its weights, about: of a tensor the way itself; of a map that of a normalised least-mean-squares step
 * (Widrow and Hoff 1960), the mean over all cells. */
void nerv_start_towards(const NervModel *model, const float *way, const float *patches, float *start);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What models made of upsampling blocks share: which strides suit a frame size, layers' parameters, and options that
 * both have. It builds no tape.
 */
#pragma once

#include "models/model.h"

#define NERV_MAX_BLOCKS NERV_MODEL_MAX_STAGES

/* Product of n strides; INT32_MAX if it is larger. */
int32_t nerv_strides_product(const int32_t *stride, int32_t n);
/* Cells of a base grid whose product of strides is `scale` that cover `samples` samples. */
int32_t nerv_blocks_cells(int32_t samples, int32_t scale);
/* The strides whose base grid is nearest to the paper's 9x16 in area, little padding preferred, into stride[NERV_MAX_BLOCKS].
 * Returns how many. */
int32_t nerv_strides_choose(const NervClip *clip, int32_t *stride);

/* Appends `name`.weight [out,in,k,k] and `name`.bias [1,out,1,1] to params, which has room for them. PyTorch's default
 * initialisation of linear and convolutional layers: uniform in +-1/sqrt(fan in), bias too. The weight is prunable unless the name is
 * "head": that one is small, and each of its weights is in every pixel. */
void nerv_model_add_layer(NervModel *m, const char *name, int32_t out, int32_t in, int32_t k);

/* An activation by its name; the error lists them. */
bool nerv_options_act(GVariant *options, const char *key, NervAct *act, GError **error);
/* Appends ", what 1,2,3". */
void nerv_describe_list(GString *s, const char *what, const int32_t *values, int32_t n);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NeRV: Neural Representations for Videos (Chen et al., NeurIPS 2021), time index in, frame out.
 */
#pragma once

#include "models/blocks.h"

/* Everything that determines the network for a given frame size. */
typedef struct {
    double pe_base;        /* b of the positional encoding, exactly representable as a float */
    int32_t pe_levels;     /* l: the encoding has 2 l values */
    int32_t stem;          /* hidden width of the stem MLP */
    int32_t base_channels; /* C0, channels of the base grid */
    int32_t n_blocks;
    int32_t width[NERV_MAX_BLOCKS];  /* channels after each block */
    int32_t stride[NERV_MAX_BLOCKS]; /* upsampling of each block */
    int32_t kernel[NERV_MAX_BLOCKS]; /* 1, 3 or 5 */
    NervAct act, out_act;            /* out_act: tanh01 or sigmoid */
} NervNervConfig;

typedef struct {
    NervModel head;
    NervNervConfig config;
    int32_t grid_h, grid_w; /* base grid: ceil(size / product of strides) */
} NervNerv;

/* to_options.c */
GVariant *nerv_mlp_options(const NervModel *model, const char **name);

extern const NervModelClass nerv_model_class_nerv;

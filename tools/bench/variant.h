/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NeRV with one thing about it changed, as its authors' tables 6 to 9 have it: for measuring alone, no stream holds such networks but the plain one.
 */
#pragma once

#include "models/model.h"

typedef enum {
    VARIANT_SHUFFLE,    /* 3x3 convolution to C S S channels, pixel shuffle */
    VARIANT_TRANSPOSED, /* transposed convolution, its kernel as large as its stride */
    VARIANT_BILINEAR,   /* bilinear interpolation, then a convolution of 2 S + 1 samples */
} VariantUpscale;

typedef enum {
    VARIANT_GELU,
    VARIANT_RELU,
    VARIANT_LEAKY_RELU, /* x, or 0.01 x below 0 */
    VARIANT_SILU,
} VariantAct;

typedef struct {
    bool plain_time; /* t alone in place of its positional encoding */
    VariantUpscale upscale;
    bool
        norm; /* of each channel of each frame, in front of the blocks' activations, without weights of its own */
    VariantAct act;
    int32_t stem, base_channels; /* units of the MLP, and channels of what it makes */
    int32_t n_blocks;
    int32_t width[NERV_MODEL_MAX_STAGES], stride[NERV_MODEL_MAX_STAGES];
} VariantConfig;

/* The clip's size is a multiple of the strides' product. Free with nerv_model_free(). */
NervModel *variant_model_new(const VariantConfig *config, const NervClip *clip, GError **error);

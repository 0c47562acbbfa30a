/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Networks that show one pixel at a time, which NeRV is compared with (Chen et al. 2021, table 2): SIREN (Sitzmann et al., Implicit Neural Representations with
 * Periodic Activation Functions, NeurIPS 2020) and the MLP of NeRF (Mildenhall et al., ECCV 2020) on a video's x, y and t. A frame is an evaluation at each of its pixels:
 * 1x1 convolutions over maps of coordinates.
 */
#pragma once

#include "models/model.h"

#define NERV_PIXELWISE_MAX_LAYERS 16
#define NERV_PIXELWISE_MAX_LEVELS 16

typedef enum {
    NERV_PIXELWISE_SIREN, /* coordinates in -1..1, sin(omega (W x + b)) in each hidden layer, the last layer linear */
    NERV_PIXELWISE_NERF, /* sines and cosines of 2^k pi of them, ReLU, the encoding once more in the middle, sigmoid */
} NervPixelwiseKind;

/* Everything that determines the network for a given frame size. */
typedef struct {
    NervPixelwiseKind kind;
    int32_t width;  /* of a hidden layer */
    int32_t layers; /* hidden ones, the first one too */
    int32_t levels; /* NERF: of the encoding */
    double omega;   /* SIREN: exactly representable as a float */
} NervPixelwiseConfig;

typedef struct {
    NervModel head;
    NervPixelwiseConfig config;
} NervPixelwise;

extern const NervModelClass nerv_model_class_pixelwise;

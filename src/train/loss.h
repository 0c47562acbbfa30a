/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The distortion that a fit minimises: a weighted sum of L1, SSIM, SSIM of several scales and squared error.
 */
#pragma once

#include "ops/ops.h"
#include "train/trainer.h"

/* Appends the loss of pictures [N,3,H,W] beside their targets, R'G'B' in 0..1, by the settings' weights: a scalar. */
NervTensor *nerv_loss_build(NervTape *t, const NervTrainSettings *s, NervTensor *rgb, NervTensor *target);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Motion between keyframes, looked for before a fit: gradients find a few samples of it, cameras move by a hundred.
 */
#pragma once

#include "codec/cuts.h"
#include "models/model.h"

/* Fills the model's grid of flows (nerv_model_flows()) in `weights`, model->n_weights floats in its order, from the segment's frames: cells are
 * followed from frame to frame by block matching, and rows fitted to what they do. A model without such a grid is left alone. NERV_ERROR_CANCELLED soon after
 * *cancel is set (atomic; may be NULL); NERV_ERROR_MEMORY. */
bool nerv_motion_place(const NervModel *model, const NervPixels *pixels, NervFrameAt frame_at, void *user,
                       const gint *cancel, float *weights, GError **error);

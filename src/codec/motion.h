/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Motion between keyframes, or of what all frames share, looked for before a fit: gradients find a few samples of it, cameras move by a hundred.
 */
#pragma once

#include "codec/cuts.h"
#include "models/model.h"

/* What a segment's frames do. All zeros: nothing is known. */
typedef struct {
    NervFlows flows; /* of the model that it was looked for with */
    NervShape shape; /* of its grid of flows, [R,4,h,w] */
    float *grid;     /* what that should hold; NULL: the model has none */
    /* By video: the mean square of what cells differ by from where they were found, the nearer keyframe counting more; luma, 0..255. 0 where no
     * frame lies between keyframes. */
    double *error;
    uint32_t n_videos;
} NervMotion;

/* Looks for what the model's grid of flows (nerv_model_flows()) is to hold in the segment's frames: cells are followed from frame to frame by block
 * matching, and rows fitted to what they do. Of a model without such a grid *motion is all zeros. What it held before is freed.
 * NERV_ERROR_CANCELLED soon after *cancel is set (atomic; may be NULL); NERV_ERROR_MEMORY; then it is all zeros. */
bool nerv_motion_find(NervMotion *motion, const NervModel *model, const NervPixels *pixels,
                      NervFrameAt frame_at, void *user, const gint *cancel, GError **error);
/* Whether the model's grid of flows is like that of the model that it was found for; of a model without one, whether it is all zeros. */
bool nerv_motion_suits(const NervMotion *motion, const NervModel *model);
/* Fills that grid in `weights`, model->n_weights floats in its order, of a model that it suits. */
void nerv_motion_place(const NervMotion *motion, const NervModel *model, float *weights);
void nerv_motion_clear(NervMotion *motion);

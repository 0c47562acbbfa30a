/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A clip as learned starts see it (models/start.h): for each row and cell of a grid the mean patch that the frames show there at the times that
 * the row is for; of a grid that a flow moves, what they show where the flow takes the cell. Grids with rows in time see as well, behind the patch
 * itself, the patch of what a frame differs by from the mean of all, which moves with the flow: what a grid that all frames share can't hold.
 */
#pragma once

#include "models/start.h"
#include "train/footage.h"

typedef struct NervPatches NervPatches;

/* The model must outlive it; of the footage only the layouts are looked at. NERV_ERROR_MEMORY, or what the backend says. */
NervPatches *nerv_patches_new(NervBackend *be, const NervModel *model, const NervFootage *footage,
                              GError **error);
void nerv_patches_free(NervPatches *p);

/* flows: the model's grid of flows, as it was found (codec/motion.h); NULL: nothing moves. dst: nerv_start_patches_count(model) floats, of the size of 1. Each is a coefficient of the two-dimensional DCT-II (Ahmed, Natarajan and Rao 1974) of
 * the cell's square in Y'CbCr-like colours; behind the picture's edge that is repeated. NERV_ERROR_CANCELLED when be->cancel is set. */
bool nerv_patches_run(NervPatches *p, const NervFootage *footage, const float *flows, float *dst,
                      GError **error);

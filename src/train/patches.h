/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A clip as learned starts see it (models/start.h): for each row and cell of a grid the mean patch that the frames show there at the times that
 * the row is for.
 */
#pragma once

#include "models/start.h"
#include "train/footage.h"

typedef struct NervPatches NervPatches;

/* The model must outlive it; of the footage only the layouts are looked at. NERV_ERROR_MEMORY, or what the backend says. */
NervPatches *nerv_patches_new(NervBackend *be, const NervModel *model, const NervFootage *footage,
                              GError **error);
void nerv_patches_free(NervPatches *p);

/* dst: nerv_start_patches_count(model) floats, of the size of 1. Each is a coefficient of the two-dimensional DCT-II (Ahmed, Natarajan and Rao 1974) of
 * the cell's square in Y'CbCr-like colours; behind the picture's edge that is repeated. NERV_ERROR_CANCELLED when be->cancel is set. */
bool nerv_patches_run(NervPatches *p, const NervFootage *footage, float *dst, GError **error);

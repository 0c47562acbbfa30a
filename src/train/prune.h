/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Global unstructured pruning by magnitude (Han et al. 2015; NeRV, section 3.4): the least of all prunable weights, whatever their
 * tensor, become zero. When it happens and how the rest is trained on is trainer.c's.
 */
#pragma once

#include "models/params.h"

/* Scalars of the model's prunable parameters. */
int64_t nerv_prune_eligible(const NervModel *model);

/* Sets exactly floor(share * nerv_prune_eligible()) prunable weights to zero, those of least magnitude; of equal ones the first. `share`
 * is in 0..1, `weights` and `mask` are n_weights floats in the model's order; mask[i] becomes 0 where a weight was chosen and 1
 * elsewhere. False with NERV_ERROR_MEMORY. */
bool nerv_prune(const NervModel *model, double share, float *weights, float *mask, GError **error);

/* Masks on a device, all 1. */
NervParams *nerv_prune_masks_new(NervBackend *be, const NervModel *model, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames played in order, as nervdec asks for them: several are computed at once, in lanes on a CPU and in slots on a GPU. One
 * frame by itself on all threads is net.h's.
 */
#pragma once

#include "backend/backend.h"
#include "models/model.h"

/* Decodes `model`'s frames for about `seconds`, with a decoder of its own that is gone afterwards, because one that waits goes on
 * computing. Returns the mean seconds from a frame to the next, -1 on error; *n_lanes: frames computed at the same
 * time, 0: one, on a device that works while it is read from. */
double bench_ahead_run(NervBackend *be, const NervModel *model, double seconds, uint32_t *n_lanes,
                       GError **error);

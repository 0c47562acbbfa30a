/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Lanes compute runs of frames beside each other and beside their caller: each is a thread with a small backend cut off the
 * caller's and a plan of its own; the weights are the caller's. Runs are asked for in places, of which there are more than
 * lanes, so that a lane whose run nobody has taken yet need not stop. Which runs, is renderer.c's to know. The
 * functions are for one thread, the one that owns the backend.
 */
#pragma once

#include "codec/evaluator.h"

/* More lanes would use many cores better than more threads in each, but the first frame out of a lane takes about as many times
 * longer as there are lanes. */
#define NERV_MAX_LANES           4
#define NERV_LANES_PLACES_OF_ONE 2 /* places are this times the lanes */

typedef struct NervLanes NervLanes;

/* n_lanes 1..NERV_MAX_LANES lanes of `be`, of n_threads threads each. `params` (on `be`, changed only after nerv_lanes_stop()) and `be`
 * must outlive them. Their memory, pictures included, counts as `be`'s. */
NervLanes *nerv_lanes_new(NervBackend *be, uint32_t n_lanes, uint32_t n_threads, NervParams *params,
                          NervKeyring *keyring, const NervPixels *output, GError **error);
/* Gives up what is being computed and returns within some milliseconds. */
void nerv_lanes_free(NervLanes *lanes);

/* Queues a run behind those that wait in other places, and returns at once; what the place had before is dropped. */
void nerv_lanes_start(NervLanes *lanes, uint32_t place, int32_t run);
/* Drops what a place has, waits for or computes; returns at once. */
void nerv_lanes_drop(NervLanes *lanes, uint32_t place);
/* Drops what all places have and returns when no lane computes, within some milliseconds: until the next start nothing reads the
 * parameters. */
void nerv_lanes_stop(NervLanes *lanes);
/* Waits for the run that was started in a place and not dropped since. Its pixels are exchanged with *picture, a buffer of the
 * same size that was g_malloc'ed. On failure the error is that of this run. Either way the place is empty then. */
bool nerv_lanes_take(NervLanes *lanes, uint32_t place, uint8_t **picture, GError **error);

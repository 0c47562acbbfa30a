/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The keyframes of a segment as they come in, coded, and decoded when a run asks for them. Its functions may be called from several
 * threads at once; keyframe.c decodes outside the lock, so that two lanes don't wait for each other's pictures.
 */
#pragma once

#include "backend/backend.h"
#include "codec/keyframe.h"
#include "models/model.h"

typedef struct NervKeyring NervKeyring;

/* Memory for pictures, coded and decoded, is the backend's, which must outlive the keyring. */
NervKeyring *nerv_keyring_new(NervBackend *be);
void nerv_keyring_free(NervKeyring *k);
/* From now on memory is counted as `be`'s, and the one before may go. On failure, NERV_ERROR_MEMORY, nothing changes. */
bool nerv_keyring_move(NervKeyring *k, NervBackend *be, GError **error);
/* How many decoded pictures it keeps, 4 to 64, from the next nerv_keyring_reset() on; 4 suit who goes from run to run. */
void nerv_keyring_set_decoded(NervKeyring *k, int32_t n);
/* From now on a keyframe that is missing or damaged is an error; nothing takes its place. */
void nerv_keyring_set_exact(NervKeyring *k);
/* Makes it empty, for a network's keyframes, in the layout `pixels`. */
bool nerv_keyring_reset(NervKeyring *k, const NervModel *model, const NervPixels *pixels, GError **error);
/* Takes a copy of the coded picture of a frame of the segment; one that is no keyframe of the network is ignored. NERV_ERROR_MEMORY. */
bool nerv_keyring_put(NervKeyring *k, int32_t frame, const uint8_t *data, size_t bytes, GError **error);
/* Whether both keyframes of a run are here. */
bool nerv_keyring_has(NervKeyring *k, const NervRun *run);
/* Bytes of one decoded picture, a multiple of 4; what nerv_keyring_get() writes for each of the two. */
size_t nerv_keyring_picture_bytes(const NervKeyring *k);
const NervPixels *nerv_keyring_pixels(const NervKeyring *k);
/* Decodes a run's two keyframes, one behind the other. Where one is missing or damaged the other takes its place, which is counted;
 * NERV_ERROR_DATA if there is neither, or not both where it is to be exact. */
bool nerv_keyring_get(NervKeyring *k, const NervRun *run, uint8_t *dst, GError **error);
/* How often that was, and how often since nerv_keyring_reset(). */
uint64_t nerv_keyring_concealed(NervKeyring *k, uint64_t *of_network);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where a segment goes from one scene to another, so that no clip lies across it.
 */
#pragma once

#include "tensor/pixels.h"

/* Frame i of those that `user` knows, in the layout of `pixels`. */
typedef const uint8_t *(*NervFrameAt)(void *user, uint32_t i);

/* A frame's first row of luma, or of green, one row every *stride bytes and one sample every *step. */
const uint8_t *nerv_grey_plane(const NervPixels *pixels, const uint8_t *frame, size_t *stride, size_t *step);

/* Writes how many frames each video has, in order, to a new array (g_free) and returns how many videos there are: 1 for frames without a
 * cut. n_frames >= 1. A cut is a change of the picture that is large, and much larger than those beside it, or so large that it is another picture, and stays so
 * for more than a frame; of slow blends nothing is said. */
uint32_t nerv_cuts_find(const NervPixels *pixels, uint32_t n_frames, NervFrameAt frame_at, void *user,
                        int32_t **videos);

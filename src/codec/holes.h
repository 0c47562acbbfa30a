/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames of which only a part is known: which samples a fit looks at, and something smooth in place of the others, for whatever looks at whole
 * pictures (keyframes, the search for motion, learned starts).
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "tensor/pixels.h"

/* Codes of a mask plane, one byte a luma sample, from which on the sample is known. */
#define NERV_KNOWN 128
/* In the loss, of 255: of samples that are guessed from what is around them, and of those that other frames show. */
#define NERV_GUESS_WEIGHT 26
#define NERV_FOUND_WEIGHT 128

/* Whether all of a frame is known. */
bool nerv_holes_none(const NervPixels *pixels, const uint8_t *known, int32_t stride);

/* Writes a picture of nerv_footage_mask_pixels(), tightly packed. What is not known weighs little in the loss, as what it has been filled with, so that a network shows something like
 * it where nothing else says what to show. known: a mask plane of the frame's size, `stride` bytes from row to row, or NULL if all of the frame is
 * known. Of what is known the share `held_out`, 0..0.5, is held out, by a draw that depends on seed and frame alone. In formats with subsampled chroma a sample is known only
 * with its chroma: with all of those that share it. */
void nerv_holes_mask(const NervPixels *pixels, const uint8_t *known, int32_t stride, double held_out,
                     uint64_t seed, uint64_t frame, uint8_t *dst);

/* Fills what is not known of a frame in the canonical layout from what is around it: means of the known samples of ever larger squares, interpolated (the pull-push
 * algorithm of Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4). A frame of which nothing is known becomes grey. NERV_ERROR_MEMORY. */
bool nerv_holes_fill(const NervPixels *pixels, const uint8_t *known, int32_t stride, uint8_t *frame,
                     GError **error);

/* Looks for what is not known of a video's frames in other frames of it, up to 32 each way: a square of what is hidden is where its surroundings are like those in the frame
 * that hides it, if they are anywhere. What is found is copied in place of what the hole was filled with, and weighs more than that in the masks, which are nerv_holes_mask()'s, NULL of a
 * frame that is known whole. What is found nowhere stays as it is. */
void nerv_holes_find(const NervPixels *pixels, uint8_t *const *frames, uint8_t *const *masks, uint32_t n);

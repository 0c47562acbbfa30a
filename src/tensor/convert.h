/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames of any layout to I420 on the CPU, for pictures that another codec codes. Plain C: it runs over few frames, beside an
 * encoder that takes a thousand times as long. Not the way into a network: that is op from_pixels.
 */
#pragma once

#include "tensor/pixels.h"

/* Converts `src`, a frame of the canonical layout `from`, into `dst`, one of the layout `to`: I420 of the same size. Both valid
 * (nerv_pixels_valid()). Y'CbCr of the same matrix, range and siting is copied, NV12 taken apart. Otherwise codes go through R'G'B' with the
 * mathematics of op to_pixels, only that chroma, instead of being filtered once, is the least-squares fit: interpolated as from_pixels does it
 * comes closest to the picture's own at all places (gradient steps, a fixed number). False: out of memory. */
bool nerv_pixels_to_i420(const NervPixels *from, const uint8_t *src, const NervPixels *to, uint8_t *dst);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Still pictures that a network builds frames from, coded by AV1 (docs/bitstream.md, "Keyframe unit"): libaom writes them, libdav1d
 * reads them. A picture is I420, 8 bits, in the canonical layout of tensor/pixels.h. Its bytes are two OBUs, a sequence header and a
 * frame, without a container. What the samples mean as colours is the layout's affair, not AV1's.
 * Encoder and decoder alike go on from what nerv_keyframe_decode() returns, which is the same everywhere, bit by bit.
 */
#pragma once

#include <glib.h>

#include "base/error.h"
#include "tensor/pixels.h"

#define NERV_KEYFRAME_MIN_SIDE  16
#define NERV_KEYFRAME_MAX_SIDE  8192
#define NERV_KEYFRAME_QUANT_MAX 63
#define NERV_KEYFRAME_SPEED_MAX 9

/* The layout that keyframes of frames in `source` have: I420 of the same size with its matrix, range and siting if it is Y'CbCr (of a matrix
 * that pixels.h knows), else BT.601, full range, chroma centred both ways. */
void nerv_keyframe_pixels(const NervPixels *source, NervPixels *pixels);

/* Appends the coded picture to `out`. `pixels`: I420, 16..8192 each way, odd sizes too; `frame`: nerv_pixels_bytes() bytes.
 * quant: 0..63, 0 is lossless, 6 more are about 2 dB less. speed: libaom's, 0 best and slowest, 9 fastest. It runs on the caller's
 * thread alone (with more, libaom's bytes depend on their number, and are more): for several, code several pictures at once.
 * *cancel (may be NULL) is looked at before the work, which then cannot be stopped: 0.3 s for 320x180 with speed 4 and 0.06 s
 * with 6, in proportion to the picture's area (codec/stills.h need not wait for it). Equal arguments give equal bytes. On failure `out` is as it was.
 * NERV_ERROR_INVALID, NERV_ERROR_MEMORY, NERV_ERROR_CANCELLED; NERV_ERROR_UNSUPPORTED if libaom cannot do it. Any thread. */
bool nerv_keyframe_encode(const NervPixels *pixels, const uint8_t *frame, uint32_t quant, uint32_t speed,
                          const gint *cancel, GByteArray *out, GError **error);

/* Memory that nerv_keyframe_encode() takes while it runs, about, besides `frame` and `out`. For budgets. */
uint64_t nerv_keyframe_encode_bytes(const NervPixels *pixels);

/* Decodes a picture of exactly the layout `pixels` (as above) into `frame`, nerv_pixels_bytes() bytes, which is undefined after an error.
 * The bytes may come from anywhere: size, depth and subsampling are compared with `pixels` before anything is allocated
 * by them, there is one frame at most to be decoded, on the caller's thread, and film grain is not applied. Memory is bounded by
 * nerv_keyframe_decode_bytes(), time by the picture's area.
 * NERV_ERROR_DATA: not such a picture; NERV_ERROR_INVALID: `pixels`; NERV_ERROR_MEMORY. Any thread. */
bool nerv_keyframe_decode(const uint8_t *data, size_t bytes, const NervPixels *pixels, uint8_t *frame,
                          GError **error);
/* Memory that nerv_keyframe_decode() takes at most while it runs, besides `frame`. For budgets. */
uint64_t nerv_keyframe_decode_bytes(const NervPixels *pixels);

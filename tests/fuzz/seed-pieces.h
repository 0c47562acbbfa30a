/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What seeds are made of: networks of a few weights, and units of streams.
 */
#pragma once

#include "codec/weights.h"

/* Options of models. */
#define TINY  "{'stem': <2>, 'base-channels': <1>, 'widths': <[2,1]>, 'strides': <[2,4]>, 'pe-levels': <3>}"
#define SIREN "{'omega': <20.>, 'width': <6>, 'layers': <2>}"
#define NERF  "{'levels': <2>, 'width': <6>, 'layers': <4>}"
#define GRIDS                                                                                                \
    "{'grids': <'2x1/2x1+1x2/1x1'>, 'flow-rows': <2>, 'strides': <[2,2]>, 'widths': <[4,3]>, 'kernels': "    \
    "<[1,3]>}"
#define WIDE                                                                                                 \
    "{'stem': <4>, 'base-channels': <2>, 'widths': <[3]>, 'strides': <[5]>, 'kernels': <[5]>, 'pe-levels': " \
    "<4>, 'activation': <'sin'>}"
/* Clips of two frames, each between keyframes of its own, and two of them in one interval. */
#define CLIPS                                                                                                \
    "{'clip-frames': <2>, 'keyframe-interval': <2>, 'content': <2>, 'base-channels': <2>, 'widths': "        \
    "<[3,2]>, "                                                                                              \
    "'strides': <[2,4]>}"
#define CLIPS_MOVED                                                                                          \
    "{'clip-frames': <1>, 'keyframe-interval': <2>, 'flow-frames': <1>, 'middle-frames': <2>, "              \
    "'middle-channels': <1>, 'base-channels': <1>, 'widths': <[3,2]>, 'strides': <[2,4]>}"
/* Of two videos of one frame each. */
#define CLIPS_SEVERAL                                                                                        \
    "{'flow-frames': <1>, 'middle-frames': <1>, 'middle-channels': <1>, 'base-channels': <1>, 'widths': "    \
    "<[3,2]>, 'strides': <[2,4]>}"
#define CLIPS_STEM                                                                                           \
    "{'clip-frames': <2>, 'keyframe-interval': <4>, 'stem': <3>, 'pe-levels': <4>, 'content': <2>, "         \
    "'base-channels': <1>, 'widths': <[3]>, 'strides': <[5]>, 'without': <'mix,pyramid,skip'>}"

/* Ways of coding weights, in place of a number of bits, or added to it. */
#define STEPS   0  /* in place of a number of bits: coding 1 */
#define HUFFMAN 16 /* added to a number of bits: coding 2 */
#define STORED  32 /* coding 3, with tensors of all kinds; 33: floats alone */

/* Two steps in turn for the rows of coding 1. */
uint16_t *make_steps(const NervModel *model);
NervModel *make_model(const char *options, const NervClip *clip);
void append_network(GByteArray *out, const char *options, const NervClip *clip, uint32_t bits, float keep);
/* A segment's sequence and network, or a residual to the unit that had the CRC `base`; 0: a network. Returns its own CRC. */
uint32_t append_segment(GByteArray *out, const char *options, uint32_t bits, uint32_t segment,
                        uint32_t n_frames, uint32_t rate, uint32_t base);
void append_sync(GByteArray *out, const char *options, uint32_t bits, uint32_t segment, uint32_t n_frames,
                 uint32_t rate);
void append_frame(GByteArray *out, uint32_t segment, uint32_t index, int64_t delta);
void append_picture_unit(GByteArray *out, uint32_t segment, uint32_t index, const uint8_t *data,
                         size_t bytes);
void append_keyframe_unit(GByteArray *out, uint32_t segment, uint32_t index, const char *data);
/* A picture that a stream of append_sync()'s size can have. */
GByteArray *code_picture(uint32_t n);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Several of a segment's frames coded as keyframes at once, a picture to a thread (codec/keyframe.c uses one), on threads of their own: libaom
 * cannot be stopped within a picture, and who cancels must not wait for it. Bytes do not depend on the number of threads.
 */
#pragma once

#include "codec/cuts.h"
#include "codec/keyframe.h"

/* How they are coded. */
typedef struct {
    const NervPixels *pixels; /* of the frames */
    NervFrameAt frame_at;     /* asked on the caller's thread */
    void *user;
    uint32_t quant, speed; /* keyframe.h */
    const int8_t
        *offsets; /* one for each, added to its quantiser, which is held to its range then; NULL: none */
    uint32_t n_threads; /* 0: one per core */
    uint64_t
        max_bytes; /* of memory for all that are coded at the same time, one of them whatever it takes; 0: no bound */
    const gint *cancel; /* atomic; may be NULL */
} NervStillsJob;

/* One that is done. */
typedef struct {
    GByteArray *coded;
    const uint8_t *decoded; /* as nerv_keyframe_decode() has it, and zeros up to a multiple of 4 */
    double error;           /* what coding changed: about the mean squared error of R, G and B in 0..255 */
} NervStill;

/* The i-th of them; true goes on. What `still` holds goes when it returns, but for references taken. */
typedef bool (*NervStillFunc)(void *user, uint32_t i, const NervStill *still, GError **error);

/* Codes the n frames whose numbers are in `frames` and calls `done` with each, in this order, on the caller's thread. Once *cancel is set
 * returns within the time that a frame's conversion takes; pictures that are being coded then are finished by threads that nobody
 * waits for, and dropped. Errors: nerv_keyframe_encode()'s, nerv_keyframe_decode()'s, `done`'s. */
bool nerv_stills_code(const NervStillsJob *job, const int32_t *frames, uint32_t n, NervStillFunc done,
                      void *user, GError **error);

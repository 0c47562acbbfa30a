/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An encoder's keyframes: coded by codec/keyframe.c, and on the device as a decoder will have them.
 */
#pragma once

#include "backend/backend.h"
#include "codec/cuts.h"
#include "codec/keyframe.h"
#include "codec/motion.h"
#include "models/model.h"

typedef struct {
    int32_t *frames; /* of the segment; as model->keys */
    int32_t n;
    GByteArray **coded;
    NervBuffer *store; /* decoded: n pictures, each rounded up to 4 bytes; NULL for none */
    NervPixels pixels; /* their layout */
    uint64_t bytes;    /* of all coded pictures */
    uint32_t quant;    /* of all, but for what a video's differs from it */
    NervMotion motion; /* between them */
} NervKeys;

/* What is to be coded and with what. */
typedef struct {
    NervBackend *be;
    const NervPixels *pixels; /* of the frames */
    NervFrameAt frame_at;
    void *user;
    uint32_t quant;      /* keyframe.h; where neither of the next two is asked for */
    double target_bytes; /* of all pictures, about; 0: not said */
    double target_psnr;  /* of each, about, in dB (stills.h); 0: not said */
    uint32_t speed;      /* keyframe.h */
    uint32_t n_threads;  /* 0: one per core */
} NervKeysJob;

/* Looks for motion between the model's keyframes, codes them and decodes them. What *keys has already (of the same frames) is left. NERV_ERROR_CANCELLED soon
 * after be->cancel is set. On failure *keys is empty. */
bool nerv_keys_make(NervKeys *keys, const NervModel *model, const NervKeysJob *job, GError **error);
/* Leaves all zeros: no keyframes. */
void nerv_keys_clear(NervKeys *keys);

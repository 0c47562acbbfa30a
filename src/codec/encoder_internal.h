/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An encoder's state, and what its files have in common: encoder.c takes frames and writes access units, encoder_plan.c decides how large networks
 * are and how many frames a segment may have, encoder_time.c how long fits last and what they have time for.
 */
#pragma once

#include "backend/backend.h"
#include "codec/init.h"
#include "codec/keys.h"
#include "codec/warm.h"
#include "nerv.h"

typedef struct {
    uint8_t *pixels; /* canonical layout, frame_bytes */
    uint8_t *mask;   /* nerv_holes_mask()'s, mask_bytes; NULL: all of it counts */
    int64_t pts_ns;
} StoredFrame;

struct NervEncoder {
    NervVideoInfo info;
    NervEncoderSettings settings;
    NervBackend *be;
    size_t frame_bytes;      /* one stored frame, a multiple of 4 */
    size_t mask_bytes;       /* what of it counts, likewise; 0: all of every frame does */
    uint32_t max_frames;     /* of a segment */
    uint32_t planned_frames; /* for which it was found out */
    double keys_per_frame;
    NervInit *init; /* NULL: fits begin with drawn weights */

    GArray *frames; /* StoredFrame: the open segment */
    GQueue packets; /* NervPacket * */
    uint32_t segment_id;
    uint64_t n_sent;     /* frames in all finished segments */
    uint64_t n_expected; /* frames of the whole stream, 0: not known */
    double growth;       /* of the network's weights, after a target_psnr that it did not reach */
    double most_macs;    /* of the network per pixel, where time is short; 0: the preset's */
    NervWarm warm;       /* the last segment's network, where the next one begins with it */
    bool wants_sync;     /* of the open segment */

    /* Of the segment that is being fitted. */
    int32_t *videos; /* frames between cuts */
    uint32_t n_videos;
    NervKeys keys;

    gint64 deadline_us; /* 0: none */

    gint64 start_us; /* of the first frame sent, 0 before it */
    gint64 fit_start_us, published_us;
    char *warning;
    gint cancel; /* atomic */
    NervProgressFunc progress;
    void *progress_user;
    GMutex lock; /* stats */
    NervEncoderStats stats;
};

/* Shows the model in the stats. */
void nerv_encoder_describe(NervEncoder *enc, const NervModel *model);
/* Bytes for n_frames with all that belongs to them; 0: no size is asked for. */
double nerv_encoder_target_bytes(const NervEncoder *enc, uint32_t n_frames);
/* When the fit of the frames so far must be over: their part of the time that is left, all of it if they are the last. 0: no limit. */
gint64 nerv_encoder_deadline(const NervEncoder *enc);
/* Whether a network of fewer multiplications, or of fewer weights, is better worth the time than the model for which it is so many steps: then the
 * encoder's next model is that one. */
bool nerv_encoder_take_less(NervEncoder *enc, const NervModel *model, uint32_t n_steps);
/* For the fit of frames that were sent: with the segment's videos, if they are known, and so many bytes; 0: not said. */
NervModel *nerv_encoder_new_model(const NervEncoder *enc, uint32_t n_frames, double bytes, GError **error);
/* The learned start that suits a model; NULL: there is none, or it is not wanted. */
const NervInit *nerv_encoder_init(const NervEncoder *enc, const NervModel *model);
/* Before any frame comes: whether the options are valid, and how many frames a segment may have (max_frames). */
bool nerv_encoder_plan(NervEncoder *enc, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What nervenc's users ask for (NervEncoderSettings in nerv.h), made into what the parts of an encoder take: checked settings, a
 * network's size, a trainer's settings. Pure functions; no encoder and no device.
 */
#pragma once

#include "nerv.h"
#include "train/trainer.h"

#define NERV_MAX_SEGMENT_FRAMES 65536u

/* How a segment's rate is decided; the first that is asked for, in this order. */
typedef enum {
    NERV_RATE_SIZE,    /* target_size_bytes */
    NERV_RATE_BITRATE, /* bitrate */
    NERV_RATE_PSNR,    /* target_psnr */
    NERV_RATE_WEIGHT,  /* rate_weight > 0 */
    NERV_RATE_AFTER,   /* rate_weight = 0 or the paper's pipeline: quantised after the fit */
    NERV_RATE_QUALITY, /* quality */
} NervRateMode;

/* A deep copy; 0s that stand for defaults become what they stand for. */
void nerv_settings_copy(NervEncoderSettings *dst, const NervEncoderSettings *src);
/* NERV_ERROR_INVALID and a sentence that names the first setting out of range, or settings that contradict each other. */
bool nerv_settings_valid(const NervVideoInfo *info, const NervEncoderSettings *s, GError **error);

NervRateMode nerv_settings_rate_mode(const NervEncoderSettings *s);

/* The size of network to ask a model for. target_bytes: of the segment, 0 where no size is asked for; clip: the segment's;
 * growth: how many times the weights of a first guess, for a target_psnr that it did not reach; most_macs: multiplications per pixel, 0: the preset's. */
NervModelSize nerv_settings_model_size(const NervEncoderSettings *s, const NervClip *clip,
                                       double target_bytes, double growth, double most_macs);
/* Passes over the frames from which on a network of so many multiplications per pixel is worth its time; 0: from none on. */
double nerv_settings_least_passes(const NervEncoderSettings *s, const NervClip *clip, double macs);
/* Where time is for so many passes of a network of `macs` multiplications per pixel: those of the one that it is best spent on. */
double nerv_settings_fewer_macs(const NervEncoderSettings *s, const NervClip *clip, double macs,
                                double passes);

/* Keyframes' part of the bytes that are asked for; their quantiser (codec/keyframe.h) where no bytes are. */
double nerv_settings_keys_share(void);
uint32_t nerv_settings_key_quant(const NervEncoderSettings *s);
/* What keyframes should have, in dB, where a target_psnr is asked for; else 0. */
double nerv_settings_key_psnr(const NervEncoderSettings *s);
/* libaom's speed for keyframes of that size. */
uint32_t nerv_settings_key_speed(const NervEncoderSettings *s, const NervPixels *pixels);

/* seed: the segment's own is drawn from the stream's and its number. learned: the fit begins with a learned start. */
void nerv_settings_train(const NervEncoderSettings *s, const NervModel *model, uint32_t segment_id,
                         bool learned, NervTrainSettings *t);

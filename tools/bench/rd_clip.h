/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A clip in memory: what every codec is given, and what its pictures are compared with.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>
#include <stdbool.h>
#include <stdint.h>

#include "yuv.h"

#define RD_MAX_PARTS 16

/* A kind of picture, and the clip's in it. */
typedef struct {
    GstVideoInfo info;
    GstCaps *caps;
    GPtrArray *frames; /* of GstBuffer */
} RdFrames;

/* A clip of those that were joined. */
typedef struct {
    char *name;
    uint32_t first, n; /* frames */
} RdPart;

typedef struct {
    char *name;
    GArray *parts; /* of RdPart, of joined clips; NULL for one */
    RdFrames rgb,
        yuv; /* R'G'B' for nervenc, I420 for the others; the clip's own kind, and the other made of it */
    YuvMatrix matrix;
} RdClip;

typedef struct {
    double psnr_rgb;        /* of the mean squared error of all frames, dB */
    double psnr_rgb_frames; /* mean of the frames' PSNR, infinite if one has no error */
    double psnr_yuv;        /* 6:1:1, of the planes' mean squared errors */
    double ms_ssim;         /* luma, mean over frames; not a number where the picture is too small */
    /* Of joined clips: each one's psnr_rgb, and their mean; of one clip the same. */
    double psnr_parts[RD_MAX_PARTS], psnr_mean;
} RdQuality;

/* `what` is a file that decodebin understands or the beginning of a pipeline. n_frames 0: all; width 0: the clip's size. False with an
 * error. */
bool rd_clip_load(RdClip *clip, const char *what, uint32_t n_frames, int32_t width, int32_t height,
                  GError **error);
void rd_clip_clear(RdClip *clip);
/* Joins 2 to RD_MAX_PARTS clips of one size in the order given: one clip of the first one's frame rate and colours. The others' I420 is made of
 * their R'G'B' where its colours are not the first one's. The clips are left as they are, but for the times of their frames, which are the
 * joined clip's now. */
bool rd_clip_join(RdClip *out, const RdClip *clips, uint32_t n, GError **error);
/* A part of a joined clip by itself, with its times there; valid as long as `clip` is. To be cleared by rd_clip_part_clear(). */
void rd_clip_part(const RdClip *clip, const RdPart *part, RdClip *out);
void rd_clip_part_clear(RdClip *part);

/* Runs `description`, which begins with what takes the frames, until its end; the seconds that took, its start included. */
bool rd_clip_feed(const RdFrames *frames, const char *description, double *seconds, GError **error);
/* Compares what `chain` makes of the file, "h264parse ! avdec_h264", with the clip; another number of frames is an error. */
bool rd_clip_compare(const RdClip *clip, const char *file, const char *chain, RdQuality *out, GError **error);

/* Feeds frames with these caps to a pipeline; its elements' warnings go to standard error. */
bool rd_feed(const char *description, GstCaps *caps, GstBuffer *const *frames, uint32_t n, GError **error);

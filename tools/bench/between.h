/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames that nobody fitted: every other frame of a clip, as neighbours blended and as a network that was fitted to the rest makes them.
 */
#pragma once

#include "nerv_file.h"
#include "rd_clip.h"

typedef struct {
    double psnr, psnr_frames; /* dB: of the mean squared error, mean of the frames' */
} BetweenQuality;

/* How far a network is from what was held out, and from what it was fitted to. */
typedef struct {
    BetweenQuality between; /* its own frames half-way */
    BetweenQuality blend;   /* the means of its frames before and behind */
    BetweenQuality fitted;
} BetweenResult;

typedef struct {
    const RdClip *clip;
    GPtrArray *frames; /* of GstBuffer: the clip's frames 0, 2, 4.., with times of their own */
    GstCaps *caps;     /* at half the rate */
    bool *is_asked; /* whether frame 2 i + 1 is asked for: not across a cut, nor behind the last fitted one */
    guint n_asked;
} Between;

/* `clip` must outlive it. An error if nothing is held out. */
bool between_init(Between *b, const RdClip *clip, GError **error);
void between_clear(Between *b);
/* The means of the clip's own frames before and behind. */
bool between_blend(const Between *b, BetweenQuality *out, GError **error);
/* What ffmpeg's minterpolate, at its best settings, makes of b->frames half-way between two. program: ffmpeg; folder: for what it reads and writes. */
bool between_minterpolate(const Between *b, const char *program, const char *folder, BetweenQuality *out,
                          GError **error);
/* Of a stream of b->frames. */
bool between_measure(const Between *b, NervBackend *be, const NervFile *file, BetweenResult *out,
                     GError **error);

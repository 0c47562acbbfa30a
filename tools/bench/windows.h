/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clips in memory, in one or several sizes, and windows cut out of them: a few frames, a part of the picture, as it is or mirrored.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/rng.h"

#define WINDOWS_MAX_SCALES 4

/* A clip in one size, frames of packed R'G'B' one behind the other. */
typedef struct {
    int32_t width, height;
    uint8_t *rgb;
} WindowPicture;

typedef struct {
    char *name; /* the file's, without its folder */
    int32_t n_frames;
    uint32_t n_pictures;
    WindowPicture picture[WINDOWS_MAX_SCALES];
} WindowClip;

/* What all windows have in common, and where they come from. */
typedef struct {
    int32_t width, height, n_frames;
    GPtrArray *clips; /* of WindowClip */
} Windows;

/* One window. */
typedef struct {
    const WindowClip *clip;
    const WindowPicture *picture;
    int32_t x, y, first, stride; /* of the corner, of the first frame, and from frame to frame */
    bool mirrored;
} Window;

void windows_init(Windows *w, int32_t width, int32_t height, int32_t n_frames);
void windows_clear(Windows *w);
/* Loads a clip (rd_clip_load()), at most so many frames of it, in the windows' size times each of the scales, 1 or more. A clip of fewer frames
 * than a window has is an error. */
bool windows_add(Windows *w, const char *what, uint32_t most_frames, const double *scales, uint32_t n_scales,
                 GError **error);

/* By chance: any clip, any size, any place, either side first, each frame or each second one where there are enough. */
Window windows_draw(const Windows *w, NervRng *rng);
/* Of one clip: the smallest size, its middle, as it is, from a part 0..1 of what may be its first frame. */
Window windows_middle(const Windows *w, uint32_t clip, double from);
/* Bytes of a window's frames as the trainer takes them. */
size_t windows_bytes(const Windows *w);
/* The window's frames to dst, so many bytes; what is between frames is left as it is. */
void windows_cut(const Windows *w, const Window *window, uint8_t *dst);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames of one network in one layout of pixels, several at once. Any frame can be asked for at any time; a frame's run is evaluated
 * once and serves the others of it that follow. Because a network is evaluated by number, the next ones are guessed from the last ones asked for and computed ahead, so that what
 * is waited for is mostly done. Belongs to one thread at a time; the threads that it starts end with it.
 */
#pragma once

#include "codec/evaluator.h"
#include "nerv.h"

typedef struct NervRenderer NervRenderer;

/* `params`, their present model, its keyring (NULL if it has no keyframes) and `be` must outlive the renderer; for a change of them see nerv_renderer_idle(). What is computed ahead takes at most this much memory beyond the
 * first plan, of the backend's memory and within its limit; where that is not enough for two frames, each is computed when it
 * is asked for. */
#define NERV_RENDERER_AHEAD_BYTES ((size_t)96 << 20)

NervRenderer *nerv_renderer_new(NervBackend *be, NervParams *params, NervKeyring *keyring,
                                const NervPixels *output, GError **error);
/* One whose frames stay on the device that makes them: for nerv_renderer_export(), not for nerv_renderer_get(). NERV_ERROR_UNSUPPORTED where
 * nerv_exec_keep_outputs() is. */
NervRenderer *nerv_renderer_new_exporting(NervBackend *be, NervParams *params, NervKeyring *keyring,
                                          const NervPixels *output, GError **error);
/* Gives up what is being computed and returns within some milliseconds on a CPU; a GPU ends the frame that it has begun. */
void nerv_renderer_free(NervRenderer *r);

/* Writes frame 0 <= frame < clip.n_frames to `dst`, in the layout asked for: the same bytes in whatever order frames are asked
 * for and on however many threads. Where it was not foreseen it is computed at once, on all threads. An error is this frame's;
 * others can still be had. */
bool nerv_renderer_get(NervRenderer *r, int32_t frame, const NervFrame *dst, GError **error);

/* The same at a time 0 < later < 1 behind the frame (nerv_model_input_at()): computed at once, on all threads. */
bool nerv_renderer_get_at(NervRenderer *r, int32_t frame, double later, const NervFrame *dst, GError **error);

/* The same to a target of nerv_exec_export(), whose frame is there when this returns. */
bool nerv_renderer_export(NervRenderer *r, int32_t frame, const void *target, GError **error);

/* After a seek: drops what is computed ahead, at once, and takes the next frame for a first one, which pays for no other. */
void nerv_renderer_restart(NervRenderer *r);

/* Drops what is computed ahead and what was shown, and waits, as nerv_renderer_free() does, until nothing reads the parameters. Until the
 * next frame is asked for they may be replaced, by those of a model that is nerv_model_alike(); plan, memory and threads stay. On
 * failure only nerv_renderer_free() is left. */
bool nerv_renderer_idle(NervRenderer *r, GError **error);

typedef struct {
    uint32_t n_ahead;    /* runs that are computed ahead at most; 0: none, or not yet */
    uint32_t n_lanes;    /* of them at the same time; 0: one, on a device that is free meanwhile */
    uint64_t n_foreseen; /* runs that were queued, under way or done when they were asked for */
    uint64_t n_at_once;  /* that were not */
} NervRendererStats;

void nerv_renderer_get_stats(const NervRenderer *r, NervRendererStats *stats);

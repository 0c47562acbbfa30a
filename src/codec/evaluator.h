/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A network made ready to give its frames, one at a time, in one layout of pixels on one backend: the tape, its
 * plan, and what goes in and comes out. Belongs to one thread at a time. Which frame comes when, and on what, is
 * renderer.c's; when the weights change, decoder.c's.
 */
#pragma once

#include "models/params.h"
#include "tensor/pixels.h"

typedef struct {
    const NervParams *params; /* their model is asked at every frame: it may be replaced between two */
    NervTape *tape;
    NervExec *exec;
    NervTensor *input, *pixels;
    float *encoding;
    size_t frame_bytes;  /* of what read() writes: the planes of nerv_pixels_planes() */
    size_t device_bytes; /* what it takes of the backend's memory */
} NervEvaluator;

/* `params` are on `be` or on the backend whose lane it is; they, their model and `be` must outlive the evaluator. */
NervEvaluator *nerv_evaluator_new(NervBackend *be, NervParams *params, const NervPixels *output,
                                  GError **error);
void nerv_evaluator_free(NervEvaluator *ev);

/* Starts a frame, 0 <= frame < clip.n_frames, in the exec's slot in use; read() waits for it. */
bool nerv_evaluator_start(NervEvaluator *ev, int32_t frame, GError **error);
bool nerv_evaluator_read(NervEvaluator *ev, uint8_t *dst, GError **error);

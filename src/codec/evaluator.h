/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A network made ready to give its runs, one at a time, in one layout of pixels on one backend: the tape, its
 * plan, and what goes in and comes out. Belongs to one thread at a time. Which run comes when, and on what, is
 * renderer.c's; when the weights change, decoder.c's.
 */
#pragma once

#include "codec/keyring.h"
#include "models/params.h"
#include "tensor/pixels.h"

typedef struct {
    const NervParams *params; /* their model is asked at every frame: it may be replaced between two */
    NervTape *tape;
    NervExec *exec;
    NervKeyring *keyring;
    NervTensor *input, *pixels;
    NervTensor *key_store, *key_index; /* the run's two keyframes; NULL if the model has none */
    float *encoding;
    uint8_t *key_data;
    size_t run_bytes;    /* of what read() writes: run_frames times frame_bytes */
    size_t frame_bytes;  /* each frame's planes of nerv_pixels_planes() */
    size_t device_bytes; /* what it takes of the backend's memory */
} NervEvaluator;

/* `params` are on `be` or on the backend whose lane it is; they, their model, its keyring (NULL if it has no keyframes) and `be` must outlive the evaluator. */
NervEvaluator *nerv_evaluator_new(NervBackend *be, NervParams *params, NervKeyring *keyring,
                                  const NervPixels *output, GError **error);
void nerv_evaluator_free(NervEvaluator *ev);

/* Starts a run, 0 <= run < n_runs, in the exec's slot in use; read() waits for it. NERV_ERROR_DATA if it has no keyframes. */
bool nerv_evaluator_start(NervEvaluator *ev, int32_t run, GError **error);
/* The same for times between frames (nerv_model_input_at()). */
bool nerv_evaluator_start_at(NervEvaluator *ev, int32_t run, double later, GError **error);
bool nerv_evaluator_read(NervEvaluator *ev, uint8_t *dst, GError **error);
/* Instead, once the exec keeps its outputs: starts a copy of the run's frame `at` to a target of nerv_exec_export(). */
bool nerv_evaluator_export(NervEvaluator *ev, int32_t at, const void *target, GError **error);

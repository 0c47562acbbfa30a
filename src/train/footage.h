/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a network is fitted to, on the backend that it is fitted on.
 */
#pragma once

#include "backend/backend.h"
#include "models/model.h"

/* Stored pictures: U8, each nerv_pixels_bytes() rounded up to 4 bytes. */
typedef struct {
    NervBuffer *frames; /* model->clip.n_frames */
    const NervPixels *pixels;
    NervBuffer *keys; /* model->n_keys, as a decoder has them; NULL if there are none */
    NervPixels key_pixels;
    /* What of each frame counts: model->clip.n_frames pictures of nerv_footage_mask_pixels(). R / 255 weighs a sample's error in the loss; G is 255 for what is held out, to
     * say how well the fit does on what it has not seen, and B for what is known and fitted, of which errors are reported; else they are 0. NULL: all is fitted. */
    NervBuffer *masks;
    bool held_out; /* whether any sample is */
} NervFootage;

/* RGB of the frames' size. */
NervPixels nerv_footage_mask_pixels(const NervPixels *frames);

/* What a run's evaluation takes and is compared with, as a tape's leaves, and how they are filled. N is run_frames, times the batch for
 * models with run_frames = 1 and no keyframes. */
typedef struct {
    NervTensor *frames, *key_store; /* PARAM leaves; key_store NULL without keyframes */
    NervTensor *input;              /* [N,input_floats,1,1] */
    NervTensor *index, *key_index;  /* I32 [N,1,1,1], [2,1,1,1] */
    NervTensor *mask;       /* [N,1,1,1]: 1, or 0 for what is beyond a clip's end; NULL for single frames */
    NervTensor *mask_store; /* PARAM leaf; NULL where all is fitted */
    /* As target, 0 beyond a clip's end too; NULL where all is fitted, or nothing held out. */
    NervTensor *weight, *fitted, *held;
    NervTensor *keys, *target; /* RGB */
    float *input_data, *mask_data;
    int32_t *index_data;
    const NervModel *model;
} NervScene;

/* Appends the leaves for `batch` runs: one, but for models with run_frames = 1 and no keyframes. */
void nerv_scene_init(NervScene *s, NervTape *t, const NervModel *model, const NervFootage *footage,
                     int32_t batch);
void nerv_scene_clear(NervScene *s);
bool nerv_scene_bind(const NervScene *s, NervExec *exec, const NervFootage *footage, GError **error);
/* Puts a run into place 0 <= at < batch, and all places into the exec's slot. */
void nerv_scene_set(NervScene *s, int32_t at, int32_t run);
bool nerv_scene_write(const NervScene *s, NervExec *exec, GError **error);
/* x, like target, as it counts in the loss: with zeros for frames beyond the clip's end, and weighted. */
NervTensor *nerv_scene_mask(const NervScene *s, NervTape *t, NervTensor *x);
/* The same of what errors are reported of. */
NervTensor *nerv_scene_mask_fitted(const NervScene *s, NervTape *t, NervTensor *x);

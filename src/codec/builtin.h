/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The inits that every encoder and decoder has: files of data/, part of the library.
 */
#pragma once

#include "codec/init.h"

typedef struct {
    const char *name;
    const uint8_t *data;
    size_t bytes;
} NervBuiltinFile;

/* Generated. */
extern const NervBuiltinFile nerv_builtin_files[];
extern const uint32_t nerv_n_builtin_files;

/* The i-th; owned by the library. From any thread. NULL if there was no memory for it. */
const NervInit *nerv_builtin_init(uint32_t i);
/* The one of that hash, or NULL. */
const NervInit *nerv_builtin_find(const uint8_t hash[NERV_INIT_HASH_BYTES]);
/* The one whose network is most like a model of the same class and form (layers and grids, each in its place), in multiplications and in weights for the model's clip, or NULL if none
 * is near. `size`: what the
 * model was made for. *like: that network, for the clip; freed with nerv_model_free(). */
const NervInit *nerv_builtin_near(const NervModel *model, const NervModelSize *size, NervModel **like);

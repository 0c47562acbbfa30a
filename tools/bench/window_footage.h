/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A window on the device, as a fit takes it: its frames and, for models with keyframes, those, coded and decoded, and the motion between them.
 */
#pragma once

#include "codec/keys.h"
#include "train/patches.h"
#include "windows.h"

typedef struct {
    NervBackend *be;
    const NervModel *model; /* of windows of that size */
    NervPixels pixels, key_pixels;
    NervKeysJob job;
    NervKeys keys;
    uint8_t *cut; /* the frames, which the host looks at as well */
    size_t frame_bytes;
    NervFootage footage;
    NervPatches *patches;
    float *seen; /* the window's patches, once they were asked for */
} WindowFootage;

/* The model and the backend must outlive it. Keyframes get the quantiser and the time that nervenc gives them by itself. threads: 0 = one per core.
 * What was initialised so far is cleared by the caller in either case. */
bool window_footage_init(WindowFootage *f, NervBackend *be, const NervModel *model, uint32_t threads,
                         GError **error);
void window_footage_clear(WindowFootage *f);
bool window_footage_load(WindowFootage *f, const Windows *w, const Window *window, GError **error);

/* Flows that were found, for the model's grid of them; NULL: there are none. */
const float *window_footage_flows(const WindowFootage *f);
/* What a fit begins with, model->n_weights floats: from a start (models/start.h; `maps`: of the window's patches), or as the seed draws it where
 * that is NULL; `motion`: and flows as they were found. */
bool window_footage_begin(WindowFootage *f, const float *start, bool maps, bool motion, uint64_t seed,
                          float *weights, GError **error);

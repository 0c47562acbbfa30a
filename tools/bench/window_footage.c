/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A window on the device, see window_footage.h.
 */
#include "window_footage.h"

#include <string.h>

#include "codec/settings.h"

bool window_footage_init(WindowFootage *f, NervBackend *be, const NervModel *model, uint32_t threads,
                         GError **error)
{
    const NervClip *clip = &model->clip;
    NervEncoderSettings s;
    *f = (WindowFootage){ .be = be, .model = model };
    f->pixels = (NervPixels){ .format = NERV_PIXELS_RGB, .width = clip->width, .height = clip->height };
    nerv_keyframe_pixels(&f->pixels, &f->key_pixels);
    f->frame_bytes = (nerv_pixels_bytes(&f->pixels) + 3) / 4 * 4;
    nerv_encoder_settings_init(&s);
    f->job = (NervKeysJob){ .be = be,
                            .pixels = &f->pixels,
                            .quant = nerv_settings_key_quant(&s),
                            .speed = nerv_settings_key_speed(&s, &f->pixels),
                            .n_threads = threads };
    nerv_encoder_settings_clear(&s);
    f->cut = g_malloc0(f->frame_bytes * (size_t)clip->n_frames);
    f->seen = g_new0(float, (gsize)nerv_start_patches_count(model) + 1);
    f->footage = (NervFootage){ .pixels = &f->pixels, .key_pixels = f->key_pixels };
    f->footage.frames = nerv_buffer_new(be, f->frame_bytes * (size_t)clip->n_frames, error);
    return f->footage.frames && (f->patches = nerv_patches_new(be, model, &f->footage, error));
}

void window_footage_clear(WindowFootage *f)
{
    nerv_patches_free(f->patches);
    nerv_buffer_free(f->footage.frames);
    nerv_keys_clear(&f->keys);
    g_free(f->cut);
    g_free(f->seen);
    *f = (WindowFootage){ .be = NULL };
}

static const uint8_t *frame_at(void *user, uint32_t i)
{
    const WindowFootage *f = user;
    return f->cut + i * f->frame_bytes;
}

bool window_footage_load(WindowFootage *f, const Windows *w, const Window *window, GError **error)
{
    windows_cut(w, window, f->cut);
    if (!nerv_buffer_upload(f->footage.frames, 0, f->cut, windows_bytes(w), error))
        return false;
    nerv_keys_clear(&f->keys);
    f->job.frame_at = frame_at;
    f->job.user = f;
    if (!nerv_keys_make(&f->keys, f->model, &f->job, error))
        return false;
    f->footage.keys = f->keys.store;
    return true;
}

const float *window_footage_flows(const WindowFootage *f)
{
    return f->keys.motion.grid;
}

bool window_footage_begin(WindowFootage *f, const float *start, bool maps, bool motion, uint64_t seed,
                          float *weights, GError **error)
{
    if (start && maps && !nerv_patches_run(f->patches, &f->footage, f->keys.motion.grid, f->seen, error))
        return false;
    if (start)
        nerv_start_expand(f->model, start, maps ? f->seen : NULL, weights);
    else
        nerv_model_init_params(f->model, seed, weights);
    if (motion)
        nerv_motion_place(&f->keys.motion, f->model, weights);
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Leaves of a run, see footage.h.
 */
#include "train/footage.h"

static NervTensor *store_leaf(NervTape *t, const NervPixels *pixels, int32_t n, const char *name)
{
    const int32_t bytes = (int32_t)((nerv_pixels_bytes(pixels) + 3) / 4 * 4);
    return nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_U8, nerv_shape(n, 1, 1, bytes), name);
}

static NervTensor *input_leaf(NervTape *t, NervDType type, int32_t n, int32_t floats, const char *name)
{
    return nerv_tape_leaf(t, NERV_TENSOR_INPUT, type, nerv_shape(n, floats, 1, 1), name);
}

NervPixels nerv_footage_mask_pixels(const NervPixels *frames)
{
    return (NervPixels){
        .format = NERV_PIXELS_RGB, .width = frames->width, .height = frames->height, .full_range = 1
    };
}

static NervTensor *beyond_end(const NervScene *s, NervTape *t, NervTensor *x)
{
    return s->mask ? nerv_weigh(t, x, s->mask, NULL, NULL) : x;
}

/* One of the masks' channels for each of the target's. */
static NervTensor *mask_of(const NervScene *s, NervTape *t, NervTensor *masks, int channel)
{
    return beyond_end(s, t, nerv_expand(t, nerv_slice(t, masks, channel, 1), s->target->shape, 1.f));
}

static void add_masks(NervScene *s, NervTape *t, const NervFootage *footage)
{
    const NervPixels pixels = nerv_footage_mask_pixels(footage->pixels);
    s->mask_store = store_leaf(t, &pixels, s->model->clip.n_frames, "masks");
    NervTensor *masks = nerv_from_pixels(t, s->mask_store, s->index, &pixels);
    if (!masks || !s->target)
        return; /* the tape says why */
    s->weight = mask_of(s, t, masks, 0);
    s->fitted = mask_of(s, t, masks, 2);
    if (footage->held_out)
        s->held = mask_of(s, t, masks, 1);
}

void nerv_scene_init(NervScene *s, NervTape *t, const NervModel *model, const NervFootage *footage,
                     int32_t batch)
{
    const int32_t n = batch * model->run_frames;
    *s = (NervScene){ .model = model };
    s->frames = store_leaf(t, footage->pixels, model->clip.n_frames, "frames");
    s->input = input_leaf(t, NERV_F32, n, model->input_floats, "input");
    s->index = input_leaf(t, NERV_I32, n, 1, "index");
    s->target = nerv_from_pixels(t, s->frames, s->index, footage->pixels);
    if (model->n_keys > 0) {
        s->key_store = store_leaf(t, &footage->key_pixels, model->n_keys, "keys");
        s->key_index = input_leaf(t, NERV_I32, 2, 1, "key-index");
        s->keys = nerv_from_pixels(t, s->key_store, s->key_index, &footage->key_pixels);
    }
    if (model->run_frames > 1)
        s->mask = input_leaf(t, NERV_F32, n, 1, "mask");
    if (footage->masks)
        add_masks(s, t, footage);
    s->input_data = g_new0(float, (gsize)n *(gsize)model->input_floats);
    s->mask_data = g_new0(float, n);
    s->index_data = g_new0(int32_t, n + 2);
}

void nerv_scene_clear(NervScene *s)
{
    g_clear_pointer(&s->input_data, g_free);
    g_clear_pointer(&s->mask_data, g_free);
    g_clear_pointer(&s->index_data, g_free);
}

bool nerv_scene_bind(const NervScene *s, NervExec *exec, const NervFootage *footage, GError **error)
{
    return nerv_exec_bind(exec, s->frames, footage->frames, 0, error) &&
           (!s->mask_store || nerv_exec_bind(exec, s->mask_store, footage->masks, 0, error)) &&
           (!s->key_store || nerv_exec_bind(exec, s->key_store, footage->keys, 0, error));
}

void nerv_scene_set(NervScene *s, int32_t at, int32_t run)
{
    const int32_t n = s->model->run_frames, first = at * n;
    const NervRun r = nerv_model_run(s->model, run);
    nerv_model_input(s->model, run, s->input_data + (size_t)first * s->model->input_floats);
    for (int32_t i = 0; i < n; i++) {
        s->index_data[first + i] = r.first + MIN(i, r.n - 1);
        s->mask_data[first + i] = i < r.n;
    }
    for (int i = 0; s->keys && i < 2; i++)
        s->index_data[s->index->shape.n + i] = r.keys[i];
}

bool nerv_scene_write(const NervScene *s, NervExec *exec, GError **error)
{
    return nerv_exec_write(exec, s->input, s->input_data, error) &&
           nerv_exec_write(exec, s->index, s->index_data, error) &&
           (!s->key_index || nerv_exec_write(exec, s->key_index, s->index_data + s->index->shape.n, error)) &&
           (!s->mask || nerv_exec_write(exec, s->mask, s->mask_data, error));
}

NervTensor *nerv_scene_mask(const NervScene *s, NervTape *t, NervTensor *x)
{
    return s->weight ? nerv_mul(t, x, s->weight) : beyond_end(s, t, x);
}

NervTensor *nerv_scene_mask_fitted(const NervScene *s, NervTape *t, NervTensor *x)
{
    return s->fitted ? nerv_mul(t, x, s->fitted) : beyond_end(s, t, x);
}

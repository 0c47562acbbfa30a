/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a run's number to its pixels, see evaluator.h.
 */
#include "codec/evaluator.h"

/* The two keyframes of a run in RGB; NULL if the model has none. */
static NervTensor *build_keys(NervEvaluator *ev, const NervModel *model)
{
    if (model->n_keys == 0)
        return NULL;
    const size_t bytes = nerv_keyring_picture_bytes(ev->keyring);
    ev->key_store =
        nerv_tape_leaf(ev->tape, NERV_TENSOR_INPUT, NERV_U8, nerv_shape(2, 1, 1, (int32_t)bytes), "keys");
    ev->key_index =
        nerv_tape_leaf(ev->tape, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(2, 1, 1, 1), "key-index");
    ev->key_data = g_try_malloc0(2 * bytes);
    if (!ev->key_data)
        nerv_tape_fail(ev->tape, NERV_ERROR_MEMORY, "no memory for two keyframes");
    return nerv_from_pixels(ev->tape, ev->key_store, ev->key_index, nerv_keyring_pixels(ev->keyring));
}

static bool make_exec(NervEvaluator *ev, NervBackend *be, NervParams *params, const NervPixels *output,
                      GError **error)
{
    const size_t before = nerv_backend_live_bytes(be);
    const NervModel *model = params->model;
    NervTensor **leaves = g_new0(NervTensor *, model->n_params);
    ev->input = nerv_tape_leaf(ev->tape, NERV_TENSOR_INPUT, NERV_F32,
                               nerv_shape(model->run_frames, model->input_floats, 1, 1), "input");
    nerv_params_leaves(model, ev->tape, "", leaves);
    NervTensor *rgb = nerv_model_build(model, ev->tape, leaves, ev->input, build_keys(ev, model));
    ev->pixels = nerv_to_pixels(ev->tape, rgb, output);
    nerv_tape_output(ev->tape, ev->pixels, "pixels");
    ev->exec = nerv_exec_new(be, ev->tape, error);
    const bool ok = ev->exec && nerv_params_bind(params, ev->exec, leaves, error);
    g_free(leaves);
    if (!ok)
        return false;
    ev->device_bytes = nerv_backend_live_bytes(be) - before;
    ev->run_bytes = nerv_tensor_bytes(ev->pixels);
    ev->frame_bytes = ev->run_bytes / (size_t)model->run_frames;
    return true;
}

NervEvaluator *nerv_evaluator_new(NervBackend *be, NervParams *params, NervKeyring *keyring,
                                  const NervPixels *output, GError **error)
{
    NervEvaluator *ev = g_new0(NervEvaluator, 1);
    ev->params = params;
    ev->keyring = keyring;
    ev->tape = nerv_tape_new();
    ev->encoding = g_try_new0(float, (gsize)params->model->run_frames *(gsize)params->model->input_floats);
    if (!ev->encoding)
        nerv_tape_fail(ev->tape, NERV_ERROR_MEMORY, "no memory for a network's input");
    if (!make_exec(ev, be, params, output, error)) {
        nerv_evaluator_free(ev);
        return NULL;
    }
    return ev;
}

void nerv_evaluator_free(NervEvaluator *ev)
{
    if (!ev)
        return;
    nerv_exec_free(ev->exec);
    nerv_tape_free(ev->tape);
    g_free(ev->encoding);
    g_free(ev->key_data);
    g_free(ev);
}

static bool write_keys(NervEvaluator *ev, int32_t run, GError **error)
{
    static const int32_t both[] = { 0, 1 };
    const NervRun r = nerv_model_run(ev->params->model, run);
    return !ev->key_store || (nerv_keyring_get(ev->keyring, &r, ev->key_data, error) &&
                              nerv_exec_write(ev->exec, ev->key_store, ev->key_data, error) &&
                              nerv_exec_write(ev->exec, ev->key_index, both, error));
}

bool nerv_evaluator_start(NervEvaluator *ev, int32_t run, GError **error)
{
    return nerv_evaluator_start_at(ev, run, 0., error);
}

bool nerv_evaluator_start_at(NervEvaluator *ev, int32_t run, double later, GError **error)
{
    nerv_model_input_at(ev->params->model, run, later, ev->encoding);
    return write_keys(ev, run, error) && nerv_exec_write(ev->exec, ev->input, ev->encoding, error) &&
           nerv_exec_run(ev->exec, error);
}

bool nerv_evaluator_read(NervEvaluator *ev, uint8_t *dst, GError **error)
{
    return nerv_exec_read(ev->exec, ev->pixels, dst, error);
}

bool nerv_evaluator_export(NervEvaluator *ev, int32_t at, const void *target, GError **error)
{
    return nerv_exec_export(ev->exec, ev->pixels, (size_t)at * ev->frame_bytes, target, error);
}

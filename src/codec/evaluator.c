/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a frame's number to its pixels, see evaluator.h.
 */
#include "codec/evaluator.h"

static bool make_exec(NervEvaluator *ev, NervBackend *be, NervParams *params, const NervPixels *output,
                      GError **error)
{
    const size_t before = nerv_backend_live_bytes(be);
    const NervModel *model = params->model;
    NervTensor **leaves = g_new0(NervTensor *, model->n_params);
    ev->input = nerv_tape_leaf(ev->tape, NERV_TENSOR_INPUT, NERV_F32,
                               nerv_shape(1, model->input_floats, 1, 1), "input");
    nerv_params_leaves(model, ev->tape, "", leaves);
    ev->pixels = nerv_to_pixels(ev->tape, nerv_model_build(model, ev->tape, leaves, ev->input), output);
    nerv_tape_output(ev->tape, ev->pixels, "pixels");
    ev->exec = nerv_exec_new(be, ev->tape, error);
    const bool ok = ev->exec && nerv_params_bind(params, ev->exec, leaves, error);
    g_free(leaves);
    if (!ok)
        return false;
    ev->device_bytes = nerv_backend_live_bytes(be) - before;
    ev->frame_bytes = nerv_tensor_bytes(ev->pixels);
    return true;
}

NervEvaluator *nerv_evaluator_new(NervBackend *be, NervParams *params, const NervPixels *output,
                                  GError **error)
{
    NervEvaluator *ev = g_new0(NervEvaluator, 1);
    ev->params = params;
    ev->tape = nerv_tape_new();
    ev->encoding = g_new0(float, params->model->input_floats);
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
    g_free(ev);
}

bool nerv_evaluator_start(NervEvaluator *ev, int32_t frame, GError **error)
{
    nerv_model_input(ev->params->model, frame, ev->encoding);
    return nerv_exec_write(ev->exec, ev->input, ev->encoding, error) && nerv_exec_run(ev->exec, error);
}

bool nerv_evaluator_read(NervEvaluator *ev, uint8_t *dst, GError **error)
{
    return nerv_exec_read(ev->exec, ev->pixels, dst, error);
}

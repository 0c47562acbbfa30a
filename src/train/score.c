/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One frame's evaluation and its error as one plan, run once per frame. See score.h.
 */
#include "train/score.h"

#include <math.h>

#include "models/params.h"

#define LEAST_MSE 1e-12

struct NervScorer {
    NervBackend *be;
    const NervModel *model;
    NervTape *tape;
    NervExec *exec;
    NervParams *params;
    NervTensor *input, *index, *mse;
    float *encoding;
};

NervScorer *nerv_scorer_new(NervBackend *be, const NervModel *model, NervBuffer *frames,
                            const NervPixels *pixels, GError **error)
{
    const int32_t frame_bytes = (int32_t)((nerv_pixels_bytes(pixels) + 3) / 4 * 4);
    NervScorer *s = g_new0(NervScorer, 1);
    NervTape *t = s->tape = nerv_tape_new();
    g_autofree NervTensor **leaves = g_new0(NervTensor *, model->n_params);

    s->be = be;
    s->model = model;
    s->encoding = g_new0(float, model->input_floats);
    NervTensor *store = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_U8,
                                       nerv_shape(model->clip.n_frames, 1, 1, frame_bytes), "frames");
    s->input =
        nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, model->input_floats, 1, 1), "input");
    s->index = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
    nerv_params_leaves(model, t, "", leaves);
    s->mse = nerv_mse(t, nerv_model_build(model, t, leaves, s->input),
                      nerv_from_pixels(t, store, s->index, pixels));
    nerv_tape_output(t, s->mse, "mse");
    s->exec = nerv_exec_new(be, t, error);
    s->params = s->exec ? nerv_params_new(be, model, error) : NULL;
    if (s->params && nerv_exec_bind(s->exec, store, frames, 0, error) &&
        nerv_params_bind(s->params, s->exec, leaves, error))
        return s;
    nerv_scorer_free(s);
    return NULL;
}

void nerv_scorer_free(NervScorer *s)
{
    if (!s)
        return;
    nerv_exec_free(s->exec);
    nerv_params_free(s->params);
    nerv_tape_free(s->tape);
    g_free(s->encoding);
    g_free(s);
}

bool nerv_scorer_run(NervScorer *s, const float *weights, int32_t n_frames, NervScore *score, GError **error)
{
    double sum = 0., decibels = 0.;
    n_frames = CLAMP(n_frames, 1, s->model->clip.n_frames);
    if (!nerv_params_upload(s->params, weights, error))
        return false;
    for (int32_t i = 0; i < n_frames; i++) {
        float mse;
        nerv_model_input(s->model, i, s->encoding);
        if (nerv_backend_cancelled(s->be, error) || !nerv_exec_write(s->exec, s->input, s->encoding, error) ||
            !nerv_exec_write(s->exec, s->index, &i, error) || !nerv_exec_run(s->exec, error) ||
            !nerv_exec_read(s->exec, s->mse, &mse, error))
            return false;
        sum += mse;
        decibels -= 10. * log10(fmax(mse, LEAST_MSE));
    }
    score->psnr_frames = decibels / n_frames;
    score->psnr = -10. * log10(fmax(sum / n_frames, LEAST_MSE));
    return true;
}

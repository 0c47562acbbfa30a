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
    NervScene scene;
    NervTensor *mse,
        *fitted; /* of each frame, [N,1,1,1]: the error, and the part of its samples that counts; NULL: all do */
    float *mse_data, *fitted_data;
};

NervScorer *nerv_scorer_new(NervBackend *be, const NervModel *model, const NervFootage *footage,
                            GError **error)
{
    NervScorer *s = g_new0(NervScorer, 1);
    NervTape *t = s->tape = nerv_tape_new();
    g_autofree NervTensor **leaves = g_new0(NervTensor *, model->n_params);

    s->be = be;
    s->model = model;
    s->mse_data = g_new0(float, model->run_frames);
    s->fitted_data = g_new0(float, model->run_frames);
    nerv_scene_init(&s->scene, t, model, footage, 1);
    nerv_params_leaves(model, t, "", leaves);
    NervTensor *rgb = nerv_model_build(model, t, leaves, s->scene.input, s->scene.keys);
    NervTensor *error_of = nerv_add(t, rgb, nerv_affine(t, s->scene.target, -1.f, 0.f));
    if (s->scene.fitted)
        error_of = nerv_scene_mask_fitted(&s->scene, t, error_of);
    s->mse = nerv_reduce_mean(t, nerv_mul(t, error_of, error_of), NERV_AXIS_C | NERV_AXIS_H | NERV_AXIS_W);
    nerv_tape_output(t, s->mse, "mse");
    if (s->scene.fitted) {
        s->fitted = nerv_reduce_mean(t, s->scene.fitted, NERV_AXIS_C | NERV_AXIS_H | NERV_AXIS_W);
        nerv_tape_output(t, s->fitted, "fitted");
    }
    s->exec = nerv_exec_new(be, t, error);
    s->params = s->exec ? nerv_params_new(be, model, error) : NULL;
    if (s->params && nerv_scene_bind(&s->scene, s->exec, footage, error) &&
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
    nerv_scene_clear(&s->scene);
    g_free(s->mse_data);
    g_free(s->fitted_data);
    g_free(s);
}

bool nerv_scorer_run(NervScorer *s, const float *weights, int32_t n_frames, NervScore *score, GError **error)
{
    double sum = 0., decibels = 0., all = 0.;
    int32_t counted = 0;
    n_frames = CLAMP(n_frames, 1, s->model->clip.n_frames);
    if (!nerv_params_upload(s->params, weights, error))
        return false;
    int32_t done = 0;
    for (int32_t run = 0; done < n_frames; run++) {
        const NervRun r = nerv_model_run(s->model, run);
        nerv_scene_set(&s->scene, 0, run);
        if (nerv_backend_cancelled(s->be, error) || !nerv_scene_write(&s->scene, s->exec, error) ||
            !nerv_exec_run(s->exec, error) || !nerv_exec_read(s->exec, s->mse, s->mse_data, error) ||
            (s->fitted && !nerv_exec_read(s->exec, s->fitted, s->fitted_data, error)))
            return false;
        for (int32_t i = 0; i < r.n; i++, done++) {
            const double part = s->fitted ? s->fitted_data[i] : 1.;
            if (!(part > 0.))
                continue; /* nothing is known of the frame */
            counted++;
            all += part;
            sum += s->mse_data[i];
            decibels -= 10. * log10(fmax(s->mse_data[i] / part, LEAST_MSE));
        }
    }
    score->psnr_frames = decibels / MAX(counted, 1);
    score->psnr = -10. * log10(fmax(sum / fmax(all, LEAST_MSE), LEAST_MSE));
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See hyper.h.
 */
#include "train/hyper.h"

#include <math.h>

static bool is_head(const NervParam *param)
{
    return g_str_equal(param->name, "head.weight");
}

NervTensor *nerv_hypers_leaf(NervHypers *hypers, NervTape *tape, NervHyperKind kind, double rate)
{
    for (uint32_t i = 0; i < hypers->n; i++)
        if (hypers->of[i].kind == kind && hypers->of[i].rate == rate)
            return hypers->of[i].leaf;
    if (hypers->n == NERV_MAX_RATES) {
        nerv_tape_fail(tape, NERV_ERROR_INVALID, "a model has at most %d learning rates", NERV_MAX_RATES);
        return NULL;
    }
    NervHyper *h = &hypers->of[hypers->n++];
    *h = (NervHyper){ .kind = kind, .rate = rate };
    return h->leaf = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 4, 1, 1), "hyper");
}

NervTensor *nerv_hypers_param(NervHypers *hypers, NervTape *tape, const NervParam *param, double layers)
{
    return nerv_hypers_leaf(hypers, tape, is_head(param) ? NERV_HYPER_HEAD : NERV_HYPER_WEIGHTS,
                            (param->rate > 0.f ? param->rate : 1.) *
                                (param->role == NERV_PARAM_GRID ? 1. : layers));
}

bool nerv_hyper_write(const NervHyper *hyper, NervExec *exec, double rate, double beta1, double beta2,
                      double t, GError **error)
{
    const float values[4] = { (float)(rate * hyper->rate), (float)(1. - pow(beta1, t)),
                              (float)(1. - pow(beta2, t)) };
    return nerv_exec_write(exec, hyper->leaf, values, error);
}

bool nerv_hyper_head_size(const NervModel *model, NervParams *weights, NervParams *base, double *size,
                          GError **error)
{
    const size_t n = (size_t)model->n_weights;
    g_autofree float *w = g_try_new(float, n);
    g_autofree float *b = g_try_new0(float, n);
    const float *at = w, *from = b;
    *size = 0.;
    if (!w || !b) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights");
        return false;
    }
    if (!nerv_params_download(weights, w, error) || (base && !nerv_params_download(base, b, error)))
        return false;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t count = nerv_shape_count(model->params[i].shape);
        double squares = 0.;
        for (int64_t j = 0; is_head(&model->params[i]) && j < count; j++)
            squares += ((double)at[j] + (double)from[j]) * ((double)at[j] + (double)from[j]);
        *size = fmax(*size, sqrt(squares / (double)count));
        at += count;
        from += count;
    }
    return true;
}

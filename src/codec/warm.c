/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See warm.h. What is carried over, and by how much it shrinks, was measured: docs/design.md, "Warm start".
 */
#include "codec/warm.h"

#include "codec/weights.h"

/* Of the last network's weights. Whole, they keep a fit where it is, and large weights take more bits. */
#define KEPT_PART 0.5f

void nerv_warm_clear(NervWarm *w)
{
    g_clear_pointer(&w->model, nerv_model_free);
    g_clear_pointer(&w->weights, g_free);
}

void nerv_warm_keep(NervWarm *w, const uint8_t *payload, size_t bytes, const NervClip *clip)
{
    GError *error = NULL;
    nerv_warm_clear(w);
    w->model = nerv_network_read(payload, bytes, clip, NERV_MODEL_MAX_WEIGHTS, &w->weights, &error);
    if (w->model)
        return;
    g_info("the next segment starts anew: %s", error->message);
    g_error_free(error);
}

/* A grid whose rows are times: the last segment's are over. */
static bool is_of_its_time(const NervParam *param)
{
    return param->role == NERV_PARAM_GRID && param->shape.n > 1;
}

bool nerv_warm_start(const NervWarm *w, const NervModel *model, uint64_t seed, float **weights,
                     GError **error)
{
    *weights = NULL;
    if (!w->model || !nerv_model_alike(w->model, model))
        return true;
    float *to = *weights = g_try_new(float, (gsize)model->n_weights);
    if (!to) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the initial weights");
        return false;
    }
    const float *from = w->weights;
    nerv_model_init_params(model, seed, to);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        if (!is_of_its_time(&model->params[i]))
            for (int64_t j = 0; j < n; j++)
                to[j] = KEPT_PART * from[j];
        from += n;
        to += n;
    }
    return true;
}

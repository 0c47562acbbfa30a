/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See warm.h. What is carried over, and by how much it shrinks, was measured: docs/design.md, "Warm start".
 */
#include "codec/warm.h"

#include "codec/delta.h"
#include "codec/residual.h"
#include "codec/weights.h"

/* Of the last network's weights. Whole, they keep a fit where it is, and large weights take more bits. */
#define KEPT_PART 0.5f

void nerv_warm_clear(NervWarm *w)
{
    g_clear_pointer(&w->model, nerv_model_free);
    g_clear_pointer(&w->weights, g_free);
    w->crc = w->n_residuals = 0;
}

static bool take(NervWarm *next, const NervWarm *last, NervUnitType type, const uint8_t *payload,
                 size_t bytes, const NervClip *clip, const NervInit *init, GError **error)
{
    const bool is_residual = type == NERV_UNIT_RESIDUAL;
    const uint8_t *network = payload;
    size_t network_bytes = bytes;
    const uint8_t *hash;
    uint32_t base;
    if (type == NERV_UNIT_DELTA && !nerv_delta_read(payload, bytes, &hash, &network, &network_bytes, error))
        return false;
    if (is_residual && !nerv_residual_read(payload, bytes, &base, &network, &network_bytes, error))
        return false;
    next->model =
        nerv_network_read(network, network_bytes, clip, NERV_MODEL_MAX_WEIGHTS, &next->weights, error);
    if (!next->model)
        return false;
    if (is_residual)
        nerv_residual_add(next->model, last->weights, next->weights);
    if (type == NERV_UNIT_DELTA)
        nerv_delta_add(init, next->model, next->weights);
    next->crc = nerv_unit_crc(type, payload, bytes);
    next->n_residuals = is_residual ? last->n_residuals + 1 : 0;
    return true;
}

void nerv_warm_keep(NervWarm *w, NervUnitType type, const uint8_t *payload, size_t bytes,
                    const NervClip *clip, const NervInit *init)
{
    GError *error = NULL;
    NervWarm next = { 0 };
    const bool ok = take(&next, w, type, payload, bytes, clip, init, &error);
    nerv_warm_clear(w);
    *w = next;
    if (ok)
        return;
    g_info("the next segment starts anew: %s", error->message);
    g_error_free(error);
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
        if (!nerv_param_is_of_its_time(&model->params[i]))
            for (int64_t j = 0; j < n; j++)
                to[j] = KEPT_PART * from[j];
        from += n;
        to += n;
    }
    return true;
}

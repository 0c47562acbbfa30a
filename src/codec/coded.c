/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See coded.h.
 */
#include "codec/coded.h"

#include <math.h>

#include "codec/residual.h"

bool nerv_coded_open(NervCoded *c, const NervInit *own, const NervUnit *unit, GError **error)
{
    const uint8_t *hash;
    *c = (NervCoded){ .network = unit->payload, .bytes = unit->payload_bytes };
    if (unit->type == NERV_UNIT_RESIDUAL) {
        c->is_residual = true;
        return nerv_residual_read(unit->payload, unit->payload_bytes, &c->base_crc, &c->network, &c->bytes,
                                  error);
    }
    if (unit->type == NERV_UNIT_DELTA)
        return nerv_delta_read(unit->payload, unit->payload_bytes, &hash, &c->network, &c->bytes, error) &&
               (c->base = nerv_delta_find(own, hash, error));
    return true;
}

bool nerv_coded_is_affordable(const NervCoded *c, const NervClip *clip, int64_t max_weights,
                              uint64_t max_macs_per_frame, GError **error)
{
    const double most = (double)max_macs_per_frame;
    NervBitReader r;
    nerv_reader_init(&r, c->network, c->bytes);
    NervModel *model = nerv_model_read(&r, clip, NULL);
    const double macs = model && model->n_weights <= max_weights
                            ? nerv_model_macs_per_pixel(model) * clip->width * clip->height
                            : 0.;
    nerv_model_free(model);
    if (isinf(macs) || macs <= most) /* infinite: too large a picture for any plan, which says so */
        return true;
    g_set_error(
        error, NERV_ERROR, NERV_ERROR_LIMIT,
        "a frame of the network takes %.3g multiplications, the limit allows %.3g: raise max-macs-per-frame",
        macs, most);
    return false;
}

NervModel *nerv_coded_read(const NervCoded *c, const NervClip *clip, int64_t max_weights, float **weights,
                           GError **error)
{
    NervModel *model = nerv_network_read(c->network, c->bytes, clip, max_weights, weights, error);
    if (model && c->base && !nerv_delta_suits(c->base, model, error)) {
        g_clear_pointer(weights, g_free);
        g_clear_pointer(&model, nerv_model_free);
    }
    if (model && c->base)
        nerv_delta_add(c->base, model, *weights);
    return model;
}

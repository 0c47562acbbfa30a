/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See delta.h.
 */
#include "codec/delta.h"

#include "base/error.h"
#include "codec/builtin.h"

void nerv_delta_write(const uint8_t hash[NERV_INIT_HASH_BYTES], const NervBitWriter *network,
                      NervBitWriter *w)
{
    nerv_write_bytes(w, hash, NERV_INIT_HASH_BYTES);
    nerv_write_bytes(w, network->bytes->data, network->bytes->len);
}

bool nerv_delta_read(const uint8_t *payload, size_t bytes, const uint8_t **hash, const uint8_t **network,
                     size_t *network_bytes, GError **error)
{
    if (bytes <= NERV_DELTA_HEAD) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "delta unit: %zu bytes are no network", bytes);
        return false;
    }
    *hash = payload;
    *network = payload + NERV_DELTA_HEAD;
    *network_bytes = bytes - NERV_DELTA_HEAD;
    return true;
}

const NervInit *nerv_delta_find(const NervInit *own, const uint8_t *hash, GError **error)
{
    const NervInit *init =
        own && memcmp(own->hash, hash, NERV_INIT_HASH_BYTES) == 0 ? own : nerv_builtin_find(hash);
    if (!init) {
        g_autofree char *name = nerv_init_name(hash);
        g_set_error(
            error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
            "the network is differences from an init that is not here, %s: its file goes to init-location",
            name);
    }
    return init;
}

bool nerv_delta_suits(const NervInit *init, const NervModel *model, GError **error)
{
    if (nerv_init_suits(init, model))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                "delta unit: the network has other layers than the init it is to be differences from");
    return false;
}

void nerv_delta_add_param(const NervInit *init, const NervModel *model, uint32_t i, float *weights)
{
    const float *layer = nerv_init_layer(init, model, i);
    const int64_t n = layer ? nerv_shape_count(model->params[i].shape) : 0;
    for (int64_t j = 0; j < n; j++)
        weights[j] += layer[j];
}

void nerv_delta_add(const NervInit *init, const NervModel *model, float *weights)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        nerv_delta_add_param(init, model, i, weights);
        weights += nerv_shape_count(model->params[i].shape);
    }
}

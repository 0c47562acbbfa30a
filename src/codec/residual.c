/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Residual networks, see residual.h. Half of the last weights is what a fit that stands alone begins with as well (warm.h), and a half is exact
 * in floating point, so that the sum is rounded once.
 */
#include "codec/residual.h"

void nerv_residual_write(uint32_t base_crc, const NervBitWriter *network, NervBitWriter *w)
{
    nerv_write_u32(w, base_crc);
    g_byte_array_append(w->bytes, network->bytes->data, network->bytes->len);
}

bool nerv_residual_read(const uint8_t *payload, size_t bytes, uint32_t *base_crc, const uint8_t **network,
                        size_t *network_bytes, GError **error)
{
    NervBitReader r;
    nerv_reader_init(&r, payload, bytes);
    *base_crc = nerv_read_u32(&r);
    *network_bytes = nerv_reader_left(&r);
    *network = nerv_read_bytes(&r, *network_bytes);
    if (!r.failed)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "residual unit: %zu bytes are no network", bytes);
    return false;
}

void nerv_residual_sum(const float *before, float *weights, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        weights[i] += .5f * before[i];
}

void nerv_residual_add(const NervModel *model, const float *before, float *weights)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        if (!nerv_param_is_of_its_time(&model->params[i]))
            nerv_residual_sum(before, weights, n);
        before += n;
        weights += n;
    }
}

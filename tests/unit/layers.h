/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An init out of a network that was fitted: where deltas to it win is known before.
 */
#pragma once

#include <string.h>

#include "codec/init.h"
#include "codec/units.h"
#include "codec/weights.h"

/* Writes an init file with the layers of the network in a stream's first access unit, and with grids that begin with 0. */
static inline void layers_to_init(const uint8_t *data, size_t bytes, const NervClip *clip, const char *path)
{
    const NervInitRates rates = { 0., 1., 0 };
    NervAccessUnit au;
    size_t need;
    float *weights = NULL;
    GError *error = NULL;
    g_assert_cmpint(nerv_access_unit_scan(data, bytes, &au, &need), ==, NERV_SCAN_OK);
    g_assert_cmpuint(au.network.type, ==, NERV_UNIT_NETWORK);
    NervModel *model =
        nerv_network_read(au.network.payload, au.network.payload_bytes, clip, 1 << 20, &weights, &error);
    g_assert_no_error(error);
    float *start = g_new0(float, nerv_start_count(model)), *to = start;
    const float *from = weights;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        if (model->params[i].role != NERV_PARAM_GRID)
            memcpy(to, from, (size_t)n * sizeof(*to));
        from += n;
        to += nerv_shape_count(nerv_start_shape(&model->params[i]));
    }
    GByteArray *file = g_byte_array_new();
    nerv_init_write(model, start, &rates, "a test", file, &error);
    g_assert_no_error(error);
    g_file_set_contents(path, (const char *)file->data, file->len, &error);
    g_assert_no_error(error);
    g_byte_array_unref(file);
    nerv_model_free(model);
    g_free(weights);
    g_free(start);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the reader of network units. The input's first three bytes are the clip (width - 16, height - 16, frames - 1),
 * the rest is the unit's payload. Beyond not crashing: accepted weights are finite and can be written and read again.
 */
#include <math.h>
#include <stdlib.h>

#include "codec/weights.h"
#include "fuzz.h"

#define MAX_WEIGHTS 8000

static void write_and_read(const NervModel *model, const float *params)
{
    NervBitWriter w;
    float *again = NULL;
    nerv_writer_init(&w);
    if (!nerv_network_write(model, params, 8, &w, NULL))
        abort();
    NervModel *back = nerv_network_read(w.bytes->data, w.bytes->len, &model->clip, MAX_WEIGHTS, &again, NULL);
    if (!back || back->n_weights != model->n_weights)
        abort();
    nerv_model_free(back);
    g_free(again);
    nerv_writer_clear(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    const NervClip clip = { 16 + data[0], 16 + data[1], 1 + data[2] };
    GError *error = NULL;
    float *params = NULL;
    NervModel *model = nerv_network_read(data + 3, size - 3, &clip, MAX_WEIGHTS, &params, &error);
    if (!model != !params || !model != !!error || (model && model->n_weights > MAX_WEIGHTS))
        abort();
    g_clear_error(&error);
    if (!model)
        return 0;
    float largest = 0;
    for (int64_t i = 0; i < model->n_weights; i++) {
        if (!isfinite(params[i]))
            abort();
        largest = fmaxf(largest, fabsf(params[i]));
    }
    if (largest <= 0x1p50f)
        write_and_read(model, params);
    fuzz_n_accepted++;
    nerv_model_free(model);
    g_free(params);
    return 0;
}

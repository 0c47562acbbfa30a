/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the reader of network units. The input's first three bytes are the clip (width - 16, height - 16, frames - 1),
 * the rest is the unit's payload. Beyond not crashing: accepted weights are finite and can be written and read again. Where the
 * three bytes are large, the rest is instead the coded weights of coding 1 for tensors of all roles, whose sizes they choose.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/quant.h"
#include "codec/tensors.h"
#include "codec/weights.h"
#include "fuzz.h"

#define MAX_WEIGHTS 8000

/* --- tensors --- */

#define MAX_STEPS   64
#define MAX_SCALARS 4096

/* Every row's values are multiples of this step, if it is fine enough: from the values' exponents. */
static uint16_t step_of(const float *x, int64_t n, int64_t run, int64_t pitch)
{
    float largest = 0;
    for (int64_t i = 0; i < n; i += run, x += pitch)
        for (int64_t j = 0; j < run; j++)
            largest = fmaxf(largest, fabsf(x[j]));
    return largest > 0 ? (uint16_t)nerv_quant_code(largest / NERV_INDEX_MAX) : 0;
}

static void write_again(const NervModel *model, const float *params)
{
    uint16_t steps[MAX_STEPS], *s = steps;
    float again[MAX_SCALARS];
    NervRangeEncoder e;
    NervRangeDecoder d;
    const float *x = params;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), rows = nerv_param_steps(p),
                      plane = p->shape.h * p->shape.w;
        for (int64_t r = 0; r < rows; r++)
            *s++ = p->role == NERV_PARAM_GRID ? step_of(x + r * plane, n / rows, plane, plane * rows)
                                              : step_of(x + r * (n / rows), n / rows, n / rows, 0);
        x += n;
    }
    GByteArray *a = g_byte_array_new();
    nerv_range_encode_begin(&e, a);
    if (!nerv_tensors_write(model, params, steps, NULL, NULL, &e, NULL))
        abort();
    nerv_range_encode_end(&e);
    nerv_range_decode_begin(&d, a->data, a->len);
    if (!nerv_tensors_read(model, &d, again, NULL, NULL, NULL) || d.pos != a->len + 3)
        abort();
    g_byte_array_unref(a);
}

static void read_tensors(const uint8_t shape[3], const uint8_t *data, size_t size)
{
    const int32_t a = 1 + (shape[0] & 7), b = 1 + (shape[1] & 7), c = 1 + (shape[2] & 7);
    NervParam params[] = { { .name = "grid", .shape = { a, b, c, 5 }, .role = NERV_PARAM_GRID },
                           { .name = "weight", .shape = { b, c, 3, 3 }, .role = NERV_PARAM_WEIGHT },
                           { .name = "bias", .shape = { 1, b, 1, 1 }, .role = NERV_PARAM_BIAS },
                           { .name = "linear", .shape = { c, a, 1, 1 }, .role = NERV_PARAM_WEIGHT } };
    NervModel model = { .params = params, .n_params = G_N_ELEMENTS(params) };
    float x[MAX_SCALARS], largest = 0;
    NervRangeDecoder d;
    GError *error = NULL;
    memset(x, 0xff, sizeof x); /* NaN: what is accepted must have been written */
    nerv_range_decode_begin(&d, data, size);
    if (!nerv_tensors_read(&model, &d, x, NULL, NULL, &error)) {
        if (error)
            abort();
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(params); i++)
        model.n_weights += nerv_shape_count(params[i].shape);
    for (int64_t i = 0; i < model.n_weights; i++) {
        if (!isfinite(x[i]))
            abort();
        largest = fmaxf(largest, fabsf(x[i]));
    }
    if (largest <= NERV_QUANT_MAX_VALUE)
        write_again(&model, x);
    fuzz_n_accepted++;
}

/* --- units --- */

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

/* Through coding 2 once more. */
static void write_and_read_huffman(const NervModel *model, const float *params)
{
    NervBitWriter w;
    float *again = NULL;
    nerv_writer_init(&w);
    if (!nerv_network_write_huffman(model, params, 4, &w, NULL))
        abort();
    NervModel *back = nerv_network_read(w.bytes->data, w.bytes->len, &model->clip, MAX_WEIGHTS, &again, NULL);
    if (!back)
        abort();
    for (int64_t i = 0; i < model->n_weights; i++)
        if ((params[i] == 0 && again[i] != 0) || !isfinite(again[i]))
            abort();
    nerv_model_free(back);
    g_free(again);
    nerv_writer_clear(&w);
}

/* What a network was stored as, once more: the same values. */
static void write_and_read_stored(const NervModel *model, float *params, NervStoredTensor *stored)
{
    NervBitWriter w;
    float *again = NULL, *x = params;
    nerv_writer_init(&w);
    for (uint32_t i = 0; i < model->n_params; x += nerv_shape_count(model->params[i++].shape))
        if (stored[i].bits == 0 && stored[i].scale)
            stored[i].values = x;
    if (!nerv_network_write_stored(model, stored, &w, NULL))
        abort();
    NervModel *back = nerv_network_read(w.bytes->data, w.bytes->len, &model->clip, MAX_WEIGHTS, &again, NULL);
    if (!back || memcmp(again, params, (size_t)model->n_weights * sizeof(float)) != 0)
        abort();
    for (uint32_t i = 0; i < model->n_params; i++)
        if (stored[i].bits == 0 && stored[i].scale)
            stored[i].values = NULL;
    nerv_model_free(back);
    g_free(again);
    nerv_writer_clear(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    if (data[0] >= 192 && data[1] >= 192 && data[2] >= 192) {
        read_tensors(data, data + 3, size - 3);
        return 0;
    }
    const NervClip clip = { 16 + data[0], 16 + data[1], 1 + data[2] };
    GError *error = NULL;
    float *params = NULL;
    NervStoredTensor *stored = NULL;
    NervModel *model =
        nerv_network_read_stored(data + 3, size - 3, &clip, MAX_WEIGHTS, &params, &stored, &error);
    if (!model != !params || (stored && !model) || !model != !!error ||
        (model && model->n_weights > MAX_WEIGHTS))
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
    if (largest <= 0x1p50f) {
        write_and_read(model, params);
        write_and_read_huffman(model, params);
    }
    if (stored && (largest <= 0x1p50f || !stored[0].scale || stored[0].bits))
        write_and_read_stored(model, params, stored);
    for (uint32_t i = 0; stored && i < model->n_params; i++)
        nerv_stored_clear(&stored[i]);
    fuzz_n_accepted++;
    nerv_model_free(model);
    g_free(stored);
    g_free(params);
    return 0;
}

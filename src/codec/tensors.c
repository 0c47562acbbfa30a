/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A model's tensors one after the other, see tensors.h and docs/bitstream.md, section "Coding 1". What each side knows of a tensor is
 * context.c's, how a writer chooses is fit.c's.
 */
#include "codec/tensors.h"

#include <string.h>

#include "codec/fit.h"
#include "codec/lattice.h"
#include "codec/quant.h"

bool nerv_tensors_check_steps(const NervModel *model, const uint16_t *steps, GError **error)
{
    for (uint32_t i = 0; i < model->n_params; i++)
        for (int64_t n = nerv_param_steps(&model->params[i]); n > 0; n--, steps++)
            if (*steps >= NERV_STEP_CODES) {
                g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%u is no step code: %d to %d are", *steps,
                            0, NERV_STEP_CODES - 1);
                return false;
            }
    return true;
}

static NervContext *context_new(GError **error)
{
    NervContext *c = g_try_new(NervContext, 1);
    if (c)
        nerv_context_init(c);
    else
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to code weights");
    return c;
}

/* Where n scalars of one row lie: `runs` of them, `pitch` apart. */
typedef struct {
    int64_t start, runs, run, pitch;
} Row;

static Row row_at(const NervParam *param, int64_t row)
{
    const NervShape s = param->shape;
    const int64_t plane = (int64_t)s.h * s.w;
    if (param->role == NERV_PARAM_GRID)
        return (Row){ row * plane, s.n, plane, plane * s.c };
    return (Row){ row * plane * s.c, 1, plane * s.c, 0 };
}

/* A row that becomes all zeros gets code 0, which is shorter. */
static void quantise_rows(const NervParam *param, const float *x, const uint16_t *steps, uint16_t *codes,
                          int16_t *index)
{
    const int64_t n_rows = nerv_param_steps(param);
    for (int64_t r = 0; r < n_rows; r++) {
        const Row row = row_at(param, r);
        bool any = false;
        for (int64_t i = 0, at = row.start; i < row.runs; i++, at += row.pitch) {
            nerv_quantise(x + at, (size_t)row.run, steps[r], NERV_INDEX_MAX, index + at);
            for (int64_t j = 0; j < row.run && steps[r]; j++)
                any |= index[at + j] != 0;
        }
        codes[r] = any ? steps[r] : 0;
    }
}

static bool any_row(const uint16_t *codes, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (codes[i])
            return true;
    return false;
}

static bool write_tensor(NervContext *c, NervRangeEncoder *e, const NervParam *param, const float *x,
                         const uint16_t *steps, NervPrediction *p, bool known, const gint *cancel,
                         GError **error)
{
    const int64_t n = nerv_shape_count(param->shape), n_rows = nerv_param_steps(param);
    NervField f;
    if (!nerv_field_init(&f, param, error))
        return false;
    f.cancel = cancel;
    g_autofree int16_t *index = g_try_new(int16_t, (gsize)n);
    g_autofree uint16_t *codes = g_try_new(uint16_t, (gsize)n_rows);
    if (index && codes) {
        if (!known)
            *p = nerv_prediction_plain();
        nerv_context_begin_tensor(c);
        quantise_rows(param, x, steps, codes, index);
        nerv_context_write_steps(c, e, codes, n_rows);
        if (any_row(codes, n_rows)) {
            if (!known)
                *p = nerv_fit_prediction(c, &f, codes, index);
            nerv_context_write_prediction(c, e, p);
            nerv_context_write_indices(c, e, &f, codes, p, index);
        }
    } else {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for the indices of %" G_GINT64_FORMAT " weights", n);
    }
    nerv_field_clear(&f);
    if (f.cancelled)
        g_set_error(error, NERV_ERROR, NERV_ERROR_CANCELLED, "cancelled");
    return index && codes && !f.cancelled;
}

bool nerv_tensors_write(const NervModel *model, const float *params, const uint16_t *steps,
                        NervPredictions *predictions, const gint *cancel, NervRangeEncoder *e, GError **error)
{
    g_autofree NervContext *c = context_new(error);
    const bool known = predictions && predictions->known;
    NervPrediction own;
    if (!c)
        return false;
    if (predictions && !predictions->of)
        predictions->of = g_new(NervPrediction, model->n_params);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        if (!write_tensor(c, e, p, params, steps, predictions ? &predictions->of[i] : &own, known, cancel,
                          error))
            return false;
        params += nerv_shape_count(p->shape);
        steps += nerv_param_steps(p);
    }
    if (predictions)
        predictions->known = true;
    return true;
}

/* False without an error: the bytes are damaged. */
static bool read_tensor(NervContext *c, NervRangeDecoder *d, const NervParam *param, float *x,
                        NervStoredTensor *kept, GError **error)
{
    const int64_t n_rows = nerv_param_steps(param);
    NervPrediction p;
    NervField f;
    g_autofree uint16_t *codes = g_try_new(uint16_t, (gsize)n_rows);
    if (!codes) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for the steps of %" G_GINT64_FORMAT " rows", n_rows);
        return false;
    }
    nerv_context_begin_tensor(c);
    if (!nerv_context_read_steps(c, d, codes, n_rows) ||
        (kept && !nerv_lattice_keep_steps(param, NERV_LATTICE_CONTEXT, codes, kept, error)))
        return false;
    if (!any_row(codes, n_rows)) {
        memset(x, 0, (size_t)nerv_shape_count(param->shape) * sizeof *x);
        return true;
    }
    if (!nerv_context_read_prediction(c, d, &p) || !nerv_field_init(&f, param, error))
        return false;
    const bool ok = nerv_context_read_values(c, d, &f, codes, &p, x);
    nerv_field_clear(&f);
    return ok;
}

bool nerv_tensors_read(const NervModel *model, NervRangeDecoder *d, void *dst, const size_t *offset,
                       NervStoredTensor *tensors, GError **error)
{
    g_autofree NervContext *c = context_new(error);
    float *x = dst;
    if (!c)
        return false;
    for (uint32_t i = 0; i < model->n_params; i++) {
        if (offset)
            x = (float *)(void *)((uint8_t *)dst + offset[i]);
        if (!read_tensor(c, d, &model->params[i], x, tensors ? &tensors[i] : NULL, error))
            return false;
        x += nerv_shape_count(model->params[i].shape);
    }
    return true;
}

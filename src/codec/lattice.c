/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See lattice.h. All points are exact in binary32 (tensor/steps.h, minmax.c), so that a value is one or is none.
 */
#include "codec/lattice.h"

#include <math.h>
#include <string.h>

#include "codec/minmax.h"
#include "codec/quant.h"
#include "codec/weights.h"

#define MOST_BITS  8 /* of codings 0 and 2 */
#define MOST_POINT ((1 << MOST_BITS) - 1)

enum { ALONG_N = 1, ALONG_C = 2 };

uint32_t nerv_lattice_mask(const NervParam *param, NervLattice coding)
{
    if (param->role == NERV_PARAM_BIAS)
        return 0;
    return param->role == NERV_PARAM_GRID && coding == NERV_LATTICE_CONTEXT ? ALONG_C : ALONG_N;
}

/* Without dimensions of 1, along which nothing varies. */
static uint32_t plain_mask(NervShape shape, uint32_t mask)
{
    return mask & ~((shape.n == 1 ? ALONG_N : 0u) | (shape.c == 1 ? ALONG_C : 0u));
}

static bool rows_fit(const NervParam *param, const NervStoredTensor *t, NervLattice coding)
{
    return plain_mask(param->shape, t->mask) == plain_mask(param->shape, nerv_lattice_mask(param, coding));
}

bool nerv_lattice_keep_steps(const NervParam *param, NervLattice coding, const uint16_t *codes,
                             NervStoredTensor *t, GError **error)
{
    t->mask = nerv_lattice_mask(param, coding);
    const int64_t n = nerv_stored_numbers(param->shape, t->mask);
    t->scale = g_try_new(float, (gsize)n);
    for (int64_t i = 0; t->scale && i < n; i++)
        t->scale[i] = nerv_quant_step(codes[i]);
    if (!t->scale)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for the steps of %" G_GINT64_FORMAT " rows", n);
    return t->scale != NULL;
}

/* --- points --- */

/* The row of a value: masks here are of N, of C or of none. */
static int64_t row_of(NervShape shape, uint32_t mask, int64_t at)
{
    const int64_t plane = (int64_t)shape.h * shape.w;
    if (mask & ALONG_C)
        return at / plane % shape.c;
    return mask & ALONG_N ? at / (plane * shape.c) : 0;
}

/* Whether a value is minimum + k * step for a whole k in a row's range. */
static bool find_point(const NervStoredTensor *t, int64_t row, float x, int32_t *k)
{
    const double step = t->scale[row], least = t->minimum ? t->minimum[row] : 0.;
    const double most = t->minimum ? MOST_POINT : NERV_INDEX_MAX,
                 n = step > 0. ? rint((x - least) / step) : 0.;
    if (least + n * step != (double)x || !(n <= most) || n < (t->minimum ? 0. : -most))
        return false; /* no number is one of them */
    *k = (int32_t)n;
    return true;
}

/* The number of the point that a value is, without its sign, or -1. Beside a minimum zero has a symbol of its own. */
static int32_t point_of(const NervStoredTensor *t, int64_t row, float x)
{
    int32_t k = 0;
    if (t->minimum && x == 0.f)
        return 0;
    return find_point(t, row, x, &k) ? ABS(k) : -1;
}

/* Whether a step is one of quant.h's; 0 is. */
static bool is_step(float x)
{
    return x >= 0.f && x <= nerv_quant_step(NERV_STEP_CODES - 1) &&
           (x == 0.f || nerv_quant_step(nerv_quant_code(x)) == x);
}

static const char *why_not(const NervParam *param, const NervStoredTensor *t)
{
    if (!rows_fit(param, t, NERV_LATTICE_CONTEXT) && !rows_fit(param, t, NERV_LATTICE_ADAPTIVE))
        return "steps vary along other dimensions than a coding's rows";
    const int64_t rows = nerv_stored_numbers(param->shape, t->mask), n = nerv_shape_count(param->shape);
    for (int64_t i = 0; i < rows; i++)
        if (t->minimum ? !nerv_minmax_is_range(t->minimum[i], t->scale[i]) : !is_step(t->scale[i]))
            return "a step is none that a stream can have";
    for (int64_t i = 0; i < n; i++)
        if (point_of(t, row_of(param->shape, t->mask, i), t->values[i]) < 0)
            return "a value is none of those that its row's step makes";
    return NULL;
}

bool nerv_lattice_check(const NervParam *param, const NervStoredTensor *t, GError **error)
{
    const char *why = why_not(param, t);
    if (why)
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "tensor %s: %s", param->name, why);
    return !why;
}

/* --- codes --- */

/* Each row's least point and how many lie between it and the most. False if a value is no point, as a zero beside a minimum may be. */
static bool row_spans(NervShape shape, const NervStoredTensor *t, int32_t *least, int32_t *span)
{
    const int64_t n = nerv_shape_count(shape), rows = nerv_stored_numbers(shape, t->mask);
    for (int64_t r = 0; r < rows; r++)
        span[r] = -1;
    for (int64_t i = 0; i < n; i++) {
        const int64_t r = row_of(shape, t->mask, i);
        int32_t k;
        if (!find_point(t, r, t->values[i], &k))
            return false;
        const int32_t most = span[r] < 0 ? k : MAX(least[r] + span[r], k);
        least[r] = span[r] < 0 ? k : MIN(least[r], k);
        span[r] = most - least[r];
    }
    return true;
}

/* Codes from each row's least point on. */
static bool fill_codes(NervShape shape, const NervStoredTensor *t, const int32_t *least,
                       NervStoredTensor *out)
{
    const int64_t n = nerv_shape_count(shape), rows = nerv_stored_numbers(shape, t->mask);
    out->codes = g_try_malloc((gsize)n);
    out->minimum = g_try_new(float, (gsize)rows);
    out->scale = g_try_new(float, (gsize)rows);
    if (!out->codes || !out->minimum || !out->scale)
        return false;
    for (int64_t r = 0; r < rows; r++) {
        out->scale[r] = t->scale[r];
        out->minimum[r] = (t->minimum ? t->minimum[r] : 0.f) + (float)least[r] * t->scale[r]; /* exact */
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t r = row_of(shape, t->mask, i);
        int32_t k = 0;
        find_point(t, r, t->values[i], &k);
        out->codes[i] = (uint8_t)(k - least[r]);
    }
    return true;
}

bool nerv_lattice_codes(const NervParam *param, const NervStoredTensor *t, NervStoredTensor *out,
                        GError **error)
{
    const int64_t n = nerv_shape_count(param->shape), rows = nerv_stored_numbers(param->shape, t->mask);
    *out = (NervStoredTensor){ 0 };
    if (t->bits || !t->scale || (rows == n && n > 1))
        return true;
    g_autofree int32_t *least = g_try_new(int32_t, (gsize)rows), *span = g_try_new(int32_t, (gsize)rows);
    int32_t most = 0;
    bool memory = least && span;
    if (memory && !row_spans(param->shape, t, least, span))
        return true;
    for (int64_t r = 0; memory && r < rows; r++)
        most = MAX(most, span[r]);
    if (memory && most > MOST_POINT)
        return true;
    if (memory && fill_codes(param->shape, t, least, out)) {
        out->mask = plain_mask(param->shape, t->mask);
        for (out->bits = 1; most >= 1 << out->bits;)
            out->bits++;
        return true;
    }
    nerv_stored_clear(out);
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the codes of tensor %s", param->name);
    return false;
}

/* --- networks --- */

/* The largest number of a point that a tensor has. */
static int32_t most_point(const NervParam *param, const NervStoredTensor *t)
{
    const int64_t n = nerv_shape_count(param->shape);
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++)
        most = MAX(most, point_of(t, row_of(param->shape, t->mask, i), t->values[i]));
    return most;
}

/* Bits of all tensors' points in codings 0 and 2; 0: there are not as many. */
static uint32_t bits_for(const NervModel *model, const NervStoredTensor *tensors, bool minimum)
{
    uint32_t bits = 2;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int32_t most = most_point(p, &tensors[i]);
        if (!minimum && p->role == NERV_PARAM_BIAS) {
            if (most >= 1 << (NERV_BIAS_BITS - 1))
                return 0;
            continue;
        }
        while (bits <= MOST_BITS && most >= 1 << (minimum ? bits : bits - 1))
            bits++;
    }
    return bits <= MOST_BITS ? bits : 0;
}

NervLattice nerv_lattice_coding(const NervModel *model, const NervStoredTensor *tensors, uint32_t *bits)
{
    bool context = true, rows = true;
    uint32_t n_minimum = 0;
    *bits = 0;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        if (tensors[i].bits || !tensors[i].scale)
            return NERV_LATTICE_NONE;
        context = context && rows_fit(p, &tensors[i], NERV_LATTICE_CONTEXT);
        rows = rows && rows_fit(p, &tensors[i], NERV_LATTICE_ADAPTIVE);
        n_minimum += tensors[i].minimum != NULL;
    }
    if (n_minimum > 0 && n_minimum < model->n_params)
        return NERV_LATTICE_NONE;
    *bits = rows ? bits_for(model, tensors, n_minimum > 0) : 0;
    if (n_minimum == 0 && context)
        return NERV_LATTICE_CONTEXT;
    if (*bits == 0)
        return NERV_LATTICE_NONE;
    return n_minimum ? NERV_LATTICE_HUFFMAN : NERV_LATTICE_ADAPTIVE;
}

bool nerv_lattice_flatten(const NervModel *model, const NervStoredTensor *tensors, float **values,
                          uint16_t **codes, GError **error)
{
    int64_t n_rows = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n_rows += nerv_stored_numbers(model->params[i].shape, tensors[i].mask);
    float *x = *values = g_try_new(float, (gsize)model->n_weights);
    uint16_t *code = codes ? g_try_new(uint16_t, (gsize)n_rows) : NULL;
    if (codes)
        *codes = code;
    if (!x || (codes && !code)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for a network of %" G_GINT64_FORMAT " parameters", model->n_weights);
        return false;
    }
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervShape shape = model->params[i].shape;
        const int64_t n = nerv_shape_count(shape), rows = nerv_stored_numbers(shape, tensors[i].mask);
        memcpy(x, tensors[i].values, (size_t)n * sizeof(*x));
        x += n;
        for (int64_t j = 0; code && j < rows; j++) {
            const float step = tensors[i].scale[j];
            *code++ = (uint16_t)(step > 0.f ? nerv_quant_code(step) : 0);
        }
    }
    return true;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weights between a minimum and a maximum, see minmax.h. A row's range is a unit and an offset in units; points lie 16 units apart: fine
 * enough that the offset's rounding moves nobody by more than 1/32 of a step, and all products are exact in a float.
 */
#include "codec/minmax.h"

#include <math.h>
#include <string.h>

#include "codec/huffman.h"
#include "codec/lattice.h"

#define UNIT_BITS   14
#define OFFSET_BITS 16
#define OFFSET_ZERO (1 << (OFFSET_BITS - 1))
#define STEP        16 /* units from point to point */

/* --- ranges --- */

typedef struct {
    uint32_t unit;  /* its code; 0: a row of zeros */
    int32_t offset; /* units from 0 to the first point */
} Range;

/* 8 significant bits: times 16 bits of a point, exact. */
static float unit_of(uint32_t code)
{
    return ldexpf((float)(128 + code % 128), (int)(code / 128) - 80);
}

/* The smallest code whose unit is >= x, or the nearest there is. */
static uint32_t unit_code(double x)
{
    int e;
    const double m = frexp(x, &e); /* x = m 2^e = 256 m * 2^(e-8), 128 <= 256 m < 256 */
    if (x <= unit_of(1))
        return 1;
    const int64_t code = (int64_t)(e - 8 + 80) * 128 + (int64_t)ceil(256 * m) - 128;
    return (uint32_t)MIN(code, (1 << UNIT_BITS) - 1);
}

/* Of the values that are not zero. */
static Range range_of(const float *x, int64_t n, uint32_t bits)
{
    double least = INFINITY, most = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        if (x[i] != 0) {
            least = fmin(least, x[i]);
            most = fmax(most, x[i]);
        }
    if (least > most)
        return (Range){ .unit = 0 };
    const double points = (most - least) / (STEP * ((1 << bits) - 1));
    Range r = { .unit = unit_code(fmax(points, fabs(least) / (OFFSET_ZERO - 1))) };
    r.offset = (int32_t)CLAMP(rint(least / unit_of(r.unit)), -OFFSET_ZERO, OFFSET_ZERO - 1);
    return r;
}

/* What a row that was read had. */
static Range range_again(float minimum, float scale)
{
    Range r = { .unit = scale > 0.f ? unit_code((double)scale / STEP) : 0 };
    r.offset = r.unit ? (int32_t)rint((double)minimum / unit_of(r.unit)) : 0;
    return r;
}

bool nerv_minmax_is_range(float minimum, float scale)
{
    if (scale == 0.f)
        return minimum == 0.f;
    const double units = scale > 0.f ? rint((double)minimum / ((double)scale / STEP)) : NAN;
    if (!(units >= -OFFSET_ZERO && units < OFFSET_ZERO) || !isfinite(scale))
        return false;
    const Range r = range_again(minimum, scale);
    return unit_of(r.unit) * STEP == scale && (float)r.offset * unit_of(r.unit) == minimum;
}

static void quantise(const Range *r, const float *x, int64_t n, uint32_t bits, uint16_t *symbol)
{
    const uint32_t zero = 1u << bits;
    const double inverse = r->unit ? 1 / (double)unit_of(r->unit) : 0;
    for (int64_t i = 0; i < n; i++) {
        const double point = rint((x[i] * inverse - r->offset) / STEP);
        symbol[i] = (uint16_t)(x[i] != 0 ? (uint32_t)CLAMP(point, 0, zero - 1) : zero);
    }
}

/* --- rows --- */

typedef struct {
    int64_t n_rows, row_len;
} Rows;

static Rows rows_of(const NervParam *param)
{
    const int64_t n = nerv_shape_count(param->shape);
    const int64_t n_rows = param->role == NERV_PARAM_BIAS ? 1 : param->shape.n;
    return (Rows){ n_rows, n / n_rows };
}

static int64_t count_rows(const NervModel *model)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n += rows_of(&model->params[i]).n_rows;
    return n;
}

/* A network as it will be written. */
typedef struct {
    Range *range;     /* by row */
    uint16_t *symbol; /* by scalar; undefined in rows of zeros */
} Quantised;

static void quantise_all(const NervModel *model, const float *x, const NervStoredTensor *tensors,
                         uint32_t bits, Quantised *q, uint64_t *count)
{
    Range *range = q->range;
    uint16_t *symbol = q->symbol;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const Rows rows = rows_of(&model->params[i]);
        for (int64_t r = 0; r < rows.n_rows; r++, range++, x += rows.row_len, symbol += rows.row_len) {
            *range = tensors ? range_again(tensors[i].minimum[r], tensors[i].scale[r])
                             : range_of(x, rows.row_len, bits);
            if (range->unit == 0)
                continue;
            quantise(range, x, rows.row_len, bits, symbol);
            for (int64_t j = 0; j < rows.row_len; j++)
                count[symbol[j]]++;
        }
    }
}

static void write_all(const NervModel *model, const Quantised *q, const uint8_t *length, uint32_t n_symbols,
                      GByteArray *out)
{
    uint16_t code[NERV_HUFFMAN_MAX_SYMBOLS] = { 0 };
    NervHuffmanWriter w;
    const Range *range = q->range;
    const uint16_t *symbol = q->symbol;
    nerv_huffman_codes(length, n_symbols, code);
    nerv_huffman_begin(&w, out);
    nerv_huffman_write_lengths(&w, length, n_symbols);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const Rows rows = rows_of(&model->params[i]);
        for (int64_t r = 0; r < rows.n_rows; r++, range++, symbol += rows.row_len) {
            nerv_huffman_put(&w, range->unit, UNIT_BITS);
            if (range->unit == 0)
                continue;
            nerv_huffman_put(&w, (uint32_t)(range->offset + OFFSET_ZERO), OFFSET_BITS);
            for (int64_t j = 0; j < rows.row_len; j++)
                nerv_huffman_put(&w, code[symbol[j]], length[symbol[j]]);
        }
    }
    nerv_huffman_end(&w);
}

static void quantised_clear(Quantised *q)
{
    g_free(q->range);
    g_free(q->symbol);
}

/* Also how often each symbol occurs. */
static bool quantised_init(Quantised *q, const NervModel *model, const float *params,
                           const NervStoredTensor *tensors, uint32_t bits,
                           uint64_t count[NERV_HUFFMAN_MAX_SYMBOLS], GError **error)
{
    q->range = g_try_new(Range, (gsize)count_rows(model));
    q->symbol = g_try_new(uint16_t, (gsize)model->n_weights);
    memset(count, 0, NERV_HUFFMAN_MAX_SYMBOLS * sizeof(*count));
    if (q->range && q->symbol) {
        quantise_all(model, params, tensors, bits, q, count);
        return true;
    }
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                "no memory for the symbols of %" G_GINT64_FORMAT " weights", model->n_weights);
    quantised_clear(q);
    return false;
}

bool nerv_minmax_write(const NervModel *model, const float *params, const NervStoredTensor *tensors,
                       uint32_t bits, GByteArray *out, GError **error)
{
    const uint32_t n_symbols = (1u << bits) + 1;
    uint64_t count[NERV_HUFFMAN_MAX_SYMBOLS];
    uint8_t length[NERV_HUFFMAN_MAX_SYMBOLS];
    Quantised q;
    if (!quantised_init(&q, model, params, tensors, bits, count, error))
        return false;
    nerv_huffman_lengths(count, n_symbols, length);
    write_all(model, &q, length, n_symbols, out);
    quantised_clear(&q);
    return true;
}

bool nerv_minmax_published_bits(const NervModel *model, const float *params, uint32_t bits, uint64_t *out,
                                GError **error)
{
    uint64_t count[NERV_HUFFMAN_MAX_SYMBOLS];
    uint8_t length[NERV_HUFFMAN_MAX_SYMBOLS];
    Quantised q;
    if (!quantised_init(&q, model, params, NULL, bits, count, error))
        return false;
    nerv_huffman_lengths(count, 1u << bits, length);
    *out = 0;
    for (uint32_t i = 0; i < 1u << bits; i++)
        *out += count[i] * length[i];
    quantised_clear(&q);
    return true;
}

/* --- reading --- */

/* *minimum, *scale: the row's. */
static bool read_row(NervHuffmanReader *r, const NervHuffmanTable *table, uint32_t zero, float *x, int64_t n,
                     float *minimum, float *scale)
{
    const uint32_t code = nerv_huffman_take(r, UNIT_BITS);
    *minimum = *scale = 0.f;
    if (code == 0) {
        memset(x, 0, (size_t)n * sizeof *x);
        return !nerv_huffman_overrun(r);
    }
    const float unit = unit_of(code);
    const int32_t offset = (int32_t)nerv_huffman_take(r, OFFSET_BITS) - OFFSET_ZERO;
    *minimum = (float)offset * unit;
    *scale = STEP * unit;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t symbol = nerv_huffman_symbol(r, table);
        x[i] = symbol == zero ? 0 : (float)((int32_t)(symbol * STEP) + offset) * unit;
    }
    return !nerv_huffman_overrun(r);
}

static bool keep_ranges(const NervParam *param, int64_t rows, NervStoredTensor *t, GError **error)
{
    t->mask = nerv_lattice_mask(param, NERV_LATTICE_HUFFMAN);
    t->minimum = g_try_new(float, (gsize)rows);
    t->scale = g_try_new(float, (gsize)rows);
    if (t->minimum && t->scale)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the ranges of %" G_GINT64_FORMAT " rows",
                rows);
    return false;
}

static bool read_all(const NervModel *model, NervHuffmanReader *r, const NervHuffmanTable *table,
                     uint32_t zero, void *dst, const size_t *offset, NervStoredTensor *tensors,
                     GError **error)
{
    float *x = dst, minimum, scale;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const Rows rows = rows_of(&model->params[i]);
        NervStoredTensor *t = tensors ? &tensors[i] : NULL;
        if (offset)
            x = (float *)(void *)((uint8_t *)dst + offset[i]);
        if (t && !keep_ranges(&model->params[i], rows.n_rows, t, error))
            return false;
        for (int64_t row = 0; row < rows.n_rows; row++, x += rows.row_len)
            if (!read_row(r, table, zero, x, rows.row_len, t ? &t->minimum[row] : &minimum,
                          t ? &t->scale[row] : &scale))
                return false;
    }
    return true;
}

bool nerv_minmax_read(const NervModel *model, uint32_t bits, const uint8_t *data, size_t size, void *dst,
                      const size_t *offset, NervStoredTensor *tensors, size_t *used, GError **error)
{
    NervHuffmanReader r = { .data = data, .size = size };
    const uint32_t zero = 1u << bits;
    uint8_t length[NERV_HUFFMAN_MAX_SYMBOLS];
    g_autofree NervHuffmanTable *table = g_try_new(NervHuffmanTable, 1);
    if (!table) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights' code");
        return false;
    }
    if (!nerv_huffman_read_lengths(&r, length, zero + 1) || !nerv_huffman_table(length, zero + 1, table) ||
        !read_all(model, &r, table, zero, dst, offset, tensors, error))
        return false;
    *used = (r.pos + 7) / 8;
    return nerv_huffman_peek(&r, (unsigned)(*used * 8 - r.pos)) == 0;
}

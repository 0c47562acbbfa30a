/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What lies around a quantised weight and is known before it: docs/bitstream.md, section "Coding 1". A tensor is walked as slabs
 * (output channels of weights, times of grids) of planes; the field keeps the indices of three slabs, how far two slabs' indices
 * were from their predictions, and running means. Writer, reader and fit walk the same way.
 */
#pragma once

#include "codec/range_inline.h"
#include "models/model.h"

#define NERV_NEAR_VALUES 12 /* neighbours that a prediction is a weighted sum of */
#define NERV_NEAR_ERRORS 8  /* neighbours' errors that the expected error is a weighted sum of */
#define NERV_INDEX_MAX   4095

typedef struct {
    int64_t n_slabs, n_planes, height,
        width;                  /* as walked: a 1x1 kernel's input channels are a plane's width */
    bool grid;                  /* a row, which has one step, is a plane at all times; else a slab */
    size_t stride, plane, slab; /* cells from line to line, in a plane, in a slab */
    int16_t *memory;            /* all the cells */
    size_t n_cells;
    /* The newest slab is [0]. Each plane has a line of zeros above it and each line a zero on its left. */
    int16_t *value[3];
    int16_t *error[2];                        /* |index - prediction| in 1/16, at most NERV_ERROR_MAX */
    int16_t *mean_value, *mean_error, *zeros; /* over slabs, in 1/8 and 1/16; a plane of zeros */
    int32_t *plane_mean;       /* grids: the mean error at the end of the plane's last row, in 1/1024 */
    int32_t mean, tensor_mean; /* of errors in this row, and over rows, in 1/1024 */
    unsigned count;            /* errors that `mean` stands for */
    bool in_row;
    const gint *cancel; /* if set and not 0 (atomic), the walk ends early */
    bool cancelled;     /* it has */
    /* Where nerv_field_next() has arrived. */
    int64_t slab_at, plane_at;
    int64_t row;          /* whose step it is */
    int64_t first_scalar; /* the plane's first in the tensor */
    size_t first_cell;
    const int16_t *beside_value, *beside_error; /* the previous plane: cell number less `beside` */
    size_t beside;
    /* For coders: what neighbours in other planes and slabs add to the sums of a plane's cells, counted from the first one. */
    int32_t *far_errors, *far_values[2];
} NervField;

#define NERV_FIELD_LANES                                                                                     \
    8 /* far sums are made for so many cells at once: there is room for that many beyond a plane */

/* Memory for any tensor of the shape and role; false with NERV_ERROR_MEMORY. About 14 bytes a scalar of up to three slabs, and 12 of
 * one plane. */
bool nerv_field_init(NervField *f, const NervParam *param, GError **error);
void nerv_field_clear(NervField *f);
/* Back before the first plane, everything forgotten. */
void nerv_field_begin(NervField *f);
/* On to the next plane of a row whose step code is not 0; what lies between becomes zero. False after the last, and once
 * nerv_field_cancelled(). */
bool nerv_field_next(NervField *f, const uint16_t *codes);

/* Whether the walk is over before its end. A writer asks on each line, as a plane may be a large grid's. */
static inline bool nerv_field_cancelled(NervField *f)
{
    f->cancelled |= f->cancel && g_atomic_int_get(f->cancel);
    return f->cancelled;
}

/* --- one cell --- */

#define NERV_ERROR_MAX  2047
#define NERV_ROW_START  6 /* what the mean that a row begins with is worth */
#define NERV_ROW_WINDOW NERV_PROB_MAX_COUNT

/* Neighbouring indices in 1/8. */
static inline void nerv_field_values(const NervField *f, size_t cell, int32_t near[NERV_NEAR_VALUES])
{
    const int16_t *here = f->value[0] + cell, *before = f->value[1] + cell;
    const size_t up = f->stride;
    near[0] = here[-1] * 8;
    near[1] = *(here - up) * 8;
    near[2] = *(here - up - 1) * 8;
    near[3] = *(here - up + 1) * 8;
    near[4] = before[0] * 8;
    near[5] = before[-1] * 8;
    near[6] = before[1] * 8;
    near[7] = *(before - up) * 8;
    near[8] = before[up] * 8;
    near[9] = f->value[2][cell] * 8;
    near[10] = f->mean_value[cell];
    near[11] = f->beside_value[cell - f->beside] * 8;
}

/* Neighbouring errors in 1/16. */
static inline void nerv_field_errors(const NervField *f, size_t cell, int32_t near[NERV_NEAR_ERRORS])
{
    const int16_t *here = f->error[0] + cell, *before = f->error[1] + cell;
    const size_t up = f->stride;
    near[0] = here[-1];
    near[1] = *(here - up);
    near[2] = (*(here - up - 1) + *(here - up + 1)) >> 1;
    near[3] = before[0];
    near[4] = (before[1] + before[up]) >> 1;
    near[5] = f->mean_error[cell];
    near[6] = f->beside_error[cell - f->beside];
    near[7] = f->mean >> 6;
}

/* The means over slabs learn of it when the row is over. Arithmetic shifts of negative numbers round down, in every compiler that builds
 * this. */
static inline void nerv_field_put(NervField *f, size_t cell, int32_t value, int32_t prediction)
{
    const int32_t error = MIN(ABS(value - prediction), NERV_ERROR_MAX) * 16;
    f->value[0][cell] = (int16_t)value;
    f->error[0][cell] = (int16_t)error;
    f->mean += (int32_t)(((int64_t)(error * 64 - f->mean) * nerv_prob_rate[f->count]) >> 16);
    f->count += f->count < NERV_ROW_WINDOW;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The walk over a tensor, see field.h and docs/bitstream.md, section "Coding 1".
 */
#include "codec/field.h"

#include <string.h>

static void set_shape(NervField *f, const NervParam *param)
{
    const NervShape s = param->shape;
    f->grid = param->role == NERV_PARAM_GRID;
    f->n_slabs = s.n;
    f->n_planes = s.c;
    f->height = s.h;
    f->width = s.w;
    if (!f->grid && s.h == 1 && s.w == 1) {
        f->n_planes = 1;
        f->width = s.c;
    }
    f->stride = (size_t)f->width + 1;
    f->plane = ((size_t)f->height + 1) * f->stride;
    /* From the last cell one looks down and right. */
    f->slab = (size_t)f->n_planes * f->plane + f->stride + 1;
}

bool nerv_field_init(NervField *f, const NervParam *param, GError **error)
{
    *f = (NervField){ .n_slabs = 0 };
    set_shape(f, param);
    const size_t n_values = (size_t)MIN(f->n_slabs, 2) + 1, n_errors = 2;
    const size_t n_far = f->plane + NERV_FIELD_LANES;
    f->n_cells = (n_values + n_errors + 2) * f->slab + n_far;
    f->memory = g_try_new(int16_t, f->n_cells);
    f->plane_mean = g_try_new(int32_t, (gsize)f->n_planes);
    f->far_errors = g_try_new(int32_t, 3 * n_far);
    if (!f->memory || !f->plane_mean || !f->far_errors) {
        nerv_field_clear(f);
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for what lies around the weights of %s: %zu bytes", param->name,
                    f->n_cells * sizeof(int16_t));
        return false;
    }
    f->far_values[0] = f->far_errors + n_far;
    f->far_values[1] = f->far_values[0] + n_far;
    int16_t *at = f->memory;
    for (size_t i = 0; i < 3; i++, at += i < n_values ? f->slab : 0)
        f->value[i] = at;
    at += f->slab;
    for (size_t i = 0; i < n_errors; i++, at += f->slab)
        f->error[i] = at;
    f->mean_value = at;
    f->mean_error = at + f->slab;
    f->zeros = at + 2 * f->slab;
    return true;
}

void nerv_field_clear(NervField *f)
{
    g_free(f->memory);
    g_free(f->plane_mean);
    g_free(f->far_errors);
    f->memory = NULL;
    f->plane_mean = NULL;
    f->far_errors = NULL;
}

void nerv_field_begin(NervField *f)
{
    memset(f->memory, 0, f->n_cells * sizeof(int16_t));
    f->slab_at = 0;
    f->plane_at = -1;
    f->tensor_mean = 1024;
    f->in_row = false;
}

static void next_slab(NervField *f)
{
    int16_t *oldest = f->value[2], *error = f->error[1];
    f->value[2] = f->value[1];
    f->value[1] = f->value[0];
    f->value[0] = oldest;
    f->error[1] = f->error[0];
    f->error[0] = error;
    f->slab_at++;
    f->plane_at = 0;
}

/* Over n cells of the newest slab from `first`; those between lines and planes stay 0. */
static void learn_means(NervField *f, size_t first, size_t n)
{
    const int16_t *restrict value = f->value[0] + first, *restrict error = f->error[0] + first;
    int16_t *restrict mean_value = f->mean_value + first, *restrict mean_error = f->mean_error + first;
    for (size_t i = 0; i < n; i++) {
        mean_value[i] = (int16_t)(mean_value[i] + ((value[i] * 8 - mean_value[i] + 2) >> 2));
        mean_error[i] = (int16_t)(mean_error[i] + ((error[i] - mean_error[i] + 2) >> 2));
    }
}

/* A row is over: the next ones' errors are expected to be like its own. */
static void end_row(NervField *f)
{
    if (!f->in_row)
        return;
    const size_t planes = f->grid ? 1 : (size_t)f->n_planes;
    learn_means(f, f->grid ? (size_t)f->plane_at * f->plane : 0, planes * f->plane);
    f->tensor_mean = (3 * f->tensor_mean + f->mean + 2) >> 2;
    if (f->grid)
        f->plane_mean[f->row] = f->mean;
    f->in_row = false;
}

static void begin_row(NervField *f)
{
    f->mean = f->grid && f->slab_at > 0 ? f->plane_mean[f->row] : f->tensor_mean;
    f->count = NERV_ROW_START;
    f->in_row = true;
}

bool nerv_field_next(NervField *f, const uint16_t *codes)
{
    while (!nerv_field_cancelled(f)) {
        if (f->grid || f->plane_at + 1 == f->n_planes)
            end_row(f);
        if (++f->plane_at == f->n_planes) {
            if (f->slab_at + 1 == f->n_slabs)
                return false;
            next_slab(f);
        }
        const size_t plane = (size_t)f->plane_at * f->plane;
        f->row = f->grid ? f->plane_at : f->slab_at;
        if (codes[f->row] == 0) {
            memset(f->value[0] + plane, 0, f->plane * sizeof(int16_t));
            memset(f->error[0] + plane, 0, f->plane * sizeof(int16_t));
            continue;
        }
        if (!f->in_row)
            begin_row(f);
        f->first_scalar = (f->slab_at * f->n_planes + f->plane_at) * f->height * f->width;
        f->first_cell = plane + f->stride + 1;
        f->beside_value = f->plane_at ? f->value[0] : f->zeros;
        f->beside_error = f->plane_at ? f->error[0] : f->zeros;
        f->beside = f->plane_at ? f->plane : 0;
        return true;
    }
    return false;
}

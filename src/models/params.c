/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Parameters on a device, see params.h.
 */
#include <string.h>

#include "models/params.h"

static NervShape steps_shape(const NervParam *param)
{
    const int32_t n = (int32_t)nerv_param_steps(param);
    return param->role == NERV_PARAM_GRID ? nerv_shape(1, n, 1, 1) : nerv_shape(n, 1, 1, 1);
}

static size_t param_bytes(const NervParams *p, uint32_t i)
{
    return (size_t)nerv_shape_count(p->shape[i]) * sizeof(float);
}

static NervParams *params_new(NervBackend *be, const NervModel *model, bool steps, GError **error)
{
    NervParams *p = g_new0(NervParams, 1);
    p->model = model;
    p->shape = g_new0(NervShape, model->n_params);
    p->offset = g_new0(size_t, model->n_params);
    for (uint32_t i = 0; i < model->n_params; i++) {
        p->shape[i] = steps ? steps_shape(&model->params[i]) : model->params[i].shape;
        p->offset[i] = p->bytes;
        p->bytes += (param_bytes(p, i) + NERV_PLAN_ALIGN - 1) / NERV_PLAN_ALIGN * NERV_PLAN_ALIGN;
    }
    p->buffer = nerv_buffer_new(be, p->bytes, error);
    if (!p->buffer) {
        nerv_params_free(p);
        return NULL;
    }
    return p;
}

NervParams *nerv_params_new(NervBackend *be, const NervModel *model, GError **error)
{
    return params_new(be, model, false, error);
}

NervParams *nerv_params_new_steps(NervBackend *be, const NervModel *model, GError **error)
{
    return params_new(be, model, true, error);
}

void nerv_params_free(NervParams *p)
{
    if (!p)
        return;
    nerv_buffer_free(p->buffer);
    g_free(p->shape);
    g_free(p->offset);
    g_free(p);
}

/* One transfer for all: a staging copy in the buffer's layout. */
static uint8_t *staging_new(const NervParams *p, GError **error)
{
    uint8_t *staging = g_try_malloc0(p->bytes);
    if (!staging)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "%zu bytes for a copy of the weights are not to be had", p->bytes);
    return staging;
}

bool nerv_params_upload(NervParams *p, const float *flat, GError **error)
{
    g_autofree uint8_t *staging = staging_new(p, error);
    if (!staging)
        return false;
    for (uint32_t i = 0; i < p->model->n_params; i++) {
        memcpy(staging + p->offset[i], flat, param_bytes(p, i));
        flat += nerv_shape_count(p->shape[i]);
    }
    return nerv_buffer_upload(p->buffer, 0, staging, p->bytes, error);
}

bool nerv_params_replace(NervParams *p, const NervModel *model, const void *image, GError **error)
{
    if (!nerv_buffer_upload(p->buffer, 0, image, p->bytes, error))
        return false;
    p->model = model;
    return true;
}

bool nerv_params_download(NervParams *p, float *flat, GError **error)
{
    g_autofree uint8_t *staging = staging_new(p, error);
    if (!staging || !nerv_buffer_download(p->buffer, 0, staging, p->bytes, error))
        return false;
    for (uint32_t i = 0; i < p->model->n_params; i++) {
        memcpy(flat, staging + p->offset[i], param_bytes(p, i));
        flat += nerv_shape_count(p->shape[i]);
    }
    return true;
}

bool nerv_params_clear(NervParams *p, GError **error)
{
    g_autofree uint8_t *staging = staging_new(p, error);
    return staging && nerv_buffer_upload(p->buffer, 0, staging, p->bytes, error);
}

static NervTensor *add_leaf(NervTape *tape, const char *prefix, const char *name, NervShape shape)
{
    g_autofree char *full = g_strconcat(prefix, name, NULL);
    return nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_F32, shape, full);
}

void nerv_params_leaves(const NervModel *model, NervTape *tape, const char *prefix, NervTensor **leaves)
{
    for (uint32_t i = 0; i < model->n_params; i++)
        leaves[i] = add_leaf(tape, prefix, model->params[i].name, model->params[i].shape);
}

void nerv_params_step_leaves(const NervModel *model, NervTape *tape, const char *prefix, NervTensor **leaves)
{
    for (uint32_t i = 0; i < model->n_params; i++)
        leaves[i] = add_leaf(tape, prefix, model->params[i].name, steps_shape(&model->params[i]));
}

bool nerv_params_bind(NervParams *p, NervExec *exec, NervTensor *const *leaves, GError **error)
{
    for (uint32_t i = 0; i < p->model->n_params; i++)
        if (!nerv_exec_bind(exec, leaves[i], p->buffer, p->offset[i], error))
            return false;
    return true;
}

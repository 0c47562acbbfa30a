/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A model's parameters on a device: one buffer, each tensor at an aligned offset, and the way between it and
 * the flat array of floats (one tensor after the other, in the model's order) that everything off the device
 * uses. The steps that quantise them are held in the same way, a tensor of steps for each parameter.
 */
#pragma once

#include "backend/backend.h"
#include "models/model.h"

typedef struct {
    const NervModel *model; /* not owned; the present one, see nerv_params_replace() */
    NervBuffer *buffer;
    NervShape *shape; /* by parameter: the parameter's own, or of its steps */
    size_t *offset;   /* bytes, by parameter */
    size_t bytes;
} NervParams;

/* Zeroed parameters. The model and the backend must outlive them. */
NervParams *nerv_params_new(NervBackend *be, const NervModel *model, GError **error);
/* The parameters' steps, zeroed; logarithms base 2. */
NervParams *nerv_params_new_steps(NervBackend *be, const NervModel *model, GError **error);
void nerv_params_free(NervParams *p);
bool nerv_params_upload(NervParams *p, const float *flat, GError **error);
/* The same with the weights of another model that is nerv_model_alike(), which is the parameters' model from then on. They lie in
 * `image` as they do in the buffer: p->bytes, each tensor at its offset. */
bool nerv_params_replace(NervParams *p, const NervModel *model, const void *image, GError **error);
bool nerv_params_download(NervParams *p, float *flat, GError **error);
bool nerv_params_clear(NervParams *p, GError **error);

/* Appends one PARAM leaf per parameter, named prefix + the parameter's name; leaves has room for
 * model->n_params. */
void nerv_params_leaves(const NervModel *model, NervTape *tape, const char *prefix, NervTensor **leaves);
/* The same for their steps: [N,1,1,1] for a weight, [1,C,1,1] for a grid, a scalar for a bias. */
void nerv_params_step_leaves(const NervModel *model, NervTape *tape, const char *prefix, NervTensor **leaves);
bool nerv_params_bind(NervParams *p, NervExec *exec, NervTensor *const *leaves, GError **error);

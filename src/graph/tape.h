/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tape: a growing list of nodes in the order they were added, which is a valid order to run them in. Models
 * add nodes through the functions of ops/ops.h; the first error sticks, later calls return NULL, and the
 * caller asks once at the end. Not thread-safe; a tape belongs to one thread until it is only read.
 */
#pragma once

#include "graph/op.h"

struct NervTape {
    GPtrArray *tensors; /* NervTensor *, index == id */
    GPtrArray *nodes;   /* NervNode * */
    GError *error;      /* the first error, or NULL */
};

NervTape *nerv_tape_new(void);
void nerv_tape_free(NervTape *tape);

/* Adds a leaf. `kind` is INPUT or PARAM; `name` is copied and may be NULL. Returns NULL after an error. The
 * tensor is owned by the tape. INPUT leaves and integer leaves have no_grad set. */
NervTensor *nerv_tape_leaf(NervTape *tape, NervTensorKind kind, NervDType dtype, NervShape shape,
                           const char *name);

/* Adds a constant leaf; `data` (count of `shape` floats) is copied. */
NervTensor *nerv_tape_const(NervTape *tape, NervShape shape, const float *data);
NervTensor *nerv_tape_scalar(NervTape *tape, float value);

/* Adds a node. `attr` is copied (attr_bytes <= NERV_MAX_ATTR_BYTES; NULL if 0). A NULL among the inputs or an
 * earlier error returns NULL. Returns output 0; other outputs are result->node->out[i]. */
NervTensor *nerv_tape_add(NervTape *tape, const NervOp *op, NervTensor *const *in, uint32_t n_in,
                          const void *attr, size_t attr_bytes);

/* Keeps a tensor after the run, readable under `name` (copied, may be NULL). */
void nerv_tape_output(NervTape *tape, NervTensor *t, const char *name);

/* Records an error by hand (keeps the first). */
void nerv_tape_fail(NervTape *tape, NervErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Moves the sticky error, if any, to *error and returns false; true if all went well. */
bool nerv_tape_check(NervTape *tape, GError **error);

/* Finds a leaf or output by name, or NULL. */
NervTensor *nerv_tape_find(const NervTape *tape, const char *name);

/* Reverse-mode differentiation: appends the nodes that compute d(loss)/d(wrt[i]) to the tape and stores the
 * tensors in dwrt[i]; `loss` must have one element. A wrt that the loss does not depend on gets a constant
 * zero tensor of its shape. May be called again on the result (second order). Implemented in graph/grad.c. */
void nerv_tape_grad(NervTape *tape, NervTensor *loss, NervTensor *const *wrt, uint32_t n_wrt,
                    NervTensor **dwrt);

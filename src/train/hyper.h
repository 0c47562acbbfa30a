/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a tape's Adam reads at each step: learning rates, and the corrections of its moments' means. Tensors of one rate share a leaf.
 */
#pragma once

#include "backend/backend.h"
#include "models/params.h"

#define NERV_MAX_RATES 6

typedef enum {
    NERV_HYPER_WEIGHTS,
    NERV_HYPER_HEAD, /* weights of the layer that makes samples of features */
    NERV_HYPER_STEPS /* of the quantiser */
} NervHyperKind;

typedef struct {
    NervHyperKind kind;
    double rate; /* in units of the learning rate */
    NervTensor *leaf;
} NervHyper;

typedef struct {
    NervHyper of[NERV_MAX_RATES];
    uint32_t n;
} NervHypers;

/* The INPUT leaf [1,4,1,1] for tensors of a kind and a rate, in units of the learning rate. Fails the tape where there are too many. */
NervTensor *nerv_hypers_leaf(NervHypers *hypers, NervTape *tape, NervHyperKind kind, double rate);

/* The same of a parameter; layers: the rate of all that is no grid. */
NervTensor *nerv_hypers_param(NervHypers *hypers, NervTape *tape, const NervParam *param, double layers);

/* For step t, from 1: its rate, and corrections as of Kingma and Ba, "Adam" (ICLR 2015), algorithm 1. */
bool nerv_hyper_write(const NervHyper *hyper, NervExec *exec, double rate, double beta1, double beta2,
                      double t, GError **error);

/* Root mean square of the head's weights, 0 where there is no head. base: what is added to the weights, or NULL. */
bool nerv_hyper_head_size(const NervModel *model, NervParams *weights, NervParams *base, double *size,
                          GError **error);

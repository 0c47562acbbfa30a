/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop: every op on every CPU level and on Vulkan against its plain C reference, and every gradient rule against
 * central differences. A case file per op (tests/checkop/<op>.c) says how to make random trials of it.
 */
#pragma once

#include "base/rng.h"
#include "ops/ops.h"

typedef struct {
    const char *op; /* NervOp.name */
    uint32_t
        n_trials; /* trial 0 should be the smallest, later ones odd sizes, then typical ones; keep lavapipe's cost small */
    /* Builds one trial: leaves (PARAM or INPUT, named), the op, and nerv_tape_output() on every output to compare. */
    void (*make)(NervTape *tape, NervRng *rng, uint32_t trial);
    /* Fills a leaf; NULL: floats uniform in [-1,1), integers 0, bytes uniform. */
    void (*fill)(const NervTensor *leaf, NervRng *rng, void *data);
    /* Trials whose gradients are checked by central differences (trial < n_grad_trials; keep those tiny): the harness
     * contracts all float outputs with random constants into a scalar, differentiates with nerv_tape_grad() to every
     * float PARAM leaf without no_grad, and compares with the reference evaluated at +-grad_eps. */
    uint32_t n_grad_trials;
    float grad_eps; /* 0: 1e-2 */
    float
        grad_tol; /* 0: 2e-2, relative to the leaf's largest |gradient|; rounding of the sum is allowed for */
    /* Optional: typical sizes for --bench; returns false when `which` is past the last; *macs: multiply-accumulates, or 0. */
    bool (*bench)(NervTape *tape, uint32_t which, double *macs);
    const char *note; /* printed with the case, may be NULL */
} CheckCase;

/* NULL-terminated, tests/checkop/cases.c; an op without a case fails the run. */
extern const CheckCase *const check_cases[];

/* Uniform integer in lo..hi. */
static inline int check_between(NervRng *rng, int lo, int hi)
{
    return lo + (int)nerv_rng_below(rng, (uint32_t)(hi - lo + 1));
}

/* A float PARAM leaf that is differentiated. */
static inline NervTensor *check_param(NervTape *tape, const char *name, int n, int c, int h, int w)
{
    return nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(n, c, h, w), name);
}

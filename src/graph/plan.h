/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A plan: a tape made ready to run thousands of times. Dead nodes are dropped, every value gets a place in
 * one arena by its lifetime, leaves keep their identity, and barriers are marked. A plan knows no device; a
 * backend allocates the arena and runs the steps in order.
 */
#pragma once

#include "graph/tape.h"

#define NERV_PLAN_ALIGN 256 /* bytes; satisfies every Vulkan storage-buffer offset alignment */

typedef enum {
    NERV_PLACE_NONE,  /* absent operand or dead output */
    NERV_PLACE_ARENA, /* offset into the arena */
    NERV_PLACE_LEAF,  /* the leaf's own buffer; `tensor` is the leaf */
} NervPlaceKind;

typedef struct {
    NervPlaceKind kind;
    size_t offset;            /* ARENA only; multiple of NERV_PLAN_ALIGN */
    size_t bytes;             /* exact bytes of the values; storage is rounded up to NERV_PLAN_ALIGN */
    const NervTensor *tensor; /* LEAF: which */
} NervPlace;

typedef struct {
    const NervNode *node;
    NervPlace in[NERV_MAX_IN];
    NervPlace out[NERV_MAX_OUT];
    NervPlace scratch;
    bool barrier_before; /* reads or overwrites memory that a step since the last barrier wrote or read */
} NervStep;

/* What a plan's steps took while they were timed (nerv_exec_profile() in backend/backend.h), by the device's own clock. */
typedef struct {
    uint64_t *step_ns; /* by step, summed over the runs; NULL: never timed */
    uint64_t n_runs;
} NervPlanProfile;

typedef struct {
    const NervTape *tape; /* not owned, must outlive the plan */
    NervStep *steps;
    uint32_t n_steps;
    size_t arena_bytes;
    NervPlace *place; /* by tensor id: where each tensor lives (NONE: dropped) */
    NervPlanProfile profile;
} NervPlan;

/* Scratch bytes that a backend needs for a node. */
typedef size_t (*NervScratchFunc)(const NervNode *node, void *user);

/* Plans everything that the tape's outputs and aliasing nodes (Adam) need, after letting ops fuse, which rewrites nodes of the
 * tape. Fails if the tape carries an
 * error, has nothing to compute, or a tensor is read after a node that overwrites it. */
NervPlan *nerv_plan_new(NervTape *tape, NervScratchFunc scratch, void *user, GError **error);
void nerv_plan_free(NervPlan *plan);

/* For backends: an empty profile. */
void nerv_plan_profile_reset(NervPlan *plan);
/* Nanoseconds of plan->steps[step] in the mean of the timed runs; 0 if there were none. plan->steps[step].node->op->name and
 * ->macs say what took them. */
double nerv_plan_profile(const NervPlan *plan, uint32_t step);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the meta-learner share: meta_tape.c builds what meta.c runs.
 */
#pragma once

#include "base/rng.h"
#include "models/params.h"
#include "models/start.h"
#include "train/hyper.h"
#include "train/meta.h"
#include "train/meta_outer.h"
#include "train/patches.h"

/* One evaluation on a tape with its runs. */
typedef struct {
    NervScene scene;
    NervTensor *loss;
} Look;

struct NervMeta {
    NervBackend *be;
    const NervModel *model;
    NervMetaSettings settings;
    NervFootage footage; /* layouts; no pictures */

    NervModel whole;   /* with the blocks' layers; params are its own */
    NervModel reduced; /* the same with a start's shapes */
    uint32_t n_stages;
    uint32_t batch;

    /* MAML: the start and the inner rates are leaves. The others: weights that walk. */
    NervTape *tape;
    NervExec *exec;
    Look look[NERV_META_MAX_UNROLLED + 1];
    uint32_t n_looks;
    NervParams *start;
    NervBuffer *rates;
    NervTensor **start_leaf, **rate_leaf; /* and what their gradients are read from */
    NervTensor **start_grad, **rate_grad;
    NervParams *w, *m, *v;
    NervHypers hypers;
    /* FOMAML: the gradient at the walk's end. */
    NervTape *end_tape;
    NervExec *end_exec;
    Look end_look;
    NervTensor **end_grad;

    NervOuter outer;
    NervPatches *patches;
    float *seen;             /* the clip's patches; 0 where grids are no maps */
    NervTensor **patch_leaf; /* MAML: what grids are maps of, each with its 1 */
    /* The grid of flows between keyframes, which begins with what a search found: its number and place, n_params without one. */
    uint32_t flow_param;
    size_t flow_at;
    NervTensor *flow_leaf;
    float *weights, *moved, *gradient; /* of the whole, to work with */
    NervRng rng;
    uint32_t *order;
};

/* Fills whole, reduced and n_stages. */
bool nerv_meta_make_models(NervMeta *meta, GError **error);
/* MAML: inner steps one behind another, and the last look's gradient through all of them. */
void nerv_meta_build_unrolled(NervMeta *meta);
/* The others: weights that a step of Adam moves where they are. leaves: the weights' and their moments'. */
void nerv_meta_build_walk(NervMeta *meta, NervTensor **leaves);
/* FOMAML: the gradient where the walk ends. */
void nerv_meta_build_end(NervMeta *meta, NervTensor **leaves);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A segment's fit, from whatever it begins with, and where it is asked for a second one: the choice between a network that stands alone and one that is
 * differences from the segment before (residual.h) or from a learned start (delta.h).
 */
#pragma once

#include "codec/fitter.h"
#include "codec/motion.h"
#include "codec/warm.h"

/* What became of a segment's fit, or of its two. */
typedef struct {
    bool is_warm,
        is_learned; /* the fit began with the last segment's weights, or with f->init; neither: with drawn ones */
    NervUnitType way;   /* chosen: NERV_UNIT_NETWORK, _RESIDUAL or _DELTA */
    NervUnitType other; /* the other way that was tried, 0: none */
    uint32_t whole_bytes, other_bytes;
    double whole_psnr, other_psnr; /* dB, the means of the frames' */
} NervChoice;

/* Fits f->model from the weights that `warm` has, else from f->init, else from drawn ones. Once more, as differences from the first of them if
 * may_residual or from the second if may_delta, in the same number of steps, or both in half of the time. Of the two the one is chosen that does not miss what was asked
 * for, or else the better one, a dB being worth a quarter of the bytes; it is what `network`, a payload of the unit choice->way, and `result`
 * then have. A grid of flows begins with `motion`, if that suits it. f->initial is set. Otherwise as nerv_fitter_run(). */
bool nerv_choice_fit(NervFitter *f, const NervWarm *warm, bool may_residual, bool may_delta,
                     const NervMotion *motion, NervBitWriter *network, NervFitResult *result,
                     NervChoice *choice, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a segment's fit did not reach, in words.
 */
#pragma once

#include "codec/fitter.h"
#include "codec/keys.h"

typedef struct {
    uint32_t segment_id;
    const NervFitResult *result;
    double seconds, max_seconds; /* since the first frame; asked for, 0: not */
    double bytes, target_bytes;  /* of the segment's units; asked for, 0: not */
    const NervKeys *keys;        /* that are among them; NULL: none */
    double target_psnr;          /* dB, 0: none asked for */
    double excess_macs;          /* NervModel's, for a stream's first segment; else 0 */
} NervReport;

/* One sentence, or two; NULL if everything was reached. Free with g_free(). */
char *nerv_report_warning(const NervReport *r);

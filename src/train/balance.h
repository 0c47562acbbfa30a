/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How much each of a segment's videos counts in a fit. The mean of all frames' losses is that of the hardest video, and a fit of it alone
 * leaves the others what they would have with a network of few bits. So each video's loss has a weight that falls with a power of it.
 */
#pragma once

#include <stdint.h>

typedef struct {
    uint32_t n;   /* videos */
    double power; /* 0..1: of the mean of losses at 0 to the mean of their logarithms at 1 */
    double *loss; /* of each, a running mean; 0: none yet */
    double sum;   /* of their logarithms */
    uint32_t n_known;
} NervBalance;

/* n >= 1. */
void nerv_balance_init(NervBalance *b, uint32_t n, double power);
void nerv_balance_clear(NervBalance *b);
/* Takes the loss, not below 0, of a run of that video. */
void nerv_balance_add(NervBalance *b, uint32_t video, double loss);
/* What the video's loss is to be multiplied with; the geometric mean of all videos' weights is 1. 1 as long as one of them has no loss. */
double nerv_balance_weight(const NervBalance *b, uint32_t video);

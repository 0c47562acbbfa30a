/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How fast a fit would go on a device, before it begins: where it has to end at a time, the size of its network, its rates and what is kept free
 * for its end follow from that.
 */
#pragma once

#include "train/trainer.h"

/* In seconds. */
typedef struct {
    double step;
    double scoring; /* a look at all of the clip's frames */
    double coding;  /* of the network's weights, once */
} NervPace;

/* Makes some steps of a fit that is thrown away, looks at some frames and codes some weights. seconds: the fit's; this takes a small part of them, unless a
 * single step takes more. The footage's pictures need not hold anything yet. */
bool nerv_pace_find(NervPace *pace, NervBackend *be, const NervModel *model, const NervFootage *footage,
                    const NervTrainSettings *train, double seconds, GError **error);

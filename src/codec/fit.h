/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How a writer of coding 1 finds a tensor's prediction: least squares, then whichever form takes fewest bits. A reader knows nothing
 * of it, so floating point is free here.
 */
#pragma once

#include "codec/context.h"

/* The prediction with which the tensor's indices are coded shortest, of four, if the models are at c. The field is the tensor's; if it
 * is cancelled, any prediction, soon. */
NervPrediction nerv_fit_prediction(const NervContext *c, NervField *f, const uint16_t *codes,
                                   const int16_t *index);

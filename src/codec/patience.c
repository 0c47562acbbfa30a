/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See patience.h.
 */
#include "codec/patience.h"

#include <glib.h>
#include <math.h>

/* Less of an error than this is luck. */
#define LUCK 2e-3
/* A loss, at so many looks in succession, ends a fit: one look alone may be at a fit that quantisation has just begun to disturb. */
#define LOSS       .02
#define LOSS_LOOKS 4

void nerv_patience_init(NervPatience *p, uint32_t window)
{
    *p = (NervPatience){ .window = MAX(window, 1), .best = INFINITY, .last = INFINITY };
}

NervPatienceSays nerv_patience_look(NervPatience *p, uint32_t step, double error)
{
    if (!(error > 0.) || step < p->looked + p->window)
        return NERV_PATIENCE_WAIT;
    p->worse = error > p->best * (1. + LOSS) && error > p->last * (1. - LUCK) ? p->worse + 1 : 0;
    p->looked = step;
    p->last = error;
    if (error < p->best * (1. - LUCK)) {
        p->best = error;
        p->best_step = step;
        return NERV_PATIENCE_BETTER;
    }
    return p->worse >= LOSS_LOOKS ? NERV_PATIENCE_LOST : NERV_PATIENCE_WAIT;
}

bool nerv_patience_was_better(const NervPatience *p)
{
    return p->best < p->last * (1. - LUCK);
}

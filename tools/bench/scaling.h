/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How cost grows: the same network at other frame sizes, widths, batches and numbers of threads.
 */
#pragma once

#include "json.h"
#include "models/model.h"

/* Each group's networks take turns, `rounds` times for `seconds`. Prints a table and adds "scaling" to the JSON. */
bool bench_scaling(Json *j, const char *device, guint threads, const NervModel *model, uint32_t rounds,
                   double seconds, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The machine's memory bandwidth, measured per number of threads: the other roof beside the multiply-add peak.
 */
#pragma once

#include "base/threads.h"

/* GB/s of a[i] = b[i] + s c[i] over arrays that no cache holds, on all the pool's threads; 12 bytes counted per element, as
 * McCalpin's STREAM does (the line that a store reads first is not counted). The best of several passes; 0 if memory for
 * the arrays is not to be had. *bytes_per_mac, where asked for: the same over the multiply-add peak, in turns with that and so of
 * the same machine, however busy. */
double bench_stream_gbytes(NervPool *pool, double *bytes_per_mac);

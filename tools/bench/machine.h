/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a benchmark result must say of where it was made.
 */
#pragma once

#include "json.h"

/* Adds "date", "machine", "versions" and "commit" (of the checkout at source_dir, "-dirty" if changed; else null). */
void bench_describe_machine(Json *j, const char *source_dir, const char *version);

/* Peak resident memory of the process since the last reset, bytes; 0 where the system doesn't say. */
void bench_rss_reset(void);
int64_t bench_rss_peak_bytes(void);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Arguments of the benchmarks, checked before anything is measured: what cannot be meant is refused and not put right in
 * silence, as a number would come out that answers another question.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define BENCH_MAX_THREADS 256

/* False with an error that names the option. */
bool bench_check_int(const char *option, int value, int least, int most, GError **error);
bool bench_check_double(const char *option, double value, double least, double most, GError **error);
/* "1,2,4": at most `most` ascending numbers from 1 to 1000000 to values, and how many. */
bool bench_parse_counts(const char *option, const char *text, uint32_t most, double *values, uint32_t *n,
                        GError **error);
/* "320x180", both from 16 to 8192, as the stream has it. */
bool bench_parse_size(const char *text, int32_t *width, int32_t *height, GError **error);
/* Whether a file could be written there. Leaves nothing behind and an existing file as it is. */
bool bench_check_output(const char *option, const char *path, GError **error);

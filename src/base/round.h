/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rounding of sizes and counts.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The least multiple of `to` that is at least n. */
static inline size_t nerv_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* a / b rounded up; a >= 0, b > 0, their sum in range. */
static inline int32_t nerv_ceil_div(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

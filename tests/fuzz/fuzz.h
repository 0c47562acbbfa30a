/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What every fuzz target has: libFuzzer's entry point, and a count of inputs that got all the way through, by which the
 * suite notices seeds that no longer test anything. A target fails by aborting, as libFuzzer wants it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs, so far, that were read without any error. */
extern unsigned fuzz_n_accepted;

/* The input with the checks of everything that looks like a unit made right, so that mutated streams get past them: a
 * size beyond the input is cut, and a residual's base is the network before it. Other bytes are kept. Free with g_byte_array_unref(). */
GByteArray *fuzz_repair(const uint8_t *data, size_t size);

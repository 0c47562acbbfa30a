/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How much memory a training step and a decoder take: what was planned, and what a process of their own had resident at most.
 */
#pragma once

#include "json.h"
#include "preset.h"

/* Starts `program` (this one) once to train, once to decode a frame and once to play some, each with --memory-child and the network's options. Prints three
 * lines and adds "memory" to the JSON. */
bool bench_memory(Json *j, const char *program, const char *device, guint threads, const BenchPreset *preset,
                  uint32_t batch, GError **error);

/* What such a child does: `what` is "train", "decode:FILE" or "play:FILE". Prints one line, "planned BYTES resident BYTES". */
bool bench_memory_child(const char *what, const char *device, guint threads, const BenchPreset *preset,
                        uint32_t batch, GError **error);

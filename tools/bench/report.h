/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables and JSON of a network's training step and decoding, of the ops in them, and of the machine's roofs.
 */
#pragma once

#include "json.h"
#include "ops.h"
#include "rounds.h"

/* Measures multiply-add peak per level and memory bandwidth, with one thread and `threads`, prints and adds them; returns what the
 * level in use and all threads reach; clear it. */
BenchRoof bench_report_machine(Json *j, guint threads);

/* One part's rounds under `key`: "train", "decode" or "decode_ahead"; `rate` names its unit. `macs` of one run. */
void bench_report_rounds(Json *j, const char *key, const char *rate, const Rounds *r, bool with_peer,
                         int64_t macs);

/* The ops of a part under `key`, each beside both roofs. */
void bench_report_ops(Json *j, const char *key, const BenchProfile *profile);

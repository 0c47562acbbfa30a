/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The PyTorch peer (tools/peers/bench_torch.py) as a process that waits for its turns.
 */
#pragma once

#include <glib.h>

#include "models/model.h"

typedef struct BenchPeer BenchPeer;

/* Starts the peer with the network of `model` (class nerv or dnerv) on PyTorch's `device`, with as many threads and frames a step. NULL with an error if there is no such
 * interpreter, script or PyTorch. */
BenchPeer *bench_peer_new(const char *python, const char *script, const char *device, const NervModel *model,
                          guint threads, uint32_t batch, GError **error);
void bench_peer_free(BenchPeer *p);

/* Sends one line, such as "train 2", and returns the number under `key` of the answer; -1 on failure. */
double bench_peer_ask(BenchPeer *p, const char *line, const char *key, GError **error);
/* The peer's first line: a JSON object with its versions and number of threads. */
const char *bench_peer_about(const BenchPeer *p);

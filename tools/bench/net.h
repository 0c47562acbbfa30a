/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One network on one device, ready to be measured: training steps by libnerv's own trainer, decoded frames by the same tape
 * as the decoder's. Frames and keyframes are noise: no work here depends on their values. Of a model that gives several frames at once a step is
 * one clip, and a decoded frame its part of one.
 */
#pragma once

#include "train/trainer.h"

typedef struct BenchNet BenchNet;

typedef enum { BENCH_TRAIN = 1, BENCH_DECODE = 2 } BenchPart;

/* `parts`: what will be measured; memory is taken for nothing else. `batch`: frames of a training step, 1..16. Backend and model
 * must outlive it. */
BenchNet *bench_net_new(NervBackend *be, const NervModel *model, int parts, uint32_t batch, GError **error);
void bench_net_free(BenchNet *b);

/* Runs for about `seconds`, at least three times; returns the mean seconds of one training step (read back at the
 * end only) or of one decoded frame (network, conversion to RGB bytes, and their way back to the host); -1 on error. */
double bench_net_run(BenchNet *b, BenchPart part, double seconds, GError **error);

/* One run, waited for: a step, or one evaluation of the network. */
bool bench_net_once(BenchNet *b, BenchPart part, GError **error);

/* The plan that a run repeats. */
NervExec *bench_net_exec(BenchNet *b, BenchPart part);
/* Device memory that the part took. */
size_t bench_net_bytes(const BenchNet *b, BenchPart part);
/* Multiply-accumulates of a frame, or of a step. */
int64_t bench_net_macs(const BenchNet *b, BenchPart part);

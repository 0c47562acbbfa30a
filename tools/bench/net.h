/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What nerv-bench measures of one network on one device: training steps, decoded frames, and the ops of a training
 * step one by one. Frames are noise: no work here depends on their values.
 */
#pragma once

#include "train/trainer.h"

typedef struct BenchNet BenchNet;

BenchNet *bench_net_new(NervBackend *be, const NervModel *model, GError **error);
void bench_net_free(BenchNet *b);

/* Runs for about `seconds`, at least three times; returns the mean seconds of one training step (read back at the
 * end only) or of one decoded frame (network, conversion to RGB bytes, and their way back to the host); -1 on error. */
double bench_net_train(BenchNet *b, double seconds, GError **error);
double bench_net_decode(BenchNet *b, double seconds, GError **error);

/* Device memory that training and decoding took. */
size_t bench_net_training_bytes(const BenchNet *b);
size_t bench_net_decoding_bytes(const BenchNet *b);
/* Multiply-accumulates of one frame's forward pass and of one training step. */
int64_t bench_net_forward_macs(const BenchNet *b);
int64_t bench_net_training_macs(const BenchNet *b);

/* One op of the training step with its operands' shapes. */
typedef struct {
    const char *op;
    char *shapes;   /* "1x24x180x320 96x24x3x3 ..." */
    uint32_t count; /* how often it occurs in a step */
    double seconds; /* of one run by itself, -1 if it failed */
    int64_t macs;   /* 0: not counted */
    int64_t bytes;  /* read and written at least */
} BenchOp;

/* Measures each distinct op of a step for about `seconds`; array of BenchOp, the most expensive first. */
GArray *bench_net_ops(BenchNet *b, double seconds);

/* GMAC/s of one convolution by itself, stride 1, padding (k-1)/2, with bias; -1 on error. */
double bench_conv_gmacs(NervBackend *be, const int shape[6], double seconds, GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Playing a file through a decoder into fakesink, as fast as it goes, with a clock on it: start-up, rate, seeks.
 */
#pragma once

#include <gst/gst.h>
#include <stdbool.h>
#include <stdint.h>

#define BENCH_MAX_SEEKS 16

typedef struct {
    double
        startup_seconds; /* from the request to play to the first picture at the sink, the pipeline's making included */
    double frame_seconds; /* mean time between pictures after the first */
    double total_seconds; /* from the request to play to the end of stream */
    uint32_t n_frames;
} BenchPlay;

/* `chain` goes between filesrc and fakesink, "nervparse ! nervdec"; the pipeline is made anew. False with an error. */
bool bench_play(const char *file, const char *chain, BenchPlay *out, GError **error);

/* Something to measure beside a seek: its seconds, -1 with an error. */
typedef double (*BenchBeside)(void *user, GError **error);

typedef struct {
    double seconds[BENCH_MAX_SEEKS]; /* of each seek: from the request to the picture at the sink */
    double beside[BENCH_MAX_SEEKS];  /* what was measured right after it; 0: nothing */
    uint32_t n, n_wrong; /* how many, and how many pictures do not cover the time that was asked for */
} BenchSeeks;

/* Pauses the pipeline and seeks, flushing and accurate, to `n` places all over the stream, far from each other. `beside` (may be
 * NULL) is called after each seek. */
bool bench_seeks(const char *file, const char *chain, uint32_t n, BenchBeside beside, void *user,
                 BenchSeeks *out, GError **error);

/* Runs a pipeline until its end, to make a file. False with an error. */
bool bench_run_to_end(const char *description, GError **error);

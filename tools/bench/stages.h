/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One network fitted to a clip in several ways, and what each way of storing it makes of it: bytes and quality. Files are real ones, decoded
 * by nervdec; what no file has (floats, fixed lengths) is counted as the least that a decoder would need.
 */
#pragma once

#include "codec/weights.h"
#include "rd_clip.h"
#include "train/trainer.h"

/* How weights are stored. */
typedef enum {
    STAGE_FLOAT,     /* 32 bits each */
    STAGE_PUBLISHED, /* coding 2 as the authors count: no header, ranges, code or places of zeros */
    STAGE_FIXED,     /* coding 2's points with `bits` each, and its rows */
    STAGE_HUFFMAN,   /* coding 2 */
    STAGE_RANGE,     /* coding 0 */
    STAGE_CONTEXT,   /* coding 1, of learned steps */
} StageCoding;

typedef struct {
    const char *fit; /* "plain", "pruned", "quantised" */
    StageCoding coding;
    uint32_t bits;      /* of a weight; 0 where steps were learned */
    double rate_weight; /* of the fit */
    bool
        is_file; /* its bytes were written and read; else counted. Where zeros come from pruning, a bit per weight for their places is counted */
    int64_t bytes; /* of the whole stream */
    double zeros;  /* share of the fitted weights that are exactly 0, before quantisation */
    double psnr_rgb, psnr_rgb_frames; /* dB; of the mean squared error, mean of the frames' */
} Stage;

/* What all fits have in common. */
typedef struct {
    const RdClip *clip;
    NervBackend *be;
    NervModel *model;
    NervPixels pixels;
    NervBuffer *frames;
    char *directory; /* for files */
    char *decode;    /* pipeline from such a file to pictures */
} StageBench;

/* Uploads the clip. `model` is of its size and number of frames; it, `be`, `clip` and the strings are not owned. */
bool stage_bench_init(StageBench *b, GError **error);
void stage_bench_clear(StageBench *b);

/* A fitted network. */
typedef struct {
    float *weights;
    uint16_t *steps; /* learned ones, or NULL */
    double seconds;
} StageFit;

bool stage_fit(const StageBench *b, const NervTrainSettings *settings, StageFit *fit, GError **error);
void stage_fit_clear(StageFit *fit);

/* Fills in bytes, zeros and quality; fit, coding, bits are given. */
bool stage_measure(const StageBench *b, const StageFit *fit, Stage *stage, GError **error);

const char *stage_coding_name(StageCoding coding);

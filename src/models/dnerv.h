/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV: Towards Scalable Neural Representation for Diverse Videos (He et al., CVPR 2023). One network for all videos of a
 * segment, told apart by coded keyframes: content comes from the pictures before and behind a clip, motion from the network.
 */
#pragma once

#include "models/blocks.h"

#define NERV_DNERV_MAX_CLIP     32   /* frames that one evaluation gives */
#define NERV_DNERV_MAX_INTERVAL 1024 /* frames from one keyframe to the next */
#define NERV_DNERV_REFINE       8    /* hidden channels of the refinement */

/* What a network has; the paper's has the first five. */
typedef enum {
    NERV_DNERV_FLOW = 1,     /* content is warped by a flow to each frame; else only blended */
    NERV_DNERV_SAF = 2,      /* content modulates the features of each stage */
    NERV_DNERV_MIX = 4,      /* features are mixed over the clip's frames after each stage: the GTMLP */
    NERV_DNERV_KEYS = 8,     /* the keyframes themselves are warped and refined at the end */
    NERV_DNERV_NORM = 16,    /* features and content are normalised in front of the first stage */
    NERV_DNERV_PYRAMID = 32, /* a stage's flow is added to that of the stage before, enlarged */
    NERV_DNERV_SKIP = 64,    /* the warped keyframes are added to what the refinement gives */
    NERV_DNERV_PAPER = 31,
    NERV_DNERV_ALL = 127,
} NervDnervParts;

/* Everything that determines the network and its clips for a given frame size. */
typedef struct {
    uint32_t parts;   /* NervDnervParts */
    int32_t clip;     /* T: frames of an evaluation */
    int32_t interval; /* a multiple of T: frames of a video from one keyframe to the next */
    int32_t
        stem; /* hidden width of the MLP behind the positional encoding; 0: a temporal grid in its place */
    double pe_base; /* as NeRV's, with a stem */
    int32_t pe_levels;
    int32_t row_frames;             /* without a stem: frames of a video for each of the grid's rows, about */
    int32_t base_channels, content; /* channels of the base grid, of the keyframes' features */
    int32_t n_blocks;
    int32_t width[NERV_MAX_BLOCKS];  /* channels behind each block */
    int32_t stride[NERV_MAX_BLOCKS]; /* upsampling of each block */
} NervDnervConfig;

/* A run: a clip of a video, and where its keyframes are. */
typedef struct {
    int32_t first, n;
    int32_t keys[2];    /* places in the model's list */
    int32_t start, end; /* frames of those keyframes */
    int32_t video;      /* first frame of its video, and how many that has */
    int32_t video_frames;
    int32_t row, rows; /* its video's part of the temporal grid */
} NervDnervRun;

typedef struct {
    NervModel head;
    NervDnervConfig config;
    int32_t *videos; /* frames of each */
    uint32_t n_videos;
    NervDnervRun *runs;     /* head.n_runs */
    int32_t n_rows;         /* of the temporal grid */
    int32_t grid_h, grid_w; /* base grid: ceil(size / product of strides) */
} NervDnerv;

/* Inputs of a frame behind those of the stem: the weights of the keyframes by distance, and by place in the interval. */
enum {
    NERV_DNERV_INPUT_START,
    NERV_DNERV_INPUT_END,
    NERV_DNERV_INPUT_EARLY,
    NERV_DNERV_INPUT_LATE,
    NERV_DNERV_N_INPUTS
};

static inline bool nerv_dnerv_has(const NervDnervConfig *c, NervDnervParts part)
{
    return (c->parts & part) != 0;
}

/* dnerv_tape.c: as nerv_model_build(). */
NervTensor *nerv_dnerv_build(const NervModel *model, NervTape *t, NervTensor *const *p, NervTensor *input,
                             NervTensor *keys);

extern const NervModelClass nerv_model_class_dnerv;

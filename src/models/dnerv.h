/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV: Towards Scalable Neural Representation for Diverse Videos (He et al., CVPR 2023). One network for all videos of a
 * segment, told apart by coded keyframes: content comes from the pictures before and behind a clip, motion from the network.
 */
#pragma once

#include "models/blocks.h"

#define NERV_DNERV_MAX_CLIP     32   /* frames that one evaluation gives */
#define NERV_DNERV_MAX_INTERVAL 1024 /* frames from one keyframe to the next */
#define NERV_DNERV_MAX_ENLARGED 64   /* samples of a flow's cell, each way */
#define NERV_DNERV_FLOW_UNITS   4.f  /* a displacement of 1 in a grid is this part of its cell */
#define NERV_DNERV_REFINE       8    /* hidden channels of the refinement */

/* What a network has; the paper's has the first five. With grids there are no features of the keyframes: no saf, no pyramid, no stem. */
typedef enum {
    NERV_DNERV_FLOW = 1,     /* content is warped by a flow to each frame; else only blended */
    NERV_DNERV_SAF = 2,      /* content modulates the features of each stage */
    NERV_DNERV_MIX = 4,      /* features are mixed over the clip's frames after each stage: the GTMLP */
    NERV_DNERV_KEYS = 8,     /* the keyframes themselves are warped and refined at the end */
    NERV_DNERV_NORM = 16,    /* features and content are normalised in front of the first stage */
    NERV_DNERV_PYRAMID = 32, /* a stage's flow is added to that of the stage before, enlarged */
    NERV_DNERV_SKIP = 64,    /* the warped keyframes are added to what the refinement gives */
    NERV_DNERV_GRIDS = 128,  /* flows are a grid, and are learned by themselves; a step is one of nerv-grid */
    NERV_DNERV_MASK = 256,   /* with skip and grids: how much each of the two keyframes counts is learned */
    NERV_DNERV_GAINS = 512,  /* with grids: each video scales the channels behind each stage */
    NERV_DNERV_OWN = 1024,   /* with grids: the first stage's weights are each video's own */
    NERV_DNERV_PAPER = 31,
    NERV_DNERV_NET = 127,
    NERV_DNERV_MOVED = NERV_DNERV_FLOW | NERV_DNERV_KEYS | NERV_DNERV_SKIP | NERV_DNERV_GRIDS |
                       NERV_DNERV_MASK | NERV_DNERV_GAINS | NERV_DNERV_OWN,
    NERV_DNERV_OF_SEVERAL = NERV_DNERV_GAINS | NERV_DNERV_OWN, /* there are none in a network of one video */
    NERV_DNERV_ALL = 2047,
} NervDnervParts;

/* Everything that determines the network and its clips for a given frame size. */
typedef struct {
    uint32_t parts;   /* NervDnervParts */
    int32_t clip;     /* T: frames of an evaluation */
    int32_t interval; /* a multiple of T: frames of a video from one keyframe to the next; with grids about */
    int32_t
        stem; /* hidden width of the MLP behind the positional encoding; 0: a temporal grid in its place */
    double pe_base; /* as NeRV's, with a stem */
    int32_t pe_levels;
    int32_t row_frames;             /* without a stem: frames of a video for each of the grid's rows, about */
    int32_t base_channels, content; /* channels of the base grid, of the keyframes' features */
    int32_t flow_frames;            /* with grids: frames between rows of the flow, about */
    int32_t middle_frames,
        middle_channels; /* and as row_frames and base_channels of a grid in front of the second block; 0 channels: none */
    int32_t n_blocks;
    int32_t width[NERV_MAX_BLOCKS];  /* channels behind each block */
    int32_t stride[NERV_MAX_BLOCKS]; /* upsampling of each block */
} NervDnervConfig;

/* A run: a clip of a video, and where its keyframes are. */
typedef struct {
    int32_t first, n;
    int32_t keys[2];    /* places in the model's list */
    int32_t start, end; /* frames of those keyframes */
    uint32_t number;    /* of its video */
    int32_t video;      /* first frame of its video, and how many that has */
    int32_t video_frames;
    int32_t row, rows; /* its video's part of the temporal grid */
    int32_t middle, middles;
    int32_t flow, flows; /* its interval's part of the flow */
} NervDnervRun;

typedef struct {
    NervModel head;
    NervDnervConfig config;
    int32_t *videos;                  /* frames of each */
    NervDnervRun *runs;               /* head.n_runs */
    int32_t n_rows, n_middle, n_flow; /* rows of the temporal grids */
    int32_t grid_h, grid_w;           /* base grid: ceil(size / product of strides) */
} NervDnerv;

/* Inputs of a frame behind those of the stem: the weights of the keyframes by distance, and by place in the interval. With grids
 * there are rows of the flow, of the middle grid and of what is each video's own behind them. */
enum {
    NERV_DNERV_INPUT_START,
    NERV_DNERV_INPUT_END,
    NERV_DNERV_INPUT_EARLY,
    NERV_DNERV_INPUT_LATE,
    NERV_DNERV_N_INPUTS,
    NERV_DNERV_INPUT_FLOW = NERV_DNERV_N_INPUTS,
    NERV_DNERV_INPUT_MIDDLE,
    NERV_DNERV_INPUT_VIDEO,
    NERV_DNERV_MOST_INPUTS
};

static inline bool nerv_dnerv_has(const NervDnervConfig *c, NervDnervParts part)
{
    return (c->parts & part) != 0;
}

static inline int32_t nerv_dnerv_inputs(const NervDnervConfig *c)
{
    return nerv_dnerv_has(c, NERV_DNERV_GRIDS) ? NERV_DNERV_MOST_INPUTS : NERV_DNERV_N_INPUTS;
}

/* A grid of flows is as fine as the base, or as a later stage where so much enlarging is more than an op's. */
static inline int32_t nerv_dnerv_flow_scale(const NervDnervConfig *c)
{
    int32_t scale = 1, rest = nerv_strides_product(c->stride, c->n_blocks);
    for (int32_t i = 0; rest > NERV_DNERV_MAX_ENLARGED; i++) {
        scale *= c->stride[i];
        rest /= c->stride[i];
    }
    return scale;
}

/* On grids nothing but what is moved is made of keyframes. */
static inline bool nerv_dnerv_has_keys(const NervDnervConfig *c)
{
    return !nerv_dnerv_has(c, NERV_DNERV_GRIDS) || nerv_dnerv_has(c, NERV_DNERV_KEYS);
}

/* A network without what it would move has none. */
static inline bool nerv_dnerv_has_flow_grid(const NervDnervConfig *c)
{
    return nerv_dnerv_has(c, NERV_DNERV_GRIDS) && nerv_dnerv_has(c, NERV_DNERV_FLOW) &&
           nerv_dnerv_has(c, NERV_DNERV_KEYS);
}

/* Kernels and channels that follow from the parts. */
static inline int32_t nerv_dnerv_head_channels(const NervDnervConfig *c)
{
    return nerv_dnerv_has(c, NERV_DNERV_MASK) ? 4 : 3;
}

/* dnerv_model.c: the network of a valid configuration; videos as NervModelSize's. `code` is the error's where it cannot be. */
NervModel *nerv_dnerv_new(const NervDnervConfig *c, const NervClip *clip, const int32_t *videos,
                          uint32_t n_videos, NervErrorCode code, GError **error);
/* Rows of a grid for so many frames. */
int32_t nerv_dnerv_rows(int32_t frames, int32_t row_frames);
/* The class's functions of these names. */
void nerv_dnerv_free(NervModel *model);
bool nerv_dnerv_flows(const NervModel *model, NervFlows *flows);
NervRun nerv_dnerv_run(const NervModel *model, int32_t run);
double nerv_dnerv_row(const NervModel *model, const NervParam *grid, int32_t frame);
void nerv_dnerv_input(const NervModel *model, int32_t run, double later, float *dst);

/* dnerv_tape.c: as nerv_model_build(). */
NervTensor *nerv_dnerv_build(const NervModel *model, NervTape *t, NervTensor *const *p, NervTensor *input,
                             NervTensor *keys, NervTensor **stages);

/* to_options.c */
GVariant *nerv_dnerv_options(const NervModel *model, const char **name);

/* Their names in options, by bit. */
#define NERV_DNERV_N_PARTS 11
extern const char *const nerv_dnerv_part_names[NERV_DNERV_N_PARTS];

extern const NervModelClass nerv_model_class_dnerv;

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a model is: a configuration that becomes a tape. A NervModel is immutable once made; it knows its
 * parameters (shapes, initial values, how they may be quantised), how to append its network to a tape, and
 * what goes in per frame.
 */
#pragma once

#include "base/bits.h"
#include "ops/ops.h"

typedef struct NervModel NervModel;

/* The clip that a network represents. */
typedef struct {
    int32_t width, height; /* luma samples, 16..8192 */
    int32_t n_frames;      /* frames of the segment, >= 1 */
} NervClip;

/* What one evaluation of a network gives: one frame, or a few in succession. */
typedef struct {
    int32_t first, n; /* frames of the segment; what is evaluated beyond n repeats the last one */
    int32_t
        keys[2]; /* places in the model's list of the keyframes before and behind; -1: the model has none */
    uint32_t video; /* < model->n_videos */
} NervRun;

/* A grid of flows, which an encoder may fill before the fit: parameter `param`, a value of `unit` is one sample, and a cell `cell` samples across.
 * Between keyframes it is [R,4,h,w]: at a frame that is the part d of the way from the keyframe `start` to `end`, with the grid at row + d (rows - 1),
 * the former is sampled d times channels 0, 1 (x, y) away, the latter 1 - d times channels 2, 3. Or it moves n_moved grids that all frames share and
 * is [R,2 n_moved,h,w]: with F frames frame i is at row i (R-1)/(F-1), and samples each grid a pair of channels away; there are no spans then. */
typedef struct {
    int32_t start, end; /* frames */
    int32_t row, rows;
    uint32_t video; /* as NervRun's */
} NervFlowSpan;

typedef struct {
    uint32_t param;
    int32_t cell;
    float unit;
    NervFlowSpan *spans; /* each once, in the order of their rows */
    uint32_t n_spans;
    uint32_t n_moved; /* 0: it is of flows between keyframes */
} NervFlows;

/* How large a network should be, for models that may choose. Zeros leave it to the model. */
typedef struct {
    double
        weights; /* about so many scalars that there are bits for, besides those that are mostly zero; 0: as many as suit the clip */
    double growth; /* times that many; 0 means 1 */
    double bytes;  /* of the segment with all that belongs to it, keyframes too; 0: not known */
    double
        macs_per_pixel; /* multiplications of one frame's evaluation over its luma samples, at most about so many */
    /* The segment's videos, between cuts: how many frames each has. n_videos = 0: one. For models with keyframes. */
    const int32_t *videos;
    uint32_t n_videos;
    /* A model whose layers and channels are taken where there are no options, if it is of the same class; its grids have rows in proportion to the frames. NULL: none. */
    const NervModel *like;
} NervModelSize;

typedef enum {
    NERV_PARAM_WEIGHT, /* quantised per output channel (dimension N of the shape) */
    NERV_PARAM_BIAS,   /* quantised with one step for the whole tensor */
    NERV_PARAM_GRID,   /* temporal grid [T,C,H,W], quantised per channel C */
} NervParamRole;

typedef struct {
    char name[32]; /* "stem.0.weight", "block1.bias", ... */
    NervShape shape;
    NervParamRole role;
    float init_bound; /* initial values are uniform in [-bound, bound) */
    float rate;       /* learning rate in units of the model's; 0 means 1 */
    bool prunable;    /* its least scalars may be set to zero: weights but the head's */
    /* A tensor that each video has for itself: so many, one behind the other along N of a weight and C of a bias. 0 means 1. */
    uint32_t copies;
    /* Of a grid of what is seen: samples across of a cell. A learned start (models/start.h) maps pictures to it. 0: it begins alike everywhere. */
    int32_t cell;
    bool shared; /* such a grid of one row, however many frames there are */
    bool
        apart; /* what tells videos apart: begins as nothing, and a learned start (models/start.h) has none of it */
} NervParam;

typedef struct {
    const char *name; /* the value of nervenc's model property that selects this class: "nerv" */
    uint32_t id;      /* the code in the bitstream, docs/bitstream.md */
    /* Whether `name` is this class or one of its named sizes ("nerv-s"). */
    bool (*accepts)(const char *name);
    NervModel *(*configure)(const char *name, GVariant *options, const NervClip *clip,
                            const NervModelSize *size, GError **error);
    void (*write)(const NervModel *model, NervBitWriter *w);
    NervModel *(*read)(NervBitReader *r, const NervClip *clip, GError **error);
    void (*free)(NervModel *model);
    NervTensor *(*build)(const NervModel *model, NervTape *tape, NervTensor *const *params, NervTensor *input,
                         NervTensor *keys, NervTensor **stages);
    void (*input)(const NervModel *model, int32_t run, double later, float *dst);
    NervRun (*run)(const NervModel *model, int32_t run); /* NULL: run i is frame i */
    /* The row of a grid with cells that a frame falls on, whole or between two. NULL: the first frame's is the first one, the last frame's the last. */
    double (*row)(const NervModel *model, const NervParam *grid, int32_t frame);
    bool (*flows)(const NervModel *model, NervFlows *flows); /* false: there are none. May be NULL */
    char *(*describe)(const NervModel *model);
    GVariant *(*options)(const NervModel *model, const char **name); /* as nerv_model_options(), unchecked */
} NervModelClass;

/* Common head; model classes embed it as their first member. */
struct NervModel {
    const NervModelClass *klass;
    NervClip clip;
    NervParam *params;
    uint32_t n_params;    /* tensors */
    int64_t n_weights;    /* scalars in all params */
    double learning_rate; /* peak rate that suits it, for who asks for no other */
    uint32_t
        full_rate_steps; /* of fits of at most so many steps; longer ones learn the better with a lower one. 0: it is not known */
    double beta1, beta2;  /* Adam's, that suit it */
    double warmup;        /* fraction of the steps, 0..1 */
    int32_t input_floats; /* floats per frame that `input` writes; the input leaf is [N,input_floats,1,1] */
    int32_t run_frames;   /* frames that one evaluation gives: 1, or the length of a clip */
    int32_t n_runs;
    /* Whether times between frames show what lies between them: what goes in changes little from frame to frame, and the network has learned of motion. A positional
     * encoding has phases that turn many times from one frame to the next. */
    bool between;
    /* Multiplications per pixel, if a size was asked for and even the narrowest network takes more than it allows; else 0, as for a network like another. */
    double excess_macs;
    /* Frames of the segment that go beside the network as coded pictures, ascending. */
    int32_t *keys;
    int32_t n_keys;
    uint32_t n_videos; /* that it tells apart; 0: they are one to it */
};

/* For model classes: NERV_ERROR_MEMORY. */
void nerv_model_no_memory(GError **error);
/* Whether it is a grid with rows in time: what it holds is of the segment's frames alone. */
bool nerv_param_is_of_its_time(const NervParam *param);
/* Quantiser steps of a parameter by its role: N of a weight, 1 of a bias, C of a grid. */
int64_t nerv_param_steps(const NervParam *param);
/* Of all its parameters. */
int64_t nerv_model_steps(const NervModel *model);

/* Blocks that a model has at most. */
#define NERV_MODEL_MAX_STAGES 8
/* Limit on n_weights accepted from options and from streams. */
#define NERV_MODEL_MAX_WEIGHTS ((int64_t)256 * 1024 * 1024)

/* Makes a model by name. `options` is an a{sv} dictionary or NULL (the reference is not taken); unknown keys
 * and wrong types are NERV_ERROR_INVALID and the message names the key and what is known. Free with
 * nerv_model_free(). */
NervModel *nerv_model_new(const char *name, GVariant *options, const NervClip *clip, GError **error);
/* The same, of about that size where the model may choose and the options don't say. */
NervModel *nerv_model_new_sized(const char *name, GVariant *options, const NervClip *clip,
                                const NervModelSize *size, GError **error);
void nerv_model_free(NervModel *model);

/* Writes class id and configuration; reads them back. A reader checks every field's range before it
 * allocates. */
void nerv_model_write(const NervModel *model, NervBitWriter *w);
NervModel *nerv_model_read(NervBitReader *r, const NervClip *clip, GError **error);

/* Whether both have one tape and one list of parameters, so that one's plan serves the other's weights; the clips may differ in
 * n_frames. */
bool nerv_model_alike(const NervModel *a, const NervModel *b);

/* Appends the network: `params` are n_params leaves of the params' shapes, `input` is [N,input_floats,1,1], N = run_frames, or for
 * models with run_frames = 1 as many as there are frames. keys: [2,3,height,width], the run's keyframes in RGB; NULL if the model has
 * none. Returns RGB in [0,1] (of a model with keyframes, about), [N,3,height,width] (already cropped to the clip's size), or NULL
 * with the tape's error set. */
NervTensor *nerv_model_build(const NervModel *model, NervTape *tape, NervTensor *const *params,
                             NervTensor *input, NervTensor *keys);
/* The same with what each upsampling block gives, [N,C,h,w] of the frame padded to whole cells of the base grid, coarse ones first, in
 * stages[NERV_MODEL_MAX_STAGES]; NULL behind the last. */
NervTensor *nerv_model_build_stages(const NervModel *model, NervTape *tape, NervTensor *const *params,
                                    NervTensor *input, NervTensor *keys, NervTensor **stages);

/* What run 0 <= run < n_runs is of, and the one that a frame is in. */
NervRun nerv_model_run(const NervModel *model, int32_t run);
int32_t nerv_model_run_of(const NervModel *model, int32_t frame);
/* Writes what goes in for one run: run_frames * input_floats floats. */
void nerv_model_input(const NervModel *model, int32_t run, float *dst);
/* The same for times between frames: each frame's `later` frames after its own, 0 <= later < 1; behind its video's last one is that one. What
 * a network makes of those is what it has learned of motion. */
void nerv_model_input_at(const NervModel *model, int32_t run, double later, float *dst);

/* Whether the model has a grid of flows; its spans are then the caller's, g_free(). */
bool nerv_model_flows(const NervModel *model, NervFlows *flows);
/* Initial weights of a seed: n_weights floats, each tensor uniform in its init_bound. */
void nerv_model_init_params(const NervModel *model, uint64_t seed, float *dst);

/* One line for people: "nerv 320x180: stem 64, base 8 at 16x9, widths 24,16,12, strides 5,2,2, kernels 3,3,3,
 * gelu; 144751 parameters". Free with g_free(). */
char *nerv_model_describe(const NervModel *model);

/* A name and options from which nerv_model_new_sized() makes the same network of the same videos; the caller's reference. NULL where none do: a stream may have parts
 * that no option asks for. *name is static. */
GVariant *nerv_model_options(const NervModel *model, const char **name);
/* Frames of each of model->n_videos videos; NULL if it tells none apart. Owned by the model. */
const int32_t *nerv_model_videos(const NervModel *model);

/* Multiply-accumulates of one frame's forward pass, counted from a tape's ops. */
int64_t nerv_tape_macs(const NervTape *tape);
/* The same of a model, over its luma samples; infinite if a clip's pictures or features are too large for a tape. */
double nerv_model_macs_per_pixel(const NervModel *model);

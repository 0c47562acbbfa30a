/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-grid: NeRV's blocks on temporal feature grids instead of a positional encoding and an MLP, as FFNeRV (Lee et al.,
 * ACM MM 2023) has them, with grids in front of later blocks too.
 */
#pragma once

#include "models/blocks.h"

#define NERV_GRID_MAX_LEVELS (NERV_MAX_BLOCKS + 1) /* in front of each block, and of the head */
#define NERV_GRID_MAX_GRIDS  24
#define NERV_GRID_MAX_WARP   64 /* samples per base cell and direction in a level whose grids are moved */
/* A displacement of 1 is this part of a base cell. */
#define NERV_GRID_FLOW_UNITS 4.f

/* One temporal grid: `rows` feature maps of `channels` channels spread evenly over the segment's time. */
typedef struct {
    int32_t level; /* of the block that it enters; n_blocks: the head */
    int32_t rows;  /* 1: the same at all times */
    int32_t channels;
} NervGridSpec;

/* Everything that determines the network for a given frame size. */
typedef struct {
    int32_t n_blocks;
    int32_t width[NERV_MAX_BLOCKS];  /* channels after each block */
    int32_t stride[NERV_MAX_BLOCKS]; /* upsampling of each block */
    int32_t kernel[NERV_MAX_BLOCKS]; /* 1, 3 or 5 */
    int32_t head_kernel;             /* likewise */
    int32_t n_grids;                 /* ordered by level; at least one at level 0 */
    NervGridSpec grid[NERV_GRID_MAX_GRIDS];
    int32_t
        flow_rows; /* of a grid of displacements at the base, by which the grids of one row behind it are warped; 0: none */
    NervAct act, out_act; /* out_act: tanh01 or sigmoid */
} NervGridConfig;

typedef struct {
    NervModel head;
    NervGridConfig config;
    int32_t grid_h, grid_w; /* base grid: ceil(size / product of strides) */
} NervGrid;

/* to_options.c */
GVariant *nerv_grid_options(const NervModel *model, const char **name);

extern const NervModelClass nerv_model_class_grid;

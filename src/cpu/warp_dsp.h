/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of the warp family: bilinear samples of a picture where a flow points, a row at a time, and their transpose. They see
 * pictures "packed": `lanes` channels of a pixel side by side, so that a pixel's coordinates are worked out once, its channels are
 * read at one address, and nothing has to be gathered. Channels that a block lacks are zeros.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One row of [h,w] pixels. Channels of what is not packed are h*w floats apart. */
typedef struct {
    const float *flow; /* x displacements; the y ones h*w further */
    const float *v;    /* slope, slope_dx, slope_dflow: a direction, as the flow */
    int32_t i, h, w;   /* the row, and the size of all pictures */
    int32_t c;         /* channels; warp_dx, slope_dx: of one block */
    const float *x;    /* but for warp_dx, slope_dx: the whole picture, packed, blocks h*w*lanes apart */
    const float *dy;   /* but for warp, slope: the row in the first channel */
    float *y;          /* warp, slope: the same of y; warp_dflow, slope_dflow: of dflow */
} NervWarpRow;

typedef struct {
    int lanes;
    /* n pixels of 1..lanes channels, `plane` floats apart, to packed ones and back. */
    void (*pack)(float *dst, const float *src, size_t plane, int32_t channels, size_t n);
    void (*unpack)(float *dst, size_t plane, int32_t channels, const float *src, size_t n);
    void (*warp)(const NervWarpRow *row);
    void (*warp_dflow)(const NervWarpRow *row);
    /* Rows of the picture outside which none of the row's samples touches one: the first and the last. */
    void (*touched)(const NervWarpRow *row, int32_t span[2]);
    /* Adds the row's contributions to rows first..first+n-1 of the packed gradient `band`, which begins with row `first`. Each
     * element takes its contributions in an order that does not depend on the band. */
    void (*warp_dx)(const NervWarpRow *row, float *band, int32_t first, int32_t n);
    /* Derivatives of `warp` along a direction of the flow, and what warp_dx and warp_dflow are to them (ops/warp_slope.c). */
    void (*slope)(const NervWarpRow *row);
    void (*slope_dflow)(const NervWarpRow *row);
    void (*slope_dx)(const NervWarpRow *row, float *band, int32_t first, int32_t n);
} NervWarpDsp;

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What warp, warp_slope and their gradients share: which operands fit a flow, where its samples lie, and how rows of pixels and
 * sums of a picture are made on the CPU and on Vulkan. A gather yields something for each pixel of the flow, out of the picture;
 * a scatter adds something to the picture for each pixel of the flow (src/ops/warp.c says how its sums are kept in order).
 */
#pragma once

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

/* Of a scatter. */
typedef struct {
    int32_t pictures; /* N of what it yields */
} NervWarpAttr;

/* --- shape rules --- */

/* A flow beside a picture or gradient of operand `like`, whose channels may be any. */
bool nerv_warp_check_flow(const NervNode *node, uint32_t flow, uint32_t like, GError **error);
/* n flows are shared out evenly. */
bool nerv_warp_check_pictures(const NervNode *node, int32_t pictures, int32_t n, GError **error);
/* The rules of gradients in the flow, of operands dy, x, flow, and in the picture, of operands dy, flow; others may follow. */
bool nerv_warp_dflow_infer(const NervNode *node, NervOutInfo *out, GError **error);
bool nerv_warp_dx_infer(const NervNode *node, NervOutInfo *out, GError **error);

/* --- references --- */

typedef struct {
    size_t at, right, down; /* the upper left sample; offsets of the others */
    double fx, fy;
    bool in_x, in_y; /* the coordinate was not clamped */
} NervWarpSample;

/* Of pixel i, j of the flow of one picture. */
NervWarpSample nerv_warp_locate(const float *flow, NervShape s, int32_t i, int32_t j);

/* Channel c of the picture that flow n of n_flows points into. */
static inline const float *nerv_warp_picture(const float *x, NervShape xs, int32_t n_flows, int32_t n,
                                             int32_t c)
{
    return x + ((size_t)(n / (n_flows / xs.n)) * xs.c + c) * xs.h * xs.w;
}

/* Weights of the four pixels of a sample, the upper left one's first; v: of the flow, see NervWarpRow, or NULL. */
typedef void (*NervWarpWeigh)(const NervWarpSample *t, const float *v, size_t plane, double weight[4]);
/* A scatter of dy by them: operands dy, flow and, where there is one, v. */
void nerv_warp_scatter_ref(const NervNode *node, const NervArgs *args, NervWarpWeigh weigh);

/* --- CPU --- */

/* What an op has not is NULL. The kernels: `row` of a gather, `scatter` of a scatter (cpu/warp_dsp.h). */
typedef struct {
    const float *x, *flow, *dy, *v;
    float *y;
    void (*row)(const NervWarpRow *row);
    void (*scatter)(const NervWarpRow *row, float *band, int32_t first, int32_t n);
} NervWarpOperands;

/* All rows of y, out of `pictures` of x; s: N of the flows, C of the pictures. */
void nerv_warp_gather(const NervWarpOperands *operands, NervShape s, int32_t pictures, int32_t y_channels,
                      void *scratch, const NervCpu *cpu);
size_t nerv_warp_gather_scratch(const NervTensor *x, const NervCpu *cpu);
/* All rows of dy, of shape s, into `pictures` of y. */
void nerv_warp_scatter(const NervWarpOperands *operands, NervShape s, int32_t pictures, void *scratch,
                       const NervCpu *cpu);
size_t nerv_warp_scatter_scratch(const NervNode *node, const NervCpu *cpu);

/* --- Vulkan --- */

/* One invocation for each element of the result; x is operand 0. */
uint32_t nerv_warp_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out);
/* One invocation for each pixel of a gradient in the flow; operands begin with dy, x. */
uint32_t nerv_warp_dflow_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out);
/* The passes of shaders/lib/scatter.glsl. */
uint32_t nerv_warp_scatter_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out);
size_t nerv_warp_scatter_vk_scratch(const NervNode *node, const NervVkCaps *caps);

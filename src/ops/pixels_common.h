/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What from_pixels and to_pixels share: the shape of stored frames, how the CPU forms cut a picture into
 * bands, and the push constants of their shaders (shaders/lib/pixels.glsl).
 */
#pragma once

#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/ops.h"

/* Rows of one task of the CPU forms; even, so that a chroma row belongs to one task. */
#define NERV_PIXELS_BAND 16

static inline bool nerv_pixels_is_yuv(const NervPixels *p)
{
    return p->format == NERV_PIXELS_I420 || p->format == NERV_PIXELS_NV12;
}

static inline int nerv_pixels_pixel_bytes(const NervPixels *p)
{
    return p->format == NERV_PIXELS_RGB ? 3 : 4;
}

/* Bytes from one stored frame to the next: whole 32-bit words. */
static inline size_t nerv_pixels_stride(const NervPixels *p)
{
    return (nerv_pixels_bytes(p) + 3) / 4 * 4;
}

/* Checks the attributes; *stride becomes the width of a stored frame. */
static inline bool nerv_pixels_check(const NervNode *node, int32_t *stride, GError **error)
{
    const NervPixels *p = NERV_NODE_ATTR(node, NervPixels);
    const size_t bytes = nerv_pixels_valid(p) ? nerv_pixels_stride(p) : 0;
    *stride = (int32_t)bytes;
    if (bytes > 0 && bytes <= (size_t)NERV_MAX_ELEMENTS)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "op %s: cannot handle pixel format %d, %d x %d, matrix %d", node->op->name, p->format,
                p->width, p->height, p->matrix);
    return false;
}

/* Rows of a padded chroma or colour row: room for one element before, and a whole vector after. */
static inline size_t nerv_pixels_row_floats(const NervPixels *p)
{
    return ((size_t)p->width + 2 + 63) / 16 * 16;
}

/* The push constants: sizes, layout, siting, the two counts, an affine map. */
static inline void nerv_pixels_push(NervDispatch *d, const NervPixels *p, uint32_t n, uint32_t n_frames,
                                    const float map[3][3], const float off[3])
{
    NervPlane planes[3] = { { 0 } };
    nerv_pixels_planes(p, planes);
    nerv_dispatch_spec(d, (uint32_t)p->format);
    nerv_dispatch_push(d, (uint32_t)p->width);
    nerv_dispatch_push(d, (uint32_t)p->height);
    nerv_dispatch_push(d, (uint32_t)nerv_pixels_bytes(p));
    nerv_dispatch_push(d, (uint32_t)nerv_pixels_stride(p));
    nerv_dispatch_push(d, (uint32_t)planes[1].offset);
    nerv_dispatch_push(d, (uint32_t)planes[2].offset);
    nerv_dispatch_push(d, p->h_cosited != 0);
    nerv_dispatch_push(d, p->v_cosited != 0);
    nerv_dispatch_push(d, n);
    nerv_dispatch_push(d, n_frames);
    for (int i = 0; i < 9; i++)
        nerv_dispatch_push_float(d, map[i / 3][i % 3]);
    for (int i = 0; i < 3; i++)
        nerv_dispatch_push_float(d, off[i]);
}

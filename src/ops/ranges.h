/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How the pointwise ops and the sums over a whole tensor cut their work into pieces of fixed length, on the
 * CPU and on Vulkan. The cut depends on the number of elements alone, so results never depend on the number
 * of threads.
 */
#pragma once

#include "cpu/cpu.h"
#include "ops/dispatch.h"

#define NERV_RANGE                                                                                           \
    16384 /* elements per piece: 64 KiB of each operand, which two or three operands' L2 holds */

static inline uint32_t nerv_n_ranges(size_t n)
{
    return (uint32_t)((n + NERV_RANGE - 1) / NERV_RANGE);
}

static inline size_t nerv_range_length(size_t n, uint32_t range)
{
    const size_t left = n - (size_t)range * NERV_RANGE;
    return left < NERV_RANGE ? left : NERV_RANGE;
}

/* One Vulkan invocation per element of output 0: every input, then output 0 bound; the count pushed first. */
static inline bool nerv_dispatch_pointwise(NervDispatch *d, const NervNode *node, const NervVkCaps *caps)
{
    const uint64_t n = (uint64_t)nerv_shape_count(node->out[0]->shape);
    nerv_dispatch_init(d, node->op->name);
    for (uint32_t i = 0; i < node->n_in; i++)
        nerv_dispatch_bind(d, NERV_BIND_IN, i);
    nerv_dispatch_bind(d, NERV_BIND_OUT, 0);
    nerv_dispatch_push(d, (uint32_t)n);
    return nerv_dispatch_elements(d, caps, n, NERV_VK_LOCAL);
}

/* A Vulkan sum over n elements in two steps: NERV_SUM_RANGE elements per workgroup into one float of scratch
 * each
 * (`shader` in its first mode, pushed 0), then one workgroup over those (pushed 1). */
#define NERV_SUM_RANGE 8192

static inline size_t nerv_sum_scratch(uint64_t n)
{
    return (size_t)((n + NERV_SUM_RANGE - 1) / NERV_SUM_RANGE) * sizeof(float);
}

static inline uint32_t nerv_dispatch_sum(NervDispatch *d, const NervNode *node, const NervVkCaps *caps,
                                         uint64_t n, float scale)
{
    const uint32_t n_parts = (uint32_t)((n + NERV_SUM_RANGE - 1) / NERV_SUM_RANGE);
    bool fits = true;
    for (uint32_t step = 0; step < 2; step++, d++) {
        nerv_dispatch_init(d, node->op->name);
        for (uint32_t i = 0; i < node->n_in; i++)
            nerv_dispatch_bind(d, NERV_BIND_IN, i);
        nerv_dispatch_bind(d, NERV_BIND_OUT, 0);
        nerv_dispatch_bind(d, NERV_BIND_SCRATCH, 0);
        nerv_dispatch_push(d, (uint32_t)n);
        nerv_dispatch_push(d, n_parts);
        nerv_dispatch_push(d, step);
        nerv_dispatch_push_float(d, scale);
        fits &= nerv_dispatch_groups(d, caps, step == 0 ? n_parts : 1);
        d->barrier_before = step == 1;
    }
    return fits ? 2 : 0;
}

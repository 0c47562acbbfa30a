/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What pixel_shuffle and its inverse share: one moves every sample from x[n,(c*S+i)*S+j,h,w] to y[n,c,h*S+i,w*S+j], the other
 * back. The side with the more channels is "deep", the other "wide".
 */
#pragma once

#include "cpu/cpu.h"
#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/ops.h"

#define NERV_MAX_SHUFFLE 16

typedef struct {
    int32_t s;
} NervShuffleAttr;

static inline int32_t nerv_shuffle_scale(const NervNode *node)
{
    return NERV_NODE_ATTR(node, NervShuffleAttr)->s;
}

static inline bool nerv_shuffle_check(const NervNode *node, GError **error)
{
    const int32_t s = nerv_shuffle_scale(node);
    if (!nerv_check_float(node, error))
        return false;
    if (s < 1 || s > NERV_MAX_SHUFFLE)
        return nerv_invalid(node, error, "the scale must be 1 to 16");
    return true;
}

typedef struct {
    const NervConvDsp *dsp;
    const float *x;
    float *y;
    NervShape deep;
    int32_t s;
    bool inverse;
} NervShuffleJob;

/* One channel of the wide image. */
static inline void nerv_shuffle_task(void *arg, uint32_t channel, uint32_t thread)
{
    const NervShuffleJob *job = arg;
    const int32_t S = job->s, h = job->deep.h, w = job->deep.w;
    const size_t plane = (size_t)h * w;

    for (int32_t r = 0; r < h * S; r++) {
        const size_t wide = ((size_t)channel * h * S + r) * w * S;
        const size_t deep = ((size_t)channel * S + r % S) * S * plane + (size_t)(r / S) * w;
        if (job->inverse)
            job->dsp->deinterleave(job->y + deep, plane, job->x + wide, w, S);
        else
            job->dsp->interleave(job->y + wide, job->x + deep, plane, w, S);
    }
}

static inline void nerv_shuffle_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu,
                                    bool inverse)
{
    const int32_t s = nerv_shuffle_scale(node);
    const NervShape deep = inverse ? node->out[0]->shape : node->in[0]->shape;
    NervShuffleJob job = { &cpu->dsp->conv, args->in[0], args->out[0], deep, s, inverse };
    nerv_pool_run(cpu->pool, (uint32_t)(deep.n * (deep.c / (s * s))), nerv_shuffle_task, &job);
}

/* One invocation per sample; the deep side's h and w are pushed. */
static inline uint32_t nerv_shuffle_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out,
                                             NervShape deep)
{
    const uint64_t count = (uint64_t)nerv_shape_count(deep);

    nerv_dispatch_init(out, node->op->name);
    nerv_dispatch_push(out, (uint32_t)count);
    nerv_dispatch_push(out, (uint32_t)deep.h);
    nerv_dispatch_push(out, (uint32_t)deep.w);
    nerv_dispatch_push(out, (uint32_t)nerv_shuffle_scale(node));
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    return nerv_dispatch_elements(out, caps, count, NERV_VK_LOCAL) ? 1 : 0;
}

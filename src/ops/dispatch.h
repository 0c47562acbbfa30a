/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Small helpers for the ops' `dispatch` rules: folding a long one-dimensional grid into the device's limits (the
 * shaders' half is shaders/lib/common.glsl), and adding bindings. Knows no op.
 */
#pragma once

#include <string.h>

#include "graph/op.h"

/* Invocations per workgroup of the shaders that don't choose another (NERV_LOCAL in shaders/lib/common.glsl). */
#define NERV_VK_LOCAL 128u

/* Starts a dispatch of `shader`. */
static inline void nerv_dispatch_init(NervDispatch *d, const char *shader)
{
    memset(d, 0, sizeof *d);
    d->shader = shader;
    d->groups[0] = d->groups[1] = d->groups[2] = 1;
}

/* Folds `n_groups` workgroups over x and y; the shader sees them as nerv_group(). False if the device cannot. */
static inline bool nerv_dispatch_groups(NervDispatch *d, const NervVkCaps *caps, uint64_t n_groups)
{
    uint64_t x = n_groups < 1 ? 1 : n_groups;
    uint64_t y = 1;
    if (x > caps->max_groups[0]) {
        y = (x + caps->max_groups[0] - 1) / caps->max_groups[0];
        x = (x + y - 1) / y;
    }
    d->groups[0] = (uint32_t)x;
    d->groups[1] = (uint32_t)y;
    d->groups[2] = 1;
    return y <= caps->max_groups[1];
}

/* One invocation per element, `local` of them in a workgroup: nerv_id(). False if the device cannot. */
static inline bool nerv_dispatch_elements(NervDispatch *d, const NervVkCaps *caps, uint64_t n_elements,
                                          uint32_t local)
{
    return nerv_dispatch_groups(d, caps, (n_elements + local - 1) / local);
}

static inline void nerv_dispatch_bind(NervDispatch *d, NervBindKind kind, uint32_t index)
{
    d->bind[d->n_bind++] = (NervBind){ (uint8_t)kind, (uint8_t)index };
}

static inline void nerv_dispatch_push(NervDispatch *d, uint32_t word)
{
    d->push[d->n_push++] = word;
}

static inline void nerv_dispatch_push_float(NervDispatch *d, float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    nerv_dispatch_push(d, word);
}

static inline void nerv_dispatch_spec(NervDispatch *d, uint32_t value)
{
    d->spec[d->n_spec++] = value;
}

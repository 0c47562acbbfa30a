/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The sum of one value per invocation over a workgroup, in a fixed order. Every invocation must call it. Include after
 * common.glsl; NERV_LOCAL must be a power of two.
 */
#ifndef NERV_SUM_GLSL
#define NERV_SUM_GLSL

/* Elements that one workgroup adds in the first of two dispatches; NERV_SUM_RANGE of src/ops/ranges.h. */
#define NERV_SUM_RANGE 8192u

shared float nerv_sums[NERV_LOCAL];

/* The sum; the same in all invocations. */
float nerv_workgroup_sum(float value)
{
    uint i = gl_LocalInvocationIndex;
    nerv_sums[i] = value;
    barrier();
    for (uint n = NERV_LOCAL / 2; n > 0; n /= 2) {
        if (i < n)
            nerv_sums[i] += nerv_sums[i + n];
        barrier();
    }
    return nerv_sums[0];
}

#endif

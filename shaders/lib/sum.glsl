/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The sum of one value per invocation over a workgroup, in an order that the device alone decides, not the moment. Every
 * invocation must call it. Include after common.glsl; NERV_LOCAL must be a power of two. In the variant "subgroup" each
 * subgroup, of whatever size, adds in registers and its sums alone meet in shared memory: two barriers instead of
 * eight.
 */
#ifndef NERV_SUM_GLSL
#define NERV_SUM_GLSL

#ifdef NERV_SUBGROUP
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

/* Elements that one workgroup adds in the first of two dispatches; NERV_SUM_RANGE of src/ops/ranges.h. */
#define NERV_SUM_RANGE 8192u

#ifndef NERV_SUM_TYPE
#define NERV_SUM_TYPE float
#endif

shared NERV_SUM_TYPE nerv_sums[NERV_LOCAL];

/* The sum; the same in all invocations. */
NERV_SUM_TYPE nerv_workgroup_sum(NERV_SUM_TYPE value)
{
#ifdef NERV_SUBGROUP
    value = subgroupAdd(value);
    if (subgroupElect())
        nerv_sums[gl_SubgroupID] = value;
    barrier();
    NERV_SUM_TYPE sum = nerv_sums[0];
    for (uint i = 1; i < gl_NumSubgroups; i++)
        sum += nerv_sums[i];
    barrier();
    return sum;
#else
    uint i = gl_LocalInvocationIndex;
    nerv_sums[i] = value;
    barrier();
    for (uint n = NERV_LOCAL / 2; n > 0; n /= 2) {
        if (i < n)
            nerv_sums[i] += nerv_sums[i + n];
        barrier();
    }
    NERV_SUM_TYPE sum = nerv_sums[0];
    barrier();
    return sum;
#endif
}

#endif

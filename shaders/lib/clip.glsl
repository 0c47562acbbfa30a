/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A channel of a clip in the memory of norm and norm_dx, and how a workgroup adds up what depends on each of its elements: no
 * partial sum of floats has more than CLIP_CHUNK terms. Include after common.glsl and sum.glsl, with the push constants
 * `channels`, `plane` and `frames` declared as pc.
 */
#ifndef NERV_CLIP_GLSL
#define NERV_CLIP_GLSL

#define CLIP_CHUNK 64u

/* Where element i of channel number `at` of all clips is. */
uint clip_element(uint at, uint i)
{
    uint picture = at / pc.channels * pc.frames + i / pc.plane;
    return (picture * pc.channels + at % pc.channels) * pc.plane + i % pc.plane;
}

/* The sum of TERM over the channel's `count` elements, TERM knowing the element's place as `e`; the same in all invocations. */
#define CLIP_SUM(sum, at, count, TERM) \
    { \
        NERV_SUM_TYPE total = NERV_SUM_TYPE(0.0); \
        for (uint i = gl_LocalInvocationIndex; i < (count);) { \
            NERV_SUM_TYPE part = NERV_SUM_TYPE(0.0); \
            for (uint k = 0u; k < CLIP_CHUNK && i < (count); k++, i += NERV_LOCAL) { \
                uint e = clip_element(at, i); \
                part += TERM; \
            } \
            total += part; \
        } \
        sum = nerv_workgroup_sum(total); \
    }

#endif

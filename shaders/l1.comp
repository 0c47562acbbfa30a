#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * l1: mean |a-b|. Step 0: each workgroup adds NERV_SUM_RANGE elements into one part. Step 1: one workgroup adds the parts and
 * scales by 1/count. Bindings: 0 a, 1 b, of one shape; 2 y[1]; 3 part[parts], written in step 0, read in step 1.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/sum.glsl"

NERV_IN(0, a);
NERV_IN(1, b);
NERV_OUT(2, y);
NERV_INOUT(3, part);

layout(push_constant) uniform Push {
    uint count, parts, step; /* elements, workgroups of step 0, which step */
    float scale;             /* 1/count */
} pc;

void main()
{
    uint group = nerv_group();
    float sum = 0.0;
    if (pc.step == 0) {
        uint first = group * NERV_SUM_RANGE + gl_LocalInvocationIndex;
        uint last = min(group * NERV_SUM_RANGE + NERV_SUM_RANGE, pc.count);
        for (uint i = first; i < last; i += NERV_LOCAL)
            sum += abs(a[i] - b[i]);
    } else {
        for (uint i = gl_LocalInvocationIndex; i < pc.parts; i += NERV_LOCAL)
            sum += part[i];
    }
    sum = nerv_workgroup_sum(sum);
    if (gl_LocalInvocationIndex != 0)
        return;
    if (pc.step == 1)
        y[0] = sum * pc.scale;
    else if (group < pc.parts)
        part[group] = sum;
}

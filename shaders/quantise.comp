#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * quantise: weights as the stream will hold them, and their code length (src/ops/quantise.c). Pass 0: one workgroup per group and
 * piece of NERV_SUM_RANGE of its weights stores y and the sum of |w|. Pass 1: one workgroup makes the groups' code lengths of
 * those and adds them. Grids folded. Bindings: 0 w[groups,size], 1 s[steps], group g's being s[g mod steps], 2 mode[4],
 * 3 y as w, 4 bits[1], 5 part[groups,parts], written in pass 0, read in pass 1.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/sum.glsl"
#include "lib/quantise.glsl"

NERV_IN(0, w);
NERV_IN(1, s);
NERV_IN(2, mode);
NERV_OUT(3, y);
NERV_OUT(4, bits);
NERV_INOUT(5, part);

layout(push_constant) uniform Push {
    uint size, groups, steps, parts, pass; /* a group has `size` weights */
    float max_index;
    uint store_y;
} pc;

/* One invocation's share of a piece. */
float quantise(uint g, uint piece, bool on)
{
    float step = quant_step(s[g % pc.steps]), sum = 0.0;
    uint end = min(piece * NERV_SUM_RANGE + NERV_SUM_RANGE, pc.size);
    for (uint i = piece * NERV_SUM_RANGE + gl_LocalInvocationIndex; i < end; i += NERV_LOCAL) {
        float x = w[g * pc.size + i], a = abs(x);
        sum += a;
        if (pc.store_y == 0)
            continue;
        float value = quant_index(a, step, pc.max_index) * step;
        y[g * pc.size + i] = !on ? x : x < 0.0 ? -value : value;
    }
    return sum;
}

/* One invocation's share of the groups. */
float code_length()
{
    float total = 0.0;
    for (uint g = gl_LocalInvocationIndex; g < pc.groups; g += NERV_LOCAL) {
        float sum = 0.0;
        for (uint i = 0; i < pc.parts; i++)
            sum += part[g * pc.parts + i];
        total += quant_entropy(quant_mean(sum, float(pc.size), quant_step(s[g % pc.steps])));
    }
    return total * float(pc.size);
}

void main()
{
    uint group = nerv_group();
    bool on = mode[0] != 0.0, exists = group < pc.groups * pc.parts;
    float sum = 0.0;
    if (pc.pass == 1)
        sum = on ? code_length() : 0.0;
    else if (exists)
        sum = quantise(group / pc.parts, group % pc.parts, on);
    sum = nerv_workgroup_sum(sum);
    if (gl_LocalInvocationIndex != 0)
        return;
    if (pc.pass == 1)
        bits[0] = sum;
    else if (exists)
        part[group] = sum;
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * quantise_dx: the gradients of quantise in its weights and in the logarithms of its steps (src/ops/quantise.c). Pass 0: one
 * workgroup per group and piece of NERV_SUM_RANGE of its weights takes the sums of |w| and of what y adds to its step's
 * gradient; if the group has but one piece, it stores dw as well, and if the step has but one group, ds. Pass 1, with several pieces:
 * the same workgroups store dw. Pass 2: one invocation per step stores ds. Grids folded. Bindings: 0 dy, 1 dbits[1],
 * 2 w[groups,size], 3 s[steps], group g's being s[g mod steps], 4 mode[4], 5 dw, 6 ds[steps], 7 part[groups,parts,2], written in
 * pass 0, read in the others.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#define NERV_SUM_TYPE vec2
#include "lib/sum.glsl"
#include "lib/quantise.glsl"

NERV_IN(0, dy);
NERV_IN(1, dbits);
NERV_IN(2, w);
NERV_IN(3, s);
NERV_IN(4, mode);
NERV_OUT(5, dw);
NERV_OUT(6, ds);
NERV_INOUT(7, part);

layout(push_constant) uniform Push {
    uint size, groups, steps, parts, pass; /* a group has `size` weights */
    float max_index;
    uint store_dw, store_ds;
} pc;

/* One invocation's share of a piece's sums. */
vec2 sums_of(uint g, uint piece)
{
    float step = quant_step(s[g % pc.steps]);
    vec2 sums = vec2(0.0);
    uint end = min(piece * NERV_SUM_RANGE + NERV_SUM_RANGE, pc.size);
    for (uint i = piece * NERV_SUM_RANGE + gl_LocalInvocationIndex; i < end; i += NERV_LOCAL) {
        float x = w[g * pc.size + i], a = abs(x);
        float change = quant_index(a, step, pc.max_index) * step - (a <= pc.max_index * step ? a : 0.0);
        sums += vec2(a, dy[g * pc.size + i] * (x < 0.0 ? -change : change));
    }
    return sums;
}

/* The sums of all pieces of a group, from the first'th on in steps. */
vec2 parts_of(uint g, uint first, uint step)
{
    vec2 sums = vec2(0.0);
    for (uint i = g * pc.parts + first; i < (g + 1) * pc.parts; i += step)
        sums += vec2(part[2 * i], part[2 * i + 1]);
    return sums;
}

void store_dw(uint g, uint piece, float sum, bool on)
{
    float step = quant_step(s[g % pc.steps]), limit = pc.max_index * step;
    float rate = on ? dbits[0] * quant_slope(quant_mean(sum, float(pc.size), step)) / step : 0.0;
    uint end = min(piece * NERV_SUM_RANGE + NERV_SUM_RANGE, pc.size);
    for (uint i = piece * NERV_SUM_RANGE + gl_LocalInvocationIndex; i < end; i += NERV_LOCAL) {
        uint at = g * pc.size + i;
        bool returns = (floatBitsToUint(dy[at]) ^ floatBitsToUint(w[at])) >> 31 == 0u;
        dw[at] = (!on || abs(w[at]) <= limit || returns ? dy[at] : 0.0) + rate * sign(w[at]);
    }
}

/* What a group adds to its step's gradient. */
float share_of_ds(uint g, vec2 sums)
{
    float m = quant_mean(sums.x, float(pc.size), quant_step(s[g % pc.steps]));
    return LN2 * (sums.y - dbits[0] * float(pc.size) * m * quant_slope(m));
}

void all_of_ds(bool on)
{
    uint j = nerv_id();
    if (j >= pc.steps)
        return;
    float sum = 0.0;
    for (uint g = j; on && g < pc.groups; g += pc.steps)
        sum += share_of_ds(g, parts_of(g, 0, 1));
    ds[j] = sum;
}

void main()
{
    bool on = mode[0] != 0.0;
    if (pc.pass == 2) {
        all_of_ds(on);
        return;
    }
    uint group = nerv_group(), g = group / pc.parts, piece = group % pc.parts, lane = gl_LocalInvocationIndex;
    bool exists = g < pc.groups;
    vec2 sums = vec2(0.0);
    if (exists)
        sums = pc.pass == 0 ? sums_of(g, piece) : parts_of(g, lane, NERV_LOCAL);
    sums = nerv_workgroup_sum(sums);
    if (!exists)
        return;
    if (pc.pass == 0 && lane == 0) {
        part[2 * group] = sums.x;
        part[2 * group + 1] = sums.y;
        if (pc.store_ds != 0)
            ds[g] = on ? share_of_ds(g, sums) : 0.0;
    }
    if (pc.store_dw != 0)
        store_dw(g, piece, sums.x, on);
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * reduce: sums over the axes that remain after merging neighbours (src/ops/reduce.c): axis i has kept[i] * summed[i]
 * elements, one factor being 1, stride[i] apart. Mode 0: one invocation per output. Mode 1: one workgroup per output
 * and piece of NERV_SUM_RANGE summands; the only piece gives the output, several give parts. Mode 2: one workgroup per output
 * adds its parts. Grids folded. Bindings: 0 x, 1 y[n_out], 2 part[n_out,parts] (touched only if parts > 1).
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/sum.glsl"

layout(std430, set = 0, binding = 0) readonly buffer x_block { float x[]; };
layout(std430, set = 0, binding = 1) buffer y_block { float y[]; };
layout(std430, set = 0, binding = 2) buffer part_block { float part[]; }; /* may be y again */

layout(push_constant) uniform Push {
    uint n_out, n_sum, parts, mode;
    float scale;
    uint kept0, kept1, kept2, kept3;
    uint summed0, summed1, summed2, summed3;
    uint stride0, stride1, stride2, stride3;
} pc;

/* Offset of number i in an iteration over the extents, the last fastest. */
uint offset_of(uvec4 ext, uint i)
{
    uint at = i % ext.w * pc.stride3;
    i /= ext.w;
    at += i % ext.z * pc.stride2;
    i /= ext.z;
    at += i % ext.y * pc.stride1;
    return at + i / ext.y * pc.stride0;
}

/* Summands first, first + step, ... below last of one output. */
float sum_range(uint out_at, uint first, uint last, uint step)
{
    uvec4 summed = uvec4(pc.summed0, pc.summed1, pc.summed2, pc.summed3);
    float sum = 0.0;
    for (uint i = first; i < last; i += step)
        sum += x[out_at + offset_of(summed, i)];
    return sum;
}

void main()
{
    uvec4 kept = uvec4(pc.kept0, pc.kept1, pc.kept2, pc.kept3);
    uint lane = gl_LocalInvocationIndex;
    if (pc.mode == 0) {
        uint id = nerv_id();
        if (id < pc.n_out)
            y[id] = pc.scale * sum_range(offset_of(kept, id), 0, pc.n_sum, 1);
        return;
    }
    uint group = nerv_group();
    float sum = 0.0;
    if (pc.mode == 1) {
        uint piece = group % pc.parts * NERV_SUM_RANGE, o = group / pc.parts;
        if (o < pc.n_out)
            sum = sum_range(offset_of(kept, o), piece + lane, min(piece + NERV_SUM_RANGE, pc.n_sum), NERV_LOCAL);
    } else {
        for (uint i = lane; group < pc.n_out && i < pc.parts; i += NERV_LOCAL)
            sum += part[group * pc.parts + i];
    }
    sum = nerv_workgroup_sum(sum);
    if (lane != 0)
        return;
    if (pc.mode == 2 || pc.parts == 1) {
        if (group < pc.n_out)
            y[group] = pc.scale * sum;
    } else if (group < pc.n_out * pc.parts) {
        part[group] = sum;
    }
}

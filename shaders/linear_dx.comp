#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * linear_dx: dx[n,k] = sum over m of dy[n,m] w[m,k]. Bound by reading w, whose rows are split into ranges so
 * that enough workgroups read at a time. Dispatch 1 (SUM = 0): one invocation sums one k over one range of m
 * for BATCH images at a time into part[split,N,K]; grid: ceil(K/128) times splits, folded. Dispatch 2 (SUM =
 * 1): one invocation adds one element's parts in order; grid: N*K invocations, folded.
 * Bindings: 0 dy[N,M], 1 w[M,K], 2 dx[N,K], 3 part. Specialisation: 0 SUM.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

layout(constant_id = 0) const uint SUM = 0;

#define BATCH 4

NERV_IN(0, dy);
NERV_IN(1, w);
NERV_OUT(2, dx);
NERV_INOUT(3, part);

layout(push_constant) uniform Push {
    uint n, k, m, splits, split_rows;
} pc;

void sum_parts()
{
    uint id = nerv_id();
    uint count = pc.n * pc.k;
    if (id >= count)
        return;
    float v = 0.0;
    for (uint s = 0; s < pc.splits; s++)
        v += part[s * count + id];
    dx[id] = v;
}

void main()
{
    if (SUM != 0) {
        sum_parts();
        return;
    }
    uint blocks = nerv_div_up(pc.k, NERV_LOCAL);
    uint split = nerv_group() / blocks;
    uint k = nerv_group() % blocks * NERV_LOCAL + gl_LocalInvocationIndex;
    if (split >= pc.splits || k >= pc.k)
        return;
    uint m_end = min((split + 1) * pc.split_rows, pc.m);
    for (uint n0 = 0; n0 < pc.n; n0 += BATCH) {
        float acc[BATCH] = float[BATCH](0.0, 0.0, 0.0, 0.0);
        for (uint m = split * pc.split_rows; m < m_end; m++) {
            float weight = w[m * pc.k + k];
            for (uint i = 0; i < BATCH; i++)
                acc[i] += weight * dy[min(n0 + i, pc.n - 1) * pc.m + m];
        }
        for (uint i = 0; i < BATCH && n0 + i < pc.n; i++)
            part[(split * pc.n + n0 + i) * pc.k + k] = acc[i];
    }
}

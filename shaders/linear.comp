#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * linear: y[n,m] = sum over k of x[n,k] w[m,k], plus b[m]. Batches are small here, so it is a matrix-vector
 * product bound by reading w: 32 invocations share a row of w, 4 rows a workgroup, and every row is read once
 * for BATCH images.
 * Grid: ceil(M/4) workgroups, folded. Bindings: 0 x[N,K], 1 w[M,K], 2 y[N,M], 3 b[M] (has_bias).
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

#define LANES 32
#define ROWS (NERV_LOCAL / LANES)
#define BATCH 4

NERV_IN(0, x);
NERV_IN(1, w);
NERV_VALUE_OUT(2, y);
NERV_IN(3, b);

layout(push_constant) uniform Push {
    uint n, k, m, has_bias;
} pc;

shared float sums[BATCH * NERV_LOCAL];

void main()
{
    uint tid = gl_LocalInvocationIndex;
    uint lane = tid % LANES;
    uint m = nerv_group() * ROWS + tid / LANES;
    bool inside = m < pc.m;
    if (nerv_group() * ROWS >= pc.m)
        return;
    for (uint n0 = 0; n0 < pc.n; n0 += BATCH) {
        uint batch = min(BATCH, pc.n - n0);
        float acc[BATCH] = float[BATCH](0.0, 0.0, 0.0, 0.0);
        for (uint k = lane; inside && k < pc.k; k += LANES) {
            float weight = w[m * pc.k + k];
            for (uint i = 0; i < BATCH; i++)
                acc[i] += weight * x[min(n0 + i, pc.n - 1) * pc.k + k];
        }
        for (uint i = 0; i < BATCH; i++)
            sums[i * NERV_LOCAL + tid] = acc[i];
        for (uint half_lanes = LANES / 2; half_lanes > 0; half_lanes /= 2) {
            barrier();
            for (uint i = 0; lane < half_lanes && i < batch; i++)
                sums[i * NERV_LOCAL + tid] += sums[i * NERV_LOCAL + tid + half_lanes];
        }
        barrier();
        if (inside && lane < batch)
            y[(n0 + lane) * pc.m + m] =
                NERV_VALUE(sums[lane * NERV_LOCAL + tid - lane] + (pc.has_bias != 0 ? b[m] : 0.0));
        barrier();
    }
}

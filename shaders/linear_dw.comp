#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * linear_dw: dw[m,k] = sum over n of dy[n,m] x[n,k], db[m] = sum over n of dy[n,m]. One invocation: one
 * element of dw, or of db where k = K. Grid: M*(K+1) invocations, folded.
 * Bindings: 0 dy[N,M], 1 x[N,K], 2 dw[M,K] (store_dw), 3 db[M] (store_db).
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_IN(0, dy);
NERV_IN(1, x);
NERV_OUT(2, dw);
NERV_OUT(3, db);

layout(push_constant) uniform Push {
    uint n, k, m, store_dw, store_db;
} pc;

void main()
{
    uint id = nerv_id();
    uint m = id / (pc.k + 1);
    uint k = id % (pc.k + 1);
    bool bias = k == pc.k;
    if (m >= pc.m || (bias ? pc.store_db : pc.store_dw) == 0)
        return;
    float v = 0.0;
    for (uint n = 0; n < pc.n; n++)
        v += dy[n * pc.m + m] * (bias ? 1.0 : x[n * pc.k + k]);
    if (bias)
        db[m] = v;
    else
        dw[m * pc.k + k] = v;
}

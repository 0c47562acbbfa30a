#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * mse_dx: dx = 2 g (a-b) / count. One invocation: one element. Grid: the elements, folded.
 * Bindings: 0 g[1], 1 a, 2 b, 3 dx, of one shape.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_IN(0, g);
NERV_IN(1, a);
NERV_IN(2, b);
NERV_OUT(3, dx);

layout(push_constant) uniform Push {
    uint count;  /* elements */
    float scale; /* 2/count */
} pc;

void main()
{
    uint id = nerv_id();
    if (id < pc.count)
        dx[id] = g[0] * pc.scale * (a[id] - b[id]);
}

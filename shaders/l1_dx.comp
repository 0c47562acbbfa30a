#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * l1_dx: dx = g sign(a-b) / count. One invocation: one element. Grid: the elements, folded.
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
    float scale; /* 1/count */
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    float va = a[id], vb = b[id];
    float sign = va > vb ? 1.0 : va < vb ? -1.0 : 0.0;
    dx[id] = g[0] * pc.scale * sign;
}

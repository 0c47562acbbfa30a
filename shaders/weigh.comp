#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * weigh: pictures times a number each, or the sum of two such. One invocation: one element of y. Grid: the elements, folded.
 * Bindings: 0 a[N,C,H,W], 1 ka[N], 2 b as a, 3 kb[N], both absent without a second term; 4 y as a.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_VALUE_IN(0, a);
NERV_IN(1, ka);
NERV_VALUE_IN(2, b);
NERV_IN(3, kb);
NERV_VALUE_OUT(4, y);

layout(push_constant) uniform Push {
    uint count;   /* elements */
    uint picture; /* of one picture */
    uint has_b;
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint n = id / pc.picture;
    float v = ka[n] * float(a[id]);
    if (pc.has_b != 0u)
        v += kb[n] * float(b[id]);
    y[id] = NERV_VALUE(v);
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * add: y = a + b. One invocation: one element. Grid: the elements, folded. Bindings: 0 a, 1 b, 2 y, of one shape.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_VALUE_IN(0, a);
NERV_VALUE_IN(1, b);
NERV_VALUE_OUT(2, y);

layout(push_constant) uniform Push {
    uint count; /* elements */
} pc;

void main()
{
    uint id = nerv_id();
    if (id < pc.count)
        y[id] = NERV_VALUE(float(a[id]) + float(b[id]));
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * act: y = f(x). One invocation: one element. Grid: the elements, folded. Bindings: 0 x, 1 y, of one shape.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/act.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_OUT(1, y);

layout(push_constant) uniform Push {
    uint count, act; /* elements, NervAct */
} pc;

void main()
{
    uint id = nerv_id();
    if (id < pc.count)
        y[id] = NERV_VALUE(nerv_act(pc.act, float(x[id])));
}

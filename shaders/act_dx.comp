#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * act_dx: dx = dy f'(x). One invocation: one element. Grid: the elements, folded. Bindings: 0 dy, 1 x, 2 dx, of one shape.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/act.glsl"

NERV_IN(0, dy);
NERV_IN(1, x);
NERV_OUT(2, dx);

layout(push_constant) uniform Push {
    uint count, act; /* elements, NervAct */
} pc;

void main()
{
    uint id = nerv_id();
    if (id < pc.count)
        dx[id] = dy[id] * nerv_act_d1(pc.act, x[id]);
}

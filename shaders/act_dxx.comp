#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * act_dxx: y = g dy f''(x). One invocation: one element. Grid: the elements, folded. Bindings: 0 g, 1 dy, 2 x, 3 y, of one shape.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/act.glsl"

NERV_IN(0, g);
NERV_IN(1, dy);
NERV_IN(2, x);
NERV_OUT(3, y);

layout(push_constant) uniform Push {
    uint count, act; /* elements, NervAct */
} pc;

void main()
{
    uint id = nerv_id();
    if (id < pc.count)
        y[id] = g[id] * dy[id] * nerv_act_d2(pc.act, x[id]);
}

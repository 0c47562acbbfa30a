#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * modulate: y = x (1 + scale) + shift. One invocation: one element. Grid: the elements of y, folded. Bindings: 0 x[N,C,H,W],
 * 1 sh[N,2C,H,W], scales before shifts, 2 y as x.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_IN(1, sh);
NERV_VALUE_OUT(2, y);

layout(push_constant) uniform Push {
    uint count;   /* elements of y */
    uint picture; /* C H W of x */
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint at = id + id / pc.picture * pc.picture;
    y[id] = NERV_VALUE(float(x[id]) * (1.0 + float(sh[at])) + float(sh[at + pc.picture]));
}

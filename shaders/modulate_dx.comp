#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * modulate_dx: the gradients of modulate in x and in its scales and shifts. One invocation: one element of dx and the two of dsh
 * that belong to it. Grid: the elements of dx, folded. Bindings: 0 dy[N,C,H,W], 1 x as dy, 2 sh[N,2C,H,W], 3 dx as dy, 4 dsh as sh;
 * the last two are touched only if they are read.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_IN(0, dy);
NERV_IN(1, x);
NERV_IN(2, sh);
NERV_OUT(3, dx);
NERV_OUT(4, dsh);

layout(push_constant) uniform Push {
    uint count;   /* elements of dy */
    uint picture; /* C H W of dy */
    uint store_dx, store_dsh;
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint at = id + id / pc.picture * pc.picture;
    float d = dy[id];
    if (pc.store_dx != 0u)
        dx[id] = d * (1.0 + sh[at]);
    if (pc.store_dsh != 0u) {
        dsh[at] = d * x[id];
        dsh[at + pc.picture] = d;
    }
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * upsample: bilinear enlargement. One invocation: one element of y. Grid: the elements of y, folded.
 * Bindings: 0 x[N,C,H,W], 1 y[N,C,H S,W S].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/upsample.glsl"

NERV_VALUE_IN(0, x);
NERV_VALUE_OUT(1, y);

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint row = id / (pc.w * pc.s), plane = row / (pc.h * pc.s) * pc.h * pc.w;
    Mixture along = mixture(id % (pc.w * pc.s), pc.w), down = mixture(row % (pc.h * pc.s), pc.h);
    uint near = plane + down.near * pc.w, far = plane + down.far * pc.w;
    float top = (1.0 - along.f) * float(x[near + along.near]) + along.f * float(x[near + along.far]);
    float bottom = (1.0 - along.f) * float(x[far + along.near]) + along.f * float(x[far + along.far]);
    y[id] = NERV_VALUE((1.0 - down.f) * top + down.f * bottom);
}

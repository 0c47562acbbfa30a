#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * lookup: rows of a grid, linear between neighbours. One invocation: one element of y. Grid: the elements of y, folded.
 * Bindings: 0 grid[T,C,H,W], 1 pos[N], 2 y[N,C,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/lookup.glsl"

NERV_IN(0, grid);
NERV_IN(1, pos);
NERV_VALUE_OUT(2, y);

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint at = id % pc.row;
    Between b = between(pos[id / pc.row]);
    y[id] = NERV_VALUE((1.0 - b.f) * grid[b.i * pc.row + at] + b.f * grid[b.j * pc.row + at]);
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * lookup_dx: the gradient of lookup in its grid. One invocation: one element of dgrid, summed over the positions that fall
 * beside its row. Grid: the elements of dgrid, folded. Bindings: 0 dy[N,C,H,W], 1 pos[N], 2 dgrid[T,C,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/lookup.glsl"

NERV_IN(0, dy);
NERV_IN(1, pos);
NERV_OUT(2, dgrid);

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint at = id % pc.row, t = id / pc.row;
    float sum = 0.0;
    for (uint n = 0; n < pc.positions; n++) {
        Between b = between(pos[n]);
        float weight = (t == b.i ? 1.0 - b.f : 0.0) + (t == b.j ? b.f : 0.0);
        if (weight != 0.0)
            sum += weight * dy[n * pc.row + at];
    }
    dgrid[id] = sum;
}

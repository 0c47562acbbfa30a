#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * upconv2d_dz: dz[n,c S S + i S + j,h,w] = dy[n,c,h S + i,w S + j] act'(z[n,c S S + i S + j,h,w]). One
 * invocation: one element of dz. Grid: the elements of dz, folded. Bindings: 0 dy[N,C,H S,W S], 1 z[N,C S
 * S,H,W], 2 dz[N,C S S,H,W].
 * Specialisation: 0 S, 1 activation.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/act.glsl"

layout(constant_id = 0) const uint S = 2;
layout(constant_id = 1) const uint ACT = 0;

NERV_IN(0, dy);
NERV_IN(1, z);
NERV_OUT(2, dz);

layout(push_constant) uniform Push {
    uint count, h, w; /* elements; H, W of z */
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint col = id % pc.w;
    uint row = id / pc.w % pc.h;
    uint channel = id / pc.w / pc.h;
    uint sub = channel % (S * S);
    uint image_c = channel / (S * S);
    dz[id] = dy[((image_c * pc.h + row) * S + sub / S) * (pc.w * S) + col * S + sub % S] * nerv_act_d1(ACT, z[id]);
}

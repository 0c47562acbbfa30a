#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * norm_dx: the gradient of norm. One workgroup: one channel of one clip. Grid: those, folded. Bindings: 0 dy[BT,C,H,W], 1 y as dy,
 * 2 r[B,C], one over the deviations, 3 dx as dy.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#define NERV_SUM_TYPE vec2
#include "lib/sum.glsl"

NERV_IN(0, dy);
NERV_IN(1, y);
NERV_IN(2, r);
NERV_OUT(3, dx);

layout(push_constant) uniform Push {
    uint count; /* channels of all clips */
    uint channels, plane, frames;
} pc;

#include "lib/clip.glsl"

void main()
{
    uint at = nerv_group(), n = pc.frames * pc.plane;
    if (at >= pc.count)
        return;
    vec2 sums;
    CLIP_SUM(sums, at, n, dy[e] * vec2(1.0, y[e]))
    vec2 means = sums / float(n);
    for (uint i = gl_LocalInvocationIndex; i < n; i += NERV_LOCAL) {
        uint e = clip_element(at, i);
        dx[e] = r[at] * (dy[e] - means.x - means.y * y[e]);
    }
}

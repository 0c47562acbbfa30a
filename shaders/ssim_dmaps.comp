#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * ssim_dmaps: what flows back into mu_a, E[aa] and E[ab] of each window when u flows back into its maps (src/ops/ssim.c). One
 * workgroup: 16x16 windows of one plane, as in ssim. Grid: planes times tiles, folded.
 * Bindings: 0 a[N,C,H,W], 1 b[N,C,H,W], 2 u[N,3 C,H-10,W-10], 3 maps as u.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#define NERV_SUM_TYPE vec2
#include "lib/sum.glsl"

NERV_IN(0, a);
NERV_IN(1, b);
NERV_IN(2, u);
NERV_OUT(3, maps);

layout(push_constant) uniform Push {
    uint channels, h, w;   /* of a */
    uint tiles_x, tiles_y; /* tiles of windows in a plane */
    uint groups;           /* N*C*tiles_x*tiles_y */
    float c1, c2;
    float taps[6];
} pc;

#include "lib/moments.glsl"

void derive(Terms w, uint at, uint stride)
{
    float u1 = u[at];
    float l = w.a1 / w.b1, s = w.a2 / w.b2;
    float dl = 2.0 * (w.mu_a * w.d * w.d / w.b1 - w.d) / w.b1, ddl = -2.0 * (l + 2.0 * w.mu_a * dl) / w.b1;
    float v = u[at + stride] - 2.0 * w.mu_a * u1, c = u[at + 2u * stride] - w.mu_b * u1;
    float q2 = (2.0 * l * (v * s - c) / w.b2 - u1 * dl * s) / w.b2;
    float q3 = 2.0 * (u1 * dl - l * v / w.b2) / w.b2;
    float q1 = u1 * ddl * s + (dl * (2.0 * c - v * s) + 2.0 * u1 * l * s) / w.b2;
    maps[at] = q1 - 2.0 * w.mu_a * q2 - w.mu_b * q3;
    maps[at + stride] = q2;
    maps[at + 2u * stride] = q3;
}

void main()
{
    uint group = nerv_group();
    if (group >= pc.groups)
        return;
    uint x0 = group % pc.tiles_x * TILE;
    uint y0 = group / pc.tiles_x % pc.tiles_y * TILE;
    uint plane = group / pc.tiles_x / pc.tiles_y;
    vec2 mid = sum_rows(plane, x0, y0);
    uint wo = pc.w - (TAPS - 1), ho = pc.h - (TAPS - 1);
    uint maps_plane = plane / pc.channels * pc.channels * 3 + plane % pc.channels;
    for (uint i = gl_LocalInvocationIndex; i < TILE * TILE; i += NERV_LOCAL) {
        uint x = i % TILE, y = i / TILE;
        if (x0 + x < wo && y0 + y < ho)
            derive(window_terms(x, y, mid), (maps_plane * ho + y0 + y) * wo + x0 + x, pc.channels * ho * wo);
    }
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * ssim_dx: da = g/(windows) (G*M0 + 2 a G*M1 + b G*M2), where M0, M1, M2 are the maps of ssim and G* adds,
 * over the windows that contain a pixel, the map's value times the pixel's weight in the window.
 * One workgroup: 16x16 pixels of one plane, the three maps staged with what lies outside as zero, weighted by
 * rows into shared memory, then by columns. Grid: planes times tiles, folded.
 * Bindings: 0 g[1], 1 a[N,C,H,W], 2 b[N,C,H,W], 3 maps[N,3 C,H-10,W-10], 4 da[N,C,H,W].
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/window.glsl"

NERV_IN(0, g);
NERV_IN(1, a);
NERV_IN(2, b);
NERV_IN(3, maps);
NERV_OUT(4, da);

layout(push_constant) uniform Push {
    uint channels, h, w;   /* of a */
    uint tiles_x, tiles_y; /* tiles of pixels in a plane */
    uint groups;           /* N*C*tiles_x*tiles_y */
    float scale;           /* 1/(N*C*(H-10)*(W-10)) */
    float taps[6];
} pc;

shared float seen[3 * SEEN * SEEN];
shared float rows[3 * SEEN * TILE];

void main()
{
    uint group = nerv_group();
    uint tid = gl_LocalInvocationIndex;
    if (group >= pc.groups)
        return;
    uint x0 = group % pc.tiles_x * TILE;
    uint y0 = group / pc.tiles_x % pc.tiles_y * TILE;
    uint plane = group / pc.tiles_x / pc.tiles_y;
    uint wo = pc.w - (TAPS - 1), ho = pc.h - (TAPS - 1);
    uint maps_plane = plane / pc.channels * pc.channels * 3 + plane % pc.channels;

    /* Pixel p lies in windows p-10..p: seen[0] is window x0-10. */
    for (uint i = tid; i < 3 * SEEN * SEEN; i += NERV_LOCAL) {
        uint q = i / (SEEN * SEEN);
        uint y = y0 + i / SEEN % SEEN - (TAPS - 1), x = x0 + i % SEEN - (TAPS - 1); /* wraps where negative */
        seen[i] = y < ho && x < wo ? maps[((maps_plane + q * pc.channels) * ho + y) * wo + x] : 0.0;
    }
    barrier();
    for (uint i = tid; i < 3 * SEEN * TILE; i += NERV_LOCAL) {
        float v = 0.0;
        for (uint t = 0; t < TAPS; t++)
            v += WINDOW_TAP(t) * seen[i / TILE * SEEN + i % TILE + t];
        rows[i] = v;
    }
    barrier();
    for (uint i = tid; i < TILE * TILE; i += NERV_LOCAL) {
        uint x = i % TILE, y = i / TILE;
        if (x0 + x >= pc.w || y0 + y >= pc.h)
            continue;
        vec3 v = vec3(0.0);
        for (uint t = 0; t < TAPS; t++) {
            uint at = (y + t) * TILE + x;
            v += WINDOW_TAP(t) * vec3(rows[at], rows[SEEN * TILE + at], rows[2 * SEEN * TILE + at]);
        }
        uint id = (plane * pc.h + y0 + y) * pc.w + x0 + x;
        da[id] = g[0] * pc.scale * (v.x + 2.0 * a[id] * v.y + b[id] * v.z);
    }
}

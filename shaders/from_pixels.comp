/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One invocation converts one pixel of one picture: rgb[n, :, y, x] from frame index[n] of the store. Grid: N*H*W,
 * folded. The formulas are those of src/ops/from_pixels.c.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/pixels.glsl"

NERV_IN_UINT(0, store); /* [F, stride] bytes, seen as words */
NERV_IN_UINT(1, index); /* [N] */
NERV_OUT(2, rgb);       /* [N, 3, H, W] */

float byte_at(uint at)
{
    return float((store[at >> 2] >> (8u * (at & 3u))) & 255u);
}

/* Chroma samples near and far of a luma sample along one axis. */
ivec2 taps(int at, int n)
{
    int i = at >> 1;
    return ivec2(i, clamp((at & 1) != 0 ? i + 1 : i - 1, 0, n - 1));
}

/* The far sample's weight. */
float weight(int at, uint cosited)
{
    return cosited == 0 ? 0.25 : 0.5 * float(at & 1);
}

float chroma(uint plane, uint step, int x, int y)
{
    ivec2 size = chroma_size();
    uvec2 tx = uvec2(taps(x, size.x)) * step, ty = uvec2(taps(y, size.y)) * (uint(size.x) * step) + plane;
    float wy = weight(y, pc.v_cosited);
    float a = mix(byte_at(ty.x + tx.x), byte_at(ty.y + tx.x), wy);
    float b = mix(byte_at(ty.x + tx.y), byte_at(ty.y + tx.y), wy);
    return mix(a, b, weight(x, pc.h_cosited));
}

void main()
{
    uint area = uint(pc.width * pc.height);
    uint id = nerv_id();
    if (id >= area * pc.n)
        return;
    uint n = id / area, at = id % area;
    int x = int(at) % pc.width, y = int(at) / pc.width;
    uint f = index[n];
    uint frame = (f < pc.n_frames ? f : 0u) * pc.stride;
    vec3 code;
    if (FORMAT == PIXELS_I420) {
        code = vec3(byte_at(frame + at), chroma(frame + pc.cb_at, 1, x, y), chroma(frame + pc.cr_at, 1, x, y));
    } else if (FORMAT == PIXELS_NV12) {
        code = vec3(byte_at(frame + at), chroma(frame + pc.cb_at, 2, x, y), chroma(frame + pc.cb_at + 1, 2, x, y));
    } else {
        uint pixel = frame + at * (FORMAT == PIXELS_RGB ? 3 : 4);
        code = vec3(byte_at(pixel), byte_at(pixel + 1), byte_at(pixel + 2));
        if (FORMAT == PIXELS_BGRX)
            code = code.bgr;
    }
    code -= vec3(pc.off0, pc.off1, pc.off2);
    for (uint k = 0; k < 3; k++)
        rgb[(3 * n + k) * area + at] = clamp(dot(map_row(k), code), 0.0, 1.0);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One invocation writes one 32-bit word, that is four bytes, of one packed frame, whatever planes and rows they
 * fall into; bytes past the frame's end are 0. Grid: N*stride/4, folded. The formulas are those of src/ops/to_pixels.c.
 */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/pixels.glsl"

NERV_VALUE_IN(0, rgb);         /* [N, 3, H, W] */
NERV_OUT_UINT(1, words); /* [N, stride] bytes, seen as words */

float clamped(float v)
{
    return v > 0.0 ? min(v, 1.0) : 0.0; /* and NaN becomes 0 */
}

/* The clamped colour at pixel `at` of picture n. */
vec3 color(uint n, uint at)
{
    uint area = uint(pc.width * pc.height);
    uint r = 3 * n * area + at;
    return vec3(clamped(float(rgb[r])), clamped(float(rgb[r + area])), clamped(float(rgb[r + 2 * area])));
}

/* The colour of a chroma sample, filtered over the luma places round it. */
vec3 filtered(uint n, int cx, int cy)
{
    vec3 wx = pc.h_cosited != 0 ? vec3(0.25, 0.5, 0.25) : vec3(0.0, 0.5, 0.5);
    vec3 wy = pc.v_cosited != 0 ? vec3(0.25, 0.5, 0.25) : vec3(0.0, 0.5, 0.5);
    vec3 sum = vec3(0.0);
    for (int j = 0; j < 3; j++) {
        int y = clamp(2 * cy + j - 1, 0, pc.height - 1);
        for (int i = 0; i < 3; i++) {
            int x = clamp(2 * cx + i - 1, 0, pc.width - 1);
            sum += wx[i] * wy[j] * color(n, uint(y * pc.width + x));
        }
    }
    return sum;
}

uint code(uint k, vec3 c)
{
    float off = k == 0 ? pc.off0 : k == 1 ? pc.off1 : pc.off2;
    return uint(clamp(off + dot(map_row(k), c), 0.0, 255.0) + 0.5);
}

/* Byte `at` of frame n where the format is one of interleaved pixels. */
uint packed_byte(uint n, uint at)
{
    uint pixel_bytes = FORMAT == PIXELS_RGB ? 3 : 4;
    uint pixel = at / pixel_bytes, k = at % pixel_bytes;
    if (k == 3)
        return 255;
    if (FORMAT == PIXELS_BGRX)
        k = 2 - k;
    uint area = uint(pc.width * pc.height);
    return code(k, vec3(clamped(float(rgb[(3 * n + k) * area + pixel]))));
}

/* The same where luma and chroma lie in planes. */
uint planar_byte(uint n, uint at)
{
    int cw = chroma_size().x;
    if (at < pc.cb_at)
        return code(0, color(n, at));
    uint k, sample_at;
    if (FORMAT == PIXELS_NV12) {
        sample_at = (at - pc.cb_at) / 2;
        k = 1 + (at - pc.cb_at) % 2;
    } else {
        sample_at = at < pc.cr_at ? at - pc.cb_at : at - pc.cr_at;
        k = at < pc.cr_at ? 1 : 2;
    }
    return code(k, filtered(n, int(sample_at) % cw, int(sample_at) / cw));
}

void main()
{
    uint per_frame = pc.stride / 4;
    uint id = nerv_id();
    if (id >= per_frame * pc.n)
        return;
    uint n = id / per_frame, first = id % per_frame * 4;
    uint word = 0;
    for (uint i = 0; i < 4; i++) {
        uint at = first + i;
        if (at < pc.bytes)
            word |= (FORMAT == PIXELS_I420 || FORMAT == PIXELS_NV12 ? planar_byte(n, at) : packed_byte(n, at)) << (8 * i);
    }
    words[id] = word;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The push constants of from_pixels and to_pixels (src/ops/pixels_common.h) and the formats' numbers, those of
 * src/tensor/pixels.h. Include after lib/common.glsl.
 */
#ifndef NERV_PIXELS_GLSL
#define NERV_PIXELS_GLSL

#define PIXELS_RGB 0
#define PIXELS_RGBX 1
#define PIXELS_BGRX 2
#define PIXELS_I420 3
#define PIXELS_NV12 4

layout(constant_id = 0) const int FORMAT = PIXELS_RGB;

layout(push_constant) uniform Push {
    int width, height;
    uint bytes;      /* of a frame */
    uint stride;     /* from frame to frame, a multiple of 4 */
    uint cb_at, cr_at; /* offsets of the second and third plane */
    uint h_cosited, v_cosited;
    uint n;          /* pictures to convert */
    uint n_frames;   /* frames stored */
    float map00, map01, map02, map10, map11, map12, map20, map21, map22;
    float off0, off1, off2;
} pc;

/* Row k of the affine map. */
vec3 map_row(uint k)
{
    return k == 0 ? vec3(pc.map00, pc.map01, pc.map02)
         : k == 1 ? vec3(pc.map10, pc.map11, pc.map12)
                  : vec3(pc.map20, pc.map21, pc.map22);
}

/* Size of a chroma plane. */
ivec2 chroma_size()
{
    return ivec2((pc.width + 1) / 2, (pc.height + 1) / 2);
}

#endif

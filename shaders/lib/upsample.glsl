/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The push constants of upsample and upsample_dx, and which lines of the small picture a line of the large one mixes
 * (src/ops/upsample.c). Include after lib/common.glsl.
 */
#ifndef NERV_UPSAMPLE_GLSL
#define NERV_UPSAMPLE_GLSL

layout(push_constant) uniform Push {
    uint count; /* elements of the result */
    uint h, w;  /* of the small picture */
    uint s;
} pc;

/* A line of the large picture is (1-f) times line `near` of the small one and f times line `far`. */
struct Mixture {
    uint near, far;
    float f;
};

Mixture mixture(uint i, uint size)
{
    int d = int(2 * (i % pc.s)) + 1 - int(pc.s);
    Mixture m;
    m.near = i / pc.s;
    m.far = d < 0 ? max(m.near, 1u) - 1u : min(m.near + 1u, size - 1u);
    m.f = float(abs(d)) / float(2u * pc.s);
    return m;
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The push constants of lookup and lookup_dx and where a position falls between the rows of a grid (src/ops/lookup.c).
 * Include after lib/common.glsl.
 */
#ifndef NERV_LOOKUP_GLSL
#define NERV_LOOKUP_GLSL

layout(push_constant) uniform Push {
    uint count;     /* elements of the result */
    uint row;       /* elements of a row */
    uint rows;      /* of the grid */
    uint positions; /* in pos */
} pc;

/* The rows around a position, and the second one's weight. */
struct Between {
    uint i, j;
    float f;
};

Between between(float p)
{
    p = p > 0.0 ? min(p, float(pc.rows - 1)) : 0.0;
    Between b;
    b.i = min(uint(p), pc.rows - 1);
    b.j = min(b.i + 1, pc.rows - 1);
    b.f = p - float(b.i);
    return b;
}

#endif

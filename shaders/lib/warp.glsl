/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The push constants of warp, warp_slope and their gradients, and where a flow's samples lie (src/ops/warp.c). Include after
 * lib/common.glsl.
 */
#ifndef NERV_WARP_GLSL
#define NERV_WARP_GLSL

layout(push_constant) uniform Push {
    uint count;             /* elements of y or dy; gradients in the flow: its pixels */
    uint channels, h, w;    /* of the pictures */
    uint flows;             /* of each picture */
    uint count_dx;          /* gradients in the picture: elements of dx */
    uint pass, log2_terms;  /* of theirs: which one; an element of dx has at most 2^log2_terms contributions */
} pc;

/* Between lines `line` and line + step, f of the way. */
struct Between {
    uint line, step;
    float f;
    bool inside; /* the coordinate was not clamped */
};

/* The comparisons send a NaN to 0, and should a device not honour that, the integers still stay inside. */
Between between(float p, uint size)
{
    float last = float(size - 1u);
    Between b;
    b.inside = p > 0.0 && p < last;
    p = p > 0.0 ? min(p, last) : 0.0;
    b.step = min(size - 1u, 1u);
    b.line = min(uint(p), size - 1u - b.step);
    b.f = p - float(b.line);
    return b;
}

/* The offset of channel c of the picture that flow n points into. */
uint picture(uint n, uint c)
{
    return (n / pc.flows * pc.channels + c) * pc.h * pc.w;
}

#endif

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * upconv2d_head, second half: a 1x1 convolution from the block's image to M <= 4 channels, and an activation. The
 * first half is upconv2d. One invocation: all channels of one pixel, so that the image is read once. Grid: the
 * pixels of all images, folded.
 * Bindings: 0 y[N,C,H,W] the block's, 1 v[M,C,1,1], 2 c[M], 3 out[N,M,H,W]. Specialisation: 0 M, 1 activation.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/act.glsl"

layout(constant_id = 0) const uint M = 3;
layout(constant_id = 1) const uint ACT = 0;

NERV_VALUE_IN(0, y);
NERV_IN(1, v);
NERV_IN(2, c);
NERV_VALUE_OUT(3, result);

layout(push_constant) uniform Push {
    uint count;    /* pixels of all images */
    uint plane;    /* pixels of one */
    uint channels; /* C */
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    uint image = id / pc.plane, pixel = id % pc.plane;
    uint from = image * pc.channels * pc.plane + pixel, to = image * M * pc.plane + pixel;
    float sum[4];
    for (uint m = 0; m < M; m++)
        sum[m] = c[m];
    for (uint k = 0; k < pc.channels; k++) {
        float value = float(y[from + k * pc.plane]);
        for (uint m = 0; m < M; m++)
            sum[m] += v[m * pc.channels + k] * value;
    }
    for (uint m = 0; m < M; m++)
        result[to + m * pc.plane] = NERV_VALUE(nerv_act(ACT, sum[m]));
}

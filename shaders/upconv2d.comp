#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * upconv2d: y = act(pixel_shuffle(z, S)), z = x * w + b with stride 1 and pad (K-1)/2, in one pass: the
 * convolution as an implicit matrix product (lib/gemm.glsl), bias, shuffle and activation in its store, so z
 * goes to memory only if the gradient reads it.
 * One workgroup: a tile of BM channels of z by BN pixels. Grid: tiles, channels first, folded over x and y.
 * Bindings: 0 x[N,Cin,H,W], 1 w[C S S,Cin,K,K], 2 y[N,C,H S,W S] (store_y), 3 z[N,C S S,H,W] (store_z), 4 b[C
 * S S] (has_bias).
 * Specialisation: 0-5 tile, 6 K, 7 stride = 1, 8 S, 9 activation.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"
#include "lib/act.glsl"
#include "lib/conv.glsl"

layout(constant_id = 8) const uint S = 2;
layout(constant_id = 9) const uint ACT = 0;

NERV_VALUE_OUT(2, y);
NERV_VALUE_OUT(3, z);
NERV_IN(4, b);

uint z_at; /* column n of z's channel 0 */
uint y_at; /* the top left of its S x S pixels in y's channel 0 */

void gemm_out_n(uint n)
{
    uint plane = pc.ho * pc.wo;
    uint image = n / plane, pixel = n % plane;
    z_at = image * pc.cout * plane + pixel;
    y_at = image * pc.cout * plane + (pixel / pc.wo * pc.wo * S + pixel % pc.wo) * S;
}

void gemm_store(uint m, float v)
{
    uint plane = pc.ho * pc.wo;
    if (pc.has_bias != 0)
        v += b[m];
    if (pc.store_z != 0)
        z[z_at + m * plane] = NERV_VALUE(v);
    if (pc.store_y != 0) {
        uint sub = m % (S * S);
        y[y_at + (m - sub) * plane + sub / S * (pc.wo * S) + sub % S] = NERV_VALUE(nerv_act(ACT, v));
    }
}

#include "lib/gemm.glsl"

void main()
{
    uint tile = nerv_group();
    if (tile >= pc.tiles)
        return;
    gemm_tile(tile % pc.tiles_m * BM, tile / pc.tiles_m * BN, 0, pc.cin);
}

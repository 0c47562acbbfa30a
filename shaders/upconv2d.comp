#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * upconv2d: y = act(pixel_shuffle(z, S)), z = x * w + b with stride 1 and pad (K-1)/2, in one pass: the
 * convolution as an implicit matrix product (lib/gemm.glsl), bias, shuffle and activation in its store, so z
 * goes to memory only if the gradient reads it.
 * One workgroup: a tile of BM channels of z by BN pixels. Grid: tiles, channels first, folded over x and y.
 * Bindings: 0 x[N,Cin,H,W], 1 w[C S S,Cin,K,K], 2 y[N,C,H S,W S] (store_y), 3 z[N,C S S,H,W] (store_z), 4 b[C
 * S S] (has_bias).
 * Specialisation: 0-3 tile, 4 K, 5 stride = 1, 6 S, 7 activation.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"
#include "lib/act.glsl"
#include "lib/conv.glsl"

layout(constant_id = 6) const uint S = 2;
layout(constant_id = 7) const uint ACT = 0;

NERV_OUT(2, y);
NERV_OUT(3, z);
NERV_IN(4, b);

void gemm_store(uint m, uint n, float v)
{
    uint plane = pc.ho * pc.wo;
    uint image = n / plane;
    uint pixel = n % plane;
    if (pc.has_bias != 0)
        v += b[m];
    if (pc.store_z != 0)
        z[(image * pc.cout + m) * plane + pixel] = v;
    if (pc.store_y != 0) {
        uint c = m / (S * S);
        uint sub = m % (S * S);
        uint row = pixel / pc.wo * S + sub / S;
        uint col = pixel % pc.wo * S + sub % S;
        y[((image * (pc.cout / (S * S)) + c) * (pc.ho * S) + row) * (pc.wo * S) + col] = nerv_act(ACT, v);
    }
}

#include "lib/gemm.glsl"

void main()
{
    uint tile = nerv_group();
    if (tile >= pc.tiles)
        return;
    gemm_tile(tile % pc.tiles_m * BM, tile / pc.tiles_m * BN, 0, pc.cin * K * K);
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * conv2d: y = x * w + b, cross-correlation, as K K implicit matrix products [Cout, Cin] x [Cin, N Ho Wo]
 * summed (lib/gemm.glsl).
 * One workgroup: a tile of BM output channels by BN output pixels. Grid: tiles, channels first, folded over x
 * and y.
 * Bindings: 0 x[N,Cin,H,W], 1 w[Cout,Cin,K,K], 2 y[N,Cout,Ho,Wo], 3 b[Cout] (has_bias).
 * Specialisation: 0-5 tile, 6 K, 7 stride.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"
#include "lib/conv.glsl"

NERV_VALUE_OUT(2, y);
NERV_IN(3, b);

uint out_at; /* column n of channel 0 */

void gemm_out_n(uint n)
{
    uint plane = pc.ho * pc.wo;
    out_at = n / plane * pc.cout * plane + n % plane;
}

void gemm_store(uint m, float v)
{
    if (pc.has_bias != 0)
        v += b[m];
    y[out_at + m * (pc.ho * pc.wo)] = NERV_VALUE(v);
}

#include "lib/gemm.glsl"

void main()
{
    uint tile = nerv_group();
    if (tile >= pc.tiles)
        return;
    gemm_tile(tile % pc.tiles_m * BM, tile / pc.tiles_m * BN, 0, pc.cin);
}

#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * conv2d_dx: dx[n,ci,y,x] = sum over co, ky, kx of w[co,ci,ky,kx] dy[n,co,oy,ox] where oy S = y + P - ky and
 * ox S = x + P - kx (terms without an integer solution inside dy are absent), as an implicit matrix product
 * [Cin, Cout K K] x [Cout K K, N H W]. For S > 1 the absent terms are multiplied as zeros.
 * One workgroup: a tile of BM input channels by BN pixels. Grid: tiles, channels first, folded over x and y.
 * Bindings: 0 dy[N,Cout,Ho,Wo], 1 w[Cout,Cin,K,K], 2 dx[N,Cin,H,W]. Specialisation: 0-3 tile, 4 K, 5 stride.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"

layout(constant_id = 4) const int K = 3;
layout(constant_id = 5) const int STRIDE = 1;

NERV_IN(0, dy);
NERV_IN(1, w);
NERV_OUT(2, dx);

layout(push_constant) uniform Push {
    uint tiles_m, tiles; /* tiles of input channels; of channels times pixels */
    uint cout, cin;
    uint h, w_in; /* H, W of dx */
    int ho, wo;
    uint columns; /* N*H*W */
    int pad;
} pc;

#define GEMM_M pc.cin
#define GEMM_N pc.columns

/* Column n of B: the pixel of dx, moved by the padding. */
uint base_image;
int at_y, at_x;

void gemm_at_n(uint n)
{
    uint pixel = n % (pc.h * pc.w_in);
    base_image = n / (pc.h * pc.w_in) * pc.cout;
    at_y = int(pixel / pc.w_in) + pc.pad;
    at_x = int(pixel % pc.w_in) + pc.pad;
}

float gemm_a(uint m, uint k)
{
    uint co = k / (K * K);
    return w[(co * pc.cin + m) * (K * K) + (k - co * (K * K))];
}

float gemm_b(uint k, uint n)
{
    uint co = k / (K * K);
    int tap = int(k - co * (K * K));
    int oy = at_y - tap / K;
    int ox = at_x - tap % K;
    if (oy < 0 || ox < 0)
        return 0.0;
    if (STRIDE > 1) {
        if (oy % STRIDE != 0 || ox % STRIDE != 0)
            return 0.0;
        oy /= STRIDE;
        ox /= STRIDE;
    }
    if (oy >= pc.ho || ox >= pc.wo)
        return 0.0;
    return dy[((base_image + co) * pc.ho + oy) * pc.wo + ox];
}

void gemm_store(uint m, uint n, float v)
{
    uint plane = pc.h * pc.w_in;
    dx[(n / plane * pc.cin + m) * plane + n % plane] = v;
}

#include "lib/gemm.glsl"

void main()
{
    uint tile = nerv_group();
    if (tile >= pc.tiles)
        return;
    gemm_tile(tile % pc.tiles_m * BM, tile / pc.tiles_m * BN, 0, pc.cout * K * K);
}

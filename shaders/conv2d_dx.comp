#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * conv2d_dx: dx[n,ci,y,x] = sum over co, ky, kx of w[co,ci,ky,kx] dy[n,co,oy,ox] where oy S = y + P - ky and
 * ox S = x + P - kx (terms without an integer solution inside dy are absent), as K K implicit matrix
 * products [Cin, Cout] x [Cout, N H W] summed (lib/gemm.glsl). For S > 1 the absent terms are multiplied as zeros.
 * One workgroup: a tile of BM input channels by BN pixels. Grid: tiles, channels first, folded over x and y.
 * Bindings: 0 dy[N,Cout,Ho,Wo], 1 w[Cout,Cin,K,K], 2 dx[N,Cin,H,W]. Specialisation: 0-5 tile, 6 K, 7 stride.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"

layout(constant_id = 6) const int K = 3;
layout(constant_id = 7) const int STRIDE = 1;

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

#define GEMM_TAPS (K * K)
#define GEMM_A_M_FAST

/* The pixel of dx, moved by the padding, and where its image of dy begins. */
struct GemmColumn {
    int y, x, image;
};

GemmColumn gemm_column_of(uint n)
{
    uint pixel = n % (pc.h * pc.w_in);
    GemmColumn c;
    c.y = int(pixel / pc.w_in) + pc.pad;
    c.x = int(pixel % pc.w_in) + pc.pad;
    c.image = int(n / (pc.h * pc.w_in) * pc.cout) * pc.ho * pc.wo;
    return c;
}

int gemm_tap(GemmColumn c, int tap)
{
    int oy = c.y - tap / K, ox = c.x - tap % K;
    bool inside = oy >= 0 && ox >= 0;
    if (STRIDE > 1) {
        inside = inside && oy % STRIDE == 0 && ox % STRIDE == 0;
        oy /= STRIDE;
        ox /= STRIDE;
    }
    return inside && oy < pc.ho && ox < pc.wo ? c.image + oy * pc.wo + ox : -1;
}

float gemm_a(uint m, uint k, int tap)
{
    return w[(k * pc.cin + m) * (K * K) + tap];
}

float gemm_b(int at, uint k)
{
    return dy[at + int(k) * (pc.ho * pc.wo)];
}

uint out_at; /* column n of channel 0 */

void gemm_out_n(uint n)
{
    uint plane = pc.h * pc.w_in;
    out_at = n / plane * pc.cin * plane + n % plane;
}

void gemm_store(uint m, float v)
{
    dx[out_at + m * (pc.h * pc.w_in)] = v;
}

#include "lib/gemm.glsl"

void main()
{
    uint tile = nerv_group();
    if (tile >= pc.tiles)
        return;
    gemm_tile(tile % pc.tiles_m * BM, tile / pc.tiles_m * BN, 0, pc.cout);
}

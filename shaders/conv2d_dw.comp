#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * conv2d_dw: dw[co,ci,ky,kx] = sum over n, oy, ox of dy[n,co,oy,ox] x[n,ci,oy S - P + ky,ox S - P + kx] and
 * db[co] = sum of dy, as an implicit matrix product [Cout, N Ho Wo] x [N Ho Wo, Cin K K (+ 1)]: the last
 * column of B is ones and gives db.
 * Dispatch 1 (SUM = 0): one workgroup does a tile of BM x BN values over one of `splits` ranges of pixels and
 * writes it to part[split,Cout,columns]. Grid: tiles times splits, folded. Dispatch 2 (SUM > 0): SUM
 * invocations add one value's parts, in an order that never depends on the schedule. Grid: Cout*columns*SUM
 * invocations, folded.
 * Bindings: 0 dy[N,Cout,Ho,Wo], 1 x[N,Cin,H,W], 2 dw[Cout,Cin,K,K] (store_dw), 3 db[Cout] (store_db), 4 part.
 * Specialisation: 0-5 tile (BK = 16), 6 K, 7 stride, 8 SUM.
 */
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/common.glsl"

layout(constant_id = 6) const int K = 3;
layout(constant_id = 7) const int STRIDE = 1;
layout(constant_id = 8) const uint SUM = 0;

NERV_IN(0, dy);
NERV_IN(1, x);
NERV_OUT(2, dw);
NERV_OUT(3, db);
NERV_INOUT(4, part);

layout(push_constant) uniform Push {
    uint tiles_m, tiles_n;
    uint splits, split_pixels; /* ranges of N*Ho*Wo, and the length of one, a multiple of 16 */
    uint cout, cin;
    int h, w_in;  /* H, W of x */
    uint ho, wo;
    uint pixels;  /* N*Ho*Wo */
    uint columns; /* Cin*K*K + 1: the last one gives db */
    int pad;
    uint store_dw, store_db;
} pc;

#define GEMM_K_FAST
#define GEMM_M pc.cout
#define GEMM_N pc.columns
#define GEMM_TAPS 1

/* Row k of B, column k of A: one output pixel, and its patch's corner in x. */
uint dy_at;
int image, patch_y, patch_x;

void gemm_at_k(uint k)
{
    uint plane = pc.ho * pc.wo;
    uint pixel = k % plane;
    dy_at = k / plane * pc.cout * plane + pixel;
    image = int(k / plane * pc.cin) * pc.h * pc.w_in;
    patch_y = int(pixel / pc.wo) * STRIDE - pc.pad;
    patch_x = int(pixel % pc.wo) * STRIDE - pc.pad;
}

float gemm_a(uint m, uint k, int tap)
{
    return dy[dy_at + m * (pc.ho * pc.wo)];
}

void gemm_begin(uint n0);
float gemm_b(uint n);

uint split, out_n;

void gemm_out_n(uint n)
{
    out_n = n;
}

void gemm_store(uint m, float v)
{
    part[(split * pc.cout + m) * pc.columns + out_n] = v;
}

#include "lib/gemm.glsl"

/* Of each column of the tile: its channel's offset in an image, -1 for the column of ones; ky in the high and kx in the
 * low half. */
shared ivec2 columns[BN];

void gemm_begin(uint n0)
{
    for (uint n = gl_LocalInvocationIndex; n < BN; n += NERV_LOCAL) {
        int ci = int(n0 + n) / (K * K);
        int tap = int(n0 + n) - ci * (K * K);
        columns[n] = ivec2(ci == int(pc.cin) ? -1 : ci * pc.h * pc.w_in, tap / K << 16 | tap % K);
    }
    barrier();
}

float gemm_b(uint n)
{
    ivec2 c = columns[n];
    if (c.x < 0)
        return 1.0;
    int y = patch_y + (c.y >> 16), x_at = patch_x + (c.y & 0xffff);
    if (uint(y) >= uint(pc.h) || uint(x_at) >= uint(pc.w_in))
        return 0.0;
    return x[image + c.x + y * pc.w_in + x_at];
}

#define VALUES (NERV_LOCAL / (SUM == 0 ? 1 : SUM)) /* of a workgroup of dispatch 2 */

shared float sums[NERV_LOCAL];

void sum_parts()
{
    uint tid = gl_LocalInvocationIndex;
    uint id = nerv_group() * VALUES + tid % VALUES;
    uint count = pc.cout * pc.columns;
    float v = 0.0;
    for (uint s = tid / VALUES; id < count && s < pc.splits; s += SUM)
        v += part[s * count + id];
    sums[tid] = v;
    for (uint n = SUM / 2; n > 0; n /= 2) {
        barrier();
        if (tid < n * VALUES)
            sums[tid] += sums[tid + n * VALUES];
    }
    if (tid >= VALUES || id >= count)
        return;
    v = sums[tid];
    uint m = id / pc.columns;
    uint n = id % pc.columns;
    uint n_dw = pc.columns - 1;
    if (n == n_dw) {
        if (pc.store_db != 0)
            db[m] = v;
    } else if (pc.store_dw != 0) {
        dw[m * n_dw + n] = v;
    }
}

void main()
{
    if (SUM != 0) {
        sum_parts();
        return;
    }
    uint group = nerv_group();
    uint tiles = pc.tiles_m * pc.tiles_n;
    if (group >= tiles * pc.splits)
        return;
    uint tile = group % tiles;
    split = group / tiles;
    uint begin = split * pc.split_pixels;
    gemm_tile(tile % pc.tiles_m * BM, tile / pc.tiles_m * BN, begin, min(begin + pc.split_pixels, pc.pixels));
}

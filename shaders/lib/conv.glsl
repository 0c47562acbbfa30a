/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The matrices of a convolution going forward, for lib/gemm.glsl: A[co, (ci ky kx)] is the weights as they
 * lie in memory and B[(ci ky kx), (n oy ox)] the patches of x. Shared by conv2d and upconv2d; says nothing of
 * bias or of the store.
 */
#ifndef NERV_CONV_GLSL
#define NERV_CONV_GLSL

layout(constant_id = 4) const int K = 3;
layout(constant_id = 5) const int STRIDE = 1;

NERV_IN(0, x); /* [N, Cin, H, W] */
NERV_IN(1, w); /* [Cout, Cin, K, K] */

layout(push_constant) uniform Push {
    uint tiles_m, tiles; /* tiles of output channels; of channels times pixels */
    uint cout, cin;
    int h, w_in;  /* H, W of x */
    uint ho, wo;  /* of the convolution's output, before a shuffle */
    uint columns; /* N*Ho*Wo */
    int pad;
    uint has_bias, store_y, store_z;
} pc;

#define GEMM_M pc.cout
#define GEMM_N pc.columns

/* Column n of B: the patch's corner in x. */
uint patch_base;
int patch_y, patch_x;

void gemm_at_n(uint n)
{
    uint pixel = n % (pc.ho * pc.wo);
    patch_base = n / (pc.ho * pc.wo) * pc.cin;
    patch_y = int(pixel / pc.wo) * STRIDE - pc.pad;
    patch_x = int(pixel % pc.wo) * STRIDE - pc.pad;
}

float gemm_a(uint m, uint k)
{
    return w[m * (pc.cin * K * K) + k];
}

float gemm_b(uint k, uint n)
{
    uint ci = k / (K * K);
    int tap = int(k - ci * (K * K));
    int y = patch_y + tap / K;
    int x_at = patch_x + tap % K;
    if (uint(y) >= uint(pc.h) || uint(x_at) >= uint(pc.w_in))
        return 0.0;
    return x[((patch_base + ci) * pc.h + y) * pc.w_in + x_at];
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The matrices of a convolution going forward, for lib/gemm.glsl: A_t[co, ci] is the weights at tap t = ky K + kx and
 * B_t[ci, (n oy ox)] the pixels of x that the tap meets. Shared by conv2d and upconv2d; says nothing of bias or of the
 * store.
 */
#ifndef NERV_CONV_GLSL
#define NERV_CONV_GLSL

layout(constant_id = 6) const int K = 3;
layout(constant_id = 7) const int STRIDE = 1;

NERV_VALUE_IN(0, x); /* [N, Cin, H, W] */
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

#define GEMM_TAPS (K * K)

/* The patch's corner in x, and where its image begins. */
struct GemmColumn {
    int y, x, image;
};

GemmColumn gemm_column_of(uint n)
{
    uint pixel = n % (pc.ho * pc.wo);
    GemmColumn c;
    c.y = int(pixel / pc.wo) * STRIDE - pc.pad;
    c.x = int(pixel % pc.wo) * STRIDE - pc.pad;
    c.image = int(n / (pc.ho * pc.wo) * pc.cin) * pc.h * pc.w_in;
    return c;
}

int gemm_tap(GemmColumn c, int tap)
{
    int y = c.y + tap / K, x_at = c.x + tap % K;
    bool inside = uint(y) < uint(pc.h) && uint(x_at) < uint(pc.w_in);
    return inside ? c.image + y * pc.w_in + x_at : -1;
}

float gemm_a(uint m, uint k, int tap)
{
    return w[(m * pc.cin + k) * (K * K) + tap];
}

float gemm_b(int at, uint k)
{
    return float(x[at + int(k) * (pc.h * pc.w_in)]);
}

#endif

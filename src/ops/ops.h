/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The ops, one constructor each. Every constructor appends one node and returns its first output, or NULL when
 * the tape carries an error. Shapes are N C H W; K kernel, S stride, P padding; `b` (bias) may be NULL.
 * A gradient op ends in what it yields (_dx, _dw); d-prefixed arguments are gradients.
 */
#pragma once

#include "graph/tape.h"
#include "tensor/pixels.h"

/* --- linear.c: y[N,M,1,1] = x[N,K,1,1] w[M,K,1,1]^T + b[1,M,1,1] --- */
NervTensor *nerv_linear(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b);
/* dx[N,K] = dy[N,M] w[M,K] */
NervTensor *nerv_linear_dx(NervTape *t, NervTensor *dy, NervTensor *w);
/* output 0: dw[M,K] = dy^T x; output 1: db[1,M,1,1] = sum over N of dy */
NervTensor *nerv_linear_dw(NervTape *t, NervTensor *dy, NervTensor *x);

/* --- conv2d.c: cross-correlation as torch.nn.functional.conv2d; x[N,Cin,H,W], w[Cout,Cin,K,K], b[1,Cout,1,1] ->
 * y[N,Cout,Ho,Wo], Ho = (H+2P-K)/S+1 --- */
typedef struct {
    int32_t stride, pad;
    int32_t h, w; /* conv2d_dx only: H, W of the x that the gradient is for */
    int32_t k;    /* conv2d_dw only: K */
} NervConvAttr;
NervTensor *nerv_conv2d(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b, int stride, int pad);
/* dx[N,Cin,H,W] from dy[N,Cout,Ho,Wo] and w */
NervTensor *nerv_conv2d_dx(NervTape *t, NervTensor *dy, NervTensor *w, int stride, int pad, int h, int w_);
/* output 0: dw[Cout,Cin,K,K]; output 1: db[1,Cout,1,1] = sum of dy over N,H,W */
NervTensor *nerv_conv2d_dw(NervTape *t, NervTensor *dy, NervTensor *x, int k, int stride, int pad);

/* --- pixel_shuffle.c: torch.nn.PixelShuffle; [N,C*S*S,H,W] -> [N,C,H*S,W*S], and its inverse --- */
NervTensor *nerv_pixel_shuffle(NervTape *t, NervTensor *x, int s);
NervTensor *nerv_pixel_unshuffle(NervTape *t, NervTensor *x, int s);

/* --- act.c: pointwise functions --- */
typedef enum {
    NERV_ACT_NONE,
    NERV_ACT_GELU,    /* x Phi(x), the exact form with erf */
    NERV_ACT_SILU,    /* x sigmoid(x) */
    NERV_ACT_SIN,     /* sin(x) */
    NERV_ACT_SIGMOID, /* 1/(1+exp(-x)) */
    NERV_ACT_TANH,
    NERV_ACT_TANH01, /* (tanh(x)+1)/2 */
    NERV_ACT_RELU,
    NERV_ACT_N,
} NervAct;
const char *nerv_act_name(NervAct act); /* "none", "gelu", "silu", ... */
bool nerv_act_parse(const char *name, NervAct *act);
double nerv_act_value(NervAct act, double x); /* f(x), f'(x): the reference */
double nerv_act_slope(NervAct act, double x);
NervTensor *nerv_act(NervTape *t, NervTensor *x, NervAct act);
NervTensor *nerv_act_dx(NervTape *t, NervTensor *dy, NervTensor *x, NervAct act); /* dy f'(x) */
NervTensor *nerv_act_dxx(NervTape *t, NervTensor *g, NervTensor *dy, NervTensor *x,
                         NervAct act); /* g dy f''(x) */

/* --- upconv2d.c: the NeRV block in one store: y = act(pixel_shuffle(conv2d(x,w,b; stride 1, pad (K-1)/2), S));
 * x[N,Cin,H,W], w[C*S*S,Cin,K,K] -> output 0: y[N,C,H*S,W*S]; output 1: z[N,C*S*S,H,W], the values before shuffle and act,
 * computed only if somebody (the gradient) reads it. K in {1,3,5}, S in 1..16. The head is S=1, K=1 --- */
typedef struct {
    int32_t s, act;
} NervUpconvAttr;
NervTensor *nerv_upconv2d(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b, int s, NervAct act);
/* dz[N,C*S*S,H,W] = pixel_unshuffle(dy, S) * act'(z) */
NervTensor *nerv_upconv2d_dz(NervTape *t, NervTensor *dy, NervTensor *z, int s, NervAct act);

/* --- upconv2d_head.c: two of them in one, the second with K = 1, S = 1 and few channels, its input never written:
 * x[N,Cin,H,W], w[C*S*S,Cin,K,K], b[1,C*S*S,1,1], v[M,C,1,1], c[1,M,1,1] -> [N,M,H*S,W*S], M <= 4 --- */
typedef struct {
    int32_t s, act, out_act;
} NervUpconvHeadAttr;
NervTensor *nerv_upconv2d_head(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b, NervTensor *v,
                               NervTensor *c, int s, NervAct act, NervAct out_act);

/* --- elementwise and shape --- */
NervTensor *nerv_add(NervTape *t, NervTensor *a, NervTensor *b);               /* add.c, same shape */
NervTensor *nerv_mul(NervTape *t, NervTensor *a, NervTensor *b);               /* mul.c, same shape */
NervTensor *nerv_affine(NervTape *t, NervTensor *x, float scale, float shift); /* affine.c: scale*x + shift */
NervTensor *nerv_reshape(NervTape *t, NervTensor *x, NervShape shape);         /* reshape.c, a view */
NervTensor *nerv_crop(NervTape *t, NervTensor *x, int h,
                      int w); /* crop.c: top-left h x w; x itself if it is that */
NervTensor *nerv_pad(NervTape *t, NervTensor *x, int h,
                     int w); /* pad.c: zeros at bottom and right to h x w */

/* concat.c: the channels of 2..8 tensors of equal N, H, W one after another; of one tensor: itself */
NervTensor *nerv_concat(NervTape *t, NervTensor *const *x, uint32_t n);
/* slice.c: channels first..first+count-1; x itself if those are all */
NervTensor *nerv_slice(NervTape *t, NervTensor *x, int first, int count);

/* --- lookup.c: rows of a grid by time, linear between neighbours (FFNeRV's temporal grids); grid[T,C,H,W], pos[N,1,1,1] in rows,
 * clamped to 0..T-1, not differentiable -> y[N,C,H,W] = (1-f) grid[i] + f grid[i+1], i = floor(pos), f = pos - i --- */
NervTensor *nerv_lookup(NervTape *t, NervTensor *grid, NervTensor *pos);
/* dgrid[T,C,H,W] from dy[N,C,H,W], T = rows; zeros where no position is near */
NervTensor *nerv_lookup_dx(NervTape *t, NervTensor *dy, NervTensor *pos, int rows);

/* --- upsample.c: torch.nn.functional.interpolate(scale_factor=s, mode="bilinear", align_corners=False); s in 1..64;
 * x[N,C,H,W] -> y[N,C,H*s,W*s], x itself if s is 1; and the transpose, dx[N,C,H,W] from dy[N,C,H*s,W*s]. Each is the other's
 * gradient --- */
NervTensor *nerv_upsample(NervTape *t, NervTensor *x, int s);
NervTensor *nerv_upsample_dx(NervTape *t, NervTensor *dy, int s);

/* --- warp.c: bilinear samples where a flow points; x[M,C,H,W], M a divisor of N: picture m for flows m N/M .. (m+1) N/M - 1;
 * flow[N,2,H,W] in pixels, x displacements before y -> y[N,C,H,W], y[n,c,i,j] = x at column j + flow[n,0,i,j], row
 * i + flow[n,1,i,j], clamped to the picture; a coordinate that is no number samples line 0 --- */
NervTensor *nerv_warp(NervTape *t, NervTensor *x, NervTensor *flow);
/* dflow[N,2,H,W], 0 where the coordinate was clamped */
NervTensor *nerv_warp_dflow(NervTape *t, NervTensor *dy, NervTensor *x, NervTensor *flow);
/* dx[pictures,C,H,W], pictures a divisor of N */
NervTensor *nerv_warp_dx(NervTape *t, NervTensor *dy, NervTensor *flow, int pictures);

/* --- warp_slope.c: what nerv_warp(x, flow) changes by when the flow changes along v[N,2,H,W]: y[N,C,H,W] = v[n,0] times its
 * derivative in flow[n,0], plus v[n,1] times that in flow[n,1]; 0 in a direction in which the coordinate was clamped --- */
NervTensor *nerv_warp_slope(NervTape *t, NervTensor *x, NervTensor *flow, NervTensor *v);
/* dx[pictures,C,H,W]; not differentiable */
NervTensor *nerv_warp_slope_dx(NervTape *t, NervTensor *dy, NervTensor *flow, NervTensor *v, int pictures);
/* dflow[N,2,H,W], from the mixed second derivatives; not differentiable */
NervTensor *nerv_warp_slope_dflow(NervTape *t, NervTensor *dy, NervTensor *x, NervTensor *flow,
                                  NervTensor *v);

/* --- ops of clips (D-NeRV, He et al. 2023): frame t of clip b of B clips of T frames is picture n = bT+t --- */

/* weigh.c: y[n] = ka[n] a[n] + kb[n] b[n]; a, b [N,C,H,W], ka, kb [N,1,1,1], not differentiable; b and kb may both be NULL */
NervTensor *nerv_weigh(NervTape *t, NervTensor *a, NervTensor *ka, NervTensor *b, NervTensor *kb);

/* modulate.c: y = x (1 + scale) + shift, spatially adaptive; x[N,C,H,W], sh[N,2C,H,W] = the scales, then the shifts */
NervTensor *nerv_modulate(NervTape *t, NervTensor *x, NervTensor *sh);
/* output 0: dx as x; output 1: dsh as sh */
NervTensor *nerv_modulate_dx(NervTape *t, NervTensor *dy, NervTensor *x, NervTensor *sh);

/* norm.c: torch.nn.InstanceNorm3d over clips of `frames` pictures, a divisor of N; x[N,C,H,W]. Output 0: y = (x - mean) r, as x;
 * output 1: r[N/frames,C,1,1] = 1 / sqrt(variance + 1e-5), for the gradient */
NervTensor *nerv_norm(NervTape *t, NervTensor *x, int frames);
/* dx as y */
NervTensor *nerv_norm_dx(NervTape *t, NervTensor *dy, NervTensor *y, NervTensor *r);

/* temporal_mix.c: a matrix over the frames of a clip for each channel, beside what was there (GTMLP of D-NeRV); x[N,C,H,W],
 * w[C,T,T,1], b[1,C,T,1], T <= NERV_MIX_MAX a divisor of N -> y[n=kT+t,c] = x[kT+t,c] + b[c,t] + sum over u of w[c,t,u] x[kT+u,c] */
#define NERV_MIX_MAX 64
NervTensor *nerv_temporal_mix(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b);
/* dx as dy: the same with w[c,u,t] and no bias */
NervTensor *nerv_temporal_mix_dx(NervTape *t, NervTensor *dy, NervTensor *w);
/* The two without what was there: y[kT+t,c] = b[c,t] + sum over u of w[c,t,u] x[kT+u,c], and dx of it */
NervTensor *nerv_temporal_sum(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b);
NervTensor *nerv_temporal_sum_dx(NervTape *t, NervTensor *dy, NervTensor *w);
/* output 0: dw[C,T,T,1]; output 1: db[1,C,T,1] */
NervTensor *nerv_temporal_mix_dw(NervTape *t, NervTensor *dy, NervTensor *x, int frames);

/* --- reduce.c: sums; axes is a mask of NERV_AXIS_*; reduced dimensions become 1. Fixed summation order --- */
enum { NERV_AXIS_N = 1, NERV_AXIS_C = 2, NERV_AXIS_H = 4, NERV_AXIS_W = 8, NERV_AXIS_ALL = 15 };
NervTensor *nerv_reduce_sum(NervTape *t, NervTensor *x, int axes, float scale); /* scale * sum */
NervTensor *nerv_reduce_mean(NervTape *t, NervTensor *x, int axes);
/* --- expand.c: repeats dimensions of size 1 up to `shape`; the gradient of reduce --- */
NervTensor *nerv_expand(NervTape *t, NervTensor *x, NervShape shape, float scale);

/* --- losses, each a scalar [1,1,1,1]; the gradient flows to both arguments where they are differentiable --- */
NervTensor *nerv_l1(NervTape *t, NervTensor *a, NervTensor *b);  /* l1.c: mean |a-b| */
NervTensor *nerv_mse(NervTape *t, NervTensor *a, NervTensor *b); /* mse.c: mean (a-b)^2 */
/* Their gradients in a, g scalar: g sign(a-b)/n and 2 g (a-b)/n */
NervTensor *nerv_l1_dx(NervTape *t, NervTensor *g, NervTensor *a, NervTensor *b);
NervTensor *nerv_mse_dx(NervTape *t, NervTensor *g, NervTensor *a, NervTensor *b);
/* ssim.c: mean SSIM of images in [0,1] (Wang et al. 2004; 11x11 Gaussian, sigma 1.5, K1 .01, K2 .03, valid windows only,
 * mean over N, C and windows, as pytorch_msssim.ssim(data_range=1)); H, W >= 11. Output 1: maps [N,3*C,H-10,W-10] for the
 * gradient: dS/dmu_a, dS/dE[aa], dS/dE[ab] per window, map k of channel c in channel kC+c */
NervTensor *nerv_ssim(NervTape *t, NervTensor *a, NervTensor *b);
/* da[N,C,H,W] = g * d(mean SSIM)/da, g scalar */
NervTensor *nerv_ssim_dx(NervTape *t, NervTensor *g, NervTensor *a, NervTensor *b, NervTensor *maps);
/* What flows back into mu_a, E[aa] and E[ab] of the windows when u flows back into the maps; u and result as the maps;
 * not differentiable */
NervTensor *nerv_ssim_dmaps(NervTape *t, NervTensor *a, NervTensor *b, NervTensor *u);

/* --- adam.c: Kingma & Ba 2015, as torch.optim.Adam. Outputs overwrite w, m, v in place. `hyper` is an INPUT [1,4,1,1]:
 * {lr, 1-beta1^t, 1-beta2^t, unused}, t from 1, computed on the host in double --- */
typedef struct {
    float beta1, beta2, eps, weight_decay; /* weight_decay: decoupled (AdamW), 0 = none */
} NervAdamAttr;
NervTensor *nerv_adam(NervTape *t, NervTensor *w, NervTensor *dw, NervTensor *m, NervTensor *v,
                      NervTensor *hyper, const NervAdamAttr *attr);

/* --- quantise.c: weights as the stream will hold them and the estimated length of their code, for training. w[N,C,H,W]; s: log2
 * of the steps, [N,1,1,1] one per row, [1,C,1,1] one per channel, [1,1,1,1] one for all; mode: INPUT [1,4,1,1] = {on, unused,
 * unused, unused}; indices clip to +-max_index, 1..4095. Output 0: y as w, w itself while off; output 1: bits [1,1,1,1],
 * 0 while off. Its gradient is an estimator: straight through the rounding, learned steps --- */
NervTensor *nerv_fake_quantise(NervTape *t, NervTensor *w, NervTensor *s, NervTensor *mode, int max_index);
/* output 0: dw as w; output 1: ds as s; dbits scalar */
NervTensor *nerv_fake_quantise_dx(NervTape *t, NervTensor *dy, NervTensor *dbits, NervTensor *w,
                                  NervTensor *s, NervTensor *mode, int max_index);

/* --- stored pixels <-> RGB planes in [0,1]; see tensor/pixels.h for the layouts and the mathematics --- */
/* from_pixels.c: store U8 [F,1,1,bytes], index I32 [N,1,1,1] -> rgb F32 [N,3,H,W]; an index outside 0..F-1 reads frame 0 */
NervTensor *nerv_from_pixels(NervTape *t, NervTensor *store, NervTensor *index, const NervPixels *pixels);
/* to_pixels.c: rgb F32 [N,3,H,W] (clamped to [0,1], rounded to nearest) -> U8 [N,1,1,bytes] */
NervTensor *nerv_to_pixels(NervTape *t, NervTensor *rgb, const NervPixels *pixels);

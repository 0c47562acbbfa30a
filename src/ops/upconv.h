/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What upconv2d and upconv2d_head share: the reference's convolution, and the activation of a piece on the CPU.
 */
#pragma once

#include "cpu/conv.h"

/* z[n,o,h,v] of x[N,C,H,W] (shape xs) with w[..,C,K,K], stride 1, pad (K-1)/2; b may be NULL. */
static inline double nerv_upconv_z(const float *x, const float *w, const float *b, NervShape xs, int K, int n,
                                   int o, int h, int v)
{
    double sum = b ? b[o] : 0.0;
    for (int c = 0; c < xs.c; c++) {
        const float *plane = x + ((size_t)n * xs.c + c) * xs.h * xs.w;
        const float *taps = w + ((size_t)o * xs.c + c) * K * K;
        for (int i = 0; i < K; i++) {
            const int p = h + i - (K - 1) / 2;
            for (int j = 0; j < K; j++) {
                const int q = v + j - (K - 1) / 2;
                if (p >= 0 && p < xs.h && q >= 0 && q < xs.w)
                    sum += (double)taps[i * K + j] * plane[(size_t)p * xs.w + q];
            }
        }
    }
    return sum;
}

/* One channel of a piece, in place, over whole vectors, columns that don't count included: then a value does not depend on where
 * the piece was cut. */
static inline void nerv_upconv_activate(const NervDsp *dsp, const NervConvPiece *p, float *sums, int act)
{
    const size_t vf = dsp->conv.vector_floats, row = nerv_round_up(p->n_cols, vf);
    const size_t all = (size_t)(p->n_rows - 1) * p->pitch + p->n_cols;

    if (act == NERV_ACT_NONE)
        return;
    if (row > (size_t)p->pitch) {
        dsp->math.act(sums, sums, nerv_round_up(all, vf), act);
        return;
    }
    for (int32_t r = 0; r < p->n_rows; r++, sums += p->pitch)
        dsp->math.act(sums, sums, row, act);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a fit minimises, as nodes of its tape: see loss.h. The measures themselves are ops.
 */
#include "train/loss.h"

#define SSIM_WINDOW 11

/* a + weight * b, where a may be NULL and a weight of 0 drops the term. */
static NervTensor *add_term(NervTape *t, NervTensor *sum, NervTensor *term, double weight, double shift)
{
    NervTensor *scaled = nerv_affine(t, term, (float)weight, (float)shift);
    return sum ? nerv_add(t, sum, scaled) : scaled;
}

/* Means of 2 x 2 samples; a last odd row or column is left out. */
static NervTensor *halve(NervTape *t, NervTensor *x)
{
    if (!x)
        return NULL;
    const NervShape s = { x->shape.n, x->shape.c, x->shape.h / 2, x->shape.w / 2 };
    NervTensor *squares = nerv_pixel_unshuffle(t, nerv_crop(t, x, 2 * s.h, 2 * s.w), 2);
    NervTensor *rows = nerv_reshape(t, squares, nerv_shape(s.n * s.c, 4, s.h, s.w));
    return nerv_reshape(t, nerv_reduce_mean(t, rows, NERV_AXIS_C), s);
}

/* SSIM at full size, half, quarter..., with the exponents of MS-SSIM (Wang, Simoncelli and Bovik 2003, section 3) as weights of a mean: like
 * the product's, its gradient looks at each scale, and it needs no logarithm of what may be negative. */
static NervTensor *mean_ssim_of_scales(NervTape *t, NervTensor *a, NervTensor *b)
{
    static const double exponent[] = { .0448, .2856, .3001, .2363, .1333 };
    NervTensor *sum = NULL;
    double all = 0.;
    for (size_t i = 0; a && b && i < G_N_ELEMENTS(exponent) && MIN(a->shape.h, a->shape.w) >= SSIM_WINDOW;
         i++) {
        sum = add_term(t, sum, nerv_ssim(t, a, b), exponent[i], 0.);
        all += exponent[i];
        a = halve(t, a);
        b = halve(t, b);
    }
    return sum ? nerv_affine(t, sum, (float)(1. / all), 0.f) : NULL;
}

/* The paper's equation 2: alpha L1 + (1-alpha)(1 - SSIM), alpha = 0.7. */
NervTensor *nerv_loss_build(NervTape *t, const NervTrainSettings *s, NervTensor *rgb, NervTensor *target)
{
    NervTensor *loss = NULL;
    if (s->l1_weight != 0.)
        loss = add_term(t, loss, nerv_l1(t, rgb, target), s->l1_weight, 0.);
    if (s->ssim_weight != 0.)
        loss = add_term(t, loss, nerv_ssim(t, rgb, target), -s->ssim_weight, s->ssim_weight);
    if (s->msssim_weight != 0.)
        loss = add_term(t, loss, mean_ssim_of_scales(t, rgb, target), -s->msssim_weight, s->msssim_weight);
    if (s->mse_weight != 0. || !loss)
        loss = add_term(t, loss, nerv_mse(t, rgb, target), s->mse_weight, 0.);
    return loss;
}

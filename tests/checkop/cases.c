/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The list of checkop's cases. A new op adds a declaration and a line.
 */
#include "checkop.h"

extern const CheckCase check_act, check_act_dx, check_act_dxx, check_adam, check_add, check_affine,
    check_crop, check_expand, check_l1, check_l1_dx, check_mse, check_mse_dx, check_mul, check_pad,
    check_reduce, check_reshape, check_ssim, check_ssim_dmaps, check_ssim_dx;

extern const CheckCase check_from_pixels, check_to_pixels;
extern const CheckCase check_concat, check_lookup, check_lookup_dx, check_quantise, check_quantise_dx,
    check_slice, check_upsample, check_upsample_dx, check_warp, check_warp_dflow, check_warp_dx,
    check_warp_slope, check_warp_slope_dflow, check_warp_slope_dx;
extern const CheckCase check_conv2d, check_conv2d_dw, check_conv2d_dx, check_linear, check_linear_dw,
    check_linear_dx, check_pixel_shuffle, check_pixel_unshuffle, check_upconv2d, check_upconv2d_dz,
    check_upconv2d_head;
extern const CheckCase check_modulate, check_modulate_dx, check_norm, check_norm_dx, check_temporal_mix,
    check_temporal_mix_dw, check_weigh;

const CheckCase *const check_cases[] = {
    &check_act,
    &check_act_dx,
    &check_act_dxx,
    &check_adam,
    &check_add,
    &check_affine,
    &check_concat,
    &check_conv2d,
    &check_conv2d_dw,
    &check_conv2d_dx,
    &check_crop,
    &check_expand,
    &check_from_pixels,
    &check_l1,
    &check_l1_dx,
    &check_linear,
    &check_linear_dw,
    &check_linear_dx,
    &check_lookup,
    &check_lookup_dx,
    &check_modulate,
    &check_modulate_dx,
    &check_mse,
    &check_mse_dx,
    &check_mul,
    &check_norm,
    &check_norm_dx,
    &check_pad,
    &check_pixel_shuffle,
    &check_pixel_unshuffle,
    &check_quantise,
    &check_quantise_dx,
    &check_reduce,
    &check_reshape,
    &check_slice,
    &check_ssim,
    &check_ssim_dmaps,
    &check_ssim_dx,
    &check_temporal_mix,
    &check_temporal_mix_dw,
    &check_to_pixels,
    &check_upconv2d,
    &check_upconv2d_dz,
    &check_upconv2d_head,
    &check_upsample,
    &check_upsample_dx,
    &check_warp,
    &check_warp_dflow,
    &check_warp_dx,
    &check_warp_slope,
    &check_warp_slope_dflow,
    &check_warp_slope_dx,
    &check_weigh,
    NULL,
};

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The list of ops. A new op adds a declaration and a line.
 */
#include "ops/ops.h"

extern const NervOp nerv_op_act, nerv_op_act_dx, nerv_op_act_dxx, nerv_op_adam, nerv_op_add, nerv_op_affine,
    nerv_op_crop, nerv_op_expand, nerv_op_l1, nerv_op_l1_dx, nerv_op_mse, nerv_op_mse_dx, nerv_op_mul,
    nerv_op_pad, nerv_op_reduce, nerv_op_reshape, nerv_op_ssim, nerv_op_ssim_dmaps, nerv_op_ssim_dx;
extern const NervOp nerv_op_from_pixels, nerv_op_to_pixels;
extern const NervOp nerv_op_concat, nerv_op_lookup, nerv_op_lookup_dx, nerv_op_quantise, nerv_op_quantise_dx,
    nerv_op_slice, nerv_op_upsample, nerv_op_upsample_dx, nerv_op_warp, nerv_op_warp_dflow, nerv_op_warp_dx,
    nerv_op_warp_slope, nerv_op_warp_slope_dflow, nerv_op_warp_slope_dx;
extern const NervOp nerv_op_conv2d, nerv_op_conv2d_dw, nerv_op_conv2d_dx, nerv_op_linear, nerv_op_linear_dw,
    nerv_op_linear_dx, nerv_op_pixel_shuffle, nerv_op_pixel_unshuffle, nerv_op_upconv2d, nerv_op_upconv2d_dz,
    nerv_op_upconv2d_head;
extern const NervOp nerv_op_modulate, nerv_op_modulate_dx, nerv_op_norm, nerv_op_norm_dx,
    nerv_op_temporal_mix, nerv_op_temporal_mix_dw, nerv_op_weigh;

const NervOp *const nerv_ops[] = {
    &nerv_op_act,
    &nerv_op_act_dx,
    &nerv_op_act_dxx,
    &nerv_op_adam,
    &nerv_op_add,
    &nerv_op_affine,
    &nerv_op_concat,
    &nerv_op_conv2d,
    &nerv_op_conv2d_dw,
    &nerv_op_conv2d_dx,
    &nerv_op_crop,
    &nerv_op_expand,
    &nerv_op_from_pixels,
    &nerv_op_l1,
    &nerv_op_l1_dx,
    &nerv_op_linear,
    &nerv_op_linear_dw,
    &nerv_op_linear_dx,
    &nerv_op_lookup,
    &nerv_op_lookup_dx,
    &nerv_op_modulate,
    &nerv_op_modulate_dx,
    &nerv_op_mse,
    &nerv_op_mse_dx,
    &nerv_op_mul,
    &nerv_op_norm,
    &nerv_op_norm_dx,
    &nerv_op_pad,
    &nerv_op_pixel_shuffle,
    &nerv_op_pixel_unshuffle,
    &nerv_op_quantise,
    &nerv_op_quantise_dx,
    &nerv_op_reduce,
    &nerv_op_reshape,
    &nerv_op_slice,
    &nerv_op_ssim,
    &nerv_op_ssim_dmaps,
    &nerv_op_ssim_dx,
    &nerv_op_temporal_mix,
    &nerv_op_temporal_mix_dw,
    &nerv_op_to_pixels,
    &nerv_op_upconv2d,
    &nerv_op_upconv2d_dz,
    &nerv_op_upconv2d_head,
    &nerv_op_upsample,
    &nerv_op_upsample_dx,
    &nerv_op_warp,
    &nerv_op_warp_dflow,
    &nerv_op_warp_dx,
    &nerv_op_warp_slope,
    &nerv_op_warp_slope_dflow,
    &nerv_op_warp_slope_dx,
    &nerv_op_weigh,
    NULL,
};

static NervTensor *zeros(NervTape *tape, NervShape shape)
{
    return nerv_expand(tape, nerv_tape_scalar(tape, 0.f), shape, 1.f);
}

const NervGradOps nerv_grad_ops = { nerv_add, zeros };

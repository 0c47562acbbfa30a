/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How far a picture of 8-bit samples is from another: squared error, PSNR, MS-SSIM. Mathematics alone; what is played and converted
 * is rd_clip.h's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define QUALITY_MAX_SCALES 5

/* Samples of one plane, rows `stride` bytes apart. */
typedef struct {
    const uint8_t *data;
    uint32_t width, height, stride;
} QualityPlane;

/* Mean squared error of two planes of one size; packed RGB is a plane of three times the width. */
double quality_mse(const QualityPlane *a, const QualityPlane *b);
/* dB below 255; infinite for 0. */
double quality_psnr(double mse);
/* The mean of the planes' PSNR with weights 6, 1, 1 (ITU-T's groups' for 4:2:0). A plane without any error counts as 100 dB, as its
 * PSNR would decide alone; where none has one the result is infinite. */
double quality_psnr_611(double mse_y, double mse_u, double mse_v);

/* Scales that MS-SSIM has at this size: its window needs 11 pixels each way on the smallest; at most QUALITY_MAX_SCALES (from 176 pixels
 * each way), 0: too small for any. */
uint32_t quality_ms_ssim_scales(uint32_t width, uint32_t height);
/* Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multi-scale structural similarity for image quality assessment", 2003: windows of 11x11,
 * sigma 1.5, that lie inside the picture, K 0.01 and 0.03, halved by means of 2x2 pixels (an odd last row or column is left out). With
 * fewer than five scales the exponents of those there are are divided by their sum. A negative mean of a scale counts as 0. At least one
 * scale. */
double quality_ms_ssim(const QualityPlane *a, const QualityPlane *b);

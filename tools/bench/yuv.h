/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * R'G'B' to 4:2:0 and back, in floating point and rounded once. GStreamer's videoconvert (1.22) rounds down in both directions: there
 * and back a picture is darker by 3 of 255, which would cost codecs of 4:2:0 several dB of RGB PSNR that are not theirs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double kr, kb;      /* 0.299 and 0.114 for BT.601 */
    bool is_full_range; /* 0 to 255, not 16 to 235 and 16 to 240 */
} YuvMatrix;

/* Y, Cb, Cr; the latter have (width + 1) / 2 by (height + 1) / 2 samples. Strides are in bytes. */
typedef struct {
    uint8_t *data[3];
    uint32_t stride[3];
} YuvPlanes;

/* A chroma sample is the mean of the pixels that it covers, up to 2x2. */
void yuv_from_rgb(const YuvMatrix *m, const uint8_t *rgb, uint32_t stride, uint32_t width, uint32_t height,
                  const YuvPlanes *out);
/* Chroma is interpolated linearly between samples in the middle of those pixels. */
void yuv_to_rgb(const YuvMatrix *m, const YuvPlanes *yuv, uint32_t width, uint32_t height, uint8_t *rgb,
                uint32_t stride);

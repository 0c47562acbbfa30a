/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pixel formats of frames in memory and the arithmetic between them and R'G'B' planes in [0,1]. Formats are
 * those that GStreamer calls RGB, RGBx, BGRx, I420 and NV12, 8 bits, packed without gaps in the canonical
 * layout below (elements copy line by line from whatever strides a buffer has).
 *
 * Y'CbCr follows ITU-T H.273: E'Y = Kr R + Kg G + Kb B, E'Cb = (B-E'Y)/(2(1-Kb)), E'Cr = (R-E'Y)/(2(1-Kr)); limited range
 * codes Y = 16+219 E'Y, C = 128+224 E'C; full range Y = 255 E'Y, C = 128+255 E'C.
 * Chroma going up is linearly interpolated, going down is the matching filter: a horizontally co-sited sample (MPEG-2,
 * the usual case) uses [1 2 1]/4 down and [1], [1 1]/2 up; a centred sample uses [1 1]/2 down and [3 1]/4 up; borders repeat.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    NERV_PIXELS_RGB,  /* 3 bytes R G B */
    NERV_PIXELS_RGBX, /* 4 bytes R G B x */
    NERV_PIXELS_BGRX, /* 4 bytes B G R x */
    NERV_PIXELS_I420, /* planes Y, Cb, Cr; chroma ceil(w/2) x ceil(h/2) */
    NERV_PIXELS_NV12, /* plane Y, plane of Cb Cr pairs */
    NERV_PIXELS_N,
} NervPixelFormat;

/* Matrix coefficients by their H.273 code points, as far as they are supported. */
typedef enum {
    NERV_MATRIX_RGB = 0,
    NERV_MATRIX_BT709 = 1,
    NERV_MATRIX_FCC = 4,
    NERV_MATRIX_BT601 = 6, /* also code point 5 */
    NERV_MATRIX_SMPTE240M = 7,
    NERV_MATRIX_BT2020 = 9,
} NervMatrix;

/* POD; also the attributes of from_pixels and to_pixels. */
typedef struct {
    int32_t format; /* NervPixelFormat */
    int32_t width, height;
    int32_t matrix;               /* NervMatrix; ignored for the RGB formats */
    int32_t full_range;           /* 0 limited, 1 full; ignored for the RGB formats, which are full */
    int32_t h_cosited, v_cosited; /* chroma siting; 0 centred between two luma samples, 1 on the first */
} NervPixels;

/* One plane of a frame in the canonical layout. */
typedef struct {
    size_t offset;  /* bytes from the frame's start */
    int32_t stride; /* bytes from row to row */
    int32_t row_bytes, rows;
} NervPlane;

/* Whether format, width, height (1..65536) and, for the Y'CbCr formats, matrix are ones that this file can handle. */
bool nerv_pixels_valid(const NervPixels *p);
/* Planes of the canonical layout: tightly packed, in order. Returns their number (1, 2 or 3). */
int nerv_pixels_planes(const NervPixels *p, NervPlane planes[3]);
/* Bytes of one frame in the canonical layout, before padding; 0 if format, width or height are not valid (1..65536). */
size_t nerv_pixels_bytes(const NervPixels *p);
/* Kr, Kb of a matrix; false if the code point is not supported. */
bool nerv_matrix_coefficients(int32_t matrix, double *kr, double *kb);
/* The affine maps of a valid `p`: for rgb in [0,1] and codes in 0..255,
 *   code[i] = to_off[i] + sum_j to[i][j] * rgb[j]      rgb[i] = sum_j from[i][j] * (code[j] - to_off[j]). */
typedef struct {
    float to[3][3], to_off[3], from[3][3];
} NervColorMatrix;
void nerv_pixels_matrix(const NervPixels *p, NervColorMatrix *m);

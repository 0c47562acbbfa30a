/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Layouts of stored frames and the affine maps between codes and R'G'B'. See pixels.h; what runs over the
 * pixels is in ops/from_pixels.c and ops/to_pixels.c.
 */
#include "tensor/pixels.h"

#include <string.h>

#define MAX_SIDE 65536

static bool is_rgb(int32_t format)
{
    return format == NERV_PIXELS_RGB || format == NERV_PIXELS_RGBX || format == NERV_PIXELS_BGRX;
}

static bool is_yuv(int32_t format)
{
    return format == NERV_PIXELS_I420 || format == NERV_PIXELS_NV12;
}

static bool size_valid(const NervPixels *p)
{
    return (is_rgb(p->format) || is_yuv(p->format)) && p->width >= 1 && p->width <= MAX_SIDE &&
           p->height >= 1 && p->height <= MAX_SIDE;
}

bool nerv_pixels_valid(const NervPixels *p)
{
    double kr, kb;
    return size_valid(p) && (is_rgb(p->format) || nerv_matrix_coefficients(p->matrix, &kr, &kb));
}

int nerv_pixels_planes(const NervPixels *p, NervPlane planes[3])
{
    const int32_t cw = (p->width + 1) / 2, ch = (p->height + 1) / 2;
    const size_t luma = (size_t)p->width * p->height, chroma = (size_t)cw * ch;
    const int32_t pixel_bytes = p->format == NERV_PIXELS_RGB ? 3 : 4;
    switch (p->format) {
    case NERV_PIXELS_I420:
        planes[0] = (NervPlane){ 0, p->width, p->width, p->height };
        planes[1] = (NervPlane){ luma, cw, cw, ch };
        planes[2] = (NervPlane){ luma + chroma, cw, cw, ch };
        return 3;
    case NERV_PIXELS_NV12:
        planes[0] = (NervPlane){ 0, p->width, p->width, p->height };
        planes[1] = (NervPlane){ luma, 2 * cw, 2 * cw, ch };
        return 2;
    default:
        planes[0] = (NervPlane){ 0, pixel_bytes * p->width, pixel_bytes * p->width, p->height };
        return 1;
    }
}

size_t nerv_pixels_bytes(const NervPixels *p)
{
    NervPlane planes[3];
    size_t bytes = 0;
    if (!size_valid(p))
        return 0;
    const int n = nerv_pixels_planes(p, planes);
    for (int i = 0; i < n; i++)
        bytes += (size_t)planes[i].stride * planes[i].rows;
    return bytes;
}

/* H.273 table 4. */
bool nerv_matrix_coefficients(int32_t matrix, double *kr, double *kb)
{
    switch (matrix) {
    case NERV_MATRIX_BT709:
        *kr = 0.2126;
        *kb = 0.0722;
        return true;
    case NERV_MATRIX_FCC:
        *kr = 0.30;
        *kb = 0.11;
        return true;
    case 5: /* BT.601 for 625 lines: the same numbers */
    case NERV_MATRIX_BT601:
        *kr = 0.299;
        *kb = 0.114;
        return true;
    case NERV_MATRIX_SMPTE240M:
        *kr = 0.212;
        *kb = 0.087;
        return true;
    case NERV_MATRIX_BT2020:
        *kr = 0.2627;
        *kb = 0.0593;
        return true;
    default:
        return false;
    }
}

void nerv_pixels_matrix(const NervPixels *p, NervColorMatrix *m)
{
    double kr, kb;
    memset(m, 0, sizeof(*m));
    if (!is_yuv(p->format) || !nerv_matrix_coefficients(p->matrix, &kr, &kb)) {
        for (int i = 0; i < 3; i++) {
            m->to[i][i] = 255.0f;
            m->from[i][i] = (float)(1.0 / 255.0);
        }
        return;
    }
    const double kg = 1 - kr - kb;
    const double ys = p->full_range ? 255 : 219, cs = p->full_range ? 255 : 224;
    const double cb = 2 * (1 - kb), cr = 2 * (1 - kr);
    const double to[3][3] = { { ys * kr, ys * kg, ys * kb },
                              { -cs * kr / cb, -cs * kg / cb, cs * (1 - kb) / cb },
                              { cs * (1 - kr) / cr, -cs * kg / cr, -cs * kb / cr } };
    /* R = E'Y + cr E'Cr, B = E'Y + cb E'Cb, and G from E'Y's definition. */
    const double from[3][3] = { { 1 / ys, 0, cr / cs },
                                { 1 / ys, -cb * kb / kg / cs, -cr * kr / kg / cs },
                                { 1 / ys, cb / cs, 0 } };
    for (int i = 0; i < 3; i++) {
        m->to_off[i] = i > 0 ? 128.0f : p->full_range ? 0.0f : 16.0f;
        for (int j = 0; j < 3; j++) {
            m->to[i][j] = (float)to[i][j];
            m->from[i][j] = (float)from[i][j];
        }
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * R'G'B' and 4:2:0, see yuv.h. BT.601 and BT.709 differ in two constants.
 */
#include <glib.h>
#include <math.h>

#include "yuv.h"

static uint8_t rounded(double v)
{
    return (uint8_t)CLAMP(floor(v + 0.5), 0, 255);
}

static double luma_offset(const YuvMatrix *m)
{
    return m->is_full_range ? 0 : 16;
}

static double luma_gain(const YuvMatrix *m)
{
    return m->is_full_range ? 1 : 219.0 / 255;
}

static double chroma_gain(const YuvMatrix *m)
{
    return m->is_full_range ? 1 : 224.0 / 255;
}

static double luma(const YuvMatrix *m, const double *p)
{
    return m->kr * p[0] + (1 - m->kr - m->kb) * p[1] + m->kb * p[2];
}

/* The mean colour of pixels x to x + 1, y to y + 1, as far as there are any. */
static void mean_colour(const uint8_t *rgb, uint32_t stride, uint32_t x, uint32_t y, uint32_t width,
                        uint32_t height, double *mean)
{
    const uint32_t nx = MIN(2, width - x), ny = MIN(2, height - y);
    for (int c = 0; c < 3; c++) {
        mean[c] = 0;
        for (uint32_t j = 0; j < ny; j++)
            for (uint32_t i = 0; i < nx; i++)
                mean[c] += rgb[(size_t)(y + j) * stride + 3 * (size_t)(x + i) + c];
        mean[c] /= nx * ny;
    }
}

void yuv_from_rgb(const YuvMatrix *m, const uint8_t *rgb, uint32_t stride, uint32_t width, uint32_t height,
                  const YuvPlanes *out)
{
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            const uint8_t *p = rgb + (size_t)y * stride + 3 * (size_t)x;
            const double colour[3] = { p[0], p[1], p[2] };
            out->data[0][(size_t)y * out->stride[0] + x] =
                rounded(luma_offset(m) + luma_gain(m) * luma(m, colour));
        }
    for (uint32_t y = 0; y < height; y += 2)
        for (uint32_t x = 0; x < width; x += 2) {
            double mean[3];
            mean_colour(rgb, stride, x, y, width, height, mean);
            const double l = luma(m, mean), gain = chroma_gain(m) / 2;
            out->data[1][(size_t)(y / 2) * out->stride[1] + x / 2] =
                rounded(128 + gain * (mean[2] - l) / (1 - m->kb));
            out->data[2][(size_t)(y / 2) * out->stride[2] + x / 2] =
                rounded(128 + gain * (mean[0] - l) / (1 - m->kr));
        }
}

/* The chroma of pixel (x, y): 3/4 of the nearer sample, 1/4 of the next, each way; edges are repeated. */
static double chroma_at(const YuvPlanes *yuv, int c, int32_t x, int32_t y, int32_t width, int32_t height)
{
    const int32_t x0 = x / 2, y0 = y / 2;
    const int32_t x1 = CLAMP(x0 + (x % 2 ? 1 : -1), 0, (width - 1) / 2),
                  y1 = CLAMP(y0 + (y % 2 ? 1 : -1), 0, (height - 1) / 2);
    const uint8_t *near = yuv->data[c] + (size_t)y0 * yuv->stride[c],
                  *next = yuv->data[c] + (size_t)y1 * yuv->stride[c];
    return 0.75 * (0.75 * near[x0] + 0.25 * near[x1]) + 0.25 * (0.75 * next[x0] + 0.25 * next[x1]);
}

void yuv_to_rgb(const YuvMatrix *m, const YuvPlanes *yuv, uint32_t width, uint32_t height, uint8_t *rgb,
                uint32_t stride)
{
    const double kg = 1 - m->kr - m->kb;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            const double l = (yuv->data[0][(size_t)y * yuv->stride[0] + x] - luma_offset(m)) / luma_gain(m);
            const double cb =
                (chroma_at(yuv, 1, (int32_t)x, (int32_t)y, (int32_t)width, (int32_t)height) - 128) /
                chroma_gain(m);
            const double cr =
                (chroma_at(yuv, 2, (int32_t)x, (int32_t)y, (int32_t)width, (int32_t)height) - 128) /
                chroma_gain(m);
            const double r = l + 2 * (1 - m->kr) * cr, b = l + 2 * (1 - m->kb) * cb;
            uint8_t *p = rgb + (size_t)y * stride + 3 * (size_t)x;
            p[0] = rounded(r);
            p[1] = rounded((l - m->kr * r - m->kb * b) / kg);
            p[2] = rounded(b);
        }
}

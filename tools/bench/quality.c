/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Distances of pictures, see quality.h.
 */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "quality.h"

enum { WINDOW = 11 };
#define SIGMA          1.5
#define EXACT_PLANE_DB 100

/* The exponents of the paper's scales, finest first. */
static const double exponents[QUALITY_MAX_SCALES] = { 0.0448, 0.2856, 0.3001, 0.2363, 0.1333 };

double quality_mse(const QualityPlane *a, const QualityPlane *b)
{
    uint64_t sum = 0;
    for (uint32_t y = 0; y < a->height; y++) {
        const uint8_t *pa = a->data + (size_t)y * a->stride, *pb = b->data + (size_t)y * b->stride;
        for (uint32_t x = 0; x < a->width; x++) {
            const int d = pa[x] - pb[x];
            sum += (uint64_t)(d * d);
        }
    }
    return (double)sum / ((double)a->width * a->height);
}

double quality_psnr(double mse)
{
    return mse > 0 ? 10 * log10(255.0 * 255.0 / mse) : INFINITY;
}

double quality_psnr_611(double mse_y, double mse_u, double mse_v)
{
    const double mse[3] = { mse_y, mse_u, mse_v }, weight[3] = { 6, 1, 1 };
    double sum = 0;
    if (mse_y <= 0 && mse_u <= 0 && mse_v <= 0)
        return INFINITY;
    for (int i = 0; i < 3; i++)
        sum += weight[i] * (mse[i] > 0 ? quality_psnr(mse[i]) : EXACT_PLANE_DB);
    return sum / 8;
}

uint32_t quality_ms_ssim_scales(uint32_t width, uint32_t height)
{
    uint32_t n = 0;
    for (uint32_t side = MIN(width, height); n < QUALITY_MAX_SCALES && side >= WINDOW; side /= 2)
        n++;
    return n;
}

/* One picture, and memory for one filtered along its rows. */
typedef struct {
    uint32_t width, height;
    double *a, *b, *rows;
} Scale;

static void gaussian(double *w)
{
    double sum = 0;
    for (int i = 0; i < WINDOW; i++)
        sum += w[i] = exp(-(i - WINDOW / 2) * (i - WINDOW / 2) / (2 * SIGMA * SIGMA));
    for (int i = 0; i < WINDOW; i++)
        w[i] /= sum;
}

/* The means of p q in windows that lie inside, to `out` [height - 10, width - 10]; q NULL: of p. */
static void window_means(const Scale *s, const double *p, const double *q, const double *w, double *out)
{
    const uint32_t out_width = s->width - WINDOW + 1, out_height = s->height - WINDOW + 1;
    for (uint32_t y = 0; y < s->height; y++)
        for (uint32_t x = 0; x < out_width; x++) {
            const size_t at = (size_t)y * s->width + x;
            double sum = 0;
            for (int i = 0; i < WINDOW; i++)
                sum += w[i] * (q ? p[at + i] * q[at + i] : p[at + i]);
            s->rows[(size_t)y * out_width + x] = sum;
        }
    for (uint32_t y = 0; y < out_height; y++)
        for (uint32_t x = 0; x < out_width; x++) {
            double sum = 0;
            for (int i = 0; i < WINDOW; i++)
                sum += w[i] * s->rows[(size_t)(y + i) * out_width + x];
            out[(size_t)y * out_width + x] = sum;
        }
}

/* The mean of contrast times structure, and of that times luminance. */
static void compare_scale(const Scale *s, double *cs_mean, double *ssim_mean)
{
    const size_t n = (size_t)(s->width - WINDOW + 1) * (s->height - WINDOW + 1);
    const double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
    const double *of[5][2] = {
        { s->a, NULL }, { s->b, NULL }, { s->a, s->a }, { s->b, s->b }, { s->a, s->b }
    };
    double w[WINDOW], *m[5], cs_sum = 0, ssim_sum = 0;
    gaussian(w);
    for (int i = 0; i < 5; i++) {
        m[i] = g_new(double, n);
        window_means(s, of[i][0], of[i][1], w, m[i]);
    }
    for (size_t i = 0; i < n; i++) {
        const double ab = m[0][i] * m[1][i], aa = m[0][i] * m[0][i], bb = m[1][i] * m[1][i];
        const double cs = (2 * (m[4][i] - ab) + c2) / (m[2][i] - aa + m[3][i] - bb + c2);
        cs_sum += cs;
        ssim_sum += cs * (2 * ab + c1) / (aa + bb + c1);
    }
    for (int i = 0; i < 5; i++)
        g_free(m[i]);
    *cs_mean = cs_sum / (double)n;
    *ssim_mean = ssim_sum / (double)n;
}

/* In place, as no pixel is written before it is read. */
static void halve(double *p, uint32_t width, uint32_t height)
{
    for (uint32_t y = 0; y < height / 2; y++)
        for (uint32_t x = 0; x < width / 2; x++) {
            const double *q = p + (size_t)2 * y * width + 2 * x;
            p[(size_t)y * (width / 2) + x] = 0.25 * (q[0] + q[1] + q[width] + q[width + 1]);
        }
}

static void load(double *out, const QualityPlane *p)
{
    for (uint32_t y = 0; y < p->height; y++)
        for (uint32_t x = 0; x < p->width; x++)
            out[(size_t)y * p->width + x] = p->data[(size_t)y * p->stride + x];
}

double quality_ms_ssim(const QualityPlane *a, const QualityPlane *b)
{
    const uint32_t n_scales = quality_ms_ssim_scales(a->width, a->height);
    const size_t n = (size_t)a->width * a->height;
    Scale s = { a->width, a->height, g_new(double, n), g_new(double, n), g_new(double, n) };
    double sum = 0, product = 1;
    load(s.a, a);
    load(s.b, b);
    for (uint32_t i = 0; i < n_scales; i++)
        sum += exponents[i];
    for (uint32_t i = 0; i < n_scales; i++) {
        double cs, ssim;
        compare_scale(&s, &cs, &ssim);
        /* Luminance counts on the coarsest scale only. */
        product *= pow(MAX(0, i + 1 == n_scales ? ssim : cs), exponents[i] / sum);
        halve(s.a, s.width, s.height);
        halve(s.b, s.width, s.height);
        s.width /= 2;
        s.height /= 2;
    }
    g_free(s.a);
    g_free(s.b);
    g_free(s.rows);
    return product;
}

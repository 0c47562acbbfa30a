/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See noise.h.
 */
#include "noise.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const noises[NOISE_N] = { "white", "black", "salt-pepper", "random", "gaussian" };
static const char *const filters[FILTER_N] = { "gaussian", "uniform", "median", "minimum", "maximum" };

const char *noise_name(NoiseKind kind)
{
    return noises[kind];
}

bool noise_parse(const char *name, NoiseKind *kind)
{
    for (int i = 0; i < NOISE_N; i++)
        if (g_str_equal(noises[i], name)) {
            *kind = i;
            return true;
        }
    return false;
}

const char *filter_name(FilterKind kind)
{
    return filters[kind];
}

/* Box and Muller's. */
static double gaussian(NervRng *rng)
{
    const double u = (nerv_rng_below(rng, 1 << 24) + 1.) / (1 << 24),
                 v = nerv_rng_below(rng, 1 << 24) / 16777216.;
    return sqrt(-2. * log(u)) * cos(2. * G_PI * v);
}

static void add_gaussian(double sigma, NervRng *rng, const uint8_t *src, uint8_t *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const long v = lrint(src[i] + sigma * gaussian(rng));
        dst[i] = (uint8_t)CLAMP(v, 0, 255);
    }
}

static void hit(NoiseKind kind, NervRng *rng, uint8_t *pixel)
{
    switch (kind) {
    case NOISE_WHITE:
        memset(pixel, 255, 3);
        break;
    case NOISE_BLACK:
        memset(pixel, 0, 3);
        break;
    case NOISE_SALT_PEPPER:
        memset(pixel, nerv_rng_below(rng, 2) ? 255 : 0, 3);
        break;
    default:
        for (int i = 0; i < 3; i++)
            pixel[i] = (uint8_t)nerv_rng_below(rng, 256);
        break;
    }
}

void noise_add(NoiseKind kind, double density, double sigma, NervRng *rng, const uint8_t *src, uint8_t *dst,
               int32_t width, int32_t height)
{
    const size_t n = (size_t)width * (size_t)height;
    const uint32_t threshold = (uint32_t)(density * (1 << 24));
    if (kind == NOISE_GAUSSIAN) {
        add_gaussian(sigma, rng, src, dst, 3 * n);
        return;
    }
    memcpy(dst, src, 3 * n);
    for (size_t i = 0; i < n; i++)
        if (nerv_rng_below(rng, 1 << 24) < threshold)
            hit(kind, rng, dst + 3 * i);
}

static int by_value(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* v: the nine, row by row. */
static uint8_t filtered(FilterKind kind, uint8_t v[9])
{
    static const double bell[3] = { .27406862, .45186276, .27406862 }; /* exp(-x^2 / 2), their sum 1 */
    double sum = 0.;
    switch (kind) {
    case FILTER_GAUSSIAN:
        for (int i = 0; i < 9; i++)
            sum += bell[i / 3] * bell[i % 3] * v[i];
        return (uint8_t)lrint(sum);
    case FILTER_UNIFORM:
        for (int i = 0; i < 9; i++)
            sum += v[i];
        return (uint8_t)lrint(sum / 9.);
    default:
        qsort(v, 9, 1, by_value);
        return v[kind == FILTER_MEDIAN ? 4 : kind == FILTER_MINIMUM ? 0 : 8];
    }
}

void filter_apply(FilterKind kind, const uint8_t *src, uint8_t *dst, int32_t width, int32_t height)
{
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                uint8_t v[9];
                for (int k = 0; k < 9; k++) {
                    const int32_t j = CLAMP(y + k / 3 - 1, 0, height - 1),
                                  i = CLAMP(x + k % 3 - 1, 0, width - 1);
                    v[k] = src[3 * ((size_t)j * width + i) + c];
                }
                dst[3 * ((size_t)y * width + x) + c] = filtered(kind, v);
            }
}

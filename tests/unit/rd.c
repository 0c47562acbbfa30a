/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The mathematics of nerv-rd. MS-SSIM and a BD-rate against numbers from a second implementation in NumPy (windows as two-dimensional
 * sums, the BD-rate's integral as a sum over two million points of Hermite's basis); PSNR and colours against what can be said by hand.
 */
#include <math.h>

#include "bench/bd.h"
#include "bench/quality.h"
#include "bench/yuv.h"

#define assert_near(a, b, tolerance) g_assert_cmpfloat_with_epsilon(a, b, tolerance)

static uint8_t *picture(uint32_t width, uint32_t height, int phase)
{
    uint8_t *p = g_malloc((size_t)width * height);
    for (uint32_t i = 0; i < width * height; i++) {
        const uint32_t x = i % width, y = i / width, noise = (i * 7919 + (uint32_t)phase * 104729) % 251;
        p[i] =
            (uint8_t)floor(100 + 60 * sin(0.07 * x + 0.05 * y + 0.2 * phase) + noise * (0.1 + 0.2 * phase));
    }
    return p;
}

static void test_ms_ssim(void)
{
    static const struct {
        uint32_t width, height, n_scales;
        double ms_ssim, mse;
    } known[] = { { 192, 177, 5, 0.754224559155267, 1256.8165018832392 },
                  { 100, 45, 3, 0.6264112138554435, 1259.0026666666668 },
                  { 11, 16, 1, 0.23382236563525008, 1686.4943181818182 } };
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        const uint32_t w = known[i].width, h = known[i].height;
        g_autofree uint8_t *p = picture(w, h, 0), *q = picture(w, h, 1);
        const QualityPlane a = { p, w, h, w }, b = { q, w, h, w };
        g_assert_cmpuint(quality_ms_ssim_scales(w, h), ==, known[i].n_scales);
        assert_near(quality_ms_ssim(&a, &b), known[i].ms_ssim, 1e-9);
        assert_near(quality_ms_ssim(&b, &a), known[i].ms_ssim, 1e-9);
        assert_near(quality_ms_ssim(&a, &a), 1, 1e-12);
        assert_near(quality_mse(&a, &b), known[i].mse, 1e-9);
    }
    g_assert_cmpuint(quality_ms_ssim_scales(176, 1000), ==, 5);
    g_assert_cmpuint(quality_ms_ssim_scales(175, 1000), ==, 4);
    g_assert_cmpuint(quality_ms_ssim_scales(10, 1000), ==, 0);
}

/* Against its negative the structure is inverted: a power of a negative number would be none. */
static void test_ms_ssim_inverted(void)
{
    g_autofree uint8_t *p = picture(64, 64, 1), *q = picture(64, 64, 1);
    for (int i = 0; i < 64 * 64; i++)
        q[i] = 255 - q[i];
    const QualityPlane a = { p, 64, 64, 64 }, b = { q, 64, 64, 64 };
    g_assert_cmpfloat(quality_ms_ssim(&a, &b), ==, 0);
}

static void test_psnr(void)
{
    const uint8_t p[8] = { 10, 20, 30, 99, 40, 50, 60, 99 }, q[8] = { 11, 19, 31, 0, 39, 51, 59, 0 };
    const QualityPlane a = { p, 3, 2, 4 }, b = { q, 3, 2, 4 };
    assert_near(quality_mse(&a, &b), 1, 1e-12); /* what is beyond the width is not looked at */
    assert_near(quality_psnr(1), 48.1308036086791, 1e-9);
    assert_near(quality_psnr(65025), 0, 1e-9);
    g_assert_true(isinf(quality_psnr(0)));
    assert_near(quality_psnr_611(1, 65025, 65025), 0.75 * 48.1308036086791, 1e-9);
    assert_near(quality_psnr_611(65025, 1, 65025), 0.125 * 48.1308036086791, 1e-9);
    assert_near(quality_psnr_611(1, 0, 1), 0.875 * 48.1308036086791 + 12.5, 1e-9);
    g_assert_true(isinf(quality_psnr_611(0, 0, 0)));
}

static const double rate_a[] = { 686.76, 309.58, 157.11, 85.95, 1e4 },
                    quality_a[] = { 40.28, 37.18, 34.24, 31.42, INFINITY };
static const double rate_b[] = { 112.75, 893.34, 407.8, 204.93 },
                    quality_b[] = { 31.24, 40.39, 37.21, 34.17 };

static void test_bd_rate(void)
{
    const BdCurve a = { rate_a, quality_a, 5 }, b = { rate_b, quality_b, 4 };
    double half[4];
    BdRate bd;
    g_assert_null(bd_rate(&a, &b, &bd));
    assert_near(bd.percent, 31.37987820239754, 1e-6);
    assert_near(bd.low, 31.42, 1e-12);
    assert_near(bd.high, 40.28, 1e-12);
    const double ratio = 1 + bd.percent / 100;
    g_assert_null(bd_rate(&b, &a, &bd));
    assert_near((1 + bd.percent / 100) * ratio, 1, 1e-9);
    g_assert_null(bd_rate(&a, &a, &bd));
    assert_near(bd.percent, 0, 1e-9);
    for (int i = 0; i < 4; i++)
        half[i] = rate_b[i] / 2;
    const BdCurve of_half = { half, quality_b, 4 };
    g_assert_null(bd_rate(&b, &of_half, &bd));
    assert_near(bd.percent, -50, 1e-9);
}

/* Lines are themselves: 3 dB for twice the rate against 6, from 30 to 36 dB. */
static void test_bd_rate_lines(void)
{
    const double steep[] = { 1, 2, 4, 8 }, steep_db[] = { 27, 30, 33, 36 };
    const double flat[] = { 1, 2, 4, 8 }, flat_db[] = { 30, 36, 42, 48 };
    const BdCurve a = { steep, steep_db, 4 }, b = { flat, flat_db, 4 };
    BdRate bd;
    g_assert_null(bd_rate(&a, &b, &bd));
    /* log2 of the rate: 1 + (q - 30) / 3 and (q - 30) / 6; their difference is 1 to 2, its mean 1.5. */
    assert_near(bd.percent, 100 * (pow(2, -1.5) - 1), 1e-9);
}

static void test_bd_rate_refused(void)
{
    const double same[] = { 30, 31, 31, 32 }, far[] = { 10, 13, 12, 11 }, none[] = { 100, 200, 0, 400 };
    const BdCurve b = { rate_b, quality_b, 4 }, few = { rate_b, quality_b, 3 }, twice = { rate_b, same, 4 };
    const BdCurve below = { rate_b, far, 4 }, empty = { none, quality_b, 4 },
                  finite = { rate_a + 1, quality_a + 1, 4 };
    const double down[] = { 400, 300, 200, 100 }, up[] = { 30, 31, 32, 33 };
    const BdCurve falling = { down, up, 4 };
    BdRate bd;
    g_assert_cmpstr(bd_rate(&b, &falling, &bd), ==, "more bytes for lower quality");
    g_assert_cmpstr(bd_rate(&b, &few, &bd), ==, "fewer than four points of finite quality");
    g_assert_cmpstr(bd_rate(&few, &b, &bd), ==, "fewer than four points of finite quality");
    g_assert_cmpstr(bd_rate(&finite, &b, &bd), ==, "fewer than four points of finite quality");
    g_assert_cmpstr(bd_rate(&empty, &b, &bd), ==, "fewer than four points of finite quality");
    g_assert_cmpstr(bd_rate(&b, &twice, &bd), ==, "two points of the same quality");
    g_assert_cmpstr(bd_rate(&b, &below, &bd), ==, "no quality that both have");
}

static void test_colours(void)
{
    static const struct {
        YuvMatrix matrix;
        uint8_t rgb[3], yuv[3];
    } known[] = { { { 0.299, 0.114, false }, { 255, 255, 255 }, { 235, 128, 128 } },
                  { { 0.299, 0.114, false }, { 0, 0, 0 }, { 16, 128, 128 } },
                  { { 0.299, 0.114, false }, { 255, 0, 0 }, { 81, 90, 240 } },
                  { { 0.2126, 0.0722, false }, { 255, 0, 0 }, { 63, 102, 240 } },
                  { { 0.2126, 0.0722, false }, { 0, 0, 255 }, { 32, 240, 118 } },
                  { { 0.299, 0.114, true }, { 200, 200, 200 }, { 200, 128, 128 } } };
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        uint8_t rgb[3], y, u, v;
        const YuvPlanes yuv = { { &y, &u, &v }, { 1, 1, 1 } };
        yuv_from_rgb(&known[i].matrix, known[i].rgb, 3, 1, 1, &yuv);
        g_assert_cmpmem(((uint8_t[]){ y, u, v }), 3, known[i].yuv, 3);
        yuv_to_rgb(&known[i].matrix, &yuv, 1, 1, rgb, 3);
        for (int c = 0; c < 3; c++)
            g_assert_cmpint(ABS(rgb[c] - known[i].rgb[c]), <=, 2);
    }
}

/* Of an odd size: the last column and row have a chroma sample of their own, and nothing beyond is touched. */
static void test_chroma(void)
{
    enum { W = 5, H = 3 };
    const YuvMatrix full = { 0.299, 0.114, true };
    uint8_t rgb[H][W * 3], y[W * H], u[7], v[7];
    const YuvPlanes yuv = { { y, u, v }, { W, 3, 3 } };
    for (int i = 0; i < W * H; i++)
        for (int c = 0; c < 3; c++)
            rgb[i / W][i % W * 3 + c] = c == 2 && i % W == W - 1 ? 255 : 0;
    u[6] = v[6] = 77;
    yuv_from_rgb(&full, &rgb[0][0], W * 3, W, H, &yuv);
    g_assert_cmpmem(u, 7, ((uint8_t[]){ 128, 128, 255, 128, 128, 255, 77 }), 7);
    for (int i = 0; i < 6; i++) {
        y[i] = y[i + 6] = y[W * H - 1 - i] = 100;
        u[i] = 128;
        v[i] = i % 3 == 0 ? 128 : 168;
    }
    y[12] = y[13] = y[14] = 100;
    yuv_to_rgb(&full, &yuv, W, H, &rgb[0][0], W * 3);
    /* Red is 1.402 times the chroma: 0, 1/4, 3/4, and all of 40. */
    for (int row = 0; row < H; row++)
        for (int x = 0; x < W; x++)
            g_assert_cmpint(rgb[row][3 * x], ==, ((int[]){ 100, 114, 142, 156, 156 })[x]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rd/ms-ssim", test_ms_ssim);
    g_test_add_func("/rd/ms-ssim-inverted", test_ms_ssim_inverted);
    g_test_add_func("/rd/psnr", test_psnr);
    g_test_add_func("/rd/bd-rate", test_bd_rate);
    g_test_add_func("/rd/bd-rate-lines", test_bd_rate_lines);
    g_test_add_func("/rd/bd-rate-refused", test_bd_rate_refused);
    g_test_add_func("/rd/colours", test_colours);
    g_test_add_func("/rd/chroma", test_chroma);
    return g_test_run();
}
